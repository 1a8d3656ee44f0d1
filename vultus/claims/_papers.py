"""papers.toml by program: which claim a paper has, what it says and when that was measured."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from vultus import catalogue
from vultus.claims._claim import Claim
from vultus.claims._picture import short
from vultus.claims._results import newest

__all__ = ["PAPERS", "figure", "rewritten"]

PAPERS = Path(catalogue.__file__).with_name("papers.toml")
_TABLE = re.compile(r"^\[(\w+)\]$", re.M)
_OURS = re.compile(r"^(?:claim|status|figure|scale|date) = .*\n", re.M)


def rewritten(text: str, known: Mapping[str, Claim], documents: Iterable[Mapping[str, Any]]) -> str:
    """papers.toml as the claims and their committed results say it.

    A paper without a claim stays as it is, except that it loses the figure of a claim that is gone.

    Args:
        text: papers.toml.
        known: claims by name.
        documents: committed results.
    """
    documents = list(documents)
    starts = [match.start() for match in _TABLE.finditer(text)] + [len(text)]
    blocks = [text[a:b] for a, b in pairwise(starts)]
    return text[: starts[0]] + "".join(_block(block, known, documents) for block in blocks)


def _block(block: str, known: Mapping[str, Claim], documents: list[Mapping[str, Any]]) -> str:
    name = block[1 : block.index("]")]
    number = int(_value(block, "number"))
    mine = [claim.name for claim in known.values() if claim.paper == number]
    had = json.loads(_value(block, "claim"))
    if not mine and not had:
        return block
    keys = {"claim": name if name in mine else mine[0] if mine else ""}
    found = newest(documents, keys["claim"]) if mine else None
    keys["status"] = "wired" if mine or _value(block, "methods") != "[]" else "planned"
    if found is not None:
        if found["status"] in ("shown", "not-shown"):
            keys["status"] = found["status"]
        words = "; also ".join([figure(found), *_others(documents, mine, keys["claim"])])
        keys |= {"figure": words, "scale": found["scale"], "date": found["date"][:10]}
    lines = "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in keys.items())
    kept = _OURS.sub("", block).rstrip("\n") + "\n"
    return kept + lines + block[len(block.rstrip("\n")) + 1 :]


def _others(documents: list[Mapping[str, Any]], mine: list[str], main: str) -> list[str]:
    """How the paper's other claims ended: one that is not shown must not hide behind one that is."""
    found = {name: newest(documents, name) for name in mine if name != main}
    return [f"{name} {document['status']}" for name, document in found.items() if document is not None]


def _value(block: str, key: str) -> str:
    found = re.search(rf"^{key} = (.*)$", block, re.M)
    return found.group(1) if found else '""'


def figure(document: Mapping[str, Any]) -> str:
    """What a result says, in half a sentence."""
    effect = document["effect"]
    if document["status"] not in ("shown", "not-shown") or effect is None:
        return f"{document['status']}: {document['why']}"
    span = "" if effect["low"] is None else f" [{short(effect['low'])}, {short(effect['high'])}]"
    units = f"{document['n_units']} {document['unit']}s, {len(document['seeds'])} seeds"
    tier = "simulated" if document["data"] == "sim" else "real data"
    return f"gain {short(effect['value'])}{span} in {document['metric']}; {units}, {tier}"
