"""Scaffold a method: its file, its test, its row, and where they exist its claim and recipe.

    make new ROOM=detect NAME=mtcnn PAPER=arXiv:1604.02878
    make new ROOM=recognize/losses NAME=adaface PAPER=arXiv:2204.00964 CLASS=AdaFace RECIPE=1

Nothing is overwritten. The new test fails, and the house test with it, until the method is written.
"""

from __future__ import annotations

import argparse
import keyword
import os
import re
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOMS = {
    **dict.fromkeys(
        ("detect", "align", "track", "recognize", "quality", "attributes", "explain", "reid", "fields"), ""
    ),
    **dict.fromkeys(("gallery", "evaluate", "train"), ""),
    **dict.fromkeys(("privacy", "security", "generate"), "(fill in: what it must not be used for)"),
}
DRAWERS = {"utils", "util", "common", "helpers", "helper", "misc", "core", "base"}

FILE = '''"""{cls}: (fill in: what it does, in one line).

(fill in: authors, year, title), {paper}, (fill in: equations and tables that are implemented).

Differs: (fill in: what differs from the published form; "nothing known" is an answer).
"""

from __future__ import annotations

__all__ = ["{cls}"]


class {cls}:
    """(fill in: what goes in and what comes out, with shapes and units)."""
'''

TEST = '''"""{cls}: a number from outside, a property the paper claims, the limiting case."""

from __future__ import annotations

import pytest


def test_a_number_from_outside():
    pytest.fail("compare with numbers of the authors, of an independent library, or worked by hand; say where from")


def test_a_property_the_paper_claims():
    pytest.fail("check an invariant that the paper states, on many drawn inputs")


def test_the_limiting_case():
    pytest.fail("check the case in which the method reduces to something known")
'''

ROW = """
[{name}]
room = "{room}"
target = "{module}:{cls}"
paper = "{paper}"
variant = "(fill in: which published form)"
evidence = "properties"
status = "preview"
since = "{since}"
"""

RECIPE = """# vultus train {name} --data FOLDER --out RUN
# (fill in: which settings are the paper's, and which of this house; vultus/train/config.py lists the keys)

method = "{name}"
purpose = "(fill in: a sentence)"

[backbone]
name = "iresnet.50"

[loss]
name = "{name}"

[data]
batch = 128

[schedule]
epochs = 20

[scale.tiny.backbone]   # runs in CI
name = "iresnet.10"
args = {{ dim = 16, widths = [4, 4, 8, 8] }}

[scale.tiny.data]
size_hw = [32, 32]
batch = 8

[scale.tiny.schedule]
steps = 20

[expected.tiny]
falls = true

[expected.paper]   # quoted with its table
"""

CLAIM = '''"""{cls} against its own baseline, in miniature.

(fill in: data, budget, seeds; the direction and the size, declared before the run).

{paper}
"""

from __future__ import annotations

import numpy as np

from vultus.claims import ClaimResult, Context, claim


@claim(paper=0, minutes=10, scale="nano", seeds=3)  # (fill in: number of the paper, minutes)
def {name}(ctx: Context) -> ClaimResult:
    """(fill in: what is better than what, by which measure, in one sentence)."""
    arms = ctx.step("measure", _measure, ctx.scale, ctx.seeds)
    return ClaimResult(
        arms,
        method="method",
        baseline="baseline",
        units=range(arms["method"].shape[1]),
        unit="person",
        metric="(fill in: what the numbers are)",
        higher_is_better=True,
        data="sim",
    )


def _measure(scale: str, seeds: tuple[int, ...]) -> dict[str, np.ndarray]:
    """(fill in: (seeds, people) numbers of the arms method and baseline, from the same data and budget)."""
    return {{}}
'''


class Refusal(Exception):
    """What was asked for cannot be scaffolded; the message says why."""


def plan(root: Path, room: str, name: str, paper: str, cls: str = "", recipe: bool = False) -> dict[Path, str]:
    """Work out every file with its text; nothing is written. Raises Refusal."""
    room = room.strip("/").replace(".", "/")
    top = room.split("/")[0]
    if top not in ROOMS or not all(part.isidentifier() for part in room.split("/")):
        raise Refusal(f"ROOM: expected a room, {', '.join(ROOMS)}, or a folder below one; got {room!r}")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name) or name in DRAWERS:
        raise Refusal(f"NAME: expected the method's own name in snake case, as adaface or viola_jones; got {name!r}")
    if not paper.strip() or any(sign in paper for sign in '"\\\n'):
        raise Refusal(f"PAPER: expected the id to cite, as arXiv:2204.00964 or doi:10.1109/...; got {paper!r}")
    cls = cls or "".join(part.capitalize() for part in name.split("_"))
    if not cls.isidentifier():
        raise Refusal(f"CLASS: expected a class name, got {cls!r}")
    words = {
        "cls": cls,
        "name": name,
        "paper": paper.strip(),
        "room": room.replace("/", "."),
        "module": f"vultus.{room.replace('/', '.')}.{name}",
        "recipe": f"recipes/{room}/{name}.toml",
        "since": _version(root),
    }
    new = {root / f"vultus/{room}/{name}.py": FILE, root / f"tests/{room}/test_{name}.py": TEST}
    if (root / "vultus/claims").is_dir():
        new[root / f"vultus/claims/{name}.py"] = CLAIM
    if recipe:
        new[root / words["recipe"]] = RECIPE
    for path in new:
        if path.exists():
            raise Refusal(f"{path.relative_to(root)} is already there; nothing was written")
    made = {path: text.format(**words) for path, text in new.items()}
    folder = root / "vultus" / room
    for parent in [folder, *folder.parents]:
        if parent == root / "vultus":
            break
        if not (parent / "__init__.py").exists():
            made[parent / "__init__.py"] = '"""(fill in: the question this room answers)."""\n'
    toml = root / f"vultus/catalogue/{top}.toml"
    made[toml] = _with_row(toml, words, recipe, ROOMS[top])
    return made


def _with_row(toml: Path, words: dict[str, str], recipe: bool, misuse: str) -> str:
    before = toml.read_text(encoding="utf-8") if toml.exists() else f"# Methods of the room {toml.stem}.\n"
    for file in toml.parent.glob("*.toml"):
        if file.name != "papers.toml" and words["name"] in tomllib.loads(file.read_text(encoding="utf-8")):
            raise Refusal(f"{file.name} has a row {words['name']!r} already; nothing was written")
    row = ROW.format(**words)
    row += f'recipe = "{words["recipe"]}"\n' if recipe else ""
    row += f'misuse = "{misuse}"\nscopes = ["(fill in: some of vultus.types.SCOPES)"]\n' if misuse else ""
    return before.rstrip("\n") + "\n" + row


def _version(root: Path) -> str:
    text = (root / "vultus/__init__.py").read_text(encoding="utf-8")
    found = re.search(r'__version__ = "(\d+\.\d+)', text)
    return found.group(1) if found else "0.1"


def main(argv: list[str] | None = None, root: Path | None = None) -> int:
    """Write the scaffold and say what is next."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("room", help="detect, recognize/losses, ...")
    parser.add_argument("name", help="the method's own name in snake case, without the room")
    parser.add_argument("paper", help="what its docstring and row cite: arXiv:2204.00964, doi:...")
    parser.add_argument("--class", dest="cls", default=os.environ.get("CLASS", ""), help="the paper's spelling")
    parser.add_argument("--recipe", action="store_true", default=os.environ.get("RECIPE", "") == "1")
    args = parser.parse_args(argv)
    root = root or Path(__file__).resolve().parents[1]
    try:
        made = plan(root, args.room, args.name, args.paper, args.cls, args.recipe)
    except Refusal as why:
        print(f"new: {why}", file=sys.stderr)
        return 2
    for path, text in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(root)}")
    print("next: write the method and its three tests, then")
    print("      python tests/repo/house.py --write-names && make quick")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
