"""Logs: one JSON object per line, without pictures, vectors, names, query strings or bodies.

What an exception says may quote what a client sent, so that of an unexpected one only its type and its frames are
written, never its message.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import datetime, timezone
from types import TracebackType
from typing import Any, TextIO

__all__ = ["LOG", "JsonLines", "frames", "set_up"]

LOG = logging.getLogger("vultus.serve")


class JsonLines(logging.Formatter):
    """A record as one line of JSON; `extra={"fields": {...}}` adds keys."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without a line end."""
        at = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {"at": at, "level": record.levelname.lower(), "event": record.getMessage()}
        line |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[0] is not None:
            line["event"] = "error" if record.name != LOG.name else line["event"]
            line["error"] = record.exc_info[0].__name__
            line["frames"] = frames(record.exc_info[2])
        return json.dumps(line, default=str)


def frames(trace: TracebackType | None) -> list[str]:
    """Where it happened: file, line and function of the innermost frames."""
    found = traceback.extract_tb(trace)[-12:]
    return [f"{'/'.join(frame.filename.split('/')[-3:])}:{frame.lineno} {frame.name}" for frame in found]


def set_up(level: str = "info", stream: TextIO | None = None) -> None:
    """Send our lines and the web server's to one stream, stderr unless given; replaces what was set up before."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    for name in (LOG.name, "uvicorn", "uvicorn.error", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers = [handler] if name != "uvicorn.error" else []
        logger.propagate = name == "uvicorn.error"
        logger.setLevel(level.upper() if name == LOG.name else logging.WARNING)
    logging.getLogger("uvicorn.access").disabled = True  # it writes paths with their query strings
