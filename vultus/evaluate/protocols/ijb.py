"""IJB-B and IJB-C: templates compared 1:1 at false accept rates down to 10^-6, and searched 1:N in two galleries.

Whitelam et al. 2017 (doi:10.1109/CVPRW.2017.87), Maze et al. 2018 (doi:10.1109/ICB2018.2018.00033). A template is the
sum of its media, a video being the mean of its frames (`vultus.evaluate.metrics.templates`); each picture weighs as
much as its detection score and, where the embedder tells it, the length of its vector, as in the evaluation that
InsightFace released. TPIR at FPIR asks that the mate reaches the threshold, at whatever rank; figures of 1:N are means
over the galleries.

Differs: InsightFace's script for 1:N joins both galleries, so that every probe is mated, and takes its threshold from
single comparisons; here the false alarms are those of probes whose person is not in the gallery, as in the papers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vultus.contracts import Aligner, Embedder
from vultus.errors import InputError
from vultus.evaluate.metrics.all_pairs import UNDETECTED
from vultus.evaluate.metrics.identification import OpenSet, closed_set, open_set, search
from vultus.evaluate.metrics.templates import pooled
from vultus.evaluate.metrics.verification import Comparisons, trade_off
from vultus.evaluate.protocols import _search_page
from vultus.evaluate.protocols._crops import embedded_crops
from vultus.evaluate.protocols._lfw_page import det
from vultus.evaluate.protocols._pair_set import at, embedded_rows, failures, rates_to_draw
from vultus.evaluate.provenance import licenses, provenance
from vultus.io import images
from vultus.io.datasets.ijb import Ijb
from vultus.types import F32, Embedded, Metric, Report

__all__ = ["EmbedAt", "embed_at", "ijb"]

EmbedAt = Callable[[Sequence[Path], F32], tuple[Embedded, NDArray[np.bool_]]]
"""(N pictures, (N, 5, 2) points) -> unit vectors of the pictures that could be used, and (N,) True for each of them."""

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

FARS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
FPIRS = (1e-1, 1e-2)
RANKS = (1, 5, 10)
_DENSE = 4096  # people whose counts of comparisons are kept as a matrix


def ijb(
    data: Ijb,
    embed: EmbedAt,
    *,
    fars: Sequence[float] = FARS,
    fpirs: Sequence[float] = FPIRS,
    weighted: bool = True,
    rng: np.random.Generator | int = 0,
    n_boot: int = 500,
    title: str = "",
) -> Report:
    """Run the protocol.

    Args:
        data: the set, as `vultus.io.datasets.ijb.ijb` reads it.
        embed: called once with all pictures and the points that come with the set; see `embed_at`.
        fars: false accept rates of the pairs, in (0, 0.1].
        fpirs: false positive identification rates, in (0, 0.5].
        weighted: whether pictures weigh by detection score and length of the vector, or all alike.
        rng: source of the bootstrap draws, or its seed.
        n_boot: number of draws.
        title: heading of the report page; "" takes the set's name.

    Returns:
        Metrics "verification.tar_at_far_*", "identification.tpir_at_fpir_*", "identification.rank_*" and
        "enroll.failure_to_acquire"; DET, rates and ranks as curves; thresholds with their source.

    Raises:
        InputError: if a rate is out of range, `embed` could use no picture or contradicts itself, or a class is empty.
    """
    if not fars or min(fars) <= 0 or max(fars) > 0.1 or not fpirs or min(fpirs) <= 0 or max(fpirs) > 0.5:
        raise InputError(f"fars, fpirs: expected rates in (0, 0.1] and in (0, 0.5], got {list(fars)} and {list(fpirs)}")
    seed, draws = (rng, np.random.default_rng(rng)) if isinstance(rng, int) else ("the caller's generator", rng)
    embedded, _, found = embedded_rows(lambda paths: embed(paths, data.points), list(data.paths))
    templates = _templates(data, embedded, found, weighted)
    pairs = _comparisons(data, templates, max(fars))
    curve = trade_off(pairs, rates_to_draw(tuple(fars), pairs.n_nonmated, max(fars)), rng=draws, n_boot=n_boot)
    metrics: dict[str, Metric] = {
        f"verification.tar_at_far_{_search_page.rate_name(far)}": at(curve, far) for far in fars
    }
    thresholds = [
        {
            "name": f"FAR {_search_page.rate_name(far)}, pairs",
            "value": float(curve.thresholds[np.flatnonzero(curve.fars == far)[0]]),
            "source": "quantile of the non-mated scores of this very set",
        }
        for far in fars
    ]
    curves = {"det": det(curve, f"{pairs.n_nonmated:,} non-mated, {len(pairs.mated):,} mated pairs of templates")}
    missing: tuple[str, ...] = ("identification: the 1:N lists are not in the folder",)
    if data.galleries:
        missing = ()
        rates, shares, ranks = _identified(data, templates, fpirs, draws, n_boot)
        metrics |= {
            f"identification.tpir_at_fpir_{_search_page.rate_name(f)}": _search_page.tpir_at(rates, f) for f in fpirs
        }
        metrics |= {f"identification.rank_{k}": shares[ranks.index(k)] for k in RANKS if k in ranks}
        names = [f", gallery {k}" for k in range(1, len(data.galleries) + 1)]
        thresholds += _search_page.threshold_rows(rates, fpirs, names)
        curves["tpir"] = _search_page.rate_curve(rates, "mean over the galleries", "true positive identification rate")
        curves["cmc"] = _search_page.cmc_curve(ranks, shares, "mean over the galleries")
    metrics["enroll.failure_to_acquire"] = failures(found, data.subjects[data.template], draws, n_boot)
    about = {
        "title": title or data.name.upper(),
        "groups": {
            "verification": "Pairs of templates",
            "identification": "Templates searched in two galleries",
            "enroll": "Before comparing",
        },
        "thresholds": thresholds,
        "notes": [*_NOTES[: 2 if weighted else 1], *_search_page.NOTES],
        "counts": _counts(data, pairs, templates, found),
        **provenance(seed=seed),
        "licenses of the weights": licenses([embedded.space]),
        "bootstrap draws": n_boot,
    }
    dataset = (
        f"{data.name}: {len(pairs.mated):,} mated and {pairs.n_nonmated:,} non-mated pairs of {len(data.numbers):,} "
        f"templates, {len(data.paths):,} pictures"
    )
    return Report("ijb", dataset, data.tier, metrics, curves, (embedded.space,), about, missing)


def embed_at(
    embedder: Embedder, aligner: Aligner, *, batch: int = 64, watch: Callable[[Sequence[Path]], Iterable[Path]] = iter
) -> EmbedAt:
    """What `ijb` calls: each picture is cut by the points of the set, so nothing is detected.

    A picture that cannot be decoded counts as one without a face.

    Args:
        embedder: of crops.
        aligner: cuts the embedder's crop.
        batch: crops in one call.
        watch: gives the pictures again and may show how far it is.
    """

    def embed(paths: Sequence[Path], points: F32) -> tuple[Embedded, NDArray[np.bool_]]:
        return embedded_crops(
            zip(watch(paths), points, strict=True),
            lambda item: images.read(item[0], truncated="accept").pixels,
            lambda item, _: item[1],
            embedder,
            aligner,
            batch,
        )

    return embed


_NOTES = (
    "A template is the sum of its media, scaled to length 1; a video counts as one medium, the mean of its frames.",
    "Each picture weighs as much as its detection score, and as the length of its vector where the embedder tells it.",
)


def _templates(data: Ijb, embedded: Embedded, found: NDArray[np.bool_], weighted: bool) -> F32:
    """(T, D) unit rows; zeros where no picture of a template could be used."""
    weights = data.score[found].copy() if weighted else np.ones(int(found.sum()))
    if weighted and embedded.norm is not None:
        weights *= embedded.norm
    return pooled(embedded.vec, data.template[found], data.media[found], len(data.numbers), weights=weights)


def _comparisons(data: Ijb, templates: F32, most: float) -> Comparisons:
    """Scores of the pairs; of the non-mated ones the highest, twice as many as the largest rate asks for."""
    scores = _scores(data, templates)
    same = data.same
    n_nonmated = int((~same).sum())
    if not same.any() or n_nonmated == 0:
        raise InputError(f"pairs: expected mated and non-mated ones, got {int(same.sum())} of {len(same)} mated")
    first, second = data.subjects[data.left], data.subjects[data.right]
    mated = np.flatnonzero(same)[np.argsort(scores[same], kind="stable")]
    others = np.flatnonzero(~same)
    keep = min(n_nonmated, int(2 * most * n_nonmated) + 1000)
    tail = others[np.argpartition(-scores[others], keep - 1)[:keep]]
    tail = tail[np.argsort(-scores[tail], kind="stable")]
    n = int(data.subjects.max()) + 1
    return Comparisons(
        scores[mated],
        first[mated],
        scores[tail],
        np.stack([first[tail], second[tail]], 1),
        n_nonmated,
        n,
        _weigher(first[others], second[others], n),
    )


def _scores(data: Ijb, templates: F32, *, block: int = 256) -> F64:
    """Cosine of each pair, or `UNDETECTED`. The sets compare each first template with thousands of others, so the
    products of a block of them with all templates are quicker than the pairs one by one.
    """
    empty: NDArray[np.bool_] = np.asarray(~templates.any(axis=1))
    order = np.argsort(data.left, kind="stable")
    left, right = data.left[order], data.right[order]
    firsts, starts = np.unique(left, return_index=True)
    scores = np.empty(len(order))
    for k in range(0, len(firsts), block):
        rows, start = firsts[k : k + block], starts[k]
        stop = starts[k + block] if k + block < len(firsts) else len(order)
        likeness = np.clip(templates[rows] @ templates.T, -1.0, 1.0)
        likeness[empty[rows]] = UNDETECTED
        likeness[:, empty] = UNDETECTED
        scores[order[start:stop]] = likeness[np.searchsorted(rows, left[start:stop]), right[start:stop]]
    return scores


def _weigher(first: I64, second: I64, n: int) -> Callable[[F64], float]:
    """Draws of each person -> weighted number of all non-mated comparisons."""
    keys, counts = np.unique(first * n + second, return_counts=True)
    a, b = keys // n, keys % n
    if n > _DENSE:
        return lambda w: float((w[a] * w[b]) @ counts)
    matrix = np.zeros((n, n))
    matrix[a, b] = counts
    return lambda w: float(w @ (matrix @ w))


def _identified(
    data: Ijb, templates: F32, fpirs: Sequence[float], draws: np.random.Generator, n_boot: int
) -> tuple[OpenSet, tuple[Metric, ...], list[int]]:
    """TPIR over FPIR, shares within each rank, and the ranks."""
    probes = data.probes if data.probes is not None else np.zeros(0, np.int64)
    parts = [
        search(templates[probes], data.subjects[probes], templates[gallery], data.subjects[gallery])
        for gallery in data.galleries
    ]
    fewest = min(int((~part.mated).sum()) for part in parts)
    rates = open_set(
        parts, rates_to_draw(tuple(fpirs), max(fewest, 1), max(fpirs)), rank=None, rng=draws, n_boot=n_boot
    )
    ranks = [k for k in range(1, 51) if k <= min(map(len, data.galleries))]
    return rates, closed_set(parts, ranks, rng=draws, n_boot=n_boot), ranks


def _counts(data: Ijb, pairs: Comparisons, templates: F32, found: NDArray[np.bool_]) -> dict[str, int]:
    probes = data.probes if data.probes is not None else ()
    return {
        "pictures": len(data.paths),
        "pictures that could not be used": int((~found).sum()),
        "templates": len(data.numbers),
        "templates without a usable picture": _search_page.lacking(templates),
        "people": len(np.unique(data.subjects)),
        "mated pairs": len(pairs.mated),
        "non-mated pairs": pairs.n_nonmated,
        **{f"templates in gallery {k}": len(gallery) for k, gallery in enumerate(data.galleries, 1)},
        "probes": len(probes),
    }
