"""Fixtures: the committed weights are those of their cards, pass their gates again, and a changed file is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vultus.claims import _album, _build, _cards, _fit, _gates, _kinds, fixtures
from vultus.claims._album import Album
from vultus.claims._recipes import RECIPES, Gate
from vultus.errors import HashMismatch, MissingExtra, MissingWeights, Refused, StoreError, UnknownMethod, WeightsError
from vultus.sim import faces
from vultus.testing.contracts import checks

WEIGHTS = Path(fixtures.__file__).with_name("weights")
PEOPLE = 12


@pytest.fixture(scope="module")
def crops():
    """Two pictures of each of six people of the test split."""
    arrays = _album.drawn(Album("test", 0, 6, 2, seed=5), None)
    return arrays["image"]


def tensor(crops):
    return torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255


# ---------------------------------------------------------------- what is committed
@pytest.mark.parametrize("name", fixtures.NAMES)
def test_committed_weights_are_small_and_those_of_the_card(name):
    card = fixtures.card(name)
    assert card.size_bytes == (WEIGHTS / f"{name}.safetensors").stat().st_size <= 5_000_000
    assert _cards.read_weights(WEIGHTS, card)
    assert card.misuse
    assert card.purpose
    assert card.space == f"{name}@{card.sha256[:12]}"
    for figures in card.figures.values():
        assert all(entry["low"] <= entry["value"] <= entry["high"] for entry in figures.values())


def test_all_together_took_at_most_a_quarter_of_an_hour():
    trained = sum(fixtures.card(name).training["processor_minutes"] for name in fixtures.NAMES)
    albums = {str(RECIPES[name].train): fixtures.card(name).training for name in fixtures.NAMES}
    drawn = sum(training["processor_minutes_drawing"] for training in albums.values())
    assert (trained + drawn) / 2 <= 15  # on two cores


def test_people_of_judges_losses_and_tests_are_apart():
    judges, losses = (
        {i for name in names for i in fixtures.card(name).train_ids}
        for names in (("f_eval", "simfeat_judge"), ("f_train", "simfeat_train", "parser_sim", "r3d_sim"))
    )
    tested = {i for recipe in RECIPES.values() for album in recipe.test.values() for i in album.seeds()}
    assert not judges & losses
    assert not tested & (judges | losses)
    assert judges <= set(faces.people("judge"))
    assert losses <= set(faces.people("base"))


@pytest.mark.parametrize("name", fixtures.NAMES)
def test_the_gate_holds_again_on_a_few_people(name):
    """Measured anew on a dozen people: within twice the interval of the card, which rests on many more."""
    card = fixtures.card(name)
    for test, figures in fixtures.check(name, people=PEOPLE).items():
        for figure, metric in figures.items():
            entry = card.figures[test][figure]
            slack = 0.02 + 2 * (metric.high - metric.low)
            assert abs(metric.value - entry["value"]) <= slack, (test, figure, metric.value, entry)


def test_the_table_of_the_guide_is_that_of_the_cards():
    guide = Path(fixtures.__file__).parents[2] / "docs/guides/fixtures.md"
    assert fixtures.table() in guide.read_text(encoding="utf-8"), "python -m vultus.claims.fixtures table"


# ---------------------------------------------------------------- how each is used
def test_f_train_has_gradients_and_f_eval_has_none(crops):
    train, judge = fixtures.f_train(), fixtures.f_eval()
    x = tensor(crops).requires_grad_()
    out = train(x)
    out.unit[0, 0].backward()
    assert x.grad.abs().sum() > 0
    np.testing.assert_allclose(out.unit.detach(), train.embed(crops).vec, atol=1e-4)
    made = judge.embed(crops)
    assert made.space == judge.space == fixtures.card("f_eval").space
    assert made.vec.shape == (12, judge.dim)
    assert not judge.differentiable
    assert not callable(judge)
    same = (made.vec[::2] * made.vec[1::2]).sum(1)
    other = (made.vec[::2] * np.roll(made.vec[1::2], 1, axis=0)).sum(1)
    assert same.mean() > other.mean() + 0.2


@pytest.mark.parametrize("build", [fixtures.f_train, fixtures.f_eval])
@pytest.mark.parametrize("check", [c for c in checks("embedder") if c.__name__ != "shows_its_parameters"])
def test_recognizers_keep_the_contract_of_embedders(build, check):
    check(build)


def test_factor_nets_name_what_they_see(crops):
    train, judge = fixtures.simfeat_train(), fixtures.simfeat_judge()
    x = tensor(crops).requires_grad_()
    train.vector(x).sum().backward()
    assert x.grad.abs().sum() > 0
    assert not judge.vector(x).requires_grad
    assert not any(level.requires_grad for level in judge.features(x))
    for model in (train, judge):
        found = model.predict(crops)
        assert found["pose"].shape == (12, 3)
        np.testing.assert_allclose(found["hair_style"].sum(1), 1, atol=1e-5)
        assert model.schema["glasses"] == faces.CHOICES["glasses"]
        assert [level.shape[0] for level in model.features(tensor(crops))] == [12] * len(model.features(tensor(crops)))
    assert fixtures.card("simfeat_train").network["kind"] != fixtures.card("simfeat_judge").network["kind"]
    assert train.space != judge.space


def parser():
    """Whatever its figure is."""
    card = fixtures.card("parser_sim")
    return _build.opened(card, _cards.read_weights(WEIGHTS, card))


def test_parser_and_regressor(crops):
    regressor, parsed = fixtures.r3d_sim(), parser().parse(crops)
    assert parsed.shape == crops.shape[:3]
    assert np.array_equal(parsed, parser()(tensor(crops)).argmax(1).numpy())
    found = regressor.predict(crops)
    assert {name: value.shape[1] for name, value in found.items()} == {
        "expression": 14, "pose": 3, "light": 27,
    }  # fmt: skip
    assert np.abs(found["pose"][:, 0]).max() > 3  # degrees, not deviations


def test_a_batch_equals_one_by_one_and_nothing_gives_nothing(crops):
    model = fixtures.simfeat_judge()
    whole, one = model.predict(crops), [model.predict(crops[k : k + 1]) for k in range(3)]
    np.testing.assert_allclose(whole["pose"][:3], np.concatenate([part["pose"] for part in one]), atol=2e-3)
    assert model.predict(crops[:0])["pose"].shape == (0, 3)
    assert parser().parse(crops[:0]).shape == (0, 64, 64)


# ---------------------------------------------------------------- refusals
@pytest.fixture
def copied(tmp_path):
    for path in (*WEIGHTS.glob("r3d_sim.*"), *WEIGHTS.glob("f_train.*")):
        shutil.copy(path, tmp_path)
    return tmp_path


def test_a_changed_file_is_refused(copied):
    path = copied / "r3d_sim.safetensors"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(HashMismatch, match=r"expected sha256 .* as on its card"):
        fixtures.load("r3d_sim", copied)


def test_one_below_its_gate_is_refused_with_its_number(copied):
    change(copied / "f_train.json", "eer", {"value": 0.1, "gate": "at most 0.05", "passed": False})
    with pytest.raises(Refused, match=r"eer on default is 0\.1000 .* its gate is at most 0\.05"):
        fixtures.load("f_train", copied)


def test_a_head_below_its_gate_is_withheld_with_its_number(copied, crops):
    change(copied / "r3d_sim.json", "light R^2", {"value": 0.1, "gate": "at least 0.65", "passed": False})
    model = fixtures.load("r3d_sim", copied)
    assert "light" not in model.predict(crops)
    assert "light" not in model.schema
    assert "0.1000" in model.withheld["light"]
    assert "pose" in model.predict(crops)


def change(path, figure, entry):
    card = json.loads(path.read_text())
    card["figures"]["default"][figure] |= entry
    path.write_text(json.dumps(card))


def test_what_is_missing_or_unknown_is_said(copied, monkeypatch):
    (copied / "r3d_sim.safetensors").unlink()
    with pytest.raises(MissingWeights, match="fixtures build r3d_sim"):
        fixtures.load("r3d_sim", copied)
    with pytest.raises(MissingWeights, match="fixtures build f_eval"):
        fixtures.load("f_eval", copied)
    with pytest.raises(UnknownMethod, match="near names: f_train"):
        fixtures.load("f_trian")
    monkeypatch.setattr(fixtures, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"vultus\[train\]"):
        fixtures.load("r3d_sim", copied)


# ---------------------------------------------------------------- training
def small(name, **more):
    recipe = RECIPES[name]
    album = replace(recipe.train, people=4, pictures=4)
    return replace(recipe, train=album, test={}, gates=(), steps=2, batch=8, **more)


@pytest.mark.parametrize("name", ["f_train", "simfeat_judge", "parser_sim"])
def test_two_steps_lower_the_loss(name):
    recipe = small(name, noise=0.0, bf16=False)
    arrays = _album.drawn(recipe.train, None)
    net = _kinds.network(recipe.kind, recipe.net, 1)
    training = _kinds.Training(recipe, net, arrays)
    batch = next(_fit.batches(arrays, training.columns, 8, np.random.default_rng(0)))

    def loss(batch):
        training.generator.manual_seed(3)  # the same variations every time
        training.calls = recipe.steps  # the whole margin from the first step on
        return training(batch)

    before = float(loss(batch).detach())
    losses = _fit.fit(training.learns, [batch, batch], loss, steps=2, lr=1e-3)
    training.learns.train()
    after = float(loss(batch).detach())
    assert losses[0] == pytest.approx(before, rel=1e-4)
    assert after < before


def test_building_is_found_again_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("VULTUS_HOME", str(tmp_path))
    monkeypatch.setitem(RECIPES, "r3d_sim", small("r3d_sim"))
    told = []
    card = fixtures.build("r3d_sim", out=tmp_path / "out", workers=1, progress=lambda *a: told.append(a))
    assert told
    assert card.train["people"] == [faces.people("base")[0], faces.people("base")[3]]
    monkeypatch.setattr(_build, "trained", None)  # a second training would fail
    assert fixtures.build("r3d_sim").sha256 == card.sha256
    black = np.zeros((1, 64, 64, 3), np.uint8)
    assert fixtures.load("r3d_sim", tmp_path / "out").predict(black)["shape"].shape == (1, 40)
    shards = list((tmp_path / "fixtures/pictures").glob("*.npz"))
    monkeypatch.setattr(_album, "_draw", None)  # so would drawing
    assert len(shards) == 1
    assert len(_album.drawn(RECIPES["r3d_sim"].train, tmp_path / "fixtures/pictures")["image"]) == 16


def test_another_recipe_or_source_has_another_key(monkeypatch):
    recipe = RECIPES["f_train"]
    assert replace(recipe, lr=recipe.lr * 2).key() != recipe.key()
    assert replace(recipe, gates=()).key() == recipe.key()
    before = recipe.key()
    monkeypatch.setattr("vultus.claims._recipes.code_hash", lambda *names: "changed")
    assert recipe.key() != before


def test_a_loss_that_is_none_stops_the_training():
    net = torch.nn.Linear(2, 1)
    with pytest.raises(WeightsError, match="step 0: expected a finite loss, got nan"):
        _fit.fit(net, [{}], lambda batch: net.weight.sum() * float("nan"), steps=1, lr=0.1)


def test_people_it_has_seen_are_no_test():
    card = fixtures.card("f_train")
    with pytest.raises(StoreError, match="whom it has not seen"):
        _build.measured(
            card, (WEIGHTS / "f_train.safetensors").read_bytes(), {"x": Album("base", 0, 2, 2, 0)}, None,
            workers=1, progress=lambda *a: None,
        )  # fmt: skip


# ---------------------------------------------------------------- figures
def test_equal_error_rate_by_hand_and_its_interval():
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(40), 5)
    centers = rng.normal(size=(40, 16))
    vec = centers[people] + 0.9 * rng.normal(size=(200, 16))
    vec /= np.linalg.norm(vec, axis=1, keepdims=True)
    found = _gates.equal_error_rate(vec, people, rng)
    assert 0.005 < found.low < found.value < found.high < 0.2
    assert found.n == 40
    perfect = _gates.equal_error_rate(np.eye(40)[people], people, rng)
    assert (perfect.value, perfect.high) == (0, 0), "a person drawn twice is no stranger to itself"


def test_explained_accuracy_and_overlap_by_hand():
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(50), 4)
    y = rng.normal(size=(200, 3))
    assert _gates.explained(y, y, people, rng).value == 1
    assert _gates.explained(y, np.broadcast_to(y.mean(0), y.shape), people, rng).value == pytest.approx(0, abs=1e-12)
    names = np.array([0, 0, 0, 1] * 50)
    assert _gates.accuracy(names, np.zeros(200, int), people, rng).value == 0.5  # balanced: always 0 is no skill
    truth = np.zeros((4, 2, 2), int)
    truth[:, 0] = 1
    guess = truth.copy()
    guess[:, 0, 0] = 0  # class 1: 1 of 2; class 0: 2 of 3
    assert _gates.mean_iou(truth, guess, np.arange(4), rng, 3).value == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_gates_in_words():
    assert Gate("t", "eer", at_most=0.02).passed(0.02)
    assert not Gate("t", "eer", at_most=0.02).passed(0.021)
    assert Gate("t", "miou", at_least=0.6).words() == "at least 0.6"


# ---------------------------------------------------------------- the command line
def test_list_and_check(capsys):
    below = any(fixtures.card(name).failures() for name in fixtures.NAMES)
    assert fixtures.main(["list"]) == int(below)
    said = capsys.readouterr().out
    assert all(fixtures.card(name).space in said for name in fixtures.NAMES)
    assert fixtures.main(["list", "f_trian"]) == 2
    assert "near names" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--people", "--workers"])
@pytest.mark.parametrize("count", ["0", "-1", "x"])
def test_counts_of_nothing_are_refused_in_words(option, count, capsys):
    with pytest.raises(SystemExit):
        fixtures.main(["check", option, count])
    assert "expected a whole number of at least 1" in capsys.readouterr().err
