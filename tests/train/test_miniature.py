"""Miniature sets: who is in which part, that pairs obey the rule of videos, and where the points end up."""

from __future__ import annotations

import numpy as np
import pytest

from tests.io.datasets.frames import write_frames
from vultus.errors import InputError
from vultus.ops import warp
from vultus.train.miniature import compared, lfw_fr, plausible, sim_fr, training_people, ytf_fr


def check(mini):
    assert not set(mini.train.names) & set(mini.test.names)
    assert np.array_equal(mini.same, mini.test.labels[mini.left] == mini.test.labels[mini.right])
    assert len({*zip(mini.left.tolist(), mini.right.tolist(), strict=True)}) == len(mini.left)


def test_an_imitation_of_the_set(tmp_path):
    write_frames(tmp_path, people=7, videos=(1, 4), frames=2)
    mini = ytf_fr(tmp_path, size=28)
    check(mini)
    assert (mini.train.classes, mini.test.classes) == (5, 2)
    assert mini.test.apart is not None
    assert (mini.test.apart[mini.left] != mini.test.apart[mini.right]).all()
    assert mini.test.images.shape[1:] == (28, 28, 3)
    off = mini.train.points - warp.template("arcface112", (28, 28))
    assert np.sqrt((off**2).sum(2).mean(1)).max() <= 6.0 / 4 + 0.1  # an exact alignment but for the face's own shape
    assert abs(off.mean((0, 1))).max() < 1e-4  # least squares leave the mean in place
    again = ytf_fr(tmp_path, size=28)
    assert np.array_equal(again.left, mini.left)
    assert np.array_equal(again.test.images, mini.test.images)


def test_points_that_cannot_be_right_are_left_out(tmp_path):
    from vultus.io.datasets.youtube_faces import VideoFrames, youtube_faces

    write_frames(tmp_path, people=1, videos=(1, 4), frames=2)
    frames = youtube_faces(tmp_path)
    points = frames.points68.copy()
    assert plausible(frames).all()
    points[0, [48, 54]] = points[0, [54, 48]]  # the mouth the wrong way round
    points[1, :, 1] += 60  # moved out of the picture
    points[2] = points[2, :, ::-1]  # x and y exchanged
    wrong = VideoFrames(frames.dataset, frames.videos, points, frames.hw)
    assert plausible(wrong).tolist() == [False, False, False, True]


def test_pairs_are_all_mated_and_ten_times_as_many_others():
    labels = np.repeat(np.arange(12), 4)
    left, right, same = compared(labels, [0, 4], [1, 5])
    assert (same.sum(), len(same)) == (2, 22)
    assert (left[:2].tolist(), right[:2].tolist()) == ([0, 4], [1, 5])
    assert (labels[left[2:]] != labels[right[2:]]).all()
    assert len({*zip(left.tolist(), right.tolist(), strict=True)}) == 22
    assert not np.array_equal(compared(labels, [0, 4], [1, 5], seed=1)[0], left)
    few = compared([0, 0, 1], [0], [1])
    assert few[2].tolist() == [True, False, False]  # there are no more


def test_simulated_people():
    mini = sim_fr(people=3, per_person=3, test_people=2, size=24)
    check(mini)
    assert (len(mini.train), len(mini.test), mini.train.tier) == (9, 6, "sim")
    assert (mini.same.sum(), (~mini.same).sum()) == (6, 9)
    assert mini.train.images.std(axis=(1, 2)).min() > 5  # something is on every picture
    with pytest.raises(InputError, match="no pair is mated"):
        sim_fr(people=2, per_person=1, test_people=2, size=16)


def test_who_is_trained_on_follows_from_the_names():
    names = [f"p{k}" for k in range(250)]
    trained = training_people(names)
    assert len(trained) == 180
    assert training_people(reversed(names)) == trained
    assert trained[:3] == ("p0", "p1", "p10")


@pytest.mark.data
def test_the_real_sets(data_dir):
    mini = ytf_fr(data_dir)
    check(mini)
    assert (mini.train.classes, len(mini.train), mini.test.classes, len(mini.test)) == (180, 1671, 70, 643)
    assert (int(mini.same.sum()), int((~mini.same).sum())) == (2100, 21000)
    assert (mini.test.apart[mini.left] != mini.test.apart[mini.right]).all()
    assert mini.left_out == ("173 of 2487 pictures, whose points cannot be right",)


@pytest.mark.data
@pytest.mark.slow
def test_lfw_names_nobody_who_is_trained_on(data_dir):
    lfw, trained = lfw_fr(data_dir, size=16), set(ytf_fr(data_dir, size=16).train.names)
    assert len(lfw.left) == 5677
    assert not trained & {lfw.test.names[k] for k in lfw.test.labels}
    assert np.array_equal(lfw.same, lfw.test.labels[lfw.left] == lfw.test.labels[lfw.right])
    assert set(lfw.folds.tolist()) == set(range(10))
