"""Half precision for the network, with scaled gradients where the numbers need it; nothing falls back silently."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor

from vultus.errors import InputError

__all__ = ["Precision", "device_of"]

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_LEAST_SCALE = 2.0**-4  # halved so often, it is not the scale that makes gradients overflow


def device_of(name: str) -> torch.device:
    """The device of that name.

    Raises:
        InputError: if it is not there.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        why = str(error).splitlines()[0].split(". ")[0]
        raise InputError(f"device: expected one that is here, got {name!r}: {why}; use 'cpu' if meant") from error
    return device


class Precision:
    """Autocast around the forward pass, and for fp16 the scale of the loss.

    Args:
        name: "fp32", "bf16" or "fp16".
        device: where the network is.

    Attributes:
        scale: what the loss is multiplied by; 1 but for fp16.

    Raises:
        InputError: if the device cannot do it.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        self._type, self._device = _TYPES.get(name), device
        if name == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
            raise InputError(f"precision: expected one that {device} computes in, got 'bf16': use 'fp16' or 'fp32'")
        self.scale = 2.0**16 if name == "fp16" else 1.0
        self._scaled, self._clean = name == "fp16", 0

    def cast(self) -> AbstractContextManager[object]:
        """Autocast of the device, off for fp32."""
        return torch.autocast(self._device.type, dtype=self._type, enabled=self._type is not None)

    def skipped(self, norm: float) -> bool:
        """Whether this step is left out, because the scaled gradient overflowed; the scale moves with it.

        Returns False for fp32 and bf16, and when the scale is so low that it is not to blame.
        """
        if not self._scaled:
            return False
        if norm < float("inf"):
            self._clean += 1
            if self._clean == 2000:
                self.scale, self._clean = self.scale * 2, 0
            return False
        self.scale, self._clean = self.scale / 2, 0
        return self.scale >= _LEAST_SCALE

    def state(self) -> dict[str, Tensor]:
        """For a checkpoint."""
        return {"scale": torch.tensor(self.scale, dtype=torch.float64), "clean": torch.tensor(self._clean)}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take what `state` gave."""
        self.scale, self._clean = float(state["scale"]), int(state["clean"])
