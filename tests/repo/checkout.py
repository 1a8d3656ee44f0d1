"""Reading a checkout: its Python files, parsed once while they do not change; nothing of it is imported."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

METHOD_ROOMS = frozenset(
    {"detect", "align", "track", "recognize", "quality", "attributes", "explain", "privacy", "security", "generate"}
    | {"reid", "fields"}
)


def sources(root: Path, *tops: str) -> list[str]:
    """Paths, from the root, of the Python files below the given folders."""
    found = [path for top in tops or ("vultus",) for path in (root / top).rglob("*.py")]
    return sorted(path.relative_to(root).as_posix() for path in found if "__pycache__" not in path.parts)


def room_of(path: str) -> str:
    """First folder below the package, or the file's own name: "vultus/zoo/store.py" -> "zoo"."""
    return path.split("/")[1].removesuffix(".py")


METHOD_FOLDERS = ("vultus/gallery/cluster/",)  # of rooms that hold more than methods


def is_method(path: str) -> bool:
    """A public file in a method room."""
    parts = path.split("/")
    return (parts[1] in METHOD_ROOMS or path.startswith(METHOD_FOLDERS)) and not any(
        part.startswith("_") for part in parts[2:]
    )


def text(path: Path) -> str:
    """What a file says; read once while it does not change."""
    known = path.stat()
    return _text(path, known.st_mtime_ns, known.st_size)


@lru_cache(maxsize=4096)
def _text(path: Path, mtime_ns: int, size: int) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


@lru_cache(maxsize=4096)
def _parsed(source: str) -> ast.Module:
    return ast.parse(source)


@lru_cache(maxsize=4096)
def lines_with(pattern: re.Pattern[str], content: str) -> tuple[str, ...]:
    """Lines in which a pattern is found, as "number: line"."""
    if not pattern.search(content):
        return ()
    lines = enumerate(content.splitlines(), 1)
    return tuple(f"{number}: {line.strip()[:100]}" for number, line in lines if pattern.search(line))


def toml(path: Path) -> dict[str, Any]:
    return dict(_loaded(text(path)))


@lru_cache(maxsize=256)
def _loaded(source: str) -> dict[str, Any]:
    return tomllib.loads(source)


def tree(root: Path, path: str) -> ast.Module:
    """A file, parsed."""
    return _parsed(text(root / path))


@lru_cache(maxsize=4096)
def nodes(module: ast.Module) -> tuple[ast.AST, ...]:
    """Calls, raises and handlers of a file; walked once, however many rules look at them."""
    return tuple(node for node in ast.walk(module) if isinstance(node, (ast.Call, ast.Raise, ast.ExceptHandler)))


@lru_cache(maxsize=4096)
def imports(module: ast.Module) -> tuple[tuple[int, str, int], ...]:
    """Every import at any depth, as (line, dotted name, level of a relative import)."""
    return tuple(_imports(module))


def _imports(module: ast.Module) -> Iterator[tuple[int, str, int]]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, 0
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.lineno, f"{node.module or ''}.{alias.name}", node.level
        elif isinstance(node, ast.Call) and called(node) in ("import_module", "__import__") and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield node.lineno, name.value, 0


def called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


@lru_cache(maxsize=4096)
def functions(module: ast.Module) -> tuple[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef], ...]:
    """Functions and methods with their qualified names; what is nested in a function belongs to it."""
    return tuple(_functions(module))


def _functions(module: ast.Module) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    stack: list[tuple[str, ast.AST]] = [("", node) for node in module.body]
    while stack:
        prefix, node = stack.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef):
            stack += [(f"{prefix}{node.name}.", child) for child in node.body]
        elif isinstance(node, (ast.If, ast.Try)):
            stack += [(prefix, child) for child in ast.iter_child_nodes(node)]


@lru_cache(maxsize=4096)
def defined(module: ast.Module) -> frozenset[str]:
    """Names that a module defines or imports at its top level."""
    names: set[str] = set()
    for node in ast.walk(ast.Module(body=list(_top(module)), type_ignores=[])):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).split(".")[0])
    return frozenset(names)


def _top(module: ast.Module) -> Iterator[ast.stmt]:
    stack: list[ast.stmt] = list(module.body)
    while stack:
        node = stack.pop()
        if isinstance(node, (ast.If, ast.Try)):
            stack += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield ast.FunctionDef(name=node.name, args=node.args, body=[], decorator_list=[], lineno=node.lineno)
        elif isinstance(node, ast.ClassDef):
            yield ast.ClassDef(name=node.name, bases=[], keywords=[], body=[], decorator_list=[])
        else:
            yield node
