"""What a pipeline refuses, and that it does so before any work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.gallery.test_compat import OLD, two_networks
from vultus import catalogue, open_gallery
from vultus.errors import InputError, SpaceMismatch, StoreError, UnknownMethod, VultusError
from vultus.gallery import Gallery, calibrate, compat
from vultus.io import images as io_images
from vultus.pipeline import Encoded, Pipeline
from vultus.pipeline._enroll import people_folders
from vultus.types import Detections, Embedded, Template

BLANK = np.full((120, 120, 3), 127, np.uint8)


@pytest.mark.parametrize("threads", [0, -1, 10**6, 2.5, "2", True])
def test_threads(threads) -> None:
    with pytest.raises(InputError, match="threads"):
        Pipeline(threads=threads)


@pytest.mark.parametrize("score", [-0.1, 2, float("nan"), "high"])
def test_min_score(score) -> None:
    with pytest.raises(InputError, match="min_score"):
        Pipeline(min_score=score)


@pytest.mark.parametrize("name", [None, 5, [], "", "fusd"])
def test_names_of_presets_and_rows(name) -> None:
    with pytest.raises(UnknownMethod):
        Pipeline(name)
    with pytest.raises(UnknownMethod):
        catalogue.row(name)


@pytest.mark.parametrize(
    "parts", [{"detector": "facemesh"}, {"embedder": "centerface"}, {"refiner": "pfld"}, {"refiner": "centerface"}]
)
def test_a_row_of_another_room_cannot_take_the_part(models_home, parts) -> None:
    with pytest.raises(InputError, match=f"{next(iter(parts))}: expected a row that can"):
        Pipeline(**parts).encode(BLANK)


@pytest.mark.parametrize("many", ["photo.jpg", Path("photo.jpg"), b"\xff\xd8", BLANK, None, 7])
def test_one_picture_is_not_a_stream(many) -> None:
    with pytest.raises(InputError, match="iterable"):
        Pipeline().stream(many)


def test_faces_of_an_encoded_picture() -> None:
    encoded = Encoded(
        "x.jpg", "", (9, 9), Detections([[0, 0, 5, 5]], [0.9]), Embedded(np.eye(1, 4), "s@1"), np.ones(1, np.float32)
    )
    for index in (-1, 1, "0", 0.5):
        with pytest.raises(InputError, match="index"):
            encoded.template(index)
    with pytest.raises(InputError, match="largest"):
        encoded.main("biggest")


@pytest.fixture
def gallery(tmp_path) -> Gallery:
    return open_gallery(tmp_path / "people.db")


@pytest.mark.models
def test_what_is_no_gallery(models_home) -> None:
    pipe = Pipeline()
    for thing in (None, "people.db", Path("people.db")):
        for call in (pipe.identify, pipe.search):
            with pytest.raises(InputError, match="open_gallery"):
                call(BLANK, thing)
        with pytest.raises(InputError, match="open_gallery"):
            pipe.enroll("Ann", [BLANK], thing)


@pytest.mark.models
def test_rates_are_checked_even_where_no_face_is(models_home, gallery) -> None:
    for fmr in (0, 1, 1e-12, float("nan"), None, "0.001"):
        with pytest.raises(InputError, match="fmr"):
            Pipeline().identify(BLANK, gallery, fmr=fmr)
        with pytest.raises(InputError, match="fmr"):
            Pipeline().verify(BLANK, BLANK, fmr=fmr)


@pytest.mark.models
def test_another_space_is_refused_even_where_no_face_is(models_home, gallery) -> None:
    gallery.enroll("Ann", np.eye(1, 128, dtype=np.float32), None, None, "other@000000000000")
    pipe = Pipeline()
    for call in (pipe.identify, pipe.search):
        with pytest.raises(SpaceMismatch, match="other@"):
            call(BLANK, gallery)
    with pytest.raises(SpaceMismatch, match="other@"):
        pipe.enroll("Ann", [BLANK], gallery)


@pytest.mark.models
def test_a_registered_pair_is_looked_up_and_never_enrolled(models_home, gallery) -> None:
    """An old network's gallery, a new network's probe: with its own calibration, once it is registered."""
    pipe, (old, new, who) = Pipeline(), two_networks()
    gallery.enroll("Ada", old[who == 1], None, None, OLD)
    seen = Encoded(
        "x.jpg", "", (9, 9), Detections([[0, 0, 5, 5]], [0.9]), Embedded(new[5:6], pipe.space), np.ones(1, np.float32)
    )
    with pytest.raises(SpaceMismatch):
        pipe.identify(seen, gallery, fmr=1e-2)
    rng = np.random.default_rng(0)
    pair = compat.measure(old, new, who, spaces=(OLD, pipe.space), dataset="drawn", rng=rng)
    compat.register(pair)
    try:
        with pytest.raises(StoreError, match="no calibration"):
            pipe.check(gallery, 1e-2)
        origin = calibrate.Origin(pair.space, "by hand", "drawn people", "sim")
        calibrate.save(calibrate.fit(compat.comparisons(old, new, who), origin, rng=rng, n_boot=20))
        pipe.check(gallery, 1e-2)
        (decision,) = pipe.identify(seen, gallery, fmr=1e-2)
        assert decision.accepted
        assert decision.match.name == pipe.search(seen, gallery)[0][0].name == "Ada"
        assert "drawn people" in decision.calibration
        assert "so the rate is an estimate" in decision.calibration
        for call in (pipe.check, lambda gallery: pipe.enroll("Ada", [BLANK], gallery)):
            with pytest.raises(SpaceMismatch, match="v1@"):
                call(gallery)
    finally:
        compat.withdraw(pipe.space, OLD)


@pytest.mark.models
def test_vectors_that_are_none(models_home) -> None:
    pipe = Pipeline()
    good = Template(np.eye(1, 128, dtype=np.float32)[0], pipe.space)
    with pytest.raises(InputError, match="finite"):
        Template(np.full(128, np.nan, np.float32), pipe.space)
    with pytest.raises(InputError, match="one length"):
        pipe.verify(good, Template(np.eye(1, 64, dtype=np.float32)[0], pipe.space))
    with pytest.raises(SpaceMismatch):
        pipe.verify(good, Template(good.vector, "other@000000000000"))


@pytest.mark.models
def test_a_single_picture_may_be_enrolled_without_a_list(models_home, gallery, tmp_path) -> None:
    path = tmp_path / "blank.png"
    io_images.write(path, BLANK)
    for one in (path, str(path), BLANK):
        result = Pipeline().enroll(" Ann ", one, gallery)
        assert (result.name, result.used, [reason for _, reason in result.refused]) == ("Ann", 0, ["no face found"])
    assert Pipeline().enroll("Ann", [], gallery).refused == ()
    for name in (None, "", "  ", 5):
        with pytest.raises(InputError, match="name"):
            Pipeline().enroll(name, one, gallery)


@pytest.mark.parametrize("thing", [None, 5, "", b"x", [], object(), "a\0b", "nowhere"])
def test_what_is_no_folder_and_no_picture(thing) -> None:
    with pytest.raises(VultusError):
        people_folders(thing)
    with pytest.raises(VultusError):
        io_images.list_pictures(thing)
    with pytest.raises(VultusError):
        io_images.read(thing)
    with pytest.raises(VultusError):
        io_images.write(thing, BLANK)
