"""`make new` writes a whole scaffold, overwrites nothing, and what it writes is red until it is filled."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vultus.catalogue import Row, _build, _read


@pytest.fixture
def tree(root, tmp_path) -> Path:
    for name in ("__init__.py", "types.py", "errors.py", "contracts.py"):
        (tmp_path / "vultus").mkdir(exist_ok=True)
        shutil.copy(root / "vultus" / name, tmp_path / "vultus" / name)
    shutil.copytree(root / "vultus/catalogue", tmp_path / "vultus/catalogue")
    for toml in (tmp_path / "vultus/catalogue").glob("*.toml"):
        if toml.name != "papers.toml":
            toml.unlink()
    return tmp_path


def is_claim(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and any("claim" in ast.unparse(mark) for mark in node.decorator_list)


def listing(tree: Path) -> dict[Path, str]:
    return {path: path.read_text("utf-8") for path in tree.rglob("*") if path.is_file() and path.suffix != ".pyc"}


def test_the_scaffold_is_whole_and_red(new_method, house, tree):
    assert new_method.main(["recognize/losses", "adaface", "arXiv:2204.00964", "--class", "AdaFace"], tree) == 0
    table = _read(tree / "vultus/catalogue/recognize.toml")
    row = _build(Row, tree / "recognize.toml", "adaface", table["adaface"])
    assert (row.file, row.test) == ("vultus/recognize/losses/adaface.py", "tests/recognize/losses/test_adaface.py")
    assert house.check_rows(tree) == []
    assert house.folder_names(tree) == []
    assert {finding.split(":")[1].strip() for finding in house.unfinished(tree)} == {
        "vultus/catalogue/recognize.toml",
        "vultus/recognize/__init__.py",
        "vultus/recognize/losses/__init__.py",
        "vultus/recognize/losses/adaface.py",
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", row.test],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "3 failed" in done.stdout


def test_a_second_method_keeps_the_first_row(new_method, house, tree):
    new_method.main(["detect", "mtcnn", "arXiv:1604.02878"], tree)
    assert new_method.main(["detect", "ssh", "arXiv:1708.03979", "--class", "SSH"], tree) == 0
    assert list(_read(tree / "vultus/catalogue/detect.toml")) == ["mtcnn", "ssh"]
    assert house.check_rows(tree) == []


@pytest.mark.parametrize("again", [["detect", "mtcnn", "arXiv:1"], ["align", "mtcnn", "arXiv:1"]])
def test_nothing_is_overwritten(new_method, tree, again, capsys):
    new_method.main(["detect", "mtcnn", "arXiv:1604.02878"], tree)
    before = listing(tree)
    assert new_method.main(again, tree) == 2
    assert "already" in capsys.readouterr().err
    assert listing(tree) == before


def test_recipe_and_claim_only_where_they_belong(new_method, house, tree, monkeypatch):
    new_method.main(["detect", "plain", "arXiv:1"], tree)
    assert not (tree / "recipes").exists()
    assert not (tree / "vultus/claims").exists()
    (tree / "vultus/claims").mkdir()
    monkeypatch.setenv("RECIPE", "1")
    new_method.main(["detect", "trained", "arXiv:2"], tree)
    assert (tree / "recipes/detect/trained.toml").is_file()
    (stub,) = [node for node in ast.parse((tree / "vultus/claims/trained.py").read_text()).body if is_claim(node)]
    assert stub.name == "trained"
    assert house.check_rows(tree) == []


def test_what_can_harm_is_asked_how(new_method, tree):
    new_method.main(["privacy/images", "blur", "arXiv:1"], tree)
    assert "misuse" in _read(tree / "vultus/catalogue/privacy.toml")["blur"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["kitchen", "x", "arXiv:1"], "ROOM: expected a room"),
        (["../detect", "x", "arXiv:1"], "ROOM: expected a room"),
        (["detect", "AdaFace", "arXiv:1"], "NAME: expected the method's own name in snake case"),
        (["detect", "utils", "arXiv:1"], "NAME: "),
        (["detect", "class", "arXiv:1"], "NAME: "),
        (["detect", "x", " "], "PAPER: expected the id to cite"),
        (["detect", "x", 'arXiv:"'], "PAPER: "),
        (["detect", "x", "arXiv:1", "--class", "a b"], "CLASS: "),
    ],
)
def test_refusals(new_method, tree, capsys, argv, said):
    before = listing(tree)
    assert new_method.main(argv, tree) == 2
    assert said in capsys.readouterr().err
    assert listing(tree) == before
