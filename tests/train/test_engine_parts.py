"""Schedules, means of weights, precision, guards, accumulation, the recognizer: each against what is worked by hand."""

from __future__ import annotations

import math
import os
import signal

import numpy as np
import pytest
import torch

from tests.train.drawn import PEOPLE, SIZE, Drawn, backbone, recognizer
from tests.train.two_ranks_fit import Half
from tests.train.two_ranks_fit import recognizer as without_norms
from vultus import catalogue
from vultus.errors import InputError, WeightsError
from vultus.train.averages import Averages
from vultus.train.loops.supervised import Settings, fit
from vultus.train.optimizers import optimizer_of
from vultus.train.run import Rows
from vultus.train.schedules import rate_at
from vultus.train.stopping import Stopper
from vultus.train.trainable import Recognizer


def rates(**args) -> list[float]:
    settings = Settings(**{"steps": 8, **args})
    return [rate_at(settings, step) for step in range(settings.steps)]


def test_schedules_by_hand():
    assert rates(schedule="constant") == [1.0] * 8
    assert rates(schedule="constant", warmup=0.25)[:3] == pytest.approx([1 / 3, 2 / 3, 1])
    assert rates(schedule="poly", steps=4) == pytest.approx([1, 9 / 16, 1 / 4, 1 / 16])
    assert rates(schedule="cosine", steps=4) == pytest.approx([1, 0.5 + math.sqrt(0.125), 0.5, 0.5 - math.sqrt(0.125)])
    assert rates(schedule="step", milestones=(0.5, 0.75)) == pytest.approx([1] * 4 + [0.1] * 2 + [0.01] * 2)
    warm = rates(schedule="cosine", warmup=0.5)
    assert warm == pytest.approx([0.2, 0.4, 0.6, 0.8, *rates(schedule="cosine", steps=4)])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": 0}, "steps: expected a whole number from 1"),
        ({"lr": 0.0}, "lr: expected a number above 0"),
        ({"warmup": 1.0}, "warmup: expected a number from 0 to below 1"),
        ({"optimizer": "lion"}, "optimizer: expected one of sgd, adamw"),
        ({"precision": "int8"}, "precision: expected one of fp32, bf16, fp16"),
        ({"milestones": (0.5,)}, "with the schedule 'step', and with no other"),
        ({"schedule": "step"}, "with the schedule 'step', and with no other"),
        ({"schedule": "step", "milestones": (0.5, 0.5)}, "expected rising shares"),
        ({"clip": -1.0}, "clip: expected a number from 0"),
    ],
)
def test_settings_out_of_range_are_refused(change, words):
    with pytest.raises(InputError, match=words):
        Settings(**{"steps": 5, **change})


@pytest.mark.parametrize("power", [0.0, 0.75])
def test_means_of_weights_by_hand(power):
    class Single:
        def __init__(self):
            self.value = torch.tensor([8.0])

        def state(self):
            return {"value": self.value, "count": torch.tensor(3)}

        def load(self, state):
            self.value = state["value"].clone()

    single = Single()
    averages = Averages(single, 0.5, power)
    expected = 8.0
    for step, value in enumerate((4.0, 2.0, 1.0)):
        single.value = torch.tensor([value])
        averages.update(single, step)
        decay = min(0.5, 1 - (1 + step) ** -power) if power else 0.5
        expected = decay * expected + (1 - decay) * value
    assert float(averages.tensors["value"]) == pytest.approx(expected)
    assert expected == pytest.approx(2.5 if not power else 1.90540, abs=1e-4)
    with averages.held(single):
        assert float(single.value) == pytest.approx(expected)
    assert float(single.value) == 1.0


def test_rows_keep_what_each_step_had():
    rows, given = Rows(), [{"a": 1.0}, {"a": 2.0, "b": math.inf}, {"b": 3.0}]
    for row in given:
        rows.append(row)
    assert list(rows) == rows[:] == given
    assert (rows[-1], rows[-2:], len(rows)) == (given[2], given[1:], 3)
    with pytest.raises(IndexError):
        rows[3]
    np.testing.assert_array_equal(rows.columns()["b"], [np.nan, np.inf, 3.0])
    assert list(Rows(rows.columns())) == given
    assert list(Rows()) == []


class Watch:
    """Keeps what it was told; `odd` is added to the loss as a part of that name."""

    def __init__(self, odd=None, batch=None) -> None:
        self.odd, self.batch, self.seen, self.weights = odd, batch, [], []

    def on_batch(self, batch, step, trainable):
        return {**batch, **(self.batch or {})}

    def extra_loss(self, batch, features, step, trainable):
        self.seen.append((features.raw.dtype, batch["image"].dtype))
        return {} if self.odd is None else {"odd": self.odd(features.raw, step)}

    def on_step(self, step, run):
        self.weights.append(run.trainable.backbone.conv1.weight.detach().clone())
        self.run = run

    def on_eval(self, step, run):
        mean = run.averages.tensors["backbone.conv1.weight"]
        assert torch.equal(run.trainable.backbone.conv1.weight, mean)
        return {"mean": float(mean.sum())}


class Spy:
    """CosFace that notes the type of its cosines."""

    needs_norm = False

    def __init__(self) -> None:
        self.inner, self.types = catalogue.load("cosface", scale=8.0), set()

    def logits(self, cos, labels, *, norm=None, raw=None):
        self.types |= {cos.dtype, norm.dtype, raw.dtype}
        return self.inner.logits(cos, labels, norm=norm, raw=raw)

    def reduce(self, logits, labels):
        return self.inner.reduce(logits, labels)


@pytest.mark.parametrize(("precision", "kind"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_the_network_is_in_half_precision_and_losses_are_not(precision, kind):
    spy = Spy()
    trainable = Recognizer(without_norms("class").backbone, classes=PEOPLE, loss=spy, pair=catalogue.load("triplet"))
    watch = Watch()
    watch.on_step = lambda step, run: None
    settings = Settings(steps=2, lr=0.01, precision=precision, ema=0.5)
    watch.on_eval = lambda step, run: {}
    history = fit(trainable, Drawn(), settings, hooks=[watch])
    assert watch.seen[0] == (kind, torch.float32)
    assert spy.types == {torch.float32}
    assert all(one.dtype == torch.float32 for one in trainable.parameters())
    whole = fit(without_norms("both"), Drawn(), Settings(steps=2, lr=0.01))
    assert 0 < abs(history.loss[0] - whole.loss[0]) < 0.5


def test_scaled_gradients_that_overflow_leave_a_step_out():
    watch = Watch(odd=lambda raw, step: raw.float().sum() * (1e3 if step < 2 else 1e-6))
    trainable = recognizer()
    history = fit(
        trainable, Drawn(), Settings(steps=4, lr=0.1, precision="fp16", ema=0.9, schedule="constant"), hooks=[watch]
    )
    start = recognizer().backbone.conv1.weight
    assert torch.equal(watch.weights[1], start)
    assert not torch.equal(watch.weights[3], watch.weights[2])
    assert np.isinf(history.parts["norm"][:2]).all()
    assert np.isfinite(history.parts["norm"][2:]).all()
    assert watch.run.precision.scale == 2.0**14


def test_a_part_or_a_gradient_that_is_none_is_named():
    with pytest.raises(
        WeightsError, match=r"step 1: expected a finite loss, got odd nan, loss nan; pictures 8, 9, 10, "
    ):
        fit(
            recognizer(),
            Drawn(),
            Settings(steps=3),
            hooks=[Watch(odd=lambda raw, step: raw.sum() * (math.nan if step else 1))],
        )
    trainable = recognizer()
    words = r"step 0: expected a finite gradient, got nan in backbone.*; pictures 0, 1, 2, 3, 4, 5, 6, 7 of the source"
    with pytest.raises(WeightsError, match=words):
        fit(trainable, Drawn(), Settings(steps=3), hooks=[Watch(odd=lambda raw, step: (raw.sum() * 0).sqrt())])
    assert torch.equal(trainable.backbone.conv1.weight, recognizer().backbone.conv1.weight)


def test_batches_of_a_step_count_as_one():
    settings = {"steps": 3, "lr": 0.002, "weight_decay": 0.01, "clip": 0.0}  # a limit would hide a factor

    class Halves:
        def batches(self, start):
            assert start == 0
            for batch in Half().batches(0):
                for first in (0, 1):
                    yield {name: value[first::2] for name, value in batch.items()}

    whole, parts = (Recognizer(without_norms("sum").backbone, classes=PEOPLE, loss=Spy()) for _ in range(2))
    one = fit(whole, Half(), Settings(**settings))
    two = fit(parts, Halves(), Settings(**settings, accumulate=2))
    np.testing.assert_allclose(one.loss, two.loss, rtol=1e-5)
    for name, value in whole.state().items():
        torch.testing.assert_close(parts.state()[name], value, rtol=1e-4, atol=1e-6)


def test_norms_and_biases_do_not_decay():
    groups = optimizer_of(recognizer("sphereface2").parameter_groups(), Settings(1, weight_decay=0.1)).param_groups
    weights, others, centers = groups
    assert (weights["weight_decay"], others["weight_decay"], centers["weight_decay"]) == (0.1, 0.0, 0.1)
    assert all(one.ndim > 1 for one in weights["params"])
    assert {"backbone.bn1.weight", "backbone.fc.bias", "class_loss.bias", "backbone.prelu.weight"} <= set(
        others["param_names"]
    )
    assert centers["param_names"] == ["centers.rows"]
    frozen = recognizer()
    frozen.backbone.requires_grad_(False)
    frozen.centers.requires_grad_(False)
    with pytest.raises(InputError, match="at least one parameter to train, got none"):
        optimizer_of([group for group in frozen.parameter_groups() if not group.get("sharded")], Settings(1))


def test_evaluation_sees_the_means_and_training_does_not(tmp_path):
    watch, trainable = Watch(), recognizer()
    history = fit(trainable, Drawn(), Settings(steps=4, lr=0.1, ema=0.8, eval_every=2), out=tmp_path, hooks=[watch])
    assert [row["step"] for row in history.evals] == [2, 4]
    plain = Watch()
    plain.on_eval = lambda step, run: {}
    fit(recognizer(), Drawn(), Settings(steps=4, lr=0.1), hooks=[plain])
    for one, other in zip(watch.weights, plain.weights, strict=True):
        assert torch.equal(one, other)
    assert float(trainable.state()["backbone.conv1.weight"].sum()) == pytest.approx(history.evals[-1]["mean"])
    rows = (tmp_path / "summary.csv").read_text().splitlines()
    assert rows[0] == "step,mean"
    assert float(rows[2].split(",")[1]) == history.evals[-1]["mean"]


def test_a_second_ctrl_c_ends_it_now():
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]  # other tests may have changed them
    with Stopper() as stopper:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopper.asked
        with pytest.raises(KeyboardInterrupt, match="without saving"):
            os.kill(os.getpid(), signal.SIGTERM)
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_signal_that_is_ignored_stays_so():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as nohup and a shell's "&" leave it
    try:
        with Stopper() as stopper:
            os.kill(os.getpid(), signal.SIGINT)
            assert not stopper.asked
            os.kill(os.getpid(), signal.SIGTERM)
            assert stopper.asked
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_recognizer_by_hand():
    feed = next(Drawn().batches(0))
    pair = catalogue.load("contrastive")
    both = Recognizer(backbone(), classes=PEOPLE, loss=catalogue.load("sphereface"), pair=pair, weight=0.25)
    out = both.loss(feed, 100)
    assert both.class_loss.blend == pytest.approx(1000 / 13)  # of step 100, as released
    alone = Recognizer(backbone(), pair=pair).loss(feed, 0)
    assert float(out.parts["pair"]) == pytest.approx(0.25 * float(alone.total.detach()), rel=1e-5)
    assert float(out.total.detach()) == pytest.approx(float(out.parts["class"]) + float(out.parts["pair"]), rel=1e-6)
    some = {**feed, "label": torch.where(torch.arange(8) < 4, feed["label"], -1)}
    unknown = both.loss(some, 100)
    logits = both.class_loss.logits(
        unknown.features.unit[:4] @ torch.nn.functional.normalize(both.centers.rows).T,
        feed["label"][:4],
        norm=unknown.features.norm[:4],
    )
    assert float(unknown.parts["class"]) == pytest.approx(
        float(both.class_loss.reduce(logits, feed["label"][:4]).detach()), rel=1e-4
    )


def test_pictures_are_normalized_inside():
    net, seen = recognizer(), []
    net.backbone.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    levels = torch.tensor((0.0, 0.5, 1.0)).repeat_interleave(4)
    batch = {"image": levels[:, None, None, None].expand(12, 3, SIZE, SIZE), "label": torch.arange(12) % PEOPLE}
    net.loss(batch, 0)
    net.embed(np.full((1, SIZE, SIZE, 3), 255, np.uint8))
    assert [float(seen[0][row].unique()) for row in (0, 4, 8)] == [-1.0, 0.0, 1.0]
    assert float(seen[1].unique()) == 1.0


def test_embed_is_in_evaluation_mode_and_takes_any_size():
    net = recognizer()
    fit(net, Drawn(), Settings(steps=3))
    before = {name: value.clone() for name, value in net.state().items()}
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (3, SIZE, SIZE, 3), np.uint8)
    one, flipped = net.embed(images), net.embed(images, flip=True)
    assert net.training
    assert all(torch.equal(before[name], value) for name, value in net.state().items())
    np.testing.assert_allclose(flipped, net.embed(images[:, :, ::-1], flip=True), atol=1e-5)
    assert np.abs(flipped - one).max() > 1e-3
    ramp = np.linspace(0, 250, 2 * SIZE, dtype=np.float32)
    large = np.stack(
        [np.add.outer(ramp, ramp) / 2, np.add.outer(ramp[::-1], ramp) / 2, np.tile(ramp, (2 * SIZE, 1))], -1
    )
    small = large.reshape(SIZE, 2, SIZE, 2, 3).mean((1, 3))
    both = [net.embed(one.round().astype(np.uint8)[None])[0] for one in (large, small)]
    assert both[0] @ both[1] > 0.99
    assert net.embed(images[:0]).shape == (0, 16)
    net.eval()
    net.embed(images)
    assert not net.training


def test_a_state_of_another_network_is_refused():
    with pytest.raises(InputError, match=r"expected backbone.bn1.bias of shape \(4,\), got none"):
        recognizer().load({})
