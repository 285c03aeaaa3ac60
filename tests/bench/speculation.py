"""What speculation is worth: for a text repeated with one word changed, a story, and unpredictable noise.

    python -m tests.bench.speculation MODEL.gguf [ROUNDS] [THREADS]

The engine without and with speculation, in turn, in this process. Each starts afresh: no text of an earlier
round helps. Prints how many times faster speculation is a token: least, median and most of the rounds.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from native.llama import Context, ContextOptions, Model
from runner.protocol import Finished, Generate, Sampling
from runner.worker.drafting.gain import ROWS
from runner.worker.engine import Engine
from runner.worker.speculate import draft_tokens
from tests.repeating import AGAIN

STORY = ("<|im_start|>user\nWrite a long story about a fisherman.<|im_end|>\n<|im_start|>assistant\n",)
TASKS = {
    "repeat, one word changed": Generate("repeat", (AGAIN,), Sampling(temperature=0, max_tokens=500)),
    "story": Generate("story", STORY, Sampling(temperature=0, max_tokens=300, ignore_eos=True)),
    # Flat enough that hardly any token follows from those before it.
    "noise": Generate("noise", STORY, Sampling(temperature=2.5, top_k=0, top_p=1.0, seed=1, max_tokens=300)),
}


@dataclass(frozen=True, slots=True)
class Ran:
    text: str
    end: Finished

    @property
    def token_s(self) -> float:
        return self.end.decode_s / max(1, self.end.completion_tokens - 1)


@contextmanager
def engine(model: Model, threads: int, *, speculates: bool) -> Iterator[Engine]:
    """With what step costs were measured, as in a worker that had a moment's rest after loading."""
    room = draft_tokens(model, 1) if speculates else 0
    # Flash attention off: on CPUs it is the slower one for most models, and the worker measures which.
    options = ContextOptions(2048, 1, 512, threads, threads, draft_tokens=room, flash_attention=False)
    context = Context(model, options)
    running = Engine(context, 0.0)
    while running.use_idle_time():
        pass
    yield running
    running.close()
    context.close()


def run(engine: Engine, request: Generate) -> Ran:
    engine.submit(request)
    text = ""
    while True:
        step = engine.step()
        text += "".join(delta.text for delta in step.deltas)
        if step.finished:
            return Ran(text, step.finished[0])


def main() -> None:
    rounds, threads = (int(argument) for argument in [*sys.argv[2:], "5", "1"][:2])
    model = Model(Path(sys.argv[1]), 0)
    for name, request in TASKS.items():
        ratios, same = [], 0
        for _ in range(rounds):
            with engine(model, threads, speculates=False) as plain:
                without = run(plain, request)
            with engine(model, threads, speculates=True) as fast:
                costs = [fast._speculation._costs.seconds(rows) for rows in ROWS]
                ran = run(fast, request)
            ratios.append(without.token_s / ran.token_s)
            same += ran.text == without.text
        curve = ", ".join(f"{rows}: {cost / costs[0]:.1f}" for rows, cost in zip(ROWS, costs, strict=True))
        print(
            f"{name}: {min(ratios):.2f} {statistics.median(ratios):.2f} {max(ratios):.2f} times plain speed"
        )
        print(f"  {same} of {rounds} texts identical, {ran.end.completion_tokens} tokens, of "
              f"{ran.end.drafted_tokens} drafted {ran.end.accepted_tokens} accepted")  # fmt: skip
        print(f"  cost of rows, in plain steps: {curve}")
    model.close()


if __name__ == "__main__":
    main()
