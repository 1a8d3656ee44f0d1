"""IJB: a replica of people at angles of a plane, every figure worked by hand; embedding by the points of the set."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from tests.io.datasets import ijb_replica
from vultus import catalogue
from vultus.errors import InputError
from vultus.evaluate import report as report_page
from vultus.evaluate.metrics.verification import from_table
from vultus.evaluate.protocols.ijb import _comparisons, _scores, _templates, _weigher, embed_at, ijb
from vultus.io.datasets.ijb import Ijb
from vultus.io.datasets.ijb import ijb as read
from vultus.types import ComparisonTable, CropSpec, Embedded


@pytest.fixture
def replica(tmp_path):
    angles = ijb_replica.write(tmp_path)

    def embed(paths, points, lost=(), lengths=False):
        degrees = np.array([angles[path.name] for path in paths], float)
        found = ~np.isin([path.name for path in paths], list(lost))
        place = np.deg2rad(degrees[found])
        norm = np.where(degrees[found] == 115, 3.0, 1.0) if lengths else None
        return Embedded(np.stack([np.cos(place), np.sin(place)], 1), "plane@0", norm), found

    return read(tmp_path, tier="sim"), embed


def direction(degrees, weights=None):
    """Angle of a weighted sum of directions."""
    place, w = np.deg2rad(degrees), np.ones(len(degrees)) if weights is None else np.array(weights)
    return np.rad2deg(np.arctan2(w @ np.sin(place), w @ np.cos(place)))


# Template 10: a photograph at 0 and the mean of frames at 40 and 60, which lies at 50 and is cos(10 degrees) long.
AT_10 = direction([0, 50], [1, np.cos(np.deg2rad(10))])
AT_31 = 100.0  # 85 and 115, weighed alike


def test_verification_by_hand(replica):
    data, embed = replica
    report = ijb(data, embed, fars=(0.1,), n_boot=20)
    # mated: 10-30, 11-31 at 10 degrees, 20-32 at 40, 21-33 at 70; non-mated: 10-31, 11-30 at 60, 20-33 at 20, 21-32
    # at 130: at FAR 0.1 no false match is allowed, so the threshold is just above cos 20
    assert abs(AT_10 - 30) < 8
    assert report.metrics["verification.tar_at_far_1e-1"].value == 0.5
    (tau,) = [row["value"] for row in report.provenance["thresholds"] if row["name"].startswith("FAR")]
    assert tau == pytest.approx(np.cos(np.deg2rad(20)), abs=1e-6)


def test_the_scores_of_pairs(replica):
    data, embed = replica
    embedded, found = embed(data.paths, data.points)
    templates = _templates(data, embedded, found, True)
    np.testing.assert_allclose(np.rad2deg(np.arctan2(*templates[[0, 5], ::-1].T)), [AT_10, AT_31], atol=1e-3)
    pairs = _comparisons(data, templates, 0.1)
    gaps = [30 - AT_10, AT_31 - 90, 40, 70]
    np.testing.assert_allclose(pairs.mated, np.sort(np.cos(np.deg2rad(gaps))), atol=1e-6)
    others = [AT_31 - AT_10, 60, 20, 130]
    np.testing.assert_allclose(pairs.tail, np.sort(np.cos(np.deg2rad(others)))[::-1], atol=1e-6)
    lengths, _ = embed(data.paths, data.points, lengths=True)
    heavier = _templates(data, lengths, found, True)
    np.testing.assert_allclose(np.rad2deg(np.arctan2(*heavier[5, ::-1])), direction([85, 115], [1, 3]), atol=1e-3)
    scored = np.where(data.media == 8, 3.0, 1.0)  # the second photograph of template 31 was found more surely
    surer = _templates(dataclasses.replace(data, score=scored), embedded, found, True)
    np.testing.assert_allclose(np.rad2deg(np.arctan2(*surer[5, ::-1])), direction([85, 115], [1, 3]), atol=1e-3)
    lost = templates.copy()
    lost[4] = 0  # template 30, of the first pair
    assert _comparisons(data, lost, 0.1).mated[0] == -1
    alike = _templates(dataclasses.replace(data, score=np.arange(11.0)), embedded, found, False)
    np.testing.assert_allclose(alike, templates, atol=1e-6)


def test_identification_by_hand(replica):
    """Gallery 1 holds persons 1 at AT_10 and 2 at 90, gallery 2 persons 3 at 180 and 4 at 270.

    Mated in gallery 1: probes at 30 (first) and 100 (first); its alarms are the probes at 140 (50 from person 2) and
    200 (110 from person 2). In gallery 2: 140 (first, at 40) and 200 (second: 180 is nearer than 270, at 70); its
    alarms are the probes at 30 (120 from 270) and 100 (80 from 180).
    """
    data, embed = replica
    report = ijb(data, embed, fars=(0.1,), fpirs=(0.5, 0.4), n_boot=20)
    value = {name: metric.value for name, metric in report.metrics.items()}
    assert value["identification.rank_1"] == (1 + 0.5) / 2
    assert "identification.rank_5" not in value
    taus = [row["value"] for row in report.provenance["thresholds"] if row["name"].startswith("FPIR 5e-1")]
    np.testing.assert_allclose(taus, np.cos(np.deg2rad([50, 80])), atol=1e-6)
    assert value["identification.tpir_at_fpir_5e-1"] == 1.0  # the mate at 70 degrees reaches cos 80, at rank 2
    assert value["identification.tpir_at_fpir_4e-1"] == 1.0
    assert report.metrics["identification.tpir_at_fpir_4e-1"].n == 4


def test_pictures_that_cannot_be_used(replica):
    """Without the frames of the video template 10 lies at 0; without its only picture template 30 is missed."""
    data, embed = replica
    report = ijb(data, lambda *a: embed(*a, lost=("2.jpg", "3.jpg", "7.jpg")), fars=(0.1,), n_boot=20)
    assert report.metrics["enroll.failure_to_acquire"].value == pytest.approx(3 / 11)
    assert report.metrics["verification.tar_at_far_1e-1"].value == 0.25
    assert report.provenance["counts"]["templates without a usable picture"] == 1
    assert report.provenance["counts"]["pictures that could not be used"] == 3


def test_the_report_is_whole(replica, tmp_path):
    data, embed = replica
    report = ijb(data, embed, n_boot=10)
    assert report.dataset == "ijbc: 4 mated and 4 non-mated pairs of 8 templates, 11 pictures"
    assert {"verification.tar_at_far_1e-6", "identification.tpir_at_fpir_1e-2"} <= set(report.metrics)
    assert "fewer than 30" in report.metrics["verification.tar_at_far_1e-6"].note
    assert all(m.unit == "share" and m.n > 0 and m.low is not None for m in report.metrics.values())
    report_page.write(report, tmp_path / "out")
    assert report_page.read(tmp_path / "out").to_dict() == json.loads(json.dumps(report.to_dict()))
    pairs_only = ijb(dataclasses.replace(data, galleries=(), probes=None), embed, fars=(0.1,), n_boot=10)
    assert pairs_only.missing == ("identification: the 1:N lists are not in the folder",)
    assert not any(name.startswith("identification") for name in pairs_only.metrics)


def many(seed, n_people=40, per_person=3, n_pairs=3000):
    """Templates of one picture each, and pairs drawn among them."""
    rng = np.random.default_rng(seed)
    subjects = np.repeat(np.arange(n_people), per_person)
    n = len(subjects)
    left, right = rng.integers(0, n, (2, n_pairs))
    left, right = left[left != right], right[left != right]
    data = Ijb(
        "x", (), np.zeros((0, 5, 2)), np.zeros(0), np.arange(n), np.arange(n), np.arange(n), subjects, left, right
    )
    vec = rng.normal(size=(n_people, 8))[subjects] + rng.normal(size=(n, 8))
    return data, (vec / np.linalg.norm(vec, axis=1, keepdims=True)).astype(np.float32)


def test_the_tail_and_the_weights_are_those_of_all_comparisons():
    data, vec = many(0)
    got = _comparisons(data, vec, 0.05)
    np.testing.assert_allclose(_scores(data, vec, block=7), (vec[data.left] * vec[data.right]).sum(1), atol=1e-6)
    scores = (vec[data.left] * vec[data.right]).sum(1)
    first, second = data.subjects[data.left], data.subjects[data.right]
    want = from_table(ComparisonTable(scores, first == second, first, second, "test"))
    np.testing.assert_allclose(got.mated, want.mated, atol=1e-6)
    assert len(got.tail) < len(want.tail)
    np.testing.assert_allclose(got.tail, want.tail[: len(got.tail)], atol=1e-6)
    assert (got.n_nonmated, got.n_subjects) == (want.n_nonmated, want.n_subjects)
    w = np.random.default_rng(1).integers(0, 3, 40).astype(float)
    assert got.weigh(w) == pytest.approx(want.weigh(w))
    of_many = _weigher(first[first != second], second[first != second], 10_000)
    assert of_many(np.pad(w, (0, 9960))) == pytest.approx(want.weigh(w))


class ByMean:
    """The mean color of the crop and its square as a vector."""

    space, dim, crop = "mean@0", 2, CropSpec("arcface112", (112, 112))

    def embed(self, crops):
        mean = crops.reshape(len(crops), -1).mean(1) / 255
        rows = np.stack([mean + 0.1, 1.1 - mean], 1)
        length = np.linalg.norm(rows, axis=1)
        return Embedded(rows / length[:, None], self.space, length)


def test_pictures_are_cut_by_the_points_of_the_set(tmp_path):
    """A bright square in a dark picture: the points that lie in it give a bright crop."""
    pixels = np.zeros((200, 200, 3), np.uint8)
    pixels[20:140, 60:180] = 250
    paths = [tmp_path / f"{k}.png" for k in range(3)]
    for path in paths[:2]:
        Image.fromarray(pixels).save(path)
    paths[2].write_bytes(b"no picture")
    five = np.array([[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]], np.float32)
    points = five + np.array([[[62, 22]], [[-30, 90]], [[0, 0]]], np.float32)
    embedded, found = embed_at(ByMean(), catalogue.load("similarity5"), batch=2)(paths, points)
    assert found.tolist() == [True, True, False]
    ratio = embedded.vec[:, 0] / embedded.vec[:, 1]
    assert ratio[0] > 5
    assert ratio[1] < 0.5
    assert embedded.norm is not None


def test_refusals(replica):
    data, embed = replica
    with pytest.raises(InputError, match=r"rates in \(0, 0.1\]"):
        ijb(data, embed, fars=(0.5,))
    with pytest.raises(InputError, match=r"in \(0, 0.5\], got"):
        ijb(data, embed, fpirs=())
    with pytest.raises(InputError, match="mated and non-mated ones, got 4 of 4"):
        ijb(dataclasses.replace(data, left=data.left[:4], right=data.right[:4]), embed)
