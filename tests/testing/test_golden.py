"""Golden files: a pair or nothing, and a difference is shown where it is."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.errors import InputError
from vultus.testing import golden

WHERE = {"made_by": "tools/golden/x.py", "source": "worked by hand", "made": "2026-11-24", "versions": {"numpy": "2"}}


def test_there_and_back(tmp_path):
    golden.save(tmp_path, "x", {"a": np.arange(6.0).reshape(2, 3)}, WHERE)
    back = golden.load(tmp_path, "x")
    np.testing.assert_array_equal(back["a"], [[0, 1, 2], [3, 4, 5]])
    assert back.provenance == WHERE
    with pytest.raises(InputError, match="expected one of a; got 'b'"):
        back["b"]


def test_a_file_without_its_twin_is_refused(tmp_path):
    golden.save(tmp_path, "x", {"a": np.zeros(1)}, WHERE)
    (tmp_path / "x.json").unlink()
    with pytest.raises(InputError, match=r"expected x.json beside its twin, found none; run tools/golden/x.py"):
        golden.load(tmp_path, "x")


@pytest.mark.parametrize("key", golden.NEEDED)
def test_numbers_of_unknown_origin_are_refused(tmp_path, key):
    with pytest.raises(InputError, match=f"expected provenance with {key}"):
        golden.save(tmp_path, "x", {"a": np.zeros(1)}, {**WHERE, key: ""})
    assert not list(tmp_path.iterdir())
    golden.save(tmp_path, "x", {"a": np.zeros(1)}, WHERE)
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(InputError, match=r"expected x\.json to say made_by"):
        golden.load(tmp_path, "x")


def test_objects_are_refused(tmp_path):
    with pytest.raises(InputError, match="got objects in a"):
        golden.save(tmp_path, "x", {"a": np.array([None])}, WHERE)


def test_the_largest_difference_is_named():
    pinned = np.array([[1.0, 2.0], [3.0, 4.0]])
    golden.compare("angle", pinned * (1 + 1e-6), pinned)
    off = pinned + np.array([[0, 0.5], [0, 1.5]])
    with pytest.raises(
        AssertionError, match=r"angle: 2 of 4 numbers differ; .* is 1.5 at \(1, 1\): 5.5 here, 4 pinned"
    ):
        golden.compare("angle", off, pinned)
    with pytest.raises(AssertionError, match=r"at \(0, 0\): nan here"):
        golden.compare("angle", pinned * [[np.nan, 1], [1, 1]], pinned)
    with pytest.raises(AssertionError, match=r"expected shape \(2, 2\), got \(4,\)"):
        golden.compare("angle", off.ravel(), pinned)


def test_a_loose_tolerance_needs_a_reason():
    with pytest.raises(InputError, match="or a reason"):
        golden.compare("angle", 1.0, np.array(1.0), rtol=1e-2)
    golden.compare("angle", 1.001, np.array(1.0), rtol=1e-2, because="the release rounds to two digits")
