"""Annotated copies of photos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from vultus.cli import _output
from vultus.io import images
from vultus.io.annotate import Annotation, draw
from vultus.pipeline import Encoded
from vultus.types import Decision, Detections

WORDS = {"accept": "same person", "reject": "not the same", "abstain": "cannot tell"}


def targets(sources: Iterable[str | Path], folder: str) -> dict[str, Path]:
    """Where the copy of each photo goes: NAME.annotated.jpg; photos of one name in several folders get a number."""
    taken: Counter[str] = Counter()
    places: dict[str, Path] = {}
    for source in dict.fromkeys(map(str, sources)):
        stem = Path(source).stem
        taken[stem] += 1
        places[source] = Path(folder) / f"{stem}{f'-{taken[stem]}' if taken[stem] > 1 else ''}.annotated.jpg"
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
