"""The report: one HTML file that loads nothing, runs nothing, and reads well in light and dark."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from string import Template

from markupsafe import Markup, escape

from modelstore.errors import UserError
from runner.compare.export import tables
from runner.compare.export.answers import answers, strips
from runner.compare.export.drawing import HALF, NARROW, WIDE
from runner.compare.export.markup import Content, details, element, joined
from runner.compare.export.plots.ladder import ladder, missing
from runner.compare.export.plots.memory import limit_bytes, waterfall
from runner.compare.export.plots.speed import depth_curve, energy_bars, speed_bars
from runner.compare.export.plots.tradeoff import tradeoff
from runner.compare.export.words import context, with_error
from runner.readout.course import Course
from runner.readout.numbers import bytes_text
from runner.readout.span import plain
from runner.readout.table import PROBLEM_MARK, memory_bytes, speed_of
from runner.readout.verdict import notes, recommendation
from runner.wire.compare import Comparison, VariantResult

_TRADEOFF = """Every point is a variant; the reference has no divergence. The line joins those that no other
beats. Whiskers are 95 % intervals."""
_TIES = " A band joins those that this measurement cannot tell apart."
_DOMAINS = """Mean KL divergence by kind of text, in nats. ▲: surely worse (z ≥ 3) than the same variant is
elsewhere."""
_LADDER = "Most tokens hardly change; the tail is what one notices. Coloured lines are 95 % intervals."
_BARS = "With nothing in the context; whiskers are 95 % intervals."
_CURVE = "What is left of decode behind long texts; letters as in the table."
_STRIP = """Part of what was scored. Heat: KL divergence at the token; a ring: the variant would have written
something else; red and underlined: although the reference was sure (lead above 1 nat)."""
_FORKS = "Greedy answers to the same prompts: where they part, and what both ranked there."
_TASKS = """Sums, JSON for a schema, calls of tools. − were right in the reference's answers only, + in these
only; p of McNemar's exact test is in the tooltip. So few tasks illustrate; KL divergence is evidence."""


def page(comparison: Comparison) -> str:
    ranked = comparison.model_copy(update={"variants": Course.of(comparison).ranked})
    parts = (_verdict, _overview, _quality, _speed, _energy, _answers, _provenance)
    return Template(_resource("page.html")).substitute(
        title=escape(f"{comparison.model}: which quantization to run"),
        style=_resource("palette.css") + _resource("page.css"),
        main=joined(part(ranked) for part in parts),
    )


def picture(comparison: Comparison) -> str:
    """Quality against memory, as a file of its own. Raises UserError where there is nothing to draw."""
    drawn = tradeoff(comparison, WIDE, css=_resource("palette.css") + "svg { background: var(--card) }")
    if drawn is None:
        raise UserError(
            "there is no picture of this comparison: quality or memory was not measured",
            hint="export it as HTML, Markdown, CSV or JSON",
        )
    return f'<?xml version="1.0" encoding="utf-8"?>\n{drawn}\n'


def _resource(name: str) -> str:
    return resources.files("runner.compare.export").joinpath(name).read_text("utf-8")


def _overview(comparison: Comparison) -> Markup | None:
    drawn = _drawn(tradeoff, comparison, WIDE, _TRADEOFF + (_TIES if comparison.ties else ""))
    all_figures = details("All figures", tables.full_table(comparison))
    return _section("Quality against memory", drawn, tables.main_table(comparison), all_figures)


def _quality(comparison: Comparison) -> Markup | None:
    domains = _figure(tables.domain_table(comparison), _DOMAINS)
    rungs = _drawn(ladder, comparison, WIDE, _LADDER + missing(comparison))
    return _section("Where it hurts", domains, rungs)


def _speed(comparison: Comparison) -> Markup | None:
    bars = _drawn(speed_bars, comparison, HALF, _BARS)
    curve = _drawn(depth_curve, comparison, HALF, _CURVE)
    speeds = element("div", bars, curve, class_="pair") if bars or curve else None
    memory = _drawn(waterfall, comparison, WIDE, f"Predicted. {_limit(comparison)}")
    as_table = details("Memory as a table", tables.memory_table(comparison)) if memory else None
    return _section("Speed and memory", speeds, memory, as_table)


def _limit(comparison: Comparison) -> str:
    if comparison.memory_limit_bytes is None:
        return "What this machine has for a model is not known."
    limit = bytes_text(comparison.memory_limit_bytes)
    if limit_bytes(comparison):
        return f"The dashed line is what this machine has for a model: {limit}."
    return f"This machine has {limit} for a model, far more than any of these takes."


def _energy(comparison: Comparison) -> Markup | None:
    """Figures with what they cover, or why there are none."""
    measured = [each.energy for each in comparison.variants if each.energy]
    sensors = sorted({f"{each.sensor} covers: {each.covers}." for each in measured if each.sensor})
    if drawn := _drawn(energy_bars, comparison, HALF, " ".join(sensors)):
        return _section("Energy", element("div", drawn, tables.energy_table(comparison), class_="pair"))
    reasons = dict.fromkeys(each.reason or "not measurable here" for each in measured)
    return _section("Energy", *(element("p", reason, class_="muted") for reason in reasons))


def _answers(comparison: Comparison) -> Markup | None:
    strip, compared = strips(comparison), answers(comparison)
    shown: list[Content] = [element("p", _STRIP, class_="caption"), strip] if strip else []
    if compared:
        shown += [element("h3", "Side by side"), element("p", _FORKS, class_="caption"), compared]
    if tasks := tables.task_table(comparison):
        shown += [element("h3", "Tasks with known answers"), element("p", _TASKS, class_="caption"), tasks]
    return _section("The answers themselves", *shown)


def _provenance(comparison: Comparison) -> Markup | None:
    return _section("Provenance", tables.provenance(comparison))


def _section(title: str, *content: Content) -> Markup | None:
    """None if there is no content."""
    return element("section", element("h2", title), *content) if any(content) else None


def _figure(drawn: Markup | None, caption: str) -> Markup | None:
    return element("figure", drawn, element("figcaption", caption)) if drawn else None


def _drawn(
    draw: Callable[[Comparison, int], Markup | None], comparison: Comparison, width: int, caption: str
) -> Markup | None:
    """A picture for wide screens and one for telephones; the page shows one of them."""
    wide, narrow = draw(comparison, width), draw(comparison, NARROW)
    drawn = joined((element("div", wide, class_="wide"), element("div", narrow, class_="narrow")))
    return _figure(drawn, caption) if wide and narrow else None


def _verdict(comparison: Comparison) -> Markup:
    """What to run and why, in words, and what must be known to read the rest."""
    found, course = comparison.recommendation, Course.of(comparison)
    chosen = next((each for each in comparison.variants if each.name == course.choice), None)
    headline = f"Run {chosen.name}" if chosen else "None of these" if found else "No recommendation"
    _, *sentences = recommendation(found) if found else [()]
    classes = ["lead", *[None] * (len(sentences) - 2), "muted"]
    return element(
        "header",
        element("p", f"{comparison.model} · {context(comparison.context)} context", class_="eyebrow"),
        element("h1", headline),
        *(element("p", plain(line), class_=name) for line, name in zip(sentences, classes, strict=False)),
        _tiles(chosen) if chosen else None,
        element("ul", *(_note(plain(line)) for line in notes(course)), class_="notes"),
    )


def _note(text: str) -> Markup:
    """What is a problem in the terminal stands out here too, without its sign."""
    without = text.removeprefix(f"{PROBLEM_MARK} ")
    return element("li", without, class_=None if without == text else "problem")


def _tiles(chosen: VariantResult) -> Markup:
    """The four figures that people ask for first."""
    decode, quality = speed_of(chosen, "decode_tps"), chosen.quality
    figures = (
        ("memory", bytes_text(memory_bytes(chosen)) if chosen.memory else None),
        ("decode, tok/s", with_error(decode) if decode else None),
        ("KL divergence, nats", with_error(quality.kld_mean) if quality else None),
        ("same first choice, %", with_error(quality.same_top, 100) if quality else None),
    )
    tiles = (element("dt", name) + element("dd", figure) for name, figure in figures if figure is not None)
    return element("dl", joined(element("div", tile) for tile in tiles), class_="tiles")
