"""Tables of a report: all figures, domains as a heat map, provenance."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from runner.compare.export.columns import Column, columns, contexts, main_columns, memory_parts
from runner.compare.export.markup import Content, element, joined, table
from runner.compare.export.words import MISSING, context, letter, note, number, size, with_error
from runner.wire.compare import Comparison, DomainQuality, VariantResult

_HEAT_STEPS = (0.002, 0.006, 0.02, 0.05, 0.12, 0.3)
"""Where heat gets a step stronger, in nats: near the limits of the tiers."""


def heat(kld: float) -> str:
    """Class of a cell or a token by its KL divergence: "h0" to "h6"."""
    return f"h{sum(kld > step for step in _HEAT_STEPS)}"


def main_table(comparison: Comparison) -> Markup:
    """What decides, one row a variant; ties carry a mark."""
    shown = main_columns(comparison)
    head = ["variant", *(column.title for column in shown), "verdict"]
    return table(
        head, [_row(comparison, index, shown) for index in range(len(comparison.variants))], class_="main"
    )


def full_table(comparison: Comparison) -> Markup:
    """Every figure: one row a figure, since there are more of them than variants."""
    names = [element("b", each.name) for each in comparison.variants]
    rows = [
        [element("th", column.title, scope="row"), *(_cell(column, each) for each in comparison.variants)]
        for column in columns(comparison)
    ]
    return table(["", *names], rows)


def domain_table(comparison: Comparison) -> Markup | None:
    """Kinds of text by variants: mean KL divergence as heat; a warning only where the difference is sure."""
    shown = [each for each in comparison.variants if each.domains]
    domains = list(dict.fromkeys(domain for each in shown for domain in each.domains))
    if not domains:
        return None
    rows = [
        [_name(comparison, each), *(_domain_cell(each.domains.get(domain)) for domain in domains)]
        for each in shown
    ]
    return table(["variant", *domains], rows, class_="heat")


def memory_table(comparison: Comparison) -> Markup:
    """Weights, KV cache, compute and what is spare, at each context."""
    shown = [(each, each.memory) for each in comparison.variants if each.memory]
    rows = [
        [element("th", variant.name, scope="row"), element("td", context(tokens)),
         *(element("td", text) for text in _memory_cells(comparison, memory_parts(memory, tokens)))]
        for tokens in contexts(comparison)
        for variant, memory in shown
    ]  # fmt: skip
    return table(["variant", "context", "weights", "KV cache", "compute", "spare"], rows)


def provenance(comparison: Comparison) -> Markup:
    """All that the figures depend on."""
    facts = [
        ("model", comparison.model),
        ("reference", comparison.reference),
        ("context", f"{comparison.context:,} tokens"),
        ("effort", comparison.effort),
        ("measured", comparison.created_at.isoformat(sep=" ", timespec="minutes")),
        *((f"engine: {key}", value) for key, value in comparison.engine.items()),
        *((f"hardware: {key}", value) for key, value in comparison.hardware.items()),
        *((f"text: {key}", value) for key, value in comparison.text.items()),
        ("noise floor", f"{with_error(comparison.noise_floor)} nats" if comparison.noise_floor else MISSING),
    ]
    files = [
        [element("th", each.name, scope="row"), element("td", element("code", each.digest)), _settings(each),
         _types(each)]
        for each in comparison.variants
    ]  # fmt: skip
    listed = joined(element("dt", key) + element("dd", value) for key, value in facts)
    return element("dl", listed) + table(["file", "digest", "settings", "what it contains"], files)


def _row(comparison: Comparison, index: int, shown: Sequence[Column]) -> list[Markup]:
    variant = comparison.variants[index]
    return [
        _name(comparison, variant),
        *(_cell(column, variant) for column in shown),
        _verdict(comparison, variant),
    ]


def _name(comparison: Comparison, variant: VariantResult) -> Markup:
    index = comparison.variants.index(variant)
    chosen = comparison.recommendation is not None and comparison.recommendation.choice == variant.name
    mark = element("span", letter(index), class_="letter")
    return element("th", mark, variant.name, scope="row", class_="chosen" if chosen else None)


def _cell(column: Column, variant: VariantResult) -> Markup:
    figure = column.figure(variant)
    value, _, error = with_error(figure, column.scale).partition(" ± ")
    plus_minus = element("small", f" ± {error}") if error else None
    return element("td", value, plus_minus, title=note(figure, column.scale))


def _verdict(comparison: Comparison, variant: VariantResult) -> Markup:
    tied = next((group for group in comparison.ties if variant.name in group), [])
    others = ", ".join(name for name in tied if name != variant.name)
    refused = comparison.recommendation.refused.get(variant.name) if comparison.recommendation else None
    words: list[Content] = ["reference" if variant.is_reference else variant.quality and variant.quality.tier]
    words += [f"same as {others}" if others else None, refused, *variant.problems]
    return element("td", Markup("<br>").join(word for word in words if word), class_="words")


def _domain_cell(domain: DomainQuality | None) -> Markup:
    kld = domain.kld_mean if domain else None
    if domain is None or kld is None or kld.value is None or not math.isfinite(kld.value):
        return element("td", MISSING, title=note(kld))
    warning = element("b", " ▲", title="worse than on other kinds of text") if domain.is_worse else None
    return element("td", number(kld.value, 2), warning, class_=heat(kld.value), title=note(kld))


def _memory_cells(comparison: Comparison, parts: Sequence[int]) -> list[str]:
    limit = comparison.memory_limit_bytes
    spare = None if limit is None else limit - sum(parts)
    last = MISSING if spare is None else size(spare) if spare >= 0 else f"{size(-spare)} too much"
    return [*(size(part) for part in parts), last]


def _settings(variant: VariantResult) -> Markup:
    return element("td", ", ".join(f"{key} {value}" for key, value in variant.settings.items()))


def _types(variant: VariantResult) -> Markup:
    total = sum(variant.types.values()) or 1
    parts = sorted(variant.types.items(), key=lambda item: -item[1])
    return element("td", ", ".join(f"{name} {size / total:.0%}" for name, size in parts))
