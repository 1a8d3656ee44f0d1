"""TinyFace: a replica in the layout of the release, figures worked by hand, lists that are not as they should be."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import scipy.io
from PIL import Image

from vultus import catalogue
from vultus.errors import InputError
from vultus.evaluate import report as report_page
from vultus.evaluate.protocols.tinyface import embed_whole, tinyface
from vultus.io.datasets.tinyface import tinyface as read
from vultus.types import CropSpec, Embedded

PROBES = {"1_1.jpg": (1, 0), "1_2.jpg": (1, 50), "2_1.jpg": (2, 100)}
MATCHES = {"1_3.jpg": (1, 10), "1_4.jpg": (1, 70), "2_2.jpg": (2, 160)}
CROWD = {"a.jpg": 45, "b.jpg": 120, "c.jpg": 300}


def cell(names):
    column = np.empty((len(names), 1), object)
    for k, name in enumerate(names):
        column[k, 0] = name
    return column


def write(root, probes=PROBES, matches=MATCHES):
    """The release with three probes, and an embedder that puts each picture at its angle."""
    angles = {}
    for folder, pictures in (("Probe", probes), ("Gallery_Match", matches), ("Gallery_Distractor", CROWD)):
        (root / "Testing_Set" / folder).mkdir(parents=True)
        for name, about in pictures.items():
            (root / "Testing_Set" / folder / name).write_bytes(b"not looked at")
            angles[folder, name] = about if folder == "Gallery_Distractor" else about[1]
    for file, names, ids, pictures in (
        ("probe_img_ID_pairs.mat", "probe_set", "probe_ids", probes),
        ("gallery_match_img_ID_pairs.mat", "gallery_set", "gallery_ids", matches),
    ):
        people = np.array([[person] for person, _ in pictures.values()], float)
        scipy.io.savemat(root / "Testing_Set" / file, {names: cell(list(pictures)), ids: people}, do_compression=True)

    def embed(paths, lost=()):
        found = np.array([path.name not in lost for path in paths])
        degrees = np.array([angles[path.parent.name, path.name] for path in paths], float)[found]
        place = np.deg2rad(degrees)
        return Embedded(np.stack([np.cos(place), np.sin(place)], 1), "plane@0"), found

    return embed


def test_figures_by_hand(tmp_path):
    """Gallery angles: person 1 at 10 and 70, person 2 at 160, the crowd at 45, 120 and 300.

    Probe 1_1 at 0: 10 is first; then 45, 300 (60 away), 70 is fourth. Probe 1_2 at 50: 45 first, 70 second, 10 third.
    Probe 2_1 at 100: 120, 70, 45, then 160 (60 away) is fourth.
    """
    embed = write(tmp_path)
    data = read(tmp_path, tier="sim")
    assert data.gallery_subjects.tolist() == [1, 1, 2, -1, -1, -1]
    report = tinyface(data, embed, n_boot=20)
    value = {name: metric.value for name, metric in report.metrics.items()}
    assert value["search.rank_1"] == pytest.approx(1 / 3)
    assert value["search.rank_5"] == 1
    assert "search.rank_20" not in value
    curve = report.curves["cmc"]
    np.testing.assert_allclose(curve["y"][:4], [1 / 3, 2 / 3, 2 / 3, 1])
    first = ((1 + 1) / 2 + (2 / 4 + 1 / 3) / 2) / 2
    second = ((1 / 2 + 0) / 2 + (2 / 3 + 1 / 2) / 2) / 2
    third = (1 / 4 + 0) / 2
    assert value["search.map"] == pytest.approx((first + second + third) / 3)
    assert value["enroll.failure_to_acquire"] == 0
    assert report.metrics["search.rank_1"].n == 2


def released_code(scores, good):
    """The trapezoid rule as the released evaluation walks it, one place of the gallery after another."""
    recall = precision = area = hits = 0.0
    precision = 1.0
    for place, entry in enumerate(np.argsort(-scores), 1):
        hits += entry in good
        area += (hits / len(good) - recall) * (precision + hits / place) / 2
        recall, precision = hits / len(good), hits / place
    return area


def test_average_precision_is_that_of_the_released_code():
    from vultus.evaluate.metrics.identification import search

    rng = np.random.default_rng(0)
    gallery, probes = (rng.normal(size=(n, 6)) for n in (60, 20))
    gallery, probes = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (gallery, probes))
    whose, who = rng.integers(0, 8, 60), rng.integers(0, 8, 20)
    found = search(probes, who, gallery, whose)
    want = [released_code(gallery @ p, set(np.flatnonzero(whose == s))) for p, s in zip(probes, who, strict=True)]
    np.testing.assert_allclose(found.precision, want, rtol=1e-6)


def test_what_could_not_be_used_is_missed_and_counted(tmp_path):
    embed = write(tmp_path)
    data = read(tmp_path)
    report = tinyface(data, lambda paths: embed(paths, ("1_1.jpg", "a.jpg")), n_boot=20)
    assert report.metrics["search.rank_1"].value == pytest.approx(1 / 3)  # 1_2 is first now, and 1_1 is lost
    assert report.metrics["enroll.failure_to_acquire"].value == pytest.approx(2 / 9)
    counts = report.provenance["counts"]
    assert (counts["probes that could not be used"], counts["gallery pictures that could not be used"]) == (1, 1)


def test_the_report_is_whole(tmp_path):
    report = tinyface(data := read_of(tmp_path), write_embed, n_boot=10, faces="none were looked for")
    assert report.dataset == "tinyface: 3 probes of 2 people, 3 matches, 3 distractors"
    assert "Faces: none were looked for." in report.provenance["notes"]
    report_page.write(report, tmp_path / "out")
    assert report_page.read(tmp_path / "out").to_dict() == json.loads(json.dumps(report.to_dict()))
    with pytest.raises(InputError, match="1 that are, such as"):
        tinyface(dataclasses.replace(data, gallery=(data.probes[0], *data.gallery[1:])), write_embed)


def read_of(tmp_path):
    write(tmp_path)
    return read(tmp_path)


def write_embed(paths):
    return Embedded(np.eye(len(paths), dtype=np.float32), "each@0"), np.ones(len(paths), bool)


def test_other_places_of_lists_and_pictures(tmp_path):
    write(tmp_path)
    (tmp_path / "Face_Identification_Evaluation").mkdir()
    for path in (tmp_path / "Testing_Set").glob("*.mat"):
        path.rename(tmp_path / "Face_Identification_Evaluation" / path.name)
    (tmp_path / "Testing_Set").rename(tmp_path / "aligned")
    data = read(tmp_path, images=tmp_path / "aligned")
    assert data.probes[0] == tmp_path / "aligned" / "Probe" / "1_1.jpg"


def test_lists_that_are_not_as_they_should_be(tmp_path):
    with pytest.raises(InputError, match=r"expected probe_img_ID_pairs\.mat in Testing_Set, got none"):
        read(tmp_path)
    write(tmp_path, probes={**PROBES, "7_1.jpg": (7, 3)})
    with pytest.raises(InputError, match="got 1 who are not, such as number 7"):
        read(tmp_path)
    lists = tmp_path / "Testing_Set" / "probe_img_ID_pairs.mat"
    for names, ids, why in (
        (["1_1.jpg"], [[1], [2]], "as many numbers"),
        (["../1_1.jpg", "1_2.jpg"], [[1], [1]], "names of files and whole numbers"),
        (["1_1.jpg", "1_2.jpg"], [[1], [1.5]], "names of files and whole numbers"),
        (["1_1.jpg", "1_1.jpg"], [[1], [1]], "got 1 names again"),
    ):
        scipy.io.savemat(lists, {"probe_set": cell(names), "probe_ids": np.array(ids, float)})
        with pytest.raises(InputError, match=why):
            read(tmp_path)
    scipy.io.savemat(lists, {"probe_set": cell(["1_1.jpg", "9.jpg"]), "probe_ids": np.array([[1.0], [1.0]])})
    with pytest.raises(InputError, match="1 of 2 pictures are missing"):
        read(tmp_path)


class Quarters:
    """The colors in the quarters of the crop as a vector."""

    space, dim, crop = "quarters@0", 12, CropSpec("arcface112", (112, 112))

    def embed(self, crops):
        rows = np.concatenate([crops[:, y, x] for y in (32, 80) for x in (32, 80)], 1).astype(np.float32) + 1
        return Embedded(rows / np.linalg.norm(rows, axis=1, keepdims=True), self.space)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (32, 16), (16, 32)])
def test_whole_pictures_are_taken_for_the_crop(tmp_path, height, width):
    """The corners of a small square picture are those of the crop; a longer one has its middle in the middle."""
    small = np.full((height, width, 3), 100, np.uint8)
    top, left = (height - 16) // 2, (width - 16) // 2
    square = small[top : top + 16, left : left + 16]
    square[:] = 0
    square[:8, :8, 0] = square[:8, 8:, 1] = square[8:, :8, 2] = 200
    square[8:, 8:] = 200
    Image.fromarray(small).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    embedded, found = embed_whole(Quarters(), catalogue.load("similarity5"))(paths)
    assert found.tolist() == [True, False]
    want = np.array([200, 0, 0, 0, 200, 0, 0, 0, 200, 200, 200, 200], np.float32) + 1
    assert embedded.vec[0] @ (want / np.linalg.norm(want)) > 0.98
