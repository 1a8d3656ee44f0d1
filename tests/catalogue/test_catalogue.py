"""The catalogue: rows refuse what is wrong in words; the 140 papers are all there."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vultus import catalogue
from vultus.errors import InputError, MissingExtra, UnknownMethod

GOOD = {
    "room": "detect",
    "target": "vultus.detect.sample:Sample",
    "paper": "arXiv:0101.00001",
    "evidence": "peer",
    "status": "preview",
    "since": "0.1",
}


def toml(**keys: object) -> str:
    return "".join(f"{key} = {value!r}\n".replace("'", '"') for key, value in keys.items() if value is not None)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A catalogue of this test's own; returns a function that writes one of its files."""
    monkeypatch.setattr(catalogue, "_HERE", tmp_path)

    def write(name: str, text: str) -> None:
        (tmp_path / name).write_text(text)
        catalogue._rows.cache_clear()

    yield write
    catalogue._rows.cache_clear()


def test_a_row_knows_its_file_and_test(folder):
    folder("detect.toml", '["sample.big"]\n' + toml(**GOOD) + "args = { size = 640 }\n")
    row = catalogue.row("sample.big")
    assert (row.file, row.test) == ("vultus/detect/sample.py", "tests/detect/test_sample.py")
    assert row.args == {"size": 640}
    assert row.weights == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"paper": None}, r"keys paper as well; they are missing"),
        ({"evidense": "peer"}, r"expected keys among .*evidence.*; got evidense"),
        ({"evidence": "hearsay"}, r"expected evidence to be one of authors, peer, .*; got 'hearsay'"),
        ({"status": "done"}, r"expected status to be one of preview, stable, retired; got 'done'"),
        ({"paper": ""}, r"expected the id of its paper"),
        ({"room": "quality"}, r"expected target 'vultus.quality.<file>:<Name>'"),
        ({"target": "vultus.detect.sample"}, r"expected target"),
        ({"name": "other"}, r"got name"),
    ],
)
def test_a_wrong_row_is_refused_in_words(folder, change, said):
    folder("detect.toml", "[sample]\n" + toml(**{**GOOD, **change}))
    with pytest.raises(InputError, match=said):
        catalogue.rows()


def test_a_row_stands_in_the_file_of_its_room(folder):
    folder("quality.toml", "[sample]\n" + toml(**GOOD))
    with pytest.raises(InputError, match="says room 'detect'; expected 'quality'"):
        catalogue.rows()


def test_a_dot_without_quotes_is_explained(folder):
    folder("detect.toml", "[scrfd.big]\n" + toml(**GOOD))
    with pytest.raises(InputError, match="needs quotes"):
        catalogue.rows()


def test_what_can_harm_says_how(folder):
    keys = {**GOOD, "room": "privacy.images", "target": "vultus.privacy.images.sample:Sample"}
    folder("privacy.toml", "[sample]\n" + toml(**keys))
    with pytest.raises(InputError, match="expected a misuse sentence"):
        catalogue.rows()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('misuse = "of people who did not agree"\n', r"expected a misuse sentence and scopes together, .* scopes \[\]"),
        ('scopes = ["swap"]\n', r"together, got misuse ''"),
        ('misuse = "of others"\nscopes = ["steal"]\n', r"expected scopes to be one of generate, swap, .*; got 'steal'"),
    ],
)
def test_the_scopes_stand_beside_the_misuse_sentence(folder, more, said):
    folder("detect.toml", "[sample]\n" + toml(**GOOD) + more)
    with pytest.raises(InputError, match=said):
        catalogue.rows()
    folder("detect.toml", "[sample]\n" + toml(**GOOD) + 'misuse = "of others"\nscopes = ["swap", "analyze:age"]\n')
    assert catalogue.row("sample").scopes == ("swap", "analyze:age")


def test_load_calls_the_target_with_the_rows_arguments(folder, tmp_path, monkeypatch):
    package = tmp_path / "vultus_sample.py"
    package.write_text("class Sample:\n    def __init__(self, size=1, score=0.5):\n        self.got = (size, score)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(catalogue, "import_module", lambda name: __import__("vultus_sample"))
    folder("detect.toml", "[sample]\n" + toml(**GOOD) + "args = { size = 640 }\n")
    assert catalogue.load("sample").got == (640, 0.5)
    assert catalogue.load("sample", size=320, score=0.7).got == (320, 0.7)
    with pytest.raises(InputError, match="expected arguments among size, score; got colour"):
        catalogue.load("sample", colour="red")


def test_a_missing_extra_names_the_install_command(folder):
    folder("detect.toml", "[sample]\n" + toml(**GOOD, extra="train") + "[plain]\n" + toml(**GOOD))
    with pytest.raises(MissingExtra, match=r"pip install 'vultus\[train\]'"):
        catalogue.load("sample")
    with pytest.raises(ModuleNotFoundError):  # a core method has no excuse
        catalogue.load("plain")


def test_an_unknown_name_suggests_near_ones(folder):
    folder("detect.toml", "[centerface]\n" + toml(**GOOD) + "[yunet]\n" + toml(**GOOD))
    with pytest.raises(UnknownMethod, match="unknown method 'centreface'; near names: centerface"):
        catalogue.load("centreface")


def test_listing_imports_no_method():
    code = (
        "import sys; from vultus import catalogue; "
        "print([row.module for row in catalogue.rows().values() if row.module in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_140_papers():
    papers = catalogue.papers()
    assert [paper.number for paper in papers] == list(range(1, 141))
    assert len({paper.name for paper in papers}) == len({paper.title for paper in papers}) == 140
    assert all(paper.name.isidentifier() and paper.name.islower() and paper.room for paper in papers)
    by_name = {paper.name: paper for paper in papers}
    assert by_name["retinaface"].title == "RetinaFace: Single-stage Dense Face Localisation in the Wild"
    assert by_name["wplus_adapter"].title.startswith("When StyleGAN Meets Stable Diffusion: a W_+ Adapter")
    assert (by_name["hyp_oc"].number, by_name["hyp_oc"].room) == (140, "security/liveness")
