"""Lists of MXNet and InsightFace: read as they write them, and a line of another form is named."""

from __future__ import annotations

import pytest

from tests.io.datasets.crowd import crowd
from vultus.errors import InputError
from vultus.io.datasets.lists import lst_table

MXNET = "1\t0.000000\ta/0.jpg\n0\t0\ta/1.jpg\n\n2\t12\t0.5\tb c.jpg\n"
INSIGHT = "1\ta/0.jpg\t0\n1\ta/1.jpg\t0\t1\t2\t30\t40\n0\tb c.jpg\t12\t1\t2\t30\t40" + "\t5.5" * 10 + "\n"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "a").mkdir()
    for name, (_, picture) in zip(("a/0.jpg", "a/1.jpg", "b c.jpg"), crowd(), strict=False):
        (tmp_path / name).write_bytes(picture)
    return tmp_path


@pytest.mark.parametrize(("text", "layout"), [(MXNET, "mxnet"), (INSIGHT, "insightface")])
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_both_layouts(root, text, layout, named, end):
    (root / "train.lst").write_bytes(text.replace("\n", end).encode())
    data = lst_table(root / "train.lst", layout=layout if named else None, license="ours")
    assert (data.name, data.license, data.names, data.subjects.tolist()) == ("train", "ours", ("0", "12"), [0, 0, 1])
    assert [path.relative_to(root).as_posix() for path in data.paths] == ["a/0.jpg", "a/1.jpg", "b c.jpg"]
    assert data.read(2).pixels.shape == (112, 112, 3)


def test_paths_start_from_a_root(root, tmp_path_factory):
    path = tmp_path_factory.mktemp("lists") / "x.lst"
    path.write_text(f"0\t3\tb c.jpg\n1\t4\t{root / 'a/0.jpg'}\n")
    assert lst_table(path, root=root).names == ("3", "4")


def test_paths_that_are_numbers_need_the_layout_named(root):
    (root / "7").write_bytes(crowd()[0][1])
    (root / "x.lst").write_text("1\t0\t7\n")
    with pytest.raises(InputError, match="name the layout"):
        lst_table(root / "x.lst")
    assert lst_table(root / "x.lst", layout="mxnet").paths == (root / "7",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty file"),
        ("\n \n", "a line per picture"),
        ("a/0.jpg 1", "line 1: expected `number label path`"),
        ("0\t1\ta/0.jpg\n0\t-1\ta/0.jpg", "line 2"),
        ("0\t1\ta/0.jpg\n0\t1.5\ta/0.jpg", "line 2"),
        ("0\t1\ta/0.jpg\n0\tnan\ta/0.jpg", "line 2"),
        ("0\t1\ta/0.jpg\n0\t1e300\ta/0.jpg", "line 2"),
        ("0\t1\ta/0.jpg\n0\t1", "line 2"),
        ("0\t1\ta/0.jpg\n0\t1\ta\0.jpg", "line 2"),
        ("1\ta/0.jpg\t1\n2\ta/0.jpg\t1", "line 2"),
        ("1\ta/0.jpg\t1\n1\ta/0.jpg\t1\t5", "line 2"),
        ("1\ta/0.jpg\t1\n1\t\t1", "line 2"),
        ("0\t1\tgone.jpg\n1\t1\talso.jpg", "2 of 2 pictures are missing"),
    ],
)
def test_lists_of_another_form(root, text, said):
    (root / "x.lst").write_text(text)
    with pytest.raises(InputError, match=said):
        lst_table(root / "x.lst")


def test_an_unknown_layout(root):
    with pytest.raises(InputError, match="layout: expected"):
        lst_table(root / "x.lst", layout="csv")
