"""The records that flow through vultus: frozen, NumPy only, checked on construction.

Axes and orders (they hold everywhere):
    pictures   uint8 RGB, (H, W, 3), EXIF orientation already applied
    boxes      xyxy float32 pixels of that picture, edge coordinates: the first pixel spans 0..1
    points     (x, y) float32 pixels, center coordinates: the center of the first pixel is (0, 0)
    five       viewer's left eye, viewer's right eye, nose tip, viewer's left mouth corner, viewer's right mouth corner
    scores     rise with likeness, quality and genuineness
"""

from __future__ import annotations

import hashlib
import json
import numbers
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timezone
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError, Refused

__all__ = [
    "BASIS_KINDS",
    "F32",
    "SCOPES",
    "U8",
    "Basis",
    "ComparisonTable",
    "CropSpec",
    "Decision",
    "Detections",
    "Embedded",
    "Face",
    "Generated",
    "Identity",
    "Image",
    "Match",
    "Metric",
    "Provenance",
    "Report",
    "Template",
    "subject_hash",
]

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
Outcome = Literal["accept", "reject", "abstain"]
SCOPES = (
    *("generate", "swap", "restore_identity", "enroll_generation", "attack", "morph", "reconstruct", "deanonymize"),
    *("analyze:age", "analyze:race", "analyze:gender", "analyze:lifespan", "unmarked"),
)
BASIS_KINDS = ("own_image", "consent", "contract", "research_engagement", "synthetic")


def checked(name: str, value: Any, shape: tuple[int | None, ...], dtype: Any = np.float32) -> NDArray[Any]:
    """Return `value` as a read-only array of `dtype` and `shape` (None = any), or raise InputError in words."""
    try:
        array = np.array(value, dtype=dtype)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: expected numbers of shape {_words(shape)}, got {type(value).__name__}") from error
    fits = array.ndim == len(shape)
    if not fits or any(want not in (None, got) for want, got in zip(shape, array.shape, strict=True)):
        raise InputError(f"{name}: expected shape {_words(shape)}, got {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(f"{name}: expected finite numbers, got NaN or infinity")
    array.setflags(write=False)
    return array


def is_number(value: object) -> bool:
    """Whether it is one real number, of Python or NumPy."""
    return isinstance(value, numbers.Real)


def _words(shape: tuple[int | None, ...]) -> str:
    sizes = ", ".join("any" if size is None else str(size) for size in shape)
    return f"({sizes},)" if len(shape) == 1 else f"({sizes})"


def _plain(value: Any) -> Any:
    """Turn a field into what JSON knows."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(_plain(item) for item in value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


class _Record:
    """Equality by value and one serialization, for records that hold arrays."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """The record as plain JSON values, one key per field."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}  # type: ignore[arg-type]

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(str(self.to_dict()))


def _set(record: Any, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(record, name, value)


def _digest(record: _Record) -> str:
    """Hex sha256 of what is set: a field that a later version adds changes no id."""
    told = {name: value for name, value in record.to_dict().items() if value not in ("", None, [], {})}
    try:
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    except TypeError as error:
        raise InputError(f"{type(record).__name__}: expected JSON values, got something else: {error}") from error


@dataclass(frozen=True, slots=True, eq=False)
class Image(_Record):
    """A decoded picture; made by `vultus.io` and the server only.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, EXIF orientation applied, read-only.
        sha256: hex digest of the encoded file, which identifies the medium.
        source: where it came from (a path), or None.
        reduction: 1, 2, 4 or 8: the factor by which a JPEG was decoded smaller than it is stored. Boxes and points
            found on `pixels` are multiplied by it to be in pixels of the stored picture.
        full_hw: height and width of the stored picture, upright; follows from the others unless given.
    """

    pixels: U8
    sha256: str
    source: str | None = None
    reduction: int = 1
    full_hw: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        pixels = self.pixels
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            what = f"{pixels.dtype} {pixels.shape}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
            raise InputError(f"pixels: expected uint8 RGB of shape (H, W, 3), got {what}")
        pixels = pixels.view()
        pixels.setflags(write=False)
        height, width = pixels.shape[:2]
        full = self.full_hw if all(self.full_hw) else (height * self.reduction, width * self.reduction)
        _set(self, pixels=pixels, full_hw=full)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the pixels."""
        size = list(self.full_hw)
        return {"sha256": self.sha256, "source": self.source, "size_hw": size, "reduction": self.reduction}


@dataclass(frozen=True, slots=True, eq=False)
class Face(_Record):
    """One detected face, in pixels of the original picture.

    Attributes:
        box_xyxy_px: (4,) left, top, right, bottom; edge coordinates.
        score: detector's confidence in [0, 1].
        points_px: (5, 2) five points, or None when the detector gives none.
    """

    box_xyxy_px: F32
    score: float
    points_px: F32 | None = None

    def __post_init__(self) -> None:
        _set(self, box_xyxy_px=checked("box_xyxy_px", self.box_xyxy_px, (4,)), score=float(self.score))
        if self.points_px is not None:
            _set(self, points_px=checked("points_px", self.points_px, (5, 2)))


@dataclass(frozen=True, slots=True, eq=False)
class Detections(_Record):
    """The faces of one picture as columns, best score first.

    Attributes:
        boxes: (N, 4) xyxy pixels of the original picture.
        scores: (N,) in [0, 1].
        points: (N, 5, 2) pixels, or None when the detector gives none.
    """

    boxes: F32
    scores: F32
    points: F32 | None = None

    def __post_init__(self) -> None:
        try:
            rows = np.reshape(np.asarray(self.boxes, np.float32), (-1, 4))
        except (TypeError, ValueError) as error:
            raise InputError(f"boxes: expected numbers of shape (any, 4), got {type(self.boxes).__name__}") from error
        boxes = checked("boxes", rows, (None, 4))
        _set(self, boxes=boxes, scores=checked("scores", self.scores, (len(boxes),)))
        if self.points is not None:
            _set(self, points=checked("points", self.points, (len(boxes), 5, 2)))

    def __len__(self) -> int:
        return len(self.scores)

    def faces(self) -> list[Face]:
        """The same faces as records."""
        points = self.points if self.points is not None else [None] * len(self)
        return [Face(b, float(s), p) for b, s, p in zip(self.boxes, self.scores, points, strict=True)]


@dataclass(frozen=True, slots=True)
class CropSpec:
    """Which crop a model wants; comes from its card.

    Attributes:
        template: name of the alignment template (`arcface112`, `dlib150`, ...) or `box` for a square around the box.
        size_hw: height and width of the crop in pixels.
        margin: for `box`: added on each side, as a share of the longer side of the box.
    """

    template: str
    size_hw: tuple[int, int]
    margin: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Embedded(_Record):
    """Vectors of one space.

    Attributes:
        vec: (N, D) float32, unit rows.
        space: catalogue name + "@" + first 12 hex of the weights' sha256.
        norm: (N,) length of each vector before normalization, or None.
    """

    vec: F32
    space: str
    norm: F32 | None = None

    def __post_init__(self) -> None:
        vec = checked("vec", self.vec, (None, None))
        length = np.linalg.norm(vec, axis=1)
        if len(vec) and not np.allclose(length, 1.0, atol=1e-3):
            raise InputError(f"vec: expected unit rows, got lengths from {length.min():.4f} to {length.max():.4f}")
        _set(self, vec=vec)
        if self.norm is not None:
            _set(self, norm=checked("norm", self.norm, (len(vec),)))

    def __len__(self) -> int:
        return len(self.vec)


@dataclass(frozen=True, slots=True, eq=False)
class Template(_Record):
    """One unit vector that stands for a face or for a person (a fused reference).

    Attributes:
        vector: (D,) float32, unit length.
        space: see `Embedded`.
        quality: usefulness in [0, 1], or None when it was not assessed.
        n_images: how many pictures were fused.
        media: sha256 of those pictures.
    """

    vector: F32
    space: str
    quality: float | None = None
    n_images: int = 1
    media: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        vector = checked("vector", self.vector, (None,))
        length = float(np.linalg.norm(vector))
        if abs(length - 1.0) > 1e-3:
            raise InputError(f"vector: expected unit length, got {length:.4f}")
        _set(self, vector=vector, media=tuple(self.media))


@dataclass(frozen=True, slots=True, eq=False)
class Identity(_Record):
    """A person in a gallery.

    Attributes:
        id: stable key; a person can be erased by it alone.
        name: shown to people.
        template: the fused reference.
        enrolled_at: UTC, ISO 8601.
    """

    id: str
    name: str
    template: Template
    enrolled_at: str


@dataclass(frozen=True, slots=True)
class Match(_Record):
    """A candidate of a search: who, how alike (higher is more alike), at which rank (1 = best)."""

    identity_id: str
    name: str
    score: float
    rank: int


@dataclass(frozen=True, slots=True)
class Metric(_Record):
    """A number with its interval.

    Attributes:
        value: the estimate, or None when the data cannot support one (`note` says why).
        low: lower end of the 95 % interval, or None.
        high: upper end of the 95 % interval, or None.
        unit: "share", "px", "ms", "cosine", ...
        n: how many independent observations it rests on.
        note: what a reader must know, or "".
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    n: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Decision(_Record):
    """What was decided, and at which error rate.

    Attributes:
        outcome: "accept", "reject" or "abstain".
        score: similarity, cosine in [-1, 1]; higher is more alike. None when nothing was compared.
        threshold: accept when score >= threshold.
        fmr: the false match rate that threshold stands for, with interval and count.
        calibration: where threshold and rate come from: data tier, data set and count, or "user: ...".
        match: whom the probe was matched with (identification), or None.
        reason: why it abstained or was rejected, in a sentence, or "".
    """

    outcome: Outcome
    score: float | None
    threshold: float
    fmr: Metric
    calibration: str
    match: Match | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        if self.outcome not in ("accept", "reject", "abstain"):
            raise InputError(f"outcome: expected accept, reject or abstain, got {self.outcome!r}")

    @property
    def accepted(self) -> bool:
        """True only for "accept": an abstention never counts as a match."""
        return self.outcome == "accept"


@dataclass(frozen=True, slots=True, eq=False)
class ComparisonTable(_Record):
    """Comparisons as columns; the input of every verification metric.

    Attributes:
        score: (P,) float64, higher is more alike.
        mated: (P,) bool, same person.
        ref_subject: (P,) integer subject index of the reference.
        probe_subject: (P,) integer subject index of the probe.
        split: "train", "dev" or "test"; thresholds are fitted on anything but "test".
    """

    score: NDArray[np.float64]
    mated: NDArray[np.bool_]
    ref_subject: NDArray[np.int64]
    probe_subject: NDArray[np.int64]
    split: str

    def __post_init__(self) -> None:
        score = checked("score", self.score, (None,), np.float64)
        if self.split not in ("train", "dev", "test"):
            raise InputError(f"split: expected train, dev or test, got {self.split!r}")
        _set(
            self,
            score=score,
            mated=checked("mated", self.mated, (len(score),), np.bool_),
            ref_subject=checked("ref_subject", self.ref_subject, (len(score),), np.int64),
            probe_subject=checked("probe_subject", self.probe_subject, (len(score),), np.int64),
        )
        if not np.array_equal(self.mated, self.ref_subject == self.probe_subject):
            raise InputError("mated: expected True exactly where ref_subject equals probe_subject")

    def __len__(self) -> int:
        return len(self.score)


@dataclass(frozen=True, slots=True, eq=False)
class Report(_Record):
    """The result of an evaluation; written by programs only.

    Attributes:
        protocol: "lfw.view2", "detection", ...
        dataset: which data, with counts.
        data_tier: "sim" or "real".
        metrics: name -> Metric.
        curves: name -> {"x": [...], "y": [...], "x_label": ..., "y_label": ...}.
        spaces: embedding spaces (or detector names with their weights) the numbers belong to.
        provenance: version, commit, seed, device, library versions, UTC date.
        missing: what could not be computed and why.
    """

    protocol: str
    dataset: str
    data_tier: str
    metrics: Mapping[str, Metric]
    curves: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    spaces: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Provenance(_Record):
    """How pictures were made; embedded in their files, and what the invisible mark points to.

    Attributes:
        method: catalogue name, or "sim.faces" and the like.
        weights, base: space or sha256 of the weights, and the model it was built on, or "".
        seed, basis_id: of the random numbers, or None; `Basis.id` under which it was allowed, or "".
        parents: sha256 of the pictures it was made from.
        loss_spaces: every network that was optimized against; a panel refuses those as judges.
        options: what else was set, as JSON values.
        created, version: UTC, ISO 8601, or "" where the time is no part of the record; of vultus.
    """

    method: str
    weights: str = ""
    base: str = ""
    seed: int | None = None
    basis_id: str = ""
    parents: tuple[str, ...] = ()
    loss_spaces: frozenset[str] = frozenset()
    options: Mapping[str, Any] = field(default_factory=dict)
    created: str = ""
    version: str = ""

    def __post_init__(self) -> None:
        if not self.method:
            raise InputError('method: expected a catalogue name or "sim.<world>", got an empty string')
        _set(self, parents=tuple(self.parents), loss_spaces=frozenset(self.loss_spaces), options=dict(self.options))

    @property
    def id(self) -> str:
        """Hex sha256 of the record; its first 48 bits are the number in the mark."""
        return _digest(self)

    @property
    def simulated(self) -> bool:
        """Whether it says that no real person is in the pictures: drawn by `vultus.sim`, or made of such pictures."""
        return self.method.startswith("sim.") or self.basis_id == "synthetic"


@dataclass(frozen=True, slots=True, eq=False)
class Generated(_Record):
    """(N, H, W, 3) uint8 RGB pictures that were made, and how; always together."""

    images: U8
    provenance: Provenance

    def __post_init__(self) -> None:
        if getattr(self.images, "dtype", None) != np.uint8:  # a cast would turn 0..1 to black
            raise InputError(f"images: expected uint8, got {getattr(self.images, 'dtype', type(self.images).__name__)}")
        _set(self, images=checked("images", self.images, (None, None, None, 3), np.uint8))


@dataclass(frozen=True, slots=True, eq=False)
class Basis(_Record):
    """Why something that can harm may be done with somebody's pictures: one record for consent and for engagements.

    Attributes:
        kind: one of `BASIS_KINDS`.
        subject_ref, scopes: whose pictures, "" where the evidence covers several people; some of `SCOPES`.
        purpose, owner: in a sentence; who answers for it.
        issued, expires: UTC, ISO 8601; only a synthetic basis never ends.
        evidence_sha256: of the signed document, which consent, contract and research_engagement have.
        protected: salt and hashes of the people nobody may use, as `vultus.io.basis` reads them, or None: not read.
    """

    kind: str
    subject_ref: str
    scopes: frozenset[str]
    purpose: str
    owner: str
    issued: str
    expires: str
    evidence_sha256: str = ""
    protected: tuple[str, frozenset[str]] | None = None

    def __post_init__(self) -> None:
        scopes, real, one = frozenset(self.scopes), self.kind != "synthetic", self.kind in ("own_image", "consent")
        if self.kind not in BASIS_KINDS:
            raise InputError(f"kind: expected one of {', '.join(BASIS_KINDS)}; got {self.kind!r}")
        if scopes - set(SCOPES):
            raise InputError(f"scopes: expected a set of some of {', '.join(SCOPES)}; got {self.scopes!r}")
        needed = ["purpose", "owner", "issued", "expires"] * real + ["subject_ref"] * one
        missing = [name for name in needed if not getattr(self, name)]
        if missing:
            raise InputError(f"{', '.join(missing)}: expected in a basis of kind {self.kind}, got nothing")
        if real and self.kind != "own_image" and not re.fullmatch("[0-9a-f]{64}", self.evidence_sha256):
            raise InputError(f"evidence_sha256: expected 64 hex digits, got {self.evidence_sha256!r}")
        if real and _when("issued", self.issued) >= _when("expires", self.expires):
            raise InputError(f"expires: expected a time after {self.issued}, got {self.expires}")
        _set(self, scopes=scopes)

    @classmethod
    def synthetic(cls) -> Basis:
        """Every scope, for simulated pictures only."""
        return cls("synthetic", "", frozenset(SCOPES), "simulated pictures", "nobody", "", "")

    @property
    def id(self) -> str:
        """What a provenance names: "synthetic", or 16 hex digits."""
        return self.kind if self.kind == "synthetic" else _digest(self)[:16]

    def to_dict(self) -> dict[str, Any]:
        """Everything but the list of protected people."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self) if f.name != "protected"}

    def require(
        self: Basis | None,
        scope: str,
        subject: str | None = None,
        *,
        sources: Iterable[Provenance | None] | None = None,
    ) -> None:
        """Refuse what this basis does not cover: the first statement of every public function that can harm.

        `Basis.require(basis, "swap", subject)` refuses a basis that is None, too.

        Args:
            scope: what is about to be done.
            subject: whose pictures; None means the basis' own subject. Simulated people are "sim:<seed>".
            sources: provenance of the pictures handed in, which a synthetic basis must see; () where there are none.

        Raises:
            Refused: no basis, not yet or no longer valid, another scope or subject, a protected person, or a synthetic
                basis for what is not simulated.
        """
        if self is None:
            raise Refused(f"{scope}: expected a basis, got none: open one with vultus.io.basis.read")
        if scope not in self.scopes:
            raise Refused(
                f"{scope}: this basis covers {', '.join(sorted(self.scopes)) or 'nothing'}; get one that does"
            )
        if self.kind == "synthetic":
            _require_simulated(scope, subject, sources)
            return
        if not _when("issued", self.issued) <= datetime.now(timezone.utc) < _when("expires", self.expires):
            raise Refused(f"{scope}: this basis is valid from {self.issued} until {self.expires}: have it renewed")
        if self.subject_ref and subject not in (None, self.subject_ref):
            raise Refused(f"{scope}: this basis is that of {self.subject_ref!r}, not of {subject!r}")
        if self.protected is None:
            if os.environ.get("VULTUS_PROTECTED"):
                raise Refused(f"{scope}: VULTUS_PROTECTED was not asked: open the basis with vultus.io.basis")
            return
        (salt, hashes), who = self.protected, subject or self.subject_ref
        if hashes and not who:
            raise Refused(f"{scope}: there is a list of protected people: say whose pictures these are")
        if hashes and subject_hash(salt, who) in hashes:
            raise Refused(f"{scope}: this person is on the list of protected people")


def subject_hash(salt: str, subject: str) -> str:
    """The entry of a person in a list of protected people; case and white space do not count."""
    words = " ".join(subject.split()).casefold().encode()
    return hashlib.pbkdf2_hmac("sha256", words, salt.encode(), 20_000).hex()


def _require_simulated(scope: str, subject: str | None, sources: Iterable[Provenance | None] | None) -> None:
    if sources is None or not (subject or "sim:").startswith("sim:"):
        raise Refused(f'{scope}: a synthetic basis needs sources=, and no subject but "sim:<seed>"; got {subject!r}')
    if any(source is None or not source.simulated for source in sources):
        raise Refused(f"{scope}: a synthetic basis is for simulated pictures; the provenance of one does not say so")


def _when(name: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise InputError(f"{name}: expected a time as 2026-11-25 or 2026-11-25T12:00:00Z, got {text!r}") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
