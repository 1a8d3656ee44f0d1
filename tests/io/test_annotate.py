"""Drawings: what must hold at any size. How they look is judged by eye."""

from __future__ import annotations

import itertools
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.errors import InputError
from vultus.io import _ink, annotate
from vultus.io._labels import place
from vultus.io.annotate import PALETTE, Annotation, draw, montage

GRAY = np.full((600, 800, 3), 128, np.uint8)


def blank(height: int, width: int, value: int = 128) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return (before != after).any(axis=2)


def test_the_picture_handed_in_stays_as_it_was() -> None:
    mine = GRAY.copy()
    out = draw(mine, [Annotation((10, 10, 200, 200), "Ann", 0.9)])
    np.testing.assert_array_equal(mine, GRAY)
    assert changed(mine, out).any()
    np.testing.assert_array_equal(out, draw(mine, [Annotation((10, 10, 200, 200), "Ann", 0.9)]))


def test_nothing_to_draw_is_the_picture() -> None:
    np.testing.assert_array_equal(draw(GRAY, []), GRAY)
    np.testing.assert_array_equal(draw(GRAY, [Annotation((-50, -50, -10, -10), "outside", 1.0)]), GRAY)


@pytest.mark.parametrize("name", PALETTE)
def test_the_outline_lies_on_the_box_in_its_color(name: str) -> None:
    out = draw(GRAY, [Annotation((200, 200, 400, 450), color=name)])
    for x, y in [(200, 300), (399, 300), (300, 200), (300, 449)]:
        assert np.abs(out[y, x].astype(int) - PALETTE[name]).max() <= 2
    assert not changed(GRAY, out)[220:430, 220:380].any()  # the face itself is not touched
    assert not changed(GRAY, out)[:190].any()


def test_any_color_may_be_given() -> None:
    out = draw(GRAY, [Annotation((200, 200, 400, 450), color=(1, 2, 250))])
    assert np.abs(out[300, 200].astype(int) - (1, 2, 250)).max() <= 2


@pytest.mark.parametrize("color", ["green", (1, 2), (1, 2, 300), (-1, 0, 0)])
def test_colors_that_are_none(color: object) -> None:
    with pytest.raises(InputError, match="color"):
        Annotation((0, 0, 1, 1), color=color)  # type: ignore[arg-type]


def test_annotations_are_checked() -> None:
    with pytest.raises(InputError, match="box"):
        Annotation((0, 0, 1))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="NaN"):
        Annotation((0, 0, np.nan, 1))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="points"):
        Annotation((0, 0, 9, 9), points=np.zeros((5, 3)))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="uint8"):
        draw(np.zeros((9, 9, 3)), [])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="pixels"):
        draw(np.zeros((0, 9, 3), np.uint8), [])


def test_points_are_drawn_at_pixel_centers() -> None:
    box = (200, 200, 500, 500)
    points = np.array([[300.0, 300.0], [400.0, 350.0]], np.float32)
    out = draw(GRAY, [Annotation(box, points=points)])
    for x, y in points.astype(int):
        assert (out[y, x] == 255).all()
        around = out[y - 12 : y + 13, x - 12 : x + 13].astype(int)
        np.testing.assert_array_equal(around, around[::-1])
        np.testing.assert_array_equal(around, around[:, ::-1])


def test_every_mark_grows_with_the_picture() -> None:
    lines, letters = [], []
    for side in (500, 1000, 2000, 4000, 8000):
        box = (0.3 * side, 0.3 * side, 0.6 * side, 0.6 * side)
        lines.append(annotate._line(box, side, side) / side)
        letters.append(annotate._letter_size(box, side, side) / side)
    assert np.ptp(lines) < 1e-9
    assert np.ptp(letters[1:]) < 1e-9
    small, large = (annotate._line((0, 0, s, s), 2000, 2000) for s in (20, 500))
    assert small < large  # a small face in a crowd gets a thin line


def test_thumbnails_are_enlarged_so_that_names_can_be_read() -> None:
    out = draw(blank(75, 100), [Annotation((20, 20, 60, 60), "Ann", 0.8)])
    assert out.shape == (375, 500, 3)
    kept = draw(blank(75, 100), [Annotation((20, 20, 60, 60), "Ann", 0.8)], legible=0)
    assert kept.shape == (75, 100, 3)
    points = np.array([[40.0, 40.0]], np.float32)
    out = draw(blank(75, 100), [Annotation((20, 20, 60, 60), points=points)])
    assert (out[202, 202] == 255).all()  # 5 * (40 + .5) - .5


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (7, 5), (300, 20)])
def test_the_smallest_pictures(size: tuple[int, int]) -> None:
    height, width = size
    items = [Annotation((0, 0, width, height), "A rather long name", 0.5, points=np.zeros((5, 2)))]
    assert draw(blank(height, width), items, legible=0).shape == (height, width, 3)
    draw(blank(height, width), items)


def test_a_name_longer_than_the_picture_ends_in_an_ellipsis() -> None:
    name = "Hubert Blaine Wolfeschlegelsteinhausenbergerdorff Senior " * 3
    short = _ink.fitted(name, 300, size=20, weight=600)
    assert short.endswith("…")
    assert _ink.text_width(short, size=20, weight=600) <= 300
    assert _ink.text_width(short[:-1] + name[len(short) - 1] + "…", size=20, weight=600) > 300
    assert _ink.fitted("Ann", 300, size=20, weight=600) == "Ann"
    assert _ink.fitted("Ann", 3, size=20, weight=600) == ""
    draw(GRAY, [Annotation((10, 10, 90, 90), name, 0.5)])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_labels_stay_inside_and_apart(data: st.DataObject) -> None:
    width, height = data.draw(st.integers(200, 2000)), data.draw(st.integers(200, 2000))
    size = (data.draw(st.floats(20, 150)), data.draw(st.floats(12, 60)))
    coordinate = st.floats(-50, 2050)
    boxes = []
    for _ in range(data.draw(st.integers(1, 6))):
        x, y, w, h = (
            data.draw(coordinate),
            data.draw(coordinate),
            data.draw(st.floats(5, 400)),
            data.draw(st.floats(5, 400)),
        )
        boxes.append((x, y, x + w, y + h))
    taken = np.zeros((0, 4))
    for i, box in enumerate(boxes):
        others = np.array(boxes[:i] + boxes[i + 1 :]).reshape(-1, 4)
        spot = place(box, size, 2.0, others, taken, (height, width))
        rect = np.array([spot.left, spot.top, spot.left + size[0], spot.top + size[1]])
        assert rect[0] >= 0
        assert rect[1] >= 0
        assert rect[2] <= width + 1e-6
        assert rect[3] <= height + 1e-6
        overlap = np.maximum(np.minimum(rect[2:], taken[:, 2:]) - np.maximum(rect[:2], taken[:, :2]), 0).prod(axis=1)
        assert spot.crowding == pytest.approx(overlap.sum() / (size[0] * size[1]), abs=1e-9)
        taken = np.concatenate([taken, [rect]])


def test_neighbors_do_not_share_label_room() -> None:
    boxes = [(100 + 70 * i, 200.0, 160 + 70 * i, 270.0) for i in range(6)]
    taken = np.zeros((0, 4))
    for i, box in enumerate(boxes):
        spot = place(box, (110, 20), 2.0, np.array(boxes[:i] + boxes[i + 1 :]), taken, (600, 800))
        assert spot.crowding == 0
        taken = np.concatenate([taken, [[spot.left, spot.top, spot.left + 110, spot.top + 20]]])


def test_a_free_label_sits_on_top_of_its_box_and_below_where_there_is_no_room() -> None:
    none = np.zeros((0, 4))
    spot = place((300, 300, 400, 400), (80, 20), 2.0, none, none, (600, 800))
    assert (spot.left, spot.top, spot.cost, spot.far) == (300, 278, 0, False)
    spot = place((300, 0, 400, 100), (80, 20), 2.0, none, none, (600, 800))
    assert (spot.left, spot.top) == (300, 102)


def test_a_bare_score_without_room_is_left_out_and_a_name_is_not() -> None:
    crowd = [(x, y, x + 8, y + 8) for x in range(0, 480, 8) for y in range(0, 480, 8)]
    scores = draw(blank(480, 480), [Annotation(box, score=0.5) for box in crowd[:400]], legible=0)
    names = draw(blank(480, 480), [Annotation(box, "Ann", 0.5) for box in crowd[:40]], legible=0)
    assert scores.shape == names.shape
    pill = np.array(PALETTE["unknown"])
    assert (names == pill).all(axis=2).sum() > 40 * 100  # forty labels, at least 100 pixels of each are seen


def test_text_reads_on_every_color() -> None:
    """WCAG 2.2 asks for a contrast of at least 4.5."""

    def luminance(color: tuple[int, int, int]) -> float:
        c = np.array(color) / 255
        linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        return float(linear @ (0.2126, 0.7152, 0.0722))

    for color in [*PALETTE.values(), (0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 0, 255), (119, 119, 119)]:
        pair = sorted([luminance(color), luminance(_ink.contrasting(color))])
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5


def test_meanings_stay_apart_for_color_blind_readers() -> None:
    """Machado, Oliveira & Fernandes 2009, table 1, severity 1.0: what dichromats see, in linear RGB."""
    sights = {
        "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    }
    linear = {name: (np.array(color) / 255) ** 2.2 for name, color in PALETTE.items()}
    for matrix in sights.values():
        seen = {name: 255 * np.clip(np.array(matrix) @ color, 0, 1) ** (1 / 2.2) for name, color in linear.items()}
        for a, b in itertools.combinations(seen, 2):
            assert np.linalg.norm(seen[a] - seen[b]) > 40, (a, b)


@pytest.mark.parametrize(
    "name", ["Zoë", "Šťastná", "Ünal", "Жанна", "Ελένη", "李明", "김민준", "たけし", "محمد", "שרה"]
)
def test_scripts_have_their_letters(name: str) -> None:
    def inked(text: str) -> np.ndarray:
        canvas = blank(60, 400, 255)
        _ink.letters(canvas, text, 5, 45, size=30, color=(0, 0, 0), weight=600)
        return canvas

    assert (inked(name) < 255).any()
    assert not np.array_equal(inked(name), inked("?" * len(name)))
    decomposed = unicodedata.normalize("NFD", name)
    draw(GRAY, [Annotation((200, 200, 300, 300), decomposed, 0.5)])


def test_shapes_have_exact_areas() -> None:
    """Coverage sums to the area, wherever the edges fall between pixels."""
    for shift in (0.0, 0.25, 0.5):
        canvas = np.zeros((100, 100, 3), np.uint8)
        _ink.disc(canvas, (50 + shift, 50), 20, color=(255, 255, 255))
        assert canvas[:, :, 0].sum() / 255 == pytest.approx(np.pi * 400, rel=0.003)
        canvas[:] = 0
        _ink.pill(canvas, (20 + shift, 20, 70.5 + shift, 60), color=(255, 255, 255), radius=0)
        assert canvas[:, :, 0].sum() / 255 == pytest.approx(50.5 * 40, rel=0.01)
        canvas[:] = 0
        _ink.stroke(canvas, (20, 20 + shift), (70, 20 + shift), color=(255, 255, 255), line=4)
        assert canvas[:, :, 0].sum() / 255 == pytest.approx(50 * 4 + np.pi * 4, rel=0.01)


def test_a_large_frame_is_the_small_one_in_four_strips() -> None:
    """The fast way around the border paints what the whole distance field paints."""
    for rect in [(10.3, 12.7, 180.9, 150.2), (-5.0, 20.0, 210.0, 170.0)]:
        canvas = np.zeros((200, 200, 3), np.uint8)
        _ink.frame(canvas, rect, color=(255, 255, 255), line=3.0, radius=9.0)
        whole = np.zeros_like(canvas)
        x, y = np.arange(200, dtype=np.float32)[None] + 0.5, np.arange(200, dtype=np.float32)[:, None] + 0.5
        _ink._blend(whole, np.abs(_ink._rounded(x, y, rect, 9.0)) - 1.5, (255, 255, 255), 1.0)
        np.testing.assert_array_equal(canvas, whole)


def test_montage_lays_out_tiles_and_captions() -> None:
    pictures = [blank(50 + 30 * i, 200 - 30 * i, 10 * i) for i in range(6)]
    sheet = montage(pictures, [f"picture {i}\nscore 0.{i}" for i in range(6)], columns=3, side=100)
    gap, caption = 4, round(2 * 9 * 1.4)
    assert sheet.shape == (gap + 2 * (100 + caption + gap), gap + 3 * (100 + gap), 3)
    for i in range(6):
        x, y = gap + i % 3 * 104 + 50, gap + i // 3 * (104 + caption) + 50
        assert (sheet[y, x] == 10 * i).all()
    assert (sheet[gap + 100 : gap + 100 + caption] < 200).any()  # letters


def test_montage_limits() -> None:
    assert montage([], side=64).shape[2] == 3
    assert montage([GRAY], ["x" * 500], side=64).shape[1] < 80
    with pytest.raises(InputError, match="captions"):
        montage([GRAY], ["a", "b"])
    with pytest.raises(InputError, match="side"):
        montage([GRAY], side=3)
    with pytest.raises(InputError, match="columns"):
        montage([GRAY], columns=0)


@pytest.mark.parametrize("label", ["a\udcff", "\ud800", "a\nb\tc", "\x1b[31m", "a\0b", "\u202eabc"])
def test_labels_of_broken_letters_are_drawn_and_end_nothing(label):
    """A lone surrogate, which a file name can hold, ends the process inside OpenCV's text drawing."""
    drawn = draw(np.zeros((600, 600, 3), np.uint8), [Annotation([100, 100, 400, 400], label)])
    assert drawn.any()
    assert montage([np.zeros((60, 60, 3), np.uint8)], [label]).any()
