"""The rules are worth something: each fault, put into a copy of the tree, is found and named."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

METHOD = '''"""A sample method, for this test only.

Paper: Doe 2001, arXiv:0101.00001.
Differs: nothing known.
"""

__all__ = ["Sample"]


class Sample:
    """Holds nothing."""
'''
ROW = """[sample_method]
room = "{room}"
target = "vultus.{room}.sample_method:Sample"
paper = "arXiv:0101.00001"
evidence = "properties"
status = "preview"
since = "0.1"

"""
TEST = '"""Sample."""\n\n\ndef test_sample():\n    assert True is not False\n'
LONG = "\n".join(["", "", "def long() -> None:", '    """Count."""', *["    print(1)"] * 61, ""])


@dataclass
class Copy:
    """A copy of the checkout with two sample methods, in which files are changed and put back."""

    root: Path
    was: dict[Path, str | None] = field(default_factory=dict)

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        self.was.setdefault(file, file.read_text("utf-8") if file.exists() else None)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")

    def add(self, path: str, text: str) -> None:
        file = self.root / path
        self.write(path, (file.read_text("utf-8") if file.exists() else "") + text)

    def sub(self, path: str, old: str, new: str) -> None:
        before = (self.root / path).read_text("utf-8")
        assert old in before
        self.write(path, before.replace(old, new, 1))

    def drop(self, path: str) -> None:
        self.add(path, "")
        (self.root / path).unlink()

    def restore(self) -> None:
        for file, text in self.was.items():
            if text is None:
                file.unlink()
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, "utf-8")
        for folder in sorted((self.root / "vultus").rglob("*"), reverse=True):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        self.was.clear()


@pytest.fixture(scope="module")
def pristine(house, root, tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("house") / "copy"
    skip = shutil.ignore_patterns("__pycache__", "golden", "*.npz", "*.onnx", "*.jpg", "*.png")
    for top in ("vultus", "tests", "tools", "recipes"):
        if (root / top).is_dir():
            shutil.copytree(root / top, target / top, ignore=skip)
    copy = Copy(target)
    for room in ("detect", "quality"):
        copy.add(f"vultus/{room}/sample_method.py", METHOD)
        if not (target / f"vultus/{room}/__init__.py").exists():
            copy.add(f"vultus/{room}/__init__.py", f'"""{room}."""\n')
        copy.add(f"tests/{room}/test_sample_method.py", TEST)
    copy.add("vultus/catalogue/detect.toml", "\n" + ROW.format(room="detect"))
    copy.add(
        "vultus/catalogue/quality.toml", "\n" + ROW.format(room="quality").replace("[sample_method]", "[sample_2]")
    )
    house.write_names(target)
    return target


def look(house, root: Path, fault: str = "") -> set[str]:
    """Every finding; the second interpreter is started only for the fault that it must find."""
    rules = [rule for rule in house.CHECKS if rule is not house.light_import or "front door" in fault]
    return {finding for rule in rules for finding in rule(root)}


@pytest.fixture(scope="module")
def before(house, pristine) -> set[str]:
    return look(house, pristine)


@pytest.fixture
def copy(pristine) -> Iterator[Copy]:
    made = Copy(pristine)
    yield made
    made.restore()


D, Q = "vultus/detect/sample_method.py", "vultus/quality/sample_method.py"
TOML = "vultus/catalogue/detect.toml"

# fault -> what is done, and a pattern that one new finding must match
FAULTS = {
    # the six of the founding issue
    "upward import": (
        lambda c: c.add("vultus/ops/boxes.py", "\nimport vultus.pipeline\n"),
        r"upward-import: .*ops/boxes",
    ),
    "room-to-room import": (lambda c: c.add(D, "\nfrom vultus.quality import sample_method\n"), rf"room-to-room: {D}"),
    "heavy import in a core file": (
        lambda c: c.add("vultus/types.py", "\nimport cv2\n"),
        r"heavy-import: vultus/types",
    ),
    "missing row": (lambda c: c.sub(TOML, ROW.format(room="detect"), ""), rf"missing-row: {D}"),
    "missing test": (lambda c: c.drop("tests/detect/test_sample_method.py"), r"missing-test: .*\[sample_method\]"),
    "changed citation": (lambda c: c.sub(D, "0101.00001", "0101.00002"), r"citation: .*\[sample_method\]"),
    # floors
    "relative import": (lambda c: c.add(D, "\nfrom . import yunet\n"), rf"relative-import: {D}"),
    "io from a method": (lambda c: c.add(D, "\nimport vultus.io.images\n"), rf"upward-import: {D}"),
    "catalogue from a method": (lambda c: c.add(D, "\nfrom vultus import load\n"), rf"upward-import: {D}"),
    "another method": (lambda c: c.add(D, "\nimport vultus.detect.other\n"), rf"method-by-import: {D}"),
    "method from the pipeline": (
        lambda c: c.add("vultus/pipeline/_late.py", "\nfrom vultus.detect import sample_method\n"),
        r"method-by-import: vultus/pipeline/_late",
    ),
    "method from the pipeline, late": (
        lambda c: c.add(
            "vultus/pipeline/_late.py", "\nimport importlib\n\nX = importlib.import_module('vultus.detect.a')\n"
        ),
        r"method-by-import: vultus/pipeline/_late",
    ),
    "zoo from io": (lambda c: c.add("vultus/io/images.py", "\nimport vultus.zoo.store\n"), r"upward-import: vultus/io"),
    "unknown room": (lambda c: c.add("vultus/stuff/x.py", ""), r"unknown-room: vultus/stuff/x"),
    # packages
    "onnxruntime outside session": (lambda c: c.add(D, "\nimport onnxruntime\n"), rf"heavy-import: {D}"),
    "torch without an extra": (lambda c: c.add(D, "\ndef f() -> None:\n    import torch\n"), rf"heavy-import: {D}"),
    "codec outside io": (lambda c: c.add(D, "\nfrom PIL import Image\n"), rf"heavy-import: {D}"),
    "the front door loads OpenCV": (lambda c: c.add("vultus/__init__.py", "\nimport cv2\n"), r"light-import: .*cv2"),
    # rows
    "orphan file": (lambda c: c.add("vultus/detect/orphan.py", METHOD), r"missing-row: vultus/detect/orphan"),
    "misspelt row key": (
        lambda c: c.sub(TOML, ROW.format(room="detect"), ROW.format(room="detect").replace("evidence", "evidense")),
        r"row-key: .*'evidense'",
    ),
    "lost row key": (
        lambda c: c.sub(TOML, ROW.format(room="detect"), ROW.format(room="detect").replace("since", "extra")),
        r"row-key: .*'since' is missing",
    ),
    "missing file": (lambda c: c.drop(D), r"missing-file: .*\[sample_method\]"),
    "renamed class": (lambda c: c.sub(D, "class Sample", "class Simple"), r"missing-name: .*'Sample'"),
    "missing recipe": (
        lambda c: c.sub(
            TOML, ROW.format(room="detect"), ROW.format(room="detect").rstrip() + '\nrecipe = "recipes/x.toml"\n'
        ),
        r"missing-recipe: .*recipes/x",
    ),
    "unknown card": (
        lambda c: c.sub(
            TOML, ROW.format(room="detect"), ROW.format(room="detect").rstrip() + '\nweights = ["nobody"]\n'
        ),
        r"unknown-card: .*nobody",
    ),
    "empty test": (
        lambda c: c.sub("tests/detect/test_sample_method.py", "def test_", "def prove_"),
        r"missing-test: .*no test",
    ),
    "lost paper": (lambda c: c.sub("vultus/catalogue/papers.toml", "number = 77\n", "number = 78\n"), r"papers: "),
    "unlisted method": (lambda c: c.sub(TOML, "[sample_method]", "[ssh]"), r"papers: .*\[ssh\]: method 'ssh'"),
    "paper of no method": (
        lambda c: c.sub("vultus/catalogue/papers.toml", "methods = []", 'methods = ["no_such"]'),
        r"papers: .*no_such",
    ),
    # names and budgets
    "a drawer": (lambda c: c.add("vultus/ops/utils.py", ""), r"banned-name: vultus/ops/utils"),
    "no __init__": (lambda c: c.add("vultus/ops/deep/x.py", ""), r"package: vultus/ops/deep"),
    "long function": (lambda c: c.add(D, LONG), rf"budget: {D}::long"),
    "long method file": (lambda c: c.add(D, "\nX = 1" * 300), rf"budget: {D}: 3"),
    "many arguments": (
        lambda c: c.add(
            D, "\ndef f(a: int, b: int, c: int, d: int, e: int, f: int, g: int, h: int, i: int) -> None: ...\n"
        ),
        rf"budget: {D}::f: 9 arg",
    ),
    "deep folder": (lambda c: c.add("vultus/ops/a/b/c/d.py", ""), r"budget: vultus/ops/a/b/c/d"),
    "public name gone": (
        lambda c: c.sub("vultus/errors.py", '"NoFace",', ""),
        r"public-name: vultus.errors.NoFace is gone",
    ),
    "public name unrecorded": (lambda c: c.add("vultus/detect/fresh.py", METHOD), r"public-name: vultus.detect.fresh"),
    "public name undefined": (lambda c: c.sub(D, '["Sample"]', '["Sample", "Ghost"]'), r"public-name: .*'Ghost'"),
    # code and text
    "pickle": (lambda c: c.add(D, "\nimport pickle\n"), rf"pickle: {D}"),
    "pickle in a tool": (lambda c: c.add("tools/x.py", "from pickle import loads\n"), r"pickle: tools/x"),
    "pickle by numpy": (
        lambda c: c.add(D, "\nX = np.load('x', allow_pickle=True)\n"),
        rf"pickle: allow_pickle=True: {D}",
    ),
    "eval": (lambda c: c.add(D, "\nX = eval('1')\n"), rf"eval: .*{D}"),
    "exec": (lambda c: c.add(D, "\nexec('1')\n"), rf"exec: .*{D}"),
    "shell": (lambda c: c.add(D, "\nsubprocess.run('ls', shell=True)\n"), rf"shell: .*{D}"),
    "no annotation": (lambda c: c.add(D, "\ndef f(a, b: int): ...\n"), rf"annotation: {D}.*leaves a, the result"),
    "left for later": (lambda c: c.add(D, "\nraise NotImplementedError\n"), rf"unfinished: {D}"),
    "note to self": (lambda c: c.add(D, "\n# TO" + "DO: the rest\n"), rf"unfinished: {D}"),
    "swallowed error": (lambda c: c.add(D, "\ntry:\n    X = 1\nexcept Exception:\n    X = 2\n"), rf"swallowed: {D}"),
    "machine path": (lambda c: c.add(D, "\nX = '/ho" + "me/me/x'\n"), rf"machine-path: {D}"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_turns_the_house_red(house, copy, before, fault):
    inject, pattern = FAULTS[fault]
    inject(copy)
    new = look(house, copy.root, fault) - before
    assert any(re.match(pattern, finding) for finding in new), f"expected {pattern!r} among {new}"


def test_what_is_allowed_stays_green(house, copy, before):
    copy.add("vultus/detect/_sample_part.py", '"""A private neighbor."""\n')
    copy.add(D, "\nfrom vultus.detect._sample_part import x\nimport vultus.zoo.session\nfrom vultus.ops import boxes\n")
    copy.add("vultus/pipeline/_late.py", "\nimport vultus.catalogue\n")
    assert look(house, copy.root) - before == set()


def test_an_unneeded_exception_is_a_finding(house, copy, monkeypatch):
    monkeypatch.setitem(house.EXCEPTIONS, "vultus/types.py::checked", "no reason left")
    assert "budget: vultus/types.py::checked: the exception is no longer needed" in house.budgets(copy.root)
