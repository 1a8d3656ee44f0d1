"""The random numbers that nobody hands in: layers that drop units, and libraries that use NumPy's own stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

__all__ = ["random_states", "restore", "seeded_streams"]


@contextmanager
def seeded_streams(seed: int, device: torch.device) -> Iterator[None]:
    """Inside, the streams of torch and NumPy start from a seed; then they go on where they were.

    Args:
        seed: from 0.
        device: whose stream counts beside that of the processor.
    """
    before = random_states(device)
    first, second = (int(n) for n in np.random.SeedSequence(seed).generate_state(2, np.uint32))
    torch.default_generator.manual_seed(first)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(first)
    np.random.set_state(np.random.RandomState(second).get_state(legacy=False))  # noqa: NPY002  (its own stream)
    try:
        yield
    finally:
        restore(before, device)


def random_states(device: torch.device) -> dict[str, Tensor]:
    """Where the streams are, as tensors."""
    numpy = np.random.get_state(legacy=False)  # noqa: NPY002  (its own stream)
    inner = numpy["state"]
    found = {
        "torch": torch.get_rng_state(),
        "numpy.key": torch.from_numpy(inner["key"].astype(np.int64)),
        "numpy.pos": torch.tensor(int(inner["pos"])),
        "numpy.has_gauss": torch.tensor(int(numpy["has_gauss"])),
        "numpy.gauss": torch.tensor(float(numpy["gauss"]), dtype=torch.float64),
    }
    if device.type == "cuda":
        found["cuda"] = torch.cuda.get_rng_state(device)
    return found


def restore(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Go on where `random_states` was asked."""
    torch.set_rng_state(states["torch"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
    key = states["numpy.key"].numpy().astype(np.uint32)
    np.random.set_state(  # noqa: NPY002  (its own stream)
        {
            "bit_generator": "MT19937",
            "state": {"key": key, "pos": int(states["numpy.pos"])},
            "has_gauss": int(states["numpy.has_gauss"]),
            "gauss": float(states["numpy.gauss"]),
        }
    )
