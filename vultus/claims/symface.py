"""Paper 134, "SymFace: Additional Facial Symmetry Loss for Deep Face Recognition": light from one side.

Written before the first run. 180 people of YouTube Faces are trained on, with ArcFace (m 0.5, s 64) alone, with the
penalty on the two halves of frontal faces (frontness of at least 0.8, about half of the pictures; weight 1), and, as a
control, with the penalty on the halves of all faces alike. 70 others are asked for with light from the left or from the
right (a gradient of 0.8, either side at random), among their pictures as they are; a picture is compared with all but
its own video. Network, steps and batches are the same in all arms; with the penalty a step costs about twice as
much, so crops are of 40 pixels.

Expected: ArcFace with the penalty recognizes 0.02 more of the pictures that are lit from one side than without, and a
person's vectors vary less there. Refuted: the interval of the gain reaches below 0, it is under 0.02, or the control
gains as well: then it is the halves that help, and not the choice of symmetric faces.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from vultus.claims import ClaimResult, Context, claim
from vultus.claims._recognizers import F64, Arm, difference, level, measured, miniature, recognized, spread, views

SIDE = 40
ARMS = (
    Arm("arcface", "arcface", side=SIDE),
    Arm("arcface, symmetric faces", "arcface", hook="symface.hook", side=SIDE),
    Arm("arcface, all faces", "arcface", hook="symface.hook", hook_args={"everybody": True}, side=SIDE),
)
STRENGTH = 0.8


@claim(paper=134, minutes=25, scale="nano", seeds=3)
def symface(ctx: Context) -> ClaimResult:
    """With the symmetry penalty ArcFace recognizes more pictures that are lit from one side."""
    from vultus.ops.degrade import Degradation, LightGradient, OneOf
    from vultus.ops.points import frontness

    found_people = miniature(ctx, SIDE)
    test = found_people.test
    sides = (LightGradient(STRENGTH, 0.0), LightGradient(STRENGTH, math.pi))
    lit = views(ctx, Degradation([(OneOf(sides), 1.0)]), test.images, "light")

    def ask(net: Any) -> dict[str, F64]:
        plain, side = net.embed(test.images), net.embed(lit)
        return {
            "lit": recognized(plain, side, test.labels, test.apart),
            "plain": recognized(plain, plain, test.labels, test.apart),
            "spread": spread(side, test.labels),
        }

    found: dict[str, dict[str, F64]] = {}
    for arm in ARMS:
        each = [measured(ctx, arm, seed, ask) for seed in ctx.seeds]
        found[arm.name] = {
            kind: np.array([one[kind] for one in each]) for kind in ("lit", "plain", "spread", "seconds")
        }
    extra: dict[str, float | str] = {
        "frontal pictures in training": float((frontness(found_people.train.points) >= 0.8).mean())
    }
    for name, kinds in found.items():
        extra[f"{name}, as they are"] = level(kinds["plain"])
        extra[f"{name}, variance of a person's vectors, lit"] = level(kinds["spread"])
        extra[f"{name}, seconds of one core to train"] = level(kinds["seconds"])
    method, control = ARMS[1].name, ARMS[2].name
    for kind, words in (("plain", "as they are"), ("spread", "variance, lit")):
        extra[f"with - without, {words}"] = difference(ctx, found[method][kind], found["arcface"][kind])
    extra["symmetric faces - all faces, lit"] = difference(ctx, found[method]["lit"], found[control]["lit"])
    return ClaimResult(
        {name: kinds["lit"] for name, kinds in found.items()},
        method=method,
        baseline="arcface",
        controls=(control,),
        units=list(test.names),
        unit="person",
        metric="share of a person's pictures recognized, lit from one side",
        higher_is_better=True,
        min_effect=0.02,
        data=test.tier,
        extra=extra,
        notes="the light is made by a program on a flat picture: brighter toward one side, no shadows",
    )
