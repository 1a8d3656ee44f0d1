"""Run ONNX graphs: the only place that knows onnxruntime.

One session per file and thread count, kept for the life of the process. Spinning is off: with several sessions on few
cores, idle pools that spin steal the time of the one that works.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import HashMismatch, InputError, MissingWeights
from vultus.zoo import runs, store
from vultus.zoo.cards import Card, card, cards

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["Session", "default_threads", "open_session", "space"]

MAX_THREADS = 512  # more is a slip of the finger, and starting them would hang the machine
_TYPES = {
    "tensor(float)": np.float32,
    "tensor(uint8)": np.uint8,
    "tensor(int64)": np.int64,
    "tensor(float16)": np.float16,
}
_cache: dict[tuple[Path, int, int, str], Session] = {}
_parents: list[onnxruntime.InferenceSession] = []  # of the process this one was forked from: closing them would hang
_lock = threading.Lock()


def space(name: str, sha256: str) -> str:
    """Name of an embedding space: catalogue name + "@" + first 12 hex of the sha256 of the published weights."""
    return f"{name}@{sha256[:12]}"


def open_session(weights: str | os.PathLike[str], *, threads: int | None = None) -> Session:
    """Session for a card id, an .onnx file or the folder of a run; the same object for the same file and threads.

    `threads` None means VULTUS_THREADS, else the physical cores this process may use. Checks the sha256 of the file:
    HashMismatch when it is not the one that was recorded, MissingWeights when the file is not there.
    """
    if not isinstance(weights, (str, os.PathLike)):
        raise InputError(f"weights: expected a model card or a path to an .onnx file, got {type(weights).__name__}")
    name = os.fspath(weights)
    known = name in cards()
    mine = None if known else runs.own(name)
    if mine is not None:
        store.allow(mine.card)
    path = store.ensure(name) if known else Path(name) if mine is None else mine.path
    count = default_threads() if threads is None else threads
    if not isinstance(count, int) or not 1 <= count <= MAX_THREADS:
        raise InputError(f"threads: expected 1 to {MAX_THREADS}, got {count!r}; more than the cores only slow it down")
    try:
        key = (path.resolve(), path.stat().st_mtime_ns, count, name if known else mine.card.sha256 if mine else "")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise MissingWeights(_absent(name, str(getattr(error, "strerror", error)))) from error
    with _lock:
        if key not in _cache:
            _cache[key] = Session(path, card(name) if known else None, count, mine)
        return _cache[key]


def default_threads() -> int:
    """VULTUS_THREADS, else the physical cores that this process may run on (affinity and container quota counted)."""
    wanted = os.environ.get("VULTUS_THREADS", "")
    if wanted:
        if not wanted.isdecimal() or not 1 <= int(wanted) <= MAX_THREADS:
            raise InputError(f"VULTUS_THREADS: expected a whole number from 1 to {MAX_THREADS}, got {wanted!r}")
        return int(wanted)
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    cores = {_siblings(cpu) for cpu in allowed}
    return max(1, min(len(cores), _quota()))


class Session:
    """One network, ready to run; thread-safe, usable after a fork, and picklable (it opens itself again).

    Attributes:
        card: its card, or None for a file of the user's own without one.
        path: the ONNX file.
        sha256: of the published weights; the identity of the space.
        threads: threads of one run.
        inputs: name -> shape, a string where the size is free.
        outputs: name -> shape.
    """

    def __init__(self, path: Path, card: Card | None, threads: int, mine: runs.Own | None = None) -> None:
        self.card, self.path, self.threads, self._own = mine.card if mine else card, path, threads, mine
        self._pid = -1
        self._run = self._opened()
        self.inputs = {item.name: tuple(item.shape) for item in self._run.get_inputs()}
        self.outputs = {item.name: tuple(item.shape) for item in self._run.get_outputs()}
        self._dtypes = {item.name: _TYPES.get(item.type) for item in self._run.get_inputs()}
        self._names = list(self.outputs)

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Outputs in the order of `outputs`; InputError when a feed has another name, type or shape than `inputs`."""
        if self._pid != os.getpid():
            self._reopen()
        if feeds.keys() != self.inputs.keys():
            raise InputError(f"{self.path.name}: expected the inputs {list(self.inputs)}, got {list(feeds)}")
        for name, value in feeds.items():
            self._check(name, value)
        outputs: list[NDArray[Any]] = self._run.run(self._names, feeds)
        return outputs

    def _check(self, name: str, value: NDArray[Any]) -> None:
        want, dtype = self.inputs[name], self._dtypes[name]
        fits = value.ndim == len(want) and all(
            not isinstance(w, int) or w == g for w, g in zip(want, value.shape, strict=True)
        )
        if not fits or (dtype is not None and value.dtype != dtype) or 0 in value.shape:
            kind = np.dtype(dtype).name if dtype is not None else "any"
            raise InputError(f"{self.path.name}, {name}: expected {kind} {want}, got {value.dtype} {value.shape}")

    def _opened(self) -> onnxruntime.InferenceSession:
        import onnxruntime as ort  # heavy: only when something runs

        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise MissingWeights(_absent(str(self.path), str(error.strerror))) from error
        self.sha256 = self._published(hashlib.sha256(data).hexdigest())
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.enable_mem_pattern = False  # one pattern a shape is kept for good: photos of many sizes fill the memory
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own errors share no public base class
            raise InputError(f"{self.path.name}: expected an ONNX model that onnxruntime runs, got: {error}") from error
        self._pid = os.getpid()
        return session

    def _published(self, digest: str) -> str:
        """The sha256 of the published weights, once the file is found to be the one that was made from them."""
        if self.card is None:
            return digest
        if self._own is not None:
            made, source, again = self._own.onnx_sha256, self._own.card.sha256, f"export {self.path.parent}"
        else:
            record = store.recorded(self.card.id)
            made, source = (record.converted_sha256, record.source_sha256) if record else ("", "")
            again = f"models pull {self.card.id}"
        if made != digest:
            raise HashMismatch(
                f"{self.path.name}: expected the sha256 recorded when it was made, got {digest[:12]}...: the file was "
                f"changed or damaged; run `vultus {again}` to make it again"
            )
        return source

    def _reopen(self) -> None:
        """After a fork the threads of the parent's session do not exist here: make an own one."""
        with _lock:
            if self._pid != os.getpid():
                _parents.append(self._run)
                self._run = self._opened()

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.card.id if self.card and not self._own else str(self.path), self.threads)


def _again(weights: str, threads: int) -> Session:
    return open_session(weights, threads=threads)


def _absent(name: str, why: str) -> str:
    return (
        f"{name!r}: expected a model card (`vultus models list`) or a path to an .onnx file, got neither: {why}. "
        "Name a card, or give the path of a file that exists"
    )


def _siblings(cpu: int) -> str:
    """Which logical CPUs share a physical core with `cpu`; the CPU itself where the system does not say."""
    try:
        return Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text().strip()
    except OSError:
        return str(cpu)


def _quota() -> int:
    """Whole CPUs that a container may use (cgroup 2), or a large number where there is no limit."""
    try:
        limit, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return 1 << 20 if limit == "max" else max(1, round(int(limit) / int(period)))
    except (OSError, ValueError):
        return 1 << 20


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # the parent may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
