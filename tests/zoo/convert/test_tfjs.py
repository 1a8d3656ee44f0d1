"""Face Mesh as ONNX against TensorFlow.js itself, and what the reader refuses."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.errors import InputError
from vultus.testing import golden
from vultus.zoo.cards import card
from vultus.zoo.convert.tfjs import facemesh, read_model
from vultus.zoo.session import open_session

GOLDEN = Path(__file__).parents[2] / "golden" / "zoo_convert"


@pytest.mark.models("accurate")
def test_answers_of_tensorflow_js():
    picture = np.random.default_rng(7).uniform(0, 1, (2, 192, 192, 3)).astype(np.float32)
    session = open_session("facemesh")
    mesh, score = session.run({"input": np.ascontiguousarray(picture.transpose(0, 3, 1, 2))})
    want = golden.load(GOLDEN, "facemesh")
    assert list(session.outputs) == ["mesh", "score"]
    golden.compare("mesh in pixels of 192", mesh, want["mesh"], rtol=1e-5, atol=1e-3)
    golden.compare("score", score, want["score"], rtol=1e-4, atol=1e-6)


@pytest.mark.models("accurate")
def test_the_batch_equals_one_by_one():
    x = np.random.default_rng(3).uniform(0, 1, (5, 3, 192, 192)).astype(np.float32)
    session = open_session("facemesh")
    mesh, score = session.run({"input": x})
    for k in range(len(x)):
        alone = session.run({"input": x[k : k + 1]})
        np.testing.assert_allclose(mesh[k], alone[0][0], atol=1e-3)
        np.testing.assert_allclose(score[k], alone[1][0], atol=1e-6)


def _text(value):
    return {"s": base64.b64encode(value.encode()).decode()}


FOUR = {"list": {"i": ["1"] * 4}}


def toy(op="Sigmoid", **changes):
    """A graph of one node between input and both outputs."""
    nodes = [
        {"name": "x", "op": "Placeholder"},
        {"name": "w", "op": "Const"},
        {"name": "y", "op": op, "input": ["x", *changes.pop("inputs", [])], "attr": changes.pop("attr", {})},
        {"name": "flat", "op": "Reshape", "input": ["y", "w"]},
        {"name": "mesh", "op": "Identity", "input": ["flat:0"]},
    ]
    weight = {"name": "w", "shape": [2], "dtype": "int32"}
    return {
        "format": "graph-model",
        "signature": {
            "inputs": {"x": {"name": "x:0"}},
            "outputs": {"output_mesh": {"name": "mesh:0"}, "output_faceflag": {"name": "flat:0"}},
        },
        "modelTopology": {"node": nodes},
        "weightsManifest": [{"paths": ["toy.bin"], "weights": [weight | changes.pop("weight", {})]}],
    } | changes


VALUES = np.array([-1, 1404], "<i4").tobytes()


def written(folder, whole, data=VALUES):
    (folder / "toy.bin").write_bytes(data)
    path = folder / "toy.json"
    path.write_text(json.dumps(whole))
    return path


def test_a_toy_graph_is_converted(tmp_path):
    assert facemesh(written(tmp_path, toy()), card("facemesh"))


def test_float16_weights_become_float32(tmp_path):
    half = {"dtype": "float32", "quantization": {"dtype": "float16"}}
    model = read_model(written(tmp_path, toy(weight=half), np.array([1.5, -2.0], "<f2").tobytes()))
    assert model.weights["w"].dtype == np.float32
    assert model.weights["w"].tolist() == [1.5, -2.0]


@pytest.mark.parametrize(
    ("whole", "data", "message"),
    [
        (toy("FusedBatchNormV3"), VALUES, "got FusedBatchNormV3"),
        (toy("MaxPool", attr={"padding": _text("FULL"), "strides": FOUR, "ksize": FOUR}), VALUES, "SAME"),
        (toy(inputs=["mesh"]), VALUES, "cycle"),
        (toy(), VALUES[:-1], "end of the weight file"),
        (toy(), VALUES + b"x", "expected 8 bytes"),
        (toy(weight={"dtype": "string"}), VALUES, "got string"),
        (toy(weight={"shape": [-2]}), VALUES, "expected float32"),
        (toy(weightsManifest=[{"paths": ["../toy.bin"], "weights": []}]), VALUES, "beside it"),
        (toy(weightsManifest=[{"paths": ["none.bin"], "weights": []}]), VALUES, "beside it"),
        (toy(format="layers-model"), VALUES, "layers-model"),
        (toy(signature={"inputs": {}, "outputs": {}}), VALUES, "output_mesh"),
        (toy(modelTopology={}), VALUES, "damaged"),
        ([], VALUES, "damaged"),
    ],
)
def test_refusals_say_what_came(whole, data, message, tmp_path):
    with pytest.raises(InputError, match=message):
        facemesh(written(tmp_path, whole, data), card("facemesh"))


TEXT = json.dumps(toy())


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_json_raises_nothing_but_input_errors(data, tmp_path_factory):
    text = bytearray(TEXT.encode())
    for _ in range(data.draw(st.integers(1, 5))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(
            st.sampled_from(b'{}[]":,0129-xwyn ') | st.integers(0, 255)
        )
    folder = tmp_path_factory.getbasetemp()
    written(folder, {})
    (folder / "toy.json").write_bytes(text)
    with suppress(InputError):
        facemesh(folder / "toy.json", card("facemesh"))
