"""Sets after LFW: both threshold rules against plain loops, held-out folds, leaks by name, comparators, .bin files."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from vultus.align.similarity5 import Similarity5
from vultus.errors import InputError
from vultus.evaluate import report as report_page
from vultus.evaluate.metrics.folds import held_out_accuracy
from vultus.evaluate.protocols._pair_set import centered
from vultus.evaluate.protocols.lfw import lfw
from vultus.evaluate.protocols.lfw_family import Judging, aligned_embed, leaking_people, verification
from vultus.io.datasets.bin_pairs import bin_pairs
from vultus.io.datasets.insight_bin import insight_bin, write_insight_bin
from vultus.io.datasets.records import Dataset, Pairs
from vultus.ops import roc
from vultus.types import ComparisonTable, CropSpec, Embedded

QUICK = Judging(n_boot=20)


def made_up(n_people: int = 60, per_person: int = 4, folds: int = 10, seed: int = 0) -> Pairs:
    """People of one fold are in no other."""
    rng = np.random.default_rng(seed)
    left, right, part = [], [], []
    for fold in range(folds):
        mine = np.flatnonzero(np.arange(n_people) % folds == fold)
        for _ in range(30):
            person, other = rng.choice(mine, 2, replace=False)
            a, b = rng.choice(per_person, 2, replace=False)
            left += [person * per_person + a] * 2
            right += [person * per_person + b, other * per_person + b]
            part += [fold] * 2
    who = np.repeat(np.arange(n_people), per_person)
    paths = tuple(Path(f"P{s:02}/P{s:02}_{i}.jpg") for i, s in enumerate(who))
    dataset = Dataset("made-up", paths, who, tuple(f"P{s:02}" for s in range(n_people)), tier="sim")
    return Pairs(dataset, np.array(left), np.array(right), np.array(part))


def embedder(subjects, noise: float = 1.2, missing: tuple[int, ...] = (), seed: int = 0):
    """Vectors around a center of each person; `noise` of 1.2 gives errors."""

    def embed(paths):
        rng = np.random.default_rng(seed)
        vec = rng.normal(size=(int(subjects.max()) + 1, 32))[subjects] + rng.normal(size=(len(paths), 32)) * noise
        found = np.ones(len(paths), bool)
        found[list(missing)] = False
        return Embedded((vec / np.linalg.norm(vec, axis=1, keepdims=True))[found], f"made-up@{seed:012x}"), found

    return embed


def by_published_code(distance: np.ndarray, same: np.ndarray, folds: np.ndarray) -> list[float]:
    """Squared distances 0, .01, ... 3.99: best on the others, the first of several, then this fold; as loops."""
    found = []
    for fold in np.unique(folds):
        best, chosen = -1.0, 0.0
        for step in range(400):
            share = np.mean((distance[folds != fold] < step * 0.01) == same[folds != fold])
            if share > best:
                best, chosen = share, step * 0.01
        found.append(float(np.mean((distance[folds == fold] < chosen) == same[folds == fold])))
    return found


def test_the_grid_is_the_rule_of_published_code() -> None:
    pairs = made_up()
    vec = embedder(pairs.subjects)(pairs.paths)[0].vec.astype(np.float64)
    distance = ((vec[pairs.left] - vec[pairs.right]) ** 2).sum(1)
    expected = by_published_code(distance, pairs.same, pairs.folds)
    assert 0.7 < np.mean(expected) < 0.99  # there is something to get wrong
    of_fold, taus = roc.kfold_accuracy(1 - distance / 2, pairs.same, pairs.folds, grid=roc.DISTANCE_GRID)
    assert of_fold.tolist() == expected
    assert np.isin(taus, roc.DISTANCE_GRID).all()
    report = verification(pairs, embedder(pairs.subjects), QUICK)
    assert report.metrics["pairs.accuracy_grid"].value == pytest.approx(np.mean(expected))
    assert report.metrics["pairs.accuracy_grid"].value != report.metrics["pairs.accuracy"].value


def test_named_figures_are_those_of_lfw() -> None:
    pairs = made_up()
    embed = embedder(pairs.subjects, missing=(5,))
    ours, theirs = verification(pairs, embed, QUICK).metrics, lfw(pairs, embed, n_boot=20).metrics
    for name in ("accuracy", "accuracy_standard_error", "accuracy_centered", "eer", "auc", "tar_at_far_1e-2"):
        assert ours[f"pairs.{name}"].value == theirs[f"pairs.{name}"].value
    assert ours["enroll.failure_to_enroll"].value == 1 / 240


def test_view_1_judges_with_the_threshold_of_the_training_pairs() -> None:
    """By hand: training scores .2 .4 | .6 .8 give .5; test scores .45 (mated, missed), .9, .3, .55 (a false match)."""
    score = np.array([0.8, 0.6, 0.4, 0.2, 0.45, 0.9, 0.3, 0.55])
    mated = np.array([1, 1, 0, 0, 1, 1, 0, 0], bool)
    who = np.arange(8)
    table = ComparisonTable(score, mated, who, np.where(mated, who, who + 100), "test")
    first, second = (
        ComparisonTable(score[k], mated[k], table.ref_subject[k], table.probe_subject[k], "test")
        for k in (slice(0, 4), slice(4, 8))
    )
    found = held_out_accuracy(first, second, rng=np.random.default_rng(0), n_boot=50)
    assert found.thresholds.tolist() == [0.5]
    assert found.of_fold.tolist() == [0.5]
    assert found.standard_error == pytest.approx(np.sqrt(0.5 * 0.5 / 4))
    whole = made_up(folds=2)
    pairs = Pairs(whole.dataset, whole.left[10:], whole.right[10:], whole.folds[10:])  # ten pairs of fold 0 less
    report = verification(pairs, embedder(pairs.subjects), replace(QUICK, held_out=True))
    alone = verification(pairs, embedder(pairs.subjects), QUICK)
    assert report.provenance["counts"]["mated pairs"] == 30
    assert report.metrics["pairs.accuracy"].value != alone.metrics["pairs.accuracy"].value
    assert "pairs.accuracy_grid" not in report.metrics
    three = made_up(folds=3)
    with pytest.raises(InputError, match="expected 0 and 1"):
        verification(three, embedder(three.subjects), replace(QUICK, held_out=True))


def test_a_fold_of_one_kind_is_judged_like_any() -> None:
    """A .bin is cut into ten runs whatever its order: all mated pairs first leaves folds without strangers."""
    pairs = made_up()
    order = np.argsort(~pairs.same, kind="stable")
    folds = np.repeat(np.arange(10), 60)
    sorted_ones = Pairs(pairs.dataset, pairs.left[order], pairs.right[order], folds)
    rules = replace(QUICK, leaks="state")
    report = verification(sorted_ones, embedder(pairs.subjects), rules, learners={"people": Spy})
    vec = embedder(pairs.subjects)(pairs.paths)[0].vec.astype(np.float64)
    score = (vec[pairs.left[order]] * vec[pairs.right[order]]).sum(1)
    of_fold = roc.kfold_accuracy(score, sorted_ones.same, folds)[0]
    assert report.metrics["pairs.accuracy"].value == pytest.approx(of_fold.mean())


def test_people_in_two_folds_are_refused_by_name_or_stated() -> None:
    clean = made_up()
    assert leaking_people(clean) == {}
    folds = clean.folds.copy()
    folds[0] = 7  # one pair of fold 0
    pairs = Pairs(clean.dataset, clean.left, clean.right, folds)
    person = int(clean.subjects[clean.left[0]])
    assert leaking_people(pairs)[person] == [0, 7]
    with pytest.raises(InputError, match=rf"in two or more .*P{person:02} \(0, 7\)"):
        verification(pairs, embedder(pairs.subjects), QUICK)
    report = verification(pairs, embedder(pairs.subjects), replace(QUICK, leaks="state"))
    assert report.provenance["alarms"][0].startswith("1 person is in more than one fold")
    assert verification(clean, embedder(clean.subjects), QUICK).provenance["people in two folds"] == "nobody"
    with pytest.raises(InputError, match="refuse or state"):
        Judging(leaks="hide")


class Spy:
    """A comparator that keeps what it was taught and scores by the sum of both first numbers."""

    taught: ClassVar[list[tuple[np.ndarray, ...]]] = []

    def fit(self, vectors, people):
        self.taught.append((np.asarray(vectors), np.asarray(people)))
        return self

    def scores(self, a, b):
        return np.asarray(a)[:, :1] + np.asarray(b)[:, 0]


class PairSpy(Spy):
    def fit_pairs(self, left, right, same):
        self.taught.append((np.asarray(left), np.asarray(right), np.asarray(same)))
        return self


def test_comparators_see_the_other_folds_only() -> None:
    pairs = made_up(folds=3, n_people=12)
    embed = embedder(pairs.subjects, missing=(int(pairs.left[0]),))
    vec, found = embed(pairs.paths)
    rows = np.zeros((len(pairs.paths), 32), np.float32)
    rows[found] = vec.vec
    Spy.taught, PairSpy.taught = [], []
    report = verification(pairs, embed, QUICK, learners={"people": Spy, "pairs": PairSpy})
    both = found[pairs.left] & found[pairs.right]
    for fold, (vectors, people), (left, right, same) in zip(range(3), Spy.taught, PairSpy.taught, strict=True):
        train = both & (pairs.folds != fold)
        used = np.unique([pairs.left[train], pairs.right[train]])
        np.testing.assert_array_equal(vectors, rows[used])
        np.testing.assert_array_equal(people, pairs.subjects[used])
        np.testing.assert_array_equal(left, rows[pairs.left[train]])
        np.testing.assert_array_equal(right, rows[pairs.right[train]])
        np.testing.assert_array_equal(same, pairs.same[train])
    scores = (rows[pairs.left, 0] + rows[pairs.right, 0]).astype(np.float64)
    scores[~both] = scores[both].min() - 1
    expected = roc.kfold_accuracy(scores, pairs.same, pairs.folds)[0].mean()
    assert report.metrics["learned.people"].value == pytest.approx(expected)
    assert report.metrics["learned.pairs"].value == pytest.approx(expected)


def test_nothing_learns_from_the_test_pairs_of_view_1() -> None:
    pairs = made_up(folds=2)
    rows = embedder(pairs.subjects)(pairs.paths)[0].vec
    Spy.taught = []
    report = verification(pairs, embedder(pairs.subjects), replace(QUICK, held_out=True), learners={"people": Spy})
    ((vectors, people),) = Spy.taught
    train = pairs.folds == 0
    used = np.unique([pairs.left[train], pairs.right[train]])
    np.testing.assert_array_equal(vectors, rows[used])
    np.testing.assert_array_equal(people, pairs.subjects[used])
    scores = (rows[pairs.left, 0] + rows[pairs.right, 0]).astype(np.float64)
    tau = roc.best_threshold(scores[train], pairs.same[train])
    assert report.metrics["learned.people"].value == pytest.approx(((scores >= tau) == pairs.same)[~train].mean())


def test_a_mean_of_nothing_is_refused() -> None:
    """Two folds; no picture of fold 1 shows a face, so there is no mean for fold 0."""
    rows, found = np.ones((4, 2), np.float32), np.array([True, True, False, False])
    ends = np.array([0, 2]), np.array([1, 3])
    with pytest.raises(InputError, match="in other folds than 0, to center its vectors by, got none"):
        centered(rows, found, ends, np.array([0, 1]))


def test_the_page_is_whole(tmp_path: Path) -> None:
    pairs = made_up()
    rules = Judging("Made up", flip="its vector was added", unsure="nothing", n_boot=20)
    report = verification(pairs, embedder(pairs.subjects), rules, learners={"spy": Spy})
    report_page.write(report, tmp_path)
    assert report_page.read(tmp_path).to_dict() == json.loads(json.dumps(report.to_dict()))
    page = (tmp_path / "report.html").read_text("utf-8")
    for words in ("Made up", "its vector was added", "Not known of this layout: nothing.", "Accuracy of each fold"):
        assert words in page


# -- .bin ------------------------------------------------------------------------------------------------------------


def jpeg(shade: int) -> bytes:
    """A picture that is told apart by its bytes."""
    buffer = io.BytesIO()
    Image.new("RGB", (112, 112), (shade, 255 - shade, 90)).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_bin_gives_the_figures_of_the_named_set(tmp_path: Path) -> None:
    """Pictures of one person are linked as far as pairs go, each is embedded once, folds are runs of equal length."""
    named = made_up(n_people=20)
    shades = [jpeg(i) for i in range(len(named.paths))]
    ends = np.stack([named.left, named.right], axis=1).ravel()
    write_insight_bin(tmp_path / "set.bin", [shades[i] for i in ends], named.same.tolist())
    pairs = bin_pairs(insight_bin(tmp_path / "set.bin"))
    used = [shades.index(pairs.source.encoded[i]) for i in pairs.place]
    assert sorted(used) == np.unique(ends).tolist()
    assert pairs.linked
    assert [used[i] for i in pairs.left] == named.left.tolist()
    assert [used[i] for i in pairs.right] == named.right.tolist()
    assert pairs.folds.tolist() == named.folds.tolist()
    assert ((pairs.subjects[pairs.left] == pairs.subjects[pairs.right]) == named.same).all()
    for group in np.unique(pairs.subjects):  # nobody is taken for two who are one, where pairs link them
        assert len({int(named.subjects[used[i]]) for i in np.flatnonzero(pairs.subjects == group)}) == 1
    whole = embedder(named.subjects)(named.paths)[0].vec

    def embed(paths):
        return Embedded(whole[used], "made-up@000000000000"), np.ones(len(paths), bool)

    found, expected = (
        verification(a, b, QUICK).metrics for a, b in ((pairs, embed), (named, embedder(named.subjects)))
    )
    for name in ("pairs.accuracy", "pairs.accuracy_grid", "pairs.accuracy_centered", "pairs.eer"):
        assert found[name].value == expected[name].value
    with pytest.raises(InputError, match="take a learner of pairs"):
        verification(pairs, embed, QUICK, learners={"people": Spy})


def test_a_bin_that_contradicts_itself_counts_every_pair_for_itself(tmp_path: Path) -> None:
    a, b, c = (jpeg(i) for i in range(3))
    same = [True, True, False, True] + [True, False] * 8
    pictures = [a, b, b, c, a, c, a, a] + [jpeg(k) for k in range(3, 35)]
    write_insight_bin(tmp_path / "set.bin", pictures, same)
    pairs = bin_pairs(insight_bin(tmp_path / "set.bin", n_folds=2))
    assert not pairs.linked
    assert len(pairs.paths) == len(pictures)
    assert (pairs.subjects[pairs.left] == pairs.subjects[pairs.right]).tolist() == same
    assert len(np.unique(pairs.subjects)) == len(pictures) - sum(same)
    subjects = pairs.subjects
    report = verification(pairs, embedder(subjects), QUICK)
    assert any("contradicts itself" in note for note in report.provenance["notes"])


class Gray:
    """An embedder of one size, which keeps what it was shown."""

    space, dim = "gray@000000000000", 2

    def __init__(self, crop: CropSpec) -> None:
        self.crop = crop
        self.shown: list[np.ndarray] = []

    def embed(self, crops):
        self.shown.append(crops)
        light = crops.reshape(len(crops), -1).mean(1) / 255
        return Embedded(np.stack([np.cos(light), np.sin(light)], axis=1), self.space)


def test_aligned_pictures_go_to_the_embedder_as_they_are(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    write_insight_bin(tmp_path / "set.bin", [buffer.getvalue(), jpeg(1), jpeg(2), b"no picture"], [True, False])
    pairs = bin_pairs(insight_bin(tmp_path / "set.bin", n_folds=2))
    own, other = Gray(CropSpec("arcface112", (112, 112))), Gray(CropSpec("sphereface112x96", (112, 96)))
    for gray in (own, other):
        embedded, found = aligned_embed(pairs, gray, Similarity5(), batch=2)(pairs.paths)
        assert found.tolist() == [True, True, True, False]
        assert len(embedded) == 3
        assert [len(shown) for shown in gray.shown] == [2, 1]
    np.testing.assert_array_equal(own.shown[0][0], noise)
    # the ArcFace template is the one of 112 x 96, moved right by 8 pixels
    np.testing.assert_array_equal(other.shown[0][0], noise[:, 8:104])


def test_a_set_without_a_dataset_names_people_by_number() -> None:
    clean = made_up()
    folds = clean.folds.copy()
    folds[0] = 7
    bare = SimpleNamespace(
        name="bare",
        tier="sim",
        paths=clean.paths,
        subjects=clean.subjects,
        left=clean.left,
        right=clean.right,
        folds=folds,
    )
    with pytest.raises(InputError, match=r"person \d+ \(0, 7\)"):
        verification(bare, embedder(clean.subjects), QUICK)
