import numpy as np
import pytest

from vultus.errors import InputError
from vultus.train.clean.seeds import agreed_face, main_face
from vultus.train.clean.tag_assign import tag_faces


def test_the_largest_face_is_whom_a_portrait_is_of():
    assert main_face([[0, 0, 4, 4], [10, 0, 13, 9], [0, 20, 5, 22]]) == 1
    assert main_face(np.zeros((0, 4))) == -1


def test_the_face_that_most_agree_on():
    a, b = [1.0, 0, 0], [0.0, 1, 0]
    near = [0.8, 0.6, 0.0]  # 0.8 to a, 0.6 to b
    assert agreed_face(np.array([b, a, near, a, a]), 0.7) == 1  # of three equal ones the first
    assert agreed_face(np.array([b, b, a, a, a, a]), 0.7) == 2
    assert agreed_face(np.array([b, a, near]), 0.7) == -1  # one other is no agreement
    assert agreed_face(np.array([b, a, near]), 0.7, at_least=1) == 1
    assert agreed_face(np.array([a, b, [0.0, 0, 1]]), 0.5) == -1
    assert agreed_face(np.zeros((0, 3)), 0.5) == -1
    assert agreed_face(np.array([a, [0.5, 0.75**0.5, 0.0]]), 0.5, at_least=1) == -1  # at the bar is not above it


def test_tags_one_to_one_and_none_below_the_bar():
    assert tag_faces([[0.9, 0.8], [0.8, 0.1]], 0.3).tolist() == [1, 0]
    assert tag_faces([[0.9, 0.2]], 0.3).tolist() == [0]
    assert tag_faces([[0.2, 0.3]], 0.3).tolist() == [-1]  # at the bar is not above it
    assert tag_faces([[0.9], [0.8]], 0.3).tolist() == [0, -1]
    # giving out all names first takes 0.8 and 0.29 over 0.9 and 0.1: the best face goes to what is then rejected
    assert tag_faces([[0.9, 0.8], [0.29, 0.1]], 0.3).tolist() == [0, -1]
    assert tag_faces(np.zeros((0, 3)), 0.3).tolist() == []
    assert tag_faces(np.zeros((2, 0)), 0.3).tolist() == [-1, -1]


@pytest.mark.parametrize("call", [lambda: tag_faces([[np.nan]], 0.3), lambda: tag_faces([[0.5]], np.nan)])
def test_what_is_no_number_is_refused(call):
    with pytest.raises(InputError, match="finite"):
        call()
