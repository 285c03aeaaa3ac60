"""Where greedy answers part, and what it means."""

from __future__ import annotations

import math

import pytest

from runner.compare.forks import Asked, GreedyAnswer, summarize_answers, tokens_in
from runner.compare.survival import Span, median, ratio_of_sums, share_of_prompts
from runner.wire.compare import Answers

END = 0
PIECES = {END: b"", 1: b"the ", 2: b"cat ", 3: b"dog ", 4: b"sat", 5: "ü".encode()[:1], 6: "ü".encode()[1:]}


def _answer(*tokens: int, lead: float = 2.0, other: int = 3) -> GreedyAnswer:
    """Ends by itself if its last token is END; at every step the second choice is `other`, `lead` nats
    behind."""
    top = tuple(((token, -0.1), (other, -0.1 - lead), (4, -9.0)) for token in tokens)
    return GreedyAnswer(tokens, tokens[-1] == END, top)


def _compared(*pairs: tuple[GreedyAnswer, GreedyAnswer]) -> Answers:
    asked = [Asked(f"prompt {place}", "prose", 256) for place in range(len(pairs))]
    return summarize_answers(asked, [ours for ours, _ in pairs], [theirs for _, theirs in pairs], PIECES)


def test_a_fork_is_shown_with_what_both_ranked_there() -> None:
    answers = _compared((_answer(1, 2, 4, END), _answer(1, 3, 4, END, other=2)))
    fork = answers.forks[0]
    assert (fork.token, fork.is_real) == (1, True)
    assert fork.margin == pytest.approx(2.0)
    assert [choice.text for choice in fork.reference_top] == ["cat ", "dog ", "sat"]
    assert [choice.text for choice in fork.candidate_top] == ["dog ", "cat ", "sat"]
    assert (fork.shared_text, fork.reference_text, fork.candidate_text) == (
        "the ",
        "the cat sat",
        "the dog sat",
    )


def test_a_close_call_is_a_harmless_tie() -> None:
    answers = _compared((_answer(1, 2, END, lead=0.02), _answer(1, 3, END)))
    assert answers.forks[0].token == 1
    assert not answers.forks[0].is_real
    assert answers.median_fork.value == 1
    assert answers.median_firm_fork.value is None


def test_going_on_where_the_reference_ends_is_a_fork() -> None:
    fork = _compared((_answer(1, 2, END), _answer(1, 2, 4)))
    assert fork.forks[0].token == 2
    assert (fork.capped.value, fork.token_ratio.value) == (1.0, None)
    assert fork.token_ratio.reason


def test_the_reference_against_itself_never_parts() -> None:
    same = [_answer(1, 2, 4, END), _answer(*[1, 2] * 64), _answer(*[1] * 300)]
    answers = _compared(*[(each, each) for each in same])
    assert all(fork.token is None for fork in answers.forks)
    assert answers.median_fork.value is None
    assert answers.median_fork.reason
    assert {length: share.value for length, share in answers.identical.items()} == {
        32: 1.0,
        128: 1.0,
        256: None,  # the second was cut at 128
    }
    assert answers.token_ratio.value == 1.0


def test_nobody_knows_what_a_cut_answer_would_have_been() -> None:
    """Of three, one parts at 40, one is whole, one was cut at 100: at 128 the share would be a guess."""
    long = [1, 2] * 50
    answers = _compared(
        (_answer(*long), _answer(*long[:40], 4, END)),
        (_answer(1, END), _answer(1, END)),
        (_answer(*long), _answer(*long)),
    )
    assert answers.identical[32].value == 1.0
    assert answers.identical[128].value is None
    assert answers.identical[128].reason == "some answers were cut before 128 tokens"


def test_prompts_that_are_cut_early_do_not_hide_how_long_the_others_stay_together() -> None:
    """Of two answers that may be long one stays; those of 64 tokens are counted as far as they go."""
    long, short = _answer(*[1, 2] * 100), _answer(*[1, 2] * 32)
    asked = [Asked(str(limit), "prose", limit) for limit in (256, 256, 64)]
    parted = _answer(*[1, 2] * 50, 4, END)
    answers = summarize_answers(asked, [long, long, short], [long, parted, short], PIECES)
    assert {length: share.value for length, share in answers.identical.items()} == {
        32: 1,
        128: 0.5,
        256: None,
    }
    assert summarize_answers(asked[2:], [short], [short], PIECES).identical[128].value is None


def test_circles_are_counted_where_answers_do_not_end() -> None:
    ends = _answer(1, END)
    answers = _compared((ends, _answer(*[2, 3] * 40)), (ends, _answer(*[2] * 40, END)), (ends, ends))
    assert answers.looped is not None
    assert answers.looped.value == answers.capped.value == pytest.approx(1 / 3)


def test_a_letter_across_two_tokens_is_read_whole() -> None:
    fork = _compared((_answer(5, 6, 4, END), _answer(5, 6, 2, END))).forks[0]
    assert (fork.shared_text, fork.reference_text) == ("ü", "üsat")
    assert _compared((_answer(1, 5, 6, END), _answer(1, 5, 4, END))).forks[0].shared_text == "the "


def test_all_tokens_that_are_shown_can_be_asked_for() -> None:
    assert tokens_in([_answer(1, 2, END, other=3)]) == [0, 1, 2, 3, 4]


def test_kaplan_meier_by_hand() -> None:
    """Parted at 2 and 6, given up at 4: 2/3 stay after 2, none after 6 (with 1 of 1 at risk)."""
    assert median([Span(2, True), Span(4, False), Span(6, True)]).value == 6
    assert median([Span(2, True), Span(4, True), Span(6, False)]).value == 4
    assert median([Span(2, True), Span(4, False), Span(6, False)]).value is None


@pytest.mark.parametrize("flip_rate", [0.023, 0.081])
def test_median_under_a_constant_rate_of_flips(flip_rate: float) -> None:
    """Geometric spans at their quantiles, cut at 256: ln 1/2 / ln(1 - f)."""
    count = 400
    spans = [math.log1p(-(place + 0.5) / count) / math.log1p(-flip_rate) for place in range(count)]
    found = median([Span(min(int(span), 256), span < 256) for span in spans])
    expected = math.log(0.5) / math.log1p(-flip_rate)
    assert found.value == pytest.approx(expected, abs=1)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= expected <= found.high


def test_tokens_used_are_a_ratio_of_sums() -> None:
    found = ratio_of_sums([110, 240] * 25, [100, 200] * 25)
    assert found.value == pytest.approx(350 / 300)
    assert found.low is not None
    assert found.high is not None
    assert 1.1 < found.low < 350 / 300 < found.high < 1.2


@pytest.mark.parametrize(("right", "prompts", "low", "high"), [(2, 2, 0.342, 1.0), (0, 7, 0.0, 0.354)])
def test_a_share_of_prompts_has_wilsons_interval(right: int, prompts: int, low: float, high: float) -> None:
    found = share_of_prompts([True] * right + [False] * (prompts - right))
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-4), pytest.approx(high, abs=5e-4))
