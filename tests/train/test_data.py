"""Feeds: what is in each batch, that it follows from number and seed, that workers and restarts change nothing."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vultus.errors import InputError, StoreError
from vultus.train.data import Feed, Pictures, batch_of
from vultus.train.samplers import PK, BalancedIdentity


def crowd(n=20, people=4, size=8, points=True):
    rng = np.random.default_rng(5)
    images = rng.integers(0, 256, (n, size, size + 2, 3), dtype=np.uint8)
    five = rng.uniform(0, size, (n, 5, 2)) if points else None
    return Pictures(images, np.arange(n) % people, tuple("abcdefgh"[:people]), five, np.arange(n) // people)


def noisy(image, points, rng):
    """Random numbers decide everything, so two runs agree only if they drew the same."""
    return rng.integers(0, 256, image.shape, dtype=np.uint8), points


def alike(one, other):
    assert one.keys() == other.keys()
    for key in one:
        assert torch.equal(one[key], other[key]), key


@given(st.integers(1, 30), st.integers(1, 8), st.integers(1, 3), st.booleans(), st.integers(0, 3))
def test_a_pass_takes_each_picture_once_over_all_ranks(n, batch, size, drop_last, seed):
    pictures = crowd(n)
    if drop_last and n < batch * size:
        with pytest.raises(InputError, match=f"at most {n} pictures on {size} ranks"):
            Feed(pictures, batch=batch, ranks=(0, size))
        return
    feeds = [Feed(pictures, batch=batch, ranks=(r, size), drop_last=drop_last, seed=seed) for r in range(size)]
    length = len(feeds[0])
    assert length == (n // (batch * size) if drop_last else -(-n // (batch * size)))
    for turn in range(2):
        rows = [[feed.rows(turn * length + k) for k in range(length)] for feed in feeds]
        assert len({tuple(map(len, of_rank)) for of_rank in rows}) == 1  # ranks take as many
        seen = Counter(np.concatenate([part for of_rank in rows for part in of_rank]).tolist())
        if drop_last:
            assert set(seen.values()) == {1}
            assert len(seen) == length * batch * size
        else:
            assert set(seen) == set(range(n))
            assert sum(seen.values()) - n < size


def test_a_batch_holds_the_pictures_it_names():
    pictures = crowd()
    batch = Feed(pictures, batch=6, seed=3).at(4)
    assert batch["image"].shape == (6, 3, 8, 10)
    assert batch["image"].is_contiguous()
    assert batch["image"].dtype == torch.float32
    for k, i in enumerate(batch["index"].tolist()):
        np.testing.assert_allclose(batch["image"][k].permute(1, 2, 0) * 255, pictures.images[i], atol=1e-4)
        assert batch["label"][k] == pictures.labels[i]
        assert np.array_equal(batch["points"][k], pictures.points[i])
    assert "points" not in Feed(crowd(points=False), batch=6).at(0)


@pytest.mark.parametrize("sampled", [False, True])
@pytest.mark.parametrize("workers", [0, 3])
def test_restarts_and_workers_change_nothing(sampled, workers):
    pictures = crowd()
    sampler = PK(pictures.labels, 2, 3, seed=1) if sampled else None
    whole = list(islice(Feed(pictures, batch=6, sampler=sampler, augment=noisy, seed=1).batches(0), 12))
    again = Feed(pictures, batch=6, sampler=sampler, augment=noisy, seed=1, workers=workers)
    for one, other in zip(whole[5:], again.batches(5), strict=False):
        alike(one, other)
    other_seed = Feed(pictures, batch=6, augment=noisy, seed=2).at(0)
    assert not torch.equal(whole[0]["image"], other_seed["image"])
    assert not torch.equal(whole[0]["index"], other_seed["index"])


def test_augmentation_follows_the_picture_and_the_pass_not_the_batch():
    pictures = crowd()
    small, large = (Feed(pictures, batch=batch, augment=noisy) for batch in (5, 20))
    first = {int(i): image for k in range(4) for i, image in zip(*(small.at(k)[x] for x in ("index", "image")))}  # noqa: B905
    whole = large.at(0)
    assert all(torch.equal(first[int(i)], image) for i, image in zip(whole["index"], whole["image"], strict=True))
    later = large.at(1)
    place = later["index"].tolist().index(int(whole["index"][0]))
    assert not torch.equal(later["image"][place], whole["image"][0])


def test_a_picture_twice_in_a_batch_is_varied_twice():
    pictures = crowd(4, people=2)
    batch = Feed(pictures, sampler=PK(pictures.labels, 2, 4), augment=noisy).at(0)
    assert len(set(batch["index"].tolist())) == 4
    assert len({image.numpy().tobytes() for image in batch["image"]}) == 8


class Damaged:
    """Pictures of which some cannot be had."""

    def __init__(self, pictures, bad):
        self.labels, self.names, self.of, self.bad = pictures.labels, pictures.names, pictures, bad

    def picture(self, i):
        if i in self.bad:
            raise InputError(f"picture {i}: damaged")
        return self.of.picture(i)


@pytest.mark.parametrize("workers", [0, 2])
def test_what_cannot_be_had_is_replaced_by_the_same_person(workers):
    pictures = crowd()
    feed = Feed(Damaged(pictures, {0, 5, 6}), batch=20, workers=workers)
    for number, batch in zip(range(3), feed.batches(), strict=False):
        asked = feed.rows(number)
        got = batch["index"].numpy()
        assert {int(i) for i in asked[asked != got]} == {0, 5, 6}
        assert not {0, 5, 6} & set(got.tolist())
        assert np.array_equal(pictures.labels[asked], pictures.labels[got])
    alone = Feed(Damaged(pictures, set(range(0, 20, 4))), batch=20).at(0)  # a whole person is gone
    assert set(alone["label"].tolist()) == {1, 2, 3}
    with pytest.raises(StoreError, match="in a row cannot be had, the first because of: picture"):
        Feed(Damaged(pictures, set(range(20))), batch=5).at(0)


def test_subsets():
    pictures = crowd()
    some = pictures.subset(people=[3, 1])
    assert some.names == ("d", "b")
    assert some.labels.tolist() == [1, 0] * 5
    assert np.array_equal(some.images[0], pictures.images[1])
    assert np.array_equal(some.points[1], pictures.points[3])
    assert some.apart.tolist() == pictures.apart[[1, 3, 5, 7, 9, 11, 13, 15, 17, 19]].tolist()
    rows = pictures.subset(rows=pictures.labels == 2)
    assert (rows.classes, len(rows), set(rows.labels.tolist())) == (4, 5, {2})
    unknown = Pictures(pictures.images, np.full(20, -1), ("a",))
    assert len(unknown.subset(people=[0])) == 0
    with pytest.raises(InputError, match="each once"):
        pictures.subset(people=[1, 1])
    with pytest.raises(InputError, match="people: expected from 0 below 4, got 1 to 4"):
        pictures.subset(people=[1, 4])
    with pytest.raises(InputError, match="people or rows"):
        pictures.subset()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((2, 8, 8, 3), np.float32)}, "expected uint8 of shape"),
        ({"images": np.zeros((2, 8, 8), np.uint8)}, "expected uint8 of shape"),
        ({"images": "pictures"}, "got str"),
        ({"labels": [0, 2]}, "index below 2 names, got 0 to 2"),
        ({"labels": [0, -2]}, "got -2 to 0"),
        ({"labels": [0.0, 1.0]}, "expected whole numbers"),
        ({"labels": [0]}, "labels: expected shape"),
        ({"points": np.zeros((2, 4, 2))}, "points: expected shape"),
        ({"apart": [0]}, "apart: expected shape"),
        ({"tier": "fake"}, "expected real or sim"),
    ],
)
def test_pictures_that_are_none(change, message):
    good = {"images": np.zeros((2, 8, 8, 3), np.uint8), "labels": [0, 1], "names": ("a", "b")}
    with pytest.raises(InputError, match=message):
        Pictures(**{**good, **change})


def test_feeds_that_cannot_be():
    pictures = crowd()
    for settings in ({"batch": 0}, {"seed": -1}, {"workers": -1}, {"ranks": (1, 1)}):
        with pytest.raises(InputError):
            Feed(pictures, **settings)
    for sampler in (PK(pictures.labels, 2, 2), BalancedIdentity(pictures.labels, 4)):
        with pytest.raises(InputError, match=r"those of the sampler, \(0, 1\), got \(1, 2\)"):
            Feed(pictures, sampler=sampler, ranks=(1, 2))
    with pytest.raises(InputError, match="expected pictures, got none"):
        Feed(pictures.subset(rows=[]), batch=1)
    with pytest.raises(InputError, match="expected indices from 0 below 20"):
        Feed(pictures, sampler=PK(np.zeros(30, int), 1, 30)).at(0)
    with pytest.raises(InputError, match="pictures of one size"):
        batch_of([np.zeros((2, 2, 3), np.uint8), np.zeros((3, 2, 3), np.uint8)], [0, 0], [0, 1])
    with pytest.raises(InputError, match="start"):
        Feed(pictures, batch=1).batches(-1)
