"""Presentation attacks: what is true about them, the physics of paper and screens, and that no single cue decides."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from vultus.errors import InputError, UnknownMethod
from vultus.ops import dct
from vultus.sim import _capture, _instruments, faces
from vultus.sim.presentations import DEVICES, SPECIES, present

SIDE = 96


def portrait(seed, size=SIDE):
    person = faces.person_of(seed)
    factors = faces.sample_factors(np.random.default_rng(seed), faces.World(yaw_deg=20), person)
    plain = {"hat": "none", "glasses": "none", "occluder": "none", "style": "photo"}
    return faces.render(person, replace(factors, **plain), size, 0)


@pytest.fixture(scope="module")
def someone():
    return portrait(7)


@pytest.fixture(scope="module")
def shots(someone):
    return {(s, c): present(someone, s, c, np.random.default_rng(3)) for s in SPECIES for c in DEVICES}


@pytest.mark.parametrize("species", SPECIES)
@pytest.mark.parametrize("device", DEVICES)
def test_a_presentation_and_its_truth(someone, shots, species, device):
    shot = shots[species, device]
    assert (shot.species, shot.device, shot.is_attack) == (species, device, species != "bona_fide")
    assert shot.image.shape == (SIDE, SIDE, 3)
    assert shot.image.dtype == np.uint8
    assert 40 < shot.image.mean() < 210
    assert shot.attack.shape == (SIDE, SIDE)
    assert 0 <= shot.attack.min() <= shot.attack.max() <= 1
    low, high = {
        "bona_fide": (0, 0),
        "print": (0.6, 1),
        "replay": (0.6, 1),
        "paper_mask": (0.1, 0.5),
        "cutout": (0.2, 0.9),
        "eye_mask": (0.02, 0.2),
    }[species]
    assert low <= shot.attack.mean() <= high
    assert (set(shot.drawn) >= {"pitch_px"}) == (species != "bona_fide")
    assert shot.points68.shape == (68, 2)
    again = present(someone, species, device, np.random.default_rng(3))
    np.testing.assert_array_equal(again.image, shot.image)
    np.testing.assert_array_equal(again.attack, shot.attack)
    other = present(someone, species, device, np.random.default_rng(4))
    assert (other.image != shot.image).any()


def at(shot, points):
    x, y = np.clip(np.rint(shot.points68[points]), 0, SIDE - 1).astype(int).T
    return shot.attack[y, x]


def test_the_map_covers_what_the_attack_covers(shots):
    for device in DEVICES:
        assert at(shots["eye_mask", device], range(36, 48)).min() > 0.9
        assert at(shots["eye_mask", device], range(48, 68)).max() < 0.1
        assert at(shots["paper_mask", device], [*range(27, 36), *range(48, 68)]).min() > 0.9
        assert at(shots["cutout", device], range(48, 68)).min() > 0.9
        assert at(shots["cutout", device], [37, 38, 40, 41, 43, 44, 46, 47]).max() < 0.5
        assert at(shots["print", device], range(68)).min() > 0.9


@pytest.mark.parametrize("species", ["eye_mask", "paper_mask"])
def test_pixels_outside_the_map_are_those_of_the_live_face(shots, species):
    for device in DEVICES:  # the same seed: the same frame, the same state of the camera
        attack, live = shots[species, device], shots["bona_fide", device]
        change = np.abs(attack.image.astype(float) - live.image).mean(-1)
        near = cv2.dilate((attack.attack > 0).astype(np.uint8), np.ones((13, 13))) > 0
        assert change[~near].mean() < 0.5 * change[attack.attack > 0.9].mean()


def test_someone_else_wears_the_paper(someone):
    other = portrait(11)
    rng = [np.random.default_rng(5) for _ in range(2)]
    own, worn = (present(someone, "paper_mask", "phone", r, wearer=w) for r, w in zip(rng, (None, other), strict=True))
    assert np.abs(own.points68 - worn.points68).max() > 1
    assert at(worn, [*range(30, 36), *range(48, 60)]).min() > 0.9
    assert (own.image != worn.image).any()


@pytest.mark.parametrize("species", ["bona_fide", "print", "replay"])
def test_points_follow_pixels(species):
    places = np.array([[30.0, 34.0], [62.0, 30.0], [47.0, 66.0]])
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    image = np.full((SIDE, SIDE, 3), 190, np.float32)
    for a, b in places:
        image -= 170 * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 18)[..., None]
    points = np.tile(places[:1], (68, 1))
    points[:3] = places
    for seed in range(4):
        shot = present(image.astype(np.uint8), species, "kiosk", np.random.default_rng(seed), points68=points)
        if species == "replay" and shot.drawn["glare"] > 0:
            continue
        for a, b in shot.points68[:3]:
            dark = 255 - cv2.GaussianBlur(shot.image, (0, 0), 1.5).mean(-1)
            top, left = round(float(b)) - 8, round(float(a)) - 8
            window = np.clip(dark[top : top + 17, left : left + 17] - np.median(dark) - 30, 0, None)
            v, u = np.mgrid[0:17, 0:17]
            seen = np.array([(window * u).sum(), (window * v).sum()]) / window.sum() + (left, top)
            np.testing.assert_allclose(seen, (a, b), atol=0.6)


def test_a_device_is_known_by_its_fixed_pattern():
    flat = np.full((384, 384, 3), 0.25, np.float32)

    def residual(name, seeds):
        total = np.zeros((96, 96))
        for seed in seeds:
            image = _capture.capture(flat, DEVICES[name], np.random.default_rng(seed))[..., 1].astype(float)
            total += image - cv2.GaussianBlur(image, (0, 0), 3)
        return total.ravel()

    once = {name: residual(name, range(12)) for name in DEVICES}
    then = {name: residual(name, range(50, 62)) for name in DEVICES}
    for name in DEVICES:
        match = {other: np.corrcoef(once[name], then[other])[0, 1] for other in DEVICES}
        assert max(match, key=match.get) == name
        assert match[name] > max(v for k, v in match.items() if k != name) + 0.1


# ---------------------------------------------------------------- paper and screens
def test_ink_covers_the_share_it_is_asked_for():
    rng = np.random.default_rng(0)
    for angle in (0.0, 15.0, 45.0):
        need = _instruments._screen(300, 7.3, angle, rng)
        for share in (0.1, 0.5, 0.85):
            assert (share > need).mean() == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("level", [60, 128, 200, 240])
def test_gray_is_printed_gray_and_as_light(level):
    gray = np.full((48, 48, 3), level, np.uint8)
    paper = _instruments.printed(gray, 192, 6.0, np.random.default_rng(0)).mean((0, 1)) / _instruments._PAPER
    np.testing.assert_allclose(paper, (level / 255) ** 2.2, rtol=0.12, atol=0.02)


def test_paper_shows_fewer_colors_than_a_screen():
    for color in ((255, 0, 0), (0, 255, 0), (0, 0, 255)):
        flat = np.full((32, 32, 3), color, np.uint8)
        paper = _instruments.printed(flat, 128, 6.0, np.random.default_rng(0)).mean((0, 1))
        screen = _instruments.shown(flat, 128, 6.0, np.random.default_rng(0)).mean((0, 1))
        assert np.ptp(paper) / paper.max() < np.ptp(screen) / screen.max()
        assert paper.argmax() == screen.argmax() == np.argmax(color)


def test_stripes_and_dots_have_the_pitch_they_say():
    gray = np.full((48, 48, 3), 140, np.uint8)
    screen = _instruments.shown(gray, 240, 6.0, np.random.default_rng(0))  # 40 pixels of the screen
    for channel in range(3):
        spectrum = np.abs(np.fft.rfft(screen[..., channel].mean(0)))
        assert spectrum[1:].argmax() + 1 == 40
    phases = [np.angle(np.fft.rfft(screen[..., k].mean(0))[40]) for k in range(3)]
    assert np.mod(phases[0] - phases[1], 2 * np.pi) == pytest.approx(2 * np.pi / 3, abs=0.05)
    paper = _instruments.printed(gray, 240, 6.0, np.random.default_rng(0))[..., 2].mean(0)  # yellow stands straight
    assert np.abs(np.fft.rfft(paper))[1:].argmax() + 1 == 40


# ---------------------------------------------------------------- cues
def energies(image):
    """(128,) log energies of the block cosines of luma and Cb."""
    planes = dct.rgb_to_ycbcr(image)[..., :2].transpose(2, 0, 1)
    return np.log((dct.block_dct(planes) ** 2).mean((1, 2)).ravel() + 0.05)


def auc(attack, live):
    return float((attack[:, None] > live[None]).mean())


def test_attacks_are_told_apart_but_not_by_one_number():
    rows, labels = [], []
    for seed in range(12):
        sample = portrait(seed)
        for k, device in enumerate(DEVICES):
            for species in ("bona_fide", ("print", "replay", "cutout")[(seed + k) % 3]):
                shot = present(sample, species, device, np.random.default_rng(100 * seed + k))
                rows.append([*energies(shot.image), shot.image.mean(), shot.image.std()])
                labels.append((seed, k, shot.is_attack))
    x, (seed, device, y) = np.array(rows), np.array(labels).T
    for column in (-2, -1, 0, 64):  # brightness, contrast, and the same of the blocks
        score = auc(x[y == 1, column], x[y == 0, column])
        assert 0.2 < score < 0.8
    train, test = (seed < 6) & (device < 2), (seed >= 6) & (device == 2)
    z = (x - x[train].mean(0)) / (x[train].std(0) + 1e-6)
    weight = np.linalg.solve(z[train].T @ z[train] + 30 * np.eye(z.shape[1]), z[train].T @ (2 * y[train] - 1))
    assert auc(z[test & (y == 1)] @ weight, z[test & (y == 0)] @ weight) > 0.6


# ---------------------------------------------------------------- refusals
PLAIN = np.full((48, 48, 3), 120, np.uint8)


@pytest.mark.parametrize(
    "call",
    [
        lambda rng: present(PLAIN[:40], "print", "phone", rng),
        lambda rng: present(PLAIN[:16, :16], "print", "phone", rng),
        lambda rng: present(PLAIN.astype(float), "print", "phone", rng),
        lambda rng: present(PLAIN.tolist(), "print", "phone", rng),
        lambda rng: present(PLAIN, "paper_mask", "phone", rng),
        lambda rng: present(PLAIN, "cutout", "phone", rng),
        lambda rng: present(PLAIN, "eye_mask", "phone", rng),
        lambda rng: present(PLAIN, "print", "phone", rng, points68=np.zeros((5, 2))),
        lambda rng: present(PLAIN, "print", "phone", rng, wearer=portrait(1, 64)),
    ],
)
def test_bad_input_is_refused_in_words(call):
    with pytest.raises(InputError, match="expected"):
        call(np.random.default_rng(0))


def test_unknown_names_are_told_near_ones():
    with pytest.raises(UnknownMethod, match="replay"):
        present(PLAIN, "reply", "phone", np.random.default_rng(0))
    with pytest.raises(UnknownMethod, match="webcam"):
        present(PLAIN, "print", "webcams", np.random.default_rng(0))


def test_without_points_a_picture_can_still_be_held_up():
    shot = present(PLAIN, "replay", "phone", np.random.default_rng(0))
    assert shot.points68 is None
    assert shot.attack.mean() > 0.6
