"""Balance, checks and promptness of the pipeline: counted by hand, against scipy, and with one flaw at a time."""

from __future__ import annotations

from collections import Counter
from itertools import islice, product

import numpy as np
import pytest
import scipy.stats

from vultus.errors import InputError, Refused, SpaceMismatch, UnknownMethod
from vultus.evaluate.simulated_model import Flaws, SimBackend, Truth, Words
from vultus.generate.synthesize._checks import Kept
from vultus.generate.synthesize.sig import (
    Checks,
    DiffusersBackend,
    Names,
    PromptBuilder,
    Sig,
    Slot,
    Vocabulary,
    balance,
)
from vultus.types import Basis, CropSpec, Detections, Embedded

NONE = {"no_face": 0, "pose_deg": 0, "attribute": 0, "drift": 0, "slack": 0, "favorite": 0}
SLOTS = ("group", "gender", "age")
FEW = {"poses": ["frontal"], "genders": ["male"]}


def a_builder(**slots) -> PromptBuilder:
    words = Vocabulary.read(group={"A": "population-A", "B": "population-B"}, age={"young": "young", "old": "elderly"})
    names = Names({("*", ""): ("Alava", "Berbo", "Corvik")}, {"*": ("Ashabe", "Dornero", "Falkmont", "Lornwick")})
    return PromptBuilder(words, names, **slots)


def a_sig(checked: bool = True, flaws: dict | None = None, strict: bool = True, **more) -> Sig:
    builder = a_builder(**more.pop("slots", {}))
    words = builder.vocabulary
    told = {slot: getattr(words, slot) for slot in SLOTS}
    yaw = {pose: degrees for pose, (_, degrees) in words.pose.items()}
    backend = SimBackend(Words(told), yaw, size=64, flaws=Flaws(**{**NONE, **(flaws or {})}))
    truth = Truth(backend)
    checks = Checks(truth, truth, truth, truth, truth, same_above=0.9) if checked else None
    return Sig(backend, builder, checks, strict=strict, **more)


def filled(sig: Sig, per_cell: int = 1, seed: int = 0) -> list[Slot]:
    return list(sig.run(per_cell, basis=Basis.synthetic(), seed=seed))


class Counting:
    """A backend, detector, aligner, embedder in one that draws a number; no face looks like another."""

    method, weights, license, space, dim = "sim.numbers", "", "none", "sim.numbers@000000000000", 32

    def __init__(self, likeness: float = 0.95) -> None:
        self.calls, self.likeness = [], likeness

    @property
    def crop(self) -> CropSpec:
        return CropSpec("box", (64, 64))

    def generate(self, prompt, negative, *, seed, pose, reference):
        self.calls.append((prompt, negative, seed, pose, reference))
        image = np.random.default_rng(seed).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        if reference is not None:
            image[:32] = reference[:32]
        return image

    def detect(self, images, *, min_score=None, max_faces=None):
        return [Detections(np.array([[0, 0, 64, 64]]), np.ones(1), np.zeros((1, 5, 2))) for _ in images]

    def align(self, image, points, spec):
        return image[None], np.eye(2, 3)[None]

    def embed(self, crops):
        rows = []
        for crop in crops:
            who, shot = (np.random.default_rng(int(part.sum())).normal(size=32) for part in (crop[:32], crop[32:]))
            who, shot = who / np.linalg.norm(who), shot / np.linalg.norm(shot)
            rows.append(self.likeness**0.5 * who + (1 - self.likeness) ** 0.5 * shot)
        rows = np.array(rows)
        return Embedded(rows / np.linalg.norm(rows, axis=1, keepdims=True), self.space)


def test_the_prompt_says_who_and_how():
    builder = PromptBuilder()
    assert len(builder.cells) == 4 * 2 * 3
    persona = builder.persona(("Asian", "female", "old"), 0, 0, 7)
    prompt = builder.prompt(persona, "left")
    for words in (
        persona.name,
        "elderly East Asian woman",
        "left side of the picture",
        *dict(persona.features).values(),
    ):
        assert words in prompt
    assert builder.prompt(persona, "right").split(", ")[0] == prompt.split(", ")[0]
    assert builder.persona(("Asian", "female", "old"), 0, 0, 7) == persona
    assert builder.persona(("Asian", "female", "old"), 0, 1, 7) != persona
    assert len({n for (_, _), first in builder.names.first.items() for n in first}) > 150
    with pytest.raises(UnknownMethod, match="near names: Asian"):
        PromptBuilder(groups=["Asien"])


def test_names_are_of_the_group_and_gender():
    names = Names.read()
    drawn = {names.draw("Indian", "male", np.random.default_rng(k)) for k in range(300)}
    assert len(drawn) > 150
    assert {n.split()[0] for n in drawn} <= set(names.first["Indian", "male"])
    with pytest.raises(InputError, match="Martian"):
        names.draw("Martian", "male", np.random.default_rng(0))


def test_every_cell_is_filled_exactly_and_chi_square_is_scipys():
    sig = a_sig(flaws={"attribute": 0.2, "no_face": 0.1}, slots={"poses": ["frontal", "left"], "ages": ["old"]})
    slots = filled(sig, 2)
    found = balance(slots, sig.builder.cells)
    assert set(found.counts.values()) == {2}
    assert found.chi2 == 0
    assert all(list(slot.pictures) == ["frontal", "left"] for slot in slots)
    uneven = balance(slots[:7], sig.builder.cells)
    assert uneven.chi2 == pytest.approx(scipy.stats.chisquare(list(uneven.counts.values())).statistic)


def test_naive_prompting_is_uneven_after_the_checks():
    hard = {("age", "old"): 6.0}
    naive = a_sig(flaws={"attribute": 0.12, "hard": hard}, retries=0, persons=1, strict=False)
    found = balance(filled(naive, 6), naive.builder.cells)
    assert found.chi2 > scipy.stats.chi2.ppf(0.9, len(found.counts) - 1)
    by_age = Counter()
    for (_, _, age), n in found.counts.items():
        by_age[age] += n
    assert by_age["old"] < by_age["young"]


@pytest.mark.parametrize(
    ("flaw", "reason"),
    [
        ({"no_face": 1}, "no face"),
        ({"pose_deg": 80}, "pose"),
        ({"attribute": 1}, "group"),
        ({"attribute": 0.05, "hard": {("age", "old"): 20}}, "age"),
        ({"drift": 1}, "drifted"),
    ],
)
def test_each_flaw_has_its_reason(flaw, reason):
    sig = a_sig(flaws=flaw, retries=1, persons=2, strict=False, slots={"ages": ["old"], "groups": ["A"]})
    rejected = [r for slot in filled(sig) for r in slot.rejected]
    assert Counter(r.reason for r in rejected).most_common(1)[0][0] == reason
    assert {r.picture for r in rejected} <= {0, 1}


def test_a_favorite_face_is_not_taken_twice():
    sig = a_sig(flaws={"favorite": 1}, retries=0, persons=1, strict=False, slots={"poses": ["frontal"]})
    slots = filled(sig, 3)
    assert sum(slot.filled for slot in slots) <= 5 * 2  # five faces, of two populations
    assert {r.reason for slot in slots for r in slot.rejected} == {"not unique"}
    vectors = np.stack([slot.vector for slot in slots if slot.filled])
    assert np.triu(vectors @ vectors.T, 1).max() < sig.checks.unique_below


def test_without_flaws_nothing_is_thrown_away_and_without_checks_nothing_is_looked_at():
    assert not any(slot.rejected for slot in filled(a_sig(slots=FEW), 1))
    model = Counting()
    slots = filled(Sig(model, a_builder()), 1)
    assert len(model.calls) == 8 * 3
    assert all(slot.filled and slot.vector is None for slot in slots)


def test_the_first_picture_is_the_reference_of_the_others_and_everything_is_said():
    model = Counting()
    sig = Sig(model, a_builder(), Checks(model, model, model))
    slot = next(sig.run(1, basis=Basis.synthetic(), seed=3))
    first, *others = model.calls
    assert first[4] is None
    for call in others:
        assert np.array_equal(call[4], model.generate(*first[:2], seed=first[2], pose="", reference=None))
    about = {pose: made.provenance for pose, made in slot.pictures.items()}
    assert about["frontal"].parents == ()
    assert len(about["left"].parents[0]) == 64
    assert about["left"].loss_spaces == {model.space}  # what chose pictures may not judge them
    assert about["left"].options["prompt"] == sig.builder.prompt(slot.persona, "left")
    assert about["left"].simulated
    assert (about["left"].method, about["left"].base) == ("sig", "sim.numbers")


def test_a_run_that_goes_on_gives_the_same():
    whole = filled(a_sig(flaws={"attribute": 0.2}, slots=FEW), 2)
    first = list(islice(a_sig(flaws={"attribute": 0.2}, slots=FEW).run(2, basis=Basis.synthetic()), 5))
    again = a_sig(flaws={"attribute": 0.2}, slots=FEW)
    rest = list(again.run(2, basis=Basis.synthetic(), done=[(s.cell, s.number, s.vector) for s in first]))
    assert [s.persona for s in first + rest] == [s.persona for s in whole]
    for a, b in zip(first + rest, whole, strict=True):
        assert np.array_equal(a.pictures["frontal"].images, b.pictures["frontal"].images)


def test_a_place_that_cannot_be_filled_says_why():
    sig = a_sig(flaws={"no_face": 1}, retries=1, persons=2)
    with pytest.raises(InputError, match=r"A, female, young: .* 2 people were rejected \(no face 4\)"):
        filled(sig)


def test_real_people_need_more_than_a_synthetic_basis():
    sig = a_sig()
    with pytest.raises(Refused):
        sig.run(1, basis=None)
    sig.backend = type("Real", (), {"method": "diffusers", "weights": "x", "license": "y"})()
    with pytest.raises(Refused, match="simulated"):
        sig.run(1, basis=Basis.synthetic())


def test_the_diffusers_adapter_calls_a_pipeline_as_diffusers_documents_it():
    """A stand-in records the call: this is the contract with the user's pipeline, not a trial of one."""
    pytest.importorskip("torch")

    class Pipe:
        scales, calls = [], []

        def set_ip_adapter_scale(self, scale):
            self.scales.append(scale)

        def __call__(self, **keywords):
            self.calls.append(keywords)
            return type("Output", (), {"images": np.full((1, 64, 64, 3), 0.5)})()

    pipe = Pipe()
    control = {pose: np.zeros((64, 64, 3), np.uint8) for pose in ("frontal", "left", "right")}
    backend = DiffusersBackend(pipe, control, weights="0" * 64, license="openrail")
    contract = Basis(
        "contract", "", frozenset({"generate"}), "a test", "its author", "2000-01-01", "9000-01-01", "0" * 64
    )
    slots = list(Sig(backend, a_builder(groups=["A"], genders=["male"], ages=["old"])).run(1, basis=contract))
    assert slots[0].filled
    assert pipe.scales == [0.0, 0.7, 0.7]
    call = pipe.calls[1]
    assert call["ip_adapter_image"].shape == (1, 64, 64, 3)
    assert call["ip_adapter_image"].max() == pytest.approx(128 / 255)
    assert set(call) >= {"prompt", "negative_prompt", "image", "generator", "guidance_scale", "num_inference_steps"}
    with pytest.raises(InputError, match="expected one of frontal"):
        backend.generate("", "", seed=0, pose="upside down", reference=None)


def test_the_words_of_the_vocabulary_are_what_is_drawn():
    """Left is left in the picture, a woman is no man, and the first group has the lightest skin of the simulator."""
    words = Vocabulary.read(group={"A": "population-A", "B": "population-B"})
    backend = SimBackend(
        Words({slot: getattr(words, slot) for slot in SLOTS}),
        {pose: degrees for pose, (_, degrees) in words.pose.items()},
        flaws=Flaws(**NONE),
    )
    assert "left side of the picture" in words.pose["left"][0]
    nose, tone = {}, {}
    for group, pose in product("AB", words.pose):
        prompt = f"photo of Alava Ashabe, a young population-{group} woman with brown eyes, short hair and freckles, x"
        image = backend.generate(prompt, "", seed=5, pose=pose, reference=None)
        points = backend.fact(image).points
        nose[group, pose] = points[2, 0] - points[:2, 0].mean()
        tone[group, pose] = image[40:44, 28:36].mean()
    for group in "AB":
        assert nose[group, "left"] < -2 < nose[group, "frontal"] < 2 < nose[group, "right"]
    assert tone["A", "frontal"] > tone["B", "frontal"] + 20
    values = {"group": "A", "age": "young"}
    sexes = [backend._person(prompt, {**values, "gender": gender}).sex_axis for gender in ("female", "male")]
    assert sexes[0] < 0 < sexes[1]  # as `vultus.sim.faces` counts


def test_likeness_to_others_and_to_oneself_has_a_limit_each():
    model, kept = Counting(), Kept(Counting.space)
    checks = Checks(model, model, model, unique_below=0.5, same_above=0.8)
    one, near, half = np.float32([[1, 0], [0.6, 0.8], [0.4, 0.9165]])
    assert checks.new(one, kept) is None
    kept.add(one, Counting.space)
    assert checks.new(near, kept) == ("not unique", pytest.approx(0.6), 0.5)
    assert checks.new(half, kept) is None
    assert checks.same(near, one) == ("drifted", pytest.approx(0.6), 0.8)
    assert checks.same(np.float32([0.9, 0.4359]), one) is None
    with pytest.raises(SpaceMismatch):
        kept.add(one, "other@000000000000")


def test_a_head_may_be_turned_as_far_from_the_wanted_pose_as_the_checks_say():
    model, persona = Counting(), a_builder().persona(("A", "male", "old"), 0, 0, 0)
    for yaw, wrong in ((-50.5, True), (-49.5, False), (-20.5, False), (-19.5, True), (35.0, True)):
        pose = type("Pose", (), {"pose_deg": lambda self, image, faces, yaw=yaw: np.float32([[yaw, 70, 70]])})()
        image = np.zeros((64, 64, 3), np.uint8)
        found, _ = Checks(model, model, model, pose, yaw_within_deg=15).look(image, persona, -35.0)
        assert found == (("pose", pytest.approx(yaw), -35.0) if wrong else None)
