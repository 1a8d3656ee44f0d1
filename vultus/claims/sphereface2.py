"""Paper 95, "SphereFace2: Binary Classification is All You Need for Deep Face Recognition": labels that are wrong.

Written before the first run. 180 people of YouTube Faces are trained on, with their labels and with 40 % of the labels
replaced by another person's (the same ones in every arm of a seed); crops are of 40 pixels. 70 others are asked for, as
in `circle_loss`: every picture of a person, against all but its own video. Network, steps and batches are the same in
all arms; SphereFace2 has the row's settings (r 40, m 0.4, t 3, lambda 0.7), CosFace m 0.35 and s 64, ArcFace m 0.5 and
s 64.

Expected: one classifier per person loses less by a label that is wrong than a softmax, in which it is pulled against
everybody: of the share that is recognized with right labels SphereFace2 loses 0.02 less than CosFace when 40 % are
wrong, and less than ArcFace. Refuted: the interval of the difference to CosFace reaches below 0, or it is under 0.02.
Who recognizes nothing has nothing to lose: when SphereFace2 with right labels recognizes 0.05 less than CosFace, the
numbers may not be used.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vultus.claims import ClaimResult, Context, claim
from vultus.claims._recognizers import F64, Arm, difference, level, measured, miniature, recognized

SIDE = 40
LOSSES = ("sphereface2", "cosface", "arcface")
WRONG = (0.0, 0.4)
MOST_BEHIND = 0.05


@claim(paper=95, minutes=25, scale="nano", seeds=3)
def sphereface2(ctx: Context) -> ClaimResult:
    """SphereFace2 loses less than CosFace when 40 % of the training labels are wrong."""
    test = miniature(ctx, SIDE).test

    def ask(net: Any) -> dict[str, F64]:
        vectors = net.embed(test.images)
        return {"recognized": recognized(vectors, vectors, test.labels, test.apart)}

    found: dict[tuple[str, float], F64] = {}
    for seed in ctx.seeds:  # a whole seed at a time: all arms or none
        for share in WRONG:
            for loss in LOSSES:
                name = loss if not share else f"{loss}, {share:.0%} wrong"
                values = measured(ctx, Arm(name, loss, wrong=share, side=SIDE), seed, ask)["recognized"]
                found[loss, share] = np.vstack([found.get((loss, share), values[:0].reshape(0, len(values))), values])
    lost = {loss: found[loss, 0.0] - found[loss, WRONG[-1]] for loss in LOSSES}
    behind = level(found["cosface", 0.0]) - level(found["sphereface2", 0.0])
    levels = {f"{loss} recognizes, {share:.0%} wrong": level(values) for (loss, share), values in found.items()}
    most = {
        f"sphereface2 - {loss}, recognized, {share:.0%} wrong": difference(
            ctx, found["sphereface2", share], found[loss, share]
        )
        for loss in LOSSES[1:]
        for share in WRONG
    }
    return ClaimResult(
        lost,
        method="sphereface2",
        baseline="cosface",
        units=list(test.names),
        unit="person",
        metric="share of a person's pictures no longer recognized with 40 % of the labels wrong",
        higher_is_better=False,
        min_effect=0.02,
        data=test.tier,
        extra={**levels, "sphereface2 - arcface, lost": difference(ctx, lost["sphereface2"], lost["arcface"]), **most},
        invalid=""
        if behind <= MOST_BEHIND
        else f"with right labels SphereFace2 recognizes {behind:.3f} less than CosFace: it has less to lose",
    )
