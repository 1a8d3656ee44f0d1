"""Suite `train_step`: a step of training with a thousand, 100,000 and a million persons, in time and memory.

The head alone (vectors of a batch to loss, gradients and a step of the class centers), all centers or a sample of them,
beside the dense softmax as it is usually written and pytorch-metric-learning; and a whole step of a small network by
`fit` beside the plainest loop. Every system runs in a process of its own, pinned to the cores it may use.
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

__all__ = ["add", "run"]

SUITE = "train_step"
HEADS = ("vultus", "dense softmax", "metric learning")
LIMIT = 1.2  # sampled centers of ten times the persons, times the dense step of so many as are sampled


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--classes", type=int, nargs="+", default=[1000, 100_000, 1_000_000], help="persons")
    parser.add_argument("--dim", type=int, default=512, help="numbers per center (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=64, help="vectors per step (default: %(default)s)")
    parser.add_argument("--size", type=int, default=56, help="side of pictures of a whole step (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="cores (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=7, help="steps timed (default: %(default)s)")
    parser.add_argument(
        "--warm-up", type=int, default=2, help="steps before the clock, at least 1 (default: %(default)s)"
    )
    parser.add_argument(
        "--dense-up-to", type=int, default=1_000_000, help="no dense head beyond (default: %(default)s)"
    )
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter that has pytorch-metric-learning")
    parser.add_argument("--seed", type=int, default=0, help="of vectors and persons (default: %(default)s)")
    parser.add_argument("--note", action="append", default=[], help="said in the record, such as what else was running")
    parser.add_argument("--small", action="store_true", help="a few hundred persons, to see that it runs")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure everything and return the record."""
    if args.small:
        args.classes, args.dim, args.batch, args.size, args.repeat, args.warm_up = [30, 300], 8, 4, 32, 2, 1
    settings = {"warm_up": args.warm_up, "repeat": args.repeat, "batch": args.batch, "seed": args.seed, "limit": LIMIT}
    record = machine.head(SUITE, settings, ("vultus", "torch", "pytorch-metric-learning"))
    record["notes"] += args.note
    for classes in args.classes:
        for system in HEADS:
            if classes <= args.dense_up_to:
                _measured("head", system, classes, 1.0, args, record)
    for classes in args.classes[1:]:
        _measured("head", "vultus sampled", classes, 0.1, args, record)
    for system in ("vultus fit", "plain loop"):
        _measured("whole", system, args.classes[0], 1.0, args, record)
    _compared(record["results"])
    print(table(record))
    return record


def _measured(
    part: str, system: str, classes: int, rate: float, args: argparse.Namespace, record: dict[str, Any]
) -> None:
    """Time one system and add its row; a peer that is not there is a note."""
    order = {
        "system": system,
        "cpus": machine.cpus(args.threads),
        "classes": classes,
        "dim": args.dim,
        "batch": args.batch,
        "size": args.size,
        "sample_rate": rate,
        "warm_up": max(1, args.warm_up),
        "repeat": args.repeat,
        "seed": args.seed,
    }
    print(f"{system}, {classes} ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / name) for name in ("order.json", "result.json")]
        Path(paths[0]).write_text(json.dumps(order))
        python = args.peer_python if system == "metric learning" else sys.executable
        done = subprocess.run(
            [python, "-m", "benchmarks.train_step_worker", *paths],
            env=machine.environment(args.threads),
            cwd=machine.root(),
            capture_output=True,
            text=True,
        )
        if done.returncode:
            why = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}"
            if system != "metric learning":
                raise SystemExit(f"{system} failed:\n{done.stderr}")
            record["notes"].append(f"{system} did not run: {why}")
            return
        found = json.loads(Path(paths[1]).read_text())
    record["results"].append(
        {
            "part": part,
            "system": system,
            "classes": classes,
            "dim": args.dim,
            "batch": args.batch,
            "sample_rate": rate,
            "threads": args.threads,
            "step_ms": schema.timing(found["step_ms"]),
            "step_cpu_ms": float(f"{found['step_cpu_ms']:.4g}"),
            "peak_mb": round(found["peak_mb"], 1),
            "loss": float(f"{found['losses'][0]:.6g}"),
        }
    )


def _compared(rows: list[dict[str, Any]]) -> None:
    """Beside each: times the plain form of the same size; for sampled centers, times the dense step of so many."""
    for row in rows:
        size = row["classes"] if row["sample_rate"] == 1 else round(row["classes"] * row["sample_rate"])
        other = {"head": "dense softmax", "whole": "plain loop"}[row["part"]] if row["sample_rate"] == 1 else "vultus"
        beside = [one for one in rows if (one["part"], one["system"], one["classes"]) == (row["part"], other, size)]
        row["beside"] = f"{other}, {size} persons"
        times = row["step_ms"]["median"] / beside[0]["step_ms"]["median"] if beside else None
        row["times"] = None if times is None else float(f"{times:.3g}")
        row["within"] = row["sample_rate"] == 1 or row["classes"] < 1_000_000 or times is None or times <= LIMIT


def table(record: dict[str, Any]) -> str:
    """The record in words."""
    lines = [
        f"{record['machine']['cpu']}; steps of {record['settings']['batch']}, times in ms",
        f"{'part':6} {'system':16} {'persons':>9} {'rate':>5} {'step':>9} {'range':>17} {'cpu':>9} {'MB':>8} "
        f"{'times':>6} beside",
    ]
    for r in record["results"]:
        ms = r["step_ms"]
        lines.append(
            f"{r['part']:6} {r['system']:16} {r['classes']:9} {r['sample_rate']:5} {ms['median']:9.2f} "
            f"{ms['low']:8.2f}-{ms['high']:<8.2f} {r['step_cpu_ms']:9.2f} {r['peak_mb']:8.0f} "
            f"{'' if r['times'] is None else r['times']:>6} {r['beside']}"
        )
    return "\n".join([*lines, *record["notes"]])
