"""Paper 20, "Circle Loss: A Unified Perspective of Pair Similarity Optimization": a weight for each similarity.

Written before the first run. 180 people of YouTube Faces are trained on, 70 others are asked for: every picture of a
person is compared with all pictures of all people but those of its own video, and counts when the nearest is of that
person. Network, steps, batches and start are the same in all arms (`_recognizers`); the losses have their published
settings for faces: circle loss over classes m 0.25 and gamma 256, CosFace (AM-softmax) m 0.35 and s 64, triplets with
margin 0.2 and semi-hard negatives in batches of 16 people.

Expected: circle loss recognizes 0.01 more than CosFace, as in the paper's tables, and far more than triplets, which
see few people at once. Refuted: the interval of the gain over CosFace reaches below 0, or it is under 0.01.

In `extra`: at how many times its default scale the losses still work: gamma from 64 to 512 for circle loss, s from 16
to 128 for CosFace (one seed each); the paper says that circle loss depends less on it, so the range of its numbers is
expected to be smaller. And exactly: the ratio of the gradients of the similarity to another and to the own center is
(s_n + m) / (1 + m - s_p), 7/3 where both similarities are 0.8 and 3/7 where both are 0.2, and 1 for CosFace: what is
further from its optimum is pulled harder.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vultus import catalogue
from vultus.claims import ClaimResult, Context, claim
from vultus.claims._recognizers import F64, Arm, difference, measured, miniature, recognized

ARMS = (
    Arm("circle loss", "circle_loss.class"),
    Arm("cosface", "cosface"),
    Arm("triplet", "", pair="triplet"),
)
GAMMAS = (64.0, 128.0, 512.0)
SCALES = (16.0, 32.0, 128.0)


@claim(paper=20, minutes=25, scale="nano", seeds=3)
def circle_loss(ctx: Context) -> ClaimResult:
    """Circle loss recognizes more pictures of people it has never seen than CosFace with the same training."""
    test = miniature(ctx).test

    def ask(net: Any) -> dict[str, F64]:
        vectors = net.embed(test.images)
        return {"recognized": recognized(vectors, vectors, test.labels, test.apart)}

    found = {arm.name: np.array([measured(ctx, arm, seed, ask)["recognized"] for seed in ctx.seeds]) for arm in ARMS}
    first = ctx.seeds[0]
    ranges: dict[str, float] = {}
    for name, row, what, values in (
        ("circle loss", "circle_loss.class", "gamma", GAMMAS),
        ("cosface", "cosface", "scale", SCALES),
    ):
        own = 256.0 if what == "gamma" else 64.0
        levels = {own: float(found[name][0].mean())}
        for value in values[:1] if ctx.scale == "tiny" else values:
            arm = Arm(f"{name} {what} {value:g}", row, {what: value})
            levels[value] = float(measured(ctx, arm, first, ask)["recognized"].mean())
        ranges |= {f"{name}, {what} {value:g}, one seed": levels[value] for value in sorted(levels)}
        ranges[f"{name}, range over {what}"] = max(levels.values()) - min(levels.values())
    pulls = {
        f"{name}: pull on s_n over pull on s_p, both {at:g}": _pull(row, at)
        for name, row in (("circle loss", "circle_loss.class"), ("cosface", "cosface"))
        for at in (0.8, 0.2)
    }
    exact = np.allclose(list(pulls.values()), (7 / 3, 3 / 7, 1, 1), rtol=1e-5)
    return ClaimResult(
        found,
        method="circle loss",
        baseline="cosface",
        units=list(test.names),
        unit="person",
        metric="share of a person's pictures recognized",
        higher_is_better=True,
        min_effect=0.01,
        data=test.tier,
        extra={
            "circle loss - triplet": difference(ctx, found["circle loss"], found["triplet"]),
            **ranges,
            **pulls,
        },
        invalid="" if exact else "the gradients are not those of equation 10",
    )


def _pull(row: str, at: float) -> float:
    """Gradient of a similarity to another center over that of the own, both at one value."""
    import torch

    cos = torch.tensor([[at, at]], dtype=torch.float64, requires_grad=True)
    loss, labels = catalogue.load(row), torch.tensor([0])
    (slope,) = torch.autograd.grad(loss.reduce(loss.logits(cos, labels), labels), cos)
    return float(-slope[0, 1] / slope[0, 0])
