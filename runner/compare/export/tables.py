"""Tables of a report: all figures, energy, memory, and kinds of text as a heat map."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from runner.compare.export.columns import Column, columns, contexts, main_columns, memory_parts
from runner.compare.export.markup import element, table
from runner.compare.export.words import context, note, size, with_error
from runner.readout.course import Course
from runner.readout.numbers import UNKNOWN, rounded
from runner.wire.compare import Comparison, DomainQuality, VariantResult

_HEAT_STEPS = (0.002, 0.006, 0.02, 0.05, 0.12, 0.3)
"""Where heat gets a step stronger, in nats: near the limits of the tiers."""


def heat(kld: float) -> str:
    """Class of a cell or a token by its KL divergence: "h0" to "h6"."""
    return f"h{sum(kld > step for step in _HEAT_STEPS)}"


def main_table(comparison: Comparison) -> Markup:
    """What decides, one row a variant, in words at the end."""
    shown, course = main_columns(comparison), Course.of(comparison)
    rows = [
        [_name(course, each), *(_cell(column, each) for column in shown), _verdict(course, each)]
        for each in comparison.variants
    ]
    return table(["variant", *(column.title for column in shown), "verdict"], rows, class_="main")


def full_table(comparison: Comparison) -> Markup:
    """Every figure: one row a figure, since there are more of them than variants."""
    names = [element("b", each.name) for each in comparison.variants]
    rows = [
        [element("th", column.title, scope="row"), *(_cell(column, each) for each in comparison.variants)]
        for column in columns(comparison)
    ]
    return table(["", *names], rows)


def energy_table(comparison: Comparison) -> Markup:
    shown, course = [each for each in columns(comparison) if "joules" in each.key], Course.of(comparison)
    rows = [[_name(course, each), *(_cell(column, each) for column in shown)] for each in comparison.variants]
    return table(["variant", *(column.title for column in shown)], rows, class_="main")


def domain_table(comparison: Comparison) -> Markup | None:
    """Kinds of text by variants: mean KL divergence as heat; a warning only where the difference is sure."""
    course, shown = Course.of(comparison), [each for each in comparison.variants if each.domains]
    domains = list(dict.fromkeys(domain for each in shown for domain in each.domains))
    rows = [
        [_name(course, each), *(_domain_cell(each.domains.get(domain)) for domain in domains)]
        for each in shown
    ]
    return table(["variant", *domains], rows, class_="map") if domains else None


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


def _name(course: Course, variant: VariantResult) -> Markup:
    mark = element("span", course.letters[variant.name], class_="letter")
    is_choice = variant.name == course.choice
    return element("th", mark, variant.name, scope="row", class_="chosen" if is_choice else None)


def _cell(column: Column, variant: VariantResult) -> Markup:
    figure = column.figure(variant)
    value, _, error = with_error(figure, column.scale).partition(" ± ")
    plus_minus = element("small", f" ± {error}") if error else None
    return element("td", value, plus_minus, title=note(figure, column.scale))


def _verdict(course: Course, variant: VariantResult) -> Markup:
    others = sorted(course.letters[name] for name in course.tie_of(variant.name) if name != variant.name)
    words = [
        "reference" if variant.name == course.reference else variant.quality and variant.quality.tier,
        f"tied with {', '.join(others)}" if others else None,
        *variant.problems,
    ]
    return element("td", Markup("<br>").join(word for word in words if word), class_="words")


def _domain_cell(domain: DomainQuality | None) -> Markup:
    kld = domain.kld_mean if domain else None
    if domain is None or kld is None or kld.value is None or not math.isfinite(kld.value):
        return element("td", UNKNOWN, title=note(kld))
    warning = element("b", " ▲", title="worse than on other kinds of text") if domain.is_worse else None
    return element("td", rounded(kld.value), warning, class_=heat(kld.value), title=note(kld))


def _memory_cells(comparison: Comparison, parts: Sequence[int]) -> list[str]:
    limit = comparison.memory_limit_bytes
    spare = None if limit is None else limit - sum(parts)
    last = UNKNOWN if spare is None else size(spare) if spare >= 0 else f"{size(-spare)} too much"
    return [*(size(part) for part in parts), last]
