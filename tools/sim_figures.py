"""Measure the simulated faces, and write the figures of docs/guides/sim.md.

    python tools/sim_figures.py measure [--only speed,...]   minutes; needs the default weights and dlib's
    python tools/sim_figures.py write                        write the guide's section from docs/figures/sim.json
    python tools/sim_figures.py check                        exit 1 when the guide is not what `write` would write

Times are of the process (CPU, all threads) and of the wall, medians of several repeats: on a machine that does other work
the first is the one to read.
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
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

GUIDE = ROOT / "docs/guides/sim.md"
KEPT = ROOT / "docs/figures/sim.json"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
REPEATS = 5
SPEED = ((0, 64), (1, 64), (2, 64), (1, 128), (2, 256))  # level of detail, pixels
AIMS = {(0, 64): 2.0, (2, 64): 25.0}  # ms
KERNELS = {
    "as is": {},
    "NumPy without AVX": {"NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX"},
    "OpenBLAS for Nehalem": {"OPENBLAS_CORETYPE": "Nehalem"},
    "OpenCV without AVX": {"OPENCV_CPU_DISABLE": "AVX,FP16,AVX2,FMA3,AVX_512F,AVX512_COMMON,AVX512_SKX"},
    "2 threads": {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
}


def main() -> None:
    """Measure, write or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("measure", "write", "check", "bytes"))
    parser.add_argument("--only", default=",".join(MEASURES), help="some of the measures, with commas")
    args = parser.parse_args()
    if args.what == "measure":
        kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.is_file() else {}
        for name in args.only.split(","):
            kept[name] = MEASURES[name]()
            print(name, json.dumps(kept[name]), flush=True)
        KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    elif args.what == "bytes":
        print(json.dumps(_pictures()))
    else:
        guide = GUIDE.read_text(encoding="utf-8")
        if args.what == "write":
            GUIDE.write_text(written(guide), encoding="utf-8")
        elif written(guide) != guide:
            sys.exit("docs/guides/sim.md: figures are not those of docs/figures; run tools/sim_figures.py write")


# ---------------------------------------------------------------- measuring
def _speed() -> list[dict[str, Any]]:
    """CPU and wall milliseconds of a picture through render_batch, people included, one thread."""
    import cv2
    import numpy as np

    from vultus.sim import faces

    cv2.setNumThreads(1)
    found = []
    for lod, size in SPEED:
        people, per_person = (20, 20) if lod == 0 else (6, 10)
        cpu, wall = [], []
        for repeat in range(REPEATS + 1):
            rng = np.random.default_rng(repeat)
            begun, start = time.process_time(), time.perf_counter()
            for seed in range(repeat * people, (repeat + 1) * people):
                person = faces.person_of(seed)
                factors = [faces.sample_factors(rng, None, person) for _ in range(per_person)]
                faces.render_batch([person] * per_person, factors, size, lod)
            count = people * per_person / 1000
            cpu.append((time.process_time() - begun) / count)
            wall.append((time.perf_counter() - start) / count)
        found.append({"lod": lod, "size": size, "cpu_ms": statistics.median(cpu[1:]), "wall_ms": statistics.median(wall[1:]),
                      "cpu_ms_of_each": cpu[1:]})  # fmt: skip
    return found


def _shards() -> dict[str, Any]:
    """Seconds for 4,000 pictures by two processes, and what 40,000 would take."""
    from vultus.sim import faces

    seconds = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            faces.build_shards(faces.World(), 200, 20, 64, folder, lod=0, processes=2)
            seconds.append(time.perf_counter() - start)
    return {"pictures": 4000, "processes": 2, "seconds": statistics.median(seconds), "seconds_of_each": seconds}


def _identity() -> dict[str, float]:
    """Equal error rates of the small recognizer, with the person's codes and with somebody else's in each picture."""
    from tests.sim import trials
    from vultus.sim import faces

    recognizer = trials.Projection(*trials.album(faces.people("base")[:80], 7, trials.NARROW))
    found = {}
    for name, shuffled in (("own", False), ("shuffled", True)):
        album = trials.album(faces.people("test")[40:140], 4, trials.NARROW, seed=1, shuffled=shuffled)
        found[name] = recognizer.eer(*album)
    return found


def _shortcuts() -> dict[str, float]:
    """What a linear probe reads from colors, background and attributes: share of people named, and chance."""
    from tests.sim import trials

    samples, labels = trials.album(range(100), 8)
    return {
        "colors": trials.probe(trials.colors8(samples).reshape(len(labels), -1), labels),
        "background": trials.probe(trials.backgrounds(samples), labels),
        "attributes": trials.probe(trials.attributes(samples), labels),
        "chance": 1 / 100,
        "tries": 200,
    }


def _normals() -> dict[str, float]:
    """Angle between `normal` and the gradient of `depth` at 256 pixels, level of detail 2."""
    import numpy as np

    from tests.sim import trials

    angles, share = [], []
    for k in range(40):
        angle, where = trials.slope_angles(trials.album([k], 1, seed=k, size=256, lod=2)[0][0])
        angles.append(angle[where])
        share.append(float(where.mean()))
    every = np.concatenate(angles)
    return {"pictures": 40, "median": float(np.median(every)), "p95": float(np.quantile(every, 0.95)),
            "within_5": float((every < 5).mean())}  # fmt: skip


def _detected() -> dict[str, int]:
    """Nearly frontal faces at 256 pixels that the default detector finds."""
    import numpy as np

    from vultus import Pipeline
    from vultus.sim import faces

    pipe, rng = Pipeline(threads=1), np.random.default_rng(5)
    world = faces.World(yaw_deg=10, pitch_deg=8, eyewear=0.1)
    found = 0
    for k in range(160):
        picture = faces.render(faces.person_of(k), faces.sample_factors(rng, world), 256, 1).image
        found += len(pipe.detect(picture)) >= 1
    return {"pictures": 160, "found": found}


def _dlib() -> dict[str, Any]:
    """Equal error rate of dlib's embedder on people that nothing was tuned on."""
    from tests.sim import trials

    return trials.dlib_eer(people=100, per_person=4)


def _pictures() -> list[str]:
    """Hashes of a few pictures and their labels, and the pictures themselves."""
    from tests.sim import trials

    return [picture.tobytes().hex() for picture in trials.golden_pictures()]


def _bytes() -> dict[str, Any]:
    """How many values of the golden pictures differ under other kernels of the same processor."""
    import numpy as np

    found: dict[str, Any] = {}
    first = None
    for name, extra in KERNELS.items():
        done = subprocess.run([sys.executable, __file__, "bytes"], capture_output=True, text=True, check=False,
                              timeout=600, env={**os.environ, **extra})  # fmt: skip
        if done.returncode:
            sys.exit(f"{name}: {done.stderr[-500:]}")
        made = [np.frombuffer(bytes.fromhex(p), np.uint8).astype(int) for p in json.loads(done.stdout)]
        first = first or made
        off = np.concatenate([np.abs(a - b) for a, b in zip(made, first, strict=True)])
        digest = hashlib.sha256(b"".join(p.astype(np.uint8).tobytes() for p in made)).hexdigest()[:16]
        found[name] = {"values": len(off), "differ": int((off > 0).sum()), "most": int(off.max()), "sha256": digest}
    return found


MEASURES = {"speed": _speed, "shards": _shards, "identity": _identity, "shortcuts": _shortcuts, "normals": _normals,
            "detected": _detected, "dlib": _dlib, "bytes": _bytes}  # fmt: skip


# ---------------------------------------------------------------- writing
def section() -> str:
    """The guide's section, from the file."""
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    return "\n\n".join([_time(kept["speed"], kept["shards"]), _truths(kept), _same(kept["bytes"])])


def _time(speed: list[dict[str, Any]], shards: dict[str, Any]) -> str:
    lines = [
        "Milliseconds of a picture through `render_batch`, people included, one thread: CPU time of the process and wall,\n"
        f"medians of {len(speed[0]['cpu_ms_of_each'])} repeats, on 2 cores that did other work at the same time:\n",
        "| level of detail | size | CPU | wall | aim |",
        "|---|---|---|---|---|",
    ]
    for row in speed:
        aim = AIMS.get((row["lod"], row["size"]))
        lines.append(f"| {row['lod']} | {row['size']} | **{row['cpu_ms']:.1f}** | {row['wall_ms']:.1f} | {aim or ''} |")
    each = shards["seconds"] / shards["pictures"]
    lines.append(
        f"\n`build_shards(..., lod=0, processes={shards['processes']})`: {shards['pictures']:,} pictures in "
        f"{shards['seconds']:.0f} s, so 40,000 in about {40_000 * each / 60:.1f} minutes (aim: 8)."
    )
    return "\n".join(lines)


def _truths(kept: dict[str, Any]) -> str:
    found, dlib, own, short, slope = (kept[k] for k in ("detected", "dlib", "identity", "shortcuts", "normals"))
    return "\n".join(
        [
            f"- The default detector finds {found['found']} of {found['pictures']} nearly frontal faces at 256 pixels.",
            f"- dlib's embedder on {dlib['people']} people with {dlib['per_person']} pictures each, none of whom anything "
            f"was set on: equal error\n  rate {100 * dlib['eer']:.1f} % (aim: below 15 %).",
            "- A linear projection of crops aligned by the true points, trained on 80 people with 7 pictures each and tried "
            "on 100\n  others with 4 (64 pixels, level of detail 0; yaw within 20 degrees, one skin tone, no hats, glasses or "
            f"beards): equal\n  error rate {100 * own['own']:.1f} %. With somebody else's codes and marks in every picture it "
            f"is {100 * own['shuffled']:.0f} %, so what it uses is the person.",
            f"- A linear probe names 100 people from 8 x 8 mean colors in {100 * short['colors']:.1f} % of "
            f"{short['tries']} tries, from the background alone in\n  {100 * short['background']:.1f} %, from all attributes "
            f"in {100 * short['attributes']:.1f} %; chance is {100 * short['chance']:.0f} %.",
            f"- `normal` against the gradient of `depth` at 256 pixels, level of detail 2, {slope['pictures']} pictures, away "
            f"from steps in depth:\n  median {slope['median']:.1f} degrees, 95 % within {slope['p95']:.1f}; "
            f"{100 * slope['within_5']:.1f} % within 5.",
        ]
    )


def _same(bytes_: dict[str, Any]) -> str:
    first, *others = bytes_.items()
    told = [f"{name}: {row['differ']:,}" + (f" (by {row['most']})" if row["differ"] else "") for name, row in others]
    return (
        f"The same seed under other kernels of one processor: of {first[1]['values']:,} bytes of pictures and labels, these "
        f"many differ: {'; '.join(told)}."
    )


def written(guide: str) -> str:
    """The guide with its section in place."""
    before, _, rest = guide.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{section()}\n{END}{after}"


if __name__ == "__main__":
    main()
