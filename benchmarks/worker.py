"""Runs inside one interpreter, pinned to its cores: one system, warm-up, timed passes, one pass with stage times.

python -m benchmarks.worker OPTIONS.json RESULT_STEM
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.memory import peak_mb

__all__ = ["main"]


def main(options_path: str, stem: str) -> None:
    """Measure; leaves STEM.json with the figures and STEM.npz with boxes, vectors and points of every picture."""
    options: dict[str, Any] = json.loads(Path(options_path).read_text("utf-8"))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, options["cpus"])
    import numpy as np

    from benchmarks.contestants import CONTESTANTS
    from benchmarks.floor import Recorder

    kind = CONTESTANTS[options["system"]]
    recorder: Recorder | None = None
    if options["system"] != "face_recognition":
        recorder = Recorder()
        recorder.install()
    contestant = kind(options)
    paths: list[str] = options["paths"]
    contestant.encode_all(paths[: options["warm_up"]])
    seconds: list[float] = []
    busy: list[float] = []
    results: list[Any] = []
    while len(seconds) < options["passes"] and (not seconds or sum(seconds) + seconds[-1] < options["budget_s"]):
        began, began_busy = time.perf_counter(), time.process_time()
        results = contestant.encode_all(paths)
        seconds.append(time.perf_counter() - began)
        busy.append(time.process_time() - began_busy)
    peak = peak_mb()
    slow = seconds[-1] > options["budget_s"] / 2
    sample = paths[:: max(1, len(paths) // 20)] if slow else paths
    if recorder is not None:
        recorder.on = True
    stages = contestant.look(sample)
    gmac = recorder.total() / len(sample) / 1e9 if recorder is not None else None
    arrays = {}
    for index, found in enumerate(results):
        for name, array in zip(("boxes", "vectors", "points"), found, strict=True):
            arrays[f"{name}_{index}"] = array
    np.savez(f"{stem}.npz", **arrays)
    record = {
        "seconds": seconds,
        "busy_seconds": busy,
        "ms_per_stage": stages,
        "peak_rss_mb": peak,
        "faces": sum(len(boxes) for boxes, _, _ in results),
        "gmac_per_image": gmac,
        "versions": _versions(kind.distributions),
    }
    Path(f"{stem}.json").write_text(json.dumps(record), "utf-8")


def _versions(names: tuple[str, ...]) -> dict[str, str]:
    from importlib import metadata

    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
