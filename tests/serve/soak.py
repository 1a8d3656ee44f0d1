"""A steady mix of requests for as long as one likes, and whether the server's memory grows meanwhile.

    python -m tests.serve.soak --minutes 60 [--clients 3] [--memory-slope-mb-per-hour 20]

The server is a process of its own on the fake pipeline. What a client stores it deletes again, so that the gallery
stays as large as it was. Resident memory is read every second; its slope is fitted by least squares to what follows
the warm-up. Exit code 0 when nothing went wrong and memory does not grow faster than allowed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from resource import getpagesize

import httpx
import numpy as np

from tests.serve import fake
from tests.serve.conftest import Process, end, process_of

PEOPLE = 6
# glibc keeps what large arrays leave behind for later, more or less of it by chance: give it back at once
GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "262144", "MALLOC_TRIM_THRESHOLD_": "262144", "MALLOC_ARENA_MAX": "2"}
WARM_UP = 0.4  # share of the time in which caches may fill
BUSY = (409, 503)  # somebody else's correction stands in the way, or the queue is full: no errors


@dataclass(frozen=True)
class Soaked:
    """What came of it.

    Args:
        answers: how many answers there were of each kind, by "METHOD route status".
        errors: what must not happen, in words.
        rss_mb: (n, 3) seconds since the start, requests so far, resident memory in MB.
    """

    answers: Counter[str]
    errors: list[str]
    rss_mb: np.ndarray

    @property
    def requests(self) -> int:
        return sum(self.answers.values())

    @property
    def mb_per_hour(self) -> float:
        """The slope in time, after the warm-up."""
        warm = self.rss_mb[self.rss_mb[:, 0] >= WARM_UP * self.rss_mb[-1, 0]]
        return 3600 * float(np.polyfit(warm[:, 0], warm[:, 2], 1)[0])

    @property
    def kb_per_request(self) -> float:
        """How far the least memory of the last third lies above that of the middle third, per request between them.

        What a request holds while it is answered comes and goes; what is lost lifts the least.
        """
        _, middle, last = np.array_split(self.rss_mb, 3)
        low, high = middle[middle[:, 2].argmin()], last[last[:, 2].argmin()]
        return float(1024 * (high[2] - low[2]) / max(last[:, 1].mean() - middle[:, 1].mean(), 1))


def resident_mb(pid: int) -> float:
    """Resident memory of a process, in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * getpagesize() / 2**20


class _Client:
    """One client: rounds of everything a server is asked in a day."""

    def __init__(self, http: httpx.Client, number: int, people: list[str], answers: Counter[str]) -> None:
        self.http, self.people, self.answers = http, people, answers
        self.rng = np.random.default_rng(number)
        self.number, self.round = number, 0
        self.errors: list[str] = []

    def ask(self, method: str, path: str, route: str = "", **options: object) -> httpx.Response:
        answer = self.http.request(method, path, **options)  # type: ignore[arg-type]
        self.answers[f"{method} {route or path} {answer.status_code}"] += 1
        if not answer.is_success and answer.status_code not in BUSY:
            self.errors.append(f"{method} {route or path}: {answer.status_code} {answer.text[:200]}")
        return answer

    def go(self) -> None:
        """One round."""
        self.round += 1
        known = 1 + int(self.rng.integers(PEOPLE))
        shot = int(self.rng.integers(1, 250))
        self.ask("POST", "/v1/detect", files={"image": fake.picture(known, shot=shot)})
        found = self.ask("POST", "/v1/identify", files={"image": fake.picture(known, 900 + known, shot=shot)})
        if found.is_success and found.json()["faces"][0]["decision"]["outcome"] != "accept":
            self.errors.append(f"person {known} was not recognized")
        for path in ("/v1/people", "/v1/faces", "/v1/clusters", "/v1/history", "/v1/me", "/v1/health"):
            self.ask("GET", path)
        self._correct(int(self.rng.integers(PEOPLE)))
        if self.round % 10 == 1:
            self._cluster()

    def _correct(self, which: int) -> None:
        """Store a stranger, give the face to somebody, take that back, and delete it."""
        # a picture of its own per client, so that no two store the same
        stranger = fake.picture(10_000 + self.number, shot=self.round % 200)
        stored = self.ask("POST", "/v1/faces", files={"images": stranger})
        if not stored.is_success:
            return
        for face in stored.json()["faces"]:
            self.ask("GET", f"/v1/faces/{face['id']}/crop", "/v1/faces/{id}/crop")
            body = {"face_ids": [face["id"]], "person_id": self.people[which]}
            given = self.ask("POST", "/v1/faces/assign", json=body)
            if given.is_success:
                seq = given.headers["X-History-Seq"]
                self.ask("POST", f"/v1/history/{seq}/undo", "/v1/history/{seq}/undo")
            self.ask("DELETE", f"/v1/faces/{face['id']}", "/v1/faces/{id}")

    def _cluster(self) -> None:
        job = self.ask("POST", "/v1/clusters")
        limit = time.monotonic() + 60
        while job.is_success and job.json()["state"] in ("queued", "running") and time.monotonic() < limit:
            time.sleep(0.1)
            job = self.ask("GET", f"/v1/jobs/{job.json()['id']}", "/v1/jobs/{id}")
        if job.is_success and job.json()["state"] != "done":
            self.errors.append(f"clustering: {job.json()}")


def soak(process: Process, seconds: float, clients: int = 3, say: Callable[[str], None] = lambda _: None) -> Soaked:
    """Drive a server for that long."""
    with process.client() as client:
        people = [_enrolled(client, person) for person in range(1, PEOPLE + 1)]
    counts: list[Counter[str]] = [Counter() for _ in range(clients)]
    over = time.monotonic() + seconds
    stopped = threading.Event()

    def drive(number: int) -> list[str]:
        with process.client() as http:
            driver = _Client(http, number, people, counts[number])
            while time.monotonic() < over and not stopped.is_set():
                driver.go()
            return driver.errors

    samples: list[tuple[float, int, float]] = []
    start = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        driven = [pool.submit(drive, number) for number in range(clients)]
        try:
            while time.monotonic() < over and process.process.poll() is None:
                done = sum(sum(count.values()) for count in counts)
                samples.append((time.monotonic() - start, done, resident_mb(process.process.pid)))
                if len(samples) % 30 == 1:
                    say(f"{samples[-1][0]:6.0f} s  {done:8,d} requests  {samples[-1][2]:8.1f} MB")
                time.sleep(min(1.0, seconds / 40))
        finally:
            stopped.set()
        errors = [error for future in driven for error in future.result(120)]
    return Soaked(sum(counts, Counter()), errors, np.array(samples))


def _enrolled(client: httpx.Client, person: int) -> str:
    files = [("images", fake.picture(person, shot=shot)) for shot in range(251, 254)]
    answer = client.post("/v1/people", data={"name": f"Person {person}"}, files=files)
    answer.raise_for_status()
    found = answer.json()["person"]["id"]
    assert isinstance(found, str)
    return found


def main() -> int:
    """Soak and say how it went."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=3)
    parser.add_argument("--memory-slope-mb-per-hour", type=float, default=20.0)
    args = parser.parse_args()
    os.environ.update(GIVE_BACK)
    with tempfile.TemporaryDirectory() as folder:
        process = process_of(Path(folder))
        try:
            found = soak(process, 60 * args.minutes, args.clients, lambda text: print(text, flush=True))
            code = process.stop()
        finally:
            end(process)
    for name, count in sorted(found.answers.items()):
        print(f"{count:8,d}  {name}")
    print(f"{found.requests:,d} requests, {len(found.errors)} errors, exit code {code}")
    for error in found.errors[:20]:
        print(f"  {error}")
    rate = found.mb_per_hour
    print(f"memory after the warm-up: {rate:+.1f} MB per hour, {found.kb_per_request:+.3f} KB per request")
    return int(bool(found.errors) or code != 0 or rate > args.memory_slope_mb_per_hour)


if __name__ == "__main__":
    raise SystemExit(main())
