"""Make tests/golden/aroface: alignment errors and pictures by the authors' own code, on the processor.

Needs PyTorch (2.13.0 was used) and a checkout at the commit of `SOURCE`:

    git clone https://github.com/msed-Ebrahimi/ARoFace AUTHORS
    PYTHONPATH=. python tools/golden/aroface.py AUTHORS

The network is one matrix with a tanh, the loss a cross entropy. Everything that the code draws is stored: first errors,
sizes of steps, and the two orders. With one step no bound is reached; with six all of them are.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vultus.testing import golden

HERE = Path(__file__).resolve().parents[2] / "tests" / "golden" / "aroface"
SOURCE = "https://github.com/msed-Ebrahimi/ARoFace at 5f87f83b7f02f8400ba04bef25d34def459f3950"
COUNT, SIZE, CLASSES = 8, (9, 7), 5


def opened(path: Path) -> Any:
    """A module from its file."""
    spec = importlib.util.spec_from_file_location("aroface_authors", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path}: not a module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def kept(found: list[Any], fn: Callable[..., Any]) -> Callable[..., Any]:
    """A function that also keeps what it returns."""

    def keeping(*args: Any, **kwargs: Any) -> Any:
        value = fn(*args, **kwargs)
        found.append(value.detach().numpy().copy() if isinstance(value, Tensor) else np.array(value))
        return value

    return keeping


def seen(found: list[Any], fn: Callable[..., Any]) -> Callable[..., Any]:
    """A function of matrices that also keeps those it is handed."""

    def seeing(theta: Tensor, size: Any) -> Any:
        found.append(theta.detach().numpy().copy())
        return fn(theta, size, align_corners=False)

    return seeing


def main() -> None:
    """Write aroface.npz and aroface.json."""
    code = opened(Path(sys.argv[1]) / "AdvWarp.py")
    torch.Tensor.cuda = lambda self, **_: self  # type: ignore[assignment,method-assign]
    normal, affine_grid, randperm = np.random.normal, functional.affine_grid, torch.randperm
    rng = np.random.default_rng(3)
    images = rng.uniform(-1, 1, (COUNT, 3, *SIZE)).astype(np.float32)
    matrix = (rng.normal(size=(3 * SIZE[0] * SIZE[1], CLASSES)) / 5).astype(np.float32)
    labels = rng.integers(0, CLASSES, COUNT)
    arrays: dict[str, Any] = {"images": images, "matrix": matrix, "labels": labels}
    for k in (1, 6):
        draws: list[Any] = []
        places: list[Any] = []
        orders: list[Any] = []
        # The code draws from the global streams.
        np.random.seed(k)  # noqa: NPY002, TID251
        torch.manual_seed(k)  # noqa: TID251
        np.random.normal = kept(draws, normal)
        code.F.affine_grid = seen(places, affine_grid)
        torch.randperm = kept(orders, randperm)
        try:
            found, who = code.adversarial_img_warping(
                lambda x: torch.tanh(x.flatten(1) @ torch.from_numpy(matrix)),
                torch.from_numpy(images),
                lambda x, y: functional.cross_entropy(4 * x, y),
                torch.from_numpy(labels),
                k=k,
            )
        finally:
            np.random.normal, code.F.affine_grid, torch.randperm = normal, affine_grid, randperm
        for name, value in zip(("eta", "scale", "theta", "shift"), (np.stack(draws[:3]), *draws[3:]), strict=True):
            arrays[f"{k}/{name}"] = value.astype(np.float32)
        arrays[f"{k}/matrix"], arrays[f"{k}/orders"] = places[-1], np.stack(orders)
        arrays[f"{k}/found"], arrays[f"{k}/who"] = found.detach().numpy(), who.numpy()
        print(k, "largest shift", np.abs(places[-1][:, :, 2]).max())
    provenance = {
        "made_by": "tools/golden/aroface.py",
        "source": SOURCE,
        "made": datetime.now(timezone.utc).date().isoformat(),
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
    }
    golden.save(HERE, "aroface", arrays, provenance)


if __name__ == "__main__":
    main()
