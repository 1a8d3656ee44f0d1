"""What a contributor does with results: put them into the package, and write papers.toml and the page from them."""

from __future__ import annotations

from pathlib import Path

from vultus.claims._claim import SCALES, claims
from vultus.claims._page import html
from vultus.claims._papers import PAPERS, rewritten
from vultus.claims._results import COMMITTED, written
from vultus.claims._run import Outcome
from vultus.errors import InputError
from vultus.io.files import write_bytes

__all__ = ["keep", "page", "write_papers"]

_CHECKOUT = Path(__file__).resolve().parents[2] / "pyproject.toml"
_MAX_PICTURE = 400_000  # bytes


def keep(outcome: Outcome, folder: Path = COMMITTED) -> list[Path]:
    """Put a result into the package, with its picture where nobody real can be on it.

    Args:
        outcome: of a run at nano or mini of a claim of this package.
        folder: where to.

    Returns:
        The files.

    Raises:
        InputError: a result at tiny scale or of a claim that is not in this package, a picture of more than 400 kB, or
            no work tree of vultus to write to.
    """
    document = outcome.document
    name = f"{document['claim']}.{document['scale']}"
    if document["scale"] == SCALES[0]:
        raise InputError(f"{name}: expected a result at nano or mini; tiny shows nothing that could be kept")
    if folder == COMMITTED and (not _CHECKOUT.is_file() or document["claim"] not in claims()):
        raise InputError(f"{name}: expected a claim in vultus/claims of a work tree; results of others stay with --out")
    wanted = [".json", ".svg", *([".png"] if document.get("data") == "sim" else [])]
    found = {suffix: outcome.folder / f"{name}{suffix}" for suffix in wanted}
    found = {suffix: path for suffix, path in found.items() if path.is_file()}
    large = [path.name for path in found.values() if path.stat().st_size > _MAX_PICTURE]
    if large:
        raise InputError(f"{', '.join(large)}: expected at most {_MAX_PICTURE // 1000} kB; hand back a smaller picture")
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in (".json", ".svg", ".png"):
        (folder / f"{name}{suffix}").unlink(missing_ok=True)  # also what an earlier result had and this one has not
    for path in found.values():
        write_bytes(folder / path.name, path.read_bytes())
    return [folder / path.name for path in found.values()]


def write_papers() -> bool:
    """Bring papers.toml up to what the claims and their results in the package say; whether it changed.

    Raises:
        InputError: there is no work tree of vultus to write to.
    """
    if not _CHECKOUT.is_file():
        raise InputError("papers.toml: expected a work tree of vultus; an installed package is not written to")
    before = PAPERS.read_text("utf-8")
    after = rewritten(before, claims(), [document for _, document in written(COMMITTED)])
    if after != before:
        write_bytes(PAPERS, after.encode())
    return after != before


def page(*folders: str | Path) -> str:
    """The page of all claims as text: results of the package, and of runs in these folders.

    Raises:
        InputError: a file there looks like a result and is none.
    """
    return html(claims(), written(COMMITTED, *map(Path, folders)))
