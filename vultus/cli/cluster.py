"""`vultus cluster`: sort the unknown faces of a gallery into groups that look like one person, and name a group."""

from __future__ import annotations

import argparse

from vultus.cli import _kept, _options, _output
from vultus.errors import InputError


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--method", default="incremental", metavar="ROW", help="catalogue row (default: %(default)s)")
    parser.add_argument(
        "--name", nargs=2, metavar=("CLUSTER", "NAME"), help="say who all faces of a cluster are instead"
    )
    _options.add_gallery(parser)
    _options.add_output(parser)
    _options.add_pipeline(parser)


def run(args: argparse.Namespace) -> int:
    """Cluster and list, or name."""
    with _kept.opened(args.gallery) as gallery:
        if args.name:
            return _name(args, *args.name)
        pipe = _options.pipeline(args)
        found = pipe.cluster(gallery, clusterer=args.method)
        unknown = len(gallery.faces(unknown=True))
    if args.json:
        _output.print_json({"clusters": [one.to_dict() for one in found], "unknown_faces": unknown})
        return 0
    table = _output.table("=cluster", ">faces", ">purity, estimated")
    for one in found:
        purity = one.purity
        shown = (
            ""
            if purity is None or purity.value is None
            else f"{purity.value:.0%} [{purity.low:.0%}, {purity.high:.0%}]"
        )
        table.add(one.id, str(one.size), shown)
    _output.console().print(table)
    alone = unknown - sum(one.size for one in found)
    _output.say(f"{len(found)} clusters of {unknown} unknown faces; {alone} look like nobody else here")
    return 0


def _name(args: argparse.Namespace, cluster: str, name: str) -> int:
    with _kept.opened(args.gallery) as gallery:
        ids = [one.id for one in gallery.clusters() if one.id.startswith(cluster)]
        if len(ids) != 1:
            raise InputError(
                f"--name: expected the id of one cluster, or its beginning, got {cluster!r}: {len(ids)} fit"
            )
        person = gallery.name_cluster(ids[0], name=name)
        seq = gallery.history(1)[0].seq
    if args.json:
        _output.print_json({"person": person.id, "name": person.name, "photos": person.template.n_images, "undo": seq})
    else:
        _output.say(f"{person.name} has {person.template.n_images} photos; `vultus people undo {seq}` takes it back")
    return 0
