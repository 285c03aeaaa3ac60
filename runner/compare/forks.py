"""Greedy answers beside the reference's: where they part, whether that matters, how many tokens they take.

The reference against itself, summarized the same way, is the control: what parts there is not the file's
doing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from runner.compare.survival import Span, median, ratio_of_sums, share_of_prompts
from runner.wire.compare import Answers, Choice, Estimate, Fork

FIRM_MARGIN = 0.5
"""A lead of the reference in nats above which another first choice is no flip of a coin."""

_LENGTHS = (32, 128, 256)
_ROUNDS = 3
_LEAST_TOKENS = 24
"""Of repetition at the end: lists and refrains repeat themselves for a while, too."""


@dataclass(frozen=True, slots=True)
class GreedyAnswer:
    """One model's greedy answer to a prompt. `tokens` end with the end token if the model `ended` by itself,
    else the answer was cut at the limit. `top` has for each of `tokens` the three best, (token, ln p), best
    first."""

    tokens: tuple[int, ...]
    ended: bool
    top: tuple[tuple[tuple[int, float], ...], ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt as people read it, its kind of text, where its answers are cut, and as a model reads it."""

    prompt: str
    domain: str
    max_tokens: int
    tokens: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Pair:
    """Answers to the same prompt; `parts_at` is the first index at which the tokens differ."""

    reference: GreedyAnswer
    candidate: GreedyAnswer
    parts_at: int | None

    @property
    def shared(self) -> int:
        """Tokens from the start that are the same."""
        if self.parts_at is not None:
            return self.parts_at
        return min(len(self.reference.tokens), len(self.candidate.tokens))

    @property
    def margin(self) -> float | None:
        """The reference's lead where the answers part, in nats."""
        if self.parts_at is None:
            return None
        best = self.reference.top[self.parts_at]
        return best[0][1] - best[1][1] if len(best) > 1 else None

    @property
    def is_real(self) -> bool:
        return self.margin is not None and self.margin > FIRM_MARGIN

    def is_same_for(self, tokens: int) -> bool | None:
        """None if nobody looked that far."""
        if self.shared >= tokens:
            return True
        if self.parts_at is not None:
            return False
        return True if self.reference.ended and self.candidate.ended else None


def summarize_answers(
    asked: Sequence[Asked],
    reference: Sequence[GreedyAnswer],
    candidate: Sequence[GreedyAnswer],
    pieces: Mapping[int, bytes],
) -> Answers:
    """The three in the same order, one entry a prompt; `pieces` spells every token of `tokens_in` the
    answers."""
    pairs = [_pair(ours, theirs) for ours, theirs in zip(reference, candidate, strict=True)]
    finished = [pair for pair in pairs if pair.reference.ended and pair.candidate.ended]
    return Answers(
        prompts=len(pairs),
        identical={tokens: _identical(asked, pairs, tokens) for tokens in _LENGTHS},
        median_fork=median([Span(pair.shared, pair.parts_at is not None) for pair in pairs]),
        median_firm_fork=median([Span(pair.shared, pair.is_real) for pair in pairs]),
        token_ratio=ratio_of_sums(
            [len(pair.candidate.tokens) for pair in finished],
            [len(pair.reference.tokens) for pair in finished],
        ),
        capped=share_of_prompts([not answer.ended for answer in candidate]),
        looped=share_of_prompts([goes_in_circles(answer.tokens) for answer in candidate]),
        forks=[_fork(about, pair, pieces) for about, pair in zip(asked, pairs, strict=True)],
    )


def _identical(asked: Sequence[Asked], pairs: Sequence[_Pair], tokens: int) -> Estimate:
    """Those that were cut must not be left out: what parts early would be all that is left. Those that no
    answer could be as long for are, whatever was answered."""
    long = [pair for about, pair in zip(asked, pairs, strict=True) if about.max_tokens >= tokens]
    if not long:
        return Estimate(reason=f"all answers are cut before {tokens} tokens")
    same = [pair.is_same_for(tokens) for pair in long]
    if None in same:
        return Estimate(reason=f"some answers were cut before {tokens} tokens")
    return share_of_prompts([each is True for each in same])


def tokens_in(answers: Iterable[GreedyAnswer]) -> list[int]:
    """All that must be spelled to show these answers, each once."""
    found: set[int] = set()
    for answer in answers:
        found.update(answer.tokens)
        found.update(token for best in answer.top for token, _ in best)
    return sorted(found)


def _pair(reference: GreedyAnswer, candidate: GreedyAnswer) -> _Pair:
    both = enumerate(zip(reference.tokens, candidate.tokens, strict=False))
    return _Pair(
        reference, candidate, next((place for place, (ours, theirs) in both if ours != theirs), None)
    )


def _fork(about: Asked, pair: _Pair, pieces: Mapping[int, bytes]) -> Fork:
    place = pair.parts_at
    return Fork(
        prompt=about.prompt,
        domain=about.domain,
        token=place,
        margin=pair.margin,
        is_real=pair.is_real,
        reference_top=[] if place is None else _choices(pair.reference.top[place], pieces),
        candidate_top=[] if place is None else _choices(pair.candidate.top[place], pieces),
        shared_text=_text(spoken(pair.reference)[: pair.shared], pieces, "ignore"),
        reference_text=_text(spoken(pair.reference), pieces),
        candidate_text=_text(spoken(pair.candidate), pieces),
    )


def _choices(best: Sequence[tuple[int, float]], pieces: Mapping[int, bytes]) -> list[Choice]:
    return [Choice(text=_text((token,), pieces), logprob=logprob) for token, logprob in best]


def spoken(answer: GreedyAnswer) -> tuple[int, ...]:
    """Without the token that ends it."""
    return answer.tokens[:-1] if answer.ended else answer.tokens


def _text(tokens: Sequence[int], pieces: Mapping[int, bytes], errors: str = "replace") -> str:
    """Characters may lie across tokens: joined first, then read."""
    return b"".join(pieces[token] for token in tokens).decode("utf-8", errors)


def goes_in_circles(tokens: Sequence[int]) -> bool:
    """Whether an answer ends with the same piece at least three times in a row, without another token
    between. One that ended by itself got out."""
    for period in range(1, len(tokens) // _ROUNDS + 1):
        length = max(_ROUNDS * period, _LEAST_TOKENS)
        if length <= len(tokens) and tokens[-length:-period] == tokens[-length + period :]:
            return True
    return False
