from hypothesis import given
from hypothesis import strategies as st

from runner.worker.pace import Pace

TOKEN_S, DECODE_S = 0.004, 0.02


def paced(step_s: float, token_s: float = TOKEN_S, steps: int = 40) -> tuple[Pace, float]:
    """A pace that has seen steps of its own choosing, and how long the last of them took."""
    pace = Pace(step_s, 512)
    pace.observe(DECODE_S, 1, 0)
    took_s = 0.0
    for _ in range(steps):
        chunk = pace.chunk_tokens
        took_s = DECODE_S + chunk * token_s
        pace.observe(took_s, 1, chunk)
    return pace, took_s


def test_steps_come_close_to_the_longest_that_is_allowed() -> None:
    _, took_s = paced(1.0)
    assert 0.75 < took_s <= 1.0


def test_chunks_shrink_when_tokens_take_longer() -> None:
    pace, _ = paced(1.0)
    assert pace.chunk_tokens == 193
    for _ in range(40):
        pace.observe(DECODE_S + pace.chunk_tokens * 2 * TOKEN_S, 1, pace.chunk_tokens)
    assert pace.chunk_tokens == 65


def test_chunks_are_finer_without_flash_attention() -> None:
    pace = Pace(0.3, 512, tile_tokens=16)
    for _ in range(40):
        pace.observe(DECODE_S + pace.chunk_tokens * TOKEN_S, 1, pace.chunk_tokens)
    assert pace.chunk_tokens == 65
    for _ in range(40):
        pace.observe(DECODE_S + pace.chunk_tokens * 2 * TOKEN_S, 1, pace.chunk_tokens)
    assert pace.chunk_tokens == 33


def test_no_limit_is_the_whole_batch() -> None:
    assert Pace(0, 512).chunk_tokens == 512


@given(st.floats(1e-6, 100), st.floats(1e-9, 10))
def test_a_prompt_always_goes_on_and_never_beyond_the_batch(step_s: float, token_s: float) -> None:
    pace, _ = paced(step_s, token_s)
    assert 65 <= pace.chunk_tokens <= 512
