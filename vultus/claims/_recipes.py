"""What each miniature is trained on, how, and the gates it has to pass: data, read by all else of the fixtures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from vultus.claims._album import Album, code_hash
from vultus.sim._shards import FORMAT
from vultus.sim.faces import World

__all__ = ["RECIPES", "Gate", "Recipe"]


@dataclass(frozen=True)
class Gate:
    """A bound that a figure has to keep on one of the recipe's tests."""

    test: str
    figure: str
    at_least: float | None = None
    at_most: float | None = None

    def passed(self, value: float) -> bool:
        """Whether a value keeps it."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    def words(self) -> str:
        """The bound in words."""
        return f"at least {self.at_least:g}" if self.at_least is not None else f"at most {self.at_most:g}"


@dataclass(frozen=True)
class Recipe:
    """One miniature.

    Attributes:
        name: of the fixture.
        kind: recognizer, factors, parser or regressor.
        net: arguments of the network; `backbone` is the catalogue name of a recognizer's, `heads` the factors that a
            factor net or regressor answers.
        train: pictures it learns from.
        test: name -> pictures of people whom no fixture has seen.
        gates: bounds on the figures.
        seed: of weights, order and variations.
        steps, batch, lr: of the training.
        purpose, misuse: sentences for the card.
        codes: weight of the second loss of a recognizer, which predicts the person's codes from the vector.
        scale, margin: of CosFace.
        noise: largest deviation of the noise that is added to pictures.
        bf16: half precision in training.
    """

    name: str
    kind: str
    net: Mapping[str, Any]
    train: Album
    test: Mapping[str, Album]
    gates: tuple[Gate, ...]
    seed: int
    steps: int
    batch: int
    lr: float
    purpose: str
    misuse: str
    codes: float = 0.0
    scale: float = 32.0
    margin: float = 0.3
    noise: float = 0.02
    bf16: bool = True

    def sim(self) -> str:
        """The simulator's version."""
        return FORMAT

    def loss_words(self) -> str:
        """The loss in words."""
        if self.kind == "recognizer":
            codes = f" + {self.codes:g} x squared error of the person's codes" if self.codes else ""
            return f"CosFace, scale {self.scale:g}, margin {self.margin:g}{codes}"
        return (
            "cross entropy, rare classes weigh more"
            if self.kind == "parser"
            else "squared error of numbers, cross entropy of names"
        )

    def key(self) -> str:
        """20 hex over everything that makes the weights: this recipe, and the sources that draw and train."""
        words = json.dumps([{**asdict(self), "test": None, "gates": None}, FORMAT], sort_keys=True)
        code = code_hash(
            "recognize/backbones",
            "recognize/losses",
            "recognize/_features.py",
            *(f"claims/_{name}.py" for name in ("album", "fit", "kinds", "nets")),
        )
        return hashlib.sha256((words + code).encode()).hexdigest()[:20]


_EASIER = World(yaw_deg=30.0, pitch_deg=10.0, roll_deg=8.0, hats=0.0, eyewear=0.0, beards=0.0)
"""Nearly frontal faces that nothing covers; light, expression, age, hair and background as ever."""

_BASE = Album("base", 0, 1_000, 10, seed=11)
_JUDGE = Album("judge", 0, 1_000, 12, seed=12)
_TEST = Album("test", 0, 200, 6, seed=13)
_TESTS = {"default": _TEST}
_FACES_TESTS = {"default": _TEST, "easier": replace(_TEST, world=_EASIER)}

_MISUSE = (
    "Knows only faces that vultus.sim draws. It says nothing about photographs or real people and must not be used to "
    "recognize, rate or profile them."
)
_JUDGED = " It judges: it must stand in no loss, reward or filter."

_FACTORS = (
    *("pose", "expression", "light", "age", "tone", "sex"),
    *("hair_style", "hair_color", "glasses", "hat", "beard", "background"),
)


def _at_least(test: str, bounds: Mapping[str, float]) -> tuple[Gate, ...]:
    return tuple(Gate(test, figure, at_least=bound) for figure, bound in bounds.items())


_FACTOR_GATES = _at_least(
    "default",
    {
        "pose R^2": 0.85,
        "light R^2": 0.65,
        "tone R^2": 0.9,
        "hair_style accuracy": 0.7,
        "hair_color accuracy": 0.65,
        "background accuracy": 0.95,
        "glasses accuracy": 0.6,
        "hat accuracy": 0.65,
        "beard accuracy": 0.6,
    },
)

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="f_train",
            kind="recognizer",
            net={"backbone": "iresnet.10", "widths": [16, 32, 64, 128], "input_hw": [48, 48], "dim": 128},
            train=_BASE,
            test=_FACES_TESTS,
            gates=(Gate("easier", "eer", at_most=0.05),),
            seed=1,
            steps=900,
            batch=64,
            lr=4e-3,
            codes=5.0,
            scale=16.0,
            margin=0.25,
            purpose="Recognizer for losses, conditioning and attacks: differentiable from the picture to the vector.",
            misuse=_MISUSE,
        ),
        Recipe(
            name="f_eval",
            kind="recognizer",
            net={
                "backbone": "mobilefacenet",
                "width": 0.5,
                "stages": [[2, 64, 2, 2], [4, 128, 1, 2], [2, 128, 3, 1], [4, 128, 1, 2], [2, 128, 1, 1]],
                "input_hw": [48, 48],
                "dim": 128,
            },
            train=_JUDGE,
            test=_FACES_TESTS,
            gates=(Gate("easier", "eer", at_most=0.02),),
            seed=2,
            steps=900,
            batch=64,
            lr=4e-3,
            codes=5.0,
            scale=16.0,
            margin=0.25,
            bf16=False,
            purpose="Recognizer that judges identity: architecture, people and seed are not those of f_train.",
            misuse=_MISUSE + _JUDGED,
        ),
        Recipe(
            name="simfeat_train",
            kind="factors",
            net={"kind": "plain", "widths": [12, 24, 48, 96], "hidden": 192, "heads": _FACTORS},
            train=_BASE,
            test=_TESTS,
            gates=_FACTOR_GATES,
            seed=3,
            steps=600,
            batch=64,
            lr=3e-3,
            purpose="Features for perceptual losses, and a classifier of what a picture shows.",
            misuse=_MISUSE,
        ),
        Recipe(
            name="simfeat_judge",
            kind="factors",
            net={"kind": "residual", "widths": [24, 48, 96, 128], "hidden": 256, "heads": _FACTORS},
            train=_JUDGE,
            test=_TESTS,
            gates=_FACTOR_GATES,
            seed=4,
            steps=800,
            batch=64,
            lr=3e-3,
            purpose="Features for fd_sim, kid_sim and pips_sim, and the judge of attributes.",
            misuse=_MISUSE + _JUDGED,
        ),
        Recipe(
            name="parser_sim",
            kind="parser",
            net={"widths": [12, 24, 48, 64]},
            train=replace(_BASE, people=300, seed=15, parsing=True),
            test={"default": replace(_TEST, pictures=3, parsing=True)},
            gates=_at_least("default", {"miou": 0.6}),
            seed=5,
            steps=800,
            batch=32,
            lr=4e-3,
            purpose="Class of each pixel where a picture has no truth of its own, as a generated one.",
            misuse=_MISUSE,
        ),
        Recipe(
            name="r3d_sim",
            kind="regressor",
            net={
                "face": {
                    "kind": "residual",
                    "widths": [32, 64, 128],
                    "hidden": 256,
                    "heads": ("shape", "albedo", "expression"),
                    "size": 48,
                },
                "whole": {"kind": "residual", "widths": [16, 32, 64, 96], "hidden": 96, "heads": ("pose", "light")},
            },
            train=_BASE,
            test=_TESTS,
            gates=_at_least(
                "default",
                {"shape R^2": 0.2, "albedo R^2": 0.2, "expression R^2": 0.2, "pose R^2": 0.85, "light R^2": 0.65},
            ),
            seed=6,
            steps=700,
            batch=64,
            lr=3e-3,
            purpose="Codes of the head model from one picture: vultus.sim.faces.morphable turns them into a head.",
            misuse=_MISUSE,
        ),
    )
}
