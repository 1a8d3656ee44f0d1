"""Large jobs with real models: on threads, on a Ray cluster of two nodes that loses workers and a node, interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from vultus.gallery import open_gallery
from vultus.io import images
from vultus.io.datasets.webdataset import ShardWriter
from vultus.pipeline import Pipeline
from vultus.pipeline._engines import _QUIET, RayEngine
from vultus.pipeline._work import Spec
from vultus.pipeline.spread import FolderSink, GallerySink, plan, read_parts, spread
from vultus.testing.pictures import drawn_scene

pytestmark = [pytest.mark.slow, pytest.mark.models]

N = 40
SEEN = 0.1  # detection threshold that takes drawings for faces
STORE = 80 * 1024 * 1024


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Drawn faces, one file that is no picture, and a shard of more of them."""
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(N):
        images.write(folder / f"{i:03d}.png", drawn_scene(np.random.default_rng(i), size_hw=(150, 200))[0])
    (folder / "020.png").write_bytes(b"no picture")
    with ShardWriter(folder, "more") as out:
        for i in range(12):
            out.write(f"{i}", {"png": (folder / f"{i:03d}.png").read_bytes()})
    return folder


@pytest.fixture(scope="module")
def pipe(models_home) -> Pipeline:
    return Pipeline(min_score=SEEN, threads=2)


@pytest.fixture(scope="module")
def chunks(pictures):
    return plan(images.list_pictures(pictures), [pictures / "more-000000.tar"], size=3)


def folder_sink(folder, pipe):
    return FolderSink(folder, pipe.space, Spec.of(pipe).words())


@pytest.fixture(scope="module")
def local(pipe, chunks, tmp_path_factory) -> Path:
    """What threads of this process give."""
    out = tmp_path_factory.mktemp("job") / "local"
    steps = list(spread(pipe, chunks, folder_sink(out, pipe)))
    assert sum(step.pictures for step in steps) == N - 1 + 12
    assert [what for step in steps for what, _, _ in step.failed] == [str(chunks[0].files[0]).replace("000.", "020.")]
    return out


def same(one: Path, other: Path) -> bool:
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(path.name for path in other.iterdir())
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


def test_chunks_give_what_the_pipeline_gives(pipe, local, pictures):
    parts = list(read_parts(local))
    found = {source: part.vectors[part.photo == i] for part in parts for i, source in enumerate(part.sources)}
    assert sum(len(rows) for rows in found.values()) > N
    for i in (0, 7, 33):
        one = pipe.encode(pictures / f"{i:03d}.png")
        assert (found[str(pictures / f"{i:03d}.png")] * one.embedded.vec).sum(1) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(found[f"{pictures / 'more-000000.tar'}#7"], found[str(pictures / "007.png")], atol=1e-5)


def test_a_gallery_gets_the_faces_with_their_previews(pipe, chunks, local, tmp_path):
    with open_gallery(tmp_path / "g.db") as gallery:
        steps = list(spread(pipe, chunks, GallerySink(gallery, pipe.space)))
        faces = gallery.faces()
        expected = {
            key: int((part.photo == i).sum()) for part in read_parts(local) for i, key in enumerate(part.sha256)
        }
        assert len(faces) == sum(expected.values()) < sum(step.faces for step in steps)  # the shard repeats photos
        for face in faces[:3]:
            assert images.read(gallery.crop(face.id)).pixels.shape == (160, 160, 3)


# -- Ray --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster(models_home):
    """Two nodes of one core each on this machine."""
    pytest.importorskip("ray")
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore", ResourceWarning)  # of its own processes and sockets
        for name, value in _QUIET.items():
            patch.setenv(name, value)
        import ray
        from ray.cluster_utils import Cluster

        node = {"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False}
        sooner = {
            "health_check_initial_delay_ms": 5000,  # a busy machine takes its time to start a node
            "health_check_period_ms": 1000,
            "health_check_timeout_ms": 5000,
        }
        made = _started(Cluster, {**node, "_system_config": sooner})
        ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
        yield made
        ray.shutdown()
        made.shutdown()


def _started(cluster, head):
    """A cluster of two nodes; a node that Ray could not start in its own 30 s, on a busy machine, is tried again."""
    for left in (2, 1, 0):
        made = cluster(initialize_head=False)
        try:
            made.add_node(**head)
            made.add_node(num_cpus=1, object_store_memory=STORE)
            return made
        except Exception as error:
            made.shutdown()
            if not left or "timed out during startup" not in str(error):
                raise
    raise AssertionError("not reached")


def workers() -> list[int]:
    """Worker processes of our own clusters that are at work now."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title = (folder / "cmdline").read_bytes()
        except OSError:
            continue  # it has ended meanwhile
        if title.startswith(b"ray::_in_worker") and folder.stat().st_uid == os.getuid():
            found.append(int(folder.name))
    return found


def test_workers_that_die_cost_nothing(cluster, pipe, chunks, local, tmp_path):
    engine = RayEngine(Spec.of(pipe))
    assert engine.room() == 4
    killed = []
    for _ in spread(pipe, chunks, folder_sink(tmp_path / "out", pipe), engine=engine):
        if len(killed) < 2:
            for pid in workers()[:1]:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
    assert killed
    assert same(local, tmp_path / "out")


def test_a_node_that_goes_costs_nothing(cluster, pipe, chunks, local, tmp_path):
    engine = RayEngine(Spec.of(pipe))
    steps = spread(pipe, chunks, folder_sink(tmp_path / "out", pipe), engine=engine)
    next(steps)
    cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
    for _ in steps:
        continue
    deadline = time.monotonic() + 60
    while engine.room() != 2:  # the cluster notices a little later than the job
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert same(local, tmp_path / "out")


# -- interrupted ------------------------------------------------------------------------------------------------------


def command(*words: object) -> subprocess.Popen[bytes]:
    run = [sys.executable, "-c", "import sys; from vultus.cli.__main__ import main; sys.exit(main())"]
    options = ["--min-score", str(SEEN), "--threads", "2", "--chunk", "3"]
    return subprocess.Popen(
        [*run, "embed", *map(str, words), *options], stderr=subprocess.DEVNULL, stdout=subprocess.PIPE
    )


def test_interrupted_it_goes_on_where_it_stopped(pictures, local, chunks, tmp_path):
    words = (pictures, pictures / "more-{000000..000000}.tar", "--out", tmp_path / "out")
    first = command(*words)
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "out").glob("*.npz"))) < 2 and first.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    first.send_signal(signal.SIGINT)
    out, _ = first.communicate(timeout=60)
    assert first.returncode in (130, 3), out  # 3: it was through before the signal came; one file is no picture
    assert not list((tmp_path / "out").glob(".*"))
    second = command(*words, "--json")
    out, _ = second.communicate(timeout=60)
    assert second.returncode == 3
    assert b'"n_failed": 1' in out
    assert same(local, tmp_path / "out")
