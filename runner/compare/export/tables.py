"""Tables of a report: all figures, energy, tasks, memory, kinds of text as a heat map, and provenance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from markupsafe import Markup

from runner.compare.export.columns import Column, columns, contexts, main_columns, memory_parts
from runner.compare.export.markup import element, joined, table
from runner.compare.export.words import context, note, with_error
from runner.readout.course import Course
from runner.readout.numbers import UNKNOWN, bytes_text, duration, figure, percent, rounded
from runner.wire.compare import Comparison, DomainQuality, Estimate, TaskScore, VariantResult

_HEAT_STEPS = (0.002, 0.006, 0.02, 0.05, 0.12, 0.3)
"""Where heat gets a step stronger, in nats: near the limits of the tiers."""


def heat(kld: float) -> str:
    """Class of a cell or a token by its KL divergence: "h0" to "h6"."""
    return f"h{sum(kld > step for step in _HEAT_STEPS)}"


def figure_cell(estimate: Estimate | None, scale: float = 1.0) -> Markup:
    """A figure, below it its error or bound, and what stands behind it as a tooltip."""
    shown = figure(estimate, scale)
    value, below = shown.value, shown.error and f" ± {shown.error}"
    if estimate and estimate.value is not None and value.startswith(("≤", "≥")):
        value, below = rounded(estimate.value * scale), f" {value}"
    return element("td", value, element("small", below) if below else None, title=note(estimate, scale))


def main_table(comparison: Comparison) -> Markup:
    """What decides, one row a variant, in words at the end."""
    course, shown = Course.of(comparison), main_columns(comparison)
    rows = [[*_row(course, each, shown), _verdict(course, each)] for each in comparison.variants]
    return table(["variant", *(column.title for column in shown), "verdict"], rows, class_="main")


def energy_table(comparison: Comparison) -> Markup:
    course, shown = Course.of(comparison), [each for each in columns(comparison) if "joules" in each.key]
    rows = [_row(course, each, shown) for each in comparison.variants]
    return table(["variant", *(column.title for column in shown)], rows, class_="main")


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
    course = Course.of(comparison)
    shown = [each for each in comparison.variants if each.domains and not each.is_reference]
    domains = list(dict.fromkeys(domain for each in shown for domain in each.domains))
    rows = [
        [_name(course, each), *(_domain_cell(each.domains.get(domain)) for domain in domains)]
        for each in shown
    ]
    return table(["variant", *domains], rows, class_="map") if domains else None


def task_table(comparison: Comparison) -> Markup | None:
    """How many answers are right, and how many the reference had right instead; None if no tasks were set."""
    course, shown = Course.of(comparison), [each for each in comparison.variants if each.tasks]
    parts = list(dict.fromkeys(part for each in shown for part in each.tasks))
    rows = [[_name(course, each), *(_task_cell(each.tasks.get(part)) for part in parts)] for each in shown]
    return table(["right", *parts], rows) if rows else None


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


def _row(course: Course, variant: VariantResult, shown: Sequence[Column]) -> list[Markup]:
    return [_name(course, variant), *(_cell(column, variant) for column in shown)]


def _name(course: Course, variant: VariantResult) -> Markup:
    mark = element("span", course.letters[variant.name], class_="letter")
    is_choice = variant.name == course.choice
    return element("th", mark, variant.name, scope="row", class_="chosen" if is_choice else None)


def _cell(column: Column, variant: VariantResult) -> Markup:
    return figure_cell(column.shown(variant), column.scale)


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


def _task_cell(score: TaskScore | None) -> Markup:
    if score is None:
        return element("td", UNKNOWN)
    flips = f" −{score.lost} +{score.gained}, p = {score.p_value:.2g}"
    small = element("small", flips) if score.lost or score.gained else None
    right = f"{sum(score.outcomes)} of {len(score.outcomes)}"
    return element("td", right, small, title=note(score.right, 100.0))


def _memory_cells(comparison: Comparison, parts: Sequence[int]) -> list[str]:
    limit = comparison.memory_limit_bytes
    spare = None if limit is None else limit - sum(parts)
    over = UNKNOWN if spare is None else bytes_text(spare) if spare >= 0 else f"{bytes_text(-spare)} too much"
    return [*map(bytes_text, parts), over]


def facts(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Names and values, for people."""
    yield "model", comparison.model
    yield "reference", comparison.reference
    yield "context", f"{comparison.context:,} tokens"
    yield "effort", comparison.effort
    yield "measured", comparison.created_at.strftime("%Y-%m-%d %H:%M %Z").strip()
    if comparison.seconds is not None:
        yield "took", duration(comparison.seconds)
    rooms = {"engine": comparison.engine, "hardware": comparison.hardware, "text": comparison.text}
    for room, values in rooms.items():
        yield from ((f"{room}: {key.replace('_', ' ')}", value) for key, value in values.items())
    if comparison.noise_floor is not None:
        yield "noise floor, nats", with_error(comparison.noise_floor)


def provenance(comparison: Comparison) -> Markup:
    listed = joined(element("dt", key) + element("dd", value) for key, value in facts(comparison))
    heads = ["file", "digest", "what it contains"]
    if any(each.settings for each in comparison.variants):
        heads.append("settings")
    rows = [_file(each)[: len(heads)] for each in comparison.variants]
    return element("dl", listed) + table(heads, rows, class_="files")


def _file(variant: VariantResult) -> list[Markup]:
    return [
        element("th", variant.name, scope="row"),
        element("td", element("code", variant.digest)),
        element("td", ", ".join(_contents(variant))),
        element("td", ", ".join(f"{key} {value}" for key, value in variant.settings.items())),
    ]


def _contents(variant: VariantResult) -> Iterator[str]:
    """ "Q4_K 61 %", the largest share first."""
    total = sum(variant.types.values()) or 1
    for name, size_bytes in sorted(variant.types.items(), key=lambda item: -item[1]):
        share = size_bytes / total
        yield f"{name} {percent(share) if share >= 0.005 else '< 1 %'}"
