"""Miniature sets: who is in which part, that pairs obey the rule of videos, and where the points end up."""

from __future__ import annotations

import numpy as np
import pytest

from tests.io.datasets.frames import write_frames
from vultus.errors import InputError
from vultus.io import images
from vultus.ops import warp
from vultus.train.miniature import compared, lfw_fr, plausible, sim_fr, training_people, ytf_fr
from vultus.types import Detections


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
    points[1, :, 0] += 112 - frames.points5[1, :, 0].max()  # moved out of the picture, which is 104 wide and 128 high
    points[2] = points[2, :, ::-1]  # x and y exchanged
    points[3, :, 1] += 120 - frames.points5[3, :, 1].max()  # beside the face, which nobody can see from points alone
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


class FindsOneSide:
    """A detector that sees two faces in a picture, one of them in the middle, and none in a dark one."""

    def detect(self, images, *, min_score=None, max_faces=None):
        middle = (np.array(warp.TEMPLATES["arcface112"]) - 56) * 0.4 + (50, 55)
        found = []
        for image in images:
            points = (
                np.stack([np.add(middle, (60, 0)), middle]).astype(np.float32)
                if image.mean() > 10
                else np.zeros((0, 5, 2))
            )
            boxes = np.concatenate([points.min(1) - 9, points.max(1) + 9], axis=1) if len(points) else np.zeros((0, 4))
            found.append(Detections(boxes, np.full(len(points), 0.9), points))
        return found


def an_imitation_of_lfw(root):
    """Four people of whom one is trained on, two pictures each of 100 x 100; the second of the last is dark."""
    write_frames(root / "ytf_faces", people=3, videos=(1, 4), frames=1)
    known = training_people([f"Person_{k:03d}" for k in range(3)])[0]
    for person in (known, "Ann_A", "Bob_B", "Cy_C"):
        (root / "lfw_deepfunneled" / person).mkdir(parents=True)
        for k in (1, 2):
            dark = person == "Cy_C" and k == 2
            pixels = np.full((100, 100, 3), 0 if dark else 90, np.uint8)
            images.write(root / "lfw_deepfunneled" / person / f"{person}_{k:04d}.png", pixels)
    lines = ["2\t2", f"{known}\t1\t2", "Ann_A\t1\t2", f"{known}\t1\tAnn_A\t1", "Ann_A\t2\tBob_B\t1"]
    lines += ["Bob_B\t1\t2", "Cy_C\t1\t2", "Cy_C\t2\tAnn_A\t1", f"Bob_B\t2\t{known}\t2"]
    (root / "lfw_meta").mkdir()
    (root / "lfw_meta" / "pairs.txt").write_text("\n".join(lines))
    return known


def test_lfw_without_the_people_who_are_trained_on(tmp_path):
    known = an_imitation_of_lfw(tmp_path)
    mini = lfw_fr(tmp_path, size=56)
    assert (len(mini.train), len(mini.left), mini.same.tolist()) == (0, 5, [True, False, True, True, False])
    assert mini.folds.tolist() == [0, 0, 1, 1, 1]
    assert known not in {mini.test.names[k] for k in mini.test.labels}
    assert np.array_equal(mini.same, mini.test.labels[mini.left] == mini.test.labels[mini.right])
    assert mini.left_out == ("3 of 8 pairs, which name one of the 2 people trained on",)
    seen = lfw_fr(tmp_path, size=56, detector=FindsOneSide())
    goal = warp.template("arcface112", (56, 56))
    near = np.abs(seen.test.points - goal).max((1, 2)) < 0.01
    assert near.sum() == len(seen.test) - 1
    assert (seen.test.images[near][:, 28, 28] == 90).all()  # the other face is partly outside
    assert np.abs(mini.test.points - goal).max() < 4
    assert seen.left_out[1].startswith("nothing for want of a face: 1 of 6")
