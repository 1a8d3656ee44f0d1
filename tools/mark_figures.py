"""Measure the invisible mark and keep the figures in docs/figures/mark.json.

    python tools/mark_figures.py sim --pictures 1000           attacks on simulated faces of 128 pixels
    python tools/mark_figures.py real --pictures 200           the same on photographs under $VULTUS_DATA
    python tools/mark_figures.py judge --pictures 200          how far a face embedder is moved (default weights)
    python tools/mark_figures.py unmarked --pictures 10000 --keys 10      false detections; three hours of one core
    python tools/mark_figures.py picture                       original, marked and the difference, as a picture
    python tools/mark_figures.py write                         the table of docs/guides/provenance.md
    python tools/mark_figures.py check                         exit 1 when the table is not what `write` would write

Each of the first four replaces its own part of the file; `sim` adds to it where that is of the same commit, so that
several may run at once, with other people each (--first). --minutes ends one early. A picture counts as survived only
when all 64 bits come back.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vultus.evaluate.provenance import commit
from vultus.io import images
from vultus.ops import mark
from vultus.ops.stats import bootstrap_mean, rule_of_three, wilson
from vultus.sim import faces
from vultus.types import U8

ROOT = Path(__file__).parents[1]
FILE, PAGE, SHEET = (
    ROOT / "docs/figures/mark.json",
    ROOT / "docs/guides/provenance.md",
    ROOT / "docs/guides/img/mark.jpg",
)
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
Attack = Callable[[U8, np.random.Generator], U8]


def jpeg(quality: int) -> Attack:
    """Coded and decoded by `vultus.io.images`, 4:2:0."""

    def coded(image: U8, rng: np.random.Generator) -> U8:
        return images.read(images.encode(image, ".jpg", quality=quality)).pixels

    return coded


def resize(factor: float) -> Attack:
    """By area when it shrinks, bilinear when it grows; sides rounded to whole pixels."""

    def resized(image: U8, rng: np.random.Generator) -> U8:
        size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
        how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)

    return resized


def crop(share: float) -> Attack:
    """A window of this share of both sides, anywhere."""

    def cropped(image: U8, rng: np.random.Generator) -> U8:
        size = [round(n * share) for n in image.shape[:2]]
        y, x = (int(rng.integers(0, n - k + 1)) for n, k in zip(image.shape[:2], size, strict=True))
        return image[y : y + size[0], x : x + size[1]].copy()

    return cropped


def both(first: Attack, second: Attack) -> Attack:
    """One after the other."""
    return lambda image, rng: second(first(image, rng), rng)


ATTACKS: dict[str, Attack] = {
    "nothing": lambda image, rng: image,
    "JPEG 70": jpeg(70),
    "JPEG 50": jpeg(50),
    "blur sigma 1": lambda image, rng: np.asarray(cv2.GaussianBlur(image, (0, 0), 1.0), np.uint8),
    "resize 0.5": resize(0.5),
    "resize 0.75": resize(0.75),
    "resize 2": resize(2.0),
    "crop to 70 % of each side": crop(0.7),
    "JPEG 50, then resize 0.75": both(jpeg(50), resize(0.75)),
}
"""What a mark should survive; the further ones show where it ends, and are tried on every fifth picture."""
FURTHER: dict[str, Attack] = {
    "JPEG 40": jpeg(40),
    "blur sigma 1.5": lambda image, rng: np.asarray(cv2.GaussianBlur(image, (0, 0), 1.5), np.uint8),
    "crop to 50 % of each side": crop(0.5),
    "crop to 70 %, then JPEG 70": both(crop(0.7), jpeg(70)),
    "resize 0.75, then JPEG 70": both(resize(0.75), jpeg(70)),
    "resize 0.75, then JPEG 50": both(resize(0.75), jpeg(50)),
    "turned by 2 degrees": lambda image, rng: np.asarray(
        cv2.warpAffine(image, _turn(image), image.shape[1::-1]), np.uint8
    ),
}


def _turn(image: U8) -> Any:
    return cv2.getRotationMatrix2D((image.shape[1] / 2, image.shape[0] / 2), 2, 1)


def simulated(count: int, first: int = 0, size: int = 128) -> Iterator[U8]:
    """Faces of the simulator, a new person in each."""
    for seed in range(first, first + count):
        rng, person = np.random.default_rng((seed, 7)), faces.person_of(seed)
        yield faces.render(person, faces.sample_factors(rng, None, person), size, 1).image


def photographs(count: int) -> dict[str, list[Path]]:
    """LFW, one picture a person, and the larger photographs of two detection sets."""
    data = Path(os.environ["VULTUS_DATA"]).expanduser()
    lfw = sorted((data / "lfw_deepfunneled").glob("*/*_0001.jpg"))
    larger = sorted(p for name in ("human_faces_detection", "dlib_faces") for p in (data / name).rglob("*.jpg"))
    return {
        "lfw_deepfunneled, 250 px": lfw[:: max(len(lfw) // count, 1)][:count],
        "larger photographs": larger[: count // 4],
    }


def survival(pictures: Iterator[U8]) -> dict[str, Any]:
    """Share of marked pictures from which the whole payload comes back after each attack."""
    rng, psnr, spent, wrong = np.random.default_rng(0), [], [0.0, 0.0], 0
    found: dict[str, list[bool]] = {name: [] for name in ATTACKS | FURTHER}
    for count, picture in enumerate(pictures):
        payload = mark.Payload(int(rng.integers(1 << 48)), int(rng.integers(1, 14)))
        start = time.process_time()
        marked = mark.embed(picture, payload)
        spent[0] += time.process_time() - start
        psnr.append(10 * np.log10(255**2 / np.square(marked.astype(float) - picture).mean()))
        for name, attack in (ATTACKS | FURTHER if count % 5 == 0 else ATTACKS).items():
            attacked = attack(marked, rng)
            start = time.process_time()
            said, _ = mark.detect(attacked)
            spent[1] += time.process_time() - start
            found[name].append(said == payload)
            wrong += said is not None and said != payload
        if count % 10 == 9:
            print(count + 1, {name: sum(got) for name, got in found.items() if not all(got)}, flush=True)
    tried = sum(map(len, found.values()))
    return {
        "psnr_db": {"smallest": min(psnr), "mean": float(np.mean(psnr))},
        "survived": {name: _counted(sum(got), len(got)) for name, got in found.items()},
        "wrong_payloads": wrong,
        "cpu_ms": {"embed": 1e3 * spent[0] / len(psnr), "detect_mean_over_attacks": 1e3 * spent[1] / tried},
    }


def _counted(k: int, n: int) -> dict[str, float]:
    low, high = wilson(k, n) if n else (0.0, 1.0)
    return {"k": int(k), "n": n, "value": k / max(n, 1), "low": low, "high": high}


def _together(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Two results of `survival` on different pictures as one."""
    n = [part["survived"]["nothing"]["n"] for part in (one, other)]
    mean = float(np.average([part["psnr_db"]["mean"] for part in (one, other)], weights=n))
    return {
        "psnr_db": {"smallest": min(part["psnr_db"]["smallest"] for part in (one, other)), "mean": mean},
        "survived": {
            name: _counted(*(one["survived"][name][key] + other["survived"][name][key] for key in ("k", "n")))
            for name in one["survived"]
        },
        "wrong_payloads": one["wrong_payloads"] + other["wrong_payloads"],
        "cpu_ms": one["cpu_ms"],
    }


def _until(pictures: Iterator[U8], minutes: float) -> Iterator[U8]:
    """Pictures until the time is over."""
    end = time.monotonic() + 60 * minutes
    for picture in pictures:
        yield picture
        if time.monotonic() > end:
            return


def judged(count: int) -> dict[str, Any]:
    """How far the cosine of a picture with another one moves when it is marked, on simulated faces."""
    from vultus.catalogue import load

    out = {}
    for name in ("dlib_resnet29", "fr_feature"):
        embedder, aligner = load(name), load("similarity5")
        rng, vectors = np.random.default_rng(0), []
        for seed in range(count):
            draw, person = np.random.default_rng((seed, 7)), faces.person_of(seed)
            sample = faces.render(person, faces.sample_factors(draw, None, person), 128, 1)
            marked = mark.embed(sample.image, mark.Payload(int(rng.integers(1 << 48)), 1))
            crops = [
                aligner.align(image, sample.points5[None], embedder.crop)[0][0] for image in (sample.image, marked)
            ]
            vectors.append(embedder.embed(np.stack(crops)).vec)
        before, after = np.array(vectors).transpose(1, 0, 2)
        moved = np.abs((after @ before.T) - (before @ before.T))
        others = moved[~np.eye(count, dtype=bool)]
        mean = bootstrap_mean(others.reshape(count, -1).mean(1), np.arange(count), rng=np.random.default_rng(1))
        out[embedder.space] = {
            "mean_change_of_cosine_with_others": mean.to_dict(),
            "share_below_0.01": float((others < 0.01).mean()),
            "largest": float(others.max()),
            "mean_cosine_with_itself": float((before * after).sum(1).mean()),
        }
    return out


def unmarked(pictures: Iterator[U8], keys: int) -> dict[str, Any]:
    """Detections in pictures that hold no mark, each looked at with several keys."""
    alarms, highest, start = 0, [], time.process_time()
    for number, picture in enumerate(pictures):
        for key in range(keys):
            found, z = mark.detect(picture, f"key {number % 7} {key}".encode())
            alarms += found is not None
            highest.append(z)
        if number % 20 == 19:
            print(number + 1, alarms, f"{max(highest):.2f}", f"{time.process_time() - start:.0f} s", flush=True)
    count = len(highest)
    return {
        "false_detections": alarms,
        "trials": count,
        "pictures": count // keys,
        "keys": keys,
        "upper_95": rule_of_three(count) if alarms == 0 else wilson(alarms, count)[1],
        "null_model_at_most": 9e-7,
        "score": {
            "mean": float(np.mean(highest)),
            "99.9 %": float(np.quantile(highest, 0.999)),
            "highest": max(highest),
        },
        "cpu_ms_per_trial": 1e3 * (time.process_time() - start) / count,
    }


def picture(side: int = 256) -> U8:
    """(side, 3 side, 3) a simulated face, the same one marked, and 20 times the difference on gray."""
    person = faces.person_of(2815)
    plain = faces.render(person, faces.sample_factors(np.random.default_rng(3), None, person), side, 2).image
    marked = mark.embed(plain, mark.Payload(1))
    apart = np.clip(128 + 20 * (marked.astype(int) - plain), 0, 255).astype(np.uint8)
    return np.concatenate([plain, marked, apart], axis=1)


def table(kept: dict[str, Any]) -> str:
    """The section of the guide."""
    sets = {"simulated, 128 px": kept["sim"]["measured"], **kept["real"]["measured"]}
    lines = ["| after | " + " | ".join(sets) + " |"]
    lines.append("|---|" + "---|" * len(sets))
    lines += [
        f"| {attack} | " + " | ".join(_share(part["survived"][attack]) for part in sets.values()) + " |"
        for attack in kept["sim"]["measured"]["survived"]
    ]
    words = [f"{name} {part['psnr_db']['smallest']:.1f} dB" for name, part in sets.items()]
    wrong = sum(part["wrong_payloads"] for part in sets.values())
    lines += ["", f"Smallest PSNR: {', '.join(words)}. Payloads that came back wrong: {wrong}.", ""]
    judges = kept["judge"]["measured"]
    for space, found in judges.items():
        moved, own = found["mean_change_of_cosine_with_others"], found["mean_cosine_with_itself"]
        lines.append(
            f"`{space.split('@')[0]}` on {moved['n']} simulated faces of 128 px: the cosine with another face moves "
            f"by {moved['value']:.4f} on average ({moved['low']:.4f} to {moved['high']:.4f}), at most "
            f"{found['largest']:.3f}, by less than 0.01 in {100 * found['share_below_0.01']:.1f} % of comparisons; "
            f"the cosine of a face with itself marked is {own:.4f}."
        )
    null = kept["unmarked"]["measured"]
    lines.append(
        f"Unmarked: {null['false_detections']} false detections in {null['trials']:,} searches "
        f"({null['pictures']:,} simulated pictures, {null['keys']} keys each; 95 % limit {null['upper_95']:.1e}); "
        "the null model allows 9e-7. "
        f"Highest score {null['score']['highest']:.1f}."
    )
    return "\n".join(lines)


def _share(found: dict[str, float]) -> str:
    return f"{100 * found['value']:.1f} % ({100 * found['low']:.1f} to {100 * found['high']:.1f}; n = {found['n']})"


def page(kept: dict[str, Any]) -> str:
    """The guide with its section written anew."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    return f"{before}{BEGIN}\n{table(kept)}\n{END}{rest.split(END)[1]}"


def main(argv: list[str] | None = None) -> None:
    """Measure one part."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("part", choices=("sim", "real", "judge", "unmarked", "picture", "write", "check"))
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--keys", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="sim: the first person's seed")
    parser.add_argument("--minutes", type=float, default=1e6)
    args = parser.parse_args(argv)
    kept = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    if args.part == "picture":
        images.write(SHEET, picture(), quality=92)
        return
    if args.part == "write":
        PAGE.write_text(page(kept), encoding="utf-8")
        return
    if args.part == "check":
        sys.exit(None if PAGE.read_text(encoding="utf-8") == page(kept) else f"{PAGE}: run tools/mark_figures.py write")
    made: dict[str, Any]
    if args.part == "sim":
        made = survival(_until(simulated(args.pictures, args.first), args.minutes))
    elif args.part == "real":
        sets = photographs(args.pictures)
        made = {
            name: survival(_until((images.read(p).pixels for p in paths), args.minutes / len(sets)))
            for name, paths in sets.items()
        }
    elif args.part == "judge":
        made = judged(args.pictures)
    else:
        made = unmarked(_until(simulated(args.pictures, 1_000_000), args.minutes), args.keys)
    words = {name: value for name, value in vars(args).items() if value != parser.get_default(name)}
    keep(
        args.part,
        made,
        " ".join(f"{value}" if name == "part" else f"--{name} {value}" for name, value in words.items()),
    )


def keep(part: str, made: dict[str, Any], words: str) -> None:
    """Write a part of the file; one at a time."""
    FILE.parent.mkdir(parents=True, exist_ok=True)
    with open(Path(tempfile.gettempdir()) / "vultus-mark-figures.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
        before = kept.get(part)
        command = f"tools/mark_figures.py {words}"
        if part == "sim" and before and before["commit"] == commit():
            made, command = _together(before["measured"], made), f"{before['command']}; {command}"
        kept[part] = {"measured": made, "commit": commit(), "command": command}
        FILE.write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
