"""Cursors, token buckets, forms, JSON and jobs alone: what must hold whatever comes in."""

from __future__ import annotations

import asyncio
import functools
import json
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vultus import errors
from vultus.errors import InputError
from vultus.serve import bodies
from vultus.serve.budgets import Buckets
from vultus.serve.cursors import Cursors
from vultus.serve.errors import STATUS, Problem, envelope, problem_of
from vultus.serve.jobs import Job, Jobs, Progress
from vultus.serve.limits import Limits
from vultus.serve.metrics import Metrics

LIMITS = Limits()
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3), max_leaves=6
)


# ---------------------------------------------------------------- cursors
@given(st.text(), PLAIN)
def test_a_cursor_comes_back(where, after) -> None:
    cursors = Cursors(b"k" * 32)
    assert cursors.read(where, cursors.sign(where, after)) == after


@given(st.text(max_size=5), st.text(max_size=5), st.integers(0, 200), st.integers(1, 255))
def test_a_forged_or_foreign_cursor_is_refused(where, other, place, change) -> None:
    cursors = Cursors(b"k" * 32)
    cursor = cursors.sign(where, ["a", 1])
    if other != where:
        with pytest.raises(Problem, match="cursor"):
            cursors.read(other, cursor)
    with pytest.raises(Problem, match="cursor"):
        Cursors(b"l" * 32).read(where, cursor)
    place %= len(cursor)
    forged = cursor[:place] + chr((ord(cursor[place]) + change) % 256) + cursor[place + 1 :]
    if forged.rstrip("=") != cursor:
        with pytest.raises(Problem, match="cursor"):
            cursors.read(where, forged)


@given(st.text())
def test_what_is_no_cursor_is_refused(text) -> None:
    with pytest.raises(Problem) as caught:
        Cursors(b"k" * 32).read("people", text)
    assert caught.value.status == 404


# ---------------------------------------------------------------- buckets
@given(st.lists(st.tuples(st.floats(0, 10), st.integers(1, 3)), max_size=60), st.integers(3, 10), st.floats(0.1, 5))
def test_a_bucket_never_gives_more_than_it_holds_and_what_came_in(steps, size, per_s) -> None:
    now = 0.0
    buckets = Buckets(size, per_s, clock=lambda: now)
    given_ = 0
    for wait, n in steps:
        now += wait
        left = buckets.take("k", n)
        assert left >= 0
        if left == 0:
            given_ += n
        else:  # it tells the truth: a little later the tokens are there
            assert buckets.wait("k", n) == left
            now += left + 1e-6
            assert buckets.wait("k", n) == 0
        assert given_ <= size + per_s * now + 1e-6


def test_buckets_do_not_share_and_the_longest_unused_is_forgotten() -> None:
    buckets = Buckets(1, 1e-6, most=2, clock=lambda: 0.0)
    assert buckets.take("a") == 0
    assert buckets.take("a") > 0
    assert buckets.take("b") == 0
    assert buckets.take("c") == 0
    assert len(buckets) == 2
    assert buckets.take("a") == 0


# ---------------------------------------------------------------- bodies
def status_of(work) -> int:
    """200, or the status of the problem that came out; anything else is raised."""
    try:
        work()
    except Problem as problem:
        return problem.status
    return 200


@given(
    st.dictionaries(st.text(), st.text() | st.integers(-(2**60), 2**60) | st.lists(st.text(), max_size=3), max_size=4)
)
def test_json_comes_through(value) -> None:
    assert bodies.document(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"), LIMITS) is not None


@given(st.binary(max_size=200) | st.text(alphabet='[]{}",:\\0 ', max_size=80).map(str.encode))
def test_whatever_json_is_sent_only_problems_come_out(data) -> None:
    assert status_of(lambda: bodies.document(data, LIMITS)) in (200, 400, 422)


@given(st.integers(1, 40))
def test_depth_is_bounded(depth) -> None:
    data = b"[" * depth + b"]" * depth
    if depth <= LIMITS.json_depth:
        bodies.document(data, LIMITS)
    else:
        with pytest.raises(Problem, match="brackets"):
            bodies.document(data, LIMITS)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4), st.text(min_size=1, max_size=20))
def test_forms_come_through_byte_by_byte(files, text) -> None:
    import httpx

    many = [("images", (f"../p{i}.png", data)) for i, data in enumerate(files)]
    request = httpx.Request("POST", "http://x/", files=many, data={"name": text})
    kind, boundary = bodies.media_type(request.headers["content-type"])
    assert kind == "multipart/form-data"
    sent = bodies.form(request.read(), boundary, LIMITS, frozenset({"images"}))
    assert [upload.data for upload in sent.files["images"]] == files
    assert [upload.label for upload in sent.files["images"]] == [f"p{i}.png" for i in range(len(files))]
    assert sent.fields == {"name": text}


@given(st.binary(max_size=400), st.text(max_size=80))
def test_whatever_form_is_sent_only_problems_come_out(data, boundary) -> None:
    for body in (data, b"--b\r\n" + data, b'--b\r\nContent-Disposition: form-data; name="' + data + b"\r\n--b--"):
        for mark in (boundary, "b"):
            work = functools.partial(bodies.form, body, mark, LIMITS, frozenset({"image"}))
            assert status_of(work) in (200, 400, 413, 422)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.integers(1, 150))
def test_a_body_is_whole_or_refused(chunks, cap) -> None:
    memory = bodies.Memory(10_000)

    async def read() -> bytes:
        left = [{"type": "http.request", "body": c, "more_body": True} for c in chunks] + [{"type": "http.request"}]

        async def receive():
            return left.pop(0)

        return await bodies.read(receive, None, cap, 5.0, memory)

    size = sum(map(len, chunks))
    if size <= cap:
        assert asyncio.run(read()) == b"".join(chunks)
        assert memory.used == size
    else:
        with pytest.raises(Problem) as caught:
            asyncio.run(read())
        assert caught.value.status == 413
        assert memory.used == 0


def test_a_body_that_does_not_come_and_a_client_that_goes() -> None:
    memory = bodies.Memory(100)

    async def never():
        await asyncio.sleep(60)

    async def gone():
        return {"type": "http.disconnect"}

    for receive, status in ((never, 408), (gone, 499)):
        with pytest.raises(Problem) as caught:
            asyncio.run(bodies.read(receive, None, 10, 0.05, memory))
        assert caught.value.status == status
    assert memory.used == 0


# ---------------------------------------------------------------- errors
def test_every_error_of_the_house_has_a_status_and_hides_paths() -> None:
    special = {"SpaceMismatch": ("a", "b"), "UnknownMethod": ("a", ["b"]), "MissingExtra": ("a", "b")}
    for name in errors.__all__:
        problem = problem_of(getattr(errors, name)(*special.get(name, ("x",))))
        assert 400 <= problem.status < 600
        assert problem.code == name
        assert envelope(problem, "r").status_code == problem.status
    assert "secret" not in problem_of(errors.StoreError("secret.db cannot be read")).message
    assert problem_of(InputError("x")).status == STATUS[InputError]


# ---------------------------------------------------------------- jobs
def finished(jobs: Jobs, job: Job) -> Job:
    end = time.monotonic() + 30
    while job.state in ("queued", "running") and time.monotonic() < end:
        threading.Event().wait(0.005)
    return job


def test_a_job_tells_how_far_it_is_and_what_came_out(tmp_path) -> None:
    jobs = Jobs(tmp_path, LIMITS, Metrics())
    step, go = threading.Event(), threading.Event()

    def work(progress: Progress):
        progress(1, 3, "one")
        step.set()
        assert go.wait(30)
        progress(3, 3)
        return {"faces": 7}

    job = jobs.start("cluster", "key", work)
    assert step.wait(30)
    assert (job.state, job.done, job.total, job.message) == ("running", 1, 3, "one")
    assert jobs.active() == 1
    go.set()
    finished(jobs, job)
    assert (job.state, job.result, job.done) == ("done", {"faces": 7}, 3)
    assert job.ended_at
    jobs.close()


def test_jobs_fail_are_canceled_and_forgotten(tmp_path) -> None:
    jobs = Jobs(tmp_path, Limits(jobs=3, jobs_kept=2), Metrics())
    started, go = threading.Event(), threading.Event()

    def waits(progress: Progress):
        started.set()
        assert go.wait(30)
        progress(1, 2)
        return {}

    def refuses(progress: Progress):
        raise InputError("this and that")

    def breaks(progress: Progress):
        raise ZeroDivisionError("a name")

    running = jobs.start("a", "k", waits)
    assert started.wait(30)
    waiting = jobs.start("b", "k", refuses)
    jobs.start("c", "k", refuses)
    with pytest.raises(Problem, match="wait already"):
        jobs.start("d", "k", refuses)
    assert jobs.cancel(waiting.id) is waiting
    assert waiting.state == "canceled"
    jobs.cancel(running.id)
    go.set()
    assert finished(jobs, running).state == "canceled"
    failed = jobs.start("e", "k", refuses)
    assert finished(jobs, failed).message == "InputError: this and that"
    broken = jobs.start("f", "k", breaks)
    assert finished(jobs, broken).state == "failed"
    assert "name" not in broken.message
    assert jobs.cancel("nothing") is None
    jobs.start("g", "k", waits)
    assert len(jobs.list()) == 3
    jobs.close()


def test_a_restart_reports_what_was_running_as_interrupted(tmp_path) -> None:
    """Killed (nothing is written on the way out) or stopped in order: the next server says interrupted."""
    for way in ("killed", "stopped"):
        folder = tmp_path / way
        jobs = Jobs(folder, LIMITS, Metrics())
        started, go = threading.Event(), threading.Event()

        def work(progress: Progress, started=started, go=go):
            started.set()
            for i in range(1000):
                go.wait(0.01)
                progress(i, 1000, "Anna")
            return {}

        job = jobs.start("import", "key", work)
        assert started.wait(30)
        if way == "stopped":
            jobs.close()
            assert job.state == "interrupted"
        text = (folder / "jobs.json").read_text()
        assert "Anna" not in text
        again = Jobs(folder, LIMITS, Metrics())
        assert [(j.id, j.state) for j in again.list()] == [(job.id, "interrupted")]
        again.close()
        jobs.close()


@pytest.mark.parametrize("text", ["", "[]", '{"jobs": [{"kind": 1}]}', '{"jobs": 7}'])
def test_a_damaged_list_of_jobs_does_not_stop_the_server(tmp_path, text) -> None:
    (tmp_path / "jobs.json").write_text(text)
    jobs = Jobs(tmp_path, LIMITS, Metrics())
    assert jobs.list() == []
    jobs.close()
