"""Every loss over class centers keeps the contract: shards, precision, refusals, one class; a new row is tested too."""

from __future__ import annotations

from importlib import import_module

import pytest
import torch

from vultus import catalogue
from vultus.contracts import ClassLoss
from vultus.errors import InputError

# What a row needs beyond its own arguments.
COMPLETED: dict[str, dict[str, object]] = {name: {"classes": 7} for name in ("sphereface2", "sphereface2.ms1m")}


def _class_losses() -> list[str]:
    found = []
    for row in catalogue.rows().values():
        if row.room == "recognize.losses":
            made = getattr(import_module(row.module), row.target.partition(":")[2])
            found += [row.name] if hasattr(made, "needs_norm") else []
    return found


@pytest.fixture(params=_class_losses())
def loss(request):
    built = catalogue.load(request.param, **COMPLETED.get(request.param, {}))
    assert isinstance(built, ClassLoss)
    if isinstance(built, torch.nn.Module):
        built.eval()  # running figures stay as they are, so that two calls can be compared
    return built


def _batch(rows=12, classes=7, dtype=torch.float64):
    generator = torch.Generator().manual_seed(3)
    cos = torch.rand((rows, classes), generator=generator, dtype=torch.float64) * 2 - 1
    norm = torch.rand((rows, 1), generator=generator, dtype=torch.float64) * 60 + 5
    return cos.to(dtype), torch.randint(0, classes, (rows,), generator=generator), norm.to(dtype)


def test_centers_may_be_split(loss):
    """The columns of a shard, with -1 where the own center is elsewhere, are the columns of the whole."""
    cos, labels, norm = _batch()
    whole = loss.logits(cos, labels, norm=norm)
    parts = []
    for begin, end in ((0, 3), (3, 4), (4, 7)):
        local = torch.where((labels >= begin) & (labels < end), labels - begin, -1)
        parts.append(loss.logits(cos[:, begin:end], local, norm=norm))
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=1e-14, atol=0)


def test_loss_and_gradient_are_finite_at_the_ends_and_in_half_precision(loss):
    labels = torch.tensor((0, 1, 1))
    cos = torch.tensor(((1.0, -1.0), (1.0, -1.0), (0.0, 1.0)), dtype=torch.bfloat16, requires_grad=True)
    norm = torch.tensor((30.0, 0.0, 1e4), dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = loss.logits(cos, labels, norm=norm)
        value = loss.reduce(logits, labels)
    assert logits.dtype == value.dtype == torch.float32
    assert torch.isfinite(value)
    value.backward()
    assert torch.isfinite(cos.grad).all()


def test_one_class_one_row_and_a_row_whose_center_is_elsewhere(loss):
    one = torch.full((1, 1), 0.3, requires_grad=True)
    alone = torch.tensor([0])
    value = loss.reduce(loss.logits(one, alone, norm=torch.tensor([20.0])), alone)
    assert torch.isfinite(value)
    assert value.ndim == 0
    nowhere = torch.tensor([-1])
    logits = loss.logits(one, nowhere, norm=torch.tensor([20.0]))
    assert torch.isfinite(loss.reduce(logits, nowhere))


def test_labels_may_be_of_any_whole_type(loss):
    cos, labels, norm = _batch()
    want = loss.reduce(loss.logits(cos, labels, norm=norm), labels)
    narrow = labels.to(torch.int32)
    assert torch.equal(loss.reduce(loss.logits(cos, narrow, norm=norm), narrow), want)


def test_refusals(loss):
    cos, labels, norm = _batch()
    for bad, message in (
        ((cos, labels[:3]), r"expected \(N, C\) and \(N,\)"),
        ((cos[:0], labels[:0]), "at least one row"),
        ((cos, labels.double()), "expected whole numbers"),
        ((cos.where(cos < 0.5, torch.nan), labels), "expected cosines from -1 to 1, got nan"),
        ((cos * 20, labels), "expected cosines from -1 to 1"),
        ((cos, labels + 7), "the number of classes and the labels disagree"),
        ((cos, labels - 9), "the number of classes and the labels disagree"),
    ):
        with pytest.raises(InputError, match=message):
            loss.logits(*bad, norm=norm)
    if loss.needs_norm:
        for lengths, message in (
            (None, "got none"),
            (norm[:3], r"expected \(12,\) or \(12, 1\)"),
            (norm * torch.nan, "expected finite lengths"),
            (-norm, "expected finite lengths"),
        ):
            with pytest.raises(InputError, match=message):
                loss.logits(cos, labels, norm=lengths)
