"""What can be told apart, and when more text is of no use."""

from __future__ import annotations

from runner.compare.ties import is_settled, pairs, tie_groups
from tests.fast.compare.synthetic import candidate, reference

LADDER = {"Q8_0": 0.0014, "Q6_K": 0.0055, "Q5_K_M": 0.011, "Q4_K_M": 0.031, "Q3_K_M": 0.10}


def test_a_ladder_settles_without_ties() -> None:
    scored = reference(16, 100, seed=1)
    scores = {name: candidate(scored, kld, seed) for seed, (name, kld) in enumerate(LADDER.items())}
    assert tie_groups(scores) == []
    assert is_settled(scores)
    assert {pair.verdict for pair in pairs(scores)} == {"ordered"}


def test_too_few_texts_settle_nothing() -> None:
    """However alike they are."""
    scored = reference(16, 100, seed=1)
    scores = {name: candidate(scored, kld, 3, spread=0.0) for name, kld in LADDER.items()}
    assert is_settled({name: blocks[:8] for name, blocks in scores.items()})
    assert not is_settled({name: blocks[:7] for name, blocks in scores.items()})
    assert not is_settled({"Q8_0": scores["Q8_0"]})
    assert not is_settled({})
    assert pairs({name: blocks[:1] for name, blocks in scores.items()}) == []
    assert tie_groups({name: [] for name in scores}) == [list(scores)]


def test_equal_files_are_tied_and_settled() -> None:
    scored = reference(16, 100, seed=1)
    same = candidate(scored, 0.03, seed=2)
    scores = {"one": same, "other": same, "Q2_K": candidate(scored, 0.4, seed=3)}
    assert tie_groups(scores) == [["one", "other"]]
    assert is_settled(scores)


def test_close_and_noisy_is_open_not_tied() -> None:
    scored = reference(12, 50, seed=1)
    scores = {"IQ4_XS": candidate(scored, 0.036, 2), "Q4_K_S": candidate(scored, 0.040, 3)}
    assert tie_groups(scores)
    assert not is_settled(scores)


def test_pairing_sees_what_the_separate_errors_hide() -> None:
    """The same texts are hard for both: 12 % apart, with errors of 10 % each."""
    scored = reference(16, 100, seed=1)
    one = candidate(scored, 0.030, seed=2)
    other = candidate(scored, 0.0336, seed=2)
    assert [pair.verdict for pair in pairs({"one": one, "other": other})] == ["ordered"]


def test_differences_within_the_noise_floor_are_no_differences() -> None:
    scored = reference(16, 100, seed=1)
    scores = {"Q8_0": candidate(scored, 0.0010, 2), "Q6_K": candidate(scored, 0.0040, 3)}
    assert tie_groups(scores) == []
    assert tie_groups(scores, noise_floor=0.002) == [["Q8_0", "Q6_K"]]
    assert is_settled(scores, noise_floor=0.002)


def test_groups_may_share_a_name() -> None:
    """The middle one is like both, which are not like each other."""
    scored = reference(12, 60, seed=1)
    scores = {
        "a": candidate(scored, 0.030, 2),
        "b": candidate(scored, 0.033, 3),
        "c": candidate(scored, 0.048, 2),
    }
    assert tie_groups(scores) == [["a", "b"], ["b", "c"]]


def test_two_runs_never_order_a_pair_oppositely() -> None:
    """120 pairs of runs with texts of their own, of candidates hardly or not at all apart; and of 6 that are
    equal, hardly a run orders any two."""
    opposite = false_orders = 0
    for seed in range(120):
        orders = []
        for run in (2 * seed, 2 * seed + 1):
            scored = reference(16, 30, seed=run)
            scores = {
                name: candidate(scored, kld, seed=10_000 + 7 * run + place)
                for place, (name, kld) in enumerate(
                    {"a": 0.03, "b": 0.03, "c": 0.032, "d": 0.034, "e": 0.03, "f": 0.03}.items()
                )
            }
            ordered = [pair for pair in pairs(scores) if pair.verdict == "ordered"]
            orders.append({(each.better, each.worse) for each in ordered})
            equal = {"a", "b", "e", "f"}
            false_orders += any({each.better, each.worse} <= equal for each in ordered)
        opposite += any((worse, better) in orders[1] for better, worse in orders[0])
    assert opposite == 0
    assert false_orders <= 3
