"""Operations made of operations: one of several, or several together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.ops._op import Op, Scene, Values, check_keys
from vultus.types import F32, U8

__all__ = ["OneOf", "Together"]

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class OneOf(Op):
    """Exactly one of several operations, each as likely as the others.

    Attributes:
        ops: the operations.
    """

    ops: tuple[Op, ...] = ()

    def __post_init__(self) -> None:
        _check_ops(self.name, self.ops)

    def draw(self, rng: np.random.Generator) -> dict[str, Any]:
        pick = int(rng.integers(len(self.ops)))
        return {"pick": pick, "op": self.ops[pick].name, "values": self.ops[pick].draw(rng)}

    def check(self, values: Values) -> None:
        check_keys(self.name, values, ("pick", "op", "values"))
        pick = values["pick"]
        if not isinstance(pick, int) or not 0 <= pick < len(self.ops):
            raise InputError(f"{self.name}.pick: expected an index below {len(self.ops)}, got {pick!r}")
        if values["op"] != self.ops[pick].name:
            raise InputError(f"{self.name}.op: expected {self.ops[pick].name} at {pick}, got {values['op']!r}")
        self.ops[pick].check(values["values"])

    def is_identity(self, values: Values) -> bool:
        return self._picked(values).is_identity(values["values"])

    def image(self, x: U8, values: Values, scene: Scene) -> U8:
        return self._picked(values).image(x, values["values"], scene)

    def cover(self, x: U8, values: Values, scene: Scene) -> tuple[U8, F32 | None]:
        return self._picked(values).cover(x, values["values"], scene)

    def matrix(self, values: Values, now_hw: tuple[int, int], scene: Scene) -> F64 | None:
        return self._picked(values).matrix(values["values"], now_hw, scene)

    def size(self, values: Values, now_hw: tuple[int, int], scene: Scene) -> tuple[int, int]:
        return self._picked(values).size(values["values"], now_hw, scene)

    def clip(self, frames: Sequence[U8], values: Sequence[Values], scenes: Sequence[Scene]) -> list[U8]:
        return self._picked(values[0]).clip(frames, [v["values"] for v in values], scenes)

    def drifting(self, values: Values, drift: float, rng: np.random.Generator, count: int) -> list[dict[str, Any]]:
        inner = self._picked(values).drifting(values["values"], drift, rng, count)
        return [{**values, "values": each} for each in inner]

    def _picked(self, values: Values) -> Op:
        return self.ops[values["pick"]]


@dataclass(frozen=True)
class Together(Op):
    """Several operations that happen together or not at all; none of them may move pixels or change the size.

    Attributes:
        ops: the operations.
        shuffled: applied in an order that is drawn.
    """

    ops: tuple[Op, ...] = ()
    shuffled: bool = False

    def __post_init__(self) -> None:
        _check_ops(self.name, self.ops)
        for op in self.ops:
            if type(op).matrix is not Op.matrix or type(op).size is not Op.size or type(op).clip is not Op.clip:
                raise InputError(f"{self.name}.ops: expected operations that leave pixels in place, got {op.name}")

    def draw(self, rng: np.random.Generator) -> dict[str, Any]:
        order = rng.permutation(len(self.ops)) if self.shuffled else np.arange(len(self.ops))
        return {"order": order.tolist(), "values": [op.draw(rng) for op in self.ops]}

    def check(self, values: Values) -> None:
        check_keys(self.name, values, ("order", "values"))
        order, count = values["order"], len(self.ops)
        whole = isinstance(order, (list, tuple)) and all(isinstance(k, int) for k in order)
        if not whole or sorted(order) != list(range(count)):
            raise InputError(f"{self.name}.order: expected the numbers 0 to {count - 1} in some order, got {order!r}")
        if not isinstance(values["values"], (list, tuple)) or len(values["values"]) != count:
            raise InputError(f"{self.name}.values: expected {count} of them, got {values['values']!r}")
        for op, each in zip(self.ops, values["values"], strict=True):
            op.check(each)

    def is_identity(self, values: Values) -> bool:
        return all(op.is_identity(each) for op, each in zip(self.ops, values["values"], strict=True))

    def image(self, x: U8, values: Values, scene: Scene) -> U8:
        for k in values["order"]:
            if not self.ops[k].is_identity(values["values"][k]):
                x = self.ops[k].image(x, values["values"][k], scene)
        return x

    def drifting(self, values: Values, drift: float, rng: np.random.Generator, count: int) -> list[dict[str, Any]]:
        inner = [op.drifting(v, drift, rng, count) for op, v in zip(self.ops, values["values"], strict=True)]
        return [{**values, "values": [each[t] for each in inner]} for t in range(count)]


def _check_ops(name: str, ops: Sequence[object]) -> None:
    if not ops:
        raise InputError(f"{name}.ops: expected at least one operation, got none")
    for op in ops:
        if not isinstance(op, Op):
            raise InputError(f"{name}.ops: expected operations of vultus.ops.degrade, got {type(op).__name__}")
