"""One contestant of suite `search`, in a process of its own: python -m benchmarks.search_worker ORDER RESULT.

The order is JSON: system, cpus, files of rows and probes, how often. The result is JSON, with the rows that were found
first for every probe.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["SYSTEMS", "main"]

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
Search = Callable[[F32, int], I64]  # (queries, k) -> (Q, k) row numbers, best first
LINKS, BUILD_BREADTH, BREADTH = 24, 80, 96  # of usearch's graph: those of ours


def main(order_path: str, result_path: str) -> None:
    """Build, time and compare one system."""
    order = json.loads(Path(order_path).read_text())
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, order["cpus"])
    rows = np.load(order["rows"], mmap_mode="c" if order["system"].startswith("vultus") else "r")
    _read(rows)  # into the page cache: no contestant pays for the disk
    with np.load(order["probes"]) as file:
        probes = {name: file[name] for name in file.files}
    before, began = _anonymous_mb(), time.perf_counter()
    search, extra = SYSTEMS[order["system"]](rows, order)
    built, after = time.perf_counter() - began, _anonymous_mb()
    mated, k = probes["mated"], order["k"]
    for number in range(order["warm_up"]):
        search(mated[number : number + 1], k)
    busy = [time.process_time()]
    single = [_timed(search, mated[n % len(mated)][None], k) for n in range(order["single"])]
    busy.append(time.process_time())
    batch = mated[np.arange(order["batch"]) % len(mated)]
    search(batch, k)
    busy.append(time.process_time())
    batches = [_timed(search, batch, k) for _ in range(order["repeat"])]
    busy.append(time.process_time())
    found = {name: _first(search, queries, order["batch"]) for name, queries in probes.items()}
    result = {"build_s": built, "held_mb": None if before is None else after - before, "extra": extra}
    result |= {"single_ms": single, "batch_ms": batches, "found": found}
    result |= {"single_cpu_ms": 1e3 * (busy[1] - busy[0]) / len(single)}
    result |= {"batch_cpu_ms": 1e3 * (busy[3] - busy[2]) / len(batches)}
    Path(result_path).write_text(json.dumps(result))


def _vultus(rows: F32, order: dict[str, Any], kind: str) -> tuple[Search, dict[str, Any]]:
    from vultus.gallery.search import VectorIndex

    names = [f"{row:09d}" for row in range(len(rows))]
    people = [names[row // order["photos"]] for row in range(len(rows))]
    index = VectorIndex.build(rows, names, people, space="benchmark", revision=0, kind=kind, copy=False)

    def search(queries: F32, k: int) -> I64:
        return np.asarray(index.search(queries, k).keys, np.int64)

    return search, _changes(index, np.array(rows[:1000])) if order["changes"] else {}


def _changes(index: Any, rows: F32) -> dict[str, Any]:
    """What saving, opening, removing and adding take; afterwards the index is as before."""
    from vultus.gallery.search import VectorIndex

    keys = [f"{row:09d}" for row in range(len(rows))]
    people = [keys[row // 4] for row in range(len(rows))]
    probe, out = rows[:1], {}
    index.remove(keys[:1])  # the first change reads the keys
    index.add(rows[:1], keys[:1], people[:1])
    out["remove_1000_ms"] = _clock(lambda: index.remove(keys))
    out["add_1000_ms"] = _clock(lambda: index.add(rows, keys, people))
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_FOLDER")) as folder:
        path = Path(folder) / "index"
        out["save_s"] = _clock(lambda: index.save(path)) / 1e3
        out["file_mb"] = path.stat().st_size / 2**20
        out["open_verified_s"] = _clock(lambda: VectorIndex.open(path, space="benchmark", revision=0)) / 1e3

        def first_answer() -> None:
            VectorIndex.open(path, space="benchmark", revision=0, verify=False).search(probe)

        out["open_to_answer_ms"] = _clock(first_answer)
    return {name: float(f"{value:.4g}") for name, value in out.items()}


def _faiss_flat(rows: F32, order: dict[str, Any]) -> tuple[Search, dict[str, Any]]:
    import faiss

    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(rows)
    return lambda queries, k: np.asarray(index.search(queries, k)[1], np.int64), {}


def _usearch_exact(rows: F32, order: dict[str, Any]) -> tuple[Search, dict[str, Any]]:
    from usearch.index import MetricKind, search

    threads = len(order["cpus"])

    def look(queries: F32, k: int) -> I64:
        found = search(rows, queries, k, MetricKind.IP, exact=True, threads=threads)
        return np.asarray(found.keys, np.int64).reshape(len(queries), k)

    return look, {}


def _usearch_hnsw(rows: F32, order: dict[str, Any]) -> tuple[Search, dict[str, Any]]:
    from usearch.index import Index

    threads = len(order["cpus"])
    index = Index(
        ndim=rows.shape[1],
        metric="ip",
        dtype="i8",
        connectivity=LINKS,
        expansion_add=BUILD_BREADTH,
        expansion_search=BREADTH,
    )
    index.add(np.arange(len(rows)), rows, threads=threads)

    def look(queries: F32, k: int) -> I64:
        keys = np.asarray(index.search(queries, 64, threads=threads).keys, np.int64).reshape(len(queries), -1)
        scores = np.einsum("qkd,qd->qk", rows[keys], queries)  # the same 64 proposals, scored in float32 like ours
        return np.take_along_axis(keys, np.argsort(-scores, axis=1)[:, :k], axis=1)

    out = {"remove_1000_ms": _clock(lambda: index.remove(np.arange(1000)))}
    out["add_1000_ms"] = _clock(lambda: index.add(np.arange(1000), rows[:1000], threads=threads))
    return look, out


def _numpy(rows: F32, order: dict[str, Any]) -> tuple[Search, dict[str, Any]]:
    def look(queries: F32, k: int) -> I64:
        scores = queries @ rows.T
        best = np.argpartition(scores, len(rows) - k, axis=1)[:, len(rows) - k :]
        order_ = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1)
        return np.take_along_axis(best, order_, axis=1)

    return look, {}


SYSTEMS: dict[str, Callable[[F32, dict[str, Any]], tuple[Search, dict[str, Any]]]] = {
    **{f"vultus {kind}": partial(_vultus, kind=kind) for kind in ("float", "int8", "bits", "ivf", "hnsw")},
    "faiss flat": _faiss_flat,
    "usearch exact": _usearch_exact,
    "usearch hnsw": _usearch_hnsw,
    "numpy": _numpy,
}


def _timed(search: Search, queries: F32, k: int) -> float:
    return _clock(lambda: search(queries, k))


def _clock(work: Callable[[], Any]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e3


def _first(search: Search, queries: F32, batch: int) -> list[int]:
    parts = [search(queries[start : start + batch], 1)[:, 0] for start in range(0, len(queries), batch)]
    return [int(row) for row in np.concatenate(parts)]


def _read(rows: F32) -> None:
    for start in range(0, len(rows), 1 << 16):
        rows[start : start + (1 << 16)].max()


def _anonymous_mb() -> float | None:
    """Memory of this process that is not a mapped file."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
