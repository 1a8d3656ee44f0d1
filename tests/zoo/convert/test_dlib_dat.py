"""dlib's .dat reader: on a miniature network written here byte by byte, and against dlib itself on its real one."""

import struct

import numpy as np
import onnxruntime
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from vultus.errors import InputError
from vultus.zoo.cards import card
from vultus.zoo.convert.dlib_dat import convert, read_layers

# ---------------------------------------------------------------- a miniature network in dlib's serialization


def whole(value: int) -> bytes:
    size = max(1, (abs(value).bit_length() + 7) // 8)
    return bytes([size | (0x80 if value < 0 else 0)]) + abs(value).to_bytes(size, "little")


def name(text: str) -> bytes:
    return whole(len(text)) + text.encode()


def tensor(values: np.ndarray) -> bytes:
    return b"".join(map(whole, (2, values.size, 1, 1, 1))) + values.astype("<f4").tobytes()


LEFTOVERS = b"110" + whole(0) * 5  # flags and empty tensors that dlib stores after a layer


class Miniature:
    """Writes the network and computes it, the second with nothing but NumPy in dlib's own order of steps."""

    def __init__(self, size: int = 39, seed: int = 0):
        self.rng = np.random.default_rng(seed)
        self.size, self.steps = size, []
        self.means = [(100 << 10, -10), (110 << 10, -10), (120 << 10, -10)]
        self.data = whole(1) + whole(1) + name("loss_metric_2") + whole(2) * 20 + name("input_rgb_image_sized")
        for mantissa, exponent in self.means:
            self.data += whole(mantissa) + whole(exponent)
        self.data += whole(size) * 2

    def con(self, inputs, outputs, size, stride):
        pad = 0 if stride != 1 else size // 2
        weight = self.rng.normal(size=(outputs, inputs, size, size)) / np.sqrt(inputs * size * size)
        bias, gamma, beta = self.rng.normal(size=(3, outputs)) * 0.2 + [[0.0], [1.0], [0.0]]
        self.data += name("con_4") + tensor(np.concatenate([weight.ravel(), bias]))
        self.data += b"".join(map(whole, (outputs, size, size, stride, stride, pad, pad))) + LEFTOVERS
        self.data += name("affine_") + tensor(np.concatenate([gamma, beta])) + LEFTOVERS
        weight, bias, gamma, beta = (np.float32(v).astype(np.float64) for v in (weight, bias, gamma, beta))
        return lambda x: conv(x, weight, bias, stride, pad) * gamma[:, None, None] + beta[:, None, None]

    def layer(self, text: str, *ints: int):
        self.data += name(text) + b"".join(map(whole, ints)) + LEFTOVERS

    def head(self, channels):
        first = self.con(3, channels, 7, 2)
        self.layer("relu_")
        self.layer("max_pool_2", 3, 3, 2, 2, 0, 0)
        self.steps.append(lambda x: pool(np.maximum(first(x), 0), 3, 2, np.max))

    def block(self, inputs, outputs, down):
        one = self.con(inputs, outputs, 3, 2 if down else 1)
        self.layer("relu_")
        two = self.con(outputs, outputs, 3, 1)
        if down:
            self.layer("avg_pool_2", 2, 2, 2, 2, 0, 0)
        self.layer("add_prev_")
        self.layer("relu_")

        def step(x):
            return np.maximum(add(two(np.maximum(one(x), 0)), pool(x, 2, 2, np.mean) if down else x), 0)

        self.steps.append(step)

    def tail(self, channels, outputs):
        self.layer("avg_pool_2", 0, 0, 1, 1, 0, 0)
        weight = np.float32(self.rng.normal(size=(channels, outputs))).astype(np.float64)
        self.data += name("fc_2") + whole(outputs) + whole(channels) + tensor(weight) + LEFTOVERS
        self.steps.append(lambda x: x.mean(axis=(1, 2)) @ weight)

    def __call__(self, picture):
        means = np.array([m * 2.0**e for m, e in self.means])
        x = (picture.astype(np.float64) - means[:, None, None]) / 256.0
        for step in self.steps:
            x = step(x)
        return x


def conv(x, weight, bias, stride, pad):
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    windows = sliding_window_view(x, weight.shape[2:], axis=(1, 2))[:, ::stride, ::stride]
    return np.einsum("ihwyx,oiyx->ohw", windows, weight) + bias[:, None, None]


def pool(x, size, stride, what):
    return what(sliding_window_view(x, (size, size), axis=(1, 2))[:, ::stride, ::stride], axis=(3, 4))


def add(a, b):
    """dlib's add_prev: the sum has the larger of both sizes on every axis; what is missing counts as zero."""
    shape = np.maximum(a.shape, b.shape)
    return sum(np.pad(v, [(0, want - have) for want, have in zip(shape, v.shape, strict=True)]) for v in (a, b))


@pytest.fixture(scope="module")
def small():
    net = Miniature()
    net.head(4)  # 39 -> 17 -> 8
    net.block(4, 4, down=False)
    net.block(4, 7, down=True)  # convolution gives 3, pool gives 4: zeros appended in space and in channels
    net.block(7, 7, down=False)
    net.block(7, 9, down=True)  # 4 -> 1 and 2, and a 3x3 kernel on a 1x1 map
    net.tail(9, 5)
    return net


def run(model: bytes, pictures: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"input": pictures.astype(np.float32)})[0]


def test_a_miniature_network_equals_its_definition(small, tmp_path):
    path = tmp_path / "mini.dat"
    path.write_bytes(small.data)
    made = convert(path, card("dlib_resnet29"))
    pictures = np.random.default_rng(3).integers(0, 256, (5, 3, 39, 39))
    want = np.stack([small(picture) for picture in pictures])
    np.testing.assert_allclose(run(made, pictures), want, rtol=1e-4, atol=1e-5)
    assert made == convert(path, card("dlib_resnet29"))


def test_layers_are_read_in_order(small):
    layers = read_layers(small.data)
    assert [layer.name for layer in layers[:4]] == ["input_rgb_image_sized", "con_4", "affine_", "relu_"]
    assert layers[0].ints[6:] == (39, 39)
    assert layers[1].ints == (4, 7, 7, 2, 2, 0, 0)
    assert (layers[-1].ints, layers[-1].values.size) == ((5, 9), 45)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.999])
def test_a_file_that_ends_early_is_refused(small, tmp_path, share):
    path = tmp_path / "cut.dat"
    path.write_bytes(small.data[: int(len(small.data) * share)])
    with pytest.raises(InputError, match=r"dlib \.dat: expected"):
        convert(path, card("dlib_resnet29"))


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "noise.dat"
    for content in (b"\0" * 100, struct.pack("<100d", *range(100)), b"text" * 1000):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"dlib \.dat"):
            convert(path, card("dlib_resnet29"))


# ---------------------------------------------------------------- against dlib itself


@pytest.fixture(scope="module")
def both(models_home):
    """dlib's own network and ours, from the same published file."""
    dlib = pytest.importorskip("dlib", reason="dlib-bin (the peer) is not installed")
    from vultus.zoo import store
    from vultus.zoo.session import open_session

    ready = store.ensure("dlib_resnet29")
    theirs = dlib.face_recognition_model_v1(str(ready.parent / "published" / card("dlib_resnet29").file))
    session = open_session("dlib_resnet29")

    def compare(chips: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ours = session.run({"input": np.ascontiguousarray(chips.transpose(0, 3, 1, 2)).astype(np.float32)})[0]
        return ours, np.stack([np.array(theirs.compute_face_descriptor(chip)) for chip in chips])

    return compare


def agree(ours: np.ndarray, theirs: np.ndarray) -> None:
    cosine = (ours * theirs).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    assert cosine.min() > 0.999999, f"smallest cosine {cosine.min():.9f}"
    assert np.abs(ours - theirs).max() < 1e-5


@pytest.mark.models
def test_equals_dlib_on_synthetic_chips(both):
    """30 chips: noise, blocks, gradients, flat colors, black and white; dlib-bin computes the truth."""
    rng, chips = np.random.default_rng(0), []
    chips += [np.zeros((150, 150, 3)), np.full((150, 150, 3), 255.0)]
    chips += [np.broadcast_to(rng.integers(0, 256, 3), (150, 150, 3)) for _ in range(4)]
    chips += [rng.integers(0, 256, (150, 150, 3)) for _ in range(8)]
    chips += [np.kron(rng.integers(0, 256, (10, 10, 3)), np.ones((15, 15, 1))) for _ in range(8)]
    ramp = np.linspace(0, 1, 150)
    for _ in range(8):
        a, b = rng.integers(0, 256, (2, 1, 1, 3))
        chips.append(a * ramp[:, None, None] * ramp[None, :, None] + b * (1 - ramp[:, None, None]))
    agree(*both(np.clip(np.stack(chips), 0, 255).astype(np.uint8)))


@pytest.mark.models
@pytest.mark.data
def test_equals_dlib_on_real_faces(both, data_dir):
    """30 photographs of as many people, the middle cut to 150x150."""
    from vultus.io import images

    folders = sorted(path for path in (data_dir / "lfw_deepfunneled").rglob("*") if path.is_dir())
    chosen = [sorted(folder.glob("*.jpg"))[0] for folder in folders if any(folder.glob("*.jpg"))][::100][:30]
    assert len(chosen) == 30
    chips = np.stack([images.read(path).pixels[50:200, 50:200] for path in chosen])
    agree(*both(chips))
