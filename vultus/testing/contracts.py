"""What the objects of every contract promise, from detector to comparator, as checks.

    for check in checks("embedder"):
        check(MyEmbedder)

A check builds the object, calls it on drawn faces and raises AssertionError with a sentence when the promise does not
hold. Objects of other people are checked in the same way; nothing is inherited. No check measures accuracy.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import io
import random
import re
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.testing._calls import CONTRACTS, Contract, close, hold

__all__ = ["KINDS", "Check", "checks", "kind_of"]

KINDS: tuple[str, ...] = tuple(CONTRACTS)

Build = Callable[[], Any]


class Check(Protocol):
    """One promise; `__name__` says which."""

    __name__: str

    def __call__(self, build: Build, *, seed: int = 0) -> None:
        """Build the object anew, try it, raise AssertionError where the promise does not hold."""
        ...


# ---------------------------------------------------------------- the checks, for every contract
def _builds_and_keeps_the_call(it: Contract, build: Build, rng: np.random.Generator) -> None:
    subject = build()
    missing = [name for name in _members(it.protocol) if not hasattr(subject, name)]
    hold(not missing, f"{subject!r} lacks {', '.join(missing)} of {it.protocol.__name__}")


def _output_is_as_stated(it: Contract, build: Build, rng: np.random.Generator) -> None:
    subject = build()
    items = it.items(subject, rng)
    results = it.call(subject, items)
    hold(len(results) == len(items), f"{len(items)} items went in and {len(results)} results came out")
    it.output(subject, items, results)


def _same_input_same_output(it: Contract, build: Build, rng: np.random.Generator) -> None:
    subject = build()
    items = it.items(subject, rng)
    first = it.call(subject, items)
    close(first, it.call(subject, items), 0.0, "the second call on the same input differs")
    close(first, it.call(build(), items), 0.0, "a second object, built in the same way, differs")


def _input_is_untouched(it: Contract, build: Build, rng: np.random.Generator) -> None:
    subject = build()
    items = it.items(subject, rng)
    writable = [tuple(np.array(array) for array in item) for item in items]
    expected = it.call(subject, writable)
    for item in writable:
        it.call(subject, [item])
    close(items, writable, 0.0, "the input was modified")
    frozen = copy.deepcopy(writable)
    for array in [array for item in frozen for array in item]:
        array.setflags(write=False)
    close(expected, it.call(subject, frozen), 0.0, "read-only input gives something else")


def _memory_order_does_not_matter(it: Contract, build: Build, rng: np.random.Generator) -> None:
    subject = build()
    items = it.items(subject, rng)
    strided = [tuple(_strided(array) for array in item) for item in items]
    close(it.call(subject, items), it.call(subject, strided), 0.0, "a strided view gives something else than its copy")


def _batch_equals_one_by_one(it: Contract, build: Build, rng: np.random.Generator) -> None:
    subject = build()
    items = it.items(subject, rng)
    whole = it.call(subject, items)
    alone = [it.call(subject, [item])[0] for item in items]
    close(whole, alone, it.tolerance, "one by one differs from the batch")
    turned = it.call(subject, items[::-1])[::-1]
    close(whole, turned, it.tolerance, "the order of the batch changes a result")


def _empty_batch(it: Contract, build: Build, rng: np.random.Generator) -> None:
    subject = build()
    it.items(subject, rng)
    hold(it.call(subject, []) == [], "nothing went in and something came out")


def _wrong_input_is_refused_in_words(it: Contract, build: Build, rng: np.random.Generator) -> None:
    subject = build()
    for what, call in it.wrong(subject, it.items(subject, rng)):
        try:
            call()
        except InputError as error:
            message = str(error)
            named = "expected" in message and re.search(r"\b(got|came|found)\b", message)
            hold(bool(named), f"{what}: the message does not name what was expected and what came: {message}")
        except Exception as error:
            raise AssertionError(f"{what}: expected InputError, got {type(error).__name__}: {error}") from error
        else:
            raise AssertionError(f"{what}: expected InputError, and it was taken")


def _survives_copying(it: Contract, build: Build, rng: np.random.Generator) -> None:
    subject = build()
    items = it.items(subject, rng)
    expected = it.call(subject, items)
    twin = copy.deepcopy(subject)
    hold(repr(twin) == repr(subject), f"the copy shows itself as {twin!r}, the original as {subject!r}")
    close(expected, it.call(twin, items), 0.0, "a copy gives something else")


def _shows_its_parameters(it: Contract, build: Build, rng: np.random.Generator) -> None:
    subject = build()
    shown = repr(subject)
    hidden = [name for name in inspect.signature(type(subject)).parameters if f"{name}=" not in shown]
    hold(not hidden and " at 0x" not in shown, f"repr does not show {', '.join(hidden) or 'its parameters'}: {shown}")


def _prints_nothing(it: Contract, build: Build, rng: np.random.Generator) -> None:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        subject = build()
        it.call(subject, it.items(subject, rng))
    hold(not said.getvalue(), f"it printed {said.getvalue()!r}")


def _leaves_global_random_state(it: Contract, build: Build, rng: np.random.Generator) -> None:
    state, legacy = random.getstate(), np.random.get_state(legacy=False)  # noqa: NPY002
    subject = build()
    it.call(subject, it.items(subject, rng))
    after: Any = np.random.get_state(legacy=False)  # noqa: NPY002
    same = str(legacy) == str(after) and random.getstate() == state
    hold(same, "it drew from the global random state; take an rng argument")


_CHECKS = (
    _builds_and_keeps_the_call,
    _output_is_as_stated,
    _same_input_same_output,
    _input_is_untouched,
    _memory_order_does_not_matter,
    _batch_equals_one_by_one,
    _empty_batch,
    _wrong_input_is_refused_in_words,
    _survives_copying,
    _shows_its_parameters,
    _prints_nothing,
    _leaves_global_random_state,
)


def checks(kind: str) -> list[Check]:
    """The checks of a contract, in the order in which they help most.

    Args:
        kind: one of `KINDS`.

    Returns:
        Functions of (build, seed): `build` makes the object anew, `seed` is of the drawn faces.

    Raises:
        InputError: no contract of that name.
    """
    if kind not in CONTRACTS:
        raise InputError(f"kind: expected one of {', '.join(KINDS)}; got {kind!r}")
    return [_bound(CONTRACTS[kind], promise) for promise in _CHECKS]


def kind_of(made: type) -> str | None:
    """Which contract a class keeps by its methods; the first of `KINDS` that fits, or None."""
    for kind, it in CONTRACTS.items():
        if all(hasattr(made, name) for name in _members(it.protocol) if callable(vars(it.protocol)[name])):
            return kind
    return None


def _bound(it: Contract, promise: Callable[[Contract, Build, np.random.Generator], None]) -> Check:
    def check(build: Build, *, seed: int = 0) -> None:
        promise(it, build, np.random.default_rng(seed))

    check.__name__ = promise.__name__.lstrip("_")
    return check


def _members(protocol: type) -> list[str]:
    return sorted(name for name in vars(protocol) if not name.startswith("_"))


def _strided(array: NDArray[Any]) -> NDArray[Any]:
    """The same values in a view whose memory runs backwards."""
    return array[::-1].copy()[::-1] if array.ndim else array
