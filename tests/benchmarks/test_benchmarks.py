"""The harness: records have the one form, multiplications are counted right, answers are compared right."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from benchmarks import agreement, floor, machine, pipeline, population, run, schema, train_step, train_step_worker
from vultus import catalogue
from vultus.train.centers import ClassCenters

RESULTS = Path(schema.__file__).parent / "results"


def a_record():
    record = machine.head("import_time", {"warm_up": 3}, ("numpy",))
    ms = schema.timing([3.0, 1.0, 2.0, 10.0])
    record["results"].append({"command": "python -c pass", "ms": ms, "limit_ms": 150.0, "within": True})
    return record


def test_timing_is_median_and_ends():
    assert schema.timing([3.0, 1.0, 2.0, 10.0]) == {"median": 2.5, "low": 1.0, "high": 10.0, "n": 4}
    with pytest.raises(ValueError, match="at least one"):
        schema.timing([])


def test_a_good_record_passes_and_is_written(tmp_path):
    schema.write(a_record(), tmp_path / "x" / "r.json")
    assert json.loads((tmp_path / "x" / "r.json").read_text())["suite"] == "import_time"


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("date",), None, "record.date"),
        (("schema",), 2, "schema: expected 1"),
        (("suite",), "other", "suite: expected one of"),
        (("results",), [], "at least one"),
        (("results", 0, "within"), 1, r"results\[0\].within"),
        (("results", 0, "limit_ms"), True, "limit_ms"),
        (("results", 0, "ms", "median"), float("nan"), "low <= median|finite"),
        (("results", 0, "ms", "low"), 99.0, "low <= median"),
        (("machine", "cores"), "2", "machine.cores"),
        (("notes",), [1], r"notes\[0\]"),
    ],
)
def test_a_bad_record_is_refused(path, value, words):
    record = copy.deepcopy(a_record())
    place = record
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ValueError, match=words):
        schema.validate(record)


def test_a_missing_key_is_named():
    record = a_record()
    del record["results"][0]["ms"]["n"]
    with pytest.raises(ValueError, match=r"results\[0\].ms: expected the key 'n'"):
        schema.validate(record)


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda p: p.name)
def test_committed_records_are_of_the_form(path):
    record = json.loads(path.read_text("utf-8"))
    schema.validate(record)
    assert path.name.partition(".")[0] == record["suite"]  # SUITE.json, or SUITE.TAG.json
    assert record["suite"] in run.SUITES


def test_the_figures_of_the_gallery_guide_are_those_of_the_records():
    guide = (Path(schema.__file__).parents[1] / "docs/guides/gallery.md").read_text("utf-8")
    said = []
    for name, rows in (("search.json", 1_000_000), ("search.10m.json", 10_000_000)):
        record = json.loads((RESULTS / name).read_text("utf-8"))
        (row,) = [r for r in record["results"] if (r["system"], r["rows"], r["dim"]) == ("vultus bits", rows, 512)]
        said.append((row, record["settings"]))
    (million, asked), (ten, _) = said
    assert (million["threads"], ten["threads"], million["rank1_mated"]) == (2, 2, 1.0)
    for words in (
        f"takes {million['single_ms']['median']:.2g} ms among a million references",
        f"{ten['single_ms']['median']:.2g} ms\namong ten million",
        f"for each of {asked['mated_probes']} people",
        f"{million['rank1_strangers']:.0%}".replace("%", " % of strangers"),
    ):
        assert words in guide


def network():
    """Convolution 3 -> 8 with stride 2, depthwise 3x3, transposed convolution, flatten, Gemm, MatMul."""
    rng = np.random.default_rng(0)

    def weight(name, *shape):
        return numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["a"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["a", "w1"], ["b"], group=8, pads=[1, 1, 1, 1]),
        helper.make_node("ConvTranspose", ["b", "w2"], ["c"], strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["c"], ["d"]),
        helper.make_node("Flatten", ["d"], ["e"]),
        helper.make_node("Gemm", ["e", "w3"], ["f"], transB=1),
        helper.make_node("MatMul", ["f", "w4"], ["y"]),
    ]
    weights = [
        weight("w0", 8, 3, 3, 3),
        weight("w1", 8, 1, 3, 3),
        weight("w2", 8, 4, 2, 2),
        weight("w3", 5, 4),
        weight("w4", 5, 7),
    ]
    free = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 7])
    graph = helper.make_graph(nodes, "g", [free], [out], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


@pytest.mark.parametrize("n", [1, 3])
def test_multiplications_are_those_of_the_textbook(n):
    """Worked by hand for a 16 x 12 picture: 8x6 places after the first convolution."""
    by_hand = 48 * 8 * 27 + 48 * 8 * 9 + 48 * 8 * 4 * 4 + 4 * 5 + 5 * 7
    assert floor.macs(network(), {"x": (n, 3, 16, 12)}) == n * by_hand


def test_recorder_counts_only_while_it_is_on(monkeypatch):
    import onnxruntime

    monkeypatch.setattr(onnxruntime.InferenceSession, "run", onnxruntime.InferenceSession.run)
    recorder = floor.Recorder()
    recorder.install()
    session = onnxruntime.InferenceSession(network(), providers=["CPUExecutionProvider"])
    feeds = {"x": np.zeros((1, 3, 16, 12), np.float32)}
    session.run(None, feeds)
    recorder.on = True
    session.run(None, feeds)
    session.run(None, feeds)
    assert recorder.total() == 2 * floor.macs(network(), {"x": (1, 3, 16, 12)})


def test_agreement_counts_faces_of_both_sides():
    def one(boxes, vectors):
        return {"boxes_0": np.array(boxes, np.float32).reshape(-1, 4), "vectors_0": np.array(vectors, np.float32)}

    ours = one([[0, 0, 10, 10], [100, 100, 120, 120]], [[1, 0], [0, 1]])
    theirs = one([[1, 0, 11, 10], [50, 50, 60, 60], [200, 0, 210, 10]], [[1, 0], [1, 0], [0, 1]])
    found = agreement.agreement(ours, theirs, 1)
    assert found["vultus_faces_found"] == 0.5
    assert found["peer_faces_found"] == pytest.approx(1 / 3, abs=1e-4)
    assert (found["compared_vectors"], found["cosine_median"]) == (1, 1.0)
    nothing = one([], np.zeros((0, 2)))
    assert agreement.agreement(nothing, theirs, 1)["peer_faces_found"] == 0.0


def test_photographs_are_spread_evenly(tmp_path):
    for i in range(30):
        (tmp_path / f"{i:02d}.JPG").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("")
    names = [p.stem for p in pipeline.photographs(tmp_path, 4)]
    assert names == ["00", "10", "19", "29"]
    assert len(pipeline.photographs(tmp_path, 500)) == 30
    with pytest.raises(SystemExit, match="found none"):
        pipeline.photographs(tmp_path / "notes.txt", 4)


def test_short_suites_run(tmp_path, monkeypatch, capsys):
    from benchmarks import cold_start, import_time

    monkeypatch.setattr(import_time, "LIMIT_MS", 1e6)  # the limit is judged on a quiet machine, not here
    monkeypatch.setattr(cold_start, "LIMIT_MS", 1e6)
    for suite, name, more in (
        ("import_time", "import_time.json", []),
        ("cold_start", "cold_start.b.json", ["--tag", "b"]),
    ):
        assert run.main([suite, "--runs", "2", "--warm-up", "0", "--out", str(tmp_path), *more]) == 0
        schema.validate(json.loads((tmp_path / name).read_text()))
    assert "limit" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        run.main(["cold_start", "--tag", "../b"])


@pytest.mark.slow
def test_the_search_suite_runs_small_and_agrees_with_numpy(tmp_path):
    assert run.main(["search", "--small", "--systems", "vultus float", "vultus bits", "--out", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "search.json").read_text())
    assert {row["system"] for row in record["results"]} == {"numpy", "vultus float", "vultus bits"}
    assert all(row["rank1_mated"] == row["rank1_strangers"] == 1.0 for row in record["results"])


def test_the_people_of_the_search_suite_are_the_same_whatever_is_asked_first():
    people = population.Population(40_000, 32, 0)
    chunks = dict(people.chunks())
    rows, probes = np.concatenate(list(chunks.values())), people.mated(50)
    assert np.array_equal(rows[20_000:], dict(people.chunks())[20_000])
    scores = (probes @ rows.T).max(axis=1)
    assert scores.min() > 0.4
    assert scores.mean() < 0.8
    same = (rows.reshape(-1, population.PHOTOS, 32)[:, 0] * rows.reshape(-1, population.PHOTOS, 32)[:, 1]).sum(1)
    assert 0.5 < same.mean() < 0.7


def test_the_roc_suite_counts_what_scikit_learn_sorts(tmp_path):
    assert run.main(["roc", "--small", "--out", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "roc.json").read_text("utf-8"))
    rows = {row["system"]: row for row in record["results"]}
    assert set(rows) == {"vultus histogram", "vultus exact", "scikit-learn"}, record["notes"]
    assert rows["vultus histogram"]["largest_tar_difference"] <= 1e-4
    assert rows["vultus exact"]["auc_difference"] < 1e-12
    rates = {check["system"]: check["tar_at_far"] for check in record["checks"]}
    assert list(rates["vultus exact"]) == ["0.1", "0.01"]  # at 0.001 fewer than 30 errors are expected
    both = rates["vultus exact"], rates["scikit-learn"]
    assert all(one <= other for one, other in zip(*(rate.values() for rate in both), strict=True))


def test_the_training_suite_compares_one_loss_and_one_step():
    order = {"system": "vultus", "classes": 20, "dim": 8, "batch": 6, "size": 32, "sample_rate": 1.0}
    order |= {"warm_up": 1, "repeat": 3, "seed": 1}
    centers = ClassCenters(20, 8)
    dense = train_step_worker._Dense(20, 8)
    with torch.no_grad():
        dense.weight.copy_(centers.weight)
    raw, labels = train_step_worker._rows(order, 0)
    margin = catalogue.load("arcface.straight")
    one, other = dense(raw, labels), centers(raw, labels, margin)
    torch.testing.assert_close(one, other)
    (one - other).backward()
    torch.testing.assert_close(dense.weight.grad, -centers.rows.grad)
    for system in ("vultus", "vultus sampled", "dense softmax", "vultus fit", "plain loop"):
        losses: list[float] = []
        train_step_worker.SYSTEMS[system]({**order, "sample_rate": 0.5 if "sampled" in system else 1.0})(losses.append)
        assert len(losses) == 4
        assert np.isfinite(losses).all()


def test_rows_of_the_training_suite_are_held_against_the_right_ones():
    rows = [
        {"part": "head", "system": system, "classes": classes, "sample_rate": rate, "step_ms": {"median": ms}}
        for system, classes, rate, ms in (
            ("vultus", 100_000, 1.0, 100.0),
            ("dense softmax", 100_000, 1.0, 80.0),
            ("vultus sampled", 1_000_000, 0.1, 121.0),
            ("metric learning", 1_000, 1.0, 5.0),
        )
    ]
    train_step._compared(rows)
    assert [row["times"] for row in rows] == [1.25, 1.0, 1.21, None]
    assert [row["within"] for row in rows] == [True, True, False, True]
