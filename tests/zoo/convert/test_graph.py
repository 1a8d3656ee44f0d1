import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from zoo_weights import tiny_model

from vultus.errors import InputError
from vultus.zoo.cards import card
from vultus.zoo.convert import centerface, graph, insight


def run(model: bytes, **feeds: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"]).run(None, feeds)[0]


@pytest.fixture
def published(tmp_path, tiny):
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny)
    return path


def test_initializers_become_constants_and_unused_ones_go(published, tmp_path):
    published.write_bytes(tiny_model(padding=10))
    model = onnx.load_from_string(insight.clean(published, card("fr_feature")))
    assert [item.name for item in model.graph.input] == ["picture"]
    assert "unused" not in {item.name for item in model.graph.initializer}


def test_a_batch_gives_what_its_pictures_give(published, tiny):
    made = insight.convert(published, card("fr_feature"))
    pictures = np.random.default_rng(1).normal(size=(6, 3, 4, 4)).astype(np.float32)
    want = np.concatenate([run(tiny, picture=picture[None]) for picture in pictures])
    np.testing.assert_allclose(run(made, picture=pictures), want, atol=1e-6)
    assert "PRelu" not in {node.op_type for node in onnx.load_from_string(made).graph.node}


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), channels=st.integers(1, 5), scale=st.sampled_from([1e-6, 1.0, 1e6]))
def test_split_prelu_is_prelu(seed, channels, scale):
    """Against NumPy's own max and min: x where positive, slope times x elsewhere; any sign, one or many."""
    rng = np.random.default_rng(seed)
    slope = rng.normal(size=(channels, 1, 1)).astype(np.float32)
    x = (rng.normal(size=(2, channels, 3, 3)) * scale).astype(np.float32)
    x[0, 0, 0, 0] = 0.0
    made = helper.make_graph(
        [helper.make_node("PRelu", ["x", "slope"], ["y"])],
        "prelu",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, channels, 3, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, channels, 3, 3])],
        [numpy_helper.from_array(slope, "slope")],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    graph.split_prelu(model)
    assert "PRelu" not in {node.op_type for node in model.graph.node}
    got, want = run(graph.finish(model), x=x), np.maximum(x, 0) + slope * np.minimum(x, 0)
    np.testing.assert_array_equal(got[x >= 0], want[x >= 0])
    assert np.all(np.abs(got - want) <= 3e-7 * np.abs(x) * (1 + np.abs(slope)))


def test_prelu_with_slopes_of_another_shape_stays():
    """A slope per column is no factor per channel."""
    slope = np.array([0.5, 2.0, -1.0], np.float32)
    made = helper.make_graph(
        [helper.make_node("PRelu", ["x", "slope"], ["y"])],
        "columns",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 2, 2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 2, 2, 3])],
        [numpy_helper.from_array(slope, "slope")],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    graph.split_prelu(model)
    x = np.arange(-12, 12, dtype=np.float32).reshape(2, 2, 2, 3)
    np.testing.assert_array_equal(run(graph.finish(model), x=x), np.maximum(x, 0) + slope * np.minimum(x, 0))


def test_shared_reshape_constant_stays_for_the_others():
    """Two nodes read one constant [1, 16]; only the reshape may see another first size."""
    constants = [numpy_helper.from_array(np.array([1, 16], np.int64), "shape")]
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["flat"]),
        helper.make_node("Cast", ["shape"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["numbers"], ["total"], keepdims=0),
        helper.make_node("Add", ["flat", "total"], ["y"]),
    ]
    made = helper.make_graph(
        nodes,
        "shared",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 16])],
        constants,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    graph.free_batch(model)
    x = np.arange(48, dtype=np.float32).reshape(3, 4, 4)
    np.testing.assert_array_equal(run(graph.finish(model), x=x), x.reshape(3, 16) + 17)


def test_bytes_that_are_no_onnx(tmp_path):
    path = tmp_path / "x.onnx"
    for content in (b"", b"\x08\x01", b"text that is no network" * 10, tiny_model()[:200]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"x\.onnx: expected an ONNX model"):
            insight.convert(path, card("fr_feature"))


def test_centerface_converter_refuses_another_graph(published):
    with pytest.raises(InputError, match="another graph"):
        centerface.convert(published, card("centerface"))


@pytest.mark.models
def test_centerface_any_size_equals_the_published_graph(models_home):
    """The published file runs at its own size 10x3x32x32; there both must agree, and a picture alone must too."""
    from vultus.zoo import store

    ready = store.ensure("centerface")
    published = ready.parent / "published" / "centerface.onnx"
    pictures = np.random.default_rng(0).uniform(0, 255, (10, 3, 32, 32)).astype(np.float32)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    both = [
        onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        for path in (published, ready)
    ]
    old, new = both[0].run(None, {"input.1": pictures}), both[1].run(None, {"input": pictures})
    for a, b in zip(old, new, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    alone = both[1].run(None, {"input": pictures[3:4]})
    for a, b in zip(new, alone, strict=True):
        np.testing.assert_allclose(a[3:4], b, rtol=1e-3, atol=1e-4)
    wide = both[1].run(None, {"input": np.zeros((1, 3, 64, 128), np.float32)})
    assert [a.shape for a in wide] == [(1, 1, 16, 32), (1, 2, 16, 32), (1, 2, 16, 32), (1, 10, 16, 32)]


@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize(("sizes", "convolutions"), [((2, 8, 20), 1), ((16, 16), 2), ((144, 24), 2)])
def test_thin_heads_of_one_map_become_one_convolution(sizes, convolutions, opset):
    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), f"{kind}{i}")
        for i, size in enumerate(sizes)
        for kind, shape in (("w", (size, 4, 3, 3)), ("b", (size,)))
    ]
    nodes = [
        helper.make_node("Conv", ["x", f"w{i}", f"b{i}"], [f"y{i}"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        for i in range(len(sizes))
    ]
    outputs = [
        helper.make_tensor_value_info(f"y{i}", TensorProto.FLOAT, (1, size, 6, 6)) for i, size in enumerate(sizes)
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4, 6, 6))
    heads = helper.make_graph(nodes, "heads", [x], outputs, weights)
    model = helper.make_model(heads, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    feed = rng.standard_normal((1, 4, 6, 6)).astype(np.float32)
    want = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": feed})
    graph.join_convolutions(model)
    assert sum(node.op_type == "Conv" for node in model.graph.node) == convolutions
    got = onnxruntime.InferenceSession(graph.finish(model)).run(None, {"x": feed})
    for a, b in zip(want, got, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
