"""Text of strangers (names of files and people) on a terminal."""

from __future__ import annotations

import unicodedata

_JOINERS = "\u200c\u200d"  # invisible, and part of how names are spelled in Persian and in Indic scripts


def printable(text: str, keep: str = "") -> str:
    """Text that a terminal shows and does not obey: control characters and broken letters are spelled out."""
    return "".join(c if c in keep or _shown(c) else c.encode("unicode_escape").decode() for c in text)


def _shown(c: str) -> bool:
    return c.isprintable() or c in _JOINERS or unicodedata.category(c) == "Zs"


def shortened(text: str, width: int) -> str:
    """The end of a path, which tells files apart, in at most `width` letters."""
    return text if len(text) <= width else "…" + text[-(width - 1) :]
