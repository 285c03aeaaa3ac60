"""The head of a report: what to run and why, in words, and what must be known to read the rest."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from runner.compare.export.columns import at_depth_zero
from runner.compare.export.markup import Content, element
from runner.compare.export.words import context, size, with_error
from runner.readout.course import Course
from runner.readout.numbers import percent
from runner.readout.span import plain
from runner.readout.table import memory_bytes
from runner.readout.verdict import notes
from runner.wire.compare import Comparison, Recommendation, VariantResult


def verdict(comparison: Comparison) -> Markup:
    found, course = comparison.recommendation, Course.of(comparison)
    about = element("p", f"{comparison.model} · {context(comparison.context)} context", class_="eyebrow")
    chosen = next((each for each in comparison.variants if each.name == course.choice), None)
    headline = f"Run {chosen.name}" if chosen else "None of these" if found else "No recommendation"
    remarks = [element("li", plain(line)) for line in notes(course)]
    content: list[Content] = [about, element("h1", headline), *(_sentences(found) if found else ())]
    content += [_tiles(chosen) if chosen else None, element("ul", *remarks, class_="notes")]
    return element("header", *content)


def _sentences(found: Recommendation) -> Iterator[Markup]:
    yield element("p", found.reason, class_="lead")
    if found.would_change:
        yield element("p", found.would_change)
    sure = [f"Intent: {found.intent}"]
    if found.confidence is not None:
        sure.append(f"the same choice in {percent(found.confidence)} of resamplings")
    if found.runner_up is not None:
        sure.append(f"runner-up {found.runner_up}")
    yield element("p", "; ".join(sure) + ".", class_="muted")


def _tiles(chosen: VariantResult) -> Markup:
    """The four figures that people ask for first."""
    start, quality = at_depth_zero(chosen), chosen.quality
    figures = (
        ("memory", size(memory_bytes(chosen)) if chosen.memory else None),
        ("decode, tok/s", with_error(start.decode_tps) if start else None),
        ("KL divergence, nats", with_error(quality.kld_mean) if quality else None),
        ("same first choice, %", with_error(quality.same_top, 100) if quality else None),
    )
    tiles = (element("dt", name) + element("dd", figure) for name, figure in figures if figure is not None)
    return element("dl", *(element("div", tile) for tile in tiles), class_="tiles")
