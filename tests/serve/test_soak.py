"""A short soak: nothing fails while clients store, correct and delete at once, and memory does not grow with requests.

At length: python -m tests.serve.soak --minutes 60. VULTUS_SOAK_SECONDS sets how long this one takes.
"""

from __future__ import annotations

import os
from collections import Counter

import numpy as np
import pytest

from tests.serve.soak import GIVE_BACK, Soaked, soak

SECONDS = float(os.environ.get("VULTUS_SOAK_SECONDS") or 45)
KB_PER_REQUEST = 8.0  # a picture of this test has 8; the allocator alone moves it by a few


@pytest.mark.slow
def test_a_steady_mix_of_requests(start_process, monkeypatch) -> None:
    for name, value in GIVE_BACK.items():
        monkeypatch.setenv(name, value)
    process = start_process()
    found = soak(process, SECONDS)
    assert not found.errors
    assert process.stop() == 0
    assert found.requests > 10 * SECONDS / 2
    assert found.kb_per_request < KB_PER_REQUEST, found.rss_mb.tolist()


def test_what_is_lost_is_told_from_what_comes_and_goes() -> None:
    seconds = np.arange(90.0)
    memory = 100 + np.minimum(seconds, 20) + 0.01 * seconds
    found = Soaked(Counter(), [], np.stack([seconds, 5 * seconds, memory], 1))
    assert found.mb_per_hour == pytest.approx(36)
    assert found.kb_per_request == pytest.approx(1024 * 0.01 / 5)
    busy = np.random.default_rng(1).choice([0.0, 16.0, 32.0], 90)
    noisy = Soaked(Counter(), [], np.stack([seconds, 5 * seconds, memory + busy], 1))
    assert noisy.kb_per_request == pytest.approx(1024 * 0.01 / 5, abs=1)
