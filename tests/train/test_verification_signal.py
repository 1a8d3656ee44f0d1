from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.train.drawn import PEOPLE, Drawn  # noqa: E402
from vultus import catalogue  # noqa: E402
from vultus.errors import InputError  # noqa: E402
from vultus.train.loops.supervised import Settings, fit  # noqa: E402
from vultus.train.trainable import Recognizer  # noqa: E402
from vultus.train.verification_signal import VerificationSignal  # noqa: E402


def out(raw, grid=None):
    return SimpleNamespace(raw=torch.tensor(raw), grid=None if grid is None else torch.tensor(grid))


def test_the_weight_grows_twentyfold_in_a_straight_line():
    signal = VerificationSignal(101)
    assert signal.weight(0) == pytest.approx(3.2e-4)
    assert signal.weight(50) == pytest.approx((3.2e-4 + 6.4e-3) / 2)
    assert signal.weight(100) == signal.weight(500) == pytest.approx(6.4e-3)
    assert VerificationSignal(1).weight(0) == pytest.approx(3.2e-4)


def test_it_weighs_both_kinds_of_pairs_by_hand():
    # labels 0 0 1; 0-1 alike: squared distance 4; 0-2 and 1-2 apart: distances 1 and 3, margin 5: 16 and 4
    signal = VerificationSignal(2, start=0.5, end=2.0, args={"unit": False, "margin": 5.0})
    batch = {"label": torch.tensor([0, 0, 1])}
    rows = [[0.0], [2.0], [-1.0]]
    for step, weight in ((0, 0.5), (1, 2.0)):
        found = signal.extra_loss(batch, out(rows), step, None)
        assert found["verification"].item() == pytest.approx(weight * (4 + 16 + 4) / 3)
    same = signal.extra_loss({"label": torch.tensor([0, 0])}, out(rows[:2]), 0, None)
    apart = signal.extra_loss({"label": torch.tensor([0, 1])}, out(rows[:2]), 0, None)
    assert same["verification"].item() == pytest.approx(0.5 * 4)
    assert apart["verification"].item() == pytest.approx(0.5 * 9)


def test_the_whole_vector_is_the_mean_of_the_last_map():
    signal = VerificationSignal(1, start=1.0, args={"unit": False, "margin": 5.0}, whole=True)
    grid = np.zeros((2, 1, 1, 2), np.float32)
    grid[1] = [[[2.0, 4.0]]]
    batch = {"label": torch.tensor([0, 0])}
    assert signal.extra_loss(batch, out([[9.0], [9.0]], grid), 0, None)["verification"].item() == pytest.approx(9)
    with pytest.raises(InputError, match="last map"):
        signal.extra_loss(batch, out([[9.0], [9.0]]), 0, None)


def test_it_joins_a_loop_and_pulls_a_person_together():
    def spread(hooks):
        net = catalogue.load("casia11.tiny", generator=torch.Generator().manual_seed(0))
        recognizer = Recognizer(net, classes=PEOPLE, loss=catalogue.load("softmax"))
        history = fit(recognizer, Drawn(8), Settings(steps=6, optimizer="adamw", lr=1e-3), hooks=hooks)
        batch = Drawn(8).batches(0).__next__()
        recognizer.eval()
        vectors = torch.nn.functional.normalize(recognizer.features(batch["image"]).raw, dim=1)
        return history, vectors.var(0).sum().item()

    plain, apart = spread([])
    history, together = spread([VerificationSignal(6, start=50.0, end=50.0, args={"margin": 1e-3}, whole=True)])
    assert "verification" in history.parts
    assert "verification" not in plain.parts
    assert together < apart


@pytest.mark.parametrize(
    ("args", "said"),
    [*(({"steps": bad}, "at least 1") for bad in (0, 1.5, True)), ({"steps": 2, "end": -1.0}, "weight from 0")],
)
def test_settings_out_of_range_are_refused(args, said):
    with pytest.raises(InputError, match=said):
        VerificationSignal(**args)
