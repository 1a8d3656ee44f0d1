"""The recognizer inside the claims about SIG: beside scikit-learn, and what it needs."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from vultus.claims._linear import LinearRecognizer, aligned
from vultus.errors import InputError
from vultus.ops import roc
from vultus.sim import faces


def made_up(rng, people=30, pictures=6, noise=1.0):
    who = np.repeat(np.arange(people), pictures)
    centers = rng.normal(size=(people, 20))
    return (centers[who] + noise * rng.normal(size=(len(who), 20)) * np.linspace(0.2, 3, 20)).astype(np.float32), who


def error(vectors, who):
    i, j = np.triu_indices(len(who), 1)
    score, same = (vectors[i] * vectors[j]).sum(1), who[i] == who[j]
    return roc.eer(score[same], score[~same])


def test_its_directions_are_fishers():
    """Without a ridge, with every component kept, the space is that of scikit-learn's discriminant analysis."""
    rows, who = made_up(np.random.default_rng(0))
    ours = LinearRecognizer(rows, who, directions=5, kept=20, ridge=0.0)
    theirs = LinearDiscriminantAnalysis(solver="eigen", n_components=5).fit(rows, who)
    a, b = (np.linalg.qr(m)[0] for m in (ours.project, theirs.scalings_[:, :5]))
    np.testing.assert_allclose(np.linalg.svd(a.T @ b)[1], 1, atol=1e-6)


def test_people_it_never_saw_are_told_apart():
    rng = np.random.default_rng(1)
    rows, who = made_up(rng, people=120)
    net = LinearRecognizer(rows[:480], who[:480], directions=20, kept=20)
    unseen = rows[480:]
    plain = unseen / np.linalg.norm(unseen, axis=1, keepdims=True)
    assert error(net.embed(unseen), who[480:]) < error(plain, who[480:]) - 0.05
    with pytest.raises(InputError, match="two pictures each"):
        LinearRecognizer(rows[:3], np.arange(3))


def test_crops_hold_the_face_where_it_is():
    """Moved and brightened, a face gives nearly the same crop."""
    sample = faces.render(faces.person_of(2800), faces.Factors(), 96)
    moved = np.roll(sample.image, (3, -2), axis=(0, 1))
    brighter = np.clip(moved.astype(int) + 20, 0, 255).astype(np.uint8)
    rows = aligned([sample.image, brighter], [sample.points5, sample.points5 + np.float32([-2, 3])])
    assert rows.shape == (2, 5040)
    assert np.corrcoef(rows)[0, 1] > 0.97
