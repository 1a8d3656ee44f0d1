"""Suite `pipeline`: photographs to boxes and vectors, vultus beside its peers on the same files in the same run.

Two races. "same weights": SCRFD-500M and MobileFaceNet, byte for byte the same published files, at the same detection
threshold, for vultus, insightface and uniface. "out of the box": the default of vultus against face_recognition (dlib),
which run the same recognition network behind their own detectors. Every system runs in its own process, pinned to the
cores it may use; each peer is also tried with pictures spread over the cores, and its better figure counts.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine, schema
from benchmarks.agreement import agreement, at_the_same_points
from vultus.errors import VultusError
from vultus.zoo import store

__all__ = ["add", "run"]

SUITE = "pipeline"
MIN_SCORE = 0.5  # of the first race; the default of both peers
DEFAULT_SETS = (  # folders of $VULTUS_DATA, largest interest first
    "dlib_faces",
    "bbt_faceapi",
    "human_faces_detection",
    "wider_val416",
)
SUFFIXES = {".jpg", ".jpeg", ".png"}


@dataclass(frozen=True)
class Entry:
    """One system in one race."""

    race: str
    system: str
    options: dict[str, Any]


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--photos", type=Path, help="folder of photographs (default: sets of $VULTUS_DATA)")
    parser.add_argument("--count", type=int, default=200, help="how many photographs (default: %(default)s)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="cores to run on (default: 1 2)")
    parser.add_argument("--passes", type=int, default=5, help="timed passes at most (default: %(default)s)")
    parser.add_argument("--budget", type=float, default=120.0, help="seconds of timed passes (default: %(default)s)")
    parser.add_argument("--warm-up", type=int, default=16, help="photographs before the clock (default: %(default)s)")
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter that has the peers installed")
    parser.add_argument("--systems", nargs="+", help="only these")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure everything and return the record."""
    paths = photographs(args.photos, args.count)
    weights = {name: published(name) for name in ("scrfd_500m", "fr_feature")}
    record = machine.head(
        SUITE, _settings(args, paths, weights), ("vultus", "numpy", "onnxruntime", "opencv-python-headless")
    )
    entries = [e for e in _entries(weights) if not args.systems or e.system in args.systems]
    with tempfile.TemporaryDirectory() as folder:
        for threads in args.threads:
            gflops = machine.gemm_gflops(threads)
            record["settings"]["gemm_gflops"][str(threads)] = round(gflops, 1)
            rows = []
            for entry in entries:
                spread = ["pictures"] if entry.system == "vultus" else ["network", "pictures"][: min(threads, 2)]
                tried = [_measure(entry, how, threads, paths, Path(folder), args, record["notes"]) for how in spread]
                rows += [_row(entry, len(paths), threads, gflops, result) for result in tried if result]
            _compare(rows)
            record["results"] += rows
        record["checks"] = _checks(Path(folder), paths, args.threads)
    print(table(record))
    return record


def photographs(folder: Path | None, count: int) -> list[Path]:
    """`count` pictures, evenly taken from the sorted list of what there is."""
    if folder is not None:
        folders = [folder]
    elif os.environ.get("VULTUS_DATA"):
        folders = [Path(os.environ["VULTUS_DATA"]) / name for name in DEFAULT_SETS]
    else:
        raise SystemExit("expected --photos FOLDER, or VULTUS_DATA set to the folder of data sets; got neither")
    found = [p for f in folders for p in sorted(f.rglob("*")) if p.suffix.lower() in SUFFIXES]
    if not found:
        raise SystemExit(f"expected photographs below {', '.join(map(str, folders))}, found none")
    index = np.linspace(0, len(found) - 1, min(count, len(found))).round().astype(int)
    return [found[i] for i in index]


def published(card_id: str) -> Path:
    """The published weight file behind a card, unconverted: what the peers run."""
    store.ensure(card_id, pull=True)
    files = sorted((store.home() / "models" / card_id / "published").glob("*.onnx"))
    if not files:
        raise SystemExit(
            f"expected the published file of {card_id} in the store, found none: vultus models pull {card_id}"
        )
    return files[0]


def _entries(weights: dict[str, Path]) -> list[Entry]:
    files = {"scrfd": str(weights["scrfd_500m"]), "arcface": str(weights["fr_feature"]), "min_score": MIN_SCORE}
    ours = {"detector": "scrfd.500m", "embedder": "fr_feature", "min_score": MIN_SCORE}
    return [
        Entry("same weights", "vultus", {"pipeline": ours}),
        Entry("same weights", "insightface", files),
        Entry("same weights", "uniface", files),
        Entry("out of the box", "vultus", {"pipeline": {}}),
        Entry("out of the box", "face_recognition", {}),
    ]


def _settings(args: argparse.Namespace, paths: Sequence[Path], weights: dict[str, Path]) -> dict[str, Any]:
    from vultus.io import images

    sizes = []
    for path in paths:
        try:
            sizes.append(images.read(path, truncated="accept").pixels.shape[:2])
        except VultusError as error:
            raise SystemExit(f"{path}: not a photograph that every system can read: {error}") from error
    longest = sorted(max(size) for size in sizes)
    return {
        "warm_up": args.warm_up,
        "passes": args.passes,
        "photographs": len(paths),
        "sets": sorted({p.parts[-2] if args.photos is None else "user's own" for p in paths}),
        "megapixels": round(sum(h * w for h, w in sizes) / 1e6, 1),
        "longer_side_px": {"median": longest[len(longest) // 2], "low": longest[0], "high": longest[-1]},
        "weights": {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in weights.items()},
        "min_score": MIN_SCORE,
        "gemm_gflops": {},
    }


def _measure(
    entry: Entry,
    parallel: str,
    threads: int,
    paths: Sequence[Path],
    folder: Path,
    args: argparse.Namespace,
    notes: list[str],
) -> dict[str, Any] | None:
    options = {
        **entry.options,
        "system": entry.system,
        "parallel": parallel,
        "threads": threads,
        "cpus": machine.cpus(threads),
        "paths": [str(p) for p in paths],
        "warm_up": args.warm_up,
        "passes": args.passes,
        "budget_s": args.budget,
    }
    stem = folder / _stem(entry.race, entry.system, parallel, threads)
    order = stem.with_suffix(".order")
    order.write_text(json.dumps(options))
    python = sys.executable if entry.system == "vultus" else args.peer_python
    print(f"{entry.race}: {entry.system}, {threads} core(s), {parallel} ...", file=sys.stderr, flush=True)
    done = subprocess.run(
        [python, "-m", "benchmarks.worker", str(order), str(stem)],
        env=machine.environment(threads),
        cwd=machine.root(),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        why = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}"
        if entry.system == "vultus":
            raise SystemExit(f"vultus failed:\n{done.stderr}")
        notes.append(f"{entry.system} did not run ({parallel}, {threads} cores): {why}")
        print(notes[-1], file=sys.stderr)
        return None
    return {**json.loads(stem.with_suffix(".json").read_text()), "parallel": parallel}


def _stem(race: str, system: str, parallel: str, threads: int) -> str:
    return f"{race.replace(' ', '-')}_{system}_{parallel}_{threads}"


def _row(entry: Entry, images: int, threads: int, gflops: float, measured: dict[str, Any]) -> dict[str, Any]:
    speed = schema.timing([images / s for s in measured["seconds"]])
    stages = {name: float(f"{ms:.4g}") for name, ms in measured["ms_per_stage"].items()}
    gmac = measured["gmac_per_image"]
    floor = None if gmac is None else gflops / (2 * gmac)
    return {
        "race": entry.race,
        "system": entry.system,
        "parallel": measured["parallel"],
        "threads": threads,
        "images_per_s": speed,
        "ms_per_image": float(f"{1000 / speed['median']:.4g}"),
        "cpu_ms_per_image": float(f"{1000 * statistics.median(measured['busy_seconds']) / images:.4g}"),
        "ms_per_stage": {**dict.fromkeys(("decode", "detect", "align", "embed"), 0.0), **stages},
        "peak_rss_mb": round(measured["peak_rss_mb"], 1),
        "faces": measured["faces"],
        "images": images,
        "versions": measured["versions"],
        "times_fastest_peer": None,
        "gmac_per_image": None if gmac is None else float(f"{gmac:.4g}"),
        "floor_images_per_s": None if floor is None else float(f"{floor:.4g}"),
        "share_of_floor": None if floor is None else float(f"{speed['median'] / floor:.3g}"),
    }


def _compare(rows: list[dict[str, Any]]) -> None:
    """Ratio of each row to the fastest peer of its race."""
    for race in {row["race"] for row in rows}:
        peers = [r["images_per_s"]["median"] for r in rows if r["race"] == race and r["system"] != "vultus"]
        for row in rows:
            if row["race"] == race and peers:
                row["times_fastest_peer"] = float(f"{row['images_per_s']['median'] / max(peers):.3g}")


def _checks(folder: Path, paths: Sequence[Path], threads: Sequence[int]) -> list[dict[str, Any]]:
    """Do vultus and each peer find the same faces and give the same vectors?"""
    found = []
    for race, peers in (("same weights", ("insightface", "uniface")), ("out of the box", ("face_recognition",))):
        for peer in peers:
            ours = [folder / (_stem(race, "vultus", "pictures", n) + ".npz") for n in threads]
            theirs = [folder / (_stem(race, peer, "network", n) + ".npz") for n in threads]
            pair = next(((a, b) for a in ours for b in theirs if a.is_file() and b.is_file()), None)
            if pair is not None:
                with np.load(pair[0]) as a, np.load(pair[1]) as b:
                    check = {"race": race, "peer": peer, **agreement(dict(a), dict(b), len(paths))}
                    if race == "same weights":
                        check.update(at_the_same_points(dict(b), paths))
                    found.append(check)
    return found


def table(record: dict[str, Any]) -> str:
    """The record in words."""
    lines = []
    settings = record["settings"]
    size = settings["longer_side_px"]
    lines.append(
        f"{settings['photographs']} photographs, {settings['megapixels']} megapixels, longer side "
        f"{size['low']}..{size['high']} px (median {size['median']}); {record['machine']['cpu']}"
    )
    rates = ", ".join(f"{rate} on {n}" for n, rate in settings["gemm_gflops"].items())
    lines.append(f"times in ms per picture; floor from GFLOP/s of a matrix product by cores: {rates}")
    head = f"{'race':15} {'system':17} {'cores':>5} {'spread':9} {'img/s':>7} {'range':>13} {'x peer':>7} {'cpu ms':>7}"
    lines.append(
        head
        + f" {'decode':>7} {'detect':>7} {'align':>6} {'embed':>7} {'MB':>6} {'faces':>6} {'floor':>7} {'of it':>6}"
    )
    for r in sorted(
        record["results"], key=lambda r: (r["race"] != "same weights", r["threads"], -r["images_per_s"]["median"])
    ):
        speed, ms = r["images_per_s"], r["ms_per_stage"]
        ratio = "" if r["times_fastest_peer"] is None else f"{r['times_fastest_peer']:.2f}"
        floor = "" if r["floor_images_per_s"] is None else f"{r['floor_images_per_s']:.1f}"
        share = "" if r["share_of_floor"] is None else f"{100 * r['share_of_floor']:.0f} %"
        spread = f"{speed['low']:.4g}-{speed['high']:.4g}"
        lines.append(
            f"{r['race']:15} {r['system']:17} {r['threads']:5} {r['parallel']:9} {speed['median']:7.2f} {spread:>13} "
            f"{ratio:>7} {r['cpu_ms_per_image']:7.1f} {ms['decode']:7.1f} {ms['detect']:7.1f} {ms['align']:6.1f} "
            f"{ms['embed']:7.1f} "
            f"{r['peak_rss_mb']:6.0f} {r['faces']:6} {floor:>7} {share:>6}"
        )
    for c in record["checks"]:
        both = f"{100 * c['peer_faces_found']:.1f} % of its {c['peer_faces']} faces are found by vultus"
        back = f"{100 * c['vultus_faces_found']:.1f} % of the {c['vultus_faces']} of vultus by it"
        alike = f"cosine of their vectors: median {c['cosine_median']:.4f}, 5 % quantile {c['cosine_q05']:.4f}"
        if "same_points_median" in c:
            alike += f"; at the same points {c['same_points_median']:.4f} and {c['same_points_q05']:.4f}"
        lines.append(f"{c['race']}, {c['peer']}: {both}, {back}; {alike}")
    return "\n".join([*lines, *record["notes"]])
