"""The report: one HTML file that loads nothing, runs nothing, and reads well in light and dark."""

from __future__ import annotations

from importlib import resources
from string import Template

from markupsafe import Markup, escape

from runner.compare.export.answers import answers, strips
from runner.compare.export.markup import Content, details, element, joined
from runner.compare.export.plots.energy import energy_bars
from runner.compare.export.plots.ladder import ladder
from runner.compare.export.plots.memory import waterfall
from runner.compare.export.plots.speed import depth_curve, speed_bars
from runner.compare.export.plots.tradeoff import tradeoff
from runner.compare.export.provenance import provenance
from runner.compare.export.tables import domain_table, energy_table, full_table, main_table, memory_table
from runner.compare.export.tasks import task_table
from runner.compare.export.verdict import verdict
from runner.readout.course import Course
from runner.wire.compare import Comparison

_TRADEOFF = """Every point is a variant; the reference's divergence is 0. The line joins those that no other
beats, a band those that this measurement cannot tell apart. Whiskers are 95 % intervals; hollow points do not
fit this machine. A shaded ground, if there is one, is the noise of this machine."""
_DOMAINS = """Mean KL divergence by kind of text, in nats. ▲: surely worse (z ≥ 3) than the same variant is
elsewhere."""
_LADDER = "Most tokens hardly change; the tail is what one notices. Coloured lines are 95 % intervals."
_BARS = "With nothing in the context; whiskers are 95 % intervals."
_CURVE = "What is left of decode behind long texts; letters as in the table."
_MEMORY = "Predicted. The dashed line is what this machine has for a model: no line, if far more or unknown."
_STRIP = """Part of what was scored. Heat: KL divergence at the token; a ring: the variant would have written
something else; red and underlined: although the reference was sure (lead above 1 nat)."""
_FORKS = "Greedy answers to the same prompts: where they part, and what both ranked there."

_TASKS = """Sums, JSON, calls of tools. − are right in the reference's answers only, + in these only; p is that of
McNemar's exact test. So few tasks illustrate; KL divergence is evidence."""


def page(comparison: Comparison) -> str:
    """Raises UserError if matplotlib is not installed."""
    ranked = comparison.model_copy(update={"variants": Course.of(comparison).ranked})
    files = resources.files("runner.compare.export")
    template = Template(files.joinpath("page.html").read_text("utf-8"))
    style = files.joinpath("palette.css").read_text("utf-8") + files.joinpath("page.css").read_text("utf-8")
    parts = (verdict, _overview, _quality, _speed, _energy, _answers, _provenance)
    title = escape(f"{comparison.model}: which quantization to run")
    return template.substitute(title=title, style=style, main=joined(part(ranked) for part in parts))


def _overview(comparison: Comparison) -> Markup | None:
    drawn = _both(tradeoff(comparison), tradeoff(comparison, is_narrow=True), _TRADEOFF)
    all_figures = details("All figures", full_table(comparison))
    return _section("Quality against memory", drawn, main_table(comparison), all_figures)


def _quality(comparison: Comparison) -> Markup | None:
    domains = _figure(domain_table(comparison), _DOMAINS)
    rungs = _both(ladder(comparison), ladder(comparison, is_narrow=True), _LADDER)
    return _section("Where it hurts", domains, rungs)


def _speed(comparison: Comparison) -> Markup | None:
    bars, curve = _figure(speed_bars(comparison), _BARS), _figure(depth_curve(comparison), _CURVE)
    speeds = element("div", bars, curve, class_="pair") if bars or curve else None
    memory = _both(waterfall(comparison), waterfall(comparison, is_narrow=True), _MEMORY)
    as_table = details("Memory as a table", memory_table(comparison)) if memory else None
    return _section("Speed and memory", speeds, memory, as_table)


def _energy(comparison: Comparison) -> Markup | None:
    """Figures with what they cover, or why there are none."""
    measured = [each.energy for each in comparison.variants if each.energy]
    sensors = sorted({f"{each.sensor} covers: {each.covers}." for each in measured if each.sensor})
    if drawn := _figure(energy_bars(comparison), " ".join(sensors)):
        return _section("Energy", element("div", drawn, energy_table(comparison), class_="pair"))
    reasons = dict.fromkeys(each.reason or "not measurable here" for each in measured)
    return _section("Energy", *(element("p", reason, class_="muted") for reason in reasons))


def _answers(comparison: Comparison) -> Markup | None:
    strip, compared = strips(comparison), answers(comparison)
    shown: list[Content] = [element("p", _STRIP, class_="caption"), strip] if strip else []
    if compared:
        shown += [element("h3", "Side by side"), element("p", _FORKS, class_="caption"), compared]
    if tasks := task_table(comparison):
        shown += [element("h3", "Tasks with known answers"), element("p", _TASKS, class_="caption"), tasks]
    return _section("The answers themselves", *shown)


def _provenance(comparison: Comparison) -> Markup | None:
    return _section("Provenance", provenance(comparison))


def _section(title: str, *content: Content) -> Markup | None:
    """None if there is no content."""
    return element("section", element("h2", title), *content) if any(content) else None


def _figure(drawn: Markup | None, caption: str) -> Markup | None:
    return element("figure", drawn, element("figcaption", caption)) if drawn else None


def _both(wide: Markup | None, narrow: Markup | None, caption: str) -> Markup | None:
    """A picture for wide screens and one for telephones; the page shows one of them."""
    drawn = [element("div", wide, class_="wide"), element("div", narrow, class_="narrow")]
    return _figure(joined(drawn), caption) if wide and narrow else None
