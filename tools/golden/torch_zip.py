"""Make tests/golden/torch_zip: toy checkpoints in both layouts. Needs PyTorch (2.13.0 was used); the package does not.

python tools/golden/torch_zip.py
"""

from __future__ import annotations

from pathlib import Path

import torch

HERE = Path(__file__).resolve().parents[2] / "tests" / "golden" / "torch_zip"


def main() -> None:
    """Write zip.bin and legacy.bin: the same objects, once in each layout."""
    grid = torch.arange(24.0).reshape(4, 6)
    state = {
        "turned": grid.t(),  # two views of one storage
        "part": grid[1:3, 2:],
        "parameter": torch.nn.Parameter(torch.tensor([0.5, -1.25, 3.0])),
        "half": torch.tensor([[1.5, -2.0]], dtype=torch.float16),
        "brain": torch.tensor([1.0, -0.15625, 3.0], dtype=torch.bfloat16),
        "long": torch.tensor([3, -(2**40)]),
        "bool": torch.tensor([True, False]),
        "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 4),
        "inner": {"double": torch.tensor([0.1], dtype=torch.float64)},
    }
    HERE.mkdir(parents=True, exist_ok=True)
    whole = {"epoch": 3, "state_dict": state, "rate": 0.1, "notes": ["x", (1, None)]}
    torch.save(whole, HERE / "zip.bin")
    torch.save(whole, HERE / "legacy.bin", _use_new_zipfile_serialization=False)


if __name__ == "__main__":
    main()
