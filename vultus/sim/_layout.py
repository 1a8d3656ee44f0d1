"""Pieces of a scene as triangles: which vertices make them up, and where each lies on the atlas of their colors."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vultus.sim import _head
from vultus.types import F32

__all__ = ["LABELS", "SKIN_SIDE", "STRAND_SIDE", "L", "Layout", "Piece", "Tile", "layout"]

I32 = NDArray[np.int32]

LABELS = (
    "background",
    "skin",
    "nose",
    "glasses",
    "l_eye",
    "r_eye",
    "l_brow",
    "r_brow",
    "l_ear",
    "r_ear",
    "mouth",
    "u_lip",
    "l_lip",
    "hair",
    "hat",
    "earring",
    "necklace",
    "neck",
    "cloth",
)
L = {name: k for k, name in enumerate(LABELS)}

SKIN_SIDE = (96, 192, 384)
"""Texels of the head's texture, by level of detail."""
STRAND_SIDE = (64, 128, 128)
"""Texels of hair."""
_COVERS = ("hair", "beard", "mask")
_BOTH_SIDES = ("visor", "frame", "lens")
_SHEEN = {"head": 0.032, "l_ear": 0.03, "r_ear": 0.03, "hair": 0.05, "beard": 0.02}
_LABEL = {"head": "skin", "body": "cloth", "visor": "hat", "frame": "glasses", "lens": "glasses", "beard": "skin",
          "mask": "cloth"}  # fmt: skip


class Piece(NamedTuple):
    """A grid of vertices."""

    kind: str
    rows: int
    columns: int


class Tile(NamedTuple):
    """Where a piece's colors lie on its atlas; `left` and `top` are the first texel on the head's texture (beards)."""

    kind: str
    vertices: slice
    row: int
    rows: int
    columns: int
    left: int = 0
    top: int = 0


class Layout(NamedTuple):
    """Triangles of solid pieces and of covers, each with its own vertices and atlas.

    Attributes:
        pieces, spans: grids and their vertices.
        solid, cover: tiles.
        solid_faces: (F, 3) int32 into `solid_index`.
        cover_faces: the same into `cover_index`, in layers from below to above: the inside of hair, then the rest.
        solid_index, cover_index: vertices of the scene that they use; those of hair come twice, for its inside.
        solid_place, cover_place: (K, 3) column and row on the atlas and number of the piece.
        solid_atlas, cover_atlas: rows and columns of the atlas.
        labels: (pieces + 1,) parsing class of each piece, 0 for none.
        follow: (V, 1) how far a vertex turns with the head.
        sheen: (V,) how glossy it is.
        body, hair: their vertices, or None.
    """

    pieces: tuple[Piece, ...]
    spans: tuple[slice, ...]
    solid: tuple[Tile, ...]
    cover: tuple[Tile, ...]
    solid_faces: I32
    cover_faces: tuple[I32, ...]
    solid_index: slice
    cover_index: I32
    solid_place: F32
    cover_place: F32
    solid_atlas: tuple[int, int]
    cover_atlas: tuple[int, int]
    labels: NDArray[np.uint8]
    follow: F32
    sheen: F32
    body: slice | None
    hair: slice | None


@lru_cache(maxsize=256)
def layout(pieces: tuple[Piece, ...], lod: int) -> Layout:
    """The layout of some pieces, solid ones first; made once."""
    starts = np.cumsum([0, *(p.rows * p.columns for p in pieces)]).tolist()
    spans = [slice(a, b) for a, b in pairwise(starts)]
    split = next((k for k, p in enumerate(pieces) if p.kind in _COVERS), len(pieces))
    solid, cover = _Builder(lod), _Builder(lod)
    for number, (piece, span) in enumerate(zip(pieces, spans, strict=True)):
        (solid if number < split else cover).add(number, piece, span)
    follow = np.ones((starts[-1], 1), np.float32)
    sheen = np.zeros(starts[-1], np.float32)
    for piece, span in zip(pieces, spans, strict=True):
        sheen[span] = _SHEEN.get(piece.kind, 0.0)
        if piece.kind == "head":
            follow[span] = _follow()[np.ix_(*_head.lod_grid(lod))].reshape(-1, 1)
        elif piece.kind == "body":
            follow[span] = 0
    named = {p.kind: span for p, span in zip(pieces, spans, strict=True)}
    return Layout(
        pieces,
        tuple(spans),
        tuple(solid.tiles),
        tuple(cover.tiles),
        solid.all_faces(),
        tuple(layer for layer in (_stacked(cover.inside), cover.all_faces()) if len(layer)),
        slice(0, starts[split]),
        np.concatenate([np.zeros(0, np.int32), *cover.index]).astype(np.int32),
        solid.all_places(),
        cover.all_places(),
        (solid.row, solid.wide),
        (cover.row, cover.wide),
        np.array([*(L[_LABEL.get(p.kind, p.kind)] for p in pieces), 0], np.uint8),
        follow,
        sheen,
        named.get("body"),
        named.get("hair"),
    )


class _Builder:
    """Collects tiles, faces and places."""

    def __init__(self, lod: int) -> None:
        self.lod, self.row, self.wide, self.count = lod, 0, 1, 0
        self.tiles: list[Tile] = []
        self.faces: list[I32] = []
        self.inside: list[I32] = []
        self.places: list[F32] = []
        self.index: list[I32] = []

    def add(self, number: int, piece: Piece, span: slice) -> None:
        """One more piece."""
        mesh = _head.grid_faces(piece.rows, piece.columns)
        column, row, tile = self._tile(piece, span)
        place = np.stack(np.broadcast_arrays(column[None], row[:, None] + self.row, np.float32(number)), -1)
        self.faces.append((mesh + self.count).astype(np.int32))
        self._append(place.reshape(-1, 3), span)
        if piece.kind in _BOTH_SIDES:
            self.faces.append((mesh[:, ::-1] + (self.count - piece.rows * piece.columns)).astype(np.int32))
        if piece.kind == "hair":  # its inside, from the second half of the tile
            inner = place.reshape(-1, 3) + np.array([0, tile.rows // 2, 0], np.float32)
            self.inside.append((mesh[:, ::-1] + self.count).astype(np.int32))
            self._append(inner, span)
        self.tiles.append(tile)
        self.row += tile.rows
        self.wide = max(self.wide, tile.columns)

    def _append(self, place: F32, span: slice) -> None:
        self.places.append(place.astype(np.float32))
        self.index.append(np.arange(span.start, span.stop, dtype=np.int32))
        self.count += len(place)

    def _tile(self, piece: Piece, span: slice) -> tuple[F32, F32, Tile]:
        """Column and row of the vertices on the piece's tile."""
        side, strands = SKIN_SIDE[self.lod], STRAND_SIDE[self.lod]
        if piece.kind in ("head", "beard", "mask"):
            rows, columns = face_grid(piece.kind, self.lod)
            column, row = columns / (_head.COLUMNS - 1) * (side - 1), rows / (_head.ROWS - 1) * (side - 1)
            left, top = int(column[0]), int(row[0])
            high, wide = int(np.ceil(row[-1])) - top + 1, int(np.ceil(column[-1])) - left + 1
            tile = Tile(piece.kind, span, self.row, high, wide, left, top)
            return (column - left).astype(np.float32), (row - top).astype(np.float32), tile
        if piece.kind == "hair":
            u, v = np.linspace(0, strands - 1, piece.columns), np.linspace(0, strands - 1, piece.rows)
            return u.astype(np.float32), v.astype(np.float32), Tile("hair", span, self.row, 2 * strands, strands)
        across, down = np.arange(piece.columns, dtype=np.float32), np.arange(piece.rows, dtype=np.float32)
        return across, down, Tile(piece.kind, span, self.row, piece.rows, piece.columns)

    def all_faces(self) -> I32:
        """(F, 3)."""
        return _stacked(self.faces)

    def all_places(self) -> F32:
        """(K, 3)."""
        return np.concatenate([np.zeros((0, 3), np.float32), *self.places])


def _stacked(faces: list[I32]) -> I32:
    return np.concatenate([np.zeros((0, 3), np.int32), *faces])


def face_grid(kind: str, lod: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the full grid that the head, a beard or a mask uses."""
    rows, columns = _head.lod_grid(lod)
    if kind == "beard":
        return rows[(rows > 18) & (rows < 50)], columns[(columns > 10) & (columns < _head.COLUMNS - 11)]
    if kind == "mask":
        return rows[(rows > 20) & (rows < 49)], columns[(columns > 12) & (columns < _head.COLUMNS - 13)]
    return rows, columns


def _follow() -> F32:
    """How far each vertex turns with the head: all of it, but the neck less and less."""
    t = _head.template().t[:, None]
    back = np.abs(_head.template().phi)[None] > np.pi / 2
    start = np.where(back, 0.84, 0.90)
    return (np.clip(1 - (t - start) / (1.0 - start), 0, 1) ** 0.8).astype(np.float32)
