"""The pipeline on real photographs (marker models) and on stand-in parts (always)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import vultus
from vultus.errors import InputError, NoFace, SpaceMismatch, UnknownMethod
from vultus.gallery import open_gallery
from vultus.io import images as io_images
from vultus.pipeline import Encoded, Pipeline
from vultus.pipeline._encode import full_size_if_needed, scaled
from vultus.types import Detections, Embedded, Image, Template


@pytest.fixture(scope="module")
def pipe(models_home) -> Pipeline:
    return vultus.Pipeline()


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    """The photographs of `make demo`; skipped, loudly, when there is no network and they were never fetched."""
    from examples.demo import shipped_photographs

    folder = tmp_path_factory.mktemp("photographs")
    try:
        shipped_photographs(folder)
    except InputError as error:
        pytest.skip(str(error))
    return folder


def test_scaling_moves_boxes_by_edges_and_points_by_centers() -> None:
    found = Detections([[1, 2, 3, 4]], [0.9], np.full((1, 5, 2), 1.0))
    half = Image(np.zeros((4, 4, 3), np.uint8), "", None, 2, (7, 8))  # 7 rows were stored: the last small one is half
    full = scaled(found, half)
    assert full.boxes.tolist() == [[2, 4, 6, 7]]
    assert full.points is not None
    # The center of small pixel 1 lies between the centers of big pixels 2 and 3.
    assert full.points[0, 0].tolist() == [2.5, 2.5]
    assert scaled(found, Image(np.zeros((4, 4, 3), np.uint8), "")) is found


def test_a_small_face_in_a_reduced_picture_is_cut_from_the_full_one(tmp_path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (1600, 1600, 3), np.uint8)
    path = tmp_path / "big.jpg"
    io_images.write(path, noise)
    image = io_images.read(path, max_side=640)
    assert image.reduction == 2
    points = np.full((1, 5, 2), 30.0)
    small = Detections([[10, 10, 60, 60]], [0.9], points)
    full, moved = full_size_if_needed(image, small, (112, 112))
    assert full.reduction == 1
    assert full.pixels.shape == (1600, 1600, 3)
    assert moved.boxes.tolist() == [[20, 20, 120, 120]]
    large = Detections([[10, 10, 200, 200]], [0.9], points)
    assert full_size_if_needed(image, large, (112, 112))[0] is image


def test_main_face_is_the_largest_or_the_central_one() -> None:
    boxes = [[0, 0, 60, 60], [45, 45, 55, 55]]
    vectors = np.eye(2, dtype=np.float32)
    encoded = Encoded(
        None, "", (100, 100), Detections(boxes, [0.9, 0.8]), Embedded(vectors, "s@1"), np.ones(2, np.float32)
    )
    assert encoded.main() == 0
    assert encoded.main("central") == 1
    none = Encoded(
        "x.jpg", "", (9, 9), Detections(np.zeros((0, 4)), []), Embedded(np.zeros((0, 2)), "s@1"), np.zeros(0)
    )
    with pytest.raises(NoFace, match=r"x\.jpg"):
        none.main()


def test_unknown_preset_suggests_near_ones() -> None:
    with pytest.raises(UnknownMethod, match="accurate"):
        Pipeline("acurate")


@pytest.mark.models
def test_many_equals_one_by_one(pipe, photographs) -> None:
    paths = io_images.list_pictures(photographs)
    many = pipe.encode(paths)
    for path, together in zip(paths, many, strict=True):
        alone = pipe.encode(path)
        np.testing.assert_allclose(alone.detections.boxes, together.detections.boxes, atol=0.05)
        assert (alone.embedded.vec * together.embedded.vec).sum(axis=1) == pytest.approx(1.0, abs=1e-5)
        assert alone.sha256 == together.sha256


@pytest.mark.models
def test_stream_returns_errors_in_their_place(pipe, photographs, tmp_path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_text("not a picture")
    good = io_images.list_pictures(photographs)[0]
    results = list(pipe.stream([good, bad, tmp_path / "missing.jpg", good]))
    assert [type(r).__name__ for r in results] == ["Encoded", "InputError", "InputError", "Encoded"]


@pytest.mark.models
@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_boxes_are_in_pixels_of_the_upright_picture(pipe, photographs, tmp_path, turn) -> None:
    """The same photograph stored sideways with the EXIF tag that says so gives the same box."""
    import PIL.Image

    source = photographs / "people/Eileen Collins/portrait.png"
    upright = PIL.Image.open(source).convert("RGB")
    exif = PIL.Image.Exif()
    exif[0x0112] = {0: 1, 1: 6, 2: 3, 3: 8}[turn]  # turn it counterclockwise; the tag turns it back
    path = tmp_path / "turned.png"
    upright.rotate(90 * turn, expand=True).save(path, exif=exif)
    want = pipe.detect(source)
    got = pipe.detect(path)
    np.testing.assert_array_equal(got.boxes, want.boxes)


@pytest.mark.models
def test_reduced_decoding_changes_no_decision(pipe, photographs) -> None:
    """A big JPEG is decoded at half size; the vector stays the vector of the full one."""
    path = photographs / "probes/blue-room.jpg"
    assert io_images.read(path, max_side=640).reduction > 1
    full = pipe.encode(io_images.read(path).pixels)
    reduced = pipe.encode(path)
    assert reduced.size_hw == full.size_hw == (2333, 1434)
    assert float(full.template().vector @ reduced.template().vector) > 0.98
    np.testing.assert_allclose(full.detections.boxes[full.main()], reduced.detections.boxes[reduced.main()], atol=8)


@pytest.mark.models
def test_verify_accepts_the_same_person_and_refuses_another(pipe, photographs) -> None:
    obama = photographs / "people/Barack Obama/portrait.jpg"
    same = pipe.verify(obama, photographs / "probes/blue-room.jpg", fmr=1e-3)
    other = pipe.verify(obama, photographs / "probes/a-stranger.jpg", fmr=1e-3)
    assert same.outcome == "accept"
    assert other.outcome == "reject"
    assert same.fmr.value == pytest.approx(1e-3, rel=0.5)
    assert same.fmr.n > 1000
    assert same.calibration
    assert same.threshold == other.threshold


@pytest.mark.models
def test_verify_refuses_what_it_cannot_know(pipe, photographs) -> None:
    foreign = Template(np.eye(4)[0], "other@000000000000")
    with pytest.raises(SpaceMismatch):
        pipe.verify(foreign, foreign)
    with pytest.raises(InputError, match="support"):
        pipe.verify(photographs / "probes/blue-room.jpg", photographs / "probes/blue-room.jpg", fmr=1e-12)
    with pytest.raises(NoFace):
        pipe.verify(np.full((64, 64, 3), 127, np.uint8), photographs / "probes/blue-room.jpg")


@pytest.mark.models
def test_enroll_and_identify(pipe, photographs, tmp_path) -> None:
    with open_gallery(tmp_path / "people.db") as gallery:
        done = list(pipe.enroll_folder(photographs / "people", gallery))
        assert [(e.name, e.used, e.refused) for e in done] == [("Barack Obama", 2, ()), ("Eileen Collins", 1, ())]
        again = list(pipe.enroll_folder(photographs / "people", gallery))
        assert [(e.used, e.known) for e in again] == [(0, 2), (0, 1)]
        (decision,) = pipe.identify(photographs / "probes/blue-room.jpg", gallery)
        assert decision.outcome == "accept"
        assert decision.match is not None
        assert decision.match.name == "Barack Obama"
        (stranger,) = pipe.identify(photographs / "probes/a-stranger.jpg", gallery)
        assert stranger.outcome == "reject"
        ((best, *_),) = pipe.search(photographs / "probes/a-stranger.jpg", gallery)
        assert best.rank == 1
        assert best.score < stranger.threshold


@pytest.mark.models
def test_enrolling_explains_what_it_refuses(pipe, photographs, tmp_path) -> None:
    blank = tmp_path / "blank.png"
    io_images.write(blank, np.full((300, 300, 3), 90, np.uint8))
    two = tmp_path / "two.png"
    face = io_images.read(photographs / "people/Eileen Collins/portrait.png").pixels
    io_images.write(two, np.concatenate([face, face], axis=1))
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff")
    obama = photographs / "people/Barack Obama/portrait.jpg"
    with open_gallery(tmp_path / "people.db") as gallery:
        pipe.enroll("Barack Obama", [obama], gallery)
        done = pipe.enroll("Eileen Collins", [blank, two, broken, obama], gallery)
        assert done.used == 0
        assert done.identity is None
        reasons = dict(done.refused)
        assert "no face" in reasons[str(blank)]
        assert "similar size" in reasons[str(two)]
        assert "broken.jpg" in reasons[str(broken)]
        assert "Barack Obama" in reasons[str(obama)]
        again = pipe.enroll("Somebody", [obama], gallery, force=True)  # one face of one picture is one person
        assert (again.used, "already" in again.refused[0][1]) == (0, True)
        copy = tmp_path / "copy.png"
        io_images.write(copy, io_images.read(obama).pixels)
        assert pipe.enroll("Somebody", [copy], gallery, force=True).used == 1
        (face,) = gallery.faces(person_id=gallery.named("Somebody")[0].id)
        assert face.box is not None
        assert io_images.read(gallery.crop(face.id)).pixels.shape == (160, 160, 3)


@pytest.mark.models
def test_pictures_come_as_paths_bytes_arrays_and_images(pipe, photographs) -> None:
    path = photographs / "people/Eileen Collins/portrait.png"
    pixels = io_images.read(path).pixels
    want = pipe.detect(path).boxes
    for picture in (str(path), path.read_bytes(), pixels, Image(pixels, "0" * 64)):
        np.testing.assert_array_equal(pipe.detect(picture).boxes, want)
    many = pipe.detect([path, pixels])
    assert len(many) == 2


@pytest.mark.models
def test_a_photo_on_its_side_is_found_upright(pipe, photographs) -> None:
    """Without an EXIF tag nobody knows the direction; the search for it gives box, points and the same person."""
    source = io_images.read(photographs / "people/Eileen Collins/portrait.png").pixels
    (want,) = pipe.encode(source).detections.boxes
    height = source.shape[0]
    turned = np.ascontiguousarray(np.rot90(source, -1))  # clockwise: (x, y) goes to (height - y, x)
    found = vultus.Pipeline(upright=True).encode(turned)
    left, top, right, bottom = want
    np.testing.assert_allclose(found.detections.boxes[0], [height - bottom, left, height - top, right], atol=6)
    assert float(found.template().vector @ pipe.encode(source).template().vector) > 0.97


@pytest.mark.models
def test_tiles_find_what_is_small_in_a_large_picture(pipe, photographs) -> None:
    portrait = io_images.read(photographs / "people/Eileen Collins/portrait.png").pixels[::4, ::4]  # face of 29 px
    wall = np.full((3000, 3000, 3), 128, np.uint8)
    wall[2000 : 2000 + len(portrait), 1500 : 1500 + portrait.shape[1]] = portrait
    assert len(pipe.detect(wall)) == 0
    (box,) = vultus.Pipeline(tile=640).detect(wall).boxes
    assert 1500 < box[0] < box[2] < 1628
    assert 2000 < box[1] < box[3] < 2128


@pytest.mark.models
def test_a_rate_measured_with_another_alignment_is_called_an_estimate(models_home) -> None:
    def decision(pipe: Pipeline) -> str:
        face = Template(np.eye(128, dtype=np.float32)[0], pipe.space)
        return pipe.verify(face, face).calibration

    assert "estimate" not in decision(Pipeline())
    assert decision(Pipeline(detector="yunet")).endswith("aligns by yunet, so the rate is an estimate")
