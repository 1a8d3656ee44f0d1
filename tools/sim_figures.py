"""Measure the simulated faces, and write the figures of docs/guides/sim.md.

    python tools/sim_figures.py measure [--only speed,...]   minutes; needs the default weights and dlib's
    python tools/sim_figures.py write                        write the guide's section from docs/figures/sim.json
    python tools/sim_figures.py check                        exit 1 when the guide is not what `write` would write

Times are of the process (CPU, all threads) and of the wall, medians of several repeats: on a machine that does other
work the first is the one to read.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

GUIDE = ROOT / "docs/guides/sim.md"
KEPT = ROOT / "docs/figures/sim.json"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
BLOCKS, PER_PERSON = 40, 20
SPEED = ((0, 64), (1, 64), (2, 64), (1, 128), (2, 256))  # level of detail, pixels
AIMS = {(0, 64): 2.0, (2, 64): 25.0}  # ms
KERNELS = {
    "as is": {},
    "NumPy without AVX": {"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR"},
    "OpenBLAS for Nehalem": {"OPENBLAS_CORETYPE": "Nehalem"},
    "OpenCV without AVX": {"OPENCV_CPU_DISABLE": "AVX,FP16,AVX2,FMA3,AVX512-SKX"},
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
        cpu, wall = [], []
        for seed in range(BLOCKS + 3):
            rng = np.random.default_rng(seed)
            begun, start = time.process_time(), time.perf_counter()
            person = faces.person_of(seed)
            factors = [faces.sample_factors(rng, None, person) for _ in range(PER_PERSON)]
            faces.render_batch([person] * PER_PERSON, factors, size, lod)
            cpu.append(1000 * (time.process_time() - begun) / PER_PERSON)
            wall.append(1000 * (time.perf_counter() - start) / PER_PERSON)
        cpu, wall = cpu[3:], wall[3:]  # the first fill caches
        middle = {"cpu_ms": statistics.median(cpu), "wall_ms": statistics.median(wall), "least_cpu_ms": min(cpu)}
        found.append({"lod": lod, "size": size, "blocks": BLOCKS, "per_person": PER_PERSON, **middle})
    return found


def _shards() -> dict[str, Any]:
    """CPU seconds of two processes, and wall, for 1,000 pictures; starting up included."""
    from vultus.sim import faces

    wall, cpu = [], []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            faces.build_shards(faces.World(), 100, 10, 64, folder, lod=0, processes=2)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            wall.append(time.perf_counter() - start)
            cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    found = {"wall_s": statistics.median(wall), "cpu_s": statistics.median(cpu), "cpu_s_of_each": cpu}
    return {"pictures": 1000, "processes": 2, **found}


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
    """Angle between `normal` and the gradient of `depth` at 128 pixels, level of detail 2."""
    import numpy as np

    from tests.sim import trials

    head, hair = trials.slopes(range(40))
    return {"pictures": 40, "median": float(np.median(head)), "within_5": float((head < 5).mean()),
            "hair_within_5": float((hair < 5).mean())}  # fmt: skip


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


def _dlib() -> list[dict[str, Any]]:
    """Equal error rate of dlib's embedder on people that nothing was tuned on, nearly frontal and in every manner."""
    from tests.sim import trials

    return [trials.dlib_eer(name, people=100) for name in trials.DLIB_WORLDS]


def _pictures() -> list[str]:
    """Pictures and labels of many people."""
    from tests.sim import trials
    from vultus.sim import faces

    found = []
    for lod in (0, 1):
        samples, _ = trials.album(range(60), 2, faces.World(occluders=0.1), seed=lod, lod=lod)
        found += [array.tobytes().hex() for sample in samples for array in (sample.image, sample.parsing)]
    return found


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
    told = [_found(kept["detected"]), _dlib_rates(kept["dlib"]), _identities(kept["identity"])]
    told += [_probes(kept["shortcuts"]), _slopes(kept["normals"])]
    points = "\n".join(textwrap.fill(f"- {line}", 118, subsequent_indent="  ") for line in told)
    same = textwrap.fill(_same(kept["bytes"]), 118)
    return "\n\n".join([_time(kept["speed"], kept["shards"]), points, same])


def _time(speed: list[dict[str, Any]], shards: dict[str, Any]) -> str:
    first = speed[0]
    lines = [
        "Milliseconds of a picture through `render_batch`, people included, one thread, in "
        f"{first['blocks']} blocks of one person\nwith {first['per_person']} pictures, on 2 cores that did much "
        "other work (more was waiting than could run):\n",
        "| level of detail | size | CPU, median block | CPU, least | wall, median | aim |",
        "|---|---|---|---|---|---|",
    ]
    for row in speed:
        aim = AIMS.get((row["lod"], row["size"]))
        told = f"{aim:.0f}" if aim else ""
        lines.append(
            f"| {row['lod']} | {row['size']} | **{row['cpu_ms']:.1f}** | {row['least_cpu_ms']:.1f} | "
            f"{row['wall_ms']:.1f} "
            f"| {told} |"
        )
    minutes = shards["cpu_s"] / shards["pictures"] * 40_000 / shards["processes"] / 60
    lines.append(
        f"\n`build_shards(..., lod=0, processes={shards['processes']})`: {shards['pictures']:,} pictures took "
        f"{shards['cpu_s']:.0f} s of CPU with start-up\n({shards['wall_s']:.0f} s of wall beside that other work): "
        f"40,000 are {minutes:.1f} minutes of two cores (aim: 8)."
    )
    return "\n".join(lines)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _found(found: dict[str, int]) -> str:
    return f"The default detector finds {found['found']} of {found['pictures']} nearly frontal faces at 256 pixels."


def _dlib_rates(dlib: list[dict[str, Any]]) -> str:
    rates = "; ".join(f"{_percent(row['eer'])} ({row['world']})" for row in dlib)
    return (
        f"dlib's embedder on {dlib[0]['people']} people with {dlib[0]['per_person']} pictures each, none of "
        f"whom anything "
        f"was set on: equal error rate {rates}. The aim is below 15 %."
    )


def _identities(own: dict[str, float]) -> str:
    return (
        "A linear projection of crops aligned by the true points, trained on 80 people with 7 pictures each "
        "and tried on "
        "100 others with 4 (64 pixels, level of detail 0; yaw within 20 degrees, one skin tone, no hats, glasses or "
        f"beards): equal error rate {_percent(own['own'])} (aim: below 5 %). With somebody else's codes and marks in "
        f"every picture it is {_percent(own['shuffled'])} (aim: above 40 %), so what it uses is the person."
    )


def _probes(short: dict[str, Any]) -> str:
    return (
        f"A linear probe names 100 people from 8 x 8 mean colors in {_percent(short['colors'])} of "
        f"{short['tries']} tries, "
        f"from the background alone in {_percent(short['background'])}, from all attributes in "
        f"{_percent(short['attributes'])}; chance is {_percent(short['chance'])}."
    )


def _slopes(slope: dict[str, Any]) -> str:
    return (
        "`normal` against the gradient of `depth`, level of detail 2, 128 pixels, away from steps in depth, "
        f"{slope['pictures']} pictures: within 5 degrees for {_percent(slope['within_5'])} of the pixels of "
        f"head, neck and "
        f"clothes (median {slope['median']:.1f}), for {_percent(slope['hair_within_5'])} of hair, whose "
        f"sheet is coarse."
    )


def _same(bytes_: dict[str, Any]) -> str:
    first, *others = bytes_.items()
    told = [
        f"{name}: {row['differ']:,}" + (f" (by up to {row['most']})" if row["differ"] else "") for name, row in others
    ]
    return (
        f"The same seed under other kernels of one processor: of {first[1]['values']:,} bytes of pictures and labels, "
        f"these many differ: {'; '.join(told)}."
    )


def written(guide: str) -> str:
    """The guide with its section in place."""
    before, _, rest = guide.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{section()}\n{END}{after}"


if __name__ == "__main__":
    main()
