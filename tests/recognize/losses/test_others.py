"""Values and gradients of the authors' own code and of pytorch-metric-learning; see tests/golden/losses/losses.json."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from vultus import catalogue
from vultus.testing import golden

# Name among the pinned numbers -> row and arguments. What is not given is the released setting of the row.
CLASSES = {
    "arcface": ("arcface", {}),
    "arcface.straight": ("arcface.straight", {}),
    "cosface": ("cosface", {"margin": 0.4}),
    "sphereface.revived": ("sphereface.revived", {}),
    "sphereface2": ("sphereface2", {"classes": 5}),
    "sphereface2.A": ("sphereface2", {"classes": 5, "form": "A"}),
    "sphereface2.M": ("sphereface2", {"classes": 5, "form": "M", "margin": 1.5}),
    "adaface": ("adaface", {}),
    "adaface.code": ("adaface.code", {}),
    "magface": ("magface", {}),
    "circle_loss.class": ("circle_loss.class", {}),
    "pml/arcface": ("arcface", {}),
    "pml/cosface": ("cosface", {"margin": 0.4}),
    "pml/sphereface": ("sphereface", {"blend": 0.0}),
    "pml/normface": ("normface", {}),
}
PAIRS = {
    "circle_loss.batch": ("circle_loss", {"per": "batch"}),
    "pml/circle_loss": ("circle_loss", {}),
    "pml/triplet.all": ("triplet", {"margin": 2.0, "miner": "batch_all"}),
    "pml/triplet.hard": ("triplet", {"margin": 2.0, "miner": "batch_hard"}),
    "pml/triplet.batch_hard": ("triplet.batch_hard", {}),
}


@pytest.fixture(scope="module")
def pinned():
    return golden.load(Path(__file__).parents[2] / "golden" / "losses", "losses")


def _compare(name, pinned, emb, value):
    value.backward()
    golden.compare(f"{name} value", value.item(), pinned[f"{name}/value"], rtol=1e-6)
    golden.compare(f"{name} gradient", emb.grad, pinned[f"{name}/gradient"], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", CLASSES)
def test_over_centers(name, pinned):
    row, given = CLASSES[name]
    loss = catalogue.load(row, **given)
    if isinstance(loss, torch.nn.Module):
        loss.double()
    emb = torch.from_numpy(pinned["emb"]).requires_grad_()
    centers, labels = functional.normalize(torch.from_numpy(pinned["centers"])), torch.from_numpy(pinned["labels"])
    logits = loss.logits(functional.normalize(emb) @ centers.T, labels, norm=emb.norm(dim=1))
    _compare(name, pinned, emb, loss.reduce(logits, labels))


@pytest.mark.parametrize("name", PAIRS)
def test_over_pairs(name, pinned):
    row, given = PAIRS[name]
    emb = torch.from_numpy(pinned["emb"]).requires_grad_()
    _compare(name, pinned, emb, catalogue.load(row, **given)(emb, torch.from_numpy(pinned["labels"])).loss)


def test_every_pinned_number_is_compared(pinned):
    assert {key.removesuffix("/value") for key in pinned.arrays if key.endswith("/value")} == {*CLASSES, *PAIRS}
