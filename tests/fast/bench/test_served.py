"""What a client's trace says of stutter."""

from __future__ import annotations

import pytest

from runner import wire
from runner.bench.served import Trace


def test_tokens_of_one_piece_share_the_time_since_the_one_before() -> None:
    pieces = ((1.0, 1), (1.1, 3), (1.1, 3), (1.4, 4))
    trace = Trace(0.5, 2.0, pieces, wire.Usage(), wire.Timings())
    assert trace.gaps_ms == pytest.approx([50, 50, 0, 300])
    assert trace.ttft_ms == pytest.approx(500)


def test_without_text_the_end_is_the_first_that_came() -> None:
    trace = Trace(0.5, 2.0, (), wire.Usage(), wire.Timings())
    assert (trace.ttft_ms, trace.gaps_ms) == (1500, [])
