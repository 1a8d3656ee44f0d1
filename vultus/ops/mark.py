"""The invisible mark: 64 bits in the pixels of what was generated, which lead to the record of how it was made.

Spread spectrum over 12 middle frequencies of the 8 x 8 blocks of Y. A layout drawn from a key repeats every 64 pixels:
it says for each of a tile's 768 coefficients which of the 127 bits of a BCH word it carries, and with which sign. A
thirteenth frequency carries a known pattern, the pilot, by which the scale is found again after resizing. The embedder
knows the picture: it spends a fixed error (PSNR) where the detector will hear it after JPEG, blur and cropping.

    marked = embed(picture, Payload(number, method_class))
    payload, score = detect(marked)

Who knows the key can remove or copy a mark, and the default key is public: the mark tells honest people where a picture
comes from, and is no lock. docs/guides/provenance.md says what it survives, with numbers.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError, UnknownMethod
from vultus.ops import bch
from vultus.ops.dct import block_dct, block_idct, dct_matrix, quantization, rgb_to_ycbcr
from vultus.types import F32, SCOPES, U8, Basis, Generated, Provenance

__all__ = ["MIN_SIDE", "PUBLIC_KEY", "VERSION", "Payload", "detect", "embed", "generated", "payload_of"]

PUBLIC_KEY = b"vultus"
VERSION = 1
MIN_SIDE = 64
"""Shorter sides hold no whole tile and cannot be marked."""

_TILE = 64  # pixels after which the layout repeats
_BLOCKS = _TILE // 8
# Vertical and horizontal frequency; 2 and 3 survive halving the picture, and JPEG keeps them. The last is the pilot's.
_ROWS = np.array([0, 2, 1, 2, 2, 0, 3, 1, 3, 2, 3, 3, 1])
_COLUMNS = np.array([2, 0, 2, 1, 2, 3, 0, 3, 1, 3, 2, 3, 1])
_DATA = 12
_FAINT, _STRONG = 4.0, 18.0  # coefficients at which the detector's soft limit halves what is weaker and stronger
_BLUR = 1.0  # pixels, that the embedder counts on
_LEFT = np.exp(-2 * (np.pi * _BLUR / 16) ** 2 * (_ROWS**2 + _COLUMNS**2)).astype(np.float32)
_QUALITIES = (50, 65, 80)  # of the JPEGs whose roundings the embedder steps over
_REST = np.array([0.5, 1.0, 1.0, 1.0])  # share of what is heard that is left: untouched pictures may be cropped
_SURE = 0.08  # steps beyond the border at which JPEG rounds up
_ROUNDS, _HASTE, _PILOT_NEED = 16, 0.4, 8.0
_WINDOW, _FINAL = 256, 1024  # most pixels a side in which the pilot is looked for, and the bits are read
_DOUBTFUL = 5  # bits that are tried both ways
_KEPT, _PROPOSED, _REFINED = 3, 12, 3  # best shifts per scale, in all, and those that are moved to a maximum
_Z = 2.5  # deviations above the null model below which nothing is decoded: it saves time


@dataclass(frozen=True)
class Payload:
    """What the mark says.

    Attributes:
        number: 48 bits of the id of the provenance.
        method_class: 8 bits: place of the scope in `vultus.types.SCOPES`, from 1; 0 where none applies.
        version: 8 bits: of the mark.
    """

    number: int
    method_class: int = 0
    version: int = VERSION

    def __post_init__(self) -> None:
        for name, bits in (("number", 48), ("method_class", 8), ("version", 8)):
            value = getattr(self, name)
            if not isinstance(value, (int, np.integer)) or not 0 <= value < 1 << bits:
                raise InputError(f"{name}: expected a whole number of {bits} bits, got {value!r}")


def payload_of(provenance: Provenance, scope: str = "") -> Payload:
    """What the mark of a picture with this provenance says.

    Args:
        provenance: the record.
        scope: what was done, of `vultus.types.SCOPES`, or "".

    Raises:
        UnknownMethod: there is no such scope; the message names near ones.
    """
    if scope and scope not in SCOPES:
        raise UnknownMethod(scope, SCOPES, what="scope")
    return Payload(int(provenance.id[:12], 16), SCOPES.index(scope) + 1 if scope else 0)


def generated(
    images: U8, provenance: Provenance, *, basis: Basis, scope: str, unmarked: bool = False, key: bytes = PUBLIC_KEY
) -> Generated:
    """What a generator hands out at its public boundary: pictures, marked, with their provenance.

    Args:
        images: (N, H, W, 3) uint8 RGB.
        provenance: how they were made.
        basis: under which; the caller has required `scope` of it already, here it must cover `unmarked` where asked.
        scope: what was done, of `vultus.types.SCOPES`.
        unmarked: leave the pixels as they are, which the basis must cover.
        key: of the mark.

    Raises:
        Refused: `unmarked` without a basis that covers it.
        InputError: they are no such pictures, or too small to be marked.
        UnknownMethod: as `payload_of`.
    """
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 4:
        what = f"{images.dtype} {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
        raise InputError(f"images: expected uint8 RGB of shape (N, H, W, 3), got {what}")
    if unmarked:
        Basis.require(basis, "unmarked", sources=(provenance,))
        return Generated(images, provenance)
    payload = payload_of(provenance, scope)
    marked = np.array([embed(image, payload, key) for image in images], np.uint8)
    return Generated(marked.reshape(images.shape), provenance)


def embed(image: U8, payload: Payload, key: bytes = PUBLIC_KEY, *, psnr_db: float | None = None) -> U8:
    """Put a mark into a picture.

    Args:
        image: (H, W, 3) uint8 RGB, at least 64 pixels a side.
        payload: 64 bits.
        key: who detects it needs the same.
        psnr_db: how strong: peak signal-to-noise ratio of the marked picture, from 30 to 60. None: 41 at 128 pixels a
            side, 3 more for each doubling, 46 at most: more blocks need less each.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: not a picture, one too small, or a strength out of range.
    """
    _check(image)
    if min(image.shape[:2]) < MIN_SIDE:
        raise InputError(f"image: expected at least {MIN_SIDE} pixels a side to hold a mark, got {image.shape[:2]}")
    if psnr_db is None:
        psnr_db = min(max(41.0 + 5 * math.log10(image.shape[0] * image.shape[1] / 128**2), 41.0), 46.0)
    if not 30 <= psnr_db <= 60:
        raise InputError(f"psnr_db: expected 30 to 60, got {psnr_db}")
    blocks = np.array(image.shape[:2]) // 8
    bit, sign = _layout(key)
    rows, columns = np.arange(blocks[0])[:, None] % _BLOCKS, np.arange(blocks[1]) % _BLOCKS
    bit, sign = bit[rows, columns], sign[rows, columns]
    sense = np.append(2.0 * bch.encode(_to_bits(payload)) - 1, 1.0).astype(np.float32)
    direction = sign * sense[bit]
    budget = image.shape[0] * image.shape[1] * 255.0**2 / 10 ** (psnr_db / 10)
    return _optimized(image, blocks, bit, direction, budget)


def detect(image: U8, key: bytes = PUBLIC_KEY) -> tuple[Payload | None, float]:
    """Look for a mark.

    Args:
        image: (H, W, 3) uint8 RGB; may have been coded, blurred, cropped, or resized by a factor from 1/2 to 2.
        key: that of `embed`.

    Returns:
        What the mark says, or None; and how far the energy of its bits stands above the null model (the signs of the
        layout as coin throws), in deviations, at the best place that was tried. Under the null model an unmarked
        picture is taken for a marked one with probability 9e-7 at most: 5 places, 32 words at each, of which 2.6e-5 lie
        near a code word, and 1 in 256 and 14 in 256 of those have a version and a class that exist.

    Raises:
        InputError: not a picture.
    """
    _check(image)
    luma = _luma(image)
    best = 0.0
    for place in _places(luma, key) if min(luma.shape) >= _TILE // 4 else ():
        z, sums = _read(luma, place, key, exact=True)
        best = max(best, z)
        payload = _decoded(sums) if z > _Z else None
        if payload is not None:
            return payload, z
    return None, best


def _check(image: U8) -> None:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        what = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise InputError(f"image: expected uint8 RGB of shape (H, W, 3), got {what}")


@dataclass(frozen=True)
class _Place:
    """Where a tile may lie: pixels of the original per pixel of this picture; y and x of the corner of a tile."""

    scale: float
    corner: tuple[float, float]


def _places(luma: F32, key: bytes) -> Iterator[_Place]:
    """As it is first; then cropped; then resized."""
    yield _Place(1.0, (0.0, 0.0))
    yield from _loudest(luma, _shifts(luma, key), key, 1)
    for place in _loudest(luma, _proposals(luma, key), key, _REFINED):
        yield _climb(luma, place, key)


def _loudest(luma: F32, places: Iterable[_Place], key: bytes, count: int) -> list[_Place]:
    return sorted(places, key=lambda place: -_read(luma, place, key)[0])[:count]


def _shifts(luma: F32, key: bytes) -> list[_Place]:
    """The corners, of all 4096 in a picture that was not resized, at which some of the bits have the highest energy."""
    start = [max(n - _WINDOW, 0) // 2 // _TILE * _TILE for n in luma.shape]
    plane = luma[start[0] : start[0] + _WINDOW, start[1] : start[1] + _WINDOW]
    rows = dct_matrix(8).astype(np.float32)
    folded = []
    for u, v in zip(_ROWS[:_DATA], _COLUMNS[:_DATA], strict=True):
        heard = cv2.sepFilter2D(plane, cv2.CV_32F, rows[v], rows[u], anchor=(0, 0))[: 1 - 8, : 1 - 8]
        folded.append(_folded(_soft(np.asarray(heard, np.float32)), _TILE))
    split = np.array(folded).reshape(_DATA, _BLOCKS, 8, _BLOCKS, 8).transpose(0, 1, 3, 2, 4)
    at, sign = _sample_bits(key)
    chips = split.reshape(_DATA * _BLOCKS**2, 64)[at]  # (64 shifts, bits, 6, 64 offsets)
    sums, squares = (chips * sign[..., None]).sum(2), np.square(chips).sum(2)
    energy = (np.square(sums) / (squares + np.float32(1e-9))).sum(1)
    best = np.argpartition(energy, -_KEPT, axis=None)[-_KEPT:]
    shift, offset = np.divmod(best, 64)
    corners = np.stack([shift // 8 * 8 + offset // 8, shift % 8 * 8 + offset % 8], 1)
    return [_Place(1.0, (float(y), float(x))) for y, x in corners]


@lru_cache(maxsize=16)
def _sample_bits(key: bytes) -> tuple[NDArray[np.int64], F32]:
    """(64, 32, 6) places of the coefficients of 32 bits under each shift by whole blocks, and (32, 6) their signs."""
    bit, sign = _layout(key)
    y, x, k = (np.array([np.argwhere(bit == b)[:6, axis] for b in range(32)]) for axis in range(3))
    turns = np.arange(_BLOCKS)
    rows = (y + turns[:, None, None, None]) % _BLOCKS
    columns = (x + turns[None, :, None, None]) % _BLOCKS
    return (k * _BLOCKS**2 + rows * _BLOCKS + columns).reshape(-1, 32, 6), sign[y, x, k]


def _folded(plane: F32, side: int) -> F32:
    """(side, side, ...) sum of a plane over its period."""
    out = np.zeros((side, side, *plane.shape[2:]), np.float32)
    for y in range(0, plane.shape[0], side):
        for x in range(0, plane.shape[1], side):
            part = plane[y : y + side, x : x + side]
            out[: part.shape[0], : part.shape[1]] += part
    return out


def _climb(luma: F32, place: _Place, key: bytes) -> _Place:
    """Scale and corner at the nearest maximum of the energy."""
    center = (np.array(luma.shape) - 1) / 2
    side = min(max(luma.shape) * place.scale, 2 * _WINDOW)
    z = _read(luma, place, key)[0]
    for step in (1.0, 0.5, 0.25):  # pixels of the original, at the edge and at the corner
        moves = [(2 * sense * step / side, 0.0, 0.0) for sense in (1, -1)]
        moves += [(0.0, sense * step * (axis == 0), sense * step * (axis == 1)) for axis in (0, 1) for sense in (1, -1)]
        moved = True
        while moved:
            moved = False
            for grown, dy, dx in moves:
                scale = place.scale * (1 + grown)
                corner = center - (center - np.array(place.corner)) * place.scale / scale + np.array([dy, dx]) / scale
                near = _Place(scale, (float(corner[0]), float(corner[1])))
                higher = _read(luma, near, key)[0]
                if higher > z:
                    place, z, moved = near, higher, True
    return place


def _proposals(luma: F32, key: bytes) -> list[_Place]:
    """The corners at which the pilot stands out most, over all scales; and at every scale that of a whole picture."""
    pilot = _pilot(key)
    basis = dct_matrix(8)[1].astype(np.float32)
    found: list[tuple[float, _Place]] = []
    for scale in _scales(luma.shape):
        window, start = _window(luma, scale)
        heard = cv2.sepFilter2D(window, cv2.CV_32F, basis, basis, anchor=(0, 0))[: 1 - 8, : 1 - 8]
        folded = _folded(_soft(np.asarray(heard, np.float32)), _TILE)
        loud = np.square(folded).reshape(_BLOCKS, 8, _BLOCKS, 8).sum((0, 2))
        score = np.fft.irfft2(np.fft.rfft2(folded) * pilot, s=folded.shape) / np.sqrt(
            np.tile(loud, (_BLOCKS, _BLOCKS)) + 1e-9
        )
        for at in np.argpartition(score, -_KEPT, axis=None)[-_KEPT:]:
            y, x = divmod(int(at), _TILE)
            corner = ((start[0] + y + 0.5) / scale - 0.5, (start[1] + x + 0.5) / scale - 0.5)
            found.append((float(score.flat[at]), _Place(scale, corner)))
    found.sort(key=lambda pair: -pair[0])
    whole = [_Place(scale, (0.5 / scale - 0.5, 0.5 / scale - 0.5)) for scale in _scales(luma.shape)]
    return [place for _, place in found[:_PROPOSED]] + whole


def _scales(shape: tuple[int, ...]) -> list[float]:
    """Scales to try, 1/2 to 2; a step moves the edge of the window by 3 pixels at most."""
    found = [1.0, 2.0, 1.5, 4 / 3, 0.75, 2 / 3, 0.5]
    for end, sense in ((2.05, 1), (1 / 2.05, -1)):
        scale = 1.0
        while (scale < end) == (sense > 0):
            scale *= (1 + 3 / min(max(shape) * scale, _WINDOW)) ** sense
            found.append(scale)
    return found


def _window(luma: F32, scale: float) -> tuple[F32, tuple[int, int]]:
    """The middle of the picture at the scale of the original, and where that starts."""
    size = [min(int(n * scale), _WINDOW) for n in luma.shape]
    start = (int(luma.shape[0] * scale - size[0]) // 2, int(luma.shape[1] * scale - size[1]) // 2)
    return _sampled(luma, scale, start, (size[0], size[1]), cv2.INTER_LINEAR), start


def _sampled(luma: F32, scale: float, start: tuple[float, float], size: tuple[int, int], between: int) -> F32:
    """(h, w) pixels of the original's grid; pixel (i, j) lies at ((i + start + 1/2) / scale - 1/2) of this picture."""
    a = 1 / scale
    matrix = np.array([[a, 0, (start[1] + 0.5) * a - 0.5], [0, a, (start[0] + 0.5) * a - 0.5]], np.float64)
    flags = between | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(luma, matrix, (size[1], size[0]), flags=flags, borderMode=cv2.BORDER_REFLECT), np.float32
    )


def _read(luma: F32, place: _Place, key: bytes, *, exact: bool = False) -> tuple[float, NDArray[np.float32]]:
    """Energy of the 127 sums above the null model, in deviations, and the sums.

    Read in the middle only, and interpolated linearly, unless `exact`.
    """
    s, most = place.scale, _FINAL if exact else 2 * _WINDOW
    first, size, turn = [], [], []
    for axis in (0, 1):
        corner = (place.corner[axis] + 0.5) * s - 0.5  # in pixels of the original; 64 further on is a corner too
        skip = math.ceil(-corner / 8)
        left = int((luma.shape[axis] * s - (corner + 8 * skip) + 1e-6) // 8)
        skip += max(left - most // 8, 0) // 2
        first.append(corner + 8 * skip)
        size.append(min(left * 8, most))
        turn.append(skip % _BLOCKS)
    if min(size) < 32:
        return -math.inf, np.zeros(127, np.float32)
    y, x = (int(f) for f in first)
    if s == 1.0 and [y, x] == first:
        plane = luma[y : y + size[0], x : x + size[1]]
    else:
        between = cv2.INTER_CUBIC if exact else cv2.INTER_LINEAR
        plane = _sampled(luma, s, (first[0], first[1]), (size[0], size[1]), between)
    blocks = np.array(size) // 8
    folded = np.roll(_folded(_soft(_coefficients(plane, blocks)[..., :_DATA]), _BLOCKS), turn, axis=(0, 1))
    bit, sign = _layout(key)
    bit, sign = bit[..., :_DATA].ravel(), sign[..., :_DATA].ravel()
    flat = folded.ravel()
    sums = np.bincount(bit, flat * sign, 127)
    squares, fourths = np.bincount(bit, flat**2, 127) + 1e-12, np.bincount(bit, flat**4, 127)
    excess = np.square(sums) / squares - 1  # of mean 0 over the throws of the signs
    z = float(excess.sum() / np.sqrt((2 - 2 * fourths / squares**2).sum() + 1e-9))
    return z, sums.astype(np.float32)


def _decoded(sums: NDArray[np.float32]) -> Payload | None:
    """The payload, or None where no code word is near or it says what no mark says.

    The bits that were heard faintest are tried both ways (doi:10.1109/TIT.1972.1054746).
    """
    word = sums > 0
    doubtful = np.argsort(np.abs(sums))[:_DOUBTFUL]
    for turned in range(1 << _DOUBTFUL):
        trial = word.copy()
        trial[doubtful[[bool(turned >> k & 1) for k in range(_DOUBTFUL)]]] ^= True
        found = bch.decode(trial)
        if found is not None:
            value = int("".join("01"[int(bit)] for bit in found[0]), 2)
            payload = Payload(value >> 16, value >> 8 & 255, value & 255)
            if payload.version == VERSION and payload.method_class <= len(SCOPES):
                return payload
    return None


def _to_bits(payload: Payload) -> NDArray[np.bool_]:
    value = payload.number << 16 | payload.method_class << 8 | payload.version
    return np.array([value >> place & 1 for place in range(63, -1, -1)], np.bool_)


@lru_cache(maxsize=64)
def _layout(key: bytes) -> tuple[NDArray[np.int64], F32]:
    """(8, 8, 13) bit that a coefficient of a block of the tile carries (127: the pilot), and its sign.

    Drawn by SHAKE-256, so that it is the same with every version of NumPy. Each bit gets coefficients of about every
    second frequency.
    """
    count = _BLOCKS * _BLOCKS
    stream = hashlib.shake_256(b"vultus mark 1\0" + key).digest(_DATA * count * 8 + (_DATA + 1) * count)
    order = np.frombuffer(stream[: _DATA * count * 8], "<u8").reshape(_DATA, count)
    bit = np.full((_DATA + 1, count), 127, np.int64)
    for k in range(_DATA):
        bit[k, np.argsort(order[k], kind="stable")] = (count * k + np.arange(count)) % 127
    sign = np.where(np.frombuffer(stream[_DATA * count * 8 :], np.uint8) & 1, 1, -1).reshape(_DATA + 1, count)
    return bit.T.reshape(_BLOCKS, _BLOCKS, -1).copy(), sign.T.reshape(_BLOCKS, _BLOCKS, -1).astype(np.float32)


@lru_cache(maxsize=64)
def _pilot(key: bytes) -> NDArray[np.complex128]:
    """Conjugate transform of the pilot's signs at the corners of their blocks."""
    comb = np.zeros((_TILE, _TILE))
    comb[::8, ::8] = _layout(key)[1][..., _DATA]
    return np.asarray(np.conj(np.fft.rfft2(comb)), np.complex128)


def _luma(image: U8) -> F32:
    return np.ascontiguousarray(rgb_to_ycbcr(image)[..., 0], np.float32)


def _coefficients(plane: F32, blocks: NDArray[np.int64]) -> F32:
    """(R, C, 13) coefficients of the whole blocks of a plane."""
    whole = block_dct(plane[: blocks[0] * 8, : blocks[1] * 8])
    return np.asarray(whole[..., _ROWS, _COLUMNS], np.float32)


def _soft(heard: F32) -> F32:
    """What is about as strong as a mark counts; the faint is noise, and the strong is the picture's own."""
    power = np.square(heard)
    return np.asarray(np.sign(heard) * power / ((power + _FAINT**2) * (1 + power / _STRONG**2)), np.float32)


def _optimized(image: U8, blocks: NDArray[np.int64], bit: NDArray[np.int64], direction: F32, budget: float) -> U8:
    """The picture, changed by `budget` squared levels so that what is heard worst is heard as well as can be.

    Each coefficient may stay or move just so far that JPEG of one of `_QUALITIES` rounds it a step further. Which it
    does is decided by what that is worth, to bits and channels in need, against what it costs.
    """
    luma = _luma(image)
    host = _coefficients(luma, blocks) * direction
    steps = np.array([quantization(q)[_ROWS, _COLUMNS] for q in _QUALITIES], np.float32)[:, None, None]
    reach = (np.round(host / steps) + 0.5 + _SURE) * steps - host
    cost = np.square(reach)
    before, blurred = _soft(_channels(luma, blocks, direction)), _blurred(luma, blocks, direction)
    after = np.stack([_soft(_coded(host + move, blurred + _LEFT * move)) for move in reach])
    gain = after - before
    need, care = np.ones(128), np.ones(len(_REST))
    best, surest = image, -math.inf
    for _ in range(max(3, min(_ROUNDS, 4 * _ROUNDS * _WINDOW**2 // luma.size))):  # many blocks even out by themselves
        value = np.einsum("qcijk,c->qijk", gain, care / care.sum()) * need[bit]
        change = _spent(value, cost, reach, budget) * direction
        marked = _added(image, change, blocks)
        margins = _margins(_channels(_luma(marked), blocks, direction), bit) * _REST[:, None]
        sure = np.sort(margins[:, :127], axis=1)[:, bch.CAPACITY]  # of the first bit that may not be wrong
        if sure.min() > surest:
            best, surest = marked, float(sure.min())
        margin = margins.min(axis=0)
        aim = max(float(np.median(margin[:127])), 0.5)
        need *= np.exp(np.clip(_HASTE * (aim - margin) / aim, -1, 1))
        need[127] = np.median(need[:127]) * _PILOT_NEED
        care *= np.exp(np.clip(_HASTE * (sure.mean() - sure), -1, 1))
    return best


def _spent(value: NDArray[np.float64], cost: F32, reach: F32, budget: float) -> F32:
    """The moves that are worth most within the budget: by a price of cost, found by halving."""
    low, high = 0.0, float((value / cost).max())
    for _ in range(20):
        price = (low + high) / 2
        net = value - price * cost
        pick = net.argmax(axis=0)[None]
        taken = np.take_along_axis(net, pick, 0)[0] > 0
        spent = float(np.take_along_axis(cost, pick, 0)[0][taken].sum())
        low, high = (price, high) if spent > budget else (low, price)
        if spent <= budget:
            best = np.where(taken, np.take_along_axis(reach, pick, 0)[0], np.float32(0))
    return best


def _channels(luma: F32, blocks: NDArray[np.int64], direction: F32) -> F32:
    """(4, R, C, 13) what arrives of the coefficients; positive is the wanted direction."""
    return _coded(_coefficients(luma, blocks) * direction, _blurred(luma, blocks, direction))


def _blurred(luma: F32, blocks: NDArray[np.int64], direction: F32) -> F32:
    return _coefficients(np.asarray(cv2.GaussianBlur(luma, (0, 0), _BLUR), np.float32), blocks) * direction


def _coded(plain: F32, blurred: F32) -> F32:
    """Untouched, blurred, and from JPEGs of two qualities."""
    coded = [s * np.round(plain / s) for s in (quantization(q)[_ROWS, _COLUMNS].astype(np.float32) for q in (50, 70))]
    return np.stack([plain, blurred, *coded])


def _margins(toward: F32, bit: NDArray[np.int64]) -> NDArray[np.float64]:
    """(channels, 128) how far each sum lies on the right side, in deviations."""
    found = []
    for soft in _soft(toward):
        sums = np.bincount(bit.ravel(), soft.ravel(), 128)
        found.append(sums / np.sqrt(np.bincount(bit.ravel(), soft.ravel() ** 2, 128) + 1e-9))
    return np.array(found)


def _added(image: U8, change: F32, blocks: NDArray[np.int64]) -> U8:
    """The picture with Y changed by coefficients; equal steps of R, G and B change nothing else."""
    full = np.zeros((*blocks, 8, 8), np.float32)
    full[..., _ROWS, _COLUMNS] = change
    plane = np.zeros(image.shape[:2], np.float32)
    plane[: blocks[0] * 8, : blocks[1] * 8] = block_idct(full)
    return np.asarray(np.clip(np.floor(image + plane[..., None] + 0.5), 0, 255), np.uint8)
