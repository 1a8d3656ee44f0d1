"""Pictures of many requests share batches, keep their order, and free their place when nobody waits any more."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.serve import fake


def until(true, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to be"
        threading.Event().wait(0.005)


def people_of(served, data: bytes) -> float:
    answer = served.client("admin").post("/v1/embed", files={"image": data})
    assert answer.status_code == 200
    return answer.json()["faces"][0]["vector"]


def test_requests_share_batches_and_everybody_gets_their_own_answer(serve) -> None:
    served = serve({"batch_pictures": 4, "batch_pixels": 10**9})
    served.worker.gate.clear()
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(people_of, served, fake.picture(100))
        until(lambda: served.worker.batches == [1])
        rest = [pool.submit(people_of, served, fake.picture(person)) for person in range(8)]
        until(lambda: len(served.services.batcher) == 8)
        served.worker.gate.set()
        vectors = [future.result(30) for future in rest]
        first.result(30)
    # a batch of several goes through the pipeline's `stream`, one call for up to eight pictures
    assert served.worker.batches == [1, 4, 4]
    for person, vector in enumerate(vectors):
        assert float(fake.vector_of(person) @ vector) > 0.9


def test_one_bad_picture_does_not_spoil_the_batch(serve) -> None:
    served = serve()
    served.worker.gate.clear()
    with ThreadPoolExecutor(4) as pool:
        ask = lambda data: served.client("admin").post("/v1/detect", files={"image": data}).status_code  # noqa: E731
        first = pool.submit(ask, fake.picture(1))
        until(lambda: served.worker.batches == [1])
        rest = [pool.submit(ask, data) for data in (fake.picture(2), b"no picture", fake.picture(3))]
        until(lambda: len(served.services.batcher) == 3)
        served.worker.gate.set()
        assert [first.result(30), *(future.result(30) for future in rest)] == [200, 200, 422, 200]


def test_pictures_that_are_large_together_go_one_after_another(serve) -> None:
    served = serve({"batch_pixels": 96 * 128 + 1})
    served.worker.gate.clear()
    with ThreadPoolExecutor(4) as pool:
        ask = lambda: served.client("admin").post("/v1/detect", files={"image": fake.picture(1)}).status_code  # noqa: E731
        first = pool.submit(ask)
        until(lambda: served.worker.batches == [1])
        rest = [pool.submit(ask) for _ in range(3)]
        until(lambda: len(served.services.batcher) == 3)
        served.worker.gate.set()
        assert [first.result(30), *(future.result(30) for future in rest)] == [200] * 4
    assert served.worker.batches == [1, 1, 1, 1]


def test_a_full_queue_says_so_and_recovers(serve) -> None:
    served = serve({"queue_pictures": 2, "batch_pictures": 1})
    served.worker.gate.clear()
    with ThreadPoolExecutor(3) as pool:
        ask = lambda: served.client("admin").post("/v1/detect", files={"image": fake.picture(1)})  # noqa: E731
        busy = [pool.submit(ask)]
        until(lambda: served.worker.batches == [1])
        busy += [pool.submit(ask) for _ in range(2)]
        until(lambda: len(served.services.batcher) == 2)
        answer = ask()
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "Busy"
        assert answer.headers["Retry-After"]
        served.worker.gate.set()
        assert [future.result(30).status_code for future in busy] == [200] * 3
    assert ask().status_code == 200


def test_nobody_works_for_a_client_that_has_gone(serve) -> None:
    served = serve({"batch_pictures": 1})
    served.worker.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(people_of, served, fake.picture(1))
        until(lambda: served.worker.batches == [1])
        headers = {"Authorization": f"Bearer {served.tokens['admin']}"}
        with (
            httpx.Client(base_url=served.url, headers=headers, timeout=0.3, trust_env=False, verify=False) as gone,
            pytest.raises(httpx.ReadTimeout),
        ):
            gone.post("/v1/detect", files={"image": fake.picture(2)})
        until(lambda: served.services.in_flight == 1)  # the request ended with its client
        served.worker.gate.set()
        busy.result(30)
    people_of(served, fake.picture(3))
    assert served.worker.batches == [1, 1]  # never the picture of the client that had gone
    assert served.services.memory.used == 0


def test_a_defect_in_the_models_is_an_answer_and_not_the_end(serve, monkeypatch) -> None:
    served = serve()

    def broken(images):
        raise ZeroDivisionError("Anna")

    monkeypatch.setattr(served.worker, "encode", broken)
    answer = served.client("admin").post("/v1/detect", files={"image": fake.picture(1)})
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "Defect"
    assert "Anna" not in answer.text
    monkeypatch.undo()
    assert served.client("admin").post("/v1/detect", files={"image": fake.picture(1)}).status_code == 200


def test_a_hundred_clients_at_once(serve) -> None:
    served = serve()
    data = [fake.picture(person) for person in range(10)]
    with ThreadPoolExecutor(100) as pool:
        vectors = list(pool.map(lambda i: people_of(served, data[i % 10]), range(200)))
    for i, vector in enumerate(vectors):
        assert float(fake.vector_of(i % 10) @ vector) > 0.9
    until(lambda: served.services.in_flight == 0)
    assert served.services.memory.used == 0
    assert max(served.worker.batches) > 1
