"""Measure what the scores of an embedder mean, and write the table that vultus ships for it.

    python tools/calibration.py FOLDER --embedder dlib_resnet29
    python tools/calibration.py FOLDER --embedder fr_feature fused --refiner facemesh --cache CACHE

FOLDER holds one folder of photographs per person, each centered on its person. Every picture is compared with every
other one; the curve, its intervals over people, the data set, its counts and the date go to
vultus/gallery/calibration/<space name>.json. --cache keeps points and vectors between runs.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vultus import catalogue
from vultus.gallery import calibrate
from vultus.io import datasets, images
from vultus.types import F32, U8, Detections

ROOT = Path(__file__).resolve().parents[1]
TABLES = ROOT / "vultus/gallery/calibration"
BATCH = 32


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--embedder", nargs="+", required=True, metavar="ROW")
    parser.add_argument("--detector", default="centerface", metavar="ROW")
    parser.add_argument("--refiner", default="", metavar="ROW")
    parser.add_argument("--tier", default="real", choices=("sim", "real"))
    parser.add_argument("--note", default="")
    parser.add_argument("--cache", type=Path, help="folder")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=2000, help="of the bootstrap")
    args = parser.parse_args()
    data = datasets.folder(args.folder)
    alignment = "+".join(part for part in (args.detector, args.refiner) if part)
    points = found_points(data.paths, args.detector, args.refiner, args.cache, args.threads)
    seen = np.isfinite(points[:, 0, 0])
    print(f"{data.name}: {len(seen)} pictures, {int((~seen).sum())} without a face", flush=True)
    for row in args.embedder:
        embedder = catalogue.load(row, threads=args.threads)
        vectors = embedded(data.paths, points, embedder, f"{alignment}-{row}", args.cache)
        note = "; ".join(part for part in (args.note, f"{int((~seen).sum())} pictures without a face left out") if part)
        origin = calibrate.Origin(embedder.space, alignment, data.name, args.tier, note)
        subjects = np.asarray(data.subjects, np.int64)[seen]
        made = calibrate.fit_all_pairs(
            vectors[seen], subjects, origin, rng=np.random.default_rng(args.seed), n_boot=args.draws
        )
        path = TABLES / f"{embedder.space.partition('@')[0]}.json"
        calibrate.write(made, path)
        tell(made, path)


def tell(made: calibrate.Calibration, path: Path) -> None:
    """Print the usual rates of a table."""
    print(f"{path.name}: {made.space}, {made.describe()}")
    for fmr in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6):
        if fmr >= made.smallest_fmr:
            bar, rate = made.threshold(fmr)
            missed = next((r.fnmr for r in made.rates if r.threshold >= bar), None)
            print(f"  FMR {fmr:.0e} ({rate.low:.2e} to {rate.high:.2e}): threshold {bar:.4f}, FNMR {missed}")


def found_points(paths: Sequence[Path], detector: str, refiner: str, cache: Path | None, threads: int | None) -> F32:
    """(N, 5, 2) points of the most central face of each picture; NaN where there is none."""
    rough = _cached(cache, f"points-{detector}", paths)
    if rough is None:
        found = catalogue.load(detector, threads=threads)
        rough = np.full((len(paths), 5, 2), np.nan, np.float32)
        for index, pictures in _pictures(paths, np.ones(len(paths), np.bool_)):
            for i, picture, faces in zip(index, pictures, found.detect(pictures), strict=True):
                if len(faces):
                    rough[i] = faces.points[_central(picture, faces)]
        _keep(cache, f"points-{detector}", paths, rough)
    if not refiner:
        return rough
    better = _cached(cache, f"points-{detector}+{refiner}", paths)
    if better is None:
        mesh = catalogue.load(refiner, threads=threads)
        better = rough.copy()
        for index, pictures in _pictures(paths, np.isfinite(rough[:, 0, 0])):
            for i, picture in zip(index, pictures, strict=True):
                better[i] = mesh.refine(picture, rough[i][None])[0]
        _keep(cache, f"points-{detector}+{refiner}", paths, better)
    return better


def embedded(paths: Sequence[Path], points: F32, embedder: object, name: str, cache: Path | None) -> F32:
    """(N, D) vectors of the faces at `points`; zeros where there is none."""
    known = _cached(cache, f"vectors-{name}-{embedder.space}", paths)
    if known is not None:
        return known
    aligner = catalogue.load("similarity5")
    vectors = np.zeros((len(paths), embedder.dim), np.float32)
    for index, pictures in _pictures(paths, np.isfinite(points[:, 0, 0])):
        crops = [aligner.align(p, points[i][None], embedder.crop)[0] for i, p in zip(index, pictures, strict=True)]
        vectors[index] = embedder.embed(np.concatenate(crops)).vec
    _keep(cache, f"vectors-{name}-{embedder.space}", paths, vectors)
    return vectors


def _central(picture: U8, faces: Detections) -> int:
    left, top, right, bottom = faces.boxes.T
    height, width = picture.shape[:2]
    return int(np.argmin((left + right - width) ** 2 + (top + bottom - height) ** 2))


def _pictures(paths: Sequence[Path], wanted: NDArray[np.bool_]) -> Iterator[tuple[list[int], list[U8]]]:
    """Batches of decoded pictures and their indices, with a line on progress now and then."""
    index, start = np.flatnonzero(wanted).tolist(), time.monotonic()
    for at in range(0, len(index), BATCH):
        part = index[at : at + BATCH]
        yield part, [images.read(paths[i], truncated="accept").pixels for i in part]
        if at // BATCH % 20 == 19:
            print(f"  {at + len(part)} of {len(index)}, {time.monotonic() - start:.0f} s", flush=True)


def _file(cache: Path, name: str, paths: Sequence[Path]) -> Path:
    digest = hashlib.sha256("\n".join(str(path) for path in paths).encode()).hexdigest()[:12]
    return cache / f"{name}-{digest}.npy"


def _cached(cache: Path | None, name: str, paths: Sequence[Path]) -> F32 | None:
    if cache is None or not _file(cache, name, paths).is_file():
        return None
    found: F32 = np.load(_file(cache, name, paths), allow_pickle=False)
    return found


def _keep(cache: Path | None, name: str, paths: Sequence[Path], values: F32) -> None:
    if cache is not None:
        cache.mkdir(parents=True, exist_ok=True)
        np.save(_file(cache, name, paths), values)


if __name__ == "__main__":
    main()
