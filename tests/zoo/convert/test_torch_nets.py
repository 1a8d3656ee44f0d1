"""RetinaFace, EXTD and MobileFaceNet as ONNX against the authors' own networks in PyTorch."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from vultus.errors import InputError
from vultus.testing import golden
from vultus.zoo.cards import card

GOLDEN = Path(__file__).parents[2] / "golden" / "zoo_convert"
SIZE_HW = (70, 100)
NETS = {
    "retinaface_mobile025": ("retinaface", "retinaface/mobilenet0.25_Final.pth", "retinaface"),
    "extd_32": ("extd", "extd/EXTD_32.pth", "extd_32"),
    "extd_48": ("extd", "extd/EXTD_48.pth", "extd_48"),
    "extd_64": ("extd", "extd/EXTD_64.pth", "extd_64"),
    "mobilefacenet_casia": ("mobilefacenet", "mobilefacenet_casia/068.ckpt", "mobilefacenet"),
}
PARAMETERS = {"extd_32": 62_939, "extd_48": 100_160, "extd_64": 162_352}  # the paper says 0.063, 0.10 and 0.16 million


def converted(card_id, weights):
    module, file, _ = NETS[card_id]
    return import_module(f"vultus.zoo.convert.{module}").convert(weights / file, card(card_id))


def session(model):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def picture(shape, seed=7):
    return np.random.default_rng(seed).uniform(-120, 120, shape).astype(np.float32)


@pytest.mark.parametrize("card_id", NETS)
def test_answers_of_the_authors_network(card_id, weights_dir):
    net = session(converted(card_id, weights_dir))
    x = picture((2, 3, 112, 96)) / 120 if card_id.startswith("mobile") else picture((1, 3, *SIZE_HW))
    want = golden.load(GOLDEN, NETS[card_id][2])
    names = [item.name for item in net.get_outputs()]
    assert sorted(names) == sorted(want.arrays)
    for name, value in zip(names, net.run(names, {"input": x.astype(np.float32)}), strict=True):
        golden.compare(f"{card_id}.{name}", value, want[name], rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("card_id", NETS)
def test_the_same_bytes_every_time(card_id, weights_dir):
    assert converted(card_id, weights_dir) == converted(card_id, weights_dir)


@pytest.mark.parametrize("card_id", [key for key in NETS if not key.startswith("mobile")])
@pytest.mark.parametrize("size_hw", [(64, 64), (96, 160), (33, 47)])
def test_any_size_and_batch_equals_one_by_one(card_id, size_hw, weights_dir):
    net = session(converted(card_id, weights_dir))
    x = picture((3, 3, *size_hw), seed=1)
    together = net.run(None, {"input": x})
    strides, per_place = ((8, 16, 32), 2) if card_id.startswith("retina") else ((4, 8, 16, 32, 64, 128), 1)
    anchors = per_place * sum(-(-size_hw[0] // s) * -(-size_hw[1] // s) for s in strides)
    assert {value.shape[:2] for value in together} == {(3, anchors)}
    for k in range(3):
        for whole, alone in zip(together, net.run(None, {"input": x[k : k + 1]}), strict=True):
            np.testing.assert_allclose(whole[k], alone[0], rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("card_id", PARAMETERS)
def test_reused_weights_are_stored_once(card_id, weights_dir):
    model = onnx.load_model_from_string(converted(card_id, weights_dir))
    stored = sum(np.prod(item.dims) for item in model.graph.initializer if item.data_type == onnx.TensorProto.FLOAT)
    assert stored <= PARAMETERS[card_id]  # normalization is folded away, nothing is there twice


def test_a_checkpoint_of_another_network_is_refused(weights_dir):
    for module, file in (("extd", NETS["retinaface_mobile025"][1]), ("retinaface", NETS["extd_32"][1])):
        convert = import_module(f"vultus.zoo.convert.{module}").convert
        with pytest.raises(InputError, match="expected"):
            convert(weights_dir / file, card("extd_32"))


def test_a_checkpoint_with_something_left_over_is_refused(weights_dir, monkeypatch):
    from vultus.zoo.convert import mobilefacenet

    read = mobilefacenet.read_state
    monkeypatch.setattr(mobilefacenet, "read_state", lambda path: read(path) | {"extra.weight": np.zeros(1)})
    with pytest.raises(InputError, match=r"unused tensors: extra\.weight"):
        converted("mobilefacenet_casia", weights_dir)
