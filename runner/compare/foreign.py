"""Models of another vocabulary than the reference: what can be said of them beside it."""

from __future__ import annotations

from collections.abc import Sequence

from modelstore import progress
from modelstore.errors import Unusable
from runner.compare import plan
from runner.compare.blocks import ReferenceScores
from runner.compare.exercises import exercises, mark
from runner.compare.forks import spoken
from runner.compare.quality import NO_KLD, summarize_alone, text_bits
from runner.compare.questions import answer, exercise_questions, in_chat, in_groups
from runner.compare.reference import Reference
from runner.compare.rendering import Chat
from runner.compare.scoring import Scorer
from runner.compare.task import Task
from runner.compare.variant import Variant, header_of
from runner.errors import TemplateFailed, WorkerFailed
from runner.wire.compare import Quality


def measure_foreign(task: Task, reference: Reference, variants: Sequence[Variant], has_others: bool) -> None:
    """Bits per byte of texts that no model wrote, and tasks, each model in its own tokens: what compares
    across vocabularies. That KL divergence is refused is a problem of their rows. The reference's own bits
    per byte come from the scoring beside others of its vocabulary, or from here unless it `has_others`.
    Raises WorkerFailed if the reference does not run any more."""
    asked = exercises(plan.ANSWERING[task.order.request.effort].exercises)
    if not reference.passages.fixed:
        task.note(
            "the text is too short to ask models of different vocabularies for the same bytes of it: bits per"
            " byte are of each one's own windows"
        )
    with Scorer.running(reference.variant, (), None, task.talk.cancelled) as scorer:
        ours = _solutions(task, scorer, reference.variant)
        if not has_others:
            quality = _quality(task, scorer, reference, reference.variant)
            task.board.update(reference.variant.name, quality=quality)
    if ours:
        task.board.update(reference.variant.name, tasks=mark(asked, ours, ours))
    for variant in map(plan.for_scoring, variants):
        task.board.problem(variant.name, NO_KLD)
        try:
            with Scorer.running(variant, (), None, task.talk.cancelled) as scorer:
                quality = _quality(task, scorer, reference, variant)
                theirs = _solutions(task, scorer, variant)
        except (Unusable, WorkerFailed) as error:
            task.board.problem(variant.name, error.message)
            continue
        tasks = mark(asked, ours, theirs) if ours and theirs else {}
        task.board.update(variant.name, quality=quality, tasks=tasks)


def _quality(task: Task, scorer: Scorer, reference: Reference, variant: Variant) -> Quality:
    """Of the text that the reference's bits per byte are of."""
    is_paired, source = bool(reference.passages.fixed), reference.source
    blocks = source.excerpts(scorer) if is_paired else source.windows(scorer)
    scores: list[ReferenceScores] = []
    task.talk.progress("scoring", variant.name, 0, len(blocks))
    for scored in scorer.score_all(blocks):
        scores.append(scored.reference)
        task.talk.progress("scoring", variant.name, len(scores), len(blocks))
    bits = text_bits(blocks, [each.nll for each in scores]) if is_paired else []
    return summarize_alone(blocks, scores).model_copy(update={"text_bits": bits})


def _solutions(task: Task, scorer: Scorer, variant: Variant) -> list[str]:
    """Empty without a chat template that works."""
    chat = Chat.of(scorer.loaded[0], header_of(variant.path))
    if chat is None:
        return []
    questions = exercise_questions(plan.ANSWERING[task.order.request.effort])
    try:
        prompts = in_chat(scorer, chat, questions)
    except TemplateFailed:
        return []
    found: list[str] = []
    for group in in_groups(prompts):
        progress.check(task.talk.cancelled)
        task.talk.progress("answering", variant.name, len(found), len(prompts))
        for (ours,) in answer(scorer, group):
            found.append(b"".join(scorer.pieces(spoken(ours))).decode("utf-8", "replace"))
    return found
