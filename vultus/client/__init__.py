"""A typed client of the HTTP server.

from vultus.client import Client
with Client("http://127.0.0.1:8040", key="vlt_...") as client:
    client.enroll("Anna", ["anna-1.jpg", "anna-2.jpg"])
    for face in client.identify("party.jpg").faces:
        print(face.words)
"""

from __future__ import annotations

from vultus.client._client import Client
from vultus.client._errors import ApiError
from vultus.client._records import (
    Cluster,
    Compared,
    Decision,
    Detected,
    Enrolled,
    Face,
    Identified,
    Job,
    Match,
    Person,
    Receipt,
    Stored,
)

__all__ = [
    "ApiError",
    "Client",
    "Cluster",
    "Compared",
    "Decision",
    "Detected",
    "Enrolled",
    "Face",
    "Identified",
    "Job",
    "Match",
    "Person",
    "Receipt",
    "Stored",
]
