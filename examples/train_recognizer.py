"""Train a recognizer on simulated people, make it an embedder, set a threshold, and ask about people it has never seen.

    python examples/train_recognizer.py runs/mine

What docs/tutorials/train-your-own-recognizer.md goes through, with the same numbers. Needs the extra `train`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import vultus
from vultus.gallery import calibrate
from vultus.io import annotate, images
from vultus.train import config
from vultus.train.launch import Job, export_run, train
from vultus.train.verification import PairSet, compare, figures
from vultus.types import F32, U8

FMR = 0.01


def main(words: Sequence[str] | None = None) -> int:
    """Do it all and print what came out."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("run", type=Path, help="folder of the run; a new one")
    parser.add_argument("--data", default="sim", help="sim, or sim:PEOPLExPICTURES (default: %(default)s)")
    parser.add_argument("--scale", default="nano", help="of the recipe (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=400, help="of training (default: %(default)s)")
    args = parser.parse_args(words)
    if not args.data.startswith("sim"):
        parser.error(f"--data: expected sim or sim:PEOPLExPICTURES, which hold people out, got {args.data!r}")

    # 1. Train by a recipe; measured on people who are not trained on.
    job = Job("arcface", args.data, args.run, args.scale, {"schedule.steps": str(args.steps)})
    done = train(
        job, progress=lambda step, steps, loss: print(f"\r{step} of {steps}, {loss} ", end="", file=sys.stderr)
    )
    print(f"\n{done.plan.data.words}; {done.plan.parameters:,} parameters; {done.history.seconds:.0f} s")
    for name, metric in done.results["sim_fr"].items():
        print(f"{name}: {metric.value:.4f} ({metric.low:.4f} to {metric.high:.4f})")
    untrained = config.build_trainable(config.read(args.run / "recipe.toml"), done.plan.data.classes)
    test = done.plan.data.pairs[0]
    print(f"before it had learned: eer {figures(compare(untrained, test))['eer']:.4f}")

    # 2. Make it an embedder that needs no PyTorch.
    made = export_run(args.run)
    embedder = vultus.load(args.run)
    print(f"{embedder.space}: {made.onnx_bytes / 1e6:.1f} MB, {embedder.crop}")

    # 3. Half of the other people set the threshold; the other half say what it is worth.
    vectors, people = embedder.embed(test.pictures).vec, test.people
    half = people < (people.max() + 1) // 2
    origin = calibrate.Origin(embedder.space, "truth", "simulated people", "sim")
    curve = calibrate.fit_all_pairs(vectors[half], people[half], origin, rng=np.random.default_rng(0), n_boot=200)
    threshold, rate = curve.threshold(max(FMR, curve.smallest_fmr))
    span = f"{rate.low:.4f} to {rate.high:.4f}"
    print(f"threshold {threshold:.3f} at FMR {rate.value:.3g} ({span}), set on {curve.n_subjects} people")
    false, true = accepted(vectors[~half], people[~half], threshold)
    print(f"other people: {false:.4f} of strangers and {true:.4f} of the same people are accepted")

    # 4. Look at pairs, and at what the network said of them before it had learned.
    sheet = pairs_sheet(test, vectors, untrained.embed(test.pictures), threshold)
    images.write(args.run / "pairs.jpg", sheet, quality=88)
    print(f"pairs: {args.run / 'pairs.jpg'}")
    return 0


def accepted(vectors: F32, people: NDArray[np.int64], threshold: float) -> tuple[float, float]:
    """Share of the comparisons of two people, and of one, that score the threshold or more."""
    a, b = np.triu_indices(len(vectors), 1)
    score, same = (vectors @ vectors.T)[a, b], people[a] == people[b]
    return float((score[~same] >= threshold).mean()), float((score[same] >= threshold).mean())


def pairs_sheet(test: PairSet, after: F32, before: F32, threshold: float, n: int = 12, side: int = 150) -> U8:
    """Pairs drawn at random, half of them of one person, with the cosine after and before training."""
    rng = np.random.default_rng(3)
    chosen = [k for kind in (True, False) for k in rng.choice(np.flatnonzero(test.same == kind), n // 2, replace=False)]
    tiles, words = [], []
    for k in chosen:
        i, j = int(test.left[k]), int(test.right[k])
        tiles.append(np.concatenate([test.pictures[i], test.pictures[j]], axis=1))
        score, was = float(after[i] @ after[j]), float(before[i] @ before[j])
        answer = "accepted" if score >= threshold else "rejected"
        words.append(f"{'one person' if test.same[k] else 'two people'}: {score:.2f}\n{answer} (untrained {was:.2f})")
    wide = [np.pad(tile, ((tile.shape[0], 0), (0, 0), (0, 0)), constant_values=255) for tile in tiles]
    return annotate.montage(wide, words, columns=n // 2, side=side)[2 * side // 5 :]


if __name__ == "__main__":
    sys.exit(main())
