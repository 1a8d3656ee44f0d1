"""`vultus enroll FOLDER`: people into a gallery."""

from __future__ import annotations

import argparse

from vultus.cli import _options, _output
from vultus.gallery import open_gallery
from vultus.pipeline import Enrollment
from vultus.pipeline._enroll import people_folders


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("folder", help="one folder of photos per person: FOLDER/NAME/photo.jpg")
    parser.add_argument("--force", action="store_true", help="keep photos that quality or likeness speak against")
    _options.add_gallery(parser)
    _options.add_output(parser)
    _options.add_pipeline(parser)


def run(args: argparse.Namespace) -> int:
    """Enroll person by person; what is done stays done when interrupted."""
    people = people_folders(args.folder)
    pipe = _options.pipeline(args)
    with open_gallery(args.gallery) as gallery:
        steps = pipe.enroll_folder(args.folder, gallery, force=args.force)
        results: list[Enrollment] = list(_output.progress(steps, len(people), "enroll"))
        total = len(gallery)
    if args.json:
        document = {
            "gallery": args.gallery,
            "space": pipe.space,
            "people": [
                {
                    "name": r.name,
                    "id": r.identity.id if r.identity else None,
                    "used": r.used,
                    "known": r.known,
                    "refused": [{"photo": photo, "reason": reason} for photo, reason in r.refused],
                }
                for r in results
            ],
        }
        _output.print_json(document)
        return 0
    table = _output.table("person", ">photos added", ">known already", ">refused")
    for r in results:
        table.add(r.name, str(r.used), str(r.known), str(len(r.refused)))
    _output.console().print(table)
    for r in results:
        for photo, reason in r.refused:
            _output.say(f"refused {reason if photo in reason else f'{photo}: {reason}'}", "yellow")
    _output.say(f"{args.gallery} holds {total} {'person' if total == 1 else 'people'}")
    return 0
