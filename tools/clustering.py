"""Measure the clustering rows, and write the tables of docs/guides/clustering.md.

    python tools/clustering.py measure --cache CACHE    LFW in $VULTUS_DATA, and simulated libraries up to 10,000 faces
    python tools/clustering.py write                    write the guide's section from docs/figures/clustering.json
    python tools/clustering.py check                    exit 1 when the guide is not what `write` would write

The people of LFW are dealt into two halves: thresholds and evidence come from one, clusters are made of the other.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs/guides/clustering.md"
KEPT = ROOT / "docs/figures/clustering.json"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"

PIPELINES = {"default": ("centerface", "", "dlib_resnet29"), "accurate": ("centerface", "facemesh", "fr_feature")}
RATES = (1e-3, 1e-4, 1e-5)
ROWS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("incremental", {}),
    ("agglomerative", {}),
    ("agglomerative", {"linkage": "complete"}),
    ("agglomerative", {"linkage": "single"}),
    ("chinese_whispers", {}),
    ("dbscan", {"min_faces": 2}),
    ("hdbscan", {"min_faces": 2}),
    ("rank_order", {}),
)
SIZES = (1_000, 10_000)
BATCHES = (2, 5, 20)


def main() -> None:
    """Measure, write or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("measure", "write", "check", "one"))
    parser.add_argument("--cache", type=Path, help="folder that keeps points and vectors between runs")
    parser.add_argument("--part", choices=("lfw", "speed"), help="measure this part alone")
    parser.add_argument("--row", type=int, help="of `one`, which `measure` starts for each size")
    parser.add_argument("--faces", type=int, help="of `one`")
    args = parser.parse_args()
    if args.what == "measure":
        measured = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
        for part, make in {"lfw": lambda: [_lfw(name, args.cache) for name in PIPELINES], "speed": _speed}.items():
            if args.part in (None, part):  # each is kept when it is there: together they take half an hour
                measured[part] = make()
                KEPT.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    elif args.what == "one":
        print(json.dumps(_one(args.row, args.faces)))
    else:
        guide = GUIDE.read_text(encoding="utf-8")
        if args.what == "write":
            GUIDE.write_text(written(guide), encoding="utf-8")
        elif written(guide) != guide:
            sys.exit("docs/guides/clustering.md: figures are not those of docs/figures; run tools/clustering.py write")


# ---------------------------------------------------------------- measuring
def _lfw(pipeline: str, cache: Path | None) -> dict[str, Any]:
    """Every row at every rate on the half of LFW's people that the thresholds do not come from."""
    import calibration as measured

    from vultus import catalogue
    from vultus.gallery import calibrate
    from vultus.gallery.evidence import score_model
    from vultus.io import datasets

    detector, refiner, row = PIPELINES[pipeline]
    data = datasets.folder(Path(os.environ["VULTUS_DATA"]) / "lfw_deepfunneled")
    points = measured.found_points(data.paths, detector, refiner, cache, None)
    alignment = "+".join(part for part in (detector, refiner) if part)
    embedder = catalogue.load(row)
    vectors = measured.embedded(data.paths, points, embedder, f"{alignment}-{row}", cache)
    seen = np.isfinite(points[:, 0, 0])
    vectors, people = vectors[seen], np.asarray(data.subjects, np.int64)[seen]
    rng = np.random.default_rng(0)
    dealt = rng.permutation(np.unique(people))
    first = np.isin(people, dealt[: len(dealt) // 2])
    origin = calibrate.Origin(embedder.space, alignment, data.name, "real")
    made = calibrate.fit_all_pairs(vectors[first], people[first], origin, rng=rng, n_boot=200)
    order = rng.permutation(int((~first).sum()))
    rows, who = vectors[~first][order], people[~first][order]
    model = score_model(made)
    results = []
    for fmr in RATES:
        threshold = made.threshold(fmr)[0]
        results += [{"fmr": fmr, **_judged(name, args, threshold, model, rows, who)} for name, args in ROWS]
    return {
        "pipeline": pipeline,
        "space": embedder.space,
        "faces": len(rows),
        "people": len(np.unique(who)),
        "results": results,
        "batches": [_batches(made.threshold(fmr)[0], model, rows, who, fmr) for fmr in RATES],
    }


def _judged(
    name: str, args: dict[str, Any], threshold: float, model: Any, rows: NDArray[Any], who: NDArray[Any]
) -> dict[str, Any]:
    from vultus import catalogue
    from vultus.evaluate.metrics import clustering
    from vultus.gallery.purity import purity

    more = {"evidence": model.llr} if name == "incremental" else {}
    clusterer = catalogue.load(name, threshold=threshold, **args, **more)
    labels, times = None, []
    for _ in range(3):
        start = time.perf_counter()
        labels = clusterer.cluster(rows)
        times.append(time.perf_counter() - start)
    inside = labels >= 0
    estimate = purity(rows, labels, model, threshold=threshold, rng=np.random.default_rng(0)).total
    return {
        "row": name,
        "args": args,
        "seconds": float(np.median(times)),
        **clustering.agreement(labels, who).to_dict(),
        "purity_of_clusters": clustering.purity(labels[inside], who[inside]),
        "purity_estimate": [estimate.value, estimate.low, estimate.high],
    }


def _batches(threshold: float, model: Any, rows: NDArray[Any], who: NDArray[Any], fmr: float) -> dict[str, Any]:
    """One run against the same faces in batches, in the same (random) order."""
    from vultus import catalogue
    from vultus.evaluate.metrics import clustering

    clusterer = catalogue.load("incremental", threshold=threshold, evidence=model.llr)
    once = clusterer.cluster(rows)
    alone = np.where(once < 0, len(rows) + np.arange(len(rows)), once)
    found: dict[str, Any] = {"fmr": fmr, "bcubed_f": {"1": clustering.bcubed(once, who)[2]}, "agreement": {}}
    for count in BATCHES:
        labels = np.zeros(0, np.int64)
        for part in np.array_split(np.arange(len(rows)), count):
            labels = clusterer.update(rows[part], labels, rows[: part[0]]).labels
        found["bcubed_f"][str(count)] = clustering.bcubed(labels, who)[2]
        found["agreement"][str(count)] = clustering.pairwise(labels, alone)[2]
    return found


def _speed() -> list[dict[str, Any]]:
    """Time and memory of every row, each in a process of its own."""
    found = []
    for row in range(len(ROWS)):
        for faces in SIZES:
            command = [sys.executable, __file__, "one", "--row", str(row), "--faces", str(faces)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)
            if done.returncode:
                sys.exit(f"{ROWS[row]} on {faces} faces ended with {done.returncode}: {done.stderr[-500:]}")
            found.append(json.loads(done.stdout))
            print(found[-1], flush=True)
    return found


def _one(row: int, faces: int) -> dict[str, Any]:
    from vultus import catalogue

    name, args = ROWS[row]
    rows = _library(faces)
    clusterer = catalogue.load(name, threshold=0.35, **args)
    clusterer.cluster(rows[:500])
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew (Linux)
    before, start, begun = _resident("VmRSS"), time.perf_counter(), time.process_time()
    clusterer.cluster(rows)
    cpu, seconds = time.process_time() - begun, time.perf_counter() - start
    more = _resident("VmHWM") - before
    return {"row": name, "args": args, "faces": faces, "cpu_seconds": cpu, "seconds": seconds, "mb": more}


def _resident(what: str) -> float:
    """Megabytes of this process: VmRSS is now, VmHWM the peak."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def _library(faces: int) -> NDArray[np.float32]:
    """Simulated vectors, 128-D: a few people with many faces, many with few; mates reach 0.6, strangers 0 +- 0.09."""
    rng = np.random.default_rng(0)
    share = 1.0 / np.arange(1, faces // 10 + 1)
    who = rng.choice(len(share), faces, p=share / share.sum())
    rows = rng.standard_normal((len(share), 128))[who] + 0.8 * rng.standard_normal((faces, 128))
    made: NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return made


# ---------------------------------------------------------------- writing
def section() -> str:
    """The guide's section, from the file."""
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    parts = [_quality(lfw) for lfw in kept["lfw"]]
    return "\n\n".join([*parts, _growth(kept["lfw"]), _estimates(kept["lfw"]), _cost(kept["speed"])])


def _quality(lfw: dict[str, Any]) -> str:
    lines = [
        f"`{lfw['pipeline']}` pipeline, {lfw['faces']:,} photographs of {lfw['people']:,} people. BCubed precision / "
        "recall / F at the threshold of a false match rate:\n",
        "| row | FMR 1e-3 | FMR 1e-4 | FMR 1e-5 | clusters, noise at 1e-4 |",
        "|---|---|---|---|---|",
    ]
    for name, args in ROWS:
        of_row = [r for r in lfw["results"] if (r["row"], r["args"]) == (name, args)]
        cells = [f"{r['bcubed_precision']:.3f} / {r['bcubed_recall']:.3f} / **{r['bcubed_f']:.3f}**" for r in of_row]
        middle = of_row[1]
        lines.append(f"| {_title(name, args)} | {' | '.join(cells)} | {middle['clusters']:,}, {middle['noise']:,} |")
    return "\n".join(lines)


def _growth(pipelines: list[dict[str, Any]]) -> str:
    lines = [
        "`incremental`, the same photographs in batches: pairwise F against one run (BCubed F against the truth):\n",
        f"| pipeline | FMR | one run | {' | '.join(f'{count} batches' for count in BATCHES)} |",
        f"|---|---|---|{'---|' * len(BATCHES)}",
    ]
    for lfw in pipelines:
        for b in lfw["batches"]:
            cells = [f"{b['agreement'][str(c)]:.3f} ({b['bcubed_f'][str(c)]:.3f})" for c in BATCHES]
            lines.append(
                f"| `{lfw['pipeline']}` | {_rate(b['fmr'])} | ({b['bcubed_f']['1']:.3f}) | {' | '.join(cells)} |"
            )
    return "\n".join(lines)


def _estimates(pipelines: list[dict[str, Any]]) -> str:
    lines = [
        "Purity of all clusters together, estimated without labels [95 % under the model], and true:\n",
        "| pipeline | row | FMR 1e-3 | FMR 1e-4 | FMR 1e-5 |",
        "|---|---|---|---|---|",
    ]
    for lfw in pipelines:
        for name, args in ROWS:
            cells = []
            for r in lfw["results"]:
                if (r["row"], r["args"]) == (name, args):
                    value, low, high = r["purity_estimate"]
                    cells.append(f"{value:.3f} [{low:.3f}, {high:.3f}], {r['purity_of_clusters']:.3f}")
            lines.append(f"| `{lfw['pipeline']}` | {_title(name, args)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cost(speed: list[dict[str, Any]]) -> str:
    lines = [
        "CPU seconds (all threads; the machine did other work, so no wall time) and further memory on simulated 128-D\n"
        "vectors of N / 10 people with few to very many faces, at a cosine of 0.35:\n",
        f"| row | {' | '.join(f'{size:,} faces' for size in SIZES)} |",
        f"|---|{'---|' * len(SIZES)}",
    ]
    for name, args in ROWS:
        of_row = [r for r in speed if (r["row"], r["args"]) == (name, args)]
        lines.append(
            f"| {_title(name, args)} | "
            + " | ".join(f"{r['cpu_seconds']:.2g} s, {r['mb']:,.0f} MB" for r in of_row)
            + " |"
        )
    return "\n".join(lines)


def _title(name: str, args: dict[str, Any]) -> str:
    return f"`{name}`" + "".join(f" {key}={value}" for key, value in args.items())


def _rate(fmr: float) -> str:
    return f"{fmr:.0e}".replace("e-0", "e-")


def written(guide: str) -> str:
    """The guide with its section in place."""
    before, _, rest = guide.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{section()}\n{END}{after}"


if __name__ == "__main__":
    main()
