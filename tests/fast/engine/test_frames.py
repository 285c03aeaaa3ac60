"""What the daemon hears of steps, and when."""

from __future__ import annotations

import pytest

from runner.protocol import Delta, Failed, Finished, Stepped
from runner.worker.frames import Frames

FRAME_S = 1 / 60


def word(completion_tokens: int, request_id: str = "a") -> Delta:
    return Delta(request_id, f" {completion_tokens}", completion_tokens)


def told(frames: Frames, step: Stepped, now_s: float) -> tuple[Delta, ...] | None:
    frame = frames.due(step, now_s)
    return frame and frame.deltas


@pytest.fixture
def frames() -> Frames:
    """That have just told a first token."""
    frames = Frames()
    assert told(frames, Stepped((word(1),)), 0.0) == (word(1),)
    return frames


def test_what_comes_sooner_than_a_picture_waits_for_the_next(frames: Frames) -> None:
    assert told(frames, Stepped((word(2),)), 0.4 * FRAME_S) is None
    assert told(frames, Stepped((word(3),)), 0.8 * FRAME_S) is None
    assert told(frames, Stepped((word(4),)), 1.2 * FRAME_S) == (word(2), word(3), word(4))
    assert told(frames, Stepped((word(5),)), 1.6 * FRAME_S) is None, "counted from the last one"


def test_slower_steps_are_told_one_by_one(frames: Frames) -> None:
    for number in range(2, 5):
        assert told(frames, Stepped((word(number),)), number * 1.1 * FRAME_S) == (word(number),)


@pytest.mark.parametrize(
    "news",
    [
        Stepped((word(3), word(1, "b"))),
        Stepped((word(3), Delta("b", prompt_tokens_done=0, prompt_tokens_total=9))),
        Stepped((word(3), Delta("b", queue_position=1))),
        Stepped((word(3),), (Finished("a", "stop", 1, 0, 3, 0.0, 0.0, 0.0),)),
        Stepped((word(3),), (), (Failed("b", "not_finite", "no numbers", 422),)),
    ],
)
def test_news_are_told_at_once_and_nothing_before_them_is_lost(frames: Frames, news: Stepped) -> None:
    assert told(frames, Stepped((word(2),)), 0.1 * FRAME_S) is None
    frame = frames.due(news, 0.2 * FRAME_S)
    assert frame is not None
    assert frame.deltas == (word(2), *news.deltas)
    assert (frame.finished, frame.failed) == (news.finished, news.failed)


def test_a_token_between_parts_of_a_prompt_does_not_wait_for_the_next(frames: Frames) -> None:
    progress = Delta("b", prompt_tokens_done=64, prompt_tokens_total=640)
    assert told(frames, Stepped((progress,)), 9 * FRAME_S) == (progress,)
    assert told(frames, Stepped((word(2),)), 9.1 * FRAME_S) == (word(2),)


def test_what_was_held_is_told_also_if_nothing_comes_after_it(frames: Frames) -> None:
    assert told(frames, Stepped((word(2),)), 0.5 * FRAME_S) is None
    assert told(frames, Stepped(), 0.9 * FRAME_S) is None
    assert told(frames, Stepped(), 1.1 * FRAME_S) == (word(2),)
    assert told(frames, Stepped(), 9 * FRAME_S) is None, "nothing is no message"
