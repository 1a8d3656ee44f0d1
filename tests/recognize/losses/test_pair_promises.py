"""Every loss over pairs keeps the contract: batches without pairs, unknown people, precision, refusals."""

from __future__ import annotations

from importlib import import_module

import pytest
import torch

from vultus import catalogue
from vultus.contracts import PairLoss
from vultus.errors import InputError


def _pair_losses() -> list[str]:
    found = []
    for row in catalogue.rows().values():
        if row.room == "recognize.losses":
            made = getattr(import_module(row.module), row.target.partition(":")[2])
            found += [] if hasattr(made, "needs_norm") or row.name in OTHER_CALL else [row.name]
    return found


OTHER_CALL = ("harmonic_triplet", "symface")  # they take two batches of vectors


@pytest.fixture(params=_pair_losses())
def loss(request):
    built = catalogue.load(request.param)
    assert isinstance(built, PairLoss)
    return built


def _batch():
    emb = torch.randn((8, 6), generator=torch.Generator().manual_seed(2), dtype=torch.float64, requires_grad=True)
    return emb, torch.tensor((0, 0, 1, 1, 1, 2, 2, 3))


@pytest.mark.parametrize("labels", [(0, 1, 2, 3), (-1, -1, -1, -1), (5, -1, -1, 3)])
def test_a_batch_without_a_pair_of_one_person_trains_on(loss, labels):
    emb = _batch()[0][:4].detach().requires_grad_()
    out = loss(emb, torch.tensor(labels))
    out.loss.backward()
    assert torch.isfinite(out.loss)
    assert torch.isfinite(emb.grad).all()


def test_one_class_one_row_and_no_row(loss):
    emb, _ = _batch()
    for rows in (4, 1, 0):
        value = loss(emb[:rows], torch.zeros(rows, dtype=torch.long)).loss
        assert torch.isfinite(value)
        assert value.ndim == 0


def test_rows_of_unknown_people_are_in_no_pair(loss):
    emb, labels = _batch()
    known = torch.tensor((0, 2, 3, 5, 6))
    hidden = torch.full_like(labels, -1)
    hidden[known] = labels[known]
    torch.testing.assert_close(loss(emb, hidden).loss, loss(emb[known], labels[known]).loss)


def test_precision_inside_autocast(loss):
    emb, labels = _batch()
    want = loss(emb.float(), labels).loss
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = loss(emb.float(), labels).loss
    assert got.dtype == torch.float32
    assert torch.equal(got, want)
    half = emb.detach().bfloat16().requires_grad_()
    loss(half, labels).loss.backward()
    assert torch.isfinite(half.grad).all()


def test_equal_and_zero_vectors_have_finite_slopes(loss):
    emb = torch.tensor(((1.0, 0.0), (1.0, 0.0), (1.0, 0.0), (0.0, 0.0)), requires_grad=True)
    loss(emb, torch.tensor((0, 0, 1, 1))).loss.backward()
    assert torch.isfinite(emb.grad).all()


def test_refusals(loss):
    emb, labels = _batch()
    broken = emb.detach().clone()
    broken[3, 1] = torch.nan
    for bad, message in (
        ((emb, labels[:3]), r"expected \(N, D\) and \(N,\)"),
        ((emb, labels.double()), "expected whole numbers"),
        ((emb, labels - 3), r"expected -1 \(nobody known\) or more"),
        ((broken, labels), r"rows \[3\] are not"),
    ):
        with pytest.raises(InputError, match=message):
            loss(*bad)
