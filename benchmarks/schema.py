"""The one form of a benchmark record, checked before it is written and again by a test.

A record: suite, schema, date, version, commit, machine, libraries, settings, results, checks, notes. A timing is
{"median", "low", "high", "n"}: median, smallest and largest of n repetitions after the warm-up.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["SCHEMA", "timing", "validate", "write"]

SCHEMA = 1
Kind = Any  # a type, a tuple of types, a dict of required keys, a one-item list (each item is of that kind)

TIMING: dict[str, Kind] = {"median": float, "low": float, "high": float, "n": int}
MACHINE: dict[str, Kind] = {"cpu": str, "cores": int, "memory_mb": int, "system": str, "python": str}
HEAD: dict[str, Kind] = {
    "suite": str,
    "schema": int,
    "date": str,
    "version": str,
    "commit": str,
    "machine": MACHINE,
    "libraries": dict,
    "settings": {"warm_up": int},
    "results": list,
    "checks": list,
    "notes": [str],
}
RESULTS: dict[str, dict[str, Kind]] = {
    "pipeline": {
        "race": str,
        "system": str,
        "parallel": str,
        "threads": int,
        "images_per_s": TIMING,
        "ms_per_image": float,
        "cpu_ms_per_image": float,
        "ms_per_stage": {"decode": float, "detect": float, "align": float, "embed": float},
        "peak_rss_mb": float,
        "faces": int,
        "images": int,
        "versions": dict,
        "times_fastest_peer": (float, type(None)),
        "gmac_per_image": (float, type(None)),
        "floor_images_per_s": (float, type(None)),
        "share_of_floor": (float, type(None)),
    },
    "search": {
        "system": str,
        "rows": int,
        "dim": int,
        "threads": int,
        "build_s": float,
        "held_mb": (float, type(None)),
        "single_ms": TIMING,
        "batch_ms": TIMING,
        "single_cpu_ms": float,
        "batch_cpu_ms": float,
        "floor_single_ms": (float, type(None)),
        "floor_batch_ms": (float, type(None)),
        "times_floor_single": (float, type(None)),
        "times_floor_batch": (float, type(None)),
        "rank1_mated": (float, type(None)),
        "rank1_strangers": (float, type(None)),
        "within": bool,
    },
    "roc": {
        "system": str,
        "scores": int,
        "threads": int,
        "s": TIMING,
        "million_scores_per_s": float,
        "peak_mb": float,
        "auc": float,
        "largest_tar_difference": (float, type(None)),
        "auc_difference": (float, type(None)),
        "within": bool,
    },
    "train_step": {
        "part": str,
        "system": str,
        "classes": int,
        "dim": int,
        "batch": int,
        "sample_rate": float,
        "threads": int,
        "step_ms": TIMING,
        "step_cpu_ms": float,
        "peak_mb": float,
        "loss": float,
        "beside": str,
        "times": (float, type(None)),
        "within": bool,
    },
    "import_time": {"command": str, "ms": TIMING, "limit_ms": float, "within": bool},
    "cold_start": {"command": str, "ms": TIMING, "limit_ms": float, "within": bool},
}


def timing(values: list[float]) -> dict[str, float | int]:
    """Median and spread of repetitions.

    Raises:
        ValueError: if there are none.
    """
    if not values:
        raise ValueError("expected at least one repetition, got none")
    ordered = sorted(values)
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    return {"median": _round(median), "low": _round(ordered[0]), "high": _round(ordered[-1]), "n": len(ordered)}


def validate(record: Mapping[str, Any]) -> None:
    """Raise ValueError, naming the place, when a record is not of the form above."""
    _check("record", record, HEAD)
    if record["schema"] != SCHEMA:
        raise ValueError(f"schema: expected {SCHEMA}, got {record['schema']}")
    if record["suite"] not in RESULTS:
        raise ValueError(f"suite: expected one of {', '.join(RESULTS)}, got {record['suite']!r}")
    if not record["results"]:
        raise ValueError("results: expected at least one, got none")
    for index, result in enumerate(record["results"]):
        _check(f"results[{index}]", result, RESULTS[record["suite"]])


def write(record: Mapping[str, Any], path: Path) -> None:
    """Validate and write a record as JSON."""
    validate(record)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")


def _round(value: float) -> float:
    """Four significant digits: timings have no more."""
    return float(f"{value:.4g}")


def _check(where: str, value: Any, kind: Kind) -> None:
    if isinstance(kind, dict):
        _check(where, value, dict)
        for key, inner in kind.items():
            if key not in value:
                raise ValueError(f"{where}: expected the key {key!r}, it is missing")
            _check(f"{where}.{key}", value[key], inner)
        if kind is TIMING and not value["low"] <= value["median"] <= value["high"]:
            raise ValueError(f"{where}: expected low <= median <= high, got {value}")
    elif isinstance(kind, list):
        _check(where, value, list)
        for index, item in enumerate(value):
            _check(f"{where}[{index}]", item, kind[0])
    else:
        kinds = kind if isinstance(kind, tuple) else (kind,)
        fits = isinstance(value, kinds) or (float in kinds and type(value) is int)
        if not fits or (isinstance(value, bool) and bool not in kinds):
            names = " or ".join(k.__name__ for k in kinds)
            raise ValueError(f"{where}: expected {names}, got {type(value).__name__}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{where}: expected a finite number, got {value}")
