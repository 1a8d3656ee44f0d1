"""DctRecognizer: coefficients are SciPy's, light drops out, weights are the rates, agreement only takes away."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import fft

from vultus.errors import InputError
from vultus.ops.dct import rgb_to_ycbcr
from vultus.pipeline._encode import load_embedder
from vultus.recognize.classical.dct_faces import DctRecognizer
from vultus.testing.pictures import drawn_crops

EQUAL = {"face": 1, "eyes": 1, "nose": 1, "mouth": 1}


@pytest.fixture(scope="module")
def faces():
    """Six drawn people, four noisy pictures of each."""
    rng = np.random.default_rng(0)
    drawn = drawn_crops(rng, n=6, size_hw=(128, 128)).astype(np.float64)
    crops = np.repeat(drawn, 4, axis=0) + rng.normal(scale=25, size=(24, 128, 128, 3))
    return np.clip(crops, 0, 255).astype(np.uint8), [f"p{k // 4}" for k in range(24)]


def test_coefficients_are_those_of_scipy_in_the_order_of_jpeg(faces):
    crops, _ = faces
    gray = np.asarray(rgb_to_ycbcr(crops[:3].astype(np.float64)))[..., 0]
    found = DctRecognizer(k_global=9, k_local=5).describe(crops[:3])
    assert [part.shape for part in found] == [(3, 9), (3, 10), (3, 5), (3, 5)]
    walk = [
        (0, 1),
        (1, 0),
        (2, 0),
        (1, 1),
        (0, 2),
        (0, 3),
        (1, 2),
        (2, 1),
        (3, 0),
    ]  # ITU-T T.81, figure 5, without (0, 0)
    # Centers in the 128 x 128 crop: eyes (43.8, 59.2) and (84.1, 58.9), nose (64.1, 82.1), mouth (64.2, 105.5).
    regions = {0: (gray, 9), 2: (gray[:, 70:95, 45:85], 5), 3: (gray[:, 91:121, 40:90], 5)}
    for index, (region, count) in regions.items():
        whole = fft.dctn(region, axes=(1, 2), norm="ortho")
        expected = np.stack([whole[:, row, column] for row, column in walk[:count]], axis=1)
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
        np.testing.assert_allclose(found[index], expected, atol=1e-9)
    eyes = [fft.dctn(part, axes=(1, 2), norm="ortho") for part in (gray[:, 52:68, 36:52], gray[:, 51:67, 77:93])]
    expected = np.stack([whole[:, row, column] for whole in eyes for row, column in walk[:5]], axis=1)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found[1], expected, atol=1e-9)


def test_brightness_is_no_feature_and_under_log_contrast_is_none_either():
    ramp = np.random.default_rng(1).integers(40, 100, (1, 128, 128, 1)).astype(np.uint8).repeat(3, axis=3)
    for light, changed in (("drop_dc", ramp + 60), ("drop_dc", ramp * 2), ("log", ramp * 2 + 1)):  # log(1 + g)
        one = DctRecognizer(light=light)
        for a, b in zip(one.describe(ramp), one.describe(changed), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)
    kept = DctRecognizer(light="keep")
    assert np.abs(kept.describe(ramp)[0] - kept.describe(ramp + 60)[0]).max() > 1e-3


def test_weights_are_the_rates_of_the_enrolled_pictures_by_hand(faces):
    crops, names = faces
    one = DctRecognizer(k_global=4, k_local=2)
    assert one.rates == {}
    one.enroll(crops, names)
    nose = one.describe(crops)[2]
    apart = np.linalg.norm(nose[:, None] - nose[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    right = np.mean([names[apart[k].argmin()] == names[k] for k in range(24)])
    assert one.rates["nose"] == pytest.approx(right)
    weights = np.array(list(one.rates.values())) / sum(one.rates.values())
    np.testing.assert_allclose(one.scores(crops), -np.tensordot(weights, one.compare(crops), axes=1))
    alone = DctRecognizer()
    alone.enroll(crops[::4], names[::4])  # one picture each: nothing can be left out, weights are equal
    assert alone.rates == {}
    np.testing.assert_allclose(alone.scores(crops), -alone.compare(crops).mean(axis=0))


def test_a_weight_of_one_is_the_feature_alone(faces):
    crops, names = faces
    one = DctRecognizer(weights={**dict.fromkeys(EQUAL, 0), "mouth": 3})
    one.enroll(crops[::2], names[::2])
    np.testing.assert_allclose(one.scores(crops), -one.compare(crops)[3])
    np.testing.assert_array_equal(one.rank(crops)[:, 0], one.compare(crops)[3].argmin(axis=1))


def test_described_faces_are_as_good_as_their_crops(faces):
    crops, names = faces
    one, other = DctRecognizer(), DctRecognizer()
    one.enroll(crops[::2], names[::2])
    described = one.describe(crops)
    other.enroll([part[::2] for part in described], names[::2])
    np.testing.assert_array_equal(one.scores(crops[1::2]), other.scores([part[1::2] for part in described]))
    for wrong in (described[:3], [*described[:3], described[3][:2]]):
        with pytest.raises(InputError, match="expected crops"):
            one.scores(wrong)


def test_agreement_only_takes_away(faces):
    crops, names = faces
    plain, strict, loose = (DctRecognizer(agree=agree, top=top) for agree, top in ((False, 1), (True, 1), (True, 6)))
    taus = np.linspace(-2, 0, 9)
    rates = []
    for one in (plain, strict, loose):
        one.enroll(crops[::2], names[::2])
        rates.append(one.error_rates(crops[1::2], names[1::2], taus))
    assert (rates[1][0] <= rates[0][0]).all()
    assert (rates[1][1] >= rates[0][1]).all()
    np.testing.assert_array_equal(rates[2], rates[0])  # everybody is among the first six of six
    assert (rates[0][1][0], rates[0][1][-1]) == (0, 1)  # no own claim is rejected at the lowest threshold, all at 0
    assert rates[0][0][0] == 1  # every claim is accepted at the lowest threshold,
    assert rates[1][0][0] == 0  # and no wrong one when face and parts must put the claimed person first
    assert strict.identify(crops[1::2]) == names[1::2]
    swapped = strict.verify(crops[1:3], [names[1], "p5"], threshold=-2)
    assert swapped.tolist() == [True, False]


def test_who_disagrees_is_not_named():
    """A face of one person with the eyes, nose and mouth of another."""
    rng = np.random.default_rng(3)
    two = drawn_crops(rng, n=2, size_hw=(128, 128))
    mixed = two[0].copy()
    mixed[50:122, 36:93] = two[1][50:122, 36:93]
    for agree, expected in ((True, None), (False, "b")):
        one = DctRecognizer(k_global=3, agree=agree)
        one.enroll(two, ["a", "b"])
        assert one.compare(mixed[None])[:, 0].argmin(axis=1).tolist() == [0, 1, 1, 1]
        assert one.identify(mixed[None])[0] == expected
    assert one.identify(two) == ["a", "b"]
    assert one.identify(two, threshold=0.1) == [None, None]


def test_vectors_compare_as_squared_distances(faces):
    crops, _ = faces
    one = DctRecognizer(weights=EQUAL)
    vectors = one.embed(crops[:6]).vec.astype(np.float64)
    one.enroll(crops[:6], [str(k) for k in range(6)])
    expected = 1 - (one.compare(crops[:6]) ** 2).mean(axis=0) / 2
    np.testing.assert_allclose(vectors @ vectors.T, expected, atol=1e-6)
    assert DctRecognizer(k_local=23).space != DctRecognizer().space == DctRecognizer().space


def test_a_pipeline_takes_methods_without_networks():
    assert [load_embedder(name, 2).dim for name in ("dct_faces", "dwt_faces")] == [64 + 4 * 24, 16 * 16]


@pytest.mark.parametrize(
    "call",
    [
        lambda crops: DctRecognizer(k_global=0),
        lambda crops: DctRecognizer(k_local=136),
        lambda crops: DctRecognizer(weights="best"),
        lambda crops: DctRecognizer(weights={"face": 1}),
        lambda crops: DctRecognizer(weights=dict.fromkeys(EQUAL, 0)),
        lambda crops: DctRecognizer(weights={**EQUAL, "nose": -1}),
        lambda crops: DctRecognizer(light="dark"),
        lambda crops: DctRecognizer(top=0),
        lambda crops: DctRecognizer().rank(crops),
        lambda crops: DctRecognizer().enroll(crops, ["a"]),
        lambda crops: DctRecognizer().enroll(crops[:0], []),
        lambda crops: DctRecognizer().embed(np.full_like(crops, 90)),
        lambda crops: _enrolled(crops).verify(crops, ["a", "c"], threshold=0),
        lambda crops: _enrolled(crops).verify(crops, ["a"], threshold=0),
    ],
)
def test_bad_input(call, faces):
    with pytest.raises(InputError, match="expected"):
        call(faces[0][:2])


def _enrolled(crops):
    one = DctRecognizer()
    one.enroll(crops, ["a", "b"])
    return one
