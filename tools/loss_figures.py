"""The tables of docs/guides/losses.md, from the committed results of claims.

python tools/loss_figures.py write      put them into the page
python tools/loss_figures.py check      exit 1 when they are not what `write` would write
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE, RESULTS = ROOT / "docs/guides/losses.md", ROOT / "vultus/claims/results"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
CLAIMS = ("circle_loss", "sphereface2", "adaface", "symface", "aroface", "facenet")
PLAIN = {"CosFace": "cosface", "triplets": "triplet", "circle loss over classes": "circle loss"}
NOISY = {"CosFace": "cosface", "ArcFace": "arcface", "SphereFace2": "sphereface2"}


def results() -> dict[str, dict[str, Any]]:
    """The documents of the claims that were run at nano scale."""
    paths = {name: RESULTS / f"{name}.nano.json" for name in CLAIMS}
    return {name: json.loads(path.read_text("utf-8")) for name, path in paths.items() if path.is_file()}


def levels(found: dict[str, dict[str, Any]]) -> list[str]:
    """What is recognized: by losses with right labels, and by losses with right and wrong ones."""
    lines: list[str] = []
    if "circle_loss" in found:
        arms = found["circle_loss"]["arms"]
        lines += ["| loss, crops of 56 pixels | recognized |", "|---|---|"]
        lines += [f"| {name} | {arms[key]['value']:.3f} |" for name, key in PLAIN.items()] + [""]
    if "sphereface2" in found:
        extra = found["sphereface2"]["extra"]
        lines += ["| loss, crops of 40 pixels | right labels | 40 % wrong |", "|---|---|---|"]
        for name, key in NOISY.items():
            clean, wrong = (float(extra[f"{key} recognizes, {share} wrong"]) for share in ("0%", "40%"))
            lines.append(f"| {name} | {clean:.3f} | {wrong:.3f} |")
        lines.append("")
    return lines


def gains(found: dict[str, dict[str, Any]]) -> list[str]:
    """What each claim says."""
    lines = ["| claim | against | metric | gain with 95 % interval | status |", "|---|---|---|---|---|"]
    for name, document in found.items():
        effect = document["effect"]
        gain = "–" if effect is None else f"{effect['value']:+.3f} [{effect['low']:+.3f}, {effect['high']:+.3f}]"
        cells = (f"`{name}`: {document['method']}", document["baseline"], document["metric"], gain, document["status"])
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def written(text: str) -> str:
    """The page with its tables."""
    found = results()
    body = "\n".join([BEGIN, "", *levels(found), *gains(found), "", END])
    return re.sub(f"{BEGIN}.*?{END}", lambda _: body, text, flags=re.S)


def main() -> int:
    """Write or check."""
    text = PAGE.read_text("utf-8")
    if sys.argv[1:] == ["write"]:
        PAGE.write_text(written(text), "utf-8")
        return 0
    if sys.argv[1:] == ["check"]:
        if written(text) == text:
            return 0
        print(f"{PAGE.name}: its tables are not those of the results; run tools/loss_figures.py write", file=sys.stderr)
        return 1
    print(__doc__)
    return 2


if __name__ == "__main__":
    raise SystemExit(main())
