"""Make tests/golden/losses: values and gradients of losses by their authors' own code and by an independent library.

Needs PyTorch (2.13.0 was used), SciPy and scikit-learn, and checkouts at the commits of `SOURCES`:

    git clone https://github.com/deepinsight/insightface AUTHORS/insightface       (and once more, insightface_old)
    git clone https://github.com/ydwen/opensphere AUTHORS/opensphere               (and once more, opensphere_old)
    git clone https://github.com/mk-minchul/AdaFace AUTHORS/adaface
    git clone https://github.com/IrvingMeng/MagFace AUTHORS/magface
    git clone https://github.com/TinyZeaMays/CircleLoss AUTHORS/circle
    git clone https://github.com/KevinMusgrave/pytorch-metric-learning AUTHORS/pml
    PYTHONPATH=. python tools/golden/losses.py AUTHORS

Everything runs in float64 on six drawn vectors of four numbers, five centers and the labels, which are stored too;
stored gradients are those to the vectors.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vultus.testing import golden

HERE = Path(__file__).resolve().parents[2] / "tests" / "golden" / "losses"
SOURCES = {
    "insightface": "deepinsight/insightface at 7fadd420c2351d0ffa8cac403421c1a3ed733365",
    "insightface_old": "deepinsight/insightface at 2e2e8c97c7bc3e79a4d5403ae12cd5dd2bd69658",
    "opensphere": "ydwen/opensphere at a679e82032455941932e23e3d3cbab6b8c07e3d4",
    "opensphere_old": "ydwen/opensphere at f220a2c314890feb8b52a10c57483e2117b859a1",
    "adaface": "mk-minchul/AdaFace at c60eaa786a42c03444f3df7096dbaf9d57ae010d",
    "magface": "IrvingMeng/MagFace at 99bae614ac2643b9694bf18e0c5645272ff6acfa",
    "circle": "TinyZeaMays/CircleLoss at d002ecd0c7e395f6e39bf8a2a96fd05b83afa93f",
    "pml": "KevinMusgrave/pytorch-metric-learning 2.8.1 at 216a792c22b0154d3d3bf008a7317edc7d677e71",
}

rng = np.random.default_rng(5)
CENTERS = rng.normal(size=(5, 4))
LABELS = np.array((0, 3, 3, 1, 0, 1))
EMB = CENTERS[LABELS] + rng.uniform(0.2, 0.9, size=(6, 1)) * rng.normal(size=(6, 4))  # near their centers
EMB *= rng.uniform(6, 30, size=(6, 1)) / np.linalg.norm(EMB, axis=1, keepdims=True)
WHO = torch.from_numpy(LABELS)

Loss = Callable[[Tensor], Tensor]


def unit_centers() -> Tensor:
    """(5, 4) centers of unit length."""
    return functional.normalize(torch.from_numpy(CENTERS))


def cosines(emb: Tensor) -> Tensor:
    """(6, 5), as each of the codes computes them."""
    return functional.normalize(emb) @ unit_centers().T


def opened(name: str, path: Path) -> ModuleType:
    """A module from its file."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path}: not a module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def insightface(authors: Path) -> Iterator[tuple[str, Loss]]:
    """Margins on cosines; the straight gradient is the newer release."""
    new = opened("insightface_new", authors / "insightface/recognition/arcface_torch/losses.py")
    old = opened("insightface_old", authors / "insightface_old/recognition/arcface_torch/losses.py")
    for name, loss in (
        ("arcface.straight", new.CombinedMarginLoss(64, 1.0, 0.5, 0.0)),
        ("arcface", old.ArcFace(64, 0.5)),
        ("cosface", new.CosFace(64, 0.4)),
    ):
        yield name, lambda emb, loss=loss: functional.cross_entropy(loss(cosines(emb).clone(), WHO), WHO)


def opensphere(authors: Path) -> Iterator[tuple[str, Loss]]:
    """SphereFace2 in its three forms and SphereFace revived."""
    package = ModuleType("heads")  # without its __init__, which brings the whole trainer
    package.__path__ = [str(authors / "opensphere/opensphere/module/head")]
    sys.modules["heads"] = package
    newer = importlib.import_module("heads.sphereface2").SphereFace2(4, 5)
    revived = importlib.import_module("heads.sphereface").SphereFace(4, 5)
    old = opened("opensphere_old", authors / "opensphere_old/model/head/sphereface2.py")
    made = {"sphereface2": newer, "sphereface.revived": revived}
    for form, margin in (("A", 0.4), ("M", 1.5)):
        made[f"sphereface2.{form}"] = old.SphereFace2(4, 5, magn_type=form, m=margin)
    for name, loss in made.items():
        loss.double()
        turned = unit_centers().T if loss.w.shape[0] == 4 else unit_centers()
        loss.w.data = turned.contiguous()
        yield name, lambda emb, loss=loss: loss(emb, WHO)


def adaface(authors: Path) -> Iterator[tuple[str, Loss]]:
    """First step of training, with the batch alone and with the running mean."""
    head = opened("adaface_head", authors / "adaface/head.py")
    for name, share in (("adaface.code", 1.0), ("adaface", 0.01)):
        loss = head.AdaFace(4, 5, t_alpha=share).double()
        loss.kernel.data = unit_centers().T.contiguous()

        def value(emb: Tensor, loss: torch.nn.Module = loss) -> Tensor:
            norm = emb.norm(dim=1, keepdim=True)
            return functional.cross_entropy(loss(emb / norm, norm, WHO), WHO)

        yield name, value


def magface(authors: Path) -> Iterator[tuple[str, Loss]]:
    """Released settings of run/run.sh, with the weighted cost of the norms."""
    sys.path.insert(0, str(authors / "magface"))
    colors = ModuleType("termcolor")
    colors.cprint = print
    sys.modules.setdefault("termcolor", colors)
    code = importlib.import_module("models.magface")
    layer = code.MagLinear(4, 5, scale=64.0).double()
    layer.weight.data = unit_centers().T.contiguous()
    loss = code.MagLoss(10, 110, 0.45, 0.8)

    def value(emb: Tensor) -> Tensor:
        logits, norm = layer(emb, lambda a: (0.8 - 0.45) / (110 - 10) * (a - 10) + 0.45, 10, 110)
        entropy, cost, _ = loss(logits, WHO, norm)
        return entropy + 35 * cost

    yield "magface", value


def circle(authors: Path) -> Iterator[tuple[str, Loss]]:
    """Both forms of a widespread implementation; the paper has no released code."""
    early = opened("circle_early", authors / "circle/circle_loss_early.py").CircleLossLikeCE(0.25, 256.0)
    yield "circle_loss.class", lambda emb: early(cosines(emb), WHO)
    code = opened("circle_code", authors / "circle/circle_loss.py")
    pairs, loss = code.convert_label_to_similarity, code.CircleLoss(0.25, 256.0)
    yield "circle_loss.batch", lambda emb: loss(*pairs(functional.normalize(emb), WHO))


def library(authors: Path) -> Iterator[tuple[str, Loss]]:
    """pytorch-metric-learning, where it has the same variant."""
    sys.path.insert(0, str(authors / "pml/src"))
    losses = importlib.import_module("pytorch_metric_learning.losses")
    miners = importlib.import_module("pytorch_metric_learning.miners")
    square = importlib.import_module("pytorch_metric_learning.distances").LpDistance(power=2)
    plain = importlib.import_module("pytorch_metric_learning.distances").LpDistance(normalize_embeddings=False)
    mean = importlib.import_module("pytorch_metric_learning.reducers").MeanReducer()
    for name, loss in (
        ("pml/arcface", losses.ArcFaceLoss(5, 4, margin=float(np.degrees(0.5)), scale=64)),
        ("pml/cosface", losses.CosFaceLoss(5, 4, margin=0.4, scale=64)),
        ("pml/sphereface", losses.SphereFaceLoss(5, 4, margin=4, scale=1)),
        ("pml/normface", losses.NormalizedSoftmaxLoss(5, 4, temperature=1 / 64)),
    ):
        loss.W.data = unit_centers().T.contiguous()
        yield name, lambda emb, loss=loss: loss(emb, WHO)
    yield "pml/circle_loss", lambda emb: losses.CircleLoss(0.25, 256)(emb, WHO)
    every = losses.TripletMarginLoss(2.0, distance=square)
    yield "pml/triplet.all", lambda emb: every(emb, WHO)
    yield "pml/triplet.hard", lambda emb: every(emb, WHO, miners.BatchHardMiner(distance=square)(emb, WHO))
    soft = losses.TripletMarginLoss(0.0, smooth_loss=True, distance=plain, reducer=mean)
    yield "pml/triplet.batch_hard", lambda emb: soft(emb, WHO, miners.BatchHardMiner(distance=plain)(emb, WHO))


def main() -> None:
    """Write losses.npz and losses.json."""
    authors = Path(sys.argv[1])
    arrays = {"emb": EMB, "centers": CENTERS, "labels": LABELS}
    for part in (insightface, opensphere, adaface, magface, circle, library):
        for name, loss in part(authors):
            emb = torch.from_numpy(EMB).clone().requires_grad_()
            value = loss(emb)
            value.backward()
            print(f"{name}: {value.item():.9g}")
            arrays[f"{name}/value"], arrays[f"{name}/gradient"] = np.array(value.item()), emb.grad.numpy()
    provenance = {
        "made_by": "tools/golden/losses.py",
        "source": [f"https://github.com/{what}" for what in SOURCES.values()],
        "made": datetime.now(timezone.utc).date().isoformat(),
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
    }
    golden.save(HERE, "losses", arrays, provenance)


if __name__ == "__main__":
    main()
