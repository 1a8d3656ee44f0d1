"""The mark: what it survives, where it is not found, what it costs. tools/mark_figures.py measures more of it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vultus.errors import InputError, Refused, UnknownMethod
from vultus.ops import mark
from vultus.ops.mark import Payload
from vultus.sim import faces
from vultus.types import SCOPES, Basis, Provenance


def drawn(count, size=128, first=0):
    rng = np.random.default_rng(first)
    people = [faces.person_of(first + k) for k in range(count)]
    return [faces.render(p, faces.sample_factors(rng, None, p), size, 0).image for p in people]


@pytest.fixture(scope="module")
def pairs():
    """Pictures, their payloads and the marked pictures."""
    pictures, rng = drawn(5), np.random.default_rng(1)
    payloads = [Payload(int(rng.integers(1 << 48)), int(rng.integers(len(SCOPES) + 1))) for _ in pictures]
    return [(x, p, mark.embed(x, p)) for x, p in zip(pictures, payloads, strict=True)]


def jpeg(image, quality):
    return cv2.imdecode(cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1)[
        ..., ::-1
    ].copy()


def resized(image, factor):
    size = tuple(round(n * factor) for n in image.shape[1::-1])
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)


def cropped(image, share=0.7):
    side = round(image.shape[0] * share)
    y, x = np.random.default_rng(int(image.sum())).integers(0, image.shape[0] - side + 1, 2)
    return image[y : y + side, x : x + side]


def psnr(a, b):
    return 10 * np.log10(255**2 / np.square(a.astype(float) - b).mean())


ATTACKS = {
    "none": lambda x: x,
    "jpeg 50": lambda x: jpeg(x, 50),
    "jpeg 70": lambda x: jpeg(x, 70),
    "blur 1": lambda x: cv2.GaussianBlur(x, (0, 0), 1.0),
    "half": lambda x: resized(x, 0.5),
    "three quarters": lambda x: resized(x, 0.75),
    "twice": lambda x: resized(x, 2.0),
    "crop": cropped,
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_all_64_bits_survive(pairs, attack):
    for _, payload, marked in pairs:
        found, score = mark.detect(ATTACKS[attack](marked))
        assert found == payload
        assert score > 6


def test_the_picture_stays_within_40_db_and_its_colors_stay(pairs):
    for picture, _, marked in pairs:
        assert 40.8 <= psnr(picture, marked) < 42
        color = [cv2.cvtColor(x, cv2.COLOR_RGB2YCrCb)[..., 1:].astype(int) for x in (picture, marked)]
        assert np.abs(color[0] - color[1]).mean() < 0.6


def test_unmarked_pictures_and_other_keys_say_nothing(pairs):
    for picture, _, marked in pairs[:2]:
        assert mark.detect(picture)[0] is None
        assert mark.detect(marked, b"another key")[0] is None


def test_the_score_is_a_standard_deviate_over_keys():
    picture = mark._luma(drawn(1)[0])
    place = mark._Place(1.0, (0.0, 0.0))
    z = [mark._read(picture, place, str(k).encode())[0] for k in range(400)]
    assert abs(np.mean(z)) < 0.25
    assert np.std(z) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("kind", ["gray", "black", "white", "noise", "odd sides"])
def test_pictures_without_a_face_can_be_marked_too(kind):
    rng = np.random.default_rng(3)
    pictures = {
        "gray": np.full((96, 96, 3), 128, np.uint8),
        "black": np.zeros((96, 96, 3), np.uint8),
        "white": np.full((96, 96, 3), 255, np.uint8),
        "noise": np.clip(128 + 20 * rng.normal(size=(96, 96, 3)), 0, 255).astype(np.uint8),
        "odd sides": cv2.resize(drawn(1)[0], (117, 83)),
    }
    payload = Payload(2**48 - 1, 3)
    marked = mark.embed(pictures[kind], payload)
    assert psnr(pictures[kind], marked) >= 40
    assert mark.detect(marked)[0] == payload


def test_the_same_arguments_make_the_same_bytes_and_the_strength_is_that_asked_for(pairs):
    picture, payload, marked = pairs[0]
    assert np.array_equal(mark.embed(picture, payload), marked)
    assert psnr(picture, mark.embed(picture, payload, psnr_db=44)) == pytest.approx(44, abs=0.2)


@pytest.mark.parametrize("size", [(1, 1), (5, 200), (16, 16), (31, 40), (63, 63)])
def test_nothing_is_found_in_what_is_too_small(size):
    assert mark.detect(np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8))[0] is None


def test_a_large_picture_is_searched_in_its_middle():
    rng = np.random.default_rng(5)
    rough = cv2.resize(rng.integers(60, 200, (20, 24, 3)).astype(np.uint8), (720, 600), interpolation=cv2.INTER_CUBIC)
    payload = Payload(77)
    marked = mark.embed(rough, payload)
    assert psnr(rough, marked) >= 45
    assert mark.detect(resized(marked[13:, 7:], 0.75))[0] == payload


def test_what_a_generator_hands_out_is_marked_with_its_record():
    pictures = np.stack(drawn(2, 64))
    record = Provenance("sim.faces", seed=3)
    made = mark.generated(pictures, record, basis=Basis.synthetic(), scope="generate")
    assert made.provenance == record
    assert psnr(made.images, pictures) >= 40
    for image in made.images:
        found, _ = mark.detect(image)
        assert found == mark.payload_of(record, "generate")
        assert found.number == int(record.id[:12], 16)
        assert SCOPES[found.method_class - 1] == "generate"
    assert len(mark.generated(pictures[:0], record, basis=Basis.synthetic(), scope="generate").images) == 0
    plain = mark.generated(pictures, record, basis=Basis.synthetic(), scope="generate", unmarked=True)
    assert np.array_equal(plain.images, pictures)
    own = Basis("own_image", "Ada", frozenset({"swap"}), "a test", "its author", "2020-01-01", "9000-01-01")
    with pytest.raises(Refused, match="unmarked: this basis covers swap"):
        mark.generated(pictures, record, basis=own, scope="swap", unmarked=True)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda x: mark.embed(x[:63], Payload(1)), "at least 64 pixels a side"),
        (lambda x: mark.embed(x[..., 0], Payload(1)), "expected uint8 RGB"),
        (lambda x: mark.detect(x.astype(float)), "expected uint8 RGB .* float64"),
        (lambda x: mark.embed(x, Payload(1), psnr_db=20), "psnr_db: expected 30 to 60"),
        (lambda x: Payload(1 << 48), "number: expected a whole number of 48 bits"),
        (lambda x: Payload(1, 256), "method_class: expected a whole number of 8 bits"),
        (lambda x: Payload(1.5), "number: expected a whole number of 48 bits"),
        (lambda x: mark.generated(x, Provenance("a"), basis=Basis.synthetic(), scope="swap"), "N, H, W, 3.*128, 128"),
    ],
)
def test_refusals(pairs, call, said):
    with pytest.raises(InputError, match=said):
        call(pairs[0][0])


def test_an_unknown_scope_is_told_near_ones():
    with pytest.raises(UnknownMethod, match=r"unknown scope 'swapp'.*swap"):
        mark.payload_of(Provenance("sim.faces"), "swapp")


@pytest.mark.data
def test_real_photographs_survive_too(data_dir):
    from vultus.io import images

    photos = sorted((data_dir / "lfw_deepfunneled").glob("*/*_0001.jpg"))[::1500]
    assert photos
    payload = Payload(0x123456789ABC, 2)
    for path in photos:
        marked = mark.embed(images.read(path).pixels, payload)
        for attack in ("jpeg 50", "three quarters"):
            assert mark.detect(ATTACKS[attack](marked))[0] == payload


@pytest.mark.models(cards=["dlib_resnet29"])
def test_a_judge_is_hardly_moved(session_home):
    from vultus.catalogue import load

    embedder, aligner = load("dlib_resnet29"), load("similarity5")
    vectors = []
    for seed in range(5):
        rng, person = np.random.default_rng(seed), faces.person_of(seed)
        sample = faces.render(person, faces.sample_factors(rng, None, person), 128, 1)
        both = (sample.image, mark.embed(sample.image, Payload(seed)))
        crops = [aligner.align(image, sample.points5[None], embedder.crop)[0][0] for image in both]
        vectors.append(embedder.embed(np.stack(crops)).vec)
    plain, marked = np.array(vectors).transpose(1, 0, 2)
    moved = np.abs(marked @ plain.T - plain @ plain.T)[~np.eye(5, dtype=bool)]
    assert moved.mean() < 0.01
    assert (plain * marked).sum(1).min() > 0.97
