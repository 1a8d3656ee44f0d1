"""The rules of the house, as functions over a checkout: each takes its root and returns findings in words.

Nothing of the checkout is imported (it may be a copy with a fault in it); it is parsed. The one exception is
`light_import`, which starts a second interpreter.

    python tests/repo/house.py                  print every finding, exit 1 if there is one
    python tests/repo/house.py --write-names    record the public names anew
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from checkout import (
    METHOD_ROOMS,
    defined,
    functions,
    imports,
    is_method,
    lines_with,
    nodes,
    room_of,
    sources,
    text,
    toml,
    tree,
)

_LOW = frozenset({"types", "errors", "contracts", "ops"})
_DATA = frozenset({"io", "zoo", "catalogue", "sim", "testing"})
_UP_TO_5 = _LOW | _DATA | {"gallery", "evaluate"}
_UP_TO_6 = _UP_TO_5 | {"pipeline", "train", "claims"}

# Who may import whom. A room may always import itself, except that a method file never imports another method file.
MAY_IMPORT: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "types": frozenset({"errors"}),
    "contracts": frozenset({"types", "errors"}),
    "ops": frozenset({"types", "errors", "contracts"}),
    **dict.fromkeys(_DATA, _LOW),
    **dict.fromkeys(METHOD_ROOMS, _LOW | {"zoo"}),
    "gallery": _LOW | _DATA,
    "evaluate": _LOW | _DATA,
    "pipeline": _UP_TO_5,
    "train": _UP_TO_5,
    "claims": _UP_TO_5 | {"train"},
    "client": frozenset({"types", "errors"}),
    "serve": _UP_TO_6,
    "cli": _UP_TO_6 | {"serve"},
    "__main__": frozenset({"cli"}),  # python -m vultus
}
PUBLIC_ROOT = {"load": "catalogue", "Pipeline": "pipeline", "open_gallery": "gallery", "__version__": "errors"}

# Third-party packages and where they may be imported; whatever is not listed needs a row that names an extra.
MAY_STAND: dict[str, Callable[[str], bool]] = {
    "numpy": lambda path: True,
    "tomli": lambda path: True,
    "tomllib": lambda path: True,  # of the standard library from Python 3.11 on
    "cv2": lambda path: room_of(path) in METHOD_ROOMS | {"ops", "io", "sim"},
    "PIL": lambda path: room_of(path) == "io",
    "rich": lambda path: room_of(path) == "cli",
    "onnx": lambda path: path.startswith("vultus/zoo/convert/"),
    "cryptography": lambda path: path == "vultus/gallery/vault.py",
    "psycopg": lambda path: path.startswith("vultus/gallery/stores/"),
    "pgvector": lambda path: path.startswith("vultus/gallery/stores/"),
    **dict.fromkeys(
        ("pymilvus", "milvus_lite", "grpc"),  # grpc: comes with pymilvus, whose errors are partly its
        lambda path: path.startswith("vultus/gallery/stores/"),
    ),
    "faiss": lambda path: path.startswith("vultus/gallery/search/"),
    "usearch": lambda path: path.startswith("vultus/gallery/search/"),
    "lmdb": lambda path: path == "vultus/io/datasets/lmdb_set.py",
    "ray": lambda path: room_of(path) in {"pipeline", "train"},
    "httpx": lambda path: room_of(path) == "client",
    **dict.fromkeys(
        ("fastapi", "starlette", "pydantic", "uvicorn", "h11", "prometheus_client", "python_multipart"),
        lambda path: room_of(path) == "serve",
    ),
    "onnxruntime": lambda path: path == "vultus/zoo/session.py",
    # Elsewhere a method that needs it names the extra "train" in its row; private files of recognize have no row.
    "torch": lambda path: (
        room_of(path) in {"train", "claims"}
        or path.startswith("vultus/recognize/")
        or path == "vultus/generate/synthesize/_diffusers.py"
    ),
    **dict.fromkeys(("pytest", "_pytest"), lambda path: path.startswith("vultus/testing/flaky/")),
}
HEAVY = ("PIL", "cv2", "onnx", "onnxruntime", "rich", "scipy", "sklearn", "skimage", "torch")

BANNED_NAMES = frozenset({"utils", "util", "common", "helpers", "helper", "misc", "core", "base"})
BANNED_MODULES = frozenset({"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"})
MACHINE_PATH = re.compile(r"(?<![\w.:}])/(?:work|home|root|Users)/\w")
UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX)\b|\(fill in:")
TEXT = frozenset({"", ".py", ".toml", ".md", ".yaml", ".yml", ".json", ".cfg", ".sh", ".txt", ".html", ".css", ".js"})

MAX_METHOD_LINES, MAX_LINES, MAX_FUNCTION, MAX_ARGUMENTS, MAX_DEPTH, MAX_SPINE = 300, 600, 60, 8, 4, 900

# Reviewed exceptions to the budgets: "path" or "path::function" -> why. One that is no longer needed is a finding.
EXCEPTIONS: dict[str, str] = {}

NAMES = "tests/repo/public_names.json"


# ---------------------------------------------------------------- floors
def floors(root: Path) -> list[str]:
    """Imports go down, rooms never import rooms, methods are reached by name, and no import is relative."""
    found = []
    for path in sources(root):
        room = room_of(path)
        if room == "__init__":  # the package's front door names what it loads on first use
            continue
        if room not in MAY_IMPORT:
            found.append(f"unknown-room: {path}: {room!r} is no room of the house (ARCHITECTURE, section 2)")
            continue
        for line, name, level in imports(tree(root, path)):
            where = f"{path}:{line}"
            if level:
                found.append(f"relative-import: {where}: write the full name of {name.lstrip('.')!r}")
            elif name.split(".")[0] == "vultus":
                found += _bad_import(root, path, where, name)
    return found


def _bad_import(root: Path, path: str, where: str, name: str) -> list[str]:
    parts = name.split(".")
    if len(parts) == 1:
        return []
    room, target = room_of(path), PUBLIC_ROOT.get(parts[1], parts[1])
    if target not in MAY_IMPORT:
        return [f"unknown-room: {where}: {name!r} is in no room of the house"]
    if target == room:
        return _bad_neighbor(root, path, where, parts) if is_method(path) or room in METHOD_ROOMS else []
    if target in MAY_IMPORT[room]:
        return []
    if room in METHOD_ROOMS and target in METHOD_ROOMS:
        return [f"room-to-room: {where}: {room} imports {name}; take it as an argument typed by a contract"]
    if target in METHOD_ROOMS:
        return [f"method-by-import: {where}: {room} imports {name}; use vultus.catalogue.load with its name"]
    return [f"upward-import: {where}: {room} may not import {name} (it may import {_list(MAY_IMPORT[room])})"]


def _bad_neighbor(root: Path, path: str, where: str, parts: list[str]) -> list[str]:
    """In a method room only the `_private` files of the room may be imported."""
    if any(part.startswith("_") for part in parts[2:]):
        return []
    return [f"method-by-import: {where}: {path} imports {'.'.join(parts)}; only _private files of its room are shared"]


def _list(names: Any) -> str:
    return ", ".join(sorted(names)) or "nothing of ours"


# ---------------------------------------------------------------- third-party imports
def heavy(root: Path) -> list[str]:
    """Third-party packages stand only where the house allows them, or where a row names the extra that brings them."""
    extra = {_file(row): row["extra"] for _, _, row in rows(root) if row.get("extra")}
    found = []
    for path in sources(root):
        for line, name, level in imports(tree(root, path)):
            package = name.split(".")[0]
            if level or package in sys.stdlib_module_names or package == "vultus" or path in extra:
                continue
            if package not in MAY_STAND:
                found.append(f"heavy-import: {path}:{line}: {package} is no core dependency and no row names an extra")
            elif not MAY_STAND[package](path):
                found.append(f"heavy-import: {path}:{line}: {package} may not be imported here")
    return found


def light_import(root: Path) -> list[str]:
    """Importing the package, its types, its catalogue and the command line's door loads nothing heavy."""
    modules = ["vultus", "vultus.types", "vultus.errors", "vultus.contracts", "vultus.catalogue"]
    if (root / "vultus/cli/__main__.py").is_file():
        modules.append("vultus.cli.__main__")
    code = (
        f"import sys; sys.path.insert(0, {str(root)!r})\n"
        f"for name in {modules!r}:\n"
        f"    __import__(name); print(name, *sorted(set({HEAVY!r}) & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        return [f"light-import: importing {', '.join(modules)} failed: {done.stderr.strip().splitlines()[-1]}"]
    found = []
    for line in done.stdout.splitlines():
        name, *loaded = line.split()
        if loaded:
            found.append(f"light-import: `import {name}` loads {', '.join(loaded)}")
    return found[:1]  # what the first one loads, the next ones show again


# ---------------------------------------------------------------- rows
def rows(root: Path) -> list[tuple[str, str, dict[str, Any]]]:
    """Every catalogue row, as (file, name, keys)."""
    found = []
    for path in sorted((root / "vultus/catalogue").glob("*.toml")):
        if path.name != "papers.toml":
            table = toml(path)
            found += [(path.relative_to(root).as_posix(), name, row) for name, row in table.items()]
    return found


def row_keys(root: Path) -> tuple[set[str], set[str]]:
    """Known and needed keys of a row, read off the class `Row`."""
    module = tree(root, "vultus/catalogue/__init__.py")
    record = next(node for node in module.body if isinstance(node, ast.ClassDef) and node.name == "Row")
    keys = {node.target.id: node.value is None for node in record.body if isinstance(node, ast.AnnAssign)}
    keys.pop("name")
    return set(keys), {key for key, needed in keys.items() if needed}


def _file(row: dict[str, Any]) -> str:
    return str(row.get("target", "")).partition(":")[0].replace(".", "/") + ".py"


def check_rows(root: Path) -> list[str]:
    """Every row is whole: its keys, file, name, citation, test, recipe and weights; every method file has a row."""
    found, named = [], set()
    known, needed = row_keys(root)
    cards = _cards(root)
    for place, name, row in rows(root):
        where = f"{place} [{name}]"
        found += [f"row-key: {where}: unknown key {key!r}" for key in sorted(set(row) - known)]
        found += [f"row-key: {where}: key {key!r} is missing" for key in sorted(needed - set(row))]
        path = _file(row)
        named.add(path)
        found += _row_file(root, where, path, row)
        found += _row_test(root, where, path)
        recipe = row.get("recipe")
        if recipe and not (root / recipe).is_file():
            found.append(f"missing-recipe: {where}: {recipe} does not exist")
        if cards is not None:
            found += [f"unknown-card: {where}: no card {w!r}" for w in row.get("weights", []) if w not in cards]
    orphans = [path for path in sources(root) if is_method(path) and path not in named]
    return found + [f"missing-row: {path}: no row of the catalogue names this method file" for path in orphans]


def _row_file(root: Path, where: str, path: str, row: dict[str, Any]) -> list[str]:
    if not (root / path).is_file():
        return [f"missing-file: {where}: {path} does not exist"]
    found, module = [], tree(root, path)
    attribute = row.get("target", "").partition(":")[2]
    if attribute not in defined(module):
        found.append(f"missing-name: {where}: {path} defines no {attribute!r}")
    cited = " ".join((ast.get_docstring(module) or "").split())
    if " ".join(str(row.get("paper", "")).split()) not in cited:
        found.append(f"citation: {where}: the docstring of {path} does not cite {row.get('paper')!r}")
    return found


def _row_test(root: Path, where: str, path: str) -> list[str]:
    folder, _, stem = path.removeprefix("vultus/").removesuffix(".py").rpartition("/")
    test = f"tests/{folder}/test_{stem}.py"
    if not (root / test).is_file():
        return [f"missing-test: {where}: {test} does not exist"]
    if not any(name.split(".")[-1].startswith("test_") for name, _ in functions(tree(root, test))):
        return [f"missing-test: {where}: {test} holds no test"]
    return []


def _cards(root: Path) -> set[str] | None:
    path = root / "vultus/zoo/cards.toml"
    if not path.is_file():
        return None
    table = toml(path)
    inner = table.get("card", table)
    return {card["id"] for card in inner} if isinstance(inner, list) else set(inner)


def check_papers(root: Path) -> list[str]:
    """The 140 papers stand in order, once each, and name methods that exist."""
    table = toml(root / "vultus/catalogue/papers.toml")
    numbers = [paper["number"] for paper in table.values()]
    found = []
    if numbers != list(range(1, 141)):
        found.append("papers: papers.toml: expected the numbers 1 to 140 in order")
    if len({paper["title"] for paper in table.values()}) != 140:
        found.append("papers: papers.toml: expected 140 different titles")
    methods = {name for _, name, _ in rows(root)}
    for name, paper in table.items():
        listed = set(paper["methods"])
        found += [f"papers: papers.toml [{name}]: no method {method!r}" for method in listed - methods]
        mine = {method for method in methods if method.split(".")[0] == name}
        found += [f"papers: papers.toml [{name}]: method {method!r} is not listed" for method in mine - listed]
    return found


# ---------------------------------------------------------------- names and budgets
def folder_names(root: Path) -> list[str]:
    """No drawer: no file or folder called utils, common, helpers, misc, core or base; no room without a method."""
    found = []
    for path in sources(root, "vultus", "tests", "tools", "benchmarks", "examples"):
        bad = sorted(set(path.removesuffix(".py").split("/")) & BANNED_NAMES)
        if bad:
            found.append(f"banned-name: {path}: {bad[0]!r} is a drawer; name the file for what it holds")
    for folder in sorted({Path(path).parent for path in sources(root)}):
        inside = [path.name for path in (root / folder).glob("*.py")]
        if "__init__.py" not in inside:
            found.append(f"package: {folder.as_posix()}: __init__.py is missing")
        alone = inside == ["__init__.py"] and not any((root / folder).glob("*/*.py"))
        if alone and not defined(tree(root, f"{folder.as_posix()}/__init__.py")) - {"annotations"}:
            found.append(f"empty-room: {folder.as_posix()}: nothing is in it yet; add it with its first file")
    return found


def budgets(root: Path) -> list[str]:
    """Files, functions, argument lists and folders stay small; every exception is listed with its reason."""
    over: dict[str, str] = {}
    for path in sources(root, "vultus", "tests", "tools", "benchmarks", "examples"):
        lines = text(root / path).count("\n")
        limit = MAX_METHOD_LINES if path.startswith("vultus/") and is_method(path) else MAX_LINES
        if lines > limit:
            over[path] = f"{lines} lines, at most {limit}"
        if path.count("/") > MAX_DEPTH:
            over[path] = f"{path.count('/')} folders deep, at most {MAX_DEPTH}"
        if not path.startswith("tests/"):
            over |= {f"{path}::{name}": why for name, why in _big_functions(tree(root, path))}
    spine = sum(text(root / f"vultus/{name}.py").count("\n") for name in ("types", "errors", "contracts"))
    if spine > MAX_SPINE:
        over["types + errors + contracts"] = f"{spine} lines together, at most {MAX_SPINE}"
    found = [f"budget: {what}: {why}" for what, why in sorted(over.items()) if what not in EXCEPTIONS]
    return found + [f"budget: {what}: the exception is no longer needed" for what in EXCEPTIONS if what not in over]


def _big_functions(module: ast.Module) -> Iterator[tuple[str, str]]:
    for name, node in functions(module):
        start = node.body[0].end_lineno + 1 if ast.get_docstring(node) and len(node.body) > 1 else node.lineno
        lines = (node.end_lineno or node.lineno) - start + 1
        if lines > MAX_FUNCTION:
            yield name, f"{lines} lines below its docstring, at most {MAX_FUNCTION}"
        a = node.args
        count = len([x for x in a.posonlyargs + a.args + a.kwonlyargs if x.arg not in ("self", "cls")])
        if count > MAX_ARGUMENTS:
            yield name, f"{count} arguments, at most {MAX_ARGUMENTS}"


def public_names(root: Path) -> dict[str, list[str]]:
    """Module -> its public names: `__all__`, or else what it defines without an underscore."""
    found = {}
    for path in sources(root):
        parts = path.removesuffix(".py").split("/")
        if parts[1] == "cli" or any(part.startswith("_") and part != "__init__" for part in parts):
            continue  # the command line is used by its verbs, not by its functions
        names = _exported(tree(root, path))
        if names:
            found[".".join(parts).removesuffix(".__init__")] = sorted(names)
    return dict(sorted(found.items()))


def _exported(module: ast.Module) -> set[str]:
    for node in module.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return set(ast.literal_eval(node.value))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in module.body if isinstance(node, kinds) and not node.name.startswith("_")}


def names_recorded(root: Path) -> list[str]:
    """The public names are the recorded ones: nothing is dropped unnoticed, nothing appears unrecorded."""
    path = root / NAMES
    recorded = json.loads(text(path)) if path.is_file() else {}
    actual = public_names(root)
    was = {f"{module}.{name}" for module, names in recorded.items() for name in names}
    now = {f"{module}.{name}" for module, names in actual.items() for name in names}
    hint = "python tests/repo/house.py --write-names"
    found = [f"public-name: {name} is gone; say so in CHANGELOG.md, then {hint}" for name in sorted(was - now)]
    new = sorted({name.rpartition(".")[0] for name in now - was})
    found += [f"public-name: {module} has names that are not in {NAMES}; run {hint}" for module in new]
    for source in sources(root):
        module = tree(root, source)
        lazy = any(isinstance(node, ast.FunctionDef) and node.name == "__getattr__" for node in module.body)
        missing = [] if lazy else sorted(_exported(module) - defined(module))
        found += [f"public-name: {source}: __all__ names {name!r}, which is not defined there" for name in missing]
    return found


# ---------------------------------------------------------------- code and text
def dangerous(root: Path) -> list[str]:
    """No pickle in any guise, no eval or exec, no shell."""
    found = []
    for path in sources(root, "vultus", "tools", "benchmarks", "examples"):
        module = tree(root, path)
        for line, name, _ in imports(module):
            if name.split(".")[0] in BANNED_MODULES:
                found.append(f"pickle: {path}:{line}: {name.split('.')[0]} runs code from a file; use JSON, ONNX, npz")
        for node in nodes(module):
            if isinstance(node, ast.Call):
                found += [f"{what}: {path}:{node.lineno}" for what in _dangers(node)]
    return found


@lru_cache(maxsize=1 << 20)
def _dangers(call: ast.Call) -> tuple[str, ...]:
    return tuple(_dangerous(call))


def _dangerous(call: ast.Call) -> Iterator[str]:
    if isinstance(call.func, ast.Name) and call.func.id in ("eval", "exec"):
        yield f"{call.func.id}: no code is built from text"
    if (
        isinstance(call.func, ast.Attribute)
        and call.func.attr in ("system", "popen")
        and getattr(call.func.value, "id", "") == "os"
    ):
        yield "shell: use subprocess.run with a list"
    for keyword in call.keywords:
        if isinstance(keyword.value, ast.Constant) and keyword.value.value is True:
            if keyword.arg == "shell":
                yield "shell: shell=True; use a list of arguments"
            if keyword.arg == "allow_pickle":
                yield "pickle: allow_pickle=True"


def annotations(root: Path) -> list[str]:
    """Every argument and result of every public function is annotated."""
    found = []
    for path in sources(root):
        for name, node in functions(tree(root, path)):
            if any(part.startswith("_") and not part.startswith("__") for part in name.split(".")):
                continue
            a = node.args
            every = a.posonlyargs + a.args + a.kwonlyargs + [x for x in (a.vararg, a.kwarg) if x]
            bare = [x.arg for x in every if x.annotation is None and x.arg not in ("self", "cls")]
            if node.returns is None:
                bare.append("the result")
            if bare:
                found.append(f"annotation: {path}:{node.lineno}: {name} leaves {', '.join(bare)} without a type")
    return found


def unfinished(root: Path) -> list[str]:
    """Nothing is left for later and no error is swallowed."""
    found = []
    data = sorted(path.relative_to(root).as_posix() for path in (root / "vultus").rglob("*.toml"))
    for path in sources(root) + data:
        found += [f"unfinished: {path}:{line}" for line in lines_with(UNFINISHED, text(root / path))]
    for path in sources(root):
        for node in nodes(tree(root, path)):
            if isinstance(node, ast.Raise) and _raised(node) == "NotImplementedError":
                found.append(f"unfinished: {path}:{node.lineno}: NotImplementedError")
            if isinstance(node, ast.ExceptHandler) and _swallows(node):
                found.append(f"swallowed: {path}:{node.lineno}: everything is caught here and nothing is said")
    return found


def _raised(node: ast.Raise) -> str:
    what = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    return getattr(what, "id", "")


def _swallows(handler: ast.ExceptHandler) -> bool:
    broad = handler.type is None or (isinstance(handler.type, ast.Name) and handler.type.id.endswith("Exception"))
    return broad and not any(isinstance(node, ast.Raise) for node in ast.walk(handler))


def machine_paths(root: Path) -> list[str]:
    """No path of one machine in any text of the repository."""
    found = []
    for top in ("vultus", "tests", "tools", "docs", "benchmarks", "examples", "recipes", ".ci", "."):
        pattern = "*" if top == "." else "**/*"
        for path in sorted((root / top).glob(pattern)):
            if not path.is_file() or path.suffix not in TEXT or "__pycache__" in path.parts:
                continue
            if path.name == ".git":  # a linked work tree is a file that names the place of its repository
                continue
            name = path.relative_to(root).as_posix()
            found += [f"machine-path: {name}:{line}" for line in lines_with(MACHINE_PATH, text(path))]
    return found


CHECKS: tuple[Callable[[Path], list[str]], ...] = (
    floors,
    heavy,
    light_import,
    check_rows,
    check_papers,
    folder_names,
    budgets,
    names_recorded,
    dangerous,
    annotations,
    unfinished,
    machine_paths,
)


def check(root: Path) -> list[str]:
    """Every finding of every rule."""
    return [finding for rule in CHECKS for finding in rule(root)]


def write_names(root: Path) -> None:
    """Record the public names as they are now."""
    (root / NAMES).write_text(json.dumps(public_names(root), indent=1) + "\n", encoding="utf-8")


def main() -> int:
    root = Path(__file__).resolve().parents[2]
    if "--write-names" in sys.argv[1:]:
        write_names(root)
        return 0
    found = check(root)
    print(*found or ["the house is in order"], sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
