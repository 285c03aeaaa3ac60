"""Greedy answers beside the reference's: where they part, whether that matters, how many tokens they take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GreedyAnswer:
    """One model's greedy answer to a prompt. `tokens` end with the end token if the model `ended` by itself,
    else the answer was cut at the limit. `top` has for each of `tokens` the three best, (token, ln p), best first.
    """

    tokens: tuple[int, ...]
    ended: bool
    top: tuple[tuple[tuple[int, float], ...], ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt as people read it, and its kind of text."""

    prompt: str
    domain: str
