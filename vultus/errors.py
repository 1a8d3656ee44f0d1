"""Every error that vultus raises on purpose.

    VultusError
    ├── InputError (ValueError)        what was handed in is not what the call expects
    ├── NoFace                         a face was needed and none was found (pipeline only; detectors return [])
    ├── SpaceMismatch                  vectors of two embedding spaces were compared
    ├── UnknownMethod (KeyError)       no catalogue row or model card of that name
    ├── MissingExtra (ImportError)     an optional package is not installed
    ├── WeightsError
    │   ├── MissingWeights             the weight file is not on this machine and was not fetched
    │   └── HashMismatch               the file is there, but its sha256 is not the one on its card
    ├── Refused                        policy: license, expired, no basis, disallowed use
    └── StoreError                     a file, cache or gallery could not be read or written

A message says what was expected, what came, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "HashMismatch",
    "InputError",
    "MissingExtra",
    "MissingWeights",
    "NoFace",
    "Refused",
    "SpaceMismatch",
    "StoreError",
    "UnknownMethod",
    "VultusError",
    "WeightsError",
]


class VultusError(Exception):
    """Root of every error raised on purpose."""


class InputError(VultusError, ValueError):
    """The argument is not what the call expects: shape, dtype, range, file, picture."""


class NoFace(VultusError):
    """A face was needed and none was found."""


class SpaceMismatch(VultusError):
    """Vectors of two embedding spaces were compared."""

    def __init__(self, left: str, right: str) -> None:
        super().__init__(
            f"vectors of space {left!r} cannot be compared with vectors of space {right!r}: embed both with one model"
        )
        self.left = left
        self.right = right


class UnknownMethod(VultusError, KeyError):
    """No catalogue row or model card of that name; the message suggests near ones."""

    def __init__(self, name: object, known: Iterable[str], *, what: str = "method") -> None:
        import difflib  # only when something has already gone wrong: keeps `import vultus` light

        names = sorted(known)
        near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.4) or names[:8]
        self.message = f"unknown {what} {name!r}; near names: {', '.join(near) if near else 'none'}"
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message  # KeyError would print the repr


class MissingExtra(VultusError, ImportError):
    """An optional package is not installed; the message names the install command."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra {extra!r}, which is not installed: pip install 'vultus[{extra}]'")
        self.extra = extra


class WeightsError(VultusError):
    """A weight file cannot be used."""


class MissingWeights(WeightsError):
    """The weight file is not on this machine and was not fetched."""


class HashMismatch(WeightsError):
    """The weight file's sha256 is not the one on its card."""


class Refused(VultusError):
    """Policy forbids it: license, expired, no basis, disallowed use."""


class StoreError(VultusError):
    """A file, cache or gallery could not be read or written."""
