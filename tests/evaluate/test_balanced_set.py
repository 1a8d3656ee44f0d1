"""The set on disk: balanced, resumable to the byte, refused where another set lies."""

from __future__ import annotations

import hashlib
import json
import os

import pytest

from vultus.errors import InputError, Refused, StoreError, UnknownMethod
from vultus.evaluate.balanced_set import build, simulated
from vultus.evaluate.simulated_model import Flaws
from vultus.io import provenance
from vultus.io.datasets.controlface import controlface
from vultus.types import Basis

SLOTS = {"groups": ["A", "D"], "genders": ["female"], "ages": ["young", "old"], "poses": ["frontal", "left"]}


def a_sig():
    return simulated(size=64, lod=0, flaws=Flaws(attribute=0.15), slots=SLOTS)


def digests(folder):
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def made(folder, per_cell=2, seed=1):
    return list(build(folder, a_sig(), per_cell, basis=Basis.synthetic(), seed=seed))[-1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, made(folder)


def test_it_is_balanced_and_read_back(whole):
    folder, found = whole
    assert (found.people, found.pictures, found.cells, found.chi2, found.resumed) == (8, 16, 4, 0.0, 0)
    again = controlface(folder)
    assert (again.dataset.tier, len(again.dataset.names), len(again)) == ("sim", 8, 16)
    assert sorted(again.of_people("race")) == ["A"] * 4 + ["D"] * 4
    assert again.values["pose"] == ("frontal", "left")
    rows = [json.loads(line) for line in (folder / "people.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == [f"{k:05d}" for k in range(8)]
    assert all({"reason", "value", "limit", "pose"} <= set(x) for row in rows for x in row["rejected"])
    assert sum(len(row["rejected"]) for row in rows) == sum(found.rejected.values()) > 0


def test_interrupted_anywhere_it_ends_with_the_same_bytes(whole, tmp_path):
    steps = build(tmp_path, a_sig(), 2, basis=Basis.synthetic(), seed=1)
    for _ in range(4):
        next(steps)
    steps.close()  # what Ctrl-C does to it
    lines = tmp_path / "people.jsonl"
    lines.write_bytes(lines.read_bytes() + b'{"id":"00003","half a li')
    found = made(tmp_path)
    assert found.resumed == 3
    assert found.chi2 == 0
    assert digests(tmp_path) == digests(whole[0])


def test_a_set_grows(whole, tmp_path):
    made(tmp_path, per_cell=1)
    assert made(tmp_path, per_cell=2).resumed == 4
    assert digests(tmp_path) == digests(whole[0])
    assert made(tmp_path, per_cell=2).resumed == 8  # nothing left to do


def test_another_set_is_not_written_over(whole, tmp_path):
    folder, _ = whole
    before = digests(folder)
    with pytest.raises(InputError, match="another seed"):
        made(folder, seed=2)
    with pytest.raises(InputError, match="per_cell"):
        made(folder, per_cell=1)
    assert digests(folder) == before
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "holiday.png").write_bytes(b"x")
    with pytest.raises(InputError, match="other files"):
        made(tmp_path)


def test_nothing_is_written_without_a_basis(tmp_path):
    with pytest.raises(Refused):
        build(tmp_path / "out", a_sig(), 1, basis=None)
    assert not (tmp_path / "out").exists()


def test_unknown_values_have_near_names():
    with pytest.raises(UnknownMethod, match="near names: female"):
        simulated(slots={"genders": ["femal"]})


def test_every_file_says_how_it_was_made_and_its_pixels_agree(tmp_path):
    pipeline = simulated(
        size=128, lod=0, flaws=Flaws(0, 0, 0, {}, 0, 0, 0, 0), slots={**SLOTS, "groups": ["A"], "ages": ["old"]}
    )
    list(build(tmp_path, pipeline, 1, basis=Basis.synthetic()))
    for path in sorted((tmp_path / "images").iterdir()):
        told = provenance.verify(path)
        assert told.agree
        assert (told.provenance.method, told.provenance.simulated) == ("sig", True)


@pytest.mark.parametrize("text", ["[]", "null", "[" * 200_000, '{"per_cell": "1"}', "{}"])
def test_a_set_that_says_nonsense_about_itself_is_refused(text, tmp_path):
    (tmp_path / "about.json").write_text(text)
    with pytest.raises(InputError, match=r"expected (a set that vultus made|what a set says)"):
        made(tmp_path)
    assert (tmp_path / "about.json").read_text() == text


def test_lines_that_somebody_changed_are_named(whole, tmp_path):
    good = (whole[0] / "people.jsonl").read_text().splitlines()
    (tmp_path / "about.json").write_bytes((whole[0] / "about.json").read_bytes())
    row = json.loads(good[1])
    changed = [
        *({**row, "cell": cell} for cell in (3, ["A"], json.loads(good[2])["cell"])),
        *({**row, "vector": vector} for vector in ([], ["a"], [0.5], [float("nan")] * 64)),
        *({**row, key: value} for key, value in (("number", 1), ("rejected", [3]), ("id", "00000"))),
        *(None, [], {}, json.loads(good[0])),
    ]
    for bad in changed:
        (tmp_path / "people.jsonl").write_text("\n".join([good[0], json.dumps(bad), *good[2:]]) + "\n")
        with pytest.raises(InputError, match="line 2: expected person 00001"):
            made(tmp_path)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_disk_is_said_and_the_set_goes_on(whole, tmp_path):
    (tmp_path / "people.jsonl").symlink_to("/dev/full")
    (tmp_path / "about.json").write_bytes((whole[0] / "about.json").read_bytes())
    with pytest.raises(StoreError, match=r"people\.jsonl: cannot be written: No space left.*run again"):
        made(tmp_path)
    (tmp_path / "people.jsonl").unlink()
    (tmp_path / "people.jsonl").touch()
    steps = build(tmp_path, a_sig(), 2, basis=Basis.synthetic(), seed=1)
    assert [next(steps).people, next(steps).people] == [0, 1]
    first = (whole[0] / "people.jsonl").read_bytes().splitlines()[0]
    assert (tmp_path / "people.jsonl").read_bytes() == first + b"\n"


def test_a_pipeline_that_leaves_places_empty_is_refused(tmp_path):
    pipeline = a_sig()
    pipeline.strict = False
    with pytest.raises(InputError, match="strict"):
        build(tmp_path / "out", pipeline, 1, basis=Basis.synthetic())
    assert not (tmp_path / "out").exists()
