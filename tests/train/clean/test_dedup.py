import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vultus.errors import InputError
from vultus.train.clean.dedup import HeldOut, edit_distance, near_names, plain_name, repeats

WORDS = st.text("abcd é", max_size=9)


def slow_distance(a, b):
    """The definition, letter by letter from the end."""
    if not a or not b:
        return len(a) + len(b)
    if a[-1] == b[-1]:
        return slow_distance(a[:-1], b[:-1])
    return 1 + min(slow_distance(a[:-1], b), slow_distance(a, b[:-1]), slow_distance(a[:-1], b[:-1]))


def test_edit_distance_by_hand():
    assert edit_distance("kitten", "sitting") == 3
    assert edit_distance("", "abc") == edit_distance("abc", "") == 3
    assert edit_distance("ab", "ba") == 2  # a swap is two edits


@given(st.text("abc", max_size=5), st.text("abc", max_size=5))
def test_edit_distance_is_the_definition(a, b):
    assert edit_distance(a, b) == slow_distance(a, b) == edit_distance(b, a)


def test_plain_names():
    assert plain_name("Muller_Ann") == plain_name("Ann MÜLLER") == "ann muller"
    assert plain_name("Jean-Luc O'Neil") == "jean luc neil o"
    assert plain_name("__") == ""


@given(st.lists(WORDS, max_size=8), st.lists(WORDS, max_size=8), st.integers(0, 3))
def test_near_names_are_those_of_all_pairs(names, others, most):
    expected = []
    for i, a in enumerate(map(plain_name, names)):
        for j, b in enumerate(map(plain_name, others)):
            edits = edit_distance(a, b)
            if edits <= min(most, min(len(a), len(b)) // 4):
                expected.append((i, j, edits))
    assert near_names(names, others, most) == expected


def test_near_names_by_hand():
    assert near_names(["Ann Muller", "Li"], ["Anne_Mueller", "Lu", "Muller, Ann"]) == [(0, 0, 2), (0, 2, 0)]
    assert near_names(["Li Wu"], ["Lu Wu", "Lu Wo"]) == [(0, 0, 1)]  # five letters allow one edit


def test_repeats_go_by_the_first_that_is_kept():
    assert repeats([0b0, 0b1, 0b111, 0b110], 1).tolist() == [-1, 0, -1, 2]
    assert repeats([0b0, 0b1, 0b11], 1).tolist() == [-1, 0, -1]  # 11 is near 1, which is not kept
    assert repeats([5, 5, 7], 0).tolist() == [-1, 0, -1]
    assert repeats([], 4).tolist() == []


@pytest.mark.parametrize("most", [-1, 32])
def test_bits_out_of_range_are_refused(most):
    with pytest.raises(InputError, match="0 to 31 bits"):
        repeats([1], most)


def test_a_name_of_the_test_set_needs_the_face_where_there_is_one():
    mine = np.eye(3, dtype=np.float32)
    names = ["Ann Muller", "Bob Stone", "Cyd Brook"]
    by_name = HeldOut(("Ann Mueller", "Bob Stone"))
    assert by_name.reasons(names, mine) == [
        "1 edits from 'Ann Mueller' of the test set", "0 edits from 'Bob Stone' of the test set", "",
    ]  # fmt: skip
    # the first is the same person by face; the second is a namesake; the third is there under another name
    theirs = np.array([[0.8, 0.6, 0.0], [0.0, 0.0, 1.0]], np.float32)
    assert HeldOut(("Ann Mueller", "Bob Stone"), theirs).reasons(names, mine)[1:] == ["", ""]
    said = HeldOut(("Ann Mueller", "Bob Stone"), theirs, alone=0.7).reasons(names, mine)
    assert [bool(why) for why in said] == [True, False, True]
    assert said[2] == "looks like 'Bob Stone' of the test set"
    assert HeldOut(()).reasons([], np.zeros((0, 3))) == []


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: HeldOut(("Ann",), np.zeros((2, 3))), "expected shape"),
        (lambda: HeldOut(("Ann",)).reasons(["Bob"], np.zeros((2, 3))), "expected shape"),
        (lambda: HeldOut(("Ann",), np.eye(2)[:1]).reasons(["Bob"], np.zeros((1, 3))), "expected shape"),
        (lambda: near_names([], [], -1), "at least 0 edits"),
    ],
)
def test_what_does_not_fit_is_refused(call, said):
    with pytest.raises(InputError, match=said):
        call()
