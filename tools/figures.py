"""Measure the figures that the README prints, and print them.

    python tools/figures.py measure     run the evaluations on $VULTUS_DATA and keep the results in docs/figures
    python tools/figures.py write       write the README's section from docs/figures and benchmarks/results
    python tools/figures.py check       exit 1 when the README is not what `write` would write

No figure in the README is typed by hand.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "docs/figures"
RESULTS = ROOT / "benchmarks/results"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"

LFW = {
    "default": ["--model", "default"],
    "accurate": ["--model", "accurate"],
    "fused": ["--model", "fused"],
    "mobilefacenet_casia": ["--embedder", "mobilefacenet_casia"],
}
DETECTORS = ("centerface", "scrfd.500m", "yunet", "ultralight", "retinaface.mobile025", "extd.64")


def measure() -> None:
    """Run every evaluation; a card that is not on this machine is an error, not a gap."""
    for name, options in LFW.items():
        _keep(f"lfw-{name}", _vultus("evaluate", "lfw", *options, "--json"))
    for name in DETECTORS:
        _keep(f"detection-{name}", _vultus("evaluate", "detection", "--detector", name, "--json"))


def _vultus(*words: str) -> Any:
    from vultus.cli.__main__ import main as vultus

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = vultus(words)
    if code:
        sys.exit(f"vultus {' '.join(words)} ended with {code}")
    return json.loads(out.getvalue())


def _keep(name: str, measured: Any) -> None:
    """Metrics and where they come from; no names of people, no curves."""
    reports = measured if isinstance(measured, list) else [measured]
    kept = [
        {
            "protocol": r["protocol"],
            "dataset": r["dataset"],
            "data_tier": r["data_tier"],
            "spaces": r["spaces"],
            "metrics": r["metrics"],
            "missing": r["missing"],
            "provenance": {k: v for k, v in r["provenance"].items() if k not in _LONG},
        }
        for r in reports
    ]
    FIGURES.mkdir(parents=True, exist_ok=True)
    (FIGURES / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print(f"{name}: {len(kept)} reports")


_LONG = ("worst", "headline", "groups", "labels", "title", "notes")


def section() -> str:
    """The README's section, from the files."""
    return "\n\n".join(part for part in (_lfw(), _detection(), _speed()) if part)


def _load(name: str) -> list[dict[str, Any]] | None:
    path = FIGURES / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _lfw() -> str:
    rows = []
    for name in LFW:
        loaded = _load(f"lfw-{name}")
        if loaded:
            m = loaded[0]["metrics"]
            error = m["pairs.accuracy_standard_error"]["value"]
            accuracy = f"{100 * m['pairs.accuracy']['value']:.2f} ± {100 * error:.2f} %"
            rates = ("pairs.tar_at_far_1e-2", "pairs.tar_at_far_1e-3", "all.tar_at_far_1e-4", "all.tar_at_far_1e-5")
            rows.append(f"| `{name}` | {accuracy} | " + " | ".join(_share(m[r]) for r in rates) + " |")
    if not rows:
        return ""
    head = (
        "Labeled Faces in the Wild, View 2 (deep-funneled), 6,000 pairs in 10 folds; the last two columns compare all "
        "7,701\npictures with each other (8,101 mated, 29.6 million non-mated comparisons). 95 % intervals over people "
        "in brackets.\n\n"
        "| pipeline | accuracy | TAR at FAR 1e-2 | TAR at FAR 1e-3 | all: TAR at 1e-4 | all: TAR at 1e-5 |\n"
        "|---|---|---|---|---|---|\n"
    )
    return head + "\n".join(rows)


def _share(metric: dict[str, Any]) -> str:
    if metric["value"] is None:
        return "insufficient data"
    interval = "" if metric["low"] is None else f" [{metric['low']:.3f}, {metric['high']:.3f}]"
    return f"{metric['value']:.3f}{interval}"


def _detection() -> str:
    rows, sets = [], []
    for name in DETECTORS:
        cells = []
        for report in _load(f"detection-{name}") or []:
            m = report["metrics"]
            false = f"{m['false_alarms']['value']:.0f} false"
            shares = [f"{words} {m[key]['value']:.3f}" for key, words in _SHOWN.items() if key in m]
            cells.append(", ".join([*shares, false]))
        if cells:
            rows.append(f"| `{name}` | " + " | ".join(cells) + " |")
            sets = [report["dataset"] for report in _load(f"detection-{name}") or []]
    if not rows:
        return ""
    head = (
        "Detection, each detector at its own threshold. `dlib_faces` has exact boxes (IoU 0.4), "
        "`human_faces_detection` generous\nboxes around heads (IoU 0.25), `wider_val416` holds WIDER val pictures "
        "squeezed to 416 x 416 (IoU 0.5; most of its\nfaces are under 16 px), `pareidolia_noise` no face at all. Faces "
        "without a label count as false.\n\n"
        f"| detector | {' | '.join(sets)} |\n|{'---|' * (len(sets) + 1)}\n"
    )
    return head + "\n".join(rows)


_SHOWN = {"ap": "AP", "ap_16px": "AP from 16 px", "recall": "recall"}


def _speed() -> str:
    found = sorted(RESULTS.glob("pipeline*.json"), key=lambda path: json.loads(path.read_text("utf-8"))["date"])
    if not found:
        return ""
    record = json.loads(found[-1].read_text(encoding="utf-8"))
    machine = record["machine"]
    rows = [
        f"| {r['race']} | {r['system']} | {r['threads']} | {r['parallel']} | {r['images_per_s']['median']:.1f} | "
        f"{r['times_fastest_peer']:.2f} | {r['cpu_ms_per_image']:.0f} | {r['peak_rss_mb']:.0f} | {r['faces']} |"
        for r in record["results"]
    ]
    head = (
        f"Speed on {record['results'][0]['images']} photographs in their real sizes ({machine['cpu']}, "
        f"{machine['cores']} cores, {record['date'][:10]}; medians). *Same\nweights*: SCRFD-500M and one MobileFaceNet "
        "file in every system. *Out of the box*: each system's own default.\n`spread`: cores work inside the network "
        "or on different pictures; a peer's faster way is what the ratio refers to.\n"
        "See [benchmarks](benchmarks/README.md) for how it is kept fair.\n\n"
        "| race | system | cores | spread | images/s | times fastest peer | CPU ms/image | MB | faces found |\n"
        "|---|---|---|---|---|---|---|---|---|\n"
    )
    return head + "\n".join(rows)


def written(readme: str) -> str:
    """The README with its section in place."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{section()}\n{END}{after}"


def main() -> None:
    """Measure, write or check."""
    what = sys.argv[1] if len(sys.argv) == 2 else ""
    path = ROOT / "README.md"
    readme = path.read_text(encoding="utf-8")
    if what == "measure":
        measure()
    elif what == "write":
        path.write_text(written(readme), encoding="utf-8")
    elif what == "check":
        sys.exit(0 if written(readme) == readme else "README.md: figures are not those of docs/figures; run `write`")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
