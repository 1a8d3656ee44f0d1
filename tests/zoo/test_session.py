import multiprocessing
import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

from vultus.errors import InputError, MissingWeights
from vultus.zoo import store
from vultus.zoo.session import Session, default_threads, open_session, space

PICTURES = np.random.default_rng(0).normal(size=(7, 3, 4, 4)).astype(np.float32)


@pytest.fixture
def ready(tmp_path, tmp_home, tiny, add_card):
    add_card(tiny)
    path = tmp_path / "tiny_published.onnx"
    path.write_bytes(tiny)
    return store.import_file(path, "tiny")


def test_one_session_per_file_and_threads(ready):
    assert open_session("tiny") is open_session("tiny")
    assert open_session("tiny", threads=1) is not open_session("tiny", threads=2)
    assert open_session("tiny", threads=1).threads == 1
    own = open_session(ready)
    assert own.card is None
    assert own.sha256 == store.recorded("tiny").converted_sha256
    assert open_session("tiny").card.id == "tiny"


def test_a_file_that_changed_is_opened_again(tmp_path, tiny):
    from zoo_weights import tiny_model

    path = tmp_path / "mine.onnx"
    path.write_bytes(tiny)
    first = open_session(path)
    path.write_bytes(tiny_model(seed=1))
    os.utime(path, ns=(1, 1))
    assert open_session(path).sha256 != first.sha256


def test_batch_equals_one_by_one(ready):
    session = open_session("tiny", threads=1)
    (together,) = session.run({"picture": PICTURES})
    alone = np.concatenate([session.run({"picture": PICTURES[i : i + 1]})[0] for i in range(len(PICTURES))])
    np.testing.assert_allclose(together, alone, atol=1e-6)


@pytest.mark.parametrize(
    "feeds",
    [
        {},
        {"other": PICTURES},
        {"picture": PICTURES, "more": PICTURES},
        {"picture": PICTURES.astype(np.float64)},
        {"picture": PICTURES[0]},
        {"picture": PICTURES[:, :2]},
        {"picture": PICTURES[:0]},
    ],
)
def test_wrong_feeds_are_explained(ready, feeds):
    with pytest.raises(InputError, match=r"tiny\.onnx.*expected"):
        open_session("tiny").run(feeds)


def test_neither_card_nor_file(tmp_path):
    with pytest.raises(MissingWeights, match="models list"):
        open_session("centrface")
    with pytest.raises(MissingWeights, match="No such file"):
        open_session(tmp_path / "nothing.onnx")
    with pytest.raises((InputError, MissingWeights)):
        open_session(tmp_path)
    (tmp_path / "text.onnx").write_text("not a network")
    with pytest.raises(InputError, match="expected an ONNX model"):
        open_session(tmp_path / "text.onnx")
    with pytest.raises(InputError, match="threads"):
        open_session(tmp_path / "text.onnx", threads=0)


def test_it_survives_pickling(ready):
    session = open_session("tiny", threads=1)
    assert pickle.loads(pickle.dumps(session)) is session


def _forked(session: Session, queue) -> None:
    queue.put(session.run({"picture": PICTURES})[0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
def test_it_works_after_a_fork(ready):
    session = open_session("tiny", threads=2)
    (want,) = session.run({"picture": PICTURES})
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=_forked, args=(session, queue))
    process.start()
    np.testing.assert_allclose(queue.get(timeout=60), want, atol=1e-6)
    process.join(60)
    assert process.exitcode == 0


def test_many_threads_share_one(ready):
    session, found = open_session("tiny", threads=2), {}

    def work(at: int) -> None:
        found[at] = session.run({"picture": PICTURES[at : at + 1]})[0]

    workers = [threading.Thread(target=work, args=(at,)) for at in range(len(PICTURES))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    (want,) = session.run({"picture": PICTURES})
    np.testing.assert_allclose(np.concatenate([found[at] for at in sorted(found)]), want, atol=1e-6)


def test_threads(monkeypatch):
    monkeypatch.delenv("VULTUS_THREADS", raising=False)
    assert 1 <= default_threads() <= (os.cpu_count() or 1)
    monkeypatch.setenv("VULTUS_THREADS", "3")
    assert default_threads() == 3
    for wrong in ("0", "many", "-1"):
        monkeypatch.setenv("VULTUS_THREADS", wrong)
        with pytest.raises(InputError, match="VULTUS_THREADS"):
            default_threads()


def test_space():
    assert space("dlib_resnet29", "55533b28a95800a551ba") == "dlib_resnet29@55533b28a958"


def test_the_zoo_imports_nothing_heavy():
    code = "import sys, vultus.zoo.store, vultus.zoo.session; print([m for m in HEAVY if m in sys.modules])"
    heavy = "HEAVY = ['onnxruntime', 'onnx', 'cv2', 'PIL', 'rich', 'urllib.request']; "
    assert subprocess.check_output([sys.executable, "-c", heavy + code], text=True).strip() == "[]"
