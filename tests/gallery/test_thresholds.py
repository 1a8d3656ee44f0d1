"""What a threshold does in a gallery, measured on its own faces."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.errors import InputError
from vultus.gallery import open_gallery, thresholds
from vultus.gallery.calibrate import Calibration, Origin, Rate
from vultus.gallery.fuse import fuse_photos
from vultus.ops.vectors import unit
from vultus.types import Template

SPACE = "toy@000000000000"
DIM = 24


@pytest.fixture(scope="module")
def calibration():
    rates = tuple(Rate(10.0**-k, 0.1 + k / 10, 0.8 * 10.0**-k, min(1.0, 1.2 * 10.0**-k), None) for k in range(7))
    return Calibration(Origin(SPACE, "drawn", "toy people", "sim"), rates, 300, 100, 30_000_000, 0, "2026-01-01", "0")


def _world(people, photos, seed=0, spread=0.7):
    rng = np.random.default_rng(seed)
    centers = unit(rng.standard_normal((people, DIM)))
    owners = np.repeat(np.arange(people), photos)
    faces = unit(centers[owners] + spread * unit(rng.standard_normal((len(owners), DIM))))
    qualities = rng.uniform(0.3, 1.0, len(owners))
    return faces, owners, qualities


def _best_other(faces, owners, references):
    """Best score of each face among all references but that of its owner; -inf with one person."""
    scores = faces @ references.T
    scores[np.arange(len(faces)), owners] = -np.inf
    return scores.max(axis=1)


def test_own_scores_are_those_of_leaving_out_by_hand():
    faces, owners, qualities = _world(7, 3)
    references = np.stack(
        [fuse_photos(faces[owners == p], ["a", "b", "c"], SPACE, list(qualities[owners == p])).vector for p in range(7)]
    )
    weights = thresholds.weights_of(list(qualities), owners, 7)
    own = thresholds.own_scores(faces, owners, _best_other(faces, owners, references), weights)
    for i, owner in enumerate(owners):
        others = [references[p] @ faces[i] for p in range(7) if p != owner]
        assert own.stranger[i] == pytest.approx(max(others), abs=1e-6)
        rest = [j for j in range(len(faces)) if owners[j] == owner and j != i]
        without = fuse_photos(faces[rest], ["a", "b"], SPACE, list(qualities[rest])).vector
        assert own.mated[i] == pytest.approx(float(without @ faces[i]), abs=1e-6)
    assert own.people == 7


def test_unassessed_and_worthless_photos_weigh_as_fusing_weighs_them():
    owners = np.array([0, 0, 0, 1, 1, 2])
    weights = thresholds.weights_of([0.4, None, 0.8, None, None, 0.0], owners, 3)
    np.testing.assert_allclose(weights, [0.4, 0.6, 0.8, 1, 1, 1])


def test_one_person_has_no_strangers_and_one_photo_no_mates(calibration):
    faces, owners, _ = _world(1, 4)
    alone = thresholds.own_scores(faces, owners, _best_other(faces, owners, faces[:1]))
    assert (len(alone.stranger), len(alone.mated)) == (0, 4)
    level = thresholds.level(alone, calibration, 1e-3)
    assert level.fpir_own.value is None
    assert "there are none" in level.fpir_own.note
    singles, who, _ = _world(5, 1)
    assert len(thresholds.own_scores(singles, who, _best_other(singles, who, singles)).mated) == 0


def test_fpir_follows_the_size_of_the_gallery():
    """1 - (1 - FMR)^N, and its inverse, at figures worked by hand."""
    assert thresholds.expected_fpir(1e-3, 1000) == pytest.approx(0.6323045752)
    assert thresholds.fmr_for_fpir(0.01, 1000) == pytest.approx(1.00502807e-5, rel=1e-6)
    assert thresholds.expected_fpir(1e-12, 10) == pytest.approx(1e-11, rel=1e-6)
    with pytest.raises(InputError, match="between 0 and 1"):
        thresholds.fmr_for_fpir(1.0, 3)


def test_the_threshold_for_an_fpir_holds_it_on_the_gallery_itself():
    faces, owners, _ = _world(200, 3, seed=1)
    references = unit(faces.reshape(200, 3, DIM).sum(1))
    own = thresholds.own_scores(faces, owners, _best_other(faces, owners, references))
    for fpir in (0.06, 0.2, 0.5):
        bar = thresholds.threshold_for_fpir(own, fpir)
        named = np.mean(own.stranger >= bar)
        assert fpir - 1 / len(faces) <= named <= fpir
    assert thresholds.threshold_for_fpir(own, 0.01) is None  # 6 errors expected: too few to tell


def test_identify_at_an_fpir_is_as_strict_as_both_sources_ask(tmp_path, calibration):
    faces, owners, _ = _world(60, 2, seed=2)
    with open_gallery(tmp_path / "people.db") as gallery:
        for p in range(60):
            media = [f"{p}-{i}" for i in range(2)]
            gallery.enroll(f"p{p}", faces[owners == p], None, media, SPACE)
        probe = Template(faces[0], SPACE)
        model = calibration.threshold(gallery.fmr_for_fpir(0.3))[0]
        own = thresholds.threshold_for_fpir(gallery._own_scores(), 0.3)
        assert own is not None
        strict = gallery.identify(probe, calibration=calibration, fpir=0.3)
        assert strict.threshold == pytest.approx(max(model, own))
        assert own > model  # these people look more alike than the calibration's: the gallery knows
        strangers = unit(np.random.default_rng(5).standard_normal((400, DIM)))
        named = [gallery.identify(Template(s, SPACE), calibration=calibration, fpir=0.3).accepted for s in strangers]
        assert np.mean(named) <= 0.36  # 0.3 and three standard errors of 400 draws
        level = gallery.security(calibration, 1e-2)
        assert level.people == 60
        assert level.fpir.value == pytest.approx(1 - 0.99**60)
        assert 0 <= level.fpir_own.low <= level.fpir_own.value <= level.fpir_own.high <= 1
        assert level.fnmr_own.n == 60
        assert "once in 100" in level.words
        assert level.to_dict()["fnmr_own"]["value"] == level.fnmr_own.value
