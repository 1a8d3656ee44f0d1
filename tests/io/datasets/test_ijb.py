"""IJB-B and IJB-C: the layout, people from lists or from mated pairs, and lists that contradict each other."""

from __future__ import annotations

import numpy as np
import pytest

from tests.io.datasets import ijb_replica
from vultus.errors import InputError
from vultus.io.datasets.ijb import ijb


def test_what_is_written_is_read(tmp_path):
    ijb_replica.write(tmp_path)
    data = ijb(tmp_path, tier="sim")
    assert (data.name, data.tier, len(data.paths)) == ("ijbc", "sim", 11)
    assert data.paths[3] == tmp_path / "loose_crop" / "4.jpg"
    assert data.numbers.tolist() == [10, 11, 20, 21, 30, 31, 32, 33]
    assert data.template.tolist() == [0, 0, 0, 1, 2, 3, 4, 5, 5, 6, 7]
    assert data.media.tolist() == [1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert data.score.tolist() == [1, 1, 1, 1, 1, 1, 1, 0.5, 0.5, 0.9, 0.8]
    assert data.points.shape == (11, 5, 2)
    np.testing.assert_allclose(data.points[1, :2], [[0.2, 1.2], [2.2, 3.2]])
    assert data.left.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert data.right.tolist() == [4, 5, 6, 7, 5, 4, 7, 6]
    assert data.same.tolist() == [True] * 4 + [False] * 4
    assert data.subjects.tolist()[:4] == data.subjects.tolist()[4:]
    assert [gallery.tolist() for gallery in data.galleries] == [[0, 1], [2, 3]]
    assert data.probes.tolist() == [4, 5, 6, 7]


def test_without_the_lists_mated_pairs_say_who_is_who(tmp_path):
    ijb_replica.write(tmp_path, "ijbb", search=False)
    data = ijb(tmp_path)
    assert (data.galleries, data.probes) == ((), None)
    assert data.subjects.tolist()[:4] == data.subjects.tolist()[4:]
    assert len(set(data.subjects.tolist())) == 4


def edited(tmp_path, name, change):
    """The set with one of its lists rewritten."""
    ijb_replica.write(tmp_path)
    path = tmp_path / "meta" / name
    path.write_text(change(path.read_text()))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        ("ijbc_face_tid_mid.txt", lambda s: s.replace("4.jpg 11 3", "4.jpg 11"), "line 4: expected `picture template"),
        ("ijbc_face_tid_mid.txt", lambda s: s.replace("4.jpg", "../4.jpg"), "line 4: expected `picture template"),
        ("ijbc_face_tid_mid.txt", lambda s: s.replace("5.jpg", "50.jpg"), "line 5: .*next 50.jpg, got 5.jpg"),
        ("ijbc_name_5pts_score.txt", lambda s: s.replace("2.jpg 0.2", "2.jpg nan"), "line 2: expected `picture x1"),
        (
            "ijbc_name_5pts_score.txt",
            lambda s: s.replace(" 1.0\n", " -0.1\n", 1),
            "line 1: .* from 0 to 1, .* got -0.1",
        ),
        (
            "ijbc_name_5pts_score.txt",
            lambda s: s.replace(" 1.0\n", " 99.8\n", 1),
            "line 1: .* from 0 to 1, .* got 99.8",
        ),
        ("ijbc_name_5pts_score.txt", lambda s: s.rsplit("\n", 2)[0], "expected 11 pictures, .* got 10"),
        ("ijbc_template_pair_label.txt", lambda s: s.replace("10 30 1", "10 30"), "expected `template template label`"),
        ("ijbc_template_pair_label.txt", lambda s: "\n", "in whole numbers, got"),
        ("ijbc_template_pair_label.txt", lambda s: s.replace("10 30 1", "10 30 2"), "labels 0 and 1"),
        ("ijbc_template_pair_label.txt", lambda s: s.replace("10 30 1", "10 34 1"), "without a picture, such as 34"),
        ("ijbc_template_pair_label.txt", lambda s: s.replace("10 31 0", "10 31 1"), "chain of them from person"),
        ("ijbc_template_pair_label.txt", lambda s: s.replace("10 30 1", "10 30 0"), "templates 10 and 30"),
        ("ijbc_1N_gallery_G1.csv", lambda s: s.replace("10,1,img/10_1", "10,7,img/10_1"), "line 3: .*got 7 and 1"),
        ("ijbc_1N_gallery_G1.csv", lambda s: s.replace("11,2", "a,2"), "line 5: expected TEMPLATE_ID"),
        ("ijbc_1N_gallery_G1.csv", lambda s: s.replace("11,2", "12,2"), "without a picture, such as 12"),
        ("ijbc_1N_gallery_G1.csv", lambda s: s + '"' + "x" * 140_000, "expected a table, got something else: field"),
        ("ijbc_1N_probe_mixed.csv", lambda s: s.split("\n")[0], "expected a line per picture, got none"),
    ],
)
def test_lists_of_another_form_are_named(tmp_path, name, change, why):
    with pytest.raises(InputError, match=why):
        ijb(edited(tmp_path, name, change))


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match="expected one list"):
        ijb(tmp_path)
    ijb_replica.write(tmp_path)
    (tmp_path / "loose_crop" / "7.jpg").unlink()
    with pytest.raises(InputError, match="1 of 11 pictures are missing"):
        ijb(tmp_path)
    (tmp_path / "meta" / "ijbc_1N_probe_mixed.csv").unlink()
    with pytest.raises(InputError, match="got only galleries"):
        ijb(tmp_path)
    (tmp_path / "meta" / "ijbc_template_pair_label.txt").unlink()
    with pytest.raises(InputError, match="expected the list of pairs"):
        ijb(tmp_path)
