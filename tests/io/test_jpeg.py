"""The header walk, against Pillow's."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.io import corpus
from vultus.io._jpeg import exif_orientation, has_more_scans, jpeg_header

PLAIN = corpus.encoded(corpus.gradient(), "JPEG")


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (7, 9), (48, 64), (600, 3)])
def test_size_is_pillows(size: tuple[int, int], progressive: bool) -> None:
    data = corpus.encoded(corpus.gradient(*size), "JPEG", progressive=progressive)
    header = jpeg_header(data)
    assert header is not None
    with PIL.Image.open(io.BytesIO(data)) as peer:
        assert (header.width, header.height) == peer.size
    assert (header.orientation, header.complete) == (1, True)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", [0, *range(1, 9), 9, 65535])
def test_orientation_in_both_byte_orders(orientation: int, order: str) -> None:
    expected = orientation if 1 <= orientation <= 8 else 1
    block = corpus.exif(orientation, order)
    assert exif_orientation(block) == expected
    assert exif_orientation(block[6:]) == expected
    header = jpeg_header(corpus.with_exif(PLAIN, block))
    assert header is not None
    assert header.orientation == expected


@given(st.binary(max_size=80), st.sampled_from([b"", b"Exif\0\0II*\0", b"Exif\0\0MM\0*"]))
def test_any_exif_block_has_an_orientation(block: bytes, prefix: bytes) -> None:
    assert 1 <= exif_orientation(prefix + block) <= 8


@given(st.binary(max_size=60), st.integers(0, len(PLAIN) - 1))
def test_any_bytes_have_a_header_or_none(noise: bytes, at: int) -> None:
    data = PLAIN[:at] + noise + PLAIN[at + len(noise) :]
    header = jpeg_header(data)
    assert header is None or (header.width > 0 and header.height > 0)


def test_what_is_not_plain_is_left_to_pillow() -> None:
    cmyk = corpus.encoded(PIL.Image.new("CMYK", (8, 8)), "JPEG")
    assert jpeg_header(cmyk) is None
    assert jpeg_header(PLAIN[:2] + b"\0\0" + PLAIN[2:]) is None  # stray bytes between markers
    assert jpeg_header(b"\x89PNG\r\n\x1a\n") is None
    assert jpeg_header(b"") is None


def test_completeness() -> None:
    header = jpeg_header(PLAIN[:-2])
    assert header is not None
    assert not header.complete


def test_scans_of_the_first_picture_only() -> None:
    assert not has_more_scans(PLAIN, 1)
    progressive = corpus.encoded(corpus.gradient(), "JPEG", progressive=True)
    assert has_more_scans(progressive, 1)
    assert not has_more_scans(progressive, 10)  # the usual script of libjpeg for three channels
    assert not has_more_scans(PLAIN + b"\xff\xda" * 1000, 10)  # a film behind the picture
    hidden = progressive[:2] + b"\xff\xfe\0\x04\xff\xd9" + progressive[2:]  # an end marker inside a comment
    assert has_more_scans(hidden + b"\xff\xda" * 0, 9)
    assert has_more_scans(corpus.scans_without_end(600), 500)


def test_thumbnails_do_not_count() -> None:
    thumbnail = corpus.encoded(np.zeros((8, 8, 3), np.uint8), "JPEG")
    data = corpus.with_exif(PLAIN, corpus.exif(3) + thumbnail * 5)
    assert not has_more_scans(data, 1)
    header = jpeg_header(data)
    assert header is not None
    assert (header.width, header.orientation) == (64, 3)
