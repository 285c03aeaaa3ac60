import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.worker.pace import Pace

TOKEN_S, DECODE_S = 0.004, 0.02


def paced(step_s: float, token_s: float = TOKEN_S, tile_tokens: int = 64) -> tuple[Pace, float]:
    """A pace that has seen chunks of its own choosing, and how long the last took with the tokens before."""
    pace = Pace(step_s, 512, tile_tokens)
    pace.observe(DECODE_S, 0)
    return pace, goes_on(pace, token_s)


def goes_on(pace: Pace, token_s: float) -> float:
    for _ in range(40):
        chunk = pace.chunk_tokens
        pace.observe(chunk * token_s, chunk)
    return DECODE_S + chunk * token_s


def test_steps_come_close_to_the_longest_that_is_wanted() -> None:
    for wanted_s in (0.6, 1.0, 1.4):
        _, took_s = paced(wanted_s)
        assert 0.75 * wanted_s < took_s <= wanted_s + 0.25 * 64 * TOKEN_S


def test_chunks_shrink_when_tokens_take_longer() -> None:
    pace, _ = paced(1.0)
    assert pace.chunk_tokens == 256
    goes_on(pace, 2 * TOKEN_S)
    assert pace.chunk_tokens == 128


def test_chunks_are_finer_without_flash_attention() -> None:
    pace, _ = paced(0.3, tile_tokens=16)
    assert pace.chunk_tokens == 64
    goes_on(pace, 2 * TOKEN_S)
    assert pace.chunk_tokens == 32


def test_larger_chunks_are_tried_that_take_less_for_a_token() -> None:
    """As on two threads with nine heads: 64 tokens take 0.26 s, and 128 not 0.52."""
    took_s = {64: 0.26, 128: 0.43, 192: 0.65}
    pace = Pace(0.5, 512)
    pace.observe(DECODE_S, 0)
    for _ in range(10):
        pace.observe(took_s[pace.chunk_tokens], pace.chunk_tokens)
        assert pace.chunk_tokens < 192
    assert pace.chunk_tokens == 128


def test_no_limit_is_the_whole_batch() -> None:
    assert Pace(0, 512).chunk_tokens == 512


def test_a_prompt_that_is_read_apart_goes_on_for_as_long_as_is_wanted() -> None:
    pace = Pace(0.5, 512)
    assert pace.rest_s == 0.5
    pace.observe(DECODE_S, 0)
    assert pace.rest_s == 0.5
    assert Pace(0, 512).rest_s == math.inf


def test_slow_steps_leave_it_three_quarters_of_the_time() -> None:
    pace = Pace(0.5, 512)
    pace.observe(0.4, 0)
    assert pace.rest_s / (pace.rest_s + 0.4) == pytest.approx(0.75)


def test_only_short_steps_are_for_one_thread() -> None:
    pace = Pace(0.5, 512)
    assert pace.step_threads(8) == 8, "until one was measured"
    pace.observe(0.006, 0)
    assert [pace.step_threads(threads) for threads in (1, 2, 8, 12)] == [1, 1, 1, 12]
    pace.observe(0.049, 0, is_usual=False)
    assert pace.step_threads(8) == 1, "one thread's time says nothing of all threads'"


def test_a_step_that_is_not_as_usual_tells_something_if_it_is_the_first() -> None:
    pace = Pace(0.5, 512)
    pace.observe(0.4, 0, is_usual=False)
    assert pace.step_threads(8) == 8 and pace.rest_s == pytest.approx(1.2)


@given(st.floats(1e-6, 100), st.floats(1e-9, 10))
def test_a_prompt_always_goes_on_and_never_beyond_the_batch(step_s: float, token_s: float) -> None:
    pace, _ = paced(step_s, token_s)
    assert 64 <= pace.chunk_tokens <= 512
