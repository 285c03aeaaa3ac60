"""The result of a comparison: what all that was measured adds up to, decided and kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from runner.compare.answering import with_speed_ups
from runner.compare.board import Board
from runner.compare.plausible import implausible
from runner.compare.recommend import recommend
from runner.compare.reference import Reference
from runner.compare.scoreboard import Scoreboard
from runner.compare.task import Task
from runner.compare.variant import Variant
from runner.compare.wish import Wish, usual_floors
from runner.wire.compare import Comparison


def outcome(task: Task, reference: Variant, asked: Reference | None, scores: Scoreboard | None) -> Comparison:
    """`asked` and `scores` are None where quality was not measured."""
    board, request = task.board, task.order.request
    ties = scores.ties() if scores else []
    own = scores.reference_quality() if scores else None
    if own is not None:
        board.update(reference.name, quality=own[0], domains=own[1])
    _judge(board, ties)
    limit_bytes = task.hardware.free_bytes(reference.engine.gpu_layers)
    domains = tuple(request.domains)
    floors = usual_floors(request.intent, domains)
    wish = Wish(request.intent, request.context, limit_bytes, floors, domains)
    noise_floor = asked.noise_floor if asked else None
    task.talk.progress("deciding")
    recommendation, pareto = recommend(
        board.rows, ties, wish, (noise_floor.value or 0.0) if noise_floor else 0.0
    )
    comparison = Comparison(
        created_at=datetime.now(UTC),
        model=request.name,
        reference=reference.name,
        context=request.context,
        effort=request.effort,
        intent=request.intent,
        engine=task.hardware.engine,
        hardware=task.hardware.machine,
        memory_limit_bytes=limit_bytes,
        text=asked.passages.facts() if asked else {},
        noise_floor=noise_floor,
        variants=board.rows,
        pareto=pareto,
        ties=ties,
        recommendation=recommendation,
        notes=task.notes,
        seconds=task.seconds,
    )
    return comparison.model_copy(update={"id": task.evidence.keep(comparison)})


def _judge(board: Board, ties: Sequence[Sequence[str]]) -> None:
    """What only all rows together say of each."""
    for name, problem in implausible(board.rows, ties).items():
        board.problem(name, problem)
    for name, speed in with_speed_ups(board.rows):
        board.update(name, speed=speed)
