"""A second derivation of losses over pairs: plain loops over a few vectors; and batches to draw."""

from __future__ import annotations

import math

import torch

EMB = ((0.9, 0.1, 0.2), (0.7, 0.6, -0.1), (-0.2, 0.8, 0.5), (0.1, 0.9, -0.4), (0.5, -0.3, 0.8))
WHO = (0, 0, 1, 1, 2)  # the last has nobody of its own


def unit(rows):
    return [[v / math.sqrt(sum(w * w for w in row)) for v in row] for row in rows]


def dot(rows, i, j):
    return sum(x * y for x, y in zip(rows[i], rows[j], strict=True))


def square(rows, i, j):
    return sum((x - y) ** 2 for x, y in zip(rows[i], rows[j], strict=True))


def triplets(who=WHO):
    every = range(len(who))
    return [(a, p, n) for a in every for p in every for n in every if a != p and who[a] == who[p] and who[a] != who[n]]


def draw(seed, people=4, each=3, size=5):
    emb = torch.randn((people * each, size), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return emb, torch.arange(people).repeat_interleave(each)


def value_and_gradient(loss, emb=EMB, who=WHO, **more):
    at = torch.tensor(emb, dtype=torch.float64, requires_grad=True)
    out = loss(at, torch.tensor(who), **more)
    out.loss.backward()
    return out.loss.item(), at.grad.numpy(), dict(out.parts)
