"""Models of another vocabulary than the reference: what can be said of them beside it."""

from __future__ import annotations

from dataclasses import replace

from modelstore import progress
from modelstore.errors import Unusable
from runner.compare import corpus, plan
from runner.compare.blocks import EFFICIENT, text_blocks
from runner.compare.quality import NO_KLD, summarize_alone
from runner.compare.scoring import Scorer
from runner.compare.task import Task
from runner.compare.variant import Variant
from runner.errors import WorkerFailed


def measure_alone(task: Task, variant: Variant) -> None:
    """Bits per byte of texts that no model wrote, in its own tokens: the one figure that compares across
    vocabularies. That KL divergence is refused is a problem of its row."""
    task.board.problem(variant.name, NO_KLD)
    request, talk = task.order.request, task.talk
    ready = replace(variant, engine=replace(variant.engine, context_length=plan.SCORING_CONTEXT))
    chunks = plan.chunks(request) if request.text else plan.fixed_chunks(request)
    try:
        with Scorer.running(ready, (), None, talk.cancelled) as scorer:
            if request.text is not None:
                blocks = text_blocks(scorer, request.text, EFFICIENT, chunks)
            else:
                blocks = corpus.fixed_blocks(scorer, EFFICIENT, chunks)
            scores = []
            for number, block in enumerate(blocks):
                progress.check(talk.cancelled)
                talk.progress("scoring", variant.name, number, len(blocks))
                scores.append(scorer.score(block).reference)
    except (Unusable, WorkerFailed) as error:
        task.board.problem(variant.name, error.message)
        return
    task.board.update(variant.name, quality=summarize_alone(blocks, scores))
