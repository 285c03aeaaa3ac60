"""What speculation brings: the daemon answers the same prompts with it and without."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

from modelstore import progress
from modelstore.errors import Unusable
from runner import wire
from runner.client import Client
from runner.compare import corpus, spread
from runner.compare.order import Talk
from runner.wire.compare import Speed, SpeedAt

_PROMPTS = 6
_TOKENS = 128
_SEED = 1
_ELSEWHERE = "not measured: only answers through the daemon were"


_Answer = tuple[str, wire.Done]
"""Its text, and its end with all that was timed."""


def measure_speculation(
    daemon: str, model: str, modes: Sequence[bool], talk: Talk
) -> tuple[list[Speed], str]:
    """The speed in each of the modes, and whether answers differ, in a sentence.

    Greedily, every prompt in all modes before the next, so that what the machine does meanwhile hits all
    alike. Raises what the daemon reports, Unusable if it answers nothing, and progress.Cancelled."""
    rows = asyncio.run(_ask(daemon, model, modes, talk))
    differing = sum(len({text for text, _ in row}) > 1 for row in rows)
    speeds = [_speed([done for _, done in each]) for each in zip(*rows, strict=True)]
    return speeds, f"with speculation {differing} of {len(rows)} answers were not the same"


async def _ask(daemon: str, model: str, modes: Sequence[bool], talk: Talk) -> list[list[_Answer]]:
    prompts = [text for _, text in corpus.prompts()][:_PROMPTS]
    rows = []
    async with Client(daemon) as client:
        # Loads, and measures what drafting costs here.
        await _answer(client, _request(model, prompts[0], modes[0]))
        for number, prompt in enumerate(prompts):
            progress.check(talk.cancelled)
            talk.progress("speculation", model, number, len(prompts))
            rows.append([await _answer(client, _request(model, prompt, mode)) for mode in modes])
    return rows


def _request(model: str, prompt: str, speculation: bool) -> wire.GenerateRequest:
    options = wire.Options(temperature=0.0, max_tokens=_TOKENS, seed=_SEED)
    return wire.GenerateRequest(model=model, prompt=prompt, options=options, speculation=speculation)


async def _answer(client: Client, request: wire.GenerateRequest) -> _Answer:
    text = ""
    async with aclosing(client.generate(request)) as events:
        async for event in events:
            if isinstance(event, wire.TextDelta):
                text += event.text
            elif isinstance(event, wire.Done):
                return text, event
    raise Unusable(f"{request.model} answered nothing")


def _decode_tps(done: wire.Done) -> float | None:
    """A single token has no speed."""
    behind_first, decode_s = done.usage.completion_tokens - 1, done.timings.decode_s
    return behind_first / decode_s if decode_s and behind_first > 0 else None


def _speed(answers: Sequence[wire.Done]) -> Speed:
    decode_tps = spread.median([tps for each in answers if (tps := _decode_tps(each)) is not None])
    first = [ttft_s for each in answers if (ttft_s := each.timings.ttft_s) is not None]
    return spread.blank(
        Speed,
        _ELSEWHERE,
        prompt_tokens=0,
        generate_tokens=_TOKENS,
        depths=[spread.blank(SpeedAt, _ELSEWHERE, depth=0, decode_tps=decode_tps)],
        server_ttft_s=spread.median(first),
        time_to_answer_s=spread.median([each.timings.total_s for each in answers]),
    )
