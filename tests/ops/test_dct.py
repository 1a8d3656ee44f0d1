import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import fft

from vultus.errors import InputError, UnknownMethod
from vultus.ops import dct


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(scale=50, size=shape)


@given(st.integers(1, 40), st.integers(0, 10**6))
def test_the_transform_is_scipys_and_orthonormal(n, seed):
    x = numbers(3, n, seed=seed)
    np.testing.assert_allclose(dct.dct(x), fft.dct(x, norm="ortho"), atol=1e-10)
    np.testing.assert_allclose(dct.idct(x), fft.idct(x, norm="ortho"), atol=1e-10)
    np.testing.assert_allclose(dct.dct(x.T, axis=0), fft.dct(x.T, axis=0, norm="ortho"), atol=1e-10)
    np.testing.assert_allclose(dct.idct(dct.dct(x)), x, atol=1e-10)
    matrix = dct.dct_matrix(n)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(n), atol=1e-12)
    with pytest.raises(ValueError, match="read-only"):
        matrix[0, 0] = 0


@given(st.integers(0, 3), st.integers(0, 3), st.integers(1, 9), st.integers(0, 10**6))
def test_blocks_are_transformed_alone_and_come_back(rows, columns, size, seed):
    x = numbers(2, rows * size, columns * size, seed=seed)
    blocks = dct.block_dct(x, size)
    assert blocks.shape == (2, rows, columns, size, size)
    for r in range(rows):
        for c in range(columns):
            part = x[1, r * size : (r + 1) * size, c * size : (c + 1) * size]
            np.testing.assert_allclose(blocks[1, r, c], fft.dctn(part, norm="ortho"), atol=1e-10)
    np.testing.assert_allclose(dct.block_idct(blocks), x, atol=1e-10)


def test_a_cosine_is_one_number_by_hand():
    x = np.tile(np.cos(np.pi * (np.arange(8) + 0.5) * 3 / 8), (8, 1))  # three half waves from left to right
    found = dct.block_dct(x)[0, 0]
    assert found[0, 3] == pytest.approx(4 * np.sqrt(2))
    found[0, 3] = 0
    np.testing.assert_allclose(found, 0, atol=1e-12)
    assert dct.block_dct(np.full((8, 8), 5.0))[0, 0, 0, 0] == pytest.approx(40)


def test_precision_is_kept_and_integers_become_float32():
    assert dct.dct(numbers(4, 8)).dtype == np.float64
    assert dct.block_dct(numbers(8, 8).astype(np.float32)).dtype == np.float32
    assert dct.block_dct(np.zeros((16, 8), np.uint8)).dtype == np.float32
    assert dct.rgb_to_ycbcr(np.zeros((4, 4, 3), np.uint8)).dtype == np.float32


def test_zigzag_is_that_of_the_standard():
    assert dct.zigzag_order(8)[:15].tolist() == [0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4]
    assert dct.zigzag_order(8)[-4:].tolist() == [47, 55, 62, 63]
    assert dct.zigzag_order(3).tolist() == [0, 1, 3, 6, 4, 2, 5, 7, 8]


@given(st.integers(1, 9), st.integers(0, 10**6))
def test_zigzag_comes_back_and_ends_at_the_highest_frequency(size, seed):
    blocks = numbers(2, 3, size, size, seed=seed)
    rows = dct.to_zigzag(blocks)
    np.testing.assert_array_equal(dct.from_zigzag(rows), blocks)
    np.testing.assert_array_equal(rows[..., -1], blocks[..., -1, -1])


@pytest.mark.parametrize("quality", [1, 10, 24, 25, 49, 50, 51, 75, 90, 99, 100])
def test_tables_are_those_that_pillow_writes(quality):
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "jpeg", quality=quality)
    written = Image.open(file).quantization
    np.testing.assert_array_equal(dct.quantization(quality).ravel(), written[0])
    np.testing.assert_array_equal(dct.quantization(quality, "chrominance").ravel(), written[1])


def test_tables_by_hand():
    np.testing.assert_array_equal(dct.quantization(50), dct.LUMINANCE)
    np.testing.assert_array_equal(dct.quantization(50, "chrominance"), dct.CHROMINANCE)
    assert (dct.quantization(100) == 1).all()
    assert dct.quantization(10)[0].tolist() == [80, 55, 50, 80, 120, 200, 255, 255]


def test_color_is_pillows():
    rgb = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    theirs = np.asarray(Image.fromarray(rgb).convert("YCbCr"), float)
    assert np.abs(dct.rgb_to_ycbcr(rgb) - theirs).max() <= 1.01  # it rounds
    assert np.abs(dct.rgb_to_ycbcr(rgb) - theirs).mean() < 0.6


def test_color_by_hand():
    np.testing.assert_allclose(dct.rgb_to_ycbcr([255.0, 255.0, 255.0]), [255, 128, 128], atol=1e-9)
    np.testing.assert_allclose(dct.rgb_to_ycbcr([255.0, 0.0, 0.0]), [76.245, 84.972, 255.5], atol=1e-3)
    np.testing.assert_allclose(dct.ycbcr_to_rgb([100.0, 128.0, 128.0]), [100, 100, 100], atol=1e-9)
    np.testing.assert_allclose(dct.ycbcr_to_rgb([0.0, 128.0, 129.0]), [1.402, -0.714136, 0], atol=1e-6)
    np.testing.assert_allclose(dct.rgb_to_ycbcr([1.0, 1.0, 1.0], peak=1), [1, 128 / 255, 128 / 255])


@given(st.integers(0, 10**6), st.sampled_from([1.0, 255.0]), st.sampled_from([-1, 1, -3]))
def test_color_comes_back(seed, peak, axis):
    x = np.random.default_rng(seed).uniform(0, peak, (3, 3, 3, 3))
    back = dct.ycbcr_to_rgb(dct.rgb_to_ycbcr(x, axis, peak=peak), axis, peak=peak)
    np.testing.assert_allclose(back, x, atol=1e-12 * peak)
    np.testing.assert_allclose(dct.rgb_to_ycbcr(x, 1), dct.rgb_to_ycbcr(x.swapaxes(1, -1)).swapaxes(1, -1), atol=1e-12)


def test_tensors_do_as_arrays_and_let_gradients_through():
    torch = pytest.importorskip("torch")
    x = numbers(2, 3, 16, 24).astype(np.float32)
    tensor = torch.tensor(x, requires_grad=True)
    blocks = dct.block_dct(tensor)
    np.testing.assert_allclose(blocks.detach().numpy(), dct.block_dct(x), atol=1e-3)
    np.testing.assert_array_equal(dct.to_zigzag(blocks).detach().numpy(), dct.to_zigzag(blocks.detach().numpy()))
    back = dct.block_idct(dct.from_zigzag(dct.to_zigzag(blocks)))
    assert back.dtype == torch.float32
    np.testing.assert_allclose(back.detach().numpy(), x, atol=1e-3)
    color = dct.ycbcr_to_rgb(dct.rgb_to_ycbcr(tensor, 1, peak=1), 1, peak=1)
    np.testing.assert_allclose(color.detach().numpy(), x, atol=1e-3)
    (back**2).sum().backward()
    np.testing.assert_allclose(tensor.grad.numpy(), 2 * x, atol=1e-2)
    assert dct.dct(torch.ones(4, 8, dtype=torch.uint8)).dtype == torch.float32


@pytest.mark.parametrize(
    "call",
    [
        lambda: dct.dct_matrix(0),
        lambda: dct.dct_matrix(2.5),
        lambda: dct.dct(3.0),
        lambda: dct.dct(np.zeros((2, 0))),
        lambda: dct.dct(np.zeros((2, 3)), axis=2),
        lambda: dct.dct(["a"]),
        lambda: dct.dct(np.zeros(3, complex)),
        lambda: dct.block_dct(np.zeros((8, 12))),
        lambda: dct.block_dct(np.zeros(8)),
        lambda: dct.block_dct(np.zeros((8, 8)), 0),
        lambda: dct.block_idct(np.zeros((2, 8, 8))),
        lambda: dct.block_idct(np.zeros((2, 2, 8, 4))),
        lambda: dct.to_zigzag(np.zeros((2, 3))),
        lambda: dct.from_zigzag(np.zeros((2, 8))),
        lambda: dct.quantization(0),
        lambda: dct.quantization(101),
        lambda: dct.quantization(70.5),
        lambda: dct.quantization("high"),
        lambda: dct.quantization(float("nan")),
        lambda: dct.rgb_to_ycbcr(np.zeros((4, 4))),
        lambda: dct.ycbcr_to_rgb(np.zeros((3, 4)), axis=-1),
    ],
)
def test_bad_input_is_refused_in_words(call):
    with pytest.raises(InputError, match="expected"):
        call()


def test_an_unknown_table_is_told_which_there_are():
    with pytest.raises(UnknownMethod, match="chrominance"):
        dct.quantization(50, "chroma")
