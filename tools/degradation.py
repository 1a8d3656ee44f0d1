"""Pictures and figures of docs/guides/degradation.md, all of simulated faces.

python tools/degradation.py sheets     draw docs/guides/img/degrade-sheet.jpg and presentations-sheet.jpg
python tools/degradation.py measure    how well a linear probe tells attacks from live faces; minutes
python tools/degradation.py write      write the guide's table from docs/figures/presentations.json
python tools/degradation.py check      exit 1 when the guide is not what `write` would write
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.io import annotate, images
from vultus.ops import dct
from vultus.ops import degrade as d
from vultus.ops.roc import auc
from vultus.sim import faces
from vultus.sim.presentations import DEVICES, SPECIES, present

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs/guides/degradation.md"
KEPT = ROOT / "docs/figures/presentations.json"
IMG = ROOT / "docs/guides/img"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"

SIDE, CROP = 128, 64
PEOPLE, LIVE = 90, 3  # a third each to train, to set thresholds, to test; live pictures per person and device
F64 = NDArray[np.float64]


def main() -> None:
    """Draw, measure, write or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("sheets", "measure", "write", "check"))
    what = parser.parse_args().what
    if what == "sheets":
        degrade_sheet()
        presentations_sheet()
    elif what == "measure":
        KEPT.write_text(json.dumps(measured(), indent=1) + "\n", encoding="utf-8")
    else:
        guide = GUIDE.read_text(encoding="utf-8")
        if what == "write":
            GUIDE.write_text(written(guide), encoding="utf-8")
        elif written(guide) != guide:
            sys.exit("docs/guides/degradation.md: not the figures of docs/figures; run tools/degradation.py write")


# ---------------------------------------------------------------- pictures
def _portrait(seed: int, size: int, **changes: Any) -> faces.FaceSample:
    world = faces.World(sex_typical=1, yaw_deg=20)
    person = faces.person_of(seed, world)
    plain = {"hat": "none", "glasses": "none", "occluder": "none", "style": "photo"}
    factors = faces.sample_factors(np.random.default_rng(seed), world, person)
    return faces.render(person, replace(factors, **{**plain, **changes}), size, lod=2)


def degrade_sheet(size: int = 144) -> None:
    """Operations at strengths that can be seen, and presets."""
    sample = _portrait(2814, size, background="studio green")
    shown: list[tuple[str, d.Op]] = [
        ("GaussianBlur", d.GaussianBlur(2.5)),
        ("AnisoBlur", d.AnisoBlur(4.0, 0.5, 0.6)),
        ("MotionBlur", d.MotionBlur(14.0, 0.3)),
        ("Atmospheric", d.Atmospheric(2.0)),
        ("LowRes", d.LowRes(20, "area", "bicubic")),
        ("Pixelate", d.Pixelate(8)),
        ("GaussianNoise", d.GaussianNoise(22.0)),
        ("PoissonNoise", d.PoissonNoise(5.0)),
        ("SensorNoise", d.SensorNoise(0.01, 0.025, 0.004, 0.01)),
        ("Jpeg, q=12", d.Jpeg(12)),
        ("BlockNoise", d.BlockNoise(40)),
        ("Gamma", d.Gamma(2.0)),
        ("Contrast", d.Contrast(0.5)),
        ("Saturation", d.Saturation(0.3)),
        ("ColorCast", d.ColorCast(1.2, 1.0, 0.75)),
        ("LightGradient", d.LightGradient(0.7, 3.3)),
        ("Fade", d.Fade(0.9, 0.25, 0.0, 5)),
        ("Misalign", d.Misalign(0.9, 0.3, 0.06)),
        ("Skew", d.Skew(0.1, 0.3, 0.1)),
        ("ZeroPadCrop", d.ZeroPadCrop(0.5)),
        ("RandomErase", d.RandomErase(0.15)),
        ("Occluder", d.Occluder("blob", 0.15)),
        ("Glasses", d.Glasses("round")),
        ("FaceMask", d.FaceMask("surgical", "blue")),
        ("FaceMask", d.FaceMask("n95", "white")),
        ("StudioToWild", d.StudioToWild(transfer=0.2)),
    ]
    pictures, captions = [sample.image], ["the picture"]
    for seed, (name, op) in enumerate(shown):
        pipeline = d.Degradation([(op, 1.0)])
        params = pipeline.draw(np.random.default_rng(seed + 3), (size, size), points68=sample.points68)
        pictures.append(pipeline.image(sample.image, params))
        captions.append(name)
    for name in ("ADAFACE", "VLR", "GFPGAN", "FORGERY", "CCTV"):
        rng = np.random.default_rng(11)
        params = d.PRESETS[name].draw(rng, (size, size))
        while all(step is None for step in params.steps):
            params = d.PRESETS[name].draw(rng, (size, size))
        pictures.append(d.PRESETS[name].image(sample.image, params))
        captions.append(f"preset {name}")
    images.write(IMG / "degrade-sheet.jpg", annotate.montage(pictures, captions, columns=8, side=size), quality=82)


def presentations_sheet(size: int = 176) -> None:
    """Every species before every camera, and the maps of the first row."""
    pictures, captions, maps = [], [], []
    for k, device in enumerate(DEVICES):
        sample, wearer = _portrait(2810 + k, size), _portrait(2850 + k, size)
        for j, species in enumerate(SPECIES):
            worn = wearer if species in ("paper_mask", "cutout", "eye_mask") else None
            shot = present(sample, species, device, np.random.default_rng(10 * k + j), wearer=worn)
            pictures.append(shot.image)
            captions.append(f"{species}, {device}")
            maps.append(np.repeat((255 * shot.attack).astype(np.uint8)[..., None], 3, axis=2))
    pictures += maps[-len(SPECIES) :]
    captions += ["map of the row above"] * len(SPECIES)
    images.write(
        IMG / "presentations-sheet.jpg", annotate.montage(pictures, captions, columns=6, side=size), quality=82
    )


# ---------------------------------------------------------------- the probe
def energies(image: NDArray[np.uint8], points: NDArray[np.float32]) -> F64:
    """(194,) log energies of the 8 x 8 cosines of Y, Cb and Cr of the middle of the face; then brightness, contrast."""
    x, y = np.clip(np.rint(points[30]).astype(int) - CROP // 2, 0, SIDE - CROP)
    crop = image[y : y + CROP, x : x + CROP]
    blocks = dct.block_dct(dct.rgb_to_ycbcr(crop).transpose(2, 0, 1))
    return np.array([*np.log((blocks**2).mean((1, 2)).ravel() + 0.05), crop.mean(), crop.std()])


def measured() -> dict[str, Any]:
    """Rows of features, and what a linear probe makes of them."""
    world = faces.World(yaw_deg=30)
    rows, person_of, device_of, species_of = [], [], [], []
    for person in range(PEOPLE):
        rng = np.random.default_rng(person)
        who = faces.person_of(faces.people("test")[person], world)
        samples = [faces.render(who, faces.sample_factors(rng, world, who), SIDE, 1) for _ in range(LIVE)]
        wearer = faces.person_of(faces.people("test")[100 + person], world)
        worn = faces.render(wearer, faces.sample_factors(rng, world, wearer), SIDE, 1)
        for device in DEVICES:
            for k, species in enumerate([*["bona_fide"] * LIVE, *SPECIES[1:]]):
                other = worn if species in ("paper_mask", "cutout", "eye_mask") else None
                shot = present(samples[k % LIVE], species, device, rng, wearer=other)
                rows.append(energies(shot.image, shot.points68))
                person_of.append(person)
                device_of.append(device)
                species_of.append(species)
    x, person, device, species = (np.array(v) for v in (rows, person_of, device_of, species_of))
    third = person * 3 // PEOPLE
    y = species != "bona_fide"
    test = third == 2
    single = [max(a := auc(x[test & y, k], x[test & ~y, k]), 1 - a) for k in range(x.shape[1])]
    found: dict[str, Any] = {
        "setting": {"people": PEOPLE, "side": SIDE, "crop": CROP, "pictures": len(x)},
        "brightness": single[-2],
        "contrast": single[-1],
        "best single energy": max(single[:-2]),
        "all devices": _probe(x, y, person, third < 1, third == 1, test),
    }
    for name in DEVICES:
        on, off = device == name, device != name
        found[f"without {name}"] = _probe(x, y, person, (third < 1) & off, (third == 1) & off, test & on)
    for name in SPECIES[1:]:
        off, on = species != name, (species == name) | ~y
        found[f"without {name}"] = _probe(x, y, person, (third < 1) & off, (third == 1) & off, test & on)
    return found


def _probe(
    x: F64, y: NDArray[np.bool_], person: NDArray[Any], train: NDArray[Any], dev: NDArray[Any], test: NDArray[Any]
) -> dict[str, float]:
    """Ridge regression onto live and attack, both sides of equal weight; threshold where dev errs on both alike."""
    x = x[:, :-2]
    mean, spread = x[train].mean(0), x[train].std(0) + 1e-6
    z = np.append((x - mean) / spread, np.ones((len(x), 1)), axis=1)
    share = np.where(y, 1 / y[train].mean(), 1 / (~y)[train].mean())[train][:, None]
    ridge = 0.05 * train.sum() * np.eye(z.shape[1])
    weight = np.linalg.solve(z[train].T @ (share * z[train]) + ridge, z[train].T @ (share[:, 0] * (2.0 * y[train] - 1)))
    score = z @ weight
    cuts = np.sort(score[dev])
    misses = np.array([(score[dev & y] < c).mean() - (score[dev & ~y] >= c).mean() for c in cuts])
    cut = cuts[np.abs(misses).argmin()]
    rng, people = np.random.default_rng(0), np.unique(person[test])
    draws = []
    for _ in range(300):  # whole people, never pictures
        times = np.bincount(rng.integers(len(people), size=len(people)), minlength=len(people))
        count = np.repeat(0, person.max() + 1)
        count[people] = times
        rows = np.repeat(np.flatnonzero(test), count[person[test]])
        draws.append(auc(score[rows[y[rows]]], score[rows[~y[rows]]]))
    low, high = np.percentile(draws, [2.5, 97.5])
    return {
        "auc": auc(score[test & y], score[test & ~y]),
        "low": float(low),
        "high": float(high),
        "missed attacks": float((score[test & y] < cut).mean()),
        "false alarms": float((score[test & ~y] >= cut).mean()),
    }


def written(guide: str) -> str:
    """The guide with its table made of the kept figures."""
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    lines = ["| trained without | tried on | AUC (95 % of draws of people) | missed attacks | false alarms |"]
    lines.append("|---|---|---|---|---|")
    for key, what in kept.items():
        if not isinstance(what, dict) or "auc" not in what:
            continue
        left = key.removeprefix("without ")
        where = "everything" if key == "all devices" else f"`{left}`" + (" and live" if left in SPECIES else "")
        name = "nothing" if key == "all devices" else f"`{left}`"
        lines.append(
            f"| {name} | {where} | {what['auc']:.3f} ({what['low']:.3f} to {what['high']:.3f}) | "
            f"{100 * what['missed attacks']:.0f} % | {100 * what['false alarms']:.0f} % |"
        )
    best, bright, contrast = (kept[k] for k in ("best single energy", "brightness", "contrast"))
    lines += [
        "",
        f"Alone, brightness has an AUC of {bright:.2f}, contrast {contrast:.2f}, and the best of the 192 energies,",
        f"chosen on the tested people, {best:.2f}.",
    ]
    before, _, rest = guide.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n" + "\n".join(lines) + f"\n\n{END}{after}"


if __name__ == "__main__":
    main()
