"""What a slow reader of a worker's updates gets."""

from __future__ import annotations

from modelstore.errors import NybbleError
from runner.errors import WorkerFailed
from runner.protocol import Delta, Finished, TokenLogprob
from runner.updates import joined

QUEUED = Delta("a", queue_position=2)
PREFILL = Delta("a", prompt_tokens_done=4, prompt_tokens_total=9)
FINISHED = Finished("a", "stop", 9, 0, 3, 0.0, 0.1, 0.2)
CRASHED: NybbleError = WorkerFailed("the process ended")


def text(piece: str, count: int) -> Delta:
    return Delta("a", piece, count, logprobs=(TokenLogprob(count, piece, piece.encode(), -0.5),))


def test_pieces_of_text_that_wait_become_one() -> None:
    one, two, three = text("o", 1), text("ne", 2), text(" two", 3)
    whole = Delta("a", "one two", 3, logprobs=one.logprobs + two.logprobs + three.logprobs)
    assert list(joined([QUEUED, PREFILL, one, two, three, FINISHED])) == [QUEUED, PREFILL, whole, FINISHED]
    assert list(joined([one, two, CRASHED])) == [Delta("a", "one", 2, logprobs=whole.logprobs[:2]), CRASHED]


def test_what_comes_alone_is_passed_on_as_it_is() -> None:
    for update in (QUEUED, PREFILL, text("one", 1), FINISHED, CRASHED):
        (passed,) = joined([update])
        assert passed is update
