"""`vultus train RECIPE --data SOURCE --out RUN`: a recognizer of one's own, from a recipe."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vultus.cli import _options, _output
from vultus.cli._training import Watch, figure
from vultus.errors import InputError, MissingExtra

if TYPE_CHECKING:
    from vultus.train.launch import Done, Job, Plan

_NAMED = 20  # pictures that cannot be used and are named; all are counted
_LATE = 50  # steps whose mean is the last loss
_EXAMPLE = "vultus train arcface --data sim --out runs/first"
SCALES = ("tiny", "nano", "mini", "paper")


def _setting(text: str) -> tuple[str, str]:
    """KEY=VALUE as a pair."""
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise argparse.ArgumentTypeError(f"expected KEY=VALUE such as optimizer.lr=0.05, got {text!r}")
    return key.strip(), value.strip()


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("recipe", metavar="RECIPE", nargs="?", help="name of a recipe (see --list), or its .toml file")
    parser.add_argument("--list", action="store_true", help="say which recipes there are, and train none")
    parser.add_argument(
        "--data",
        type=_options.place,
        metavar="SOURCE",
        help="sim (simulated people), sim:PEOPLExPICTURES, a folder of ytf_faces, or a training set: one folder per "
        "person, RecordIO, tar shards, LMDB, .csv, .lst",
    )
    parser.add_argument("--out", type=_options.place, metavar="RUN", help="folder of the run; a new one")
    parser.add_argument("--scale", choices=SCALES, default="nano", help="of the recipe (default: %(default)s)")
    parser.add_argument(
        "--set",
        type=_setting,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="another value for a key of the recipe, such as optimizer.lr=0.05; may be given again",
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run in RUN, as if it had not stopped")
    parser.add_argument(
        "--verify",
        type=_options.place,
        action="append",
        default=[],
        metavar="PLACE",
        help="also measure on this: an InsightFace .bin file, or aligned pictures of people; may be given again",
    )
    parser.add_argument("--device", default="cpu", metavar="NAME", help="cpu or cuda (default: %(default)s)")
    parser.add_argument("--threads", type=int, metavar="N", help="cores to use (default: what PyTorch takes)")
    _options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Train, measure, and say what comes next."""
    launch = launched()
    if args.list:
        return _list(args)
    if args.threads is not None:
        launch.use_threads(args.threads)
    try:
        done = _watched(_job(args, launch))
    except KeyboardInterrupt as stop:
        if not (Path(args.out or "") / launch.RUN).is_file():
            raise  # it had not begun
        again = f"go on with `vultus train --resume --out {shlex.quote(args.out)}`"
        raise KeyboardInterrupt(f"{str(stop).partition(':')[0] or 'stopped'}; {again}") from stop
    if _first():
        _tell(args, done)
    return 0


def _job(args: argparse.Namespace, launch: Any) -> Job:
    """What is asked for; a run that stopped knows its recipe and its data."""
    if not args.out:
        raise InputError(f"--out: expected the folder of the run, got none, as in `{_EXAMPLE}`")
    _output.writable(args.out)
    if args.resume and not args.recipe and not args.data:
        job: Job = replace(launch.resumed(args.out), set=dict(args.set), device=args.device)
        return replace(job, verify=tuple(args.verify)) if args.verify else job
    for name, value in (("RECIPE", args.recipe), ("--data", args.data)):
        if not value:
            raise InputError(f"{name}: expected one, got none, as in `{_EXAMPLE}`")
    settings, sets = dict(args.set), tuple(args.verify)
    made: Job = launch.Job(args.recipe, args.data, Path(args.out), args.scale, settings, sets, args.resume, args.device)
    return made


def launched() -> Any:
    """What trains and exports, `vultus.train.launch`; MissingExtra where PyTorch is not installed."""
    try:
        from vultus.train import launch
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "torch":
            raise
        raise MissingExtra("training", "train") from error
    return launch


def _list(args: argparse.Namespace) -> int:
    """Every recipe with what it is for."""
    from vultus.train import config

    known = [(name, config.read(name, "paper").purpose) for name in config.names()]
    if args.json:
        _output.print_json([{"recipe": name, "purpose": purpose} for name, purpose in known])
        return 0
    table = _output.table("=recipe", "purpose")
    for name, purpose in known:
        table.add(name, purpose)
    _output.console().print(table)
    return 0


def _watched(job: Job) -> Done:
    launch = launched()
    watch: Watch | None = None

    def begin(plan: Plan) -> Sequence[Any]:
        nonlocal watch
        watch = Watch(plan.settings.steps, plan.pictures, plan.settings.log_every, _first())
        if _first():
            what = f"{plan.recipe} at scale {plan.scale} on {plan.data.words}; {plan.parameters:,} parameters"
            print(f"{what}, {plan.settings.steps} steps of {plan.pictures} pictures", file=sys.stderr, flush=True)
            for doubt in plan.doubts:
                _output.warn(doubt)
        watch.__enter__()
        return (watch,)

    try:
        done: Done = launch.train(job, begin=begin)
    finally:
        if watch is not None:
            watch.__exit__(*sys.exc_info())
    if watch is not None:
        watch.end(done.history.evals)
    return done


def _first() -> bool:
    """Whether this is the process that speaks: under torchrun the first of many."""
    return os.environ.get("RANK", "0") == "0"


def _tell(args: argparse.Namespace, done: Done) -> None:
    following = f"vultus export {shlex.quote(args.out)}"
    loss = done.history.loss
    faults = getattr(done.plan.data.source, "faults", ())
    for fault in faults[:_NAMED]:
        _output.warn(f"replaced by another picture: {fault}")
    if len(faults) > _NAMED:
        _output.warn(f"and {len(faults) - _NAMED} more that cannot be used")
    if args.json:
        document = {
            "run": args.out,
            "recipe": done.plan.recipe,
            "scale": done.plan.scale,
            "data": done.plan.data.words,
            "tier": done.plan.data.tier,
            "steps": len(loss),
            "seconds": done.history.seconds,
            "loss": {"first": float(loss[0]), "last": float(loss[-_LATE:].mean())},
            "evals": done.history.evals,
            "n_faults": len(faults),
            "results": {name: {k: m.to_dict() for k, m in told.items()} for name, told in done.results.items()},
            "next": following,
        }
        _output.print_json(document)
        return
    if done.results:
        table = _output.table("=set", "=figure", ">value", ">95 % interval", ">n", "note")
        for name, told in done.results.items():
            for key, metric in told.items():
                table.add(name, key, *figure(metric))
        _output.console().print(table)
    else:
        _output.say("nothing was measured: nobody is held out of this data; name a set with --verify")
    _output.say(
        f"{len(loss)} steps in {done.history.seconds:.0f} s; loss {loss[0]:.3f} at first, "
        f"{loss[-_LATE:].mean():.3f} at last; {done.plan.data.tier} data"
    )
    _output.say(f"next: {following}")
