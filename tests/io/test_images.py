"""Pictures in and out. Peers: Pillow's own decoder, its `exif_transpose`, and its draft mode."""

from __future__ import annotations

import gc
import hashlib
import io
import os
import struct
import threading
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.io import corpus
from vultus.errors import InputError, StoreError, VultusError
from vultus.io import images
from vultus.io.images import Limits, list_pictures, read, read_many, write
from vultus.types import Image

GRADIENT = corpus.gradient()
NOISE = np.random.default_rng(7).integers(0, 256, (97, 83, 3), np.uint8)


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return corpus.bad_pictures(tmp_path_factory.mktemp("bad"))


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return corpus.odd_pictures(tmp_path_factory.mktemp("odd"))


def off(a: np.ndarray, b: np.ndarray) -> float:
    assert a.shape == b.shape
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


# -- what must be refused -------------------------------------------------------------------------------------------


def test_every_bad_picture_is_refused_in_words(bad: dict[str, Path]) -> None:
    for name, path in bad.items():
        with pytest.raises(InputError) as caught:
            read(path)
        message = str(caught.value)
        assert message.startswith(str(path)), name
        assert "expected" in message, name
        assert "Traceback" not in message, name
        assert "unpack_from" not in message, name
        assert len(message) - len(str(path)) < 200, name


def test_bad_bytes_are_refused_like_bad_files(bad: dict[str, Path]) -> None:
    for path in bad.values():
        if path.is_file():
            with pytest.raises(InputError):
                read(path.read_bytes())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("text.jpg", "text that starts with"),
        ("page.png", "a web page"),
        ("phone.heic.jpg", "convert it to JPEG"),
        ("empty.jpg", "0 bytes"),
        ("truncated.jpg", "truncated"),
        ("truncated.png", "truncated"),
        ("huge.png", "30000x30000 (900 megapixels)"),
        ("huge.jpg", "30000x30000 (900 megapixels)"),
        ("endless.jpg", "scans"),
        ("folder.jpg", "got a folder"),
        ("missing.jpg", "nothing at this path"),
        ("too_many_bytes.jpg", "at most 67108864 bytes"),
        ("nan.tif", "NaN"),
    ],
)
def test_refusals_say_what_came(bad: dict[str, Path], name: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        read(bad[name])
    assert words in str(caught.value)


def test_a_huge_header_is_refused_before_memory_is_taken(bad: dict[str, Path]) -> None:
    import tracemalloc

    for name in ("huge.png", "huge.jpg", "huge.bmp", "huge.gif", "huge.ppm", "huge.tif"):
        tracemalloc.start()
        with pytest.raises(InputError):
            read(bad[name])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1_000_000, name


def test_limits_count_stored_pixels_and_can_be_moved() -> None:
    data = corpus.encoded(GRADIENT, "JPEG")
    height, width = GRADIENT.shape[:2]
    assert read(data, limits=Limits(max_pixels=height * width)).pixels.shape == GRADIENT.shape
    with pytest.raises(InputError, match="megapixels"):
        read(data, limits=Limits(max_pixels=height * width - 1))
    with pytest.raises(InputError, match="bytes"):
        read(data, limits=Limits(max_bytes=len(data) - 1))
    with pytest.raises(InputError, match="megapixels"):
        read(GRADIENT, limits=Limits(max_pixels=100))
    with pytest.raises(InputError, match="megapixels"):
        read(PIL.Image.fromarray(GRADIENT), limits=Limits(max_pixels=100))


def test_a_tiff_may_not_hide_a_bomb_in_its_tiles() -> None:
    tags = {256: 8, 257: 8, 258: 8, 259: 5, 262: 1, 277: 1, 322: 60_000, 323: 60_000, 324: 200, 325: 64}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    data = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(200)
    with pytest.raises(InputError, match="tiles"):
        read(data)


@pytest.mark.parametrize(
    ("array", "hint"),
    [
        (np.zeros((4, 4), np.uint8), "stack"),
        (np.zeros((4, 4, 1), np.uint8), "stack"),
        (np.zeros((4, 4, 4), np.uint8), "alpha"),
        (np.zeros((3, 8, 9), np.uint8), "channels come last"),
        (np.zeros((2, 4, 4, 3), np.uint8), "one picture at a time"),
        (np.zeros((4, 4, 3), np.float32), "uint8"),
        (np.zeros((4, 4, 3), np.uint16), "uint8"),
        (np.zeros((0, 4, 3), np.uint8), "no pixels"),
        (np.zeros((4, 4, 2), np.uint8), "(4, 4, 2)"),
    ],
)
def test_arrays_of_another_kind_are_refused_with_a_hint(array: np.ndarray, hint: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="uint8 RGB") as caught:
        read(array)
    assert hint in str(caught.value)
    with pytest.raises(InputError):
        write(tmp_path / "x.png", array)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("source", [None, 3, ["a.jpg"], object()])
def test_things_that_are_no_source(source: object) -> None:
    with pytest.raises(InputError, match=type(source).__name__):
        read(source)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["a\0b.jpg", "x" * 5000, __file__ + "/in_a_file.jpg"])
def test_paths_that_name_nothing(path: str) -> None:
    with pytest.raises(InputError):
        read(path)


@pytest.mark.parametrize("kwargs", [{"max_side": 0}, {"truncated": "maybe"}])
def test_arguments_out_of_range(kwargs: dict[str, object]) -> None:
    with pytest.raises(InputError):
        read(GRADIENT, **kwargs)  # type: ignore[arg-type]


def test_a_file_that_may_not_be_read_is_a_store_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "locked.png"
    write(path, GRADIENT)
    if os.geteuid() == 0:  # root reads everything: let the system call say what it says to others

        def refuse(*args: object, **kwargs: object) -> int:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "open", refuse)
    else:
        path.chmod(0)
    with pytest.raises(StoreError, match="Permission denied"):
        read(path)


@pytest.mark.parametrize("seed", range(200))
def test_flipped_bytes_never_raise_anything_else(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kinds = [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {}), ("GIF", {}), ("TIFF", {})]
    kind, options = kinds[seed % len(kinds)]
    small = NOISE[: 8 + seed % 50, : 8 + seed % 37]
    data = bytearray(corpus.encoded(small, kind, **options))
    region = len(data) if seed % 2 else min(len(data), 300)  # half of the cases hit the headers
    for at in rng.integers(0, region, 1 + seed % 12):
        data[at] = rng.integers(256)
    if seed % 7 == 0:
        del data[rng.integers(1, len(data)) :]
    try:
        result = read(bytes(data), truncated="accept" if seed % 3 else "refuse")
    except InputError:
        return
    assert result.pixels.dtype == np.uint8
    assert result.pixels.ndim == 3
    assert result.pixels.shape[2] == 3


# -- what must be read ----------------------------------------------------------------------------------------------

GRAY = {"gray.jpg", "gray.png", "gray.pgm", "gray16.png", "gray16.tif", "float.tif"}
EXACT = {"rgb16.png", "rgb16.tif", "cmyk.tif", "animated.webp", "animated.png", "lossless.jp2", "png_in_disguise.jpg"}
TOO_SMALL = {"one_pixel.png": (1, 1, 3), "one_row.png": (1, 64, 3), "one_column.jpg": (48, 1, 3)}


def test_every_odd_picture_is_read(odd: dict[str, Path]) -> None:
    gray = np.repeat(np.asarray(PIL.Image.fromarray(GRADIENT).convert("L"))[:, :, None], 3, axis=2)
    for name, path in odd.items():
        pixels = read(path).pixels
        if name in TOO_SMALL:
            assert pixels.shape == TOO_SMALL[name]
        elif name in GRAY:
            assert off(pixels, gray) <= 1.0, name
        elif name in EXACT or (name.startswith("exif") and not name.endswith("jpg")):
            np.testing.assert_array_equal(pixels, GRADIENT, err_msg=name)
        elif name in {"one_bit.png", "gray_alpha.png"}:
            assert (np.ptp(pixels, axis=2) == 0).all(), name
        else:
            assert off(pixels[:, 1:], GRADIENT[:, 1:]) < 5, name


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_eight_orientations_give_the_upright_picture(odd: dict[str, Path], suffix: str) -> None:
    upright = read(odd[f"exif_1.{suffix}"]).pixels
    for orientation in corpus.ORIENTATIONS:
        path = odd[f"exif_{orientation}.{suffix}"]
        turned = read(path).pixels
        with PIL.Image.open(path) as peer:
            expected = np.asarray(PIL.ImageOps.exif_transpose(peer).convert("RGB"))
        np.testing.assert_array_equal(turned, expected)
        assert turned.shape == upright.shape
        assert off(turned, upright) <= (0.6 if suffix == "jpg" else 0)


def test_orientation_of_a_known_corner() -> None:
    """TIFF 6.0: orientation 6 stores the picture's top at the right-hand side."""
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :8] = (255, 0, 0)
    stored = np.zeros((32, 16, 3), np.uint8)
    stored[-8:, :8] = (255, 0, 0)  # row 0 is the visual right-hand side, column 0 is the visual top
    data = corpus.encoded(stored, "PNG", exif=corpus.exif(6))
    np.testing.assert_array_equal(read(data).pixels, upright)


def test_pillow_pictures_are_turned_too(odd: dict[str, Path]) -> None:
    with PIL.Image.open(odd["exif_6.png"]) as opened:
        np.testing.assert_array_equal(read(opened).pixels, GRADIENT)


def test_known_inks() -> None:
    """255 (1 - ink)(1 - black): pure cyan and yellow inks are green; Adobe stores JPEG inks inverted."""
    inks = PIL.Image.new("CMYK", (16, 16), corpus.GREEN_INK)
    for kind in ("TIFF", "JPEG"):
        pixels = read(corpus.encoded(inks, kind)).pixels
        assert np.abs(pixels.astype(int) - (0, 255, 0)).max() <= 2, kind
    half = PIL.Image.new("CMYK", (16, 16), (0, 0, 0, 128))
    assert np.abs(read(corpus.encoded(half, "TIFF")).pixels.astype(int) - 127).max() <= 1


def test_what_is_transparent_is_white_whatever_lies_under_it() -> None:
    rgba = np.dstack([GRADIENT, np.full(GRADIENT.shape[:2], 0, np.uint8)])
    assert (read(corpus.encoded(rgba, "PNG")).pixels == 255).all()
    rgba[:, :, 3] = 128
    expected = GRADIENT.astype(int) * 128 / 255 + 255 * 127 / 255
    assert np.abs(read(corpus.encoded(rgba, "PNG")).pixels - expected).max() <= 1
    keyed = corpus.encoded(np.zeros((4, 4, 3), np.uint8), "PNG", transparency=(0, 0, 0))
    assert (read(keyed).pixels == 255).all()


def test_sixteen_bits_keep_the_high_byte() -> None:
    values = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    expected = np.repeat((values >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
    for kind in ("PNG", "TIFF"):
        np.testing.assert_array_equal(read(corpus.encoded(PIL.Image.fromarray(values), kind)).pixels, expected)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.0, 0.5, 1.0], [0, 128, 255]), ([0.0, 7.0, 255.0], [0, 7, 255]), ([0.0, 256.0, 65535.0], [0, 1, 255])],
)
def test_float_pictures_by_their_range(values: list[float], expected: list[int]) -> None:
    picture = PIL.Image.fromarray(np.array([values], np.float32))
    assert read(corpus.encoded(picture, "TIFF")).pixels[0, :, 0].tolist() == expected


def test_the_first_frame_of_an_animation(odd: dict[str, Path]) -> None:
    for name in ("animated.gif", "animated.webp", "animated.png", "two_pictures.mpo"):
        assert off(read(odd[name]).pixels, GRADIENT) < 5, name


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 30}, {"optimize": True}]
)
def test_jpeg_is_what_pillow_decodes_bit_for_bit(options: dict[str, object]) -> None:
    for picture in (GRADIENT, NOISE, NOISE[:, :, 0]):
        data = corpus.encoded(picture, "JPEG", **options)
        with PIL.Image.open(io.BytesIO(data)) as peer:
            np.testing.assert_array_equal(read(data).pixels, np.asarray(peer.convert("RGB")))


def test_a_picture_knows_its_file(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write(path, GRADIENT)
    image = read(path)
    assert image.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert image.source == str(path)
    assert image.reduction == 1
    assert read(path.read_bytes()).sha256 == image.sha256
    assert read(str(path)).sha256 == image.sha256
    assert read(image) is image


def test_arrays_are_copied_and_told_apart() -> None:
    mine = GRADIENT.copy()
    image = read(mine)
    mine[:] = 0
    np.testing.assert_array_equal(image.pixels, GRADIENT)
    assert image.sha256 == read(PIL.Image.fromarray(GRADIENT)).sha256
    assert image.sha256 != read(mine).sha256
    assert read(np.zeros((2, 3, 3), np.uint8)).sha256 != read(np.zeros((3, 2, 3), np.uint8)).sha256
    assert read(GRADIENT[:, ::-1]).pixels.flags.c_contiguous
    with pytest.raises(ValueError, match="read-only"):
        image.pixels[0, 0, 0] = 1


# -- truncated ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_ends_early_is_refused_or_kept(progressive: bool) -> None:
    data = corpus.encoded(NOISE, "JPEG", progressive=progressive, quality=95)
    whole = read(data).pixels
    cut = data[: int(len(data) * 0.7)]
    with pytest.raises(InputError, match="truncated"):
        read(cut)
    kept = read(cut, truncated="accept").pixels
    assert kept.shape == whole.shape
    if not progressive:
        rows = NOISE.shape[0] // 2
        np.testing.assert_array_equal(kept[:rows], whole[:rows])
    np.testing.assert_array_equal(read(data[:-2], truncated="accept").pixels, whole)  # only the end marker is gone
    np.testing.assert_array_equal(read(data, truncated="accept").pixels, whole)


def test_other_formats_that_end_early_are_always_refused(bad: dict[str, Path]) -> None:
    for name in ("truncated.png", "truncated.webp", "truncated.gif", "truncated.tif", "truncated.bmp"):
        with pytest.raises(InputError):
            read(bad[name], truncated="accept")


# -- reduced decoding -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("max_side", "factor"), [(None, 1), (401, 1), (400, 2), (201, 2), (200, 4), (101, 4), (100, 8)]
)
def test_reduction_never_falls_below_what_is_asked(max_side: int | None, factor: int) -> None:
    picture = corpus.gradient(600, 800)
    data = corpus.encoded(picture, "JPEG", quality=95)
    image = read(data, max_side=max_side)
    assert image.reduction == factor
    assert image.pixels.shape == (600 // factor, 800 // factor, 3)
    if max_side is not None and factor > 1:
        assert max(image.pixels.shape[:2]) >= max_side
    blocks = picture.reshape(600 // factor, factor, 800 // factor, factor, 3).mean(axis=(1, 3))
    assert np.abs(image.pixels - blocks).mean() < 1.5  # each small pixel covers factor x factor stored ones


def test_reduced_pixels_are_those_of_pillow() -> None:
    data = corpus.encoded(corpus.gradient(203, 331), "JPEG")
    for factor in (2, 4, 8):
        with PIL.Image.open(io.BytesIO(data)) as peer:
            peer.draft("RGB", (331 // factor, 203 // factor))
            expected = np.asarray(peer)
        image = read(data, max_side=331 // factor)
        assert image.reduction == factor
        np.testing.assert_array_equal(image.pixels, expected)


@settings(max_examples=60, deadline=None)
@given(width=st.integers(1, 90), height=st.integers(1, 90), orientation=st.integers(1, 8), max_side=st.integers(1, 60))
def test_reduction_keeps_the_origin(width: int, height: int, orientation: int, max_side: int) -> None:
    """Whatever the size and orientation, small pixel (i, j) covers the stored block that starts at (f i, f j)."""
    data = corpus.with_exif(corpus.encoded(corpus.gradient(height, width), "JPEG"), corpus.exif(orientation))
    full, small = read(data).pixels, read(data, max_side=max_side)
    factor = small.reduction
    assert small.pixels.shape[:2] == tuple(-(-side // factor) for side in full.shape[:2])
    assert max(small.pixels.shape[:2]) >= min(max_side, max(full.shape[:2]))
    if factor > 1 and orientation not in (1, 5):
        assert width % factor == 0
        assert height % factor == 0


def test_a_truncated_jpeg_can_be_reduced() -> None:
    data = corpus.encoded(corpus.gradient(64, 96), "JPEG")
    image = read(data[:-30], max_side=40, truncated="accept")
    assert (image.reduction, image.pixels.shape) == (2, (32, 48, 3))


def test_other_formats_come_full_size() -> None:
    image = read(corpus.encoded(corpus.gradient(64, 96), "PNG"), max_side=10)
    assert (image.reduction, image.pixels.shape) == (1, (64, 96, 3))


# -- many -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 3])
def test_many_come_in_order_and_errors_are_items(odd: dict[str, Path], bad: dict[str, Path], workers: int) -> None:
    sources = [path for pair in zip(odd.values(), bad.values(), strict=False) for path in pair]
    results = list(read_many(sources, workers=workers))
    assert len(results) == len(sources)
    for source, result in zip(sources, results, strict=True):
        if source in bad.values():
            assert isinstance(result, InputError)
            assert str(source) in str(result)
        else:
            assert isinstance(result, Image)
            assert result.source == str(source)


def test_many_never_run_far_ahead() -> None:
    taken = []

    def sources():
        for i in range(50):
            taken.append(i)
            yield GRADIENT

    for done, _ in enumerate(read_many(sources(), workers=2, ahead=3), 1):
        assert len(taken) <= done + 3
    assert len(taken) == 50


def test_leaving_the_loop_stops_the_workers() -> None:
    before = threading.active_count()
    stream = read_many([GRADIENT] * 1000, workers=4)
    next(iter(stream))
    stream.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_an_interrupt_between_pictures_leaves_no_thread() -> None:
    before = threading.active_count()

    def loop() -> None:
        for _ in read_many([GRADIENT] * 1000, workers=2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop()
    gc.collect()
    assert threading.active_count() == before


def test_a_source_that_fails_fails_the_loop() -> None:
    def sources():
        yield GRADIENT
        raise RuntimeError("the list itself broke")

    with pytest.raises(RuntimeError, match="list itself"):
        list(read_many(sources()))


def test_errors_do_not_keep_pictures_alive() -> None:
    """A traceback holds its frames, and those hold the bytes of the file."""
    (error,) = read_many([b"\x89PNG\r\n\x1a\n" * 100])
    assert isinstance(error, VultusError)
    chain: BaseException | None = error
    length = 0
    while chain is not None:
        assert chain.__traceback__ is None
        chain, length = chain.__cause__ or chain.__context__, length + 1
    assert length > 1


@pytest.mark.parametrize("kwargs", [{"workers": 0}, {"ahead": 0}])
def test_many_check_their_arguments_at_once(kwargs: dict[str, int]) -> None:
    with pytest.raises(InputError):
        read_many([], **kwargs)


# -- write ----------------------------------------------------------------------------------------------------------

PICTURES = hnp.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3)))


@settings(max_examples=60, deadline=None)
@given(PICTURES)
def test_png_gives_back_what_went_in(tmp_path_factory: pytest.TempPathFactory, pixels: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("png") / "x.png"
    write(path, pixels)
    np.testing.assert_array_equal(read(path).pixels, pixels)


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.webp"])
def test_lossy_files_come_close(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, GRADIENT)
    assert off(read(tmp_path / name).pixels, GRADIENT) < 2.5


def test_files_hold_pixels_only(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "a.webp"):
        write(tmp_path / name, GRADIENT)
        with PIL.Image.open(tmp_path / name) as opened:
            assert dict(opened.getexif()) == {}
            assert not {"exif", "xmp", "icc_profile", "comment"} & set(opened.info)


@pytest.mark.parametrize("name", ["a.bmp", "a", "a.txt", ".png"])
def test_unknown_suffixes(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match=r"\.png, \.jpg"):
        write(tmp_path / name, GRADIENT)
    assert list(tmp_path.iterdir()) == []


def test_formats_have_their_largest_side(tmp_path: Path) -> None:
    long = np.zeros((1, 70_000, 3), np.uint8)
    for name in ("a.jpg", "a.webp"):
        with pytest.raises(InputError, match=r"use \.png"):
            write(tmp_path / name, long)
    write(tmp_path / "a.png", long)
    assert read(tmp_path / "a.png").pixels.shape == long.shape


def test_quality_has_a_range(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="quality"):
        write(tmp_path / "a.jpg", GRADIENT, quality=101)


def test_views_can_be_written(tmp_path: Path) -> None:
    write(tmp_path / "a.png", NOISE[::-1, ::2])
    np.testing.assert_array_equal(read(tmp_path / "a.png").pixels, NOISE[::-1, ::2])
    write(tmp_path / "b.png", read(NOISE).pixels)  # read-only


# -- folders --------------------------------------------------------------------------------------------------------


def test_pictures_of_a_folder(tmp_path: Path) -> None:
    for name in ("b.JPG", "a/2.png", "a/1.webp", ".hidden.jpg", ".git/x.png", "notes.txt", "a/readme.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [str(p.relative_to(tmp_path)) for p in list_pictures(tmp_path)] == ["a/1.webp", "a/2.png", "b.JPG"]
    assert list_pictures(str(tmp_path / ".git")) == [tmp_path / ".git/x.png"]


def test_a_folder_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing at this path"):
        list_pictures(tmp_path / "gone")
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(InputError, match="a file"):
        list_pictures(tmp_path / "file")


@pytest.mark.data
def test_every_lfw_picture_is_read(data_dir: Path) -> None:
    paths = list_pictures(data_dir / "lfw_deepfunneled")[::20]
    assert len(paths) > 300
    for image in read_many(paths, workers=2):
        assert isinstance(image, Image)
        assert image.pixels.shape == (250, 250, 3)


def test_public_names_are_all_here() -> None:
    assert all(hasattr(images, name) for name in images.__all__)


def test_linked_folders_are_listed_and_a_circle_of_links_ends(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a.jpg").touch()
    root = tmp_path / "root"
    root.mkdir()
    (root / "person").symlink_to(tmp_path / "real")
    (tmp_path / "real/up").symlink_to(root)
    (root / "dangling").symlink_to(tmp_path / "nothing")
    assert images.list_pictures(root) == [root / "person/a.jpg"]
