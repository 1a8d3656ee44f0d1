"""Suite `roc`: error rates of up to a billion comparisons, counted in bounded memory, beside scikit-learn's sort.

The same scores go to every system. Counting rounds thresholds to bins of 2e-6; how far its true accept rates are from
the points of scikit-learn's curve stands beside the time. `tar_at_far` takes an observed non-mated score for threshold,
the curve any that accepts as few of them, so the two exact figures differ where few errors are allowed; rates at which
fewer than 30 are expected are left out. Making the scores is not timed, and memory is that of the whole process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import machine, schema
from benchmarks.roc_worker import BLOCK, FARS, MATED

__all__ = ["add", "run"]

SUITE = "roc"
SYSTEMS = ("vultus histogram", "vultus exact", "scikit-learn")
LIMIT_MB = 512.0  # of the process that counts, for any number of scores
LIMIT_DIFFERENCE = 1e-4  # of a true accept rate, and of the area


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--scores", type=int, nargs="+", default=[10**7, 10**8, 10**9], help="(default: 1e7 1e8 1e9)")
    parser.add_argument("--most", type=int, default=10**8, help="scores that are sorted whole (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=3, help="up to 1e7 scores; above, once (default: %(default)s)")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS), help="only these")
    parser.add_argument("--seed", type=int, default=0, help="of the scores (default: %(default)s)")
    parser.add_argument("--note", action="append", default=[], help="said in the record, such as what else was running")
    parser.add_argument("--small", action="store_true", help="a few thousand scores, to see that it runs")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure everything and return the record."""
    if args.small:
        args.scores, args.repeat = [20_000], 1
    settings = {
        "warm_up": min(BLOCK, 100_000, *args.scores),
        "repeat": args.repeat,
        "block": BLOCK,
        "mated_share": MATED,
        "far": list(FARS),
        "limit_mb": LIMIT_MB,
        "limit_difference": LIMIT_DIFFERENCE,
        "seed": args.seed,
    }
    record = machine.head(SUITE, settings, ("vultus", "numpy", "scikit-learn"))
    record["notes"] += args.note
    for scores in args.scores:
        chosen = [s for s in SYSTEMS if s in args.systems and (s == "vultus histogram" or scores <= args.most)]
        measured = {system: found for system in chosen if (found := _measure(system, scores, args, record["notes"]))}
        exact = measured.get("scikit-learn")
        for system, found in measured.items():
            record["results"].append(_row(system, scores, found, exact))
            record["checks"].append(
                {
                    "system": system,
                    "scores": scores,
                    "tar_at_far": found["tars"],
                }
            )
    print(table(record))
    return record


def _measure(system: str, scores: int, args: argparse.Namespace, notes: list[str]) -> dict[str, Any] | None:
    order = {
        "system": system,
        "scores": scores,
        "seed": args.seed,
        "cpus": machine.cpus(1),
        "warm_up": min(BLOCK, 100_000, scores),
        "repeat": args.repeat if scores <= 10**7 else 1,
    }
    print(f"{system}, {scores:,} ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder) / "order.json", Path(folder) / "result.json"
        paths[0].write_text(json.dumps(order))
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.roc_worker", *map(str, paths)],
            env=machine.environment(1),
            cwd=machine.root(),
            capture_output=True,
            text=True,
        )
        if done.returncode:
            why = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}"
            if system.startswith("vultus"):
                raise SystemExit(f"{system} failed:\n{done.stderr}")
            notes.append(f"{system} did not run with {scores:,} scores: {why}")
            return None
        return dict(json.loads(paths[1].read_text()))


def _row(system: str, scores: int, found: dict[str, Any], exact: dict[str, Any] | None) -> dict[str, Any]:
    tar = area = None
    if exact is not None:
        tar = max(abs(found["tars"][far] - exact["tars"][far]) for far in exact["tars"])
        area = abs(found["auc"] - exact["auc"])
    timed = schema.timing(found["s"])
    counts = system == "vultus histogram"
    near = tar is None or area is None or max(tar, area) <= LIMIT_DIFFERENCE
    return {
        "system": system,
        "scores": scores,
        "threads": 1,
        "s": timed,
        "million_scores_per_s": float(f"{scores / timed['median'] / 1e6:.4g}"),
        "peak_mb": round(found["peak_mb"], 1),
        "auc": found["auc"],
        "largest_tar_difference": tar,
        "auc_difference": area,
        "within": not counts or (found["peak_mb"] <= LIMIT_MB and near),
    }


def table(record: dict[str, Any]) -> str:
    """The record in words."""
    lines = [
        f"{record['machine']['cpu']}, one thread; differences are to the curve of scikit-learn on the same scores",
        f"{'system':18} {'scores':>13} {'s':>8} {'M/s':>7} {'peak MB':>8} {'AUC':>9} {'TAR off':>9} {'AUC off':>9}",
    ]
    for r in record["results"]:
        off = ["" if r[key] is None else f"{r[key]:.1e}" for key in ("largest_tar_difference", "auc_difference")]
        lines.append(
            f"{r['system']:18} {r['scores']:13,} {r['s']['median']:8.2f} {r['million_scores_per_s']:7.1f} "
            f"{r['peak_mb']:8.0f} {r['auc']:9.6f} {off[0]:>9} {off[1]:>9}"
        )
    return "\n".join([*lines, *record["notes"]])
