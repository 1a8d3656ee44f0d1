"""Recipes: each trains at tiny scale, is read strictly, and is the same after it was written; seeds are seeds."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from vultus import catalogue
from vultus.errors import InputError, UnknownMethod
from vultus.train import config
from vultus.train.data import Pictures
from vultus.train.loops.supervised import fit

PEOPLE = 6
FIVE = ((10, 12), (21, 12), (16, 18), (11, 23), (20, 23))  # of a frontal face of 32 pixels


def pictures(size_hw: tuple[int, int]) -> Pictures:
    """Four pictures each of people who are a pattern of waves, with noise."""
    rng, _ = config.seeded(7)
    faces = rng.uniform(0, 180, (PEOPLE, *size_hw, 3))
    labels = np.repeat(np.arange(PEOPLE), 4)
    images = (faces[labels] + rng.uniform(0, 75, (len(labels), *size_hw, 3))).astype(np.uint8)
    points = np.array(FIVE, np.float32) * (np.array(size_hw[::-1], np.float32) / 32)
    return Pictures(images, labels, tuple("abcdef"), np.tile(points, (len(labels), 1, 1)).astype(np.float32))


@pytest.mark.parametrize("name", config.names())
def test_every_recipe_trains_at_tiny_scale(name):
    recipe = config.read(name, scale="tiny")
    source = pictures(recipe.size_hw)
    trainable, feed = config.build_trainable(recipe, source.classes), config.feed(recipe, source)
    before = {key: value.clone() for key, value in trainable.named_parameters()}
    falls = recipe.expected["tiny"].get("falls", False)
    changed = {} if falls else {"schedule.steps": "2"}
    settings = config.settings(config.read(name, scale="tiny", set=changed), len(feed))
    history = fit(trainable, feed, settings, hooks=config.hooks(recipe))
    assert np.isfinite(history.loss).all()
    same = [
        key
        for key, value in trainable.named_parameters()
        if value.requires_grad and key != "centers.rows" and torch.equal(before[key], value)
    ]
    assert not same, f"these did not change: {same}"
    if falls:
        assert history.loss[-4:].mean() < history.loss[:4].mean()


@pytest.mark.parametrize("name", config.names())
def test_every_recipe_is_whole(name):
    row = catalogue.row(config.read(name, scale="paper").method)
    for scale in ("nano", "paper"):
        recipe = config.read(name, scale=scale)
        assert recipe.name == name
        assert config.settings(recipe, 1000).steps > 0
        for part in (recipe.backbone, recipe.loss, recipe.pair, *recipe.hooks):
            if part is not None:
                catalogue.row(part.name)
    path = config._files()[name]
    assert path.read_text(encoding="utf-8").startswith(f"# vultus train {name} --data FOLDER --out RUN\n")
    assert row.recipe == "recipes/" + path.relative_to(config._home()).as_posix()


@pytest.mark.parametrize("scale", ["nano", "paper"])
def test_a_written_recipe_is_the_same(scale, tmp_path):
    recipe = config.read("triplet", scale=scale, set={"hooks": '[{name = "aroface", args = {k = 2}}]', "seed": "3"})
    config.write(recipe, tmp_path / config.FILE)
    assert config.read(tmp_path / config.FILE, scale="mini") == recipe
    changed = config.read(tmp_path / config.FILE, set={"optimizer.lr": "0.5"})
    assert (changed.scale, changed.optimizer.lr, changed.seed) == (scale, 0.5, 3)


def test_a_seed_that_no_generator_takes_is_refused():
    with pytest.raises(InputError, match="seed: expected a number from 0 and below"):
        config.build_trainable(config.read("arcface", "tiny", set={"seed": "9" * 23}), 3)


def test_scales_and_settings_replace_what_they_name():
    paper, nano = (config.read("arcface", scale=scale) for scale in ("paper", "nano"))
    assert (paper.backbone.name, paper.size_hw, paper.schedule.steps) == ("iresnet.100", (112, 112), 180000)
    assert (nano.backbone.name, nano.size_hw, nano.schedule.name) == ("iresnet.10", (56, 56), "cosine")
    assert nano.optimizer.weight_decay == paper.optimizer.weight_decay == 5e-4
    new = {
        "optimizer.lr": ".1",
        "schedule.epochs": "2",
        "data.augment": "[]",
        "data.persons": "4",
        "loss.args.scale": "8",
    }
    recipe = config.read("arcface", set=new)
    assert (recipe.optimizer.lr, recipe.data.augment, recipe.data.persons, recipe.data.batch) == (0.1, (), 4, 0)
    assert config.settings(recipe, 7).steps == 14
    for bad in ({"schedule.epochs": "inf"}, {"schedule.epochs": "2", "optimizer.accumulate": "0"}):
        with pytest.raises(InputError, match="finite number of epochs and accumulate from 1"):
            config.settings(config.read("arcface", set=bad), 7)
    assert config.build_trainable(recipe, 3).class_loss.scale == 8
    with pytest.raises(InputError, match="expected how many make an epoch"):
        config.settings(recipe)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"optimizer.rl": "1"}, "optimizer: there is no key 'rl'; the nearest is 'lr'"),
        ({"optimiser.lr": "1"}, "there is no key 'optimiser'; the nearest is 'optimizer'"),
        ({"optimizer.lr": "fast"}, "optimizer: lr: expected a number, got 'fast'"),
        ({"schedule.steps": "2.5"}, "schedule: steps: expected a whole number, got 2.5"),
        ({"data.size_hw": "[56]"}, "data: size_hw: expected 2 values, got"),
        ({"data": "3"}, "data: expected a table, got 3"),
        ({"hooks": "[{args = {}}]"}, "expected the key 'name', it is missing"),
        ({"data.batch": "0"}, "expected batch or persons, got neither"),
    ],
)
def test_what_is_no_recipe_is_refused(change, words):
    with pytest.raises(InputError, match=words.replace("[", r"\[")):
        config.read("arcface", set=change)


def test_what_is_no_recipe_at_all_is_refused(tmp_path):
    with pytest.raises(UnknownMethod, match="unknown recipe 'arcfase'; near names: arcface"):
        config.read("arcfase")
    with pytest.raises(InputError, match="expected a scale of tiny, nano, paper; got 'huge'"):
        config.read("arcface", scale="huge")
    (tmp_path / "bad.toml").write_text("= 1")
    with pytest.raises(InputError, match="expected a recipe in TOML"):
        config.read(tmp_path / "bad.toml")
    for words in ("scale = 3", "[scale]\ntiny = 3", "[scale.huge]\nseed = 1"):
        (tmp_path / "bad.toml").write_text(words)
        with pytest.raises(InputError, match="scale: expected tables named tiny, nano"):
            config.read(tmp_path / "bad.toml")
    with pytest.raises(InputError, match="expected arguments among scale, margin, straight; got slope"):
        config.build_trainable(config.read("arcface", set={"loss.args.slope": "1"}), 3)
    for words in ("{name = 'aroface', args = {ratio = 'most'}}", "{name = 'verification_signal'}"):
        with pytest.raises(InputError, match="cannot be made with args"):
            config.hooks(config.read("arcface", set={"hooks": f"[{words}]"}))


@pytest.mark.parametrize(
    ("recipe", "change", "words"),
    [
        (
            "arcface",
            {"loss.name": "iresnet.10"},
            "iresnet.10: expected a method of recognize.losses, got one of recognize",
        ),
        ("arcface", {"backbone.name": "cosface"}, "cosface: expected a method of recognize.backbones, got one of"),
        (
            "arcface",
            {"hooks": "[{name = 'cosface'}]"},
            "cosface: expected a method of train, got one of recognize.losses",
        ),
        ("arcface", {"loss.name": "triplet"}, "loss: expected a loss over class centers"),
        ("triplet", {"pair.name": "arcface"}, "pair: expected a loss over the vectors of a batch alone, got 'arcface'"),
        ("triplet", {"pair.name": "harmonic_triplet"}, "got 'harmonic_triplet'"),
        ("triplet", {"pair.miner": "semihard"}, "got 'semihard', the nearest is 'semi_hard'"),
        ("contrastive", {"pair.miner": "semi_hard"}, "got miner"),
        ("arcface", {"backbone.args.dim": "-4"}, "cannot be made with args"),
        ("arcface", {"data.size_hw": "[0, 0]"}, "size_hw: expected at least 8 x 8 pixels"),
        ("arcface", {"data.size_hw": "[56, 7]"}, "size_hw: expected at least 8 x 8 pixels"),
    ],
)
def test_a_part_that_cannot_be_is_refused_in_words(recipe, change, words):
    def made():
        read = config.read(recipe, "tiny", set=change)
        return config.build_trainable(read, 3), config.hooks(read)

    with pytest.raises(InputError, match=re.escape(words)):
        made()


def test_a_backbone_in_a_backbone():
    inner = '{name = "iresnet.10", args = {input_hw = [32, 32], dim = 8, widths = [4, 4, 4, 4]}}'
    recipe = config.read(
        "arcface", scale="tiny", set={"backbone.name": "located", "backbone.args": f"{{backbone = {inner}}}"}
    )
    net = config.backbone(recipe)
    assert (net.input_hw, net.crop_hw) == ((32, 32), (32, 32))


def test_seeds():
    one, other = config.seeded(5), config.seeded(5)
    assert one[0].random() == other[0].random()
    assert torch.rand(1, generator=one[1]) == torch.rand(1, generator=other[1])
    first, second = (config.backbone(config.read("arcface", "tiny", {"seed": seed})) for seed in ("1", "2"))
    assert not torch.equal(first.conv1.weight, second.conv1.weight)
    with pytest.raises(InputError, match="expected a number from 0"):
        config.seeded(-1)
