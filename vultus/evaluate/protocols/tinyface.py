"""TinyFace: probes of about twenty pixels searched among their matches and a crowd of distractors.

Cheng, Zhu & Gong 2018, "Low-resolution face recognition", arXiv:1811.08965: every probe has at least one match; figures
are the share of probes with a match among the first 1, 5, 10 and 20 pictures and the mean average precision, by the
trapezoid rule as in the code that was released with the set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vultus.contracts import Aligner, Embedder
from vultus.errors import InputError
from vultus.evaluate.metrics.identification import closed_set, mean_average_precision, search
from vultus.evaluate.protocols import _search_page
from vultus.evaluate.protocols._crops import embedded_crops
from vultus.evaluate.protocols._pair_set import Embed, embedded_rows, failures
from vultus.evaluate.provenance import licenses, provenance
from vultus.io import images
from vultus.io.datasets.tinyface import TinyFace
from vultus.ops.warp import template
from vultus.types import F32, U8, Embedded, Metric, Report

__all__ = ["embed_whole", "tinyface"]

RANKS = (1, 5, 10, 20)


def tinyface(
    data: TinyFace,
    embed: Embed,
    *,
    rng: np.random.Generator | int = 0,
    n_boot: int = 2000,
    title: str = "TinyFace",
    faces: str = "",
) -> Report:
    """Run the protocol.

    Args:
        data: the set, as `vultus.io.datasets.tinyface.tinyface` reads it.
        embed: called once with all pictures; returns the unit vectors of those that could be used, in order, and True
            for each of them. See `embed_whole`.
        rng: source of the bootstrap draws, or its seed.
        n_boot: number of draws.
        title: heading of the report page.
        faces: how faces were cut, in words for the report; results depend on it.

    Returns:
        Metrics "search.rank_*", "search.map" and "enroll.failure_to_acquire"; shares within each rank as a curve.

    Raises:
        InputError: if a picture is a probe and in the gallery, or `embed` could use no picture or contradicts itself.
    """
    both = set(data.probes) & set(data.gallery)
    if both:
        raise InputError(
            f"data: expected probes that are not in the gallery, got {len(both)} that are, such as {min(both)}"
        )
    seed, draws = (rng, np.random.default_rng(rng)) if isinstance(rng, int) else ("the caller's generator", rng)
    embedded, rows, found = embedded_rows(embed, [*data.probes, *data.gallery])
    n = len(data.probes)
    searched = [search(rows[:n], data.probe_subjects, rows[n:], data.gallery_subjects)]
    ranks = [k for k in range(1, 51) if k <= len(data.gallery)]
    shares = closed_set(searched, ranks, rng=draws, n_boot=n_boot)
    nobody = int(data.gallery_subjects.max()) + 1
    crowd = np.flatnonzero(data.gallery_subjects < 0)
    people = np.concatenate([data.probe_subjects, data.gallery_subjects])
    people[n + crowd] = nobody + np.arange(len(crowd))  # each distractor is a person of its own
    metrics: dict[str, Metric] = {
        **{f"search.rank_{k}": shares[k - 1] for k in RANKS if k in ranks},
        "search.map": mean_average_precision(searched, rng=draws, n_boot=n_boot),
        "enroll.failure_to_acquire": failures(found, people, draws, n_boot),
    }
    about = {
        "title": title,
        "groups": {"search": "Probes searched in the gallery", "enroll": "Before searching"},
        "labels": {"search.map": "Mean average precision"},
        "notes": [
            *([f"Faces: {faces}."] if faces else []),
            "Every probe has a match. Average precision is by the trapezoid rule, as in the released code.",
            _search_page.NOTES[0],
            _search_page.NOTES[2],
            _search_page.NOTES[3],
        ],
        "counts": {
            "probes": n,
            "people": len(np.unique(data.probe_subjects)),
            "matches in the gallery": len(data.gallery) - len(crowd),
            "distractors": len(crowd),
            "probes that could not be used": int((~found[:n]).sum()),
            "gallery pictures that could not be used": int((~found[n:]).sum()),
        },
        **provenance(seed=seed),
        "licenses of the weights": licenses([embedded.space]),
        "bootstrap draws": n_boot,
    }
    curves = {"cmc": _search_page.cmc_curve(ranks, shares, "probes")}
    dataset = (
        f"{data.name}: {n:,} probes of {len(np.unique(data.probe_subjects)):,} people, "
        f"{len(data.gallery) - len(crowd):,} matches, {len(crowd):,} distractors"
    )
    return Report("tinyface", dataset, data.tier, metrics, curves, (embedded.space,), about)


def embed_whole(
    embedder: Embedder, aligner: Aligner, *, batch: int = 64, watch: Callable[[Sequence[Path]], Iterable[Path]] = iter
) -> Embed:
    """What `tinyface` calls where nothing is detected: the whole picture is taken for the crop.

    The five points are those of the ArcFace template in the smallest square around the picture, so faces that were cut
    by a box and not by points are not aligned, and nothing is stretched. A picture that cannot be decoded counts as one
    without a face.

    Args:
        embedder: of crops.
        aligner: cuts the embedder's crop.
        batch: crops in one call.
        watch: gives the pictures again and may show how far it is.
    """

    def embed(paths: Sequence[Path]) -> tuple[Embedded, NDArray[np.bool_]]:
        return embedded_crops(
            watch(paths),
            lambda path: images.read(path, truncated="accept").pixels,
            lambda _, pixels: _in_square(pixels),
            embedder,
            aligner,
            batch,
        )

    return embed


def _in_square(pixels: U8) -> F32:
    """The points of the template in the smallest square around a picture."""
    height, width = pixels.shape[:2]
    side = max(height, width)
    corner = np.array([(width - side) / 2, (height - side) / 2], np.float32)
    return template("arcface112", (side, side)) + corner
