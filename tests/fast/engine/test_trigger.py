"""Triggers are found however tokens spell them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from runner.worker.trigger import Trigger


@given(st.text("ab<", max_size=12), st.sets(st.integers(1, 30)))
def test_the_tail_begins_with_the_first_trigger(before: str, cuts: set[int]) -> None:
    text = (before + "<a>b").encode()
    borders = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    trigger = Trigger(("<a>", "nothing else"))
    tails = [trigger.feed(index, text[a:b]) for index, (a, b) in enumerate(pairwise(borders))]
    found = [(index, tail) for index, tail in enumerate(tails) if tail is not None]
    start = text.index(b"<a>")
    index, tail = found[0]
    assert borders[index] < start + 3 <= borders[index + 1]
    assert tail.text == text[start : borders[index + 1]]
    assert tail.tokens == (list(range(borders.index(start), index + 1)) if start in borders else [])


def test_a_token_that_is_taken_back_is_forgotten() -> None:
    trigger = Trigger(("abc",))
    assert trigger.feed(1, b"ab") is None
    assert trigger.feed(2, b"cd") is not None
    trigger.forget()
    tail = trigger.feed(3, b"c")
    assert tail is not None
    assert (tail.text, tail.tokens) == (b"abc", [1, 3])
