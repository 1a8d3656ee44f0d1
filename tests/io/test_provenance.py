"""Provenance in picture files: it comes back, nothing private stays, and the mark is held against it."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import struct

import numpy as np
import PIL.Image
import PIL.PngImagePlugin
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vultus.errors import InputError, StoreError
from vultus.io import images, provenance
from vultus.ops import mark
from vultus.types import Basis, Generated, Provenance

RECORD = Provenance(
    method="sim.faces",
    seed=7,
    basis_id="synthetic",
    parents=("ab" * 32,),
    loss_spaces=frozenset({"f_train@0123456789ab", 'a<b>&"c"'}),
    options={"strength": 0.5, "words": "Grüße, <x>&\"'", "none": None},
    version="0.1.0",
)
SUFFIXES = (".png", ".jpg", ".webp")


@pytest.fixture(scope="module")
def picture():
    y, x = np.mgrid[:96, :128]
    waves = 128 + 40 * np.sin(x / 9) + 30 * np.cos(y / 7)
    return np.stack([waves, waves * 0.8, 255 - waves], -1).astype(np.uint8)


@pytest.fixture(scope="module")
def made(picture) -> Generated:
    return mark.generated(picture[None], RECORD, basis=Basis.synthetic(), scope="generate")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_is_read_and_agrees_with_the_mark(tmp_path, made, suffix):
    path = tmp_path / f"face{suffix}"
    images.write(path, made.images[0], made.provenance)
    assert provenance.read(path) == RECORD
    found = provenance.verify(path)
    assert found.agree
    assert found.provenance == RECORD
    assert found.places == (("png text", "exif", "xmp") if suffix == ".png" else ("exif", "xmp"))
    assert found.payload == mark.payload_of(RECORD, "generate")
    plain = tmp_path / f"plain{suffix}"
    images.write(plain, made.images[0])
    assert np.array_equal(images.read(path).pixels, images.read(plain).pixels)
    assert provenance.read(plain) is None


def test_the_report_says_what_is_missing_or_does_not_fit(tmp_path, picture, made):
    path = tmp_path / "face.png"
    images.write(path, made.images[0])  # metadata stripped, as platforms do
    found = provenance.verify(path)
    assert (found.missing, found.agree) == (("metadata",), False)
    assert found.payload.number == int(RECORD.id[:12], 16)
    images.write(path, picture, RECORD)
    assert provenance.verify(path).missing == ("mark",)
    images.write(path, picture)
    assert provenance.verify(path).missing == ("metadata", "mark")
    other = Provenance("sim.faces", seed=8)
    images.write(path, made.images[0], other)
    found = provenance.verify(path)
    assert not found.agree
    assert found.problems == (f"the mark names record {RECORD.id[:12]}, the metadata {other.id[:12]}",)


def test_a_sidecar_names_its_file(tmp_path, made):
    path = tmp_path / "face.png"
    images.write(path, made.images[0], RECORD, sidecar=True)
    beside = provenance.sidecar_path(path)
    manifest = json.loads(beside.read_text())
    assert manifest["format"] == "image/png"
    assert manifest["assertions"][0]["data"]["actions"][0]["digitalSourceType"].endswith("/algorithmicMedia")
    assert provenance.read_sidecar(path)[0] == RECORD
    found = provenance.verify(path)
    assert found.agree
    assert found.places[-1] == "sidecar"
    images.write(path, made.images[0])  # another file of the same name
    assert "the sidecar is that of another file" in provenance.verify(path).problems[0]
    images.write(path, made.images[0], Provenance("sim.faces", seed=8))
    assert any("hold different records" in problem for problem in provenance.verify(path).problems)


@pytest.mark.parametrize("full_at", [1, 2])
def test_a_full_disk_leaves_whole_files_only(tmp_path, made, monkeypatch, full_at):
    path, count = tmp_path / "face.png", [0]

    def fsync(number):
        count[0] += 1
        if count[0] == full_at:
            raise OSError(errno.ENOSPC, "No space left on device")

    images.write(path, made.images[0], Provenance("sim.faces", seed=8), sidecar=True)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    monkeypatch.setattr("vultus.io.files.os.fsync", fsync)
    with pytest.raises(StoreError, match="the disk is full"):
        images.write(path, made.images[0], RECORD, sidecar=True)
    after = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert after.keys() == before.keys()
    if full_at == 1:
        assert after == before
    else:  # the picture is new and whole, the sidecar the old one, and that is said
        assert provenance.read(path) == RECORD
        assert "the sidecar is that of another file" in provenance.verify(path).problems[0]


def private(suffix: str, picture) -> bytes:
    """A file as a telephone writes it: turned, with place, serial number, maker's note, comment and thumbnail."""
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    exif[0xA431] = "SERIAL-123"
    exif[0x010E] = "my house"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    exif.get_ifd(0x8769)[0x927C] = b"MAKER-NOTE"
    out = io.BytesIO()
    words = {"exif": exif, "xmp": b"<x>GPSLatitude SERIAL-123</x>", "comment": b"a comment", "icc_profile": profile()}
    if suffix == ".png":
        text = PIL.PngImagePlugin.PngInfo()
        text.add_text("Comment", "SERIAL-123")
        words = {"exif": exif, "pnginfo": text, "icc_profile": profile()}
    kind = {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP"}[suffix]
    PIL.Image.fromarray(picture).save(out, kind, **words)
    return out.getvalue() + (b"\xff\xd8\xff\xe1 another picture SERIAL-123" if suffix == ".jpg" else b"")


def profile() -> bytes:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_place_and_serial_numbers_go_and_orientation_and_colors_stay(picture, suffix):
    before = private(suffix, picture)
    assert b"SERIAL-123" in before
    after = provenance.embed(before, RECORD)
    for secret in (b"SERIAL-123", b"MAKER-NOTE", b"my house", b"a comment", b"GPSLatitude"):
        assert secret not in after
    opened = PIL.Image.open(io.BytesIO(after))
    opened.load()
    assert opened.getexif().get(0x0112) == 6
    assert not opened.getexif().get_ifd(0x8825)
    assert opened.info["icc_profile"] == profile()
    assert np.array_equal(images.read(after).pixels, images.read(before).pixels)
    assert provenance.read(after) == RECORD
    assert provenance.embed(after, RECORD) == after  # again changes nothing


@pytest.mark.parametrize("lossless", [True, False])
def test_webp_with_an_alpha_channel_keeps_it(picture, lossless):
    layer = np.dstack([picture, np.full(picture.shape[:2], 77, np.uint8)])
    out = io.BytesIO()
    PIL.Image.fromarray(layer).save(out, "WEBP", lossless=lossless)
    after = PIL.Image.open(io.BytesIO(provenance.embed(out.getvalue(), RECORD)))
    assert after.mode == "RGBA"
    assert np.array_equal(np.asarray(after)[..., 3], layer[..., 3])


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=3), st.sampled_from(SUFFIXES))
def test_any_options_come_back(options, suffix):
    record = Provenance("sim.faces", options=options)
    data = images.encode(np.full((8, 8, 3), 90, np.uint8), suffix)
    back = provenance.read(provenance.embed(data, record))
    assert back == record
    assert back.id == record.id


@given(st.sampled_from(SUFFIXES), st.data())
def test_a_damaged_file_is_read_or_refused_in_words(suffix, data):
    whole = bytearray(provenance.embed(images.encode(np.full((8, 8, 3), 90, np.uint8), suffix), RECORD))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(1, len(whole)))])
    with contextlib.suppress(InputError):
        provenance.read(cut)
        provenance.embed(cut, RECORD)


def test_other_programs_words_are_none_of_ours(picture):
    out = io.BytesIO()
    exif = PIL.Image.Exif()
    exif[0x010E] = "{a holiday}"
    PIL.Image.fromarray(picture).save(out, "JPEG", exif=exif)
    assert provenance.read(out.getvalue()) is None


def plain(suffix: str) -> bytes:
    return images.encode(np.full((8, 8, 3), 90, np.uint8), suffix)


DEEP = '{"method": "a", "options": {"a": ' + "[" * 900 + "]" * 900 + "}}"
SHORT_VP8X = b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8X" + bytes(4) + b"VP8 " + struct.pack("<I", 10) + bytes(10)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda x: provenance.read(b"GIF89a..."), "expected a JPEG, PNG or WebP file"),
        (lambda x: provenance.read("no-such-file.png"), "nothing at this path"),
        (lambda x: provenance.embed(x, Provenance("a", options={"x": float("nan")})), "options of JSON values"),
        (lambda x: provenance.embed(x, Provenance("a", options={"x": "y" * 70_000})), "use PNG or a sidecar"),
        (lambda x: provenance.from_json('{"seed": 1}'), "expected a record with the keys"),
        (lambda x: provenance.from_json('{"method": "a", "parents": "b"}'), "values are of other kinds"),
        (lambda x: provenance.from_json("{"), "expected a provenance in JSON"),
        (lambda x: provenance.from_json('{"method": "a", "seed": %s}' % ("1" * 5000)), "expected a provenance in JSON"),
        (lambda x: provenance.from_json('{"method": "a", "options": {"a": NaN}}'), "options of JSON values"),
        (lambda x: provenance.from_json(DEEP), "got something else"),
        (lambda x: provenance.embed(x, {"method": "a"}), "expected a vultus.types.Provenance, got dict"),
        (lambda x: provenance.embed(x[: len(x) // 2], RECORD), "expected a complete JPEG"),
        (lambda x: provenance.embed(b"\xff\xd8\xff\xd9", RECORD), "expected a complete JPEG"),
        (lambda x: provenance.embed(plain(".png")[:-12], RECORD), "expected a complete PNG"),
        (lambda x: provenance.embed(plain(".webp")[:-9], RECORD), "expected a complete WebP"),
        (lambda x: provenance.embed(SHORT_VP8X, RECORD), "expected a WebP header of 10 bytes, got 0"),
        (
            lambda x: images.write("x.png", np.zeros((9, 9, 3), np.uint8), sidecar=True),
            "expected a provenance to write",
        ),
    ],
)
def test_refusals(picture, call, said):
    with pytest.raises(InputError, match=said):
        call(images.encode(picture, ".jpg"))


def test_exif_is_read_in_both_byte_orders():
    from vultus.io._containers import exif_text

    for order, head in (("<", b"II*\0"), (">", b"MM\0*")):
        entry = struct.pack(order + "HHII", 0x010E, 2, 6, 26)
        block = head + struct.pack(order + "IH", 8, 1) + entry + b"\0\0\0\0" + b"hello\0"
        assert exif_text(block) == "hello"
        assert exif_text(block[:20]) == ""
