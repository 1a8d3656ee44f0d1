"""The page: offline, self-contained, valid, complete; any Report can be written."""

from __future__ import annotations

import os
import re
from html.parser import HTMLParser

import pytest

from vultus.errors import InputError, StoreError
from vultus.evaluate import report as page
from vultus.evaluate._words import number, sentence
from vultus.types import Metric, Report

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


def a_report(**more):
    fields = {
        "protocol": "lfw.view2",
        "dataset": "made up & <small>",
        "data_tier": "sim",
        "metrics": {
            "pairs.accuracy": Metric(0.98917, 0.9861, 0.9921, "share", 4281, "mean of ten folds"),
            "pairs.tar_at_far_1e-3": Metric(None, unit="share", n=12, note="too few <errors>"),
            "all.threshold": Metric(0.281, unit="cosine", n=3),
        },
        "curves": {
            "det": {
                "x": [1e-4, 1e-3, 1e-2],
                "y": [0.05, 0.02, 0.0],
                "low": [0.04, 0.01, 0.0],
                "high": [0.06, 0.03, 0.001],
                "x_label": "false match rate",
                "y_label": "false non-match rate",
                "x_scale": "deviate",
                "y_scale": "deviate",
            },
            "scores": {
                "kind": "histogram",
                "x": [0, 0.5, 1],
                "y": [0.25, 0.75],
                "x_label": "cosine",
                "y_label": "share",
            },
            "speed": {"x": [1, 10, 1000], "y": [3, 2, 1], "x_label": "n", "y_label": "ms", "x_scale": "log"},
            "folds": {"kind": "points", "x": [1, 2], "y": [99.0, 98.0], "x_label": "fold", "y_label": "%"},
        },
        "spaces": ("net@0123456789ab",),
        "provenance": {
            "title": "A title",
            "thresholds": [{"name": "FAR 1e-3", "value": 0.338, "source": "fitted on dev"}],
            "counts": {"pictures": 7701},
            "notes": ["A policy."],
            "worst": [{"kind": "False match", "score": 0.5, "pictures": ["a/a_1.jpg", "b/b_1.jpg"]}],
            "seed": "7",
            "libraries": {"numpy": "2.4.6"},
        },
        "missing": ("TAR at FAR 1e-6: too few",),
    }
    return Report(**(fields | more))


class Strict(HTMLParser):
    """Fails on tags that do not nest; gathers what a browser would ask for."""

    VOID = frozenset({"meta", "img", "br", "wbr", "path", "circle"})

    def __init__(self):
        super().__init__()
        self.open, self.asked, self.text, self.images = [], [], [], []

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.asked += [named[key] for key in ("src", "href", "data", "srcset", "action") if key in named]
        if tag == "img":
            self.images.append(named)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if tag in self.VOID:
            return
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def parsed(report, **more):
    parser = Strict()
    source = page.html(report, **more)
    parser.feed(source)
    parser.close()
    assert parser.open == []
    return parser, source


def test_page_is_well_formed_asks_for_nothing_and_shows_everything():
    parser, source = parsed(a_report(), pictures={"a/a_1.jpg": PNG})
    assert all(url.startswith("data:") for url in parser.asked)
    assert not re.search(r"(?:https?:)?//\w", source)
    assert "default-src 'none'" in source
    assert "<script" not in source
    text = " ".join(parser.text)
    for words in (
        "A title",
        "Simulated data",
        "net@0123456789ab",
        "98.92",
        "[98.61, 99.21]",
        "4,281",
        "insufficient",
        "too few <errors>",
        "TAR at FAR 10⁻³",
        "fitted on dev",
        "0.338",
        "7,701",
        "A policy.",
        "False match",
        "picture not given",
        "TAR at FAR 1e-6: too few",
        "numpy 2.4.6",
        "Seed",
    ):
        assert words in text, words
    assert parser.images[0]["alt"] == "a/a_1.jpg"
    assert source.count("<svg") == 2 * source.count("<figure>") == 8
    assert source.count('role="img"') == 8
    assert "prefers-color-scheme:dark" in source
    assert "nan" not in re.sub(r"[a-z]nan|nan[a-z]", "", source.split("</style>")[1]).lower()


def test_the_smallest_report_is_a_page():
    parser, _ = parsed(Report("detection", "nothing", "real", {}))
    assert "Real photographs" in "".join(parser.text)


def test_written_and_read_back(tmp_path):
    report = a_report()
    files = page.write(report, tmp_path / "deep" / "er")
    assert [f.name for f in files] == ["report.json", "report.html"]
    assert page.read(tmp_path / "deep" / "er") == report
    assert sorted(p.name for p in (tmp_path / "deep" / "er").iterdir()) == ["report.html", "report.json"]


@pytest.mark.parametrize(
    ("curve", "words"),
    [
        ({"x": [1], "y": [1], "x_label": "x"}, "'y_label' is missing"),
        ({"x": [1, 2], "y": [1], "x_label": "x", "y_label": "y"}, "expected 1 x for 1 y"),
        ({"x": [], "y": [], "x_label": "x", "y_label": "y"}, "at least one"),
        ({"x": [1], "y": [1], "low": [], "x_label": "x", "y_label": "y"}, "1 values of 'low'"),
        ({"x": [1], "y": [1], "x_scale": "cubic", "x_label": "x", "y_label": "y"}, "got 'cubic'"),
    ],
)
def test_malformed_curves_are_refused(curve, words):
    with pytest.raises(InputError, match=words):
        page.html(a_report(curves={"c": curve}))


def test_refusals_leave_nothing_behind(tmp_path):
    with pytest.raises(InputError, match="finite"):
        page.write(a_report(metrics={"a": Metric(float("nan"))}), tmp_path)
    with pytest.raises(InputError, match="JPEG or PNG"):
        page.write(a_report(), tmp_path, pictures={"a/a_1.jpg": b"GIF89a"})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StoreError, match="could not read"):
        page.read(tmp_path)
    (tmp_path / "report.json").write_text("[]")
    with pytest.raises(InputError, match="something else"):
        page.read(tmp_path)
    with pytest.raises(StoreError, match="writable folder"):
        page.write(a_report(), tmp_path / "report.json")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="permissions do not bind the superuser")
def test_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError):
        page.write(a_report(), tmp_path)


def test_constant_and_empty_ranges_can_be_drawn():
    flat = {"x": [1, 2], "y": [1, 1], "x_label": "x", "y_label": "y"}
    zero = {"x": [0.0], "y": [0.0], "x_label": "x", "y_label": "y", "x_scale": "deviate", "y_scale": "log"}
    parsed(a_report(curves={"flat": flat, "zero": zero, "one": {**flat, "x": [1], "y": [1]}}))


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("tar_at_far_1e-3", "TAR at FAR 10⁻³"),
        ("ap_16px", "AP 16px"),
        ("16_32px", "16–32px"),
        ("d_prime", "D prime"),
        ("FAR 1e-4, official pairs", "FAR 10⁻⁴, official pairs"),
    ],
)
def test_keys_in_words(key, words):
    assert sentence(key) == words


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0.98917, "share", ("98.92", "%")),
        (0.000123, "share", ("0.012", "%")),
        (1e-6, "share", ("0.00010", "%")),
        (0.0, "share", ("0.00", "%")),
        (-0.25, "cosine", ("−0.25", "cosine")),
        (12345.0, "", ("12,345", "")),
        (None, "share", ("insufficient", "")),
    ],
)
def test_numbers_in_words(value, unit, words):
    assert number(value, unit) == words
