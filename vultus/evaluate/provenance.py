"""Where a number comes from: version, commit, machine, libraries, seed and date."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from vultus.zoo.cards import cards

__all__ = ["commit", "device", "libraries", "licenses", "provenance"]

_LIBRARIES = ("numpy", "onnxruntime", "opencv-python-headless", "pillow")


def provenance(*, seed: int | str) -> dict[str, Any]:
    """What every Report states about its making.

    Args:
        seed: of the random draws.

    Returns:
        version, commit, seed, device, libraries, python and date (UTC, ISO 8601).
    """
    return {
        "version": _version("vultus"),
        "commit": commit(),
        "seed": str(seed),
        "device": device(),
        "libraries": libraries(_LIBRARIES),
        "python": platform.python_version(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def licenses(spaces: Iterable[str]) -> dict[str, str]:
    """Terms of the weights behind each space, as their cards state them; a space without a card is left out."""
    known = cards()
    names = {space: space.split("@")[0] for space in spaces}
    return {
        space: f"{known[name].license}, commercial use: {known[name].commercial}"
        for space, name in names.items()
        if name in known
    }


def libraries(names: tuple[str, ...]) -> dict[str, str]:
    """Installed version of each distribution; "absent" where it is not installed."""
    return {name: _version(name) for name in names}


def device() -> str:
    """The processor in words: model, usable cores, architecture."""
    name = platform.processor() or "unknown processor"
    info = Path("/proc/cpuinfo")
    if info.is_file():
        models = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        name = models[0] if models else name
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores, {platform.machine()}, {platform.system()}"


def commit() -> str:
    """Hex of the checked-out commit when vultus runs from a git work tree, else "unknown"."""
    folder = Path(__file__).resolve().parents[2] / ".git"
    if folder.is_file():  # a linked work tree: a file that names its folder
        folder = folder.parent / folder.read_text().removeprefix("gitdir: ").strip()
    head = folder / "HEAD"
    if not head.is_file():
        return "unknown"
    text = head.read_text().strip()
    if not text.startswith("ref: "):
        return text[:12]
    name = text[5:]
    if (folder / "commondir").is_file():  # where the branches of all linked work trees are
        folder = folder / (folder / "commondir").read_text().strip()
    if (folder / name).is_file():
        return (folder / name).read_text().strip()[:12]
    packed = folder / "packed-refs"
    lines = packed.read_text().splitlines() if packed.is_file() else []
    return next((line.split()[0][:12] for line in lines if line.endswith(f" {name}")), "unknown")


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "absent"
