"""Class centers: two ranks give what one process gives, sampled centers keep their momentum, errors end on all."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.train.pair_of_ranks import ran
from tests.train.two_ranks import (
    BATCHES,
    CLASSES,
    DIM,
    LOSSES,
    STEPS,
    Smoothed,
    batch,
    loss_of,
    numbers,
    step_batch,
    vectors,
)
from vultus.errors import InputError
from vultus.train.centers import ClassCenters

LR, MOMENTUM, DECAY = 0.5, 0.9, 0.01
EXACT = {"rtol": 0, "atol": 1e-10}


def sgd(centers):
    optimizer = torch.optim.SGD(centers.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=DECAY)
    centers.follow(optimizer)
    return optimizer


def plain(raw, rows, labels, loss):
    """The loss of one process, written out."""
    cos = functional.linear(functional.normalize(raw), functional.normalize(rows))
    return loss.reduce(loss.logits(cos, labels, norm=raw.norm(dim=1), raw=raw), labels)


def trained(centers, steps, optimizer=None):
    optimizer, indices = optimizer or sgd(centers), []
    for step in steps:
        every, labels = step_batch(step)
        centers(every, labels, loss_of("arcface")).backward()
        optimizer.step()
        optimizer.zero_grad()
        indices.append(centers._index)
    return indices


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What two processes found that speak over gloo, and their folder."""
    folder = tmp_path_factory.mktemp("ranks")
    alone = ClassCenters(40, DIM, seed=5).double()
    trained(alone, range(2))
    np.savez(folder / "alone.npz", **numbers(alone.shard()))
    found = [
        {name: torch.from_numpy(one) for name, one in rank.items()}
        for rank in ran("tests.train.two_ranks", folder, timeout=120)
    ]
    return folder, found


@pytest.mark.parametrize("kind", BATCHES)
@pytest.mark.parametrize("name", LOSSES)
def test_two_ranks_give_loss_and_gradients_of_one_process(ranks, name, kind):
    """Also where a rank owns no class of the batch ("missing") and where one has no row ("empty")."""
    raw, labels, _ = batch(kind)
    rows = ClassCenters(CLASSES, DIM).double().weight.requires_grad_()
    loss = loss_of(name)
    value = plain(raw.requires_grad_(), rows, labels, loss)
    value.backward()
    for dtype, tolerance in (("float64", 1e-10), ("float32", 1e-5)) if kind == "both" else (("float64", 1e-10),):
        parts = [
            {
                key[len(name) + len(kind) + len(dtype) + 3 :]: one
                for key, one in rank.items()
                if key.startswith(f"{name} {kind} {dtype} ")
            }
            for rank in ranks[1]
        ]
        near = {"rtol": tolerance, "atol": tolerance, "check_dtype": False}
        for part in parts:
            torch.testing.assert_close(part["loss"], value.detach(), **near)
        torch.testing.assert_close(torch.cat([part["raw"] for part in parts]), raw.grad, **near)
        torch.testing.assert_close(torch.cat([part["rows"] for part in parts]), rows.grad, **near)
        if name == "sphereface2":
            torch.testing.assert_close(parts[1]["bias"], loss.bias.grad, rtol=1e-5, atol=1e-6)  # of float32


def test_a_wrapped_network_gets_the_gradient_of_one_process(ranks):
    raw, labels, _ = batch("both")
    weight = torch.eye(DIM, dtype=torch.float64, requires_grad=True)
    plain(raw @ weight.T, ClassCenters(CLASSES, DIM).double().weight, labels, loss_of("arcface")).backward()
    for rank in ranks[1]:
        torch.testing.assert_close(rank["wrapped"], weight.grad, **EXACT)


def test_sampled_training_on_two_ranks_is_that_of_their_draws(ranks):
    """Each step is a dense one over the drawn rows; the others and their momentum stand still."""
    weight = ClassCenters(40, DIM, seed=5).double().weight
    momentum = torch.zeros_like(weight)
    for step in range(STEPS):
        raw, labels = step_batch(step)
        drawn = [rank[f"index {step}"] for rank in ranks[1]]
        assert [len(one) for one in drawn] == [6, 6]  # 0.3 of 20 each
        index = torch.cat(drawn)
        assert set(labels.tolist()) <= set(index.tolist())
        rows = weight[index].requires_grad_()
        value = plain(raw, rows, torch.searchsorted(index, labels), loss_of("arcface"))
        value.backward()
        momentum[index] = MOMENTUM * momentum[index] + rows.grad + DECAY * rows.detach()
        weight[index] -= LR * momentum[index]
        for rank in ranks[1]:
            torch.testing.assert_close(rank[f"loss {step}"], value.detach(), **EXACT)
    for rank, own in ((0, slice(0, 20)), (1, slice(20, 40))):
        with np.load(ranks[0] / f"shard{rank}.npz") as file:
            np.testing.assert_allclose(file["weight"], weight[own].numpy(), atol=1e-10)
            np.testing.assert_allclose(file["optimizer.momentum_buffer"], momentum[own].numpy(), atol=1e-10)
            assert file["draws"] == STEPS


def test_the_state_of_two_ranks_is_taken_by_one(ranks):
    parts = []
    for rank in (1, 0):
        with np.load(ranks[0] / f"shard{rank}.npz") as file:
            parts.append({name: torch.from_numpy(file[name]) for name in file.files})
    for rate in (1.0, 0.5):
        centers = ClassCenters(40, DIM, rate).double()
        sgd(centers)
        centers.load(iter(parts))
        whole = centers.shard()
        for name in ("weight", "optimizer.momentum_buffer"):
            torch.testing.assert_close(whole[name], torch.cat((parts[1][name], parts[0][name])))
        assert (int(whole["draws"]), int(whole["seed"])) == (STEPS, 5)
    with pytest.raises(InputError, match=r"\[0, 1, 2, 3, 4\] are missing"):
        ClassCenters(40, DIM).double().load(parts[:1])
    with pytest.raises(InputError, match="expected 41 centers"):
        ClassCenters(41, DIM).double().load(parts)


def test_the_state_of_one_is_taken_by_two(ranks):
    centers = ClassCenters(40, DIM, seed=5).double()
    optimizer = sgd(centers)
    trained(centers, range(2), optimizer)
    torch.testing.assert_close(torch.cat([rank["taken"] for rank in ranks[1]]), centers.weight)
    trained(centers, [0], optimizer)
    torch.testing.assert_close(torch.cat([rank["stepped"] for rank in ranks[1]]), centers.weight, **EXACT)


def test_what_is_wrong_on_one_rank_is_said_on_both(ranks):
    said = [json.loads((ranks[0] / f"refused{rank}.json").read_text()) for rank in (0, 1)]
    assert said[0] == said[1]
    for name, words in {
        "label": "expected 0 to 6, got 2 to 7 on rank 1",
        "vector": "got NaN or infinity on rank 0",
        "center": "those of rank 1 are not",
        "shape": "got other shapes on rank 1",
        "smoothed": "Smoothed is neither a sum over centers nor a cross entropy",
    }.items():
        assert words in said[0][name]


@pytest.mark.parametrize("name", LOSSES)
def test_alone_it_is_the_dense_loss(name):
    """Also for a loss that cannot be split."""
    raw, labels, _ = batch("both")
    for loss, other in ((loss_of(name), loss_of(name)), (Smoothed(), Smoothed())):
        centers = ClassCenters(CLASSES, DIM).double()
        rows = centers.weight.clone().requires_grad_()
        value = plain(raw, rows, labels, other)
        value.backward()
        found = centers(raw, labels, loss)
        found.backward()
        torch.testing.assert_close(found, value, **EXACT)
        torch.testing.assert_close(centers.rows.grad, rows.grad, **EXACT)


def test_all_persons_of_a_batch_count_be_they_more_than_the_share():
    centers = ClassCenters(40, DIM, 0.05).double()
    sgd(centers)
    labels = torch.tensor((9, 3, 3, 30, 12))
    raw = vectors(5, 0)
    loss = centers(raw, labels, loss_of("arcface"))
    index = torch.tensor((3, 9, 12, 30))
    torch.testing.assert_close(centers._index, index)
    expected = plain(raw, centers.weight[index], torch.searchsorted(index, labels), loss_of("arcface"))
    torch.testing.assert_close(loss.detach(), expected, **EXACT)


def test_draws_follow_the_seed_and_go_on_after_a_load():
    def run(seed):
        centers = ClassCenters(40, DIM, 0.3, seed=seed).double()
        return centers, trained(centers, range(3))

    (whole, draws), (_, again), (_, other) = run(1), run(1), run(2)
    assert all(torch.equal(a, b) for a, b in zip(draws, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(draws, other, strict=True))
    assert not torch.equal(draws[0], draws[1])
    optimizer = whole._optimizer
    kept = whole.shard()
    more = trained(whole, range(3, 6), optimizer)
    resumed = ClassCenters(40, DIM, 0.3, seed=9).double()
    second = sgd(resumed)
    resumed.load([kept])
    assert all(torch.equal(a, b) for a, b in zip(more, trained(resumed, range(3, 6), second), strict=True))
    assert torch.equal(whole.weight, resumed.weight)


def test_adam_keeps_both_moments_and_its_count_through_a_load():
    def begin():
        centers = ClassCenters(40, DIM, 0.3).double()
        optimizer = torch.optim.AdamW(centers.parameters(), lr=0.01)
        centers.follow(optimizer)
        return centers, optimizer

    whole, optimizer = begin()
    trained(whole, range(3), optimizer)
    kept = whole.shard()
    assert {"optimizer.exp_avg", "optimizer.exp_avg_sq", "optimizer.step"} <= set(kept)
    trained(whole, range(3, 5), optimizer)
    resumed, second = begin()
    resumed.load([kept])
    trained(resumed, range(3, 5), second)
    assert torch.equal(whole.weight, resumed.weight)


def test_the_start_is_normal_and_reaches_over_blocks():
    weight = ClassCenters(9000, 8, seed=3).weight
    assert weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert len(weight.unique(dim=0)) == 9000
    assert not torch.equal(weight, ClassCenters(9000, 8, seed=4).weight)


def test_a_likely_double_is_no_negative():
    """A cosine above the threshold to another person's center counts as 0; the own center is never filtered."""
    centers = ClassCenters(3, 2, filter_threshold=0.9).double()
    with torch.no_grad():
        centers.rows.copy_(torch.tensor(((1.0, 0.0), (0.999, 0.01), (-1.0, 1.0))))
    raw = torch.tensor(((2.0, 0.0),), dtype=torch.float64)
    loss = centers(raw, torch.tensor((0,)), loss_of("normface"))
    cos = functional.normalize(raw) @ functional.normalize(centers.weight).T
    cos[0, 1] = 0
    torch.testing.assert_close(
        loss.detach(), functional.cross_entropy(64 * cos, torch.tensor((0,))), rtol=1e-4, atol=1e-9
    )
    loss.backward()
    assert centers.rows.grad[1].abs().max() == 0


def test_in_evaluation_all_centers_count():
    raw, labels = step_batch(0)
    centers = ClassCenters(40, DIM, 0.2).double().eval()
    expected = plain(raw, centers.weight, labels, loss_of("arcface"))
    torch.testing.assert_close(centers(raw, labels, loss_of("arcface")), expected)


def test_the_order_of_a_sampled_step_is_kept():
    raw, labels = step_batch(0)
    arc, centers = loss_of("arcface"), ClassCenters(40, DIM, 0.2).double()
    with pytest.raises(InputError, match="call follow"):
        centers(raw, labels, arc)
    with pytest.raises(InputError, match="expected one that holds"):
        centers.follow(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1))
    optimizer = sgd(centers)
    early = centers(raw, labels, arc)
    centers(raw, labels, arc).backward()
    with pytest.raises(InputError, match="backward came after the next forward"):
        early.backward()
    with pytest.raises(InputError, match="wait for their step"):
        centers(raw, labels, arc)
    before = centers.weight.clone()
    optimizer.zero_grad()  # a step that is skipped leaves everything as it was
    centers(raw, labels, arc)
    assert torch.equal(centers.weight, before)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": torch.tensor((0, 7))}, "expected 0 to 6, got 0 to 7"),
        ({"labels": torch.tensor((-1, 2))}, "got -1 to 2"),
        ({"labels": torch.tensor((0.0, 1.0))}, "whole numbers"),
        ({"raw": torch.full((2, DIM), torch.inf)}, "NaN or infinity"),
        ({"raw": torch.zeros((2, DIM + 1))}, "other shapes"),
    ],
)
def test_wrong_batches_are_refused(change, words):
    given = {"raw": torch.ones((2, DIM)), "labels": torch.tensor((0, 1)), **change}
    with pytest.raises(InputError, match=words):
        ClassCenters(CLASSES, DIM)(given["raw"], given["labels"], loss_of("arcface"))


@pytest.mark.parametrize(
    "given", [(1, 4), (5, 0), (5, 4, 0.0), (5, 4, 1.5), (5, 4, float("nan")), (5, 4, 1.0, -0.1), (5, 4, 1.0, 2.0)]
)
def test_wrong_settings_are_refused(given):
    with pytest.raises(InputError, match="expected"):
        ClassCenters(*given)
