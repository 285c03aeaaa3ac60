"""What a comparison found, in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from runner.readout.course import Course
from runner.readout.numbers import amount, duration, percent, rounded
from runner.readout.span import Line, Role, Span
from runner.readout.table import CHOICE_MARK, PROBLEM_MARK
from runner.text import clean_name
from runner.wire.compare import CompareProgress, Comparison, Estimate, Recommendation, VariantResult


def progress_words(course: Course) -> str:
    """`scoring Q4_K_M · 6 of 16 · about 1 min 20 s left`, without what is not known."""
    now = course.progress
    if now is None:
        return "planning"
    parts = [clean_name(f"{now.phase} {now.detail}" if now.detail else now.phase)]
    if now.completed is not None and now.total:
        parts.append(amount(now.completed, now.total))
    return " · ".join([*parts, *_remaining(now)])


def running_words(course: Course) -> str:
    """The same where there is little room: `running · about 1 min 20 s left`."""
    return " · ".join(["running", *(_remaining(course.progress) if course.progress else ())])


def _remaining(now: CompareProgress) -> list[str]:
    return [] if now.remaining_s is None else [f"about {duration(now.remaining_s)} left"]


def progress_share(course: Course) -> float | None:
    now = course.progress
    if now is None or now.completed is None or not now.total:
        return None
    return min(1.0, now.completed / now.total)


def recommendation(found: Recommendation) -> list[Line]:
    """The choice with its reason, what would change it, and how sure it is. Lines are to be wrapped."""
    head = f"{CHOICE_MARK} {clean_name(found.choice)}" if found.choice else "Nothing to recommend"
    lines: list[Line] = [(Span(head, "choice" if found.choice else "warning"),)]
    lines.append((Span(clean_name(found.reason)),))
    if found.would_change:
        lines.append((Span(clean_name(found.would_change)),))
    return [*lines, (Span(" · ".join(_sureness(found)), "dim"),)]


def _sureness(found: Recommendation) -> Iterator[str]:
    if found.runner_up is not None:
        yield f"runner-up {clean_name(found.runner_up)}"
    if found.confidence is not None:
        yield f"the same choice in {percent(found.confidence)} of resamplings"
    yield f"intent {found.intent}"


def notes(course: Course) -> list[Line]:
    """What must be known to read the figures: ties, kinds of text that fare worse, problems, gaps, origin."""
    lines = [
        *_resumed(course),
        *_ties(course),
        *_domains(course.variants),
        *_problems(course),
        *_gaps(course.variants),
    ]
    lines += [(Span(clean_name(note), "dim"),) for note in course.notes]
    if course.comparison is not None:
        lines.append((Span(" · ".join(_origin(course.comparison)), "dim"),))
    return lines


def _resumed(course: Course) -> Iterator[Line]:
    if course.resumed_blocks and course.comparison is None:
        yield (Span(f"Goes on from earlier: {course.resumed_blocks} blocks were scored before.", "dim"),)


def _ties(course: Course) -> Iterator[Line]:
    if course.settled_s is not None:
        yield (Span(f"The ranking settled after {duration(course.settled_s)}.", "dim"),)
    for group in course.ties:
        if len(group) > 1:
            names = [clean_name(name) for name in group]
            yield (
                Span("Tie: ", "strong"),
                Span(f"{', '.join(names[:-1])} and {names[-1]} cannot be told apart by this measurement."),
            )


def _domains(variants: Iterable[VariantResult]) -> Iterator[Line]:
    """A line for each kind of text that is surely worse than others: the variants and their divergence."""
    worse: dict[str, list[str]] = {}
    for variant in variants:
        for name, domain in variant.domains.items():
            if domain.is_worse:
                kld = "" if domain.kld_mean.value is None else f" {rounded(domain.kld_mean.value)}"
                worse.setdefault(name, []).append(clean_name(variant.name) + kld)
    for name, found in worse.items():
        text = f"{clean_name(name)} fares worse than other text, by KL divergence: {', '.join(found)}"
        yield (Span(f"{PROBLEM_MARK} ", "warning"), Span(text, "warning"))


def _with_names(problem: str, whose: Sequence[tuple[str, str]]) -> str:
    details = {detail for _, detail in whose}
    if len(details) > 1:
        return f"{problem}: {'; '.join(f'{name} {detail}' for name, detail in whose)}"
    return ": ".join([", ".join(name for name, _ in whose), problem, *filter(None, details)])


def _problems(course: Course) -> Iterator[Line]:
    """Each once, with the variants that have it, and what is each one's own behind it."""
    problems: dict[tuple[Role, str], list[tuple[str, str]]] = {}
    for role in ("error", "warning"):
        for variant in course.variants:
            warnings = variant.speed.warnings if variant.speed else []
            for text in variant.problems if role == "error" else warnings:
                problem, _, detail = clean_name(text).partition(": ")
                problems.setdefault((role, problem), []).append((clean_name(variant.name), detail))
    for (role, problem), whose in problems.items():
        yield (Span(f"{PROBLEM_MARK} {_with_names(problem, whose)}", role),)
    found = course.comparison.recommendation if course.comparison else None
    for name, reason in found.refused.items() if found else ():
        yield (Span(f"Left out {clean_name(name)}: {clean_name(reason)}", "dim"),)


def _gaps(variants: Iterable[VariantResult]) -> Iterator[Line]:
    """Each reason for a missing figure once."""
    reasons: dict[str, None] = {}
    for variant in variants:
        for label, estimate in _with_reasons(variant):
            if estimate is not None and estimate.value is None and estimate.reason:
                reasons[f"{label}: {clean_name(estimate.reason)}"] = None
        if variant.energy is not None and variant.energy.reason:
            reasons[f"energy: {clean_name(variant.energy.reason)}"] = None
    for reason in reasons:
        yield (Span(reason, "dim"),)


def _with_reasons(variant: VariantResult) -> Iterator[tuple[str, Estimate | None]]:
    if variant.quality is not None:
        yield "KL divergence", variant.quality.kld_mean
        yield "same top", variant.quality.same_top
    yield "load", variant.load_s
    for at in variant.speed.depths if variant.speed else ():
        yield "decode", at.decode_tps
        yield "prefill", at.prefill_tps


def _origin(done: Comparison) -> Iterator[str]:
    """`reference F16 · 4,080 tokens of … · context 4,096 · ± and (a–b) are …`."""
    yield f"reference {clean_name(done.reference)}"
    tokens = max((row.quality.tokens for row in done.variants if row.quality), default=0)
    if tokens:
        kind = clean_name(done.text.get("kind", "text"))
        yield f"{tokens:,} tokens of {kind}"
    yield f"context {done.context:,}"
    energy = next((row.energy for row in done.variants if row.energy and row.energy.covers), None)
    if energy is not None and energy.covers:
        yield f"energy of the {clean_name(energy.covers)}"
    if done.seconds is not None:
        yield f"took {duration(done.seconds)}"
    yield "± and (a–b) are 95 % intervals, bytes are counted"
