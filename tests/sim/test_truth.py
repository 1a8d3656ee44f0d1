"""Labels and knobs of simulated faces that no picture's bytes pin: signs, units, and who gets what."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vultus.sim import _captions, faces
from vultus.sim.faces import World

PERSON = faces.person_of(12)
PLAIN = replace(faces.Factors(), hair_style="bald")


def only(**strengths):
    """Factors in which some expression shapes act and no other."""
    shape = np.zeros(14, np.float32)
    for name, value in strengths.items():
        shape[faces._E[name.replace("_", " ")]] = value
    return replace(PLAIN, expression=shape)


def told(factors):
    sample = faces.render(PERSON, factors, 16, 0)
    return dict(zip(faces.AUS, sample.au.tolist(), strict=True)), sample.va.tolist()


@pytest.mark.parametrize(
    ("shapes", "units", "valence", "arousal"),
    [
        ({"smile": 1.0}, {"AU12": 1.0}, 1, 1),
        ({"mouth_frown": 1.0}, {"AU15": 1.0}, -1, -1),
        ({"brow_lower": 1.0}, {"AU4": 1.0}, -1, 1),
        ({"brow_inner_raise": 1.0}, {"AU1": 1.0}, -1, 0),
        ({"brow_raise": 1.0}, {"AU1": 0.6, "AU2": 1.0}, 0, 1),
        ({"cheek_raise": 1.0}, {"AU6": 1.0}, 1, 0),
        ({"jaw_open": 1.0}, {"AU25": 0.5, "AU26": 1.0}, 0, 1),
        ({"lips_part": 1.0, "jaw_open": 1.0}, {"AU25": 1.0, "AU26": 1.0}, 0, 1),
    ],
)
def test_each_shape_acts_on_its_units_and_moods_have_their_signs(shapes, units, valence, arousal):
    found, mood = told(only(**shapes))
    assert found == pytest.approx({**dict.fromkeys(faces.AUS, 0.0), **units})
    assert np.sign(mood).tolist() == [valence, arousal]


def test_the_light_that_is_told_holds_the_exposure_and_the_albedo_holds_none():
    dark, bright = (faces.render(PERSON, replace(PLAIN, light_gain=g), 48, 0) for g in (0.5, 1.5))
    np.testing.assert_allclose(bright.params3d["light"], 3 * dark.params3d["light"], rtol=1e-5)
    assert bright.image.mean() > dark.image.mean() + 20
    np.testing.assert_array_equal(dark.albedo, bright.albedo)
    np.testing.assert_array_equal(dark.albedo, faces.counterfactual(dark, "light", "left").albedo)


def test_gaze_to_the_right_and_up_moves_the_irises_there():
    where = {}
    for gaze in ((-15.0, 0.0), (15.0, 0.0), (0.0, -12.0), (0.0, 12.0)):
        eyes = replace(PLAIN, gaze_deg=np.array(gaze, np.float32), expression=only(eyes_wide=0.8).expression)
        sample = faces.render(PERSON, eyes, 256, 1)
        for label in ("l_eye", "r_eye"):
            rows, columns = np.nonzero(sample.parsing == faces.LABELS.index(label))
            dark = np.clip(sample.image[rows, columns].mean(-1).max() - sample.image[rows, columns].mean(-1), 0, None)
            where[gaze, label] = np.array([dark @ columns, dark @ rows]) / dark.sum()
    for label in ("l_eye", "r_eye"):
        assert where[(15.0, 0.0), label][0] > where[(-15.0, 0.0), label][0] + 1
        assert where[(0.0, 12.0), label][1] < where[(0.0, -12.0), label][1] - 0.3


@pytest.mark.parametrize(
    ("pose", "word", "never"),
    [((-30, 0, 0), "left", "right"), ((30, 0, 0), "right", "left"), ((-60, 0, 0), "left", "right")],
)
def test_a_caption_names_the_viewer_s_side(pose, word, never):
    turned = replace(PLAIN, pose_deg=np.array(pose, np.float32))
    for seed in range(6):
        said = _captions.caption(PERSON, turned, np.random.default_rng(seed), whole=True)
        assert word in said.split() or f"{word}," in said
        assert never not in said


def test_a_caption_tells_up_from_down():
    for pitch, ways in ((15, ("looking up", "chin up", "raised")), (-15, ("looking down", "chin down", "lowered"))):
        nod = replace(PLAIN, pose_deg=np.array([0, pitch, 0], np.float32))
        said = _captions.caption(PERSON, nod, np.random.default_rng(0), whole=True)
        assert any(way in said for way in ways)


# ---------------------------------------------------------------- knobs
def people(world, count=400, first=0):
    return [faces.person_of(k, world) for k in range(first, first + count)]


def drawn(world, persons, each=1):
    rng = np.random.default_rng(0)
    return [faces.sample_factors(rng, world, person) for person in persons for _ in range(each)]


def correlation(a, b):
    return float(np.corrcoef(a, b)[0, 1])


def test_groups_differ_in_codes_only_when_told_to():
    gap = {}
    for shift in (0.0, 1.0):
        found = people(World(groups=(1.0, 1.0), population_shift=shift), 800)
        codes, group = np.stack([p.z_shape for p in found]), np.array([p.population.argmax() for p in found])
        gap[shift] = float(np.linalg.norm(codes[group == 0].mean(0) - codes[group == 1].mean(0)))
    assert gap[0.0] < 0.75  # about sqrt(40 * 2 / 400) by chance
    assert gap[1.0] > 2


def test_groups_have_the_spreads_that_were_asked_for():
    world = World(groups=(1.0, 1.0), group_spread=(1.0, 0.5), group_within=(1.0, 0.3))
    found = people(world)
    group = np.array([p.population.argmax() for p in found])
    codes, yaw = np.stack([p.z_shape for p in found]), np.array([f.pose_deg[0] for f in drawn(world, found)])
    assert codes[group == 1].std() / codes[group == 0].std() == pytest.approx(0.5, abs=0.05)
    assert yaw[group == 1].std() / yaw[group == 0].std() == pytest.approx(0.3, abs=0.08)


def test_light_and_glasses_follow_the_group_when_confounded():
    for confound, low, high in ((1.0, 1.0, 1.0), (0.0, 0.1, 0.8)):
        world = World(groups=(1.0, 1.0), confound=confound)
        found = people(world, 200)
        agree = [
            (f.glasses == "round") == bool(p.population.argmax())
            for p, f in zip(found, drawn(world, found), strict=True)
        ]
        assert low <= np.mean(agree) <= high


def test_smiles_follow_the_first_number_when_told_to():
    for knob, low, high in ((0.0, -0.1, 0.1), (1.0, 0.2, 0.8)):
        world = World(expression_of_identity=knob)
        found = people(world)
        smile = [f.expression[0] for f in drawn(world, found, 3)]
        assert low < correlation(np.repeat([p.z_shape[0] for p in found], 3), smile) < high


def test_a_family_shares_the_skin_as_much_as_told():
    family = faces.people("family")
    for knob in (0.0, 0.8):
        found = people(World(family_texture=knob), len(family), family.start)
        codes = np.stack([p.z_albedo for p in found]).reshape(-1, 4, 24)
        assert len({p.family for p in found}) == len(codes)
        assert correlation(codes[:, 0].ravel(), codes[:, 1].ravel()) == pytest.approx(knob, abs=0.12)


def test_frailty_shows_in_the_skin_and_shortens_life_as_gompertz_says():
    found = people(World(frailty_texture=1.0))
    assert correlation([p.z_albedo[0] for p in found], [p.frailty for p in found]) > 0.3
    rng = np.random.default_rng(1)
    for frailty in (-1.0, 1.0):
        ages, seen = zip(*(faces.lifespan(replace(PERSON, frailty=frailty), rng) for _ in range(4000)), strict=True)
        assert min(ages) >= 40
        assert max(ages) <= 90
        for age in (60.0, 75.0, 89.9):  # survivors: exp of minus the hazard's integral from 40 on
            alive = np.exp(-5e-5 * np.exp(frailty) / 0.095 * (np.exp(0.095 * age) - np.exp(0.095 * 40)))
            assert np.mean(np.array(ages) > age) == pytest.approx(alive, abs=0.03)
        assert all(s == (a < 90) for a, s in zip(ages, seen, strict=True))


def test_favorites_and_what_is_typical_go_with_the_person():
    world = World(favorite=1.0, sex_typical=1.0, beards=1.0)
    found = people(world, 150)
    for person, factors in zip(found, drawn(world, found), strict=True):
        assert person.hair_color in (None, factors.hair_color)
        assert (factors.beard != "none") == (person.sex_axis > 0)
        assert not (factors.makeup and person.sex_axis > 0)
    places = [{f.background for f in drawn(world, [p], 5)} for p in found[:20]]
    assert {len(p) for p in places} == {1}
