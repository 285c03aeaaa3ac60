"""Requests run to their end in an engine of this process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from runner.protocol import Failed, Finished, Generate, Sampling
from runner.worker.engine import Engine

GREEDY = Sampling(temperature=0, max_tokens=16, ignore_eos=True)


@dataclass(frozen=True, slots=True)
class Answer:
    text: str
    end: Finished

    @property
    def cached(self) -> int:
        return self.end.cached_tokens


def run(engine: Engine) -> dict[str, Answer]:
    """Text and end of every request, from stepping until idle."""
    texts: dict[str, str] = {}
    answers: dict[str, Answer] = {}
    while not engine.is_idle:
        step = engine.step()
        assert not step.failed, step.failed
        for delta in step.deltas:
            texts[delta.request_id] = texts.get(delta.request_id, "") + delta.text
        for end in step.finished:
            assert end.request_id not in answers, "a request ended twice"
            answers[end.request_id] = Answer(texts.get(end.request_id, ""), end)
    return answers


def run_to_failure(engine: Engine) -> Failed:
    """How the only request fails, from stepping until idle."""
    failures: list[Failed] = []
    while not engine.is_idle:
        failures += engine.step().failed
    (failed,) = failures
    return failed


def answer(engine: Engine, prompt: str, sampling: Sampling = GREEDY) -> Answer:
    engine.submit(Generate("one", (prompt,), sampling))
    return run(engine)["one"]


def answers(engine: Engine, prompts: Iterable[str], sampling: Sampling = GREEDY) -> list[Answer]:
    """All prompts at once, in their order."""
    names = []
    for index, prompt in enumerate(prompts):
        names.append(str(index))
        engine.submit(Generate(str(index), (prompt,), sampling))
    ended = run(engine)
    return [ended[name] for name in names]
