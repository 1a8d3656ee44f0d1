"""CALFW's claims on planted numbers: they see what is there, and nothing where nothing is."""

from __future__ import annotations

import numpy as np

from vultus.claims.calfw import _accepted, _days, _missed
from vultus.ops import roc


def vectors(rng, people: int, each: int, sex: np.ndarray, pull: float) -> tuple[np.ndarray, np.ndarray]:
    """People whose vectors lean towards a direction of their sex by `pull`."""
    lean = rng.standard_normal((2, 32))
    who = np.repeat(np.arange(people), each)
    rows = rng.standard_normal((people, 32))[who] + pull * lean[sex][who] + 0.5 * rng.standard_normal((len(who), 32))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), who


def test_strangers_of_one_sex_are_counted_apart() -> None:
    rng = np.random.default_rng(0)
    sex = rng.integers(0, 2, 300)
    known = np.ones(300, bool)
    known[:10] = False
    gains = {}
    for pull in (0.0, 1.5):
        rows, who = vectors(rng, 300, 2, sex, pull)
        half, dealt = rng.permutation(300) % 2, rng.permutation(sex)
        found = _accepted(rows, who, half, (sex, dealt), known)
        means = {name: found[name][known].mean() for name in ("same sex", "any strangers", "sexes dealt out")}
        assert (found["any strangers"][~known] == 0).all()
        gains[pull] = means["same sex"] - means["any strangers"], means["sexes dealt out"] - means["any strangers"]
    assert gains[1.5][0] > 3 * abs(gains[1.5][1])
    assert abs(gains[0.0][0]) < gains[1.5][0] / 2


def test_a_share_by_hand(monkeypatch) -> None:
    """Six people with a picture each in one half: 0 and 1 are alike, of one sex; nobody else is like anybody."""
    rows = np.eye(12, dtype=np.float32)
    rows[1] = rows[0]
    who, half = np.arange(12), np.repeat([0, 1], 6)
    sex = np.array([0, 0, 0, 1, 1, 1] * 2)
    monkeypatch.setattr(roc, "threshold_at_fmr", lambda scores, rate: 0.5)  # 15 comparisons support no rate
    found = _accepted(rows, who, half, (sex, sex), np.ones(12, bool))
    np.testing.assert_allclose(found["same sex"][:3], [1 / 2, 1 / 2, 0])
    np.testing.assert_allclose(found["any strangers"][:3], [1 / 5, 1 / 5, 0])
    assert found["same sex"][3:].sum() == 0


def album(rng, people: int, each: int, ageing: float) -> dict:
    ages = rng.uniform(18, 90, people * each)
    who = np.repeat(np.arange(people), each)
    drift = rng.standard_normal((people, 32))[who] * ((ages - 54) / 36)[:, None] * ageing
    rows = rng.standard_normal((people, 32))[who] + drift + 0.35 * rng.standard_normal((len(who), 32))
    return {
        "rows": (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32),
        "ages": ages,
        "male": np.arange(people) % 2 == 0,
        "light": np.arange(people) % 3 == 0,
    }


def test_ageing_is_found_where_it_is() -> None:
    gains = {}
    for ageing in (0.0, 1.0):
        rng = np.random.default_rng(1)
        found = _missed(album(rng, 104, 5, ageing), 104, rng)
        means = {name: found[name].mean() for name in ("furthest apart", "any two", "ages dealt out")}
        gains[ageing] = means["furthest apart"] - means["any two"], means["ages dealt out"] - means["any two"]
        assert found["said"][0] > found["said"][1] > 0
    assert gains[1.0][0] > 0.1 > abs(gains[1.0][1])
    assert abs(gains[0.0][0]) < 0.1


def test_days_are_those_of_the_news_photographs(tmp_path) -> None:
    lines = ["Ann_Lee\t1\t2002/09/28/big/img_1.jpg\t1\t1\t2\t2", "Ann_Lee\t12\t2003/01/01/big/img_2.jpg\t1\t1\t2\t2"]
    (tmp_path / "mapping.txt").write_text("\n".join(lines))
    found = _days(tmp_path / "mapping.txt", [tmp_path / "Ann_Lee_0001.jpg", tmp_path / "Ann_Lee_0012.jpg"])
    assert np.diff(found).tolist() == [3 + 31 + 30 + 31]
