"""What a claim is, what it hands back, and which ones there are."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module, util
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError, UnknownMethod
from vultus.types import U8, Provenance, checked

if TYPE_CHECKING:
    from vultus.claims._context import Context

__all__ = ["SCALES", "Claim", "ClaimResult", "claim", "claims", "find"]

F64 = NDArray[np.float64]

SCALES = ("tiny", "nano", "mini")
MIN_SEEDS = 3  # at nano and mini
MIN_UNITS = 6  # five differences fall on one side by luck once in 32, more often than an interval of 95 % allows
TINY_MINUTES = 5.0  # a claim aims at 20 seconds there; what is longer hangs
_DEFAULT_MINUTES = {"tiny": TINY_MINUTES, "nano": 25.0, "mini": 120.0}
_NOT_CLAIMS = ("fixtures",)


@dataclass(frozen=True, slots=True, eq=False)
class ClaimResult:
    """What a claim measured: the same units under every arm.

    Attributes:
        arms: name -> (seeds, units) numbers, the same units in the same order in every arm; (seeds,) for unit "seed".
        method: the arm that is claimed to be better.
        baseline: the arm it is compared with, on the same data, budget and seeds.
        units: ids of the units: people, tests; repeated ids are drawn together.
        unit: what a unit is: "person", "test", ... or "seed", where whole seeds are drawn instead of units.
        metric: what the numbers are, with their unit: "share of pairs accepted".
        higher_is_better: the declared direction.
        data: "sim" or "real".
        controls: arms that must not gain over the baseline; one that does fails the claim.
        min_effect: the declared size, in units of the metric; a smaller gain is not shown.
        judges: spaces of the networks whose scores are in the arms.
        provenance: how what was judged was made, needed where there are judges; none may stand in its `loss_spaces`.
        extra: further numbers and words for the page.
        picture: (H, W, 3) uint8 RGB for people, or None: the arms with their intervals are drawn then.
        notes: what a reader must know.
        invalid: why the numbers may not be used, or "".
    """

    arms: Mapping[str, F64]
    method: str
    baseline: str
    units: Sequence[str | int]
    unit: str
    metric: str
    higher_is_better: bool
    data: str
    controls: tuple[str, ...] = ()
    min_effect: float = 0.0
    judges: tuple[str, ...] = ()
    provenance: tuple[Provenance, ...] = ()
    extra: Mapping[str, float | str] = field(default_factory=dict)
    picture: U8 | None = None
    notes: str = ""
    invalid: str = ""

    def __post_init__(self) -> None:
        arms = {name: _matrix(name, values) for name, values in self.arms.items()}
        units = tuple(unit.item() if isinstance(unit, np.generic) else unit for unit in self.units)
        if self.unit == "seed" and not units:
            units = ("seed",)
        for name, value in (("arms", arms), ("units", units)):
            object.__setattr__(self, name, value)
        for name in ("controls", "judges", "provenance"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        _check_arms(self)
        if not all(isinstance(made, Provenance) for made in self.provenance):
            raise InputError("provenance: expected records of vultus.types.Provenance")
        if self.judges and not self.provenance:
            raise InputError("provenance: expected the record of what the judges judged, got none")
        if self.data not in ("sim", "real"):
            raise InputError(f"data: expected sim or real, got {self.data!r}")
        if not self.unit or not self.metric:
            raise InputError("expected words for `unit` and `metric`, got an empty one")
        if not self.min_effect >= 0:
            raise InputError(
                f"min_effect: expected a size of at least 0 in the direction claimed, got {self.min_effect}"
            )
        if self.picture is not None and (self.picture.dtype != np.uint8 or self.picture.shape[2:] != (3,)):
            raise InputError(f"picture: expected uint8 (H, W, 3), got {self.picture.dtype} {self.picture.shape}")

    @property
    def n_seeds(self) -> int:
        """Rows of each arm."""
        return len(self.arms[self.baseline])


def _matrix(name: str, values: Any) -> F64:
    array = np.asarray(values)
    return checked(f"arms[{name!r}]", array[:, None] if array.ndim == 1 else array, (None, None), np.float64)


def _check_arms(result: ClaimResult) -> None:
    for what, names in (("method", [result.method]), ("baseline", [result.baseline]), ("controls", result.controls)):
        unknown = [name for name in names if name not in result.arms]
        if unknown:
            raise InputError(
                f"{what}: expected arms among {', '.join(result.arms) or 'none'}; got {', '.join(unknown)}"
            )
    if result.method == result.baseline or {result.method, result.baseline} & set(result.controls):
        raise InputError("method, baseline and controls: expected different arms, got one in two places")
    shapes = {name: values.shape for name, values in result.arms.items()}
    if len(set(shapes.values())) > 1 or 0 in shapes[result.baseline]:
        raise InputError(f"arms: expected the same seeds and units in every arm, at least one, got {shapes}")
    if len(result.units) != shapes[result.baseline][1]:
        raise InputError(
            f"units: expected {shapes[result.baseline][1]}, one per column of the arms, got {len(result.units)}"
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim that can be run.

    Attributes:
        name: its own name, that of its paper's row and of its file.
        paper: number of the paper, 1 to 140; 0 for one that is in no paper of the list.
        function: runs it.
        scale: the scale that `minutes` is for.
        minutes: how long it may take there.
        seeds: how many seeds it is run with at nano and mini.
        source: path of its file.
    """

    name: str
    paper: int
    function: Callable[[Context], ClaimResult]
    scale: str
    minutes: float
    seeds: int
    source: str

    def __call__(self, ctx: Context) -> ClaimResult:
        """Run it; `vultus.claims.run` is what keeps its steps, its budget and its result."""
        return self.function(ctx)

    @property
    def summary(self) -> str:
        """First sentence of its docstring."""
        return (self.function.__doc__ or "").strip().split("\n", 1)[0]

    def limit(self, scale: str) -> float:
        """Minutes at a scale: the declared ones at the declared scale, else what the scale allows at most."""
        return self.minutes if scale == self.scale else _DEFAULT_MINUTES[scale]


def claim(
    *, paper: int, minutes: float, scale: str = "nano", seeds: int = MIN_SEEDS
) -> Callable[[Callable[[Context], ClaimResult]], Claim]:
    """Declare a claim.

    Args:
        paper: number of the paper it belongs to.
        minutes: how long it may take at `scale`; it stops with status `budget` after that.
        scale: "nano" (two CPU cores) or "mini" (one data-center GPU, or CPU hours).
        seeds: how often everything is repeated at nano and mini, at least 3.

    Returns:
        A decorator that makes a `Claim` of a function from `Context` to `ClaimResult`.

    Raises:
        InputError: an unknown scale, too few seeds, or minutes that are none.
    """
    if scale not in SCALES[1:]:
        raise InputError(f"scale: expected {' or '.join(SCALES[1:])}, got {scale!r}: tiny is always wiring only")
    if seeds < MIN_SEEDS:
        raise InputError(f"seeds: expected at least {MIN_SEEDS}, got {seeds}")
    if not 0 < minutes <= _DEFAULT_MINUTES[scale]:
        raise InputError(f"minutes: expected at most {_DEFAULT_MINUTES[scale]:g} at {scale}, got {minutes}")

    def declare(function: Callable[[Context], ClaimResult]) -> Claim:
        return Claim(function.__name__, paper, function, scale, float(minutes), seeds, function.__code__.co_filename)

    return declare


def claims() -> dict[str, Claim]:
    """Every claim of this package by name, in alphabetical order; imports their files."""
    package = import_module("vultus.claims")
    found: dict[str, Claim] = {}
    for module in sorted(m.name for m in iter_modules(package.__path__)):
        if not module.startswith("_") and module not in _NOT_CLAIMS:
            found |= _in(import_module(f"vultus.claims.{module}"))
    return dict(sorted(found.items()))


def find(name: str) -> list[Claim]:
    """The claim of a name, or every claim in a Python file of one's own.

    Args:
        name: name of a claim, path/to/file.py for all claims in a file, or path/to/file.py:NAME for one. The file is
            run: open only what you trust.

    Raises:
        UnknownMethod: no claim of that name; the message suggests near ones.
        InputError: the file is missing or holds no claim.
    """
    file, _, wanted = name.rpartition(":") if ".py:" in name else (name, "", "")
    known = _in(_module(Path(file))) if file.endswith(".py") else claims()
    if not known and file.endswith(".py"):
        raise InputError(f"{file}: expected a function under @claim(...), found none; see docs/guides/claims.md")
    if file.endswith(".py") and not wanted:
        return list(known.values())
    if (wanted or file) not in known:
        raise UnknownMethod(wanted or file, known, what="claim")
    return [known[wanted or file]]


def _in(module: ModuleType) -> dict[str, Claim]:
    """The claims that a module itself defines."""
    values = [value for value in vars(module).values() if isinstance(value, Claim)]
    return {value.name: value for value in values if value.function.__module__ == module.__name__}


def _module(path: Path) -> ModuleType:
    if not path.is_file():
        raise InputError(f"{path}: expected a Python file with a claim, but there is no such file")
    spec = util.spec_from_file_location(f"vultus_claim_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path}: expected a Python file with a claim; it cannot be loaded")
    module = util.module_from_spec(spec)
    sys.modules[spec.name] = module  # so that its functions and records can be found by name
    spec.loader.exec_module(module)
    return module
