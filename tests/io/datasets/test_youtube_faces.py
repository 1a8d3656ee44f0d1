"""YouTube Faces: an imitation in the layout of the set, written and read back; what is wrong in it is named."""

from __future__ import annotations

import csv
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.io.datasets.frames import write_frames
from vultus.errors import InputError
from vultus.io.datasets.youtube_faces import cross_video, youtube_faces


def table_of(folder):
    with open(folder / "landmarks68.csv", newline="") as file:
        return list(csv.reader(file))


def rewritten(folder, rows):
    with open(folder / "landmarks68.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder


def test_what_is_written_is_read(tmp_path):
    points = write_frames(tmp_path, people=2, videos=(0, 3), frames=2)
    frames = youtube_faces(tmp_path)
    assert len(frames) == 8
    assert frames.dataset.names == ("Person_000", "Person_001")
    assert frames.dataset.subjects.tolist() == [0] * 4 + [1] * 4
    assert frames.videos.tolist() == [0, 0, 3, 3] * 2
    assert frames.dataset.paths[3].name == "Person_000_31.jpg"
    np.testing.assert_allclose(frames.points68, points, atol=0.006)
    np.testing.assert_allclose(frames.points5[:, 2], points[:, 30], atol=0.006)
    assert frames.hw.tolist() == [[128, 104]] * 8  # the table has the width first
    assert frames.dataset.read(0).pixels.shape == (128, 104, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[0].__setitem__(5, "left"), "expected image, identity, video.*lacks \\['x0'\\]"),
        (lambda rows: rows[2].__setitem__(9, "nan"), "line 3: expected finite numbers"),
        (lambda rows: rows[2].__setitem__(9, "here"), "line 3: expected numbers from video to y67"),
        (lambda rows: rows[2].__setitem__(2, "5"), "line 3: expected NAME_VF with video 5"),
        (lambda rows: rows[2].__setitem__(0, "../x_01.jpg"), "line 3: expected a file name without folders"),
        (lambda rows: rows[2].__setitem__(0, "Person_000_09.jpg"), "1 of 8 pictures are missing"),
        (lambda rows: rows.append(rows[1]), "expected each picture once, got Person_000_00.jpg again"),
        (lambda rows: rows.__delitem__(slice(1, None)), "got only a header"),
        (lambda rows: rows[1].__delitem__(slice(20, None)), "line 2: expected numbers"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, change, message):
    write_frames(tmp_path, people=2, videos=(0, 3), frames=2)
    rows = table_of(tmp_path)
    change(rows)
    with pytest.raises(InputError, match=message):
        youtube_faces(rewritten(tmp_path, rows))


def test_no_set_at_all(tmp_path):
    with pytest.raises(InputError, match=re.escape("landmarks68.csv")):
        youtube_faces(tmp_path)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=24))
def test_mated_pairs_are_all_those_of_two_videos(rows):
    who, videos = ([row[k] for row in rows] for k in (0, 1))
    expected = [
        (a, b) for a in range(len(rows)) for b in range(a + 1, len(rows)) if who[a] == who[b] and videos[a] != videos[b]
    ]
    left, right = cross_video(np.array(who, int), np.array(videos, int))
    assert list(zip(left.tolist(), right.tolist(), strict=True)) == expected
