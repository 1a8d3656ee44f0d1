"""Enroll a folder of this server, person by person: the work of a job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vultus.pipeline._enroll import people_folders
from vultus.serve.errors import Problem
from vultus.serve.jobs import Progress, Work
from vultus.serve.services import Services

__all__ = ["import_folder"]


def import_folder(services: Services, path: str, force: bool, actor: str) -> Work:
    """The work, after a look at where the folder is.

    Raises:
        Problem: 403 unless it lies below a folder that the operator allows; links do not lead out of it.
    """
    if "\0" in path:
        raise Problem(422, "InputError", "path: expected the path of a folder")
    try:
        folder = Path(path).resolve(strict=True)
    except (OSError, RuntimeError):
        folder = None
    roots = services.options.folders
    root = next((root for root in roots if folder is not None and folder.is_relative_to(root.resolve())), None)
    if folder is None or root is None or not folder.is_dir():  # whether it exists elsewhere is nobody's business
        raise Problem(403, "Forbidden", "path: expected a folder below one that the operator allows (--import-folder)")

    def work(progress: Progress) -> dict[str, Any]:
        people = people_folders(folder)
        counts = {"people": 0, "used": 0, "known": 0, "refused": 0, "outside": 0}
        for done, (name, photos) in enumerate(people.items()):
            progress(done, len(people))
            inside = [photo for photo in photos if photo.resolve().is_relative_to(root.resolve())]
            result = services.pipe.enroll(name, inside, services.gallery, force=force, actor=actor)
            counts["people"] += result.identity is not None
            counts["used"] += result.used
            counts["known"] += result.known
            counts["refused"] += len(result.refused)
            counts["outside"] += len(photos) - len(inside)
        progress(len(people), len(people))
        return counts

    return work
