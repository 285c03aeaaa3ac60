"""What speculation is made of: look-ups, costs, and the arithmetic of whether a draft pays."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.worker.drafting.gain import ROWS, Step, StepCosts, best_length, expected
from runner.worker.drafting.lookup import Lookup
from runner.worker.drafting.ngrams import LONG, SHORT, NgramPool
from runner.worker.drafting.trust import Trials, Trust

WORDS = random.Random(7).sample(range(50_000), 400)


def costs(*seconds: float) -> StepCosts:
    """Of 1, 2, 4, 8, 16 and 32 rows."""
    measured = StepCosts()
    measured.measured(dict(zip(ROWS, seconds, strict=True)))
    return measured


FREE = costs(1, 1, 1, 1, 1, 1)
LINEAR = costs(1, 2, 4, 8, 16, 32)
F16_ON_A_CPU = costs(1, 1.2, 1.6, 2.5, 4.2, 8)


# n-grams


@given(st.lists(st.integers(0, 200_000), min_size=LONG + 1, max_size=60, unique=True))
def test_what_followed_is_found_again(tokens: list[int]) -> None:
    pool = NgramPool()
    pool.add(tokens, 0, len(tokens), 1)
    found = {at: pool.after(tokens[:at], 1) for at in range(SHORT, len(tokens))}
    assert all(guess is None or guess[0] == tokens[at] for at, guess in found.items())
    # Seldom two n-grams have one place: then the newer one has it.
    assert sum(guess != (tokens[at], at >= LONG) for at, guess in found.items()) <= 1
    assert pool.after([*tokens[-LONG:-1], tokens[0]], 1) is None


def test_another_text_shares_only_what_is_long() -> None:
    pool = NgramPool()
    pool.add(WORDS, 0, len(WORDS), salt=1)
    assert pool.after(WORDS[:SHORT], 2) is None
    assert pool.after(WORDS[:LONG], 2) == (WORDS[LONG], True)


def test_eight_tokens_know_better_than_three() -> None:
    pool = NgramPool()
    ambiguous = [*WORDS[:20], 1, *WORDS[17:20], 2]
    pool.add(ambiguous, 0, len(ambiguous), 1)
    assert pool.after(WORDS[17:20], 1) == (2, False)
    assert pool.after(WORDS[12:20], 1) == (1, True)


def test_a_full_pool_forgets_and_invents_nothing() -> None:
    pool, source = NgramPool(), random.Random(1)
    noise = [source.randrange(200_000) for _ in range(300_000)]
    pool.add(noise, 0, len(noise), 1)
    unseen = [source.randrange(200_000, 400_000) for _ in range(20_000)]
    assert not [at for at in range(LONG, len(unseen)) if pool.after(unseen[at - LONG : at], 1)]
    recent = range(len(noise) - 1000, len(noise))
    assert sum(pool.after(noise[at - LONG : at], 1) == (noise[at], True) for at in recent) > 990


def test_a_text_that_repeats_is_believed_more_and_more() -> None:
    lookup = Lookup(NgramPool(), 1)
    text = [*WORDS[:30], *WORDS[:30]]
    chances = []
    for at in range(1, len(text)):
        lookup.learn(text[:at], 64)
        _, likely = lookup.guess(text[:at], 4)
        chances.append(likely[0] if likely else 0.0)
    assert not any(chances[:30]), "nothing has repeated yet"
    assert chances[-1] > 0.95 > chances[30 + LONG]


def test_guesses_that_were_not_decoded_teach_too() -> None:
    lookup = Lookup(NgramPool(), 1)
    source = random.Random(1)
    text = [*WORDS[:SHORT]]
    for _ in range(60):
        # The same three tokens again and again, and then never the same.
        text += [source.randrange(60_000, 90_000), *WORDS[:SHORT]]
        lookup.learn(text, 64)
        _, chances = lookup.guess(text, 4)
    assert len(chances) == 1, "what is so unlikely is not pursued"
    assert chances[0] < 0.02


def test_a_long_prompt_is_learned_bit_by_bit() -> None:
    lookup = Lookup(NgramPool(), 1)
    for known in (64, 128, 192, 256, 320, 384, 400):
        lookup.learn(WORDS, 64)
        assert lookup.guess(WORDS[: known - 4], 15)[0] == WORDS[known - 4 : known]


# Costs


def test_costs_between_what_was_measured_lie_on_lines() -> None:
    assert [LINEAR.seconds(rows) for rows in (1, 3, 16, 24, 64)] == [1, 3, 16, 24, 64]


def test_noise_does_not_make_more_rows_cheaper() -> None:
    assert costs(1, 2, 1.5, 3, 4, 5).seconds(4) == 2


def test_sizes_that_could_not_be_measured_follow_the_last_ones() -> None:
    few = StepCosts()
    few.measured({1: 1.0, 2: 1.5, 4: 2.5})
    assert few.seconds(16) == pytest.approx(8.5)
    one = StepCosts()
    one.measured({1: 1.0})
    assert 1 < one.seconds(2) < 2


def test_the_first_step_says_how_long_steps_take() -> None:
    fresh = StepCosts()
    assert not fresh.is_known
    fresh.observe(1, 0.02)
    assert fresh.is_known
    assert fresh.seconds(1) == pytest.approx(0.02)
    assert fresh.seconds(8) > 0.06


def test_real_steps_correct_what_was_measured() -> None:
    measured = costs(1, 1.2, 1.6, 2.5, 4.2, 8)
    for _ in range(200):
        measured.observe(1, 1.0)
        measured.observe(8, 5.0)
    assert measured.seconds(8) == pytest.approx(5, rel=0.1)
    assert measured.seconds(1) == pytest.approx(1, rel=0.1)


def test_a_slower_machine_makes_every_size_slower() -> None:
    measured = costs(1, 1.2, 1.6, 2.5, 4.2, 8)
    for _ in range(60):
        measured.observe(1, 3.0)
    assert measured.seconds(1) == pytest.approx(3, rel=0.05)
    assert measured.seconds(16) > 1.5 * 4.2


def test_one_step_that_was_interrupted_changes_little() -> None:
    measured = costs(1, 1.2, 1.6, 2.5, 4.2, 8)
    measured.observe(1, 500.0)
    assert measured.seconds(1) < 1.25


# Gain


def test_free_rows_take_every_guess_and_dear_ones_none() -> None:
    assert best_length([0.9] * 15, Step(1, 1), FREE) == 15
    assert best_length([0.99] * 15, Step(1, 1), LINEAR) == 0


def test_unlikely_guesses_are_not_worth_a_row() -> None:
    assert best_length([0.1] * 15, Step(1, 1), F16_ON_A_CPU) == 0
    assert best_length([0.95] * 15, Step(1, 1), F16_ON_A_CPU) > 4


def test_a_draft_ends_before_the_first_unlikely_guess() -> None:
    assert best_length([0.95, 0.95, 0.95, 0.1, 0.95, 0.95], Step(1, 1), F16_ON_A_CPU) == 3


def test_what_guesses_cost_counts() -> None:
    assert best_length([0.8] * 8, Step(1, 1), F16_ON_A_CPU, token_s=0.05) > 0
    assert best_length([0.8] * 8, Step(1, 1), F16_ON_A_CPU, token_s=0.9) == 0


def test_other_streams_are_not_slowed_down_for_little() -> None:
    """Alone, two rows for 1.8 tokens are a gain; beside seven others they slow down everybody."""
    step_up = costs(1, 1.1, 2, 8, 24, 56)
    assert best_length([0.8], Step(1, 1), step_up) == 1
    assert best_length([0.8], Step(8, 8), step_up) == 0


def test_beside_others_a_small_part_of_the_whole_is_enough() -> None:
    assert best_length([0.9], Step(8, 8), FREE) == 1
    assert best_length([0.3], Step(8, 8), F16_ON_A_CPU) == 0
    assert best_length([0.9] * 4, Step(8, 8), costs(1, 1, 1, 1, 1.1, 1.2)) == 4


@given(
    st.lists(st.floats(0, 1), max_size=15),
    st.lists(st.floats(0, 2), min_size=6, max_size=6),
    st.integers(1, 8),
)
def test_no_other_length_gains_much_more(chances: list[float], rises: list[float], streams: int) -> None:
    total = 1.0
    measured = costs(*[total := total + rise for rise in rises])
    step = Step(streams, streams)

    def tps(length: int) -> float:
        return (step.tokens + expected(chances[:length])) / measured.seconds(step.rows + length)

    best = best_length(chances, step, measured)
    assert tps(best) >= tps(0)
    # What it leaves is within the error of the estimates.
    assert tps(best) > max(map(tps, range(len(chances) + 1))) / 1.21


# Trust in a draft model


def test_a_boastful_draft_model_is_corrected() -> None:
    trust = Trust()
    for at in range(40):
        trust.guessed(at, [at % 2], [0.95])
        trust.learn([0] * (at + 1))
    assert 0.3 < trust.chances([0.95])[0] < 0.7
    assert trust.acceptance == pytest.approx(0.5, abs=0.1)


def test_tokens_after_a_wrong_guess_say_nothing() -> None:
    trust = Trust()
    before = trust.acceptance
    trust.guessed(0, [5, 1, 1, 1], [0.6] * 4)
    trust.learn([0, 1, 1, 1])
    after_one_wrong = trust.acceptance
    assert after_one_wrong < before
    trust.learn([0, 1, 1, 1])
    assert trust.acceptance == after_one_wrong, "scored once"


def test_trials_take_a_hundredth_of_the_time() -> None:
    trials = Trials()
    begun = sum(trials.may_begin(step_s=0.02, price_s=0.01) for _ in range(1000))
    assert begun * 0.01 == pytest.approx(1000 * 0.02 * 0.01, rel=0.1)
