"""Ctrl-C and a polite kill end a run after the step it is in, so that it can be saved; a second Ctrl-C ends it now."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Stopper"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopper:
    """A context in which these signals only leave word; outside the main thread, or where ignored, they do as ever.

    Attributes:
        asked: whether one came.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stopper:
        if threading.current_thread() is threading.main_thread():
            mine = [one for one in _SIGNALS if signal.getsignal(one) != signal.SIG_IGN]  # by nohup or a shell's "&"
            self._before = {one: signal.signal(one, self._heard) for one in mine}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for one, before in self._before.items():
            signal.signal(one, before)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt("stopped at once, without saving; go on from the last checkpoint")
        self.asked = True
