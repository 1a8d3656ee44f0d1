"""The calls of the server, one method each."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from vultus.client._errors import ApiError
from vultus.client._records import (
    Cluster,
    Compared,
    Detected,
    Enrolled,
    Identified,
    Job,
    Match,
    Person,
    Receipt,
    Stored,
    read,
)
from vultus.errors import InputError, MissingExtra

if TYPE_CHECKING:
    import httpx

__all__ = ["Client"]

Photo = str | os.PathLike[str] | bytes
_RETRIES, _LONGEST_WAIT_S = 3, 30.0


class Client:
    """Asks one server; not for several threads at once.

    Busy answers (429, 503 with Retry-After of at most 30 s) are asked again up to three times.

    Args:
        url: such as "http://127.0.0.1:8040".
        key: `vlt_...`, or None for a server that asks for none.
        timeout_s: for one answer.

    Raises:
        MissingExtra: if httpx is not installed.
    """

    def __init__(self, url: str, key: str | None = None, *, timeout_s: float = 120.0) -> None:
        try:
            import httpx
        except ModuleNotFoundError as error:
            raise MissingExtra("vultus.client", "server") from error
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http: httpx.Client = httpx.Client(base_url=url, headers=headers, timeout=timeout_s)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # -- pictures ------------------------------------------------------------------------------------------------

    def detect(self, photo: Photo) -> Detected:
        """Faces of a picture."""
        return read(Detected, self._send("/v1/detect", {"image": [photo]}))

    def embed(self, photo: Photo) -> Detected:
        """Faces of a picture with their vectors."""
        return read(Detected, self._send("/v1/embed", {"image": [photo]}))

    def compare(self, a: Photo, b: Photo, *, fmr: float | None = None) -> Compared:
        """Whether the main faces of two pictures are of one person."""
        return read(Compared, self._send("/v1/compare", {"a": [a], "b": [b]}, fmr=fmr))

    def identify(
        self, photo: Photo, *, fmr: float | None = None, fpir: float | None = None, keep: bool | Sequence[int] = False
    ) -> Identified:
        """Who is on a picture; `keep` stores all faces, or those of some places, as unknown."""
        text = str(keep).lower() if isinstance(keep, bool) else ",".join(map(str, keep))
        return read(Identified, self._send("/v1/identify", {"image": [photo]}, fmr=fmr, fpir=fpir, keep=text))

    def search(self, vector: Sequence[float], space: str, *, k: int = 5) -> list[Match]:
        """The most similar people for a vector, without a decision."""
        body = {"vector": [float(v) for v in vector], "space": space, "k": k}
        return [read(Match, item) for item in self.call("POST", "/v1/search", body)["candidates"]]

    # -- people --------------------------------------------------------------------------------------------------

    def enroll(self, name: str, photos: Sequence[Photo], *, force: bool = False) -> Enrolled:
        """Enroll photos of one person; ApiError 409 when one looks like somebody else."""
        return read(Enrolled, self._send("/v1/people", {"images": photos}, name=name, force=force))

    def add_photos(self, person_id: str, photos: Sequence[Photo], *, force: bool = False) -> Enrolled:
        """Add photos to a person."""
        return read(Enrolled, self._send(f"/v1/people/{_part(person_id)}/photos", {"images": photos}, force=force))

    def people(self, q: str = "") -> Iterator[Person]:
        """Everybody, or those whose name holds `q`."""
        return (read(Person, item) for item in self.pages("/v1/people", {"q": q}))

    def person(self, person_id: str) -> Person:
        """A person."""
        return read(Person, self.call("GET", f"/v1/people/{_part(person_id)}"))

    def rename(self, person_id: str, name: str) -> Person:
        """Give a person another name."""
        return read(Person, self.call("PATCH", f"/v1/people/{_part(person_id)}", {"name": name}))

    def merge(self, person_id: str, absorb_id: str) -> Person:
        """Two people are one; the first keeps the name."""
        return read(Person, self.call("POST", f"/v1/people/{_part(person_id)}/merge", {"absorb_id": absorb_id}))

    def split(self, person_id: str, face_ids: Sequence[str], name: str) -> Person:
        """Faces of a person become a new person."""
        body = {"face_ids": list(face_ids), "name": name}
        return read(Person, self.call("POST", f"/v1/people/{_part(person_id)}/split", body))

    def erase(self, person_id: str, confirm: str) -> Receipt:
        """Erase a person for good; `confirm` is the name."""
        return read(Receipt, self.call("POST", f"/v1/people/{_part(person_id)}/erase", {"confirm": confirm}))

    # -- faces ---------------------------------------------------------------------------------------------------

    def faces(self, *, person_id: str = "", cluster_id: str = "", unknown: bool = False) -> Iterator[Stored]:
        """Stored faces."""
        query = {"person_id": person_id, "cluster_id": cluster_id, "unknown": "true" if unknown else ""}
        return (read(Stored, item) for item in self.pages("/v1/faces", query))

    def store(self, photos: Sequence[Photo]) -> list[Stored]:
        """Keep every face of pictures as unknown."""
        return [read(Stored, item) for item in self._send("/v1/faces", {"images": photos})["faces"]]

    def crop(self, face_id: str) -> bytes:
        """The small JPEG of a stored face."""
        return self._ask("GET", f"/v1/faces/{_part(face_id)}/crop").content

    def assign(self, face_ids: Sequence[str], *, person_id: str | None = None, name: str | None = None) -> Person:
        """Say who faces are."""
        body = {"face_ids": list(face_ids), "person_id": person_id, "name": name}
        return read(Person, self.call("POST", "/v1/faces/assign", body))

    def clusters(self) -> Iterator[Cluster]:
        """Unknown faces that look alike, largest cluster first."""
        return (read(Cluster, item) for item in self.pages("/v1/clusters", {}))

    def undo(self, seq: int) -> dict[str, Any]:
        """Take a correction back."""
        return self.call("POST", f"/v1/history/{seq}/undo")

    # -- jobs ----------------------------------------------------------------------------------------------------

    def start(self, kind: str, **options: Any) -> Job:
        """Start long work: "cluster", or "import" with `path`."""
        return read(Job, self.call("POST", "/v1/jobs", {"kind": kind, **options}))

    def job(self, job_id: str) -> Job:
        """How far a job is."""
        return read(Job, self.call("GET", f"/v1/jobs/{_part(job_id)}"))

    def wait(self, job: Job, *, timeout_s: float = 3600.0) -> Job:
        """Wait until a job has ended; InputError when that takes longer than `timeout_s`."""
        end = time.monotonic() + timeout_s
        while not job.ended:
            if time.monotonic() > end:
                raise InputError(f"job {job.id}: expected an end within {timeout_s:.0f} s, it is {job.state}")
            time.sleep(0.2)
            job = self.job(job.id)
        return job

    # -- any call ------------------------------------------------------------------------------------------------

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Any call of the API that answers with a JSON object; None in a body is left out.

        Raises:
            ApiError: if the server refuses or does not answer.
        """
        options = {} if body is None else {"json": {key: value for key, value in body.items() if value is not None}}
        found = self._ask(method, path, **options).json()
        assert isinstance(found, dict)
        return found

    def pages(self, path: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """The items of a list, page by page."""
        given = {key: value for key, value in query.items() if value}
        while True:
            page = self._ask("GET", path, params=given).json()
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            given["cursor"] = page["next_cursor"]

    def _send(self, path: str, photos: Mapping[str, Sequence[Photo]], **fields: Any) -> dict[str, Any]:
        files = [(field, _file(photo)) for field, many in photos.items() for photo in many]
        if not files:
            raise InputError("photos: expected at least one")
        data = {key: str(value) for key, value in fields.items() if value is not None}
        found = self._ask("POST", path, files=files, data=data).json()
        assert isinstance(found, dict)
        return found

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        import httpx

        for attempt in range(_RETRIES + 1):
            try:
                answer = self._http.request(method, path, **options)
            except httpx.HTTPError as error:
                raise ApiError(0, "Unreachable", f"{type(error).__name__}: {error}: is the server running?") from error
            if answer.is_success:
                return answer
            wait = _wait(answer.headers.get("Retry-After"))
            if answer.status_code not in (429, 503) or wait is None or wait > _LONGEST_WAIT_S or attempt == _RETRIES:
                break
            time.sleep(wait)
        raise _error(answer, wait)


def _wait(header: str | None) -> float | None:
    return float(header) if header and header.isdecimal() else None


def _error(answer: httpx.Response, wait: float | None) -> ApiError:
    try:
        document = answer.json()
        error = document["error"]
        return ApiError(
            answer.status_code,
            error["code"],
            error["message"],
            details=error["details"],
            request_id=document["request_id"],
            retry_after_s=wait,
        )
    except (ValueError, KeyError, TypeError):  # another server, or a proxy before ours
        return ApiError(answer.status_code, "NoEnvelope", "the answer is none of a vultus server", retry_after_s=wait)


def _file(photo: Photo) -> tuple[str, bytes]:
    if isinstance(photo, bytes):
        return "photo", photo
    path = Path(photo)
    try:
        return path.name, path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: expected a photo, it cannot be read: {error.strerror}") from error


def _part(key: str) -> str:
    """A key as one part of a path."""
    from urllib.parse import quote

    if not isinstance(key, str) or not key or key in (".", ".."):
        raise InputError(f"id: expected some text, got {key!r}")
    return quote(key, safe="")
