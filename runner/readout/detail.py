"""One variant in detail: how it fares on each kind of text, where its answers part from the reference's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from runner.readout.numbers import Figure, figure, percent, rounded
from runner.readout.span import Line, Role, Span
from runner.readout.table import PROBLEM_MARK, Column
from runner.text import clean, clean_name
from runner.wire.compare import Answers, Choice, DomainQuality, Fork, VariantResult


def kinds(variant: VariantResult) -> list[Line]:
    """A table with a row for each kind of text, the worst first; none if none was scored."""
    rows = sorted(variant.domains.items(), key=lambda row: -(row[1].kld_mean.value or 0.0))
    if not rows:
        return []
    names = ["KIND OF TEXT", "", *(clean_name(name) for name, _ in rows)]
    width = max(map(len, names))
    roles: list[Role] = ["head", "head", *("warning" if row.is_worse else "plain" for _, row in rows)]
    cells = zip(*(column.lines() for column in _columns([row for _, row in rows])), strict=True)
    return [
        (Span(f"{PROBLEM_MARK if role == 'warning' else ' '} {name.ljust(width)}  {'  '.join(line)}", role),)
        for name, role, line in zip(names, roles, cells, strict=True)
    ]


def _columns(rows: Sequence[DomainQuality]) -> list[Column]:
    return [
        Column(("KL DIVERGENCE", "nats"), 0, tuple(figure(row.kld_mean) for row in rows)),
        Column(("SAME TOP", "%"), 0, tuple(figure(row.same_top, 100) for row in rows)),
        Column(("HARD FLIPS", "%"), 0, tuple(figure(row.hard_flips, 100) for row in rows)),
        Column(("TOKENS", ""), 0, tuple(Figure(f"{row.tokens:,}") for row in rows)),
    ]


def fork_head(fork: Fork, place: str) -> list[Line]:
    """Where the answers part, and the prompt; `place` is `2 of 6`."""
    if fork.token is None:
        where = Span("the same to the end", "choice")
    else:
        lead = "" if fork.margin is None else f", the reference's lead was {rounded(fork.margin)} nats"
        what = "a real change" if fork.is_real else "a harmless tie"
        role: Role = "warning" if fork.is_real else "plain"
        after = f"after {fork.token} token{'' if fork.token == 1 else 's'}" if fork.token else "at once"
        where = Span(f"parts {after}: {what}{lead}", role)
    return [
        (Span(f"{place} · {clean_name(fork.domain)} · "), where),
        (Span(clean_name(fork.prompt), "strong"),),
    ]


def answer(fork: Fork, name: str, *, is_reference: bool) -> list[Line]:
    """What the reference or the candidate wrote: what both share is dim; then what it ranked at the fork."""
    text = fork.reference_text if is_reference else fork.candidate_text
    shared, ranked = fork.shared_text, fork.reference_top if is_reference else fork.candidate_top
    if not text.startswith(shared):
        shared = ""
    lines: list[Line] = [(Span(clean_name(name), "head"),)]
    lines += _lines(Span(clean(shared), "dim"), Span(clean(text[len(shared) :])))
    if ranked and fork.token is not None:
        lines += [(), (Span("ranked  " + "  ".join(map(_ranked, ranked)), "dim"),)]
    return lines


def _lines(*spans: Span) -> list[Line]:
    """Broken where the text is."""
    lines: list[Line] = [()]
    for span in spans:
        first, *rest = span.text.split("\n")
        lines[-1] = (*lines[-1], Span(first, span.role))
        lines += [(Span(text, span.role),) for text in rest]
    return lines


def _ranked(choice: Choice) -> str:
    shown = clean_name(choice.text.replace("\n", "↵")).strip() or "space"
    return f"“{shown}” {percent(math.exp(choice.logprob))}"


def answers_summary(answers: Answers) -> list[Line]:
    return [(Span(" · ".join(_summary(answers)), "dim"),)]


def _summary(answers: Answers) -> Iterator[str]:
    known = {tokens: share.value for tokens, share in answers.identical.items() if share.value is not None}
    if known:
        shares = ", ".join(f"{percent(share)} for {tokens} tokens" for tokens, share in known.items())
        yield f"of {answers.prompts} answers the same as the reference's: {shares}"
    if answers.median_fork.value is not None:
        yield f"half part within {answers.median_fork.value:.0f} tokens"
    if answers.token_ratio.value is not None:
        yield f"{rounded(answers.token_ratio.value)} times as long"
