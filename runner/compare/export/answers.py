"""Answers in a report: the reference's tokens with their heat, and where answers part."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from runner.compare.export.markup import details, element, joined, table
from runner.compare.export.tables import heat
from runner.compare.export.words import note, shortened, with_error
from runner.wire.compare import Answers, Choice, Comparison, Fork, TokenHeat, VariantResult

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
    """Greedy answers beside the reference's: shares in a table, then each variant's divergences."""
    shown = [(each, each.answers) for each in comparison.variants if each.answers]
    if not shown:
        return None
    lengths = sorted({tokens for _, each in shown for tokens in each.identical})
    head = ["variant", *(f"same for {tokens} tokens, %" for tokens in lengths), "median fork, tokens",
            "median real fork", "tokens used, × reference", "cut off, %", "in circles, %"]  # fmt: skip
    shares = table(head, [_shares(variant, each, lengths) for variant, each in shown])
    opened = _opened(comparison, [variant for variant, _ in shown])
    return shares + joined(
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


def _shares(variant: VariantResult, each: Answers, lengths: Sequence[int]) -> list[Markup]:
    figures = [(each.identical.get(tokens), 100.0) for tokens in lengths]
    figures += [
        (each.median_fork, 1.0),
        (each.median_firm_fork, 1.0),
        (each.token_ratio, 1.0),
        (each.capped, 100.0),
        (each.looped, 100.0),
    ]
    cells = (element("td", with_error(figure, scale), title=note(figure, scale)) for figure, scale in figures)
    return [element("th", variant.name, scope="row"), *cells]


def _forks(variant: VariantResult, each: Answers, *, is_open: bool) -> Markup:
    """Real changes first, then the earliest."""
    parted = [fork for fork in each.forks if fork.token is not None]
    parted.sort(key=lambda fork: (not fork.is_real, fork.token))
    real = sum(fork.is_real for fork in parted)
    summary = (
        f"{variant.name}: {len(parted)} of {each.prompts} answers part, {real} by more than a coin's flip"
    )
    return details(summary, *(_fork(variant.name, fork) for fork in parted[:_FORKS]), is_open=is_open)


def _fork(name: str, fork: Fork) -> Markup:
    margin = "unknown" if fork.margin is None else f"{fork.margin:.2f} nats"
    label = element(
        "b", "real change" if fork.is_real else "harmless tie", class_="real" if fork.is_real else "tie"
    )
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
