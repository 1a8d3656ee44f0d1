"""Records as answers, and how much of a score is told to whom.

Scores, and even accept or reject bits, leak the template they were computed with, so keys of the role `identify` get
scores rounded down to .05, for accepted candidates only, and no sentence that names somebody who was not accepted.
"""

from __future__ import annotations

import math
from typing import Any

from vultus.pipeline import Encoded
from vultus.serve.roles import Role, allows
from vultus.types import Decision, Match

__all__ = ["boxes", "candidates", "decision", "faces", "picture", "trusted", "words"]

STEP = 0.05


def trusted(role: Role) -> bool:
    """Whether this role is told scores as they are."""
    return allows(role, "enroll")


def picture(encoded: Encoded) -> dict[str, Any]:
    """What identifies a picture."""
    height, width = encoded.size_hw
    return {"sha256": encoded.sha256, "width": width, "height": height}


def boxes(box: Any, size_hw: tuple[int, int] | None) -> dict[str, Any]:
    """A box (4,) in pixels, and as shares of the picture where its size is known."""
    if box is None:
        return {"box_px": None, "box_norm": None}
    edges = dict(zip(("x1", "y1", "x2", "y2"), (round(float(v), 2) for v in box), strict=True))
    if size_hw is None:
        return {"box_px": edges, "box_norm": None}
    sides = {"x": max(size_hw[1], 1), "y": max(size_hw[0], 1)}
    shares = {key: round(min(1.0, max(0.0, value / sides[key[0]])), 6) for key, value in edges.items()}
    return {"box_px": edges, "box_norm": shares}


def faces(encoded: Encoded) -> list[dict[str, Any]]:
    """Every face of a picture, without vectors."""
    return [
        {
            **boxes(face.box_xyxy_px, encoded.size_hw),
            "points_px": None if face.points_px is None else [[round(float(v), 2) for v in p] for p in face.points_px],
            "score": round(face.score, 4),
            "quality": round(float(quality), 4),
        }
        for face, quality in zip(encoded.faces(), encoded.quality, strict=True)
    ]


def _score(value: float | None, role: Role, shown: bool) -> float | None:
    if value is None or trusted(role):
        return value
    return round(math.floor(value / STEP + 1e-9) * STEP, 2) if shown else None


def candidates(found: list[Match], threshold: float, role: Role) -> list[dict[str, Any]]:
    """Candidates of a search; those below the threshold are told to trusted roles only."""
    return [
        {**match.to_dict(), "score": _score(match.score, role, True)}
        for match in found
        if trusted(role) or match.score >= threshold
    ]


def decision(made: Decision, role: Role) -> dict[str, Any]:
    """A decision."""
    accepted = made.accepted
    match = made.match if accepted or trusted(role) else None
    return {
        **made.to_dict(),
        "score": _score(made.score, role, accepted),
        "match": None if match is None else {**match.to_dict(), "score": _score(match.score, role, accepted)},
        "reason": made.reason if accepted or trusted(role) else _plain(made),
    }


def words(made: Decision, role: Role, *, compared: bool = False) -> str:
    """A decision in a sentence for people."""
    often = f"once in {round(1 / made.fmr.value):,} comparisons" if made.fmr.value else "at an unknown rate"
    if made.accepted:
        who = "One person" if compared else made.match.name if made.match else "Somebody enrolled"
        return f"{who}: two different people are taken for the same {often}."
    why = made.reason if trusted(role) and made.reason else _plain(made)
    if made.outcome == "abstain":
        return f"No decision: {why}."
    return f"{'Two people' if compared else 'Nobody who is enrolled'}: {why}."


def _plain(made: Decision) -> str:
    """Why, without a name and without a number that tells more than the outcome."""
    if made.outcome == "abstain":
        return "the picture is too poor or two people are too close to tell apart"
    return "not alike enough"
