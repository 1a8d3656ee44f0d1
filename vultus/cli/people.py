"""`vultus people list|show|rename|merge|split|history|undo|security`: who is in a gallery, and putting it right."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from vultus.cli import _kept, _options, _output
from vultus.gallery import Gallery
from vultus.types import Metric

_HELP = {
    "list": "everyone, by name",
    "show": "a person's faces, as members of the reference",
    "rename": "give a person another name",
    "merge": "two people are one",
    "split": "one person is two: faces become a new person",
    "history": "corrections, newest first",
    "undo": "take back the newest correction, or the one of that number",
    "security": "what a false match rate means here: strangers named, own people missed",
}


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-verbs."""
    verbs = parser.add_subparsers(dest="what", required=True, metavar="|".join(_HELP))
    made = {name: verbs.add_parser(name, help=text, description=text) for name, text in _HELP.items()}
    for name in ("show", "rename", "split"):
        made[name].add_argument("person", metavar="PERSON", help="name or id")
    made["rename"].add_argument("name", metavar="NAME", help="the new name")
    made["merge"].add_argument("keep", metavar="KEEP", help="name or id of the person who stays")
    made["merge"].add_argument("absorb", metavar="ABSORB", help="name or id of the person whose faces go to KEEP")
    made["split"].add_argument("name", metavar="NAME", help="of the new person")
    made["split"].add_argument("faces", metavar="FACE", nargs="+", help="ids of the faces that move (see show)")
    made["undo"].add_argument("seq", metavar="NUMBER", nargs="?", type=int, help="see history")
    for verb in made.values():
        _options.add_gallery(verb)
        _options.add_output(verb)
    _options.add_pipeline(made["security"])


def run(args: argparse.Namespace) -> int:
    """Do what was asked."""
    with _kept.opened(args.gallery) as gallery:
        return _VERBS[args.what](args, gallery)


def _list(args: argparse.Namespace, gallery: Gallery) -> int:
    people = gallery.people()
    if args.json:
        items = [
            {"id": p.id, "name": p.name, "photos": p.template.n_images, "enrolled_at": p.enrolled_at} for p in people
        ]
        return _json({"people": items, "unknown_faces": len(gallery.faces(unknown=True))})
    table = _output.table("name", ">photos", "=enrolled", "=id")
    for person in people:
        table.add(person.name, str(person.template.n_images), person.enrolled_at[:10], person.id)
    _output.console().print(table)
    return 0


def _show(args: argparse.Namespace, gallery: Gallery) -> int:
    person_id, name = _kept.person(gallery, args.person)
    faces = gallery.faces(person_id=person_id)
    if args.json:
        attributes = gallery.attributes(person_id)
        return _json({"id": person_id, "name": name, "attributes": attributes, "faces": [f.to_dict() for f in faces]})
    table = _output.table("=face", "=picture", ">quality", "=by", "=added")
    for face in faces:
        quality = "" if face.quality is None else f"{face.quality:.2f}"
        table.add(face.id, face.medium[:16], quality, face.assigned_by, face.added_at[:10])
    _output.say(f"{name} ({person_id})")
    _output.console().print(table)
    return 0


def _rename(args: argparse.Namespace, gallery: Gallery) -> int:
    person_id, name = _kept.person(gallery, args.person)
    person = gallery.rename(person_id, args.name)
    return _done(args, gallery, f"{name} is called {person.name} now", person_id)


def _merge(args: argparse.Namespace, gallery: Gallery) -> int:
    keep, name = _kept.person(gallery, args.keep)
    absorb, other = _kept.person(gallery, args.absorb)
    person = gallery.merge(keep, absorb)
    return _done(args, gallery, f"{other} is {name} now, with {person.template.n_images} photos", keep)


def _split(args: argparse.Namespace, gallery: Gallery) -> int:
    person_id, name = _kept.person(gallery, args.person)
    made = gallery.split(person_id, args.faces, args.name)
    return _done(args, gallery, f"{made.template.n_images} photos of {name} are {made.name}'s now", made.id)


def _history(args: argparse.Namespace, gallery: Gallery) -> int:
    entries = gallery.history()
    if args.json:
        return _json({"history": [entry.to_dict() for entry in entries]})
    table = _output.table(">number", "=when", "=who", "what", "=taken back")
    for entry in entries:
        table.add(str(entry.seq), entry.at[:16], entry.actor, entry.summary, (entry.undone_at or "")[:16])
    _output.console().print(table)
    return 0


def _undo(args: argparse.Namespace, gallery: Gallery) -> int:
    entry = gallery.undo(args.seq)
    if args.json:
        return _json({"undone": entry.to_dict()})
    _output.say(f"taken back: {entry.summary}")
    return 0


def _security(args: argparse.Namespace, gallery: Gallery) -> int:
    calibration = _options.pipeline(args).calibration
    rates = [rate for rate in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6) if rate >= calibration.smallest_fmr]
    levels = [gallery.security(calibration, rate) for rate in rates]
    if args.json:
        return _json({"levels": [level.to_dict() for level in levels]})
    table = _output.table(">false match rate", ">threshold", ">strangers named", ">measured here", ">own people missed")
    for level in levels:
        cells = (_share(level.fpir), _share(level.fpir_own), _share(level.fnmr_own))
        table.add(f"{level.fmr:g}", f"{level.threshold:.3f}", *cells)
    _output.console().print(table)
    _output.say("strangers named: share of searches, expected from 1 - (1 - FMR)^N; the others with 95 % intervals")
    _output.say(f"measured on {calibration.describe()}")
    return 0


def _share(metric: Metric) -> str:
    if metric.value is None:
        return "not known"
    return f"{metric.value:.2%} [{metric.low or 0:.2%}, {metric.high or 0:.2%}]"


def _done(args: argparse.Namespace, gallery: Gallery, words: str, person_id: str) -> int:
    seq = gallery.history(1)[0].seq
    if args.json:
        return _json({"person": person_id, "undo": seq})
    _output.say(f"{words}; `vultus people undo {seq}` takes it back")
    return 0


def _json(document: dict[str, Any]) -> int:
    _output.print_json(document)
    return 0


_VERBS: dict[str, Callable[[argparse.Namespace, Gallery], int]] = {
    "list": _list,
    "show": _show,
    "rename": _rename,
    "merge": _merge,
    "split": _split,
    "history": _history,
    "undo": _undo,
    "security": _security,
}
