"""ARoFace: some pictures of every batch are scaled, turned and shifted the way that hurts the network most.

Paper: Ebrahimi et al., "ARoFace: Alignment Robustness to Improve Low-Quality Face Recognition", ECCV 2024,
arXiv:2407.14972; sizes, bounds, the border and the mixing of batches are those of the authors' code
(msed-Ebrahimi/ARoFace, AdvWarp.py).

Differs: the network is in evaluation mode while it is attacked, so that batch statistics, the running norms of a loss
and the draw of class centers are those of training alone; the released code lets them see the attacked pictures too.
The released upper bound of a shift is taken from the drawn angle, which looks like a slip: `released_bound=True` has
it. What a batch holds beside pictures stays with its picture, and points move with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vultus.errors import InputError
from vultus.train._ranks import ranks_of

__all__ = ["AdversarialWarp", "Misaligned", "climbed", "moved", "warped"]

_DRAWN = 0.01  # deviation of the first scale, angle and shift
_STEP_DRAWN = 0.001  # deviation of eta
_SCALE, _THETA, _SHIFT = (-0.5, 1.5), 0.8, 0.3  # how far the steps may lead from what was drawn
_SIGNS = ("gradient", "random")


@dataclass(frozen=True, slots=True)
class Misaligned:
    """Where each picture of a batch is read: at scale * rotation(theta) * place + shift.

    Places run from -1 to 1 over the picture, so a scale above 1 makes the face smaller.

    Attributes:
        scale: (N,) factor.
        theta: (N,) radians; positive turns the face counterclockwise as seen.
        shift: (N, 2) x and y in half sides.
    """

    scale: Tensor
    theta: Tensor
    shift: Tensor

    def matrix(self) -> Tensor:
        """(N, 2, 3), places of the new picture to places of the old one."""
        c, s = self.scale * torch.cos(self.theta), self.scale * torch.sin(self.theta)
        rows = torch.stack((c, -s, self.shift[:, 0], s, c, self.shift[:, 1]), dim=-1)
        return rows.view(-1, 2, 3)


def warped(images: Tensor, how: Misaligned) -> Tensor:
    """Pictures read at other places, bilinear; a border of one black pixel is laid around them first and goes on.

    As released, places are those of the picture with its border: without any error it comes out smaller by two pixels.

    Args:
        images: (N, 3, H, W) in [0, 1].
        how: N alignment errors.

    Returns:
        Same shape; the gradient reaches `how`.
    """
    grid = functional.affine_grid(how.matrix(), list(images.shape), align_corners=False)
    return functional.grid_sample(
        functional.pad(images, (1, 1, 1, 1)), grid, padding_mode="border", align_corners=False
    )


def moved(points: Tensor, how: Misaligned, size_hw: tuple[int, int]) -> Tensor:
    """Where points of a picture are after `warped`.

    Args:
        points: (N, K, 2) pixels, x and y.
        how: N alignment errors.
        size_hw: height and width of the pictures.

    Returns:
        (N, K, 2); points that left the picture lie outside it.
    """
    side = points.new_tensor((size_hw[1], size_hw[0]))
    matrix = how.matrix().to(points.dtype)
    places = (2 * points + 3) / (side + 2) - 1 - matrix[:, None, :, 2]
    found: Tensor = torch.linalg.solve(matrix[:, :, :2], places.transpose(1, 2)).transpose(1, 2)
    return ((found + 1) * side - 1) / 2


def climbed(
    value: Callable[[Misaligned], Tensor], drawn: Misaligned, eta: Misaligned, *, k: int = 1, released: bool = False
) -> Misaligned:
    """Steps of the sign of the gradient, upward, each no further than the bounds from what was drawn.

    Args:
        value: the loss of the pictures under these errors.
        drawn: where it starts.
        eta: sizes of a step, such as (1,), (1,) and (1, 1) for all pictures alike.
        k: steps.
        released: the upper bound of a shift is the drawn angle + 0.3, as in the authors' code.

    Returns:
        The errors after k steps, without gradient; nothing else has been given a gradient.
    """
    first = (drawn.scale, drawn.theta, drawn.shift)
    top = drawn.theta[:, None] if released else drawn.shift
    low = (drawn.scale + _SCALE[0], drawn.theta - _THETA, drawn.shift - _SHIFT)
    high = (drawn.scale + _SCALE[1], drawn.theta + _THETA, top + _SHIFT)
    now = [part.detach() for part in first]
    for _ in range(k):
        parts = [part.requires_grad_() for part in now]
        with torch.enable_grad():
            slopes = torch.autograd.grad(value(Misaligned(*parts)), parts)
        steps = (eta.scale, eta.theta, eta.shift)
        now = [
            torch.minimum(torch.maximum(part.detach() + size * slope.sign(), least), most)
            for part, size, slope, least, most in zip(parts, steps, slopes, low, high, strict=True)
        ]
    return Misaligned(*now)


class AdversarialWarp:
    """A hook of training: a batch goes in, as many pictures come out, a share of them misaligned.

    Whole and misaligned pictures are chosen apart, as released: one may be there twice and another not at all. The
    draws of a step follow from (seed, step, rank); its batches draw one after the other. Each of the k steps costs a
    forward and a backward pass of the batch; all class centers take part in it, also where training samples them.

    Args:
        eta: mean size of a step, in scale, radians and half sides.
        k: steps.
        ratio: share of pictures that are left alone.
        sign: "gradient": of the loss to scale, angle and shift; "random": thrown, the control which costs nothing.
        released_bound: see `climbed`.
        seed: of the draws.

    Raises:
        InputError: if a setting is out of range.
    """

    def __init__(
        self,
        eta: float = 0.1,
        k: int = 1,
        ratio: float = 0.75,
        *,
        sign: str = "gradient",
        released_bound: bool = False,
        seed: int = 0,
    ) -> None:
        if not (
            math.isfinite(eta)
            and eta >= 0
            and k >= 1
            and seed >= 0
            and float(k).is_integer()
            and float(seed).is_integer()
        ):
            raise InputError(
                f"eta, k, seed: expected a number from 0 and whole ones from 1 and 0, got {eta}, {k} and {seed}"
            )
        if not 0 <= ratio <= 1:
            raise InputError(f"ratio: expected a share from 0 to 1, got {ratio}")
        if sign not in _SIGNS:
            raise InputError(f"sign: expected one of {', '.join(_SIGNS)}; got {sign!r}")
        self.eta, self.k, self.ratio, self.seed = eta, int(k), ratio, int(seed)
        self.sign, self.released_bound = sign, released_bound
        self._drawing, self._spread = -1, torch.Generator()

    def __repr__(self) -> str:
        return f"AdversarialWarp(eta={self.eta}, k={self.k}, ratio={self.ratio}, sign={self.sign!r})"

    def on_batch(self, batch: dict[str, Tensor], step: int, trainable: Any) -> dict[str, Tensor]:
        """The batch that is trained on in place of this one.

        Args:
            batch: `image` (N, 3, H, W) in [0, 1] and `label`; `points` move with their picture, all else stays with it.
            step: number of the step.
            trainable: a `Recognizer` with class centers and a class loss.

        Raises:
            InputError: if the trainable has no class loss, or the batch has boxes, which a turned picture cannot have.
        """
        if "boxes" in batch:
            raise InputError(
                "aroface: expected a batch without boxes, which do not stay boxes when a picture is turned"
            )
        images = batch["image"]
        count = len(images)
        if int(count * self.ratio) == count:
            return batch
        stream, spread = _stream(self.seed, step, ranks_of(None).rank), self._spread
        if stream != self._drawing:  # a step may be of several batches, which go on with its draws
            self._drawing = stream
            spread.manual_seed(stream)
        drawn, eta = _drawn(count, self.eta, spread)
        drawn, eta = _on(drawn, images), _on(eta, images)
        if self.sign == "random":
            how = self._thrown(drawn, eta, spread)
        else:
            value = _class_loss(trainable, batch["label"])
            with _still(trainable):
                how = climbed(lambda at: value(warped(images, at)), drawn, eta, k=self.k, released=self.released_bound)
        whole = torch.randperm(count, generator=spread)[: int(count * self.ratio)].to(images.device)
        other = torch.randperm(count, generator=spread)[: count - len(whole)].to(images.device)
        return self._mixed(batch, how, whole, other)

    def on_step(self, step: int, run: Any) -> None:
        """The next batch is of another step, also where another run begins with the number of the last one."""
        self._drawing = -1

    def _thrown(self, drawn: Misaligned, eta: Misaligned, spread: torch.Generator) -> Misaligned:
        """As `climbed`, with signs thrown for each picture and step."""

        def value(at: Misaligned) -> Tensor:
            signs = torch.randint(0, 2, (len(at.scale), 4), generator=spread).to(at.scale) * 2 - 1
            return (signs * torch.cat((at.scale[:, None], at.theta[:, None], at.shift), dim=1)).sum()

        return climbed(value, drawn, eta, k=self.k, released=self.released_bound)

    def _mixed(self, batch: dict[str, Tensor], how: Misaligned, whole: Tensor, other: Tensor) -> dict[str, Tensor]:
        size = (int(batch["image"].shape[2]), int(batch["image"].shape[3]))
        bent = Misaligned(how.scale[other], how.theta[other], how.shift[other])
        found = {}
        for name, values in batch.items():
            there = values[other.to(values.device)]
            if name == "image":
                there = warped(there, bent)
            elif name == "points":
                there = moved(there, _on(bent, there), size)
            found[name] = torch.cat((values[whole.to(values.device)], there))
        return found


def _drawn(count: int, eta: float, spread: torch.Generator) -> tuple[Misaligned, Misaligned]:
    """Where it starts, for each picture, and the size of a step, for all."""
    normal = torch.randn((count, 4), generator=spread) * _DRAWN
    sizes = eta + torch.randn(3, generator=spread) * _STEP_DRAWN
    step = Misaligned(sizes[:1], sizes[1:2], sizes[2:].expand(1, 2))
    return Misaligned(1 + normal[:, 0], normal[:, 1], normal[:, 2:]), step


def _on(how: Misaligned, images: Tensor) -> Misaligned:
    return Misaligned(how.scale.to(images), how.theta.to(images), how.shift.to(images))


def _stream(seed: int, step: int, rank: int) -> int:
    """A seed of its own for each step and rank; generators mix it further."""
    return (seed * 1_000_003 + step) * 4_096 + rank


def _class_loss(trainable: Any, labels: Tensor) -> Callable[[Tensor], Tensor]:
    """(N, 3, H, W) pictures in [0, 1] -> the class loss alone."""
    centers, loss = getattr(trainable, "centers", None), getattr(trainable, "class_loss", None)
    if centers is None or loss is None:
        raise InputError(
            "aroface: expected a trainable with class centers and a class loss, which say what hurts; "
            'give the recognizer one, or take sign="random"'
        )

    known = labels >= 0

    def value(images: Tensor) -> Tensor:
        raw = trainable.features(images).raw.float()
        found: Tensor = centers(raw[known], labels[known], loss)
        return found

    return value


@contextmanager
def _still(trainable: nn.Module) -> Iterator[None]:
    """Everything that learns is in evaluation mode meanwhile."""
    modules = list(trainable.modules())
    before = [module.training for module in modules]
    try:
        for module in modules:
            module.training = False
        yield
    finally:
        for module, mode in zip(modules, before, strict=True):
            module.training = mode
