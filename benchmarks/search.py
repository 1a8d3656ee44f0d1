"""Suite `search`: who among a million is most like a probe, beside FAISS, usearch and NumPy on the same rows.

Every system runs in a process of its own, pinned to the cores it may use, on rows that lie in the page cache. Exact
systems look at all `--rows`, approximate ones at `--approximate-rows`. Ours return the best row of each of k people,
the others the best k rows.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine, schema
from benchmarks.population import PHOTOS, Population

__all__ = ["add", "run"]

SUITE = "search"
BATCH = 128
EXACT = ("vultus float", "vultus int8", "vultus bits", "faiss flat", "usearch exact", "numpy")
APPROXIMATE = ("numpy", "vultus bits", "vultus ivf", "vultus hnsw", "usearch hnsw")
BYTES = {"vultus int8": lambda dim: dim, "vultus bits": lambda dim: 64}  # that one query has to read per row
FOLLOWED = ("vultus ivf", "vultus hnsw", "usearch hnsw")  # read a part of the rows: no floor

LIMIT_ROWS, LIMIT_DIM = 1_000_000, 512  # where the promises below hold
SINGLE_MS = 6.0  # of one query by "bits"
BATCH_FLOORS = 1.5  # times the multiplications of the full scan, of a batch by "bits"
RANK1 = 0.999  # share of mated probes whose first answer by "bits" is the exact one


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--rows", type=int, default=LIMIT_ROWS, help="for exact systems (default: %(default)s)")
    parser.add_argument("--approximate-rows", type=int, default=200_000, help="0: none (default: %(default)s)")
    parser.add_argument("--dims", type=int, nargs="+", default=[512, 128], help="numbers per row (default: 512 128)")
    parser.add_argument("--threads", type=int, default=2, help="cores (default: %(default)s)")
    parser.add_argument("--probes", type=int, default=1000, help="mated; half as many strangers (default: %(default)s)")
    parser.add_argument("--single", type=int, default=60, help="queries timed alone (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=5, help="batches timed (default: %(default)s)")
    parser.add_argument("--warm-up", type=int, default=10, help="queries before the clock (default: %(default)s)")
    parser.add_argument("--systems", nargs="+", help="only these")
    parser.add_argument("--no-numpy", action="store_true", help="leave the full scan out, and with it rank 1")
    parser.add_argument("--folder", type=Path, help="where the rows are written meanwhile (default: temporary files)")
    parser.add_argument("--seed", type=int, default=0, help="of rows and probes (default: %(default)s)")
    parser.add_argument("--note", action="append", default=[], help="said in the record, such as what else was running")
    parser.add_argument("--small", action="store_true", help="a few thousand rows, to see that it runs")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure everything and return the record."""
    if args.small:
        args.rows, args.approximate_rows, args.dims = 4000, 6000, [32]
        args.probes, args.single, args.repeat, args.warm_up = 20, 3, 2, 1
    gflops, bandwidth = machine.gemm_gflops(args.threads), read_gb_per_s(args.threads)
    settings = {
        "warm_up": args.warm_up,
        "single": args.single,
        "batch": BATCH,
        "repeat": args.repeat,
        "mated_probes": args.probes,
        "strangers": args.probes // 2,
        "photos_per_person": PHOTOS,
        "seed": args.seed,
        "gemm_gflops": round(gflops, 1),
        "read_gb_per_s": round(bandwidth, 1),
    }
    record = machine.head(SUITE, settings, ("vultus", "numpy", "faiss-cpu", "usearch", "numkong"))
    record["notes"] += args.note
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        for dim in args.dims:
            for rows, systems in ((args.rows, EXACT), (args.approximate_rows, APPROXIMATE)):
                chosen = [s for s in systems if s == "numpy" or not args.systems or s in args.systems]
                chosen = [s for s in chosen if s != "numpy" or not args.no_numpy]
                if rows and chosen not in ([], ["numpy"]):
                    record["results"] += _race(Population(rows, dim, args.seed), chosen, args, Path(folder), record)
    for row in record["results"]:
        _floors(row, gflops, bandwidth)
        row["within"] = _within(row)
    print(table(record))
    return record


def read_gb_per_s(threads: int) -> float:
    """Best rate at which `threads` threads read memory, in 10^9 bytes per second."""
    halves = np.array_split(np.ones(1 << 27, np.int64), threads)
    best = 1e9
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(8):
            began = time.perf_counter()
            list(pool.map(np.max, halves))
            best = min(best, time.perf_counter() - began)
    return float(sum(half.nbytes for half in halves) / best / 1e9)


def _race(
    people: Population, systems: Sequence[str], args: argparse.Namespace, folder: Path, record: dict[str, Any]
) -> list[dict[str, Any]]:
    rows, probes = folder / "rows.npy", folder / "probes.npz"
    table_ = np.lib.format.open_memmap(rows, "w+", np.float32, (people.rows, people.dim))
    for first, chunk in people.chunks():
        table_[first : first + len(chunk)] = chunk
    table_.flush()
    del table_
    np.savez(probes, mated=people.mated(args.probes), strangers=people.strangers(args.probes // 2))
    measured = {}
    for system in systems:
        order = {
            "system": system,
            "cpus": machine.cpus(args.threads),
            "rows": str(rows),
            "probes": str(probes),
            "photos": PHOTOS,
            "k": 5,
            "warm_up": args.warm_up,
            "single": args.single,
            "batch": BATCH,
            "repeat": args.repeat,
            "changes": system in ("vultus bits", "vultus hnsw", "vultus ivf"),
        }
        result = _measure(order, folder, args.threads, record["notes"])
        if result is not None:
            measured[system] = result
            if result["extra"]:
                where = {"system": system, "rows": people.rows, "dim": people.dim}
                record["checks"].append({**where, **result["extra"]})
    truth = measured["numpy"]["found"] if "numpy" in measured else None
    return [_row(system, people, args.threads, result, truth) for system, result in measured.items()]


def _measure(order: dict[str, Any], folder: Path, threads: int, notes: list[str]) -> dict[str, Any] | None:
    paths = folder / "order.json", folder / "result.json"
    paths[0].write_text(json.dumps(order))
    print(f"{order['system']} ...", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.search_worker", *map(str, paths)],
        env={**machine.environment(threads), "BENCHMARK_FOLDER": str(folder)},
        cwd=machine.root(),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        why = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}"
        if order["system"].startswith("vultus") and "MissingExtra" not in why:
            raise SystemExit(f"{order['system']} failed:\n{done.stderr}")
        notes.append(f"{order['system']} did not run: {why}")
        return None
    return dict(json.loads(paths[1].read_text()))


def _row(
    system: str, people: Population, threads: int, measured: dict[str, Any], truth: dict[str, Any] | None
) -> dict[str, Any]:
    agreement: dict[str, float | None] = dict.fromkeys(measured["found"])
    if truth is not None:
        agreement = {name: float(np.mean(np.array(measured["found"][name]) == truth[name])) for name in truth}
    held = measured["held_mb"]
    return {
        "system": system,
        "rows": people.rows,
        "dim": people.dim,
        "threads": threads,
        "build_s": float(f"{measured['build_s']:.4g}"),
        "held_mb": None if held is None else round(held, 1),
        "single_ms": schema.timing(measured["single_ms"]),
        "batch_ms": schema.timing(measured["batch_ms"]),
        "single_cpu_ms": float(f"{measured['single_cpu_ms']:.4g}"),
        "batch_cpu_ms": float(f"{measured['batch_cpu_ms']:.4g}"),
        "rank1_mated": agreement["mated"],
        "rank1_strangers": agreement["strangers"],
    }


def _floors(row: dict[str, Any], gflops: float, bandwidth: float) -> None:
    """What the machine cannot do faster: read the bytes of every row once a query, multiply every row by a batch."""
    followed = row["system"] in FOLLOWED
    size = BYTES.get(row["system"], lambda dim: 4 * dim)(row["dim"])
    floors = row["rows"] * size / bandwidth / 1e6, 2 * row["rows"] * row["dim"] * BATCH / gflops / 1e6
    for name, floor in zip(("single", "batch"), floors, strict=True):
        row[f"floor_{name}_ms"] = None if followed else float(f"{floor:.4g}")
        times = row[f"{name}_ms"]["median"] / floor
        row[f"times_floor_{name}"] = None if followed else float(f"{times:.3g}")


def _within(row: dict[str, Any]) -> bool:
    if (row["rows"], row["dim"]) != (LIMIT_ROWS, LIMIT_DIM):
        return True
    if row["system"] == "vultus bits":
        agrees = row["rank1_mated"] is None or row["rank1_mated"] >= RANK1
        return bool(row["single_ms"]["median"] <= SINGLE_MS and row["times_floor_batch"] <= BATCH_FLOORS and agrees)
    return True


def table(record: dict[str, Any]) -> str:
    """The record in words."""
    settings = record["settings"]
    lines = [
        f"{record['machine']['cpu']}; {settings['read_gb_per_s']} GB/s read, {settings['gemm_gflops']} GFLOP/s of a "
        f"matrix product; times in ms, batch of {settings['batch']} whole; rank 1 as NumPy finds it",
        f"{'system':15} {'rows':>9} {'dim':>4} {'one':>8} {'range':>15} {'x floor':>7} {'cpu':>7} "
        f"{'batch':>8} {'x floor':>7} {'cpu':>7} "
        f"{'mated':>7} {'strange':>7} {'build s':>8} {'MB':>7}",
    ]
    for r in record["results"]:
        one, batch = r["single_ms"], r["batch_ms"]
        spread = f"{one['low']:.4g}-{one['high']:.4g}"
        floors = [
            "" if r[f"times_floor_{name}"] is None else f"{r[f'times_floor_{name}']:.2f}"
            for name in ("single", "batch")
        ]
        alike = ["" if r[f"rank1_{who}"] is None else f"{r[f'rank1_{who}']:.4f}" for who in ("mated", "strangers")]
        held = "" if r["held_mb"] is None else f"{r['held_mb']:.0f}"
        lines.append(
            f"{r['system']:15} {r['rows']:9} {r['dim']:4} {one['median']:8.2f} {spread:>15} {floors[0]:>7} "
            f"{r['single_cpu_ms']:7.2f} {batch['median']:8.1f} {floors[1]:>7} {r['batch_cpu_ms']:7.0f} "
            f"{alike[0]:>7} {alike[1]:>7} "
            f"{r['build_s']:8.1f} {held:>7}"
        )
    lines += [json.dumps(check) for check in record["checks"]]
    return "\n".join([*lines, *record["notes"]])
