"""Clips: motions do what their words say, the flow is that of the mesh, drivers differ, files are whole or absent."""

from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest

from vultus.errors import InputError, StoreError, UnknownMethod
from vultus.sim import _mp4, clips, faces
from vultus.sim._defects import planned, spoiled
from vultus.sim._motion import wander
from vultus.sim.clips import ClipSim, Driver, count_frames, motion, story, write_mp4

SMALL = ClipSim(size=48, lod=0)
PERSON = faces.person_of(2800)
LOOKS = faces.Factors(hair_style="short", background="office", background_seed=5)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def planted():
    return SMALL.draw(rng(3), 24, people=2, cuts=1, low_quality=2)


@pytest.fixture(scope="module")
def turning():
    """A rigid turn: yaw, pitch and roll change, expression, gaze and light do not."""
    still = motion(rng(), 3, head="holds still", mood="keeping a straight face", lamp="none")
    pose = np.array([(-6, 2, 1), (0, 1, 2), (6, 0, 3)], np.float32)
    zero = replace(
        still, pose_deg=pose, expression=np.zeros((3, 14), np.float32), gaze_deg=np.zeros((3, 2), np.float32)
    )
    even = np.zeros((9, 3), np.float32)
    even[0] = 3.0  # light from everywhere: it turns with the head
    return ClipSim(size=128, lod=1).play(PERSON, replace(LOOKS, light_sh=even), zero)


# ---------------------------------------------------------------- frames and truth
def test_a_seed_gives_the_same_bytes(planted):
    again = SMALL.draw(rng(3), 24, people=2, cuts=1, low_quality=2)
    np.testing.assert_array_equal(planted.frames, again.frames)
    np.testing.assert_array_equal(planted.boxes, again.boxes)
    assert planted.caption == again.caption
    assert planted.low_quality == again.low_quality
    assert SMALL.draw(rng(4), 24).caption != planted.caption


def test_every_frame_is_the_picture_that_faces_draws():
    clip = SMALL.play(PERSON, LOOKS, motion(rng(), 3, head="nods", mood="talking"))
    for k, factors in enumerate(clip.shots[0].roles[0].factors):
        alone = faces.render(PERSON, factors, 48, 0)
        np.testing.assert_array_equal(clip.frames[k], alone.image)
        np.testing.assert_array_equal(clip.boxes[k, 0], alone.box)
        np.testing.assert_array_equal(clip.points68[k, 0], alone.points68)


def test_cuts_and_tracks_are_told(planted):
    assert planted.frames.shape == (24, 48, 72, 3)
    (cut,) = planted.cuts
    jump = np.abs(np.diff(planted.frames.astype(int), axis=0)).mean((1, 2, 3))
    clean = SMALL.draw(rng(5), 24, people=1, cuts=1)
    assert int(np.argmax(np.abs(np.diff(clean.frames.astype(int), axis=0)).mean((1, 2, 3)))) + 1 == clean.cuts[0]
    assert len(jump) == 23
    present = np.isfinite(planted.boxes[..., 0])
    assert (present.sum(1) == 2).all()
    assert len(planted.people) == 3
    tracks = planted.tracks()
    assert sum(len(frames) for _, frames, _ in tracks) == 48
    for person, frames, boxes in tracks:
        np.testing.assert_array_equal(boxes, planted.boxes[frames, person])
        assert set(np.flatnonzero(np.diff(frames) > 1)) <= {cut - 1}
    assert planted.caption.count(";") == 1
    assert planted.caption.count(" and a ") == 2


def test_low_quality_is_where_it_is_said(planted):
    clean = SMALL.draw(rng(3), 24, people=2, cuts=1)
    bad = {k for d in planted.low_quality for k in range(d.start, d.stop)}
    assert len(planted.low_quality) == 2
    again = spoiled(clean.frames, planted.low_quality)
    np.testing.assert_array_equal(again, planted.frames)
    differs = {k for k in range(24) if (clean.frames[k] != planted.frames[k]).any()}
    assert differs == bad
    for kind in clips.DEFECTS:
        worse = spoiled(clean.frames[:2], (clips.Defect(0, 2, kind, 1),))
        assert np.abs(worse.astype(int) - clean.frames[:2]).mean() > 1.5


def test_planned_segments_do_not_overlap():
    for seed in range(50):
        plan = planned(rng(seed), 60, 4)
        assert all(a.stop <= b.start for a, b in pairwise(plan))
        assert all(0 <= d.start < d.stop <= 60 for d in plan)


# ---------------------------------------------------------------- motions
@pytest.mark.parametrize(
    ("head", "axis", "sign"),
    [("turns left", 0, -1), ("turns right", 0, 1), ("looks up", 1, 1), ("looks down", 1, -1),
     ("tilts the head left", 2, -1), ("tilts the head right", 2, 1)],
)  # fmt: skip
def test_a_movement_does_what_it_says(head, axis, sign):
    made = motion(rng(1), 40, head=head, mood="keeping a straight face", lamp="none")
    change = made.pose_deg[-1] - made.pose_deg[0]
    assert sign * change[axis] > 10
    assert np.abs(np.delete(change, axis)).max() < 8
    assert made.words == head
    assert np.abs(np.diff(made.pose_deg, n=2, axis=0)).max() < 2.5  # smooth


def test_a_turn_to_the_left_moves_the_nose_to_the_left():
    clip = SMALL.play(PERSON, LOOKS, motion(rng(2), 12, head="turns left", mood="smiling", lamp="none"))
    assert clip.caption in ("a man turns left while smiling", "a woman turns left while smiling")
    nose = clip.points68[:, 0, 30, 0] - clip.points68[:, 0, :17, 0].mean(1)
    assert nose[-1] < nose[0] - 2
    expression = clip.shots[0].roles[0].factors[-1].expression
    assert expression[0] > 0.6


def test_nodding_comes_and_goes():
    made = motion(rng(2), 75, head="nods", mood="talking", lamp="none")
    pitch = made.pose_deg[:, 1]
    assert np.sum(np.diff(np.sign(pitch - pitch.mean())) != 0) >= 4
    assert np.ptp(pitch) > 10
    jaw = made.expression[:, 1]
    assert np.ptp(jaw) > 0.3


def test_light_moves_from_left_to_right():
    clip = SMALL.play(
        PERSON, replace(LOOKS, background="plain gray"),
        motion(rng(), 8, head="holds still", mood="keeping a straight face", lamp="light moves from left to right"),
    )  # fmt: skip
    side = clip.frames[..., :24, :].astype(float).mean((1, 2, 3)) - clip.frames[..., 24:, :].astype(float).mean(
        (1, 2, 3)
    )
    assert side[0] > side[-1] + 8


def test_noise_has_the_deviation_and_memory_it_says():
    made = wander(rng(), 20_000, 25.0, 0.4, 3.0, 4)
    np.testing.assert_allclose(made.std(0), 3.0, rtol=0.1)
    lag = np.mean(made[5:] * made[:-5]) / made.var()
    assert 0.7 < lag < 0.97


# ---------------------------------------------------------------- drivers
def test_a_driver_is_a_second_order_process_with_its_own_covariance():
    driver = Driver(11)
    signals = driver.signals(rng(), 40_000, 25.0)
    np.testing.assert_allclose(signals.mean(0), driver.rest, atol=0.12 * np.sqrt(np.diag(driver.covariance)).max())
    deviation = np.sqrt(np.diag(driver.covariance))
    got = np.cov(signals.T) / np.outer(deviation, deviation)
    np.testing.assert_allclose(got, driver.covariance / np.outer(deviation, deviation), atol=0.15)
    hidden = np.linalg.solve(driver._drawn["mix"], (signals - driver.rest).T)
    for x in hidden:  # two steps back explain it; what is left is white
        past = np.stack([x[1:-1], x[:-2]], 1)
        fit, *_ = np.linalg.lstsq(past, x[2:], rcond=None)
        left = x[2:] - past @ fit
        assert abs(np.corrcoef(left[1:], left[:-1])[0, 1]) < 0.03
        assert fit[1] < 0  # it swings


def test_drivers_are_told_apart_by_how_they_move():
    """Nearest covariance and mean of 8-second performances; chance is 1 in 12."""

    def mark(driver, seed):
        made = Driver(driver).perform(rng(1000 * driver + seed), 200)
        x = np.concatenate([made.au * 20, made.pose_deg], 1)
        return np.concatenate([x.mean(0), np.cov(x.T)[np.triu_indices(11)] / 10])

    known = np.stack([np.mean([mark(d, s) for s in range(3)], 0) for d in range(12)])
    right = [int(np.abs(known - mark(d, 9)).sum(1).argmin()) == d for d in range(12)]
    assert np.mean(right) > 0.5


def test_one_driver_drives_any_appearance():
    driver = Driver(5)
    acted = driver.perform(rng(1), 4, 25.0)
    assert acted.driver == 5
    assert acted.au.shape == (4, 8)
    first, second = (SMALL.play(faces.person_of(k), LOOKS, acted) for k in (2801, 2802))
    np.testing.assert_array_equal(first.pose_deg, second.pose_deg)
    assert (first.frames != second.frames).any()
    assert first.drivers == ((0, 0, 5),)
    driven = SMALL.draw(rng(), 12, cuts=1, driver=driver)
    assert {seed for _, _, seed in driven.drivers} == {5}


def test_blinks_come_at_the_driver_s_rate():
    for seed in (1, 2):
        driver = Driver(seed)
        closed = driver.perform(rng(seed), 25 * 240).expression[:, 10] > 0.5
        count = np.sum(np.diff(closed.astype(int)) == 1) / 4
        assert count == pytest.approx(driver.blinks_per_minute, rel=0.4)


# ---------------------------------------------------------------- flow
def sampled(values, points):
    x, y = points.T.astype(np.float32)
    return np.stack(
        [cv2.remap(np.ascontiguousarray(values[..., c]), x[None], y[None], cv2.INTER_LINEAR)[0] for c in (0, 1)], 1
    )


def test_the_flow_of_a_rigid_turn_carries_the_points(turning):
    """The 68 points lie on the mesh: where they are seen, flow must move them to where they are next."""
    for k in range(2):
        flow = turning.flow(k)
        points, goal = turning.points68[k, 0], turning.points68[k + 1, 0]
        inner = points[17:]  # brows, eyes, nose, mouth: not on the rim
        error = np.linalg.norm(points[17:] + sampled(flow.shift, inner) - goal[17:], axis=1)
        assert np.linalg.norm(goal - points, axis=1).max() > 1.5
        assert np.median(error) < 0.05
        assert error.max() < 0.5
        assert flow.exact.all()


def test_warping_the_next_frame_back_gives_this_one(turning):
    now, then = turning.frames[0].astype(np.float32), turning.frames[1].astype(np.float32)
    flow = turning.flow(0)
    y, x = np.mgrid[:128, :128].astype(np.float32)
    back = cv2.remap(then, x + flow.shift[..., 0], y + flow.shift[..., 1], cv2.INTER_LINEAR)
    face = faces.render(PERSON, turning.shots[0].roles[0].factors[0], 128, 1).parsing
    inside = cv2.erode(np.isin(face, range(1, 13)).astype(np.uint8), np.ones((5, 5))).astype(bool) & flow.visible
    assert inside.mean() > 0.1
    warped, still = np.abs(back - now)[inside].mean(), np.abs(then - now)[inside].mean()
    assert warped < 3.0
    assert warped < 0.5 * still


def test_what_turns_away_is_not_visible():
    still = motion(rng(), 2, head="holds still", mood="keeping a straight face", lamp="none")
    turn = replace(
        still, pose_deg=np.array([(0, 0, 0), (40, 0, 0)], np.float32), expression=np.zeros((2, 14), np.float32)
    )
    clip = ClipSim(size=64, lod=0).play(PERSON, replace(LOOKS, hair_style="bald"), turn)
    flow = clip.flow(0)
    parsing = faces.render(PERSON, clip.shots[0].roles[0].factors[0], 64, 0).parsing
    ears = [flow.visible[parsing == label].mean() for label in (8, 9)]
    assert ears[0] > 0.5 > ears[1]


def test_an_expression_is_not_exact_where_eyes_and_lips_are_drawn_anew():
    clip = SMALL.play(PERSON, LOOKS, motion(rng(2), 6, head="holds still", mood="smiling", lamp="none"))
    flow = clip.flow(2)
    parsing = faces.render(PERSON, clip.shots[0].roles[0].factors[2], 48, 0).parsing
    assert not flow.exact[np.isin(parsing, (4, 5, 11, 12))].any()
    assert flow.exact[parsing == 1].all()


def test_flow_of_two_people_is_that_of_each(planted):
    shot = planted.shots[0]
    flow = planted.flow(shot.start)
    assert flow.shift.shape == (48, 72, 2)
    still = np.abs(flow.shift).sum(-1) == 0
    assert 0.05 < still.mean() < 0.95
    for role in shot.roles[:1]:
        points, goal = (planted.points68[shot.start + j, role.person] for j in (0, 1))
        nose = points[30:31]
        assert np.linalg.norm(nose + sampled(flow.shift, nose) - goal[30]) < 0.5


def test_flow_across_a_cut_is_refused(planted):
    for frame in (planted.cuts[0] - 1, 23, 99):
        with pytest.raises(InputError, match="same shot"):
            planted.flow(frame)


# ---------------------------------------------------------------- files
def test_a_file_holds_every_frame(tmp_path, planted):
    place = tmp_path / "clip.mp4"
    assert write_mp4(place, iter(planted.frames), fps=planted.fps) == 24
    assert count_frames(place) == 24
    reader = cv2.VideoCapture(str(place))
    _, first = reader.read()
    assert reader.get(cv2.CAP_PROP_FPS) == pytest.approx(25)
    reader.release()
    assert np.abs(first[..., ::-1].astype(int) - planted.frames[0]).mean() < 12
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]


def test_an_interrupt_leaves_the_old_file(tmp_path, planted):
    place = tmp_path / "clip.mp4"
    place.write_bytes(b"old")

    def frames():
        yield planted.frames[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_mp4(place, frames())
    assert place.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_that_lost_frames_is_not_kept(tmp_path, planted, monkeypatch):
    monkeypatch.setattr(_mp4, "count_frames", lambda path: 3)
    with pytest.raises(StoreError, match="wrote 4 frames, read 3"):
        write_mp4(tmp_path / "clip.mp4", planted.frames[:4])
    assert not list(tmp_path.iterdir())


def test_a_missing_encoder_is_told(tmp_path, planted):
    """H.264 is in few builds: either it works or the message says what to use instead."""
    said = ""
    try:
        assert write_mp4(tmp_path / "clip.mp4", planted.frames[:4], codec="avc1") == 4
    except StoreError as error:
        said = str(error)
    assert not said or ("no encoder for 'avc1'" in said and "codec='mp4v'" in said)
    assert len(list(tmp_path.iterdir())) == (0 if said else 1)


@pytest.mark.parametrize(
    ("name", "frames", "words", "kind", "says"),
    [
        ("a.avi", [np.zeros((8, 8, 3), np.uint8)], {}, InputError, "mp4"),
        ("a.mp4", [], {}, InputError, "at least one frame"),
        ("a.mp4", [np.zeros((9, 8, 3), np.uint8)], {}, InputError, "even sides"),
        ("a.mp4", [np.zeros((8, 8), np.uint8)], {}, InputError, "frame 0"),
        ("a.mp4", [np.zeros((16, 16, 3), np.uint8), np.zeros((16, 18, 3), np.uint8)], {}, InputError, "frame 1"),
        ("a.mp4", [np.zeros((8, 8, 3), np.uint8)], {"codec": "mp4"}, UnknownMethod, "mp4v"),
        ("a.mp4", [np.zeros((8, 8, 3), np.uint8)], {"fps": 0}, InputError, "fps"),
        ("no/a.mp4", [np.zeros((8, 8, 3), np.uint8)], {}, StoreError, "no folder"),
    ],
)
def test_bad_files_are_refused(tmp_path, name, frames, words, kind, says):
    with pytest.raises(kind, match=says):
        write_mp4(tmp_path / name, frames, **words)
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- stories
@pytest.fixture(scope="module")
def album():
    return story(rng(1), n_characters=3, n_scenes=6, size_hw=(64, 112), lod=0)


def test_characters_keep_their_looks(album):
    assert len(album.characters) == 3
    assert len({c.name for c in album.characters}) == 3
    seen = set()
    for page in album.pages:
        seen |= set(page.present)
        for p, factors in zip(page.present, page.factors, strict=True):
            looks = album.characters[p].looks
            for name in ("hair_style", "hair_color", "glasses", "beard", "age"):
                assert getattr(factors, name) == getattr(looks, name)
            assert album.characters[p].name in page.caption
        others = [c.name for k, c in enumerate(album.characters) if k not in page.present]
        assert not any(name in page.caption for name in others)
    assert seen == {0, 1, 2}


def test_clothes_last_an_occasion(album):
    worn = {}
    for page in album.pages:
        for p, factors in zip(page.present, page.factors, strict=True):
            np.testing.assert_array_equal(worn.setdefault((page.occasion, p), factors.shirt), factors.shirt)
    places = {(page.occasion, page.place) for page in album.pages}
    assert len(places) == len({page.occasion for page in album.pages}) >= 2


def test_who_is_where_is_told(album):
    for page in album.pages:
        assert page.image.shape == (64, 112, 3)
        for p, box in zip(page.present, page.boxes, strict=True):
            x, y = np.rint((box[:2] + box[2:]) / 2).astype(int)
            if (page.people == p + 1).sum() > 200 and len(page.present) == 1:
                assert page.people[np.clip(y, 0, 63), np.clip(x, 0, 111)] == p + 1
    again = story(rng(1), n_characters=3, n_scenes=6, size_hw=(64, 112), lod=0)
    assert again.text == album.text
    np.testing.assert_array_equal(again.pages[-1].image, album.pages[-1].image)
    assert album.text.count(album.characters[0].about) == 1


# ---------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("call", "kind", "says"),
    [
        (lambda: ClipSim(size=50), InputError, "size"),
        (lambda: ClipSim(lod=3), InputError, "lod"),
        (lambda: ClipSim(fps=0), InputError, "fps"),
        (lambda: SMALL.draw(rng(), 10, people=3), InputError, "people"),
        (lambda: SMALL.draw(rng(), 10, cuts=2), InputError, "cuts"),
        (lambda: SMALL.draw(rng(), 10, low_quality=-1), InputError, "low_quality"),
        (lambda: SMALL.draw(rng(), 0), InputError, "n_frames"),
        (lambda: motion(rng(), 10, head="turns lefft"), UnknownMethod, "turns left"),
        (lambda: motion(rng(), 10, mood="smilling"), UnknownMethod, "smiling"),
        (lambda: motion(rng(), 10, lamp="dark"), UnknownMethod, "near names"),
        (lambda: SMALL.play(PERSON, replace(LOOKS, hat="helmet"), motion(rng(), 2)), UnknownMethod, "near names"),
        (lambda: SMALL.play(PERSON, LOOKS, None), InputError, "Motion"),
        (lambda: SMALL.play(None, LOOKS, motion(rng(), 2)), InputError, "expected a Person"),
        (lambda: SMALL.draw(rng(), 10, driver=3), InputError, "driver"),
        (lambda: Driver(-1), InputError, "seed"),
        (lambda: Driver(1).perform(rng(), 10, 0), InputError, "fps"),
        (lambda: story(rng(), n_characters=9), InputError, "n_characters"),
        (lambda: story(rng(), n_scenes=0), InputError, "n_scenes"),
        (lambda: story(rng(), size_hw=(8, 8)), InputError, "size_hw"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(call, kind, says):
    with pytest.raises(kind, match=says):
        call()
