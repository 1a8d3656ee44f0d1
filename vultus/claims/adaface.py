"""Paper 128, "AdaFace: Quality Adaptive Margin for Face Recognition": training pictures of which half are poor.

Written before the first run. 180 people of YouTube Faces are trained on; half of their pictures, the same in every arm
of a seed, are 7 to 14 pixels across, enlarged again, noisy and compressed (`_recognizers.worse`). 70 others are asked
for, good pictures against good ones, poor against good and poor against poor; a picture is compared with all but its
own video. Network, steps and batches are the same in all arms. AdaFace is the form of its authors' code, statistics of
the batch alone: the paper's running mean of 0.01 would be at its start for most of 240 steps. Its margin is 0.4, and so
is CosFace's, which is AdaFace without any quality; ArcFace has m 0.5; all have s 64.

Expected: AdaFace recognizes 0.02 more of the poor pictures (mean of poor against good and poor against poor) than
CosFace, with good against good within 0.02 of it. Refuted: the interval of the gain reaches below 0, or it is under
0.02.

Added after a first run and before it was measured, in `extra`: how often the vector of a good picture is longer than
that of the same picture made poor. Where it is half of the time, the length says nothing of quality, and there is
nothing for the margin to follow. Expected: above 0.6.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vultus.claims import ClaimResult, Context, claim
from vultus.claims._recognizers import (
    F64,
    Arm,
    difference,
    lengths,
    level,
    measured,
    miniature,
    recognized,
    views,
    worse,
)

ARMS = (
    Arm("adaface", "adaface.code", degraded=0.5),
    Arm("cosface", "cosface", {"margin": 0.4}, degraded=0.5),
    Arm("arcface", "arcface", degraded=0.5),
)
KINDS = ("good, good", "poor, good", "poor, poor")


@claim(paper=128, minutes=25, scale="nano", seeds=3)
def adaface(ctx: Context) -> ClaimResult:
    """AdaFace recognizes more poor pictures than CosFace when half of the training pictures are poor."""
    test = miniature(ctx).test
    poor = views(ctx, worse(), test.images, "test")

    def ask(net: Any) -> dict[str, F64]:
        good, bad = net.embed(test.images), net.embed(poor)
        pairs = {"good, good": (good, good), "poor, good": (good, bad), "poor, poor": (bad, bad)}
        found = {kind: recognized(gallery, asked, test.labels, test.apart) for kind, (gallery, asked) in pairs.items()}
        found["longer"] = (lengths(net, test.images) > lengths(net, poor)).astype(np.float64)
        return found

    found: dict[str, dict[str, F64]] = {}
    for arm in ARMS:
        each = [measured(ctx, arm, seed, ask) for seed in ctx.seeds]
        found[arm.name] = {kind: np.array([one[kind] for one in each]) for kind in (*KINDS, "longer")}
    main = {name: (kinds["poor, good"] + kinds["poor, poor"]) / 2 for name, kinds in found.items()}
    extra: dict[str, float | str] = {
        f"{name}, {kind}": level(kinds[kind]) for name, kinds in found.items() for kind in KINDS
    }
    for name, kinds in found.items():
        extra[f"{name}, good picture has the longer vector"] = level(kinds["longer"])
    for other in ("cosface", "arcface"):
        for kind in KINDS:
            extra[f"adaface - {other}, {kind}"] = difference(ctx, found["adaface"][kind], found[other][kind])
    return ClaimResult(
        main,
        method="adaface",
        baseline="cosface",
        units=list(test.names),
        unit="person",
        metric="share of a person's poor pictures recognized",
        higher_is_better=True,
        min_effect=0.02,
        data=test.tier,
        extra=extra,
        notes="poor pictures are degraded by a program; poor ones of a camera are poor in other ways",
    )
