"""Annotated copies of photos."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import count, islice
from pathlib import Path

from vultus.cli import _output
from vultus.io import images
from vultus.io.annotate import Annotation, draw
from vultus.pipeline import Encoded
from vultus.types import Decision, Detections

LONGEST = 200  # bytes of a name before ".annotated.jpg"; file systems end at 255
WORDS = {"accept": "same person", "reject": "not the same", "abstain": "cannot tell"}


def targets(sources: Iterable[str | Path], folder: str | None) -> dict[str, Path]:
    """Where the copy of each photo goes: NAME.annotated.jpg; photos of one name in several folders get a number.

    Empty without a folder. StoreError when that folder could not be written to, before any work is done.
    """
    if folder is None:
        return {}
    root = _output.writable(folder)
    taken: set[str] = set()
    places: dict[str, Path] = {}
    for source in dict.fromkeys(map(str, sources)):
        stem = Path(source).stem
        while len(os.fsencode(stem)) > LONGEST:
            stem = stem[:-1]
        numbered = (f"{stem}-{n}" for n in count(2))
        name = next(name for name in (stem, *islice(numbered, len(taken) + 1)) if name.casefold() not in taken)
        taken.add(name.casefold())  # file systems of two of the three big systems do not tell a from A
        places[source] = root / f"{name}.annotated.jpg"
    return places


def detections(path: str | Path, found: Detections, target: Path) -> Path:
    """Boxes, scores and points."""
    return _write(path, [Annotation(f.box_xyxy_px, "", f.score, "unknown", f.points_px) for f in found.faces()], target)


def identified(encoded: Encoded, decisions: list[Decision], target: Path) -> Path:
    """Names and similarities."""
    items = [
        Annotation(face.box_xyxy_px, _name(decision), decision.score, decision.outcome, face.points_px)
        for face, decision in zip(encoded.faces(), decisions, strict=True)
    ]
    return _write(str(encoded.source), items, target)


def main_face(encoded: Encoded, decision: Decision, target: Path) -> Path:
    """The face that was compared, and what was decided."""
    face = encoded.faces()[encoded.main()]
    item = Annotation(face.box_xyxy_px, WORDS[decision.outcome], decision.score, decision.outcome, face.points_px)
    return _write(str(encoded.source), [item], target)


def _name(decision: Decision) -> str:
    if decision.match is not None:
        return decision.match.name + (" ?" if decision.outcome == "abstain" else "")
    return "stranger" if decision.outcome == "reject" else "?"


def _write(source: str | Path, items: list[Annotation], target: Path) -> Path:
    _output.make_folder(target.parent)
    images.write(target, draw(images.read(source, truncated="accept").pixels, items))
    return target
