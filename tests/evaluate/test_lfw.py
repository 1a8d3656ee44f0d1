"""LFW View 2: published score orders give the published figures; the protocol on a made-up set with known answers."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from vultus.errors import InputError
from vultus.evaluate import report as report_page
from vultus.evaluate.protocols.lfw import lfw, z_fused
from vultus.ops import roc
from vultus.types import Embedded

# ROC file -> method in the table of results, and how far a sum over random folds may be from the published one: the
# files hold the order of the 6,000 comparisons, but not which fold each belongs to.
STEP_FILES = {
    "dlib_LFW_roc_curve.txt": ("dlib", 0.0010),
    "deepid2plus_arxiv1412.1265.txt": ("DeepID2+", 0.0010),
    "deepface_ensemble.txt": ("DeepFace-ensemble", 0.0015),
    "fisher-vector-faces-unrestricted.txt": ("Fisher vector faces", 0.0020),
}


def published(folder: Path, method: str) -> list[float]:
    with open(folder / "lfw_results_table.csv", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "mean_accuracy"]
    return [float(row["value"]) for row in rows if row["method"].startswith(method)]


def ranked(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Scores and truth of the comparisons from a ROC file with one step per comparison (TPR, FPR)."""
    points = np.loadtxt(path)
    points = points[np.lexsort((points[:, 0], points[:, 1]))]
    counts = np.vstack([[0, 0], np.round(points * 3000), [3000, 3000]]).astype(int)
    steps = np.diff(counts, axis=0)
    scores = np.repeat(-np.arange(len(steps), dtype=float), steps.sum(1))
    truth = np.concatenate([np.repeat([True, False], step) for step in steps])
    return scores, truth


@pytest.mark.data
@pytest.mark.parametrize("name", STEP_FILES)
def test_published_scores_give_the_published_accuracy(name, data_dir):
    folder = data_dir / "anchors_lfw_results"
    scores, truth = ranked(folder / "roc" / name)
    assert (truth.sum(), (~truth).sum()) == (3000, 3000)
    method, tolerance = STEP_FILES[name]
    rng = np.random.default_rng(0)
    means = []
    for _ in range(6):
        folds = np.empty(6000, int)
        for side in (truth, ~truth):
            folds[rng.permutation(np.flatnonzero(side))] = np.arange(3000) // 300
        means.append(roc.kfold_accuracy(scores, truth, folds)[0].mean())
    assert min(abs(np.mean(means) - value) for value in published(folder, method)) < tolerance
    assert np.std(means) < 0.001


@pytest.mark.data
def test_dlib_at_its_best_single_threshold_is_exactly_the_published_figure(data_dir):
    scores, truth = ranked(data_dir / "anchors_lfw_results" / "roc" / "dlib_LFW_roc_curve.txt")
    right = max(((scores >= tau) == truth).mean() for tau in np.unique(scores))
    assert round(right, 4) == 0.9938  # 0.9938 +- 0.0027


def made_up(n_people: int = 60, per_person: int = 4, folds: int = 10, seed: int = 0):
    """Pairs as LFW has them: people of one fold are in no other."""
    rng = np.random.default_rng(seed)
    subjects = np.repeat(np.arange(n_people), per_person)
    fold_of = np.arange(n_people) % folds
    left, right, part = [], [], []
    for fold in range(folds):
        mine = np.flatnonzero(fold_of == fold)
        for _ in range(30):
            person, other = rng.choice(mine, 2, replace=False)
            a, b = rng.choice(per_person, 2, replace=False)
            left += [person * per_person + a] * 2
            right += [person * per_person + b, other * per_person + b]
            part += [fold] * 2
    return SimpleNamespace(
        name="made-up people",
        tier="sim",
        paths=[Path(f"Person_{s}/Person_{s}_{i % per_person + 1:04d}.jpg") for i, s in enumerate(subjects)],
        subjects=subjects,
        left=np.array(left),
        right=np.array(right),
        folds=np.array(part),
    )


def embedder(pairs, noise: float = 0.05, missing: tuple[int, ...] = (), seed: int = 0, shift: float = 0.0):
    def embed(paths):
        rng = np.random.default_rng(seed)
        centers = rng.normal(size=(int(pairs.subjects.max()) + 1, 32))
        vec = centers[pairs.subjects] + rng.normal(size=(len(paths), 32)) * noise + shift
        vec /= np.linalg.norm(vec, axis=1, keepdims=True)
        found = np.ones(len(paths), bool)
        found[list(missing)] = False
        return Embedded(vec[found], f"made-up@{seed}"), found

    return embed


def test_a_perfect_embedder_is_perfect_and_the_report_is_whole(tmp_path):
    pairs = made_up()
    report = lfw(pairs, embedder(pairs), n_boot=50)
    value = {name: metric.value for name, metric in report.metrics.items()}
    assert value["pairs.accuracy"] == value["pairs.accuracy_centered"] == value["pairs.auc"] == 1.0
    assert value["pairs.eer"] == value["enroll.failure_to_enroll"] == 0.0
    assert value["all.tar_at_far_1e-3"] == 1.0
    assert report.metrics["enroll.failure_to_enroll"].high == pytest.approx(3 / 60)
    assert report.provenance["counts"]["mated comparisons, all against all"] == 60 * 6
    assert report.provenance["counts"]["non-mated comparisons, all against all"] == 240 * 239 // 2 - 360
    assert report.provenance["worst"] == []
    assert report.provenance["seed"] == "0"
    report_page.write(report, tmp_path)
    assert report_page.read(tmp_path).to_dict() == json.loads(json.dumps(report.to_dict()))


def test_an_undetected_face_misses_its_mated_pairs_and_is_counted():
    pairs = made_up()
    lost = int(pairs.left[0])  # a picture of the first, mated pair
    report = lfw(pairs, embedder(pairs, missing=(lost,)), n_boot=50)
    mated = pairs.subjects[pairs.left] == pairs.subjects[pairs.right]
    misses = int((mated & ((pairs.left == lost) | (pairs.right == lost))).sum())
    assert misses >= 1
    assert report.metrics["pairs.accuracy"].value == pytest.approx(1 - misses / len(pairs.left))
    assert report.metrics["all.tar_at_far_1e-3"].value == pytest.approx(1 - 3 / 360)
    assert report.metrics["enroll.failure_to_enroll"].value == pytest.approx(1 / 240)
    assert report.provenance["worst"][0]["kind"] == "False non-match (no face found)"
    assert report.provenance["worst"][0]["score"] == -1.0


def test_centering_heals_a_common_offset_and_the_same_seed_gives_the_same_report():
    pairs = made_up()
    first, again = (lfw(pairs, embedder(pairs, noise=1.0, shift=3.0), n_boot=50) for _ in range(2))
    assert first.metrics["pairs.accuracy_centered"].value > first.metrics["pairs.accuracy"].value
    assert first.metrics == again.metrics
    assert first.curves == again.curves


def test_two_noisy_embedders_fused_beat_each():
    pairs = made_up()
    parts = [embedder(pairs, noise=1.2, seed=1), embedder(pairs, noise=1.2, seed=2, missing=(3,))]
    fused = z_fused(parts, [1.0, 0.5], rng=np.random.default_rng(0), n_random=2000)
    vectors, found = fused(pairs.paths)
    assert not found[3]
    assert len(vectors) == found.sum()
    best = max(lfw(pairs, part, n_boot=20).metrics["pairs.auc"].value for part in parts)
    assert lfw(pairs, fused, n_boot=20).metrics["pairs.auc"].value > best


def test_refusals():
    pairs = made_up()
    vectors, _ = embedder(pairs)(pairs.paths)
    with pytest.raises(InputError, match="a vector for each picture with a face"):
        lfw(pairs, lambda paths: (vectors, np.zeros(len(paths), bool)))
    with pytest.raises(InputError, match="got none"):
        lfw(pairs, lambda paths: (Embedded(np.zeros((0, 4)), "none@0"), np.zeros(len(paths), bool)))
    with pytest.raises(InputError, match="one positive number"):
        z_fused([embedder(pairs)], [-1.0], rng=np.random.default_rng(0))
