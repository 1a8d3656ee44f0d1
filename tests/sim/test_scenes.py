"""Scenes: the truth agrees with the pixels, sizes follow their law, files come back as written, refusals in words."""

import errno
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sim import trials
from vultus.catalogue import load
from vultus.errors import InputError, StoreError, UnknownMethod
from vultus.io.datasets.wider import read_table, wider_face
from vultus.ops.boxes import iou
from vultus.ops.pose import Camera, euler_to_R, pose_from_points
from vultus.sim import _crowd, _cutout, _draw, _scene, _scenery, _wider, faces, scenes
from vultus.sim.scenes import Crop, FaceScenes, noise_stimuli, write_wider

SMALL = FaceScenes(n_faces=(4, 6), negatives=(2, 3), size_hw=(120, 160), sizes=(10, 60))


def draw(sim, seed=0):
    return sim.draw(np.random.default_rng(seed))


@pytest.fixture(scope="module")
def crowd():
    return draw(SMALL)


@pytest.fixture(scope="module")
def several():
    return [draw(SMALL, k) for k in range(6)]


def same(a, b):
    for f in fields(a):
        if isinstance(getattr(a, f.name), np.ndarray):
            np.testing.assert_array_equal(getattr(a, f.name), getattr(b, f.name))


def test_a_seed_gives_the_same_bytes(crowd):
    same(crowd, draw(SMALL))
    assert (draw(SMALL, 1).image != crowd.image).any()


def test_the_truth_has_one_row_for_each_face(several):
    for scene in several:
        count = len(scene.boxes)
        assert 4 <= count <= 6
        assert 2 <= len(scene.things) <= 3
        assert scene.points5.shape == (count, 5, 2)
        assert scene.wider.shape == (count, 6)
        assert len(scene.persons) == len(scene.factors) == count
        assert (np.diff(scene.whole_boxes[:, 3] - scene.whole_boxes[:, 1]) < 3).all()  # largest first
        assert (scene.boxes[:, 2] <= 160).all()
        assert (scene.boxes[:, 3] <= 120).all()
        assert scene.boxes.min() >= 0


def test_half_of_the_faces_of_wider_sizes_are_below_16_pixels():
    sizes = _crowd.wider_sizes(np.random.default_rng(0), 20_000)
    assert sizes.min() >= 8
    assert sizes.max() <= 256
    assert np.mean(sizes < 16) == pytest.approx(0.5, abs=0.015)
    tail = np.mean(sizes > 128)
    assert 0.03 < tail < 0.15


def test_faces_have_the_height_that_was_asked_for():
    scene = draw(replace(SMALL, n_faces=(3, 3), negatives=(0, 0), size_law=lambda rng, n: np.array([20.0, 40.0, 60.0])))
    heights = scene.whole_boxes[:, 3] - scene.whole_boxes[:, 1]
    np.testing.assert_allclose(heights, [60, 40, 20], rtol=0.06)


def test_points_and_masks_lie_in_their_boxes(several):
    for scene in several:
        for k, (box, points) in enumerate(zip(scene.whole_boxes, scene.points5, strict=True)):
            if abs(scene.pose_deg[k, 0]) < 40:
                assert ((points + 0.5 > box[:2]) & (points + 0.5 < box[2:])).all()
            rows, columns = np.nonzero(scene.mask(k))
            if len(rows):
                assert columns.min() >= box[0] - 2
                assert columns.max() + 1 <= box[2] + 2
                assert rows.min() >= box[1] - 2
                assert rows.max() + 1 <= box[3] + 2
            assert (scene.people[scene.mask(k)] == k + 1).all()


def test_a_free_large_face_fills_its_box():
    scene = draw(FaceScenes(n_faces=(1, 1), negatives=(0, 0), size_hw=(160, 160), size_law=lambda rng, n: [90.0]), 2)
    box = scene.boxes[0]
    assert scene.mask(0).sum() > 0.5 * (box[2] - box[0]) * (box[3] - box[1])


def test_occlusion_is_what_the_masks_say():
    """A person seen alone and behind others: the share that is lost is the share that is told."""
    sim = replace(SMALL, n_faces=(9, 9), negatives=(0, 0), sizes=(20, 44), world=replace(SMALL.world, occluders=0.0))
    found = [draw(sim, k) for k in range(3)]
    hidden = np.concatenate([s.hidden for s in found])
    assert (hidden >= -1e-4).all()
    assert (hidden <= 1).all()
    levels = np.concatenate([s.occlusion for s in found])
    np.testing.assert_array_equal(levels, np.where(hidden < 0.01, 0, np.where(hidden <= 0.3, 1, 2)))
    assert len(np.unique(levels)) == 3
    for scene in found:  # pixels that are seen, against the share that is told
        seen = np.array([scene.mask(k).sum() for k in range(len(scene.boxes))])
        np.testing.assert_allclose(seen / scene.area_px, 1 - scene.hidden, atol=0.08)


def test_a_medical_mask_is_heavy_occlusion():
    scene = draw(
        FaceScenes(style="operating room", n_faces=(3, 3), negatives=(0, 0), size_hw=(160, 200), sizes=(30, 50))
    )
    assert {f.hat for f in scene.factors} == {"beanie"}
    masked = np.array([f.occluder == "mask" for f in scene.factors])
    assert masked.any()
    assert (scene.hidden[masked] > 0.3).all()
    assert all(f.pose_deg[1] < -5 for f in scene.factors)


@pytest.mark.parametrize("degrees", [-35, 20, 35])
def test_a_picture_that_is_turned_turns_the_pose(degrees):
    """The pose that the turned points give back, by the person's own head under a camera turned with them."""
    person, pose = replace(faces.person_of(0), sex_axis=0.0), np.array((40, -35, 4), np.float32)
    calm = replace(faces.Factors(), age=25.0, pose_deg=pose, camera=(120.0, 0.7, 0.0, -0.17))
    cut = _cutout.cutout(person, calm, 256, 2)
    made = _cutout.turned(cut, degrees)
    camera = _draw.camera_at(_scene.build(person, calm, 2), 256)
    away = np.subtract((camera.cx, camera.cy), 127.5) @ euler_to_R((0, 0, degrees))[:2, :2].T
    middle = (len(made.cover) - 1) / 2 + away
    found, _ = pose_from_points(made.points, trials.own_points(person), Camera(camera.focal, *middle))
    np.testing.assert_allclose(made.pose_deg, found, atol=0.5)
    assert abs(made.pose_deg[0] - pose[0]) > 5  # not the roll alone
    np.testing.assert_allclose(_cutout.turned(cut, 0).pose_deg, pose, atol=1e-4)


@pytest.mark.parametrize(
    ("hidden", "blur", "gain", "pose", "jaw", "codes"),
    [
        (0.0, 0.0, 1.0, (0, 0, 0), 0.0, (0, 0, 0, 0, 0, 0)),
        (0.009, 0.019, 0.46, (89, 29, 29), 0.3, (0, 0, 0, 0, 0, 0)),
        (0.011, 0.021, 1.71, (0, 0, 31), 0.5, (1, 1, 1, 0, 1, 1)),
        (0.31, 0.051, 0.44, (0, -31, 0), 0.0, (2, 0, 1, 0, 2, 1)),
        (0.81, 0.0, 1.0, (-91, 0, 0), 0.0, (0, 0, 0, 1, 2, 1)),
    ],
)
def test_columns_are_those_that_the_guide_tells(hidden, blur, gain, pose, jaw, codes):
    shape = np.zeros(14, np.float32)
    shape[faces._E["jaw open"]] = jaw
    shape[faces._E["smile"]] = 1.0
    found = _scenery._columns(hidden, blur, gain, np.float32(pose), replace(faces.Factors(), expression=shape))
    assert found == codes


def test_groups_are_small_pictures_of_two_to_four():
    counts = set()
    for seed in range(8):
        scene = draw(FaceScenes(style="group", size_hw=(64, 160)), seed)
        assert scene.image.shape == (64, 160, 3)
        counts.add(len(scene.boxes))
        assert (scene.hidden < 0.75).all()
    assert counts <= {2, 3, 4}
    assert len(counts) > 1


@pytest.mark.parametrize("kind", scenes.THINGS)
def test_every_thing_has_a_box_and_no_face(kind):
    sim = FaceScenes(n_faces=(0, 0), negatives=(2, 2), negative_kinds=(kind,), size_hw=(96, 128), sizes=(24, 60))
    scene = draw(sim)
    assert not len(scene.boxes)
    assert not scene.faces.any()
    assert [t.kind for t in scene.things] == [kind, kind]
    for t in scene.things:
        assert (t.box[2:] > t.box[:2] + 8).all()
        assert bool(t.text) == (kind in ("plate", "sign"))
        if kind in ("bear", "cat", "dog", "owl"):
            assert ((t.points5 + 0.5 > t.box[:2]) & (t.points5 + 0.5 < t.box[2:])).all()


def test_noise_has_the_spectrum_it_says():
    for alpha in (0.0, 2.0):
        (picture,) = noise_stimuli(np.random.default_rng(1), alpha, size_hw=(256, 256))
        power = np.abs(np.fft.rfft2(picture[..., 0] / 255.0 - 0.5)) ** 2
        frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256)[None])
        band = (frequency > 0.01) & (frequency < 0.3)
        slope = np.polyfit(np.log(frequency[band]), np.log(power[band] + 1e-9), 1)[0]
        assert slope == pytest.approx(-alpha, abs=0.15)


def oval(rng, size):
    """A crop from elsewhere: an oval of one color."""
    y, x = np.mgrid[:60, :50]
    mask = ((x - 24.5) / 20) ** 2 + ((y - 29.5) / 25) ** 2 < 1
    image = np.zeros((60, 50, 3), np.uint8)
    image[mask] = (250, 20, 20)
    points = np.array([(15, 25), (35, 25), (25, 32), (18, 42), (32, 42)], np.float32)
    return Crop(image, mask, np.array((5, 5, 45, 55), np.float32), points)


def test_a_source_of_crops_takes_the_place_of_simulated_faces():
    white = lambda rng, size_hw: np.full((*size_hw, 3), 255, np.uint8)  # noqa: E731
    sim = FaceScenes(oval, white, n_faces=(3, 3), negatives=(0, 0), size_hw=(100, 140), sizes=(30, 50))
    scene = draw(sim)
    assert scene.persons == (None, None, None)
    assert np.isnan(scene.pose_deg).all()
    red = scene.image[..., 0] > scene.image[..., 1].astype(int) + 100
    assert np.mean(red == (scene.faces > 0)) > 0.97
    for box, points in zip(scene.whole_boxes, scene.points5, strict=True):
        share = (points + 0.5 - box[:2]) / (box[2:] - box[:2])
        np.testing.assert_allclose(share, (oval(None, 0).points5 + 0.5 - 5) / (40, 50), atol=0.02)


@settings(max_examples=12)
@given(
    style=st.sampled_from(scenes.STYLES),
    high=st.integers(32, 90),
    wide=st.integers(32, 90),
    most=st.integers(0, 4),
    things=st.integers(0, 2),
    law=st.sampled_from(list(scenes.SIZE_LAWS)),
    seed=st.integers(0, 2**31),
)
def test_whatever_is_asked_for_the_truth_is_whole(style, high, wide, most, things, law, seed):
    sim = FaceScenes(
        style=style, size_hw=(high, wide), n_faces=(0, most), negatives=(0, things), size_law=law, sizes=(8, 30)
    )
    scene = draw(sim, seed)
    count = len(scene.boxes)
    assert scene.image.shape == (high, wide, 3)
    assert count <= most
    assert len(scene.things) <= things
    assert (scene.boxes[:, 2:] >= scene.boxes[:, :2]).all()
    assert (scene.boxes >= 0).all()
    assert (scene.boxes <= np.array((wide, high, wide, high))).all()
    assert np.isfinite(scene.points5).all()
    assert set(np.unique(scene.faces)) <= set(range(count + 1))
    assert ((scene.faces == 0) | (scene.faces == scene.people)).all()
    assert (scene.wider >= 0).all()
    assert (scene.wider <= (2, 1, 1, 1, 2, 1)).all()
    seen = np.array([scene.mask(k).sum() for k in range(count)])
    assert (np.abs(seen - (1 - scene.hidden) * scene.area_px) <= 0.15 * scene.area_px + 12).all()


# ---------------------------------------------------------------- files
def test_what_is_written_is_read_back(tmp_path, several):
    empty = draw(FaceScenes(style="things", size_hw=(64, 64), sizes=(24, 40)))
    out = write_wider(tmp_path / "set", {"train": iter(several), "val": [empty]})
    table = read_table(out / "wider_face_split/wider_face_train_bbx_gt.txt")
    assert len(table) == 6
    for (name, rows), scene in zip(table, several, strict=True):
        assert name.startswith("0--Crowd/0_Crowd_")
        np.testing.assert_array_equal(rows[:, 4:], scene.wider)
        whole = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], 1)
        np.testing.assert_allclose(whole, scene.boxes, atol=0.51)
    read = wider_face(out, "train")
    for picture, scene in zip(read.pictures, several, strict=True):
        assert len(picture.boxes) == scene.valid.sum()
        near = np.abs(picture.read().astype(int) - scene.image).mean()
        assert near < 8
    (nothing,) = wider_face(out, "val").pictures
    assert nothing.boxes.shape == (0, 4)
    text = (out / "wider_face_split/wider_face_val_bbx_gt.txt").read_text()
    assert text == "3--Things/3_Things_00000.jpg\n0\n0 0 0 0 0 0 0 0 0 0\n"


def test_the_labels_of_points_are_those_of_retinaface(tmp_path, crowd):
    out = write_wider(tmp_path / "set", {"train": [crowd]})
    first, *rows = (out / "wider_face_split/wider_face_train_label.txt").read_text().splitlines()
    assert first == "# 0--Crowd/0_Crowd_00000.jpg"
    values = np.array([[float(v) for v in row.split()] for row in rows])
    assert values.shape == (len(crowd.boxes), 20)
    np.testing.assert_allclose(values[:, 4:19].reshape(-1, 5, 3)[..., :2], crowd.points5, atol=1e-3)


def interrupted():
    yield draw(SMALL)
    raise KeyboardInterrupt


def test_an_interrupt_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_wider(tmp_path / "set", {"train": interrupted()})
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_nothing_and_says_so(tmp_path, monkeypatch, crowd):
    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_wider, "_write", full)
    with pytest.raises(StoreError, match="the disk is full"):
        write_wider(tmp_path / "set", {"train": [crowd]})
    assert not list(tmp_path.iterdir())


def test_a_taken_folder_is_left_alone(tmp_path, crowd):
    (tmp_path / "mine").write_text("x")
    with pytest.raises(StoreError, match="taken"):
        write_wider(tmp_path, {"train": [crowd]})
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hello\n", "line 1.*name of a picture"),
        ("a.jpg\nmany\n", "line 2.*how many"),
        ("a.jpg\n1\n1 2 3\n", "line 3.*ten numbers"),
        ("a.jpg\n2\n1 2 3 4 0 0 0 0 0 0\n", "ten numbers"),
    ],
)
def test_a_table_of_another_layout_is_refused(tmp_path, text, says):
    (tmp_path / "t.txt").write_text(text)
    with pytest.raises(InputError, match=says):
        read_table(tmp_path / "t.txt")


def test_a_missing_table_is_said_in_words(tmp_path):
    with pytest.raises(StoreError, match="could not read"):
        wider_face(tmp_path)


# ---------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("words", "kind", "says"),
    [
        ({"style": "crowds"}, UnknownMethod, "crowd"),
        ({"size_law": "widre"}, UnknownMethod, "wider"),
        ({"negative_kinds": ("cta",)}, UnknownMethod, "cat"),
        ({"negative_kinds": "cat"}, InputError, "sequence of names"),
        ({"backgrounds": ("forrest",)}, UnknownMethod, "forest"),
        ({"n_faces": (5, 2)}, InputError, "n_faces"),
        ({"n_faces": 5}, InputError, "n_faces"),
        ({"sizes": (1, 20)}, InputError, "sizes"),
        ({"size_hw": (10, 10)}, InputError, "size_hw"),
        ({"likeness": 2.0}, InputError, "likeness"),
        ({"face_source": "lfw"}, InputError, "face_source"),
    ],
)
def test_bad_arguments_are_refused(words, kind, says):
    with pytest.raises(kind, match=says):
        FaceScenes(**words)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"size_law": lambda rng, n: np.zeros(n)}, "size_law"),
        ({"face_source": lambda rng, size: None}, "expected a Crop"),
        ({"face_source": lambda rng, size: replace(oval(rng, size), mask=np.zeros((2, 2)))}, "mask"),
        ({"backgrounds": lambda rng, size_hw: np.zeros((2, 2, 3), np.uint8)}, "backgrounds"),
    ],
)
def test_what_a_callable_gives_is_checked(words, says):
    with pytest.raises(InputError, match=says):
        draw(replace(SMALL, n_faces=(2, 2), **words))


def test_bad_calls_are_refused(tmp_path, crowd):
    with pytest.raises(InputError, match="alpha"):
        noise_stimuli(np.random.default_rng(0), -1.0)
    with pytest.raises(InputError, match="index"):
        crowd.mask(99)
    with pytest.raises(InputError, match="splits"):
        write_wider(tmp_path / "a", {})
    with pytest.raises(InputError, match="splits"):
        write_wider(tmp_path / "a", {"../x": []})
    with pytest.raises(InputError, match="quality"):
        write_wider(tmp_path / "a", {"train": []}, quality=0)
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- a real detector
BANDS = ((8, 16), (16, 32), (32, 64), (64, 128), (128, 257))


def recall_by_size(detector, found):
    """{band: (found, of)} over valid, frontal faces that nothing hides."""
    table = {band: [0, 0] for band in BANDS}
    for scene in found:
        boxes = detector.detect([scene.image], min_score=0.6)[0].boxes
        for k, box in enumerate(scene.boxes):
            height = float(box[3] - box[1])
            if scene.hidden[k] > 0.1 or np.abs(scene.pose_deg[k]).max() > 30 or scene.blur_px[k] > 0.05 * height:
                continue
            band = next((b for b in BANDS if b[0] <= height < b[1]), None)
            if band is not None:
                table[band][1] += 1
                table[band][0] += bool(len(boxes)) and bool((iou(box[None], boxes) > 0.4).any())
    return {band: tuple(counts) for band, counts in table.items()}


@pytest.fixture(scope="module")
def many():
    sim = FaceScenes(n_faces=(6, 9), negatives=(0, 3), size_law="log-uniform", sizes=(12, 150), size_hw=(320, 420))
    sim = replace(sim, world=replace(sim.world, occluders=0.0, eyewear=0.1))
    return [draw(sim, k) for k in range(5)]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("centerface", marks=pytest.mark.models),
        pytest.param("yunet", marks=pytest.mark.models(cards=["yunet_n"])),
    ],
)
def test_a_detector_of_photographs_finds_large_frontal_faces(name, many):
    table = recall_by_size(load(name), many)
    for band, (hit, total) in table.items():
        print(f"{name}, faces of {band[0]} to {band[1] - 1} pixels: {hit} of {total}")
    hit, total = (sum(table[b][k] for b in BANDS[2:]) for k in (0, 1))
    assert total >= 8
    assert hit >= 0.85 * total
