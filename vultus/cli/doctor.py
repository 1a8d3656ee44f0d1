"""`vultus doctor`: is this installation fit for work, and what is set?"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from vultus import __version__
from vultus.cli import _options, _output
from vultus.errors import VultusError
from vultus.zoo import session, store

PACKAGES = ("numpy", "opencv-python-headless", "onnxruntime", "onnx", "pillow", "rich")
SETTINGS = {
    "VULTUS_HOME": "where weights and calibrations lie (default ~/.vultus)",
    "VULTUS_OFFLINE": "set: nothing is ever fetched",
    "VULTUS_LICENSE": "commercial: refuse weights that forbid it",
    "VULTUS_THREADS": "cores to use (default: physical cores)",
    "VULTUS_MIRROR": "where `url` weights are fetched instead",
    "HF_ENDPOINT": "where `hub` weights are fetched instead",
    "VULTUS_DATA": "real data sets for evaluations",
}


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    _options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Look at everything, change nothing; exit 1 when something stands in the way of work."""
    problems: list[str] = []
    document: dict[str, Any] = {
        "vultus": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name, problems) for name in PACKAGES},
        "threads": _threads(problems),
        "device": "cpu",
        "settings": {name: os.environ.get(name) for name in SETTINGS},
        "home": _home(problems),
        "models": _models(problems),
        "problems": problems,
    }
    if args.json:
        _output.print_json(document)
        return 1 if problems else 0
    say = _output.say
    say(f"vultus {__version__}, Python {document['python']}, {document['platform']}")
    say("packages: " + ", ".join(f"{name} {v or 'missing'}" for name, v in document["packages"].items()))
    say(f"device: cpu, {document['threads']} threads")
    home = document["home"]
    say(f"home: {home['path']}, {home['free_bytes'] / 1e9:.1f} GB free")
    say("models ready: " + (", ".join(document["models"]["ready"]) or "none"))
    table = _output.table("=setting", "value", "meaning")
    for name, meaning in SETTINGS.items():
        table.add(name, os.environ.get(name) or "-", meaning)
    _output.console().print(table)
    for problem in problems:
        say(f"problem: {problem}", "red")
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    say("all is well" if not problems else count, None if problems else "green")
    return 1 if problems else 0


def _version(name: str, problems: list[str]) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        problems.append(f"{name} is not installed; run: pip install --force-reinstall vultus")
        return None


def _threads(problems: list[str]) -> int | None:
    try:
        return session.default_threads()
    except VultusError as error:
        problems.append(str(error))
        return None


def _home(problems: list[str]) -> dict[str, Any]:
    home = store.home()
    there = next(p for p in (home, *home.absolute().parents) if p.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        problems.append(f"{home}: cannot be written ({error.strerror}); set VULTUS_HOME to a folder that can")
    return {"path": str(home), "free_bytes": shutil.disk_usage(there).free, "exists": home.exists()}


def _models(problems: list[str]) -> dict[str, Any]:
    ready, stale = [], []
    for status in store.status():
        if status.state == "ready":
            ready.append(status.card.id)
            try:
                store.verify(status.card.id)
            except VultusError as error:
                problems.append(str(error))
        elif status.state == "stale":
            stale.append(status.card.id)
        elif "default" in status.card.pack:
            problems.append(f"{status.card.id} is not here yet; run: vultus models pull default")
    return {"ready": ready, "stale": stale, "folder": str(Path(store.home()) / "models")}
