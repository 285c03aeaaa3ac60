"""Answers in a report: the reference's tokens with their heat, and where answers part."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from runner.compare.export.columns import is_known
from runner.compare.export.markup import details, element, joined, table
from runner.compare.export.tables import figure_cell, heat
from runner.compare.export.words import shortened
from runner.wire.compare import Answers, Choice, Comparison, Estimate, Fork, TokenHeat, VariantResult

_TOKENS = 400
_FORKS = 6
_CHARACTERS = 700
_HARD, _FLIP = 1.0, 0.5
"""Lead of the reference in nats, from which a flip is hard; and more than a coin's flip."""


def strips(comparison: Comparison) -> Markup | None:
    """The reference's answer, once for each variant; the recommended one is open."""
    shown = [each for each in comparison.variants if each.strip]
    if not shown:
        return None
    opened = _opened(comparison, shown)
    return joined(_strip(each, is_open=each is opened) for each in shown)


def answers(comparison: Comparison) -> Markup | None:
    """Greedy answers beside the reference's: shares in a table, then each variant's divergences. Of the
    reference itself these are the control."""
    shown = [(each, each.answers) for each in comparison.variants if each.answers]
    if not shown:
        return None
    opened = _opened(comparison, [variant for variant, _ in shown])
    return _shares(shown) + joined(
        _forks(each, found, is_open=each is opened) for each, found in shown if found.forks
    )


def _opened(comparison: Comparison, shown: Sequence[VariantResult]) -> VariantResult:
    """The recommended one, if it is among `shown`."""
    choice = comparison.recommendation.choice if comparison.recommendation else None
    return next((each for each in shown if each.name == choice), shown[0])


def _strip(variant: VariantResult, *, is_open: bool) -> Markup:
    flips = [each for each in variant.strip if each.is_flip]
    hard = sum(each.margin > _HARD for each in flips)
    summary = (
        f"{variant.name}: {len(flips)} of {len(variant.strip)} first choices differ, {hard} of them hard"
    )
    words = joined(_token(each) for each in variant.strip[:_TOKENS])
    rest = "…" if len(variant.strip) > _TOKENS else None
    text = element("p", words, rest, class_="strip", dir="auto")
    return details(summary, text, is_open=is_open)


def _token(token: TokenHeat) -> Markup:
    kind = "" if not token.is_flip else " hard" if token.margin > _HARD else " flip"
    title = f"KL divergence {token.kld:.3g} nats, the reference leads by {token.margin:.2f} nats"
    return element("span", token.text, class_=heat(token.kld) + kind, title=title)


def _shares(shown: Sequence[tuple[VariantResult, Answers]]) -> Markup:
    """Without columns of which nothing is known."""
    lengths = sorted({tokens for _, each in shown for tokens in each.identical})
    found = [(variant.name, _figures(each, lengths)) for variant, each in shown]
    used = [title for title in found[0][1] if any(is_known(figures[title][0]) for _, figures in found)]
    rows = [
        [element("th", name, scope="row"), *(figure_cell(*figures[title]) for title in used)]
        for name, figures in found
    ]
    return table(["variant", *used], rows, class_="main shares")


def _figures(each: Answers, lengths: Sequence[int]) -> dict[str, tuple[Estimate | None, float]]:
    """By title; each with what it is multiplied by to be shown."""
    return {
        **{f"same for {tokens} tokens, %": (each.identical.get(tokens), 100.0) for tokens in lengths},
        "median fork, tokens": (each.median_fork, 1.0),
        "median real fork, tokens": (each.median_firm_fork, 1.0),
        "tokens used, × reference": (each.token_ratio, 1.0),
        "cut off, %": (each.capped, 100.0),
        "in circles, %": (each.looped, 100.0),
    }


def _forks(variant: VariantResult, each: Answers, *, is_open: bool) -> Markup:
    """Real changes first, then the earliest."""
    parted = [fork for fork in each.forks if fork.token is not None]
    parted.sort(key=lambda fork: (not fork.is_real, fork.token))
    real = sum(fork.is_real for fork in parted)
    name = f"{variant.name} against itself" if variant.is_reference else variant.name
    summary = f"{name}: {len(parted)} of {each.prompts} answers part, {real} by more than a coin's flip"
    return details(summary, *(_fork(variant.name, fork) for fork in parted[:_FORKS]), is_open=is_open)


def _fork(name: str, fork: Fork) -> Markup:
    margin = "unknown" if fork.margin is None else f"{fork.margin:.2f} nats"
    words, kind = ("real change", "real") if fork.is_real else ("harmless tie", "tie")
    label = element("b", words, class_=kind)
    head = element("p", label, f" after {fork.token} tokens; the reference's lead there: {margin}")
    prompt = element(
        "p", element("b", f"{fork.domain}: "), shortened(fork.prompt, 200), class_="prompt", dir="auto"
    )
    sides = (
        _side("reference", fork.reference_text, fork.shared_text, fork.reference_top),
        _side(name, fork.candidate_text, fork.shared_text, fork.candidate_top),
    )
    return element("article", prompt, head, element("div", *sides, class_="sides"))


def _side(name: str, text: str, shared: str, top: Sequence[Choice]) -> Markup:
    same = shared if text.startswith(shared) else ""
    own = text[len(same) : len(same) + _CHARACTERS]
    before = element("span", ("…" if len(same) > _CHARACTERS else "") + same[-_CHARACTERS:], class_="shared")
    answer = element("p", before, element("mark", own), dir="auto", class_="answer")
    choices = joined(element("li", element("code", each.text), f" {each.logprob:.2f}") for each in top)
    ranked = element("p", "ranked there, ln p:") + element("ol", choices) if top else None
    return element("div", element("h4", name), answer, ranked)
