"""Searching for the longest common prefix: against the plain definition of it."""

from __future__ import annotations

import time
from array import array
from itertools import takewhile

from hypothesis import given
from hypothesis import strategies as st

from runner.worker.prefix.history import History
from runner.worker.prefix.index import TOKEN_BYTES, PrefixIndex, common_prefix

# Few different tokens, so that sequences share; large ones too, so that bytes inside a token differ.
sequences = st.lists(st.sampled_from([0, 1, 2, 256, 65_537]), max_size=12)


def key(tokens: list[int]) -> bytes:
    return array("i", tokens).tobytes()


def longest(a: list[int], b: list[int]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))


def index_of(lists: list[list[int]]) -> PrefixIndex[list[int]]:
    index: PrefixIndex[list[int]] = PrefixIndex()
    for tokens in lists:
        index.add(key(tokens), tokens)
    return index


@given(sequences, sequences)
def test_common_prefix_is_that_of_the_tokens(a: list[int], b: list[int]) -> None:
    assert common_prefix(array("i", a), array("i", b)) == longest(a, b)


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_long_sequences_are_compared_to_the_token(length: int, differs_at: int) -> None:
    a = array("i", range(length))
    b = array("i", a)
    if differs_at < length:
        b[differs_at] = -1
    assert common_prefix(a, b) == min(length, differs_at)


@given(st.lists(sequences, max_size=12), sequences, st.integers(1, 3))
def test_the_longest_is_found_also_where_only_some_lengths_can_be_had(
    lists: list[list[int]], wanted: list[int], step: int
) -> None:
    index = index_of(lists)
    lengths = [longest(tokens, wanted) // step * step for tokens in lists]
    reached, found = index.longest(key(wanted), lambda _, shared: shared // step * step)
    assert reached == max(lengths, default=0)
    assert (found is None) == (reached == 0)
    if found is not None:
        assert longest(found, wanted) >= reached


@given(st.lists(sequences, max_size=12), sequences, st.lists(sequences, max_size=4))
def test_what_covers_and_what_begins(
    lists: list[list[int]], tokens: list[int], removed: list[list[int]]
) -> None:
    index = index_of(lists)
    for each in removed:
        index.remove(key(each))
    left = [each for each in lists if each not in removed]
    assert index.covers(key(tokens)) == any(each[: len(tokens)] == tokens for each in left)
    expected = {
        tuple(each) for each in left if each and len(each) < len(tokens) and tokens[: len(each)] == each
    }
    assert {tuple(each) for each in index.beginnings(key(tokens))} == expected


def test_a_search_among_hundreds_of_long_sequences_takes_no_loop_over_tokens() -> None:
    """300 sequences of 100,000 tokens that share 90,000: 0.4 ms here; a loop in Python takes seconds."""
    start = array("i", range(90_000))
    index: PrefixIndex[int] = PrefixIndex()
    for number in range(300):
        index.add((start + array("i", [number * 100_000]) + array("i", range(9_999))).tobytes(), number)
    wanted = (start + array("i", [700_000]) + array("i", range(5_000))).tobytes()
    fastest = 1.0
    for _ in range(5):
        started = time.thread_time()
        assert index.longest(wanted, lambda _, shared: shared) == (95_001, 7)
        fastest = min(fastest, time.thread_time() - started)
    assert fastest < 0.02


@given(st.integers(1, 600), st.integers(0, 600), st.integers(1, 600), st.lists(st.integers(1, 600)))
def test_reach_never_promises_what_cannot_be_had(
    length: int, shared: int, window: int, checkpoints: list[int]
) -> None:
    shared = min(shared, length)
    for history in (History(), History(window=window), History(is_recurrent=True)):
        reached = history.reach(length, shared, checkpoints)
        assert reached <= shared
        assert reached == 0 or reached in checkpoints or history.can_rewind(length, reached)
        if history.is_whole:
            assert reached == shared


def test_a_window_rewinds_as_far_as_it_is_held() -> None:
    history = History(window=100)
    # A saved state of 500 tokens has positions 400 to 499; token 499 sees 400 to 498.
    assert history.can_rewind(500, 499)
    assert not history.can_rewind(500, 498)
    assert history.can_rewind(500, 498, oldest=399)
    assert history.can_rewind(100, 3)


def test_a_token_is_four_bytes() -> None:
    assert array("i").itemsize == TOKEN_BYTES
