"""Right and wrong answers beside the reference's. A few dozen illustrate; KL divergence is evidence."""

from __future__ import annotations

from collections.abc import Sequence

from runner.compare.exercises import Exercise, Marks, exercises
from runner.compare.survival import discordant, p_value, share_of_prompts
from runner.wire.compare import ALL_TASKS, Fork, TaskScore


def marked(forks: Sequence[Fork]) -> dict[str, TaskScore]:
    """As `mark`; of all prompts those that are exercises."""
    known = {each.prompt: each for each in exercises(len(forks))}
    asked = [fork for fork in forks if fork.prompt in known]
    return mark(
        [known[fork.prompt] for fork in asked],
        [fork.reference_text for fork in asked],
        [fork.candidate_text for fork in asked],
    )


def mark(asked: Sequence[Exercise], reference: Sequence[str], answers: Sequence[str]) -> dict[str, TaskScore]:
    """By what is right about answers: first whether all of it is, then each part. All three in the same
    order, one entry an exercise; the result is empty if they are."""
    ours, theirs = _sheet(asked, reference), _sheet(asked, answers)
    return {part: _score(ours[part], theirs[part]) for part in theirs}


def _sheet(asked: Sequence[Exercise], answers: Sequence[str]) -> dict[str, list[bool]]:
    sheet: dict[str, list[bool]] = {}
    for exercise, answer in zip(asked, answers, strict=True):
        marks: Marks = exercise.marks(answer)
        for part, is_right in {ALL_TASKS: list(marks.values())[-1], **marks}.items():
            sheet.setdefault(part, []).append(is_right)
    return sheet


def _score(reference: Sequence[bool], answers: Sequence[bool]) -> TaskScore:
    lost, gained = discordant(reference, answers)
    return TaskScore(
        right=share_of_prompts(answers),
        reference_right=share_of_prompts(reference),
        lost=lost,
        gained=gained,
        p_value=p_value(lost, gained),
        outcomes=list(answers),
    )
