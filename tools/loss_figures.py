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
PLAIN = {
    "CosFace": ("circle_loss", "arm", "cosface"),
    "circle loss over classes": ("circle_loss", "arm", "circle loss"),
    "triplets": ("circle_loss", "arm", "triplet"),
    "ArcFace": ("sphereface2", "extra", "arcface recognizes, 0% wrong"),
    "SphereFace2": ("sphereface2", "extra", "sphereface2 recognizes, 0% wrong"),
}
NOISY = ("CosFace", "ArcFace", "SphereFace2")


def results() -> dict[str, dict[str, Any]]:
    """The documents of the claims that were run at nano scale."""
    paths = {name: RESULTS / f"{name}.nano.json" for name in CLAIMS}
    return {name: json.loads(path.read_text("utf-8")) for name, path in paths.items() if path.is_file()}


def levels(found: dict[str, dict[str, Any]]) -> list[str]:
    """Recognized with right labels, and with wrong ones."""
    lines = ["| loss | right labels | 20 % wrong | 40 % wrong |", "|---|---|---|---|"]
    for name, (claim, where, key) in PLAIN.items():
        if claim not in found:
            continue
        document = found[claim]
        cells = [document["arms"][key]["value"] if where == "arm" else float(document["extra"][key])]
        if name in NOISY and "sphereface2" in found:
            extra = found["sphereface2"]["extra"]
            cells += [float(extra[f"{name.lower()} recognizes, {share} wrong"]) for share in ("20%", "40%")]
        said = [f"{value:.3f}" for value in cells] + ["–"] * (3 - len(cells))
        lines.append(f"| {name} | {' | '.join(said)} |")
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
    body = "\n".join([BEGIN, "", *levels(found), "", *gains(found), "", END])
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
