"""Every limit of the server in one place: what a request may ask for, and what the server keeps at most."""

from __future__ import annotations

from dataclasses import dataclass, fields

from vultus.errors import InputError
from vultus.io.images import Limits as PictureLimits

__all__ = ["Limits"]

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """All limits. Times are in seconds, sizes in bytes unless the name says otherwise.

    Attributes:
        picture_bytes: one encoded picture; a 40-megapixel JPEG of good quality is smaller.
        picture_pixels: width times height as the header states them, checked before decoding: a bomb of a few kilobytes
            can state gigapixels. 50 megapixels are 150 MB once decoded.
        pictures: in one request; more photos of a person in more requests.
        body_bytes: of a request with pictures, all together; also bounds base64, which is a third larger.
        json_bytes: of a request without pictures; the largest is a list of ids.
        json_depth: brackets inside brackets; every document here is flatter, and a parser recurses once per level.
        form_parts: of a multipart body, pictures and texts together.
        form_text_bytes: one text field of a multipart body.
        form_header_bytes: one header line of one part.
        header_bytes: request line and headers of a request.
        faces: on one picture; a crowd of more is cut into tiles by whoever sends it.
        name_chars: of a person or a key.
        ids: of faces in one request (assign, split).
        page_items: of a list in one answer.
        candidates: of a search.
        header_s: from the first byte of a connection to the end of its headers; cuts off who dribbles bytes.
        body_s: from the end of the headers to the end of the body.
        request_s: for the work on one request, waiting for its turn included.
        send_s: for sending an answer to a client that reads slowly.
        idle_s: that a connection may stay open between two requests.
        drain_s: that requests in flight may take when the server is told to stop.
        connections: open at once; more are closed without a word.
        requests: in flight at once; more get 503.
        bodies_bytes: of all bodies in memory at once; more get 503.
        queue_pictures: that wait for the models; more get 503.
        batch_pictures: that go through the models together.
        batch_pixels: of one batch, all pictures together; bounds the memory that decoded pictures take.
        batch_wait_s: that the first picture of a batch waits for company.
        gallery_threads: that work on the gallery, whose calls are synchronous.
        gallery_queue: calls that wait for one of them; more get 503.
        rate_per_s: requests of one key, on average.
        rate_burst: requests of one key at once.
        refusals_per_minute: requests with a wrong key from one address, before it is asked to wait.
        attempts_per_hour: how often one key of the role `identify` may have a picture compared with one person. Each
            answer gives a bit about the stored template, and some thousands of bits rebuild a face.
        counters: keys, addresses and people that are counted at once; the longest unused is forgotten first.
        jobs: that wait; more get 503.
        jobs_kept: finished jobs that are remembered.
        keys: that the key file may hold.
    """

    picture_bytes: int = 24 * MIB
    picture_pixels: int = 50_000_000
    pictures: int = 64
    body_bytes: int = 96 * MIB
    json_bytes: int = 1 * MIB
    json_depth: int = 16
    form_parts: int = 80
    form_text_bytes: int = 4096
    form_header_bytes: int = 1024
    header_bytes: int = 16 * 1024
    faces: int = 1000
    name_chars: int = 200
    ids: int = 1000
    page_items: int = 500
    candidates: int = 100
    header_s: float = 10.0
    body_s: float = 60.0
    request_s: float = 60.0
    send_s: float = 60.0
    idle_s: float = 15.0
    drain_s: float = 20.0
    connections: int = 512
    requests: int = 256
    bodies_bytes: int = 512 * MIB
    queue_pictures: int = 128
    batch_pictures: int = 8
    batch_pixels: int = 60_000_000
    batch_wait_s: float = 0.004
    gallery_threads: int = 4
    gallery_queue: int = 256
    rate_per_s: float = 50.0
    rate_burst: int = 200
    refusals_per_minute: int = 30
    attempts_per_hour: int = 60
    counters: int = 100_000
    jobs: int = 16
    jobs_kept: int = 200
    keys: int = 1000

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
                raise InputError(f"{f.name}: expected a number above 0, got {value!r}")

    @property
    def of_a_picture(self) -> PictureLimits:
        """What the decoder checks."""
        return PictureLimits(self.picture_bytes, self.picture_pixels)
