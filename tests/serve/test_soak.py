"""A short soak: nothing fails while clients store, correct and delete at once, and memory does not grow with requests.

At length: python -m tests.serve.soak --minutes 60. VULTUS_SOAK_SECONDS sets how long this one takes.
"""

from __future__ import annotations

import os
from collections import Counter

import numpy as np
import pytest

from tests.serve.soak import Soaked, soak

SECONDS = float(os.environ.get("VULTUS_SOAK_SECONDS") or 45)
KB_PER_REQUEST = 6.0  # a server that forgets one picture, vector list or answer per request loses more


@pytest.mark.slow
def test_a_steady_mix_of_requests(start_process) -> None:
    process = start_process()
    found = soak(process, SECONDS)
    assert not found.errors
    assert process.stop() == 0
    assert found.requests > 10 * SECONDS / 2
    assert found.kb_per_request < KB_PER_REQUEST, found.rss_mb.tolist()


def test_the_slope_is_that_of_what_follows_the_warm_up() -> None:
    seconds = np.arange(100.0)
    memory = 100 + np.minimum(seconds, 30) + 0.01 * seconds
    found = Soaked(Counter(), [], np.stack([seconds, 5 * seconds, memory], 1))
    assert found.mb_per_hour == pytest.approx(36)
    assert found.kb_per_request == pytest.approx(1024 * 0.01 / 5)
