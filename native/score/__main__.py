"""Child entry, `python -I -m native.score`: scores blocks of tokens with a reference and candidates.

One JSON line on stdin: `models` (each as `models.Settings`; the reference first if `has_reference`),
`temperatures`, and `record` (path or null). For each model {"loaded": {…}} on stdout, then {"ready": true}.
Without a reference the one candidate is scored against `record`; with one, what it says is added there.

Then orders, one JSON line each, answered by one line; arrays are base64 of their bytes:

    {"tokenize": {"text": …, "add_special": …, "parse_special": …}}     {"tokens": […]}
    {"pieces": [tokens]}                                                {"pieces": [base64, …]}
    {"noise_floor": {"index": 0, "tokens": […], "first_scored": 64}}    {"candidate": {…}}
    {"answer": {"prompts": […], "limits": […]}}                         {"answers": [[{…}, …] of a model, …]}

Others are answered by more: `score`, and `score_beside_file`, which holds all models against what
llama-perplexity wrote, by a line for each block; `sample` by one for each step, with the tokens of all
prompts (null behind the end of an answer), and null when all have ended:

    {"score": [blocks as in noise_floor]}                               {"reference": {…}, "candidates": […]}
    {"score_beside_file": {"path": …, "blocks": […]}}                   {"candidates": […]}
    {"sample": {"prompts": […], "max_tokens": …, "seeds": […], "begun": […]}}         {"sampled": […]}

{"error": "…", "model": 1 or null, "kind": "load", "memory", "numbers" or "record"} is the last answer. End of
file on stdin ends the process at once.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Iterator
from typing import Any, BinaryIO

from native import stdio

# Before numpy: what we multiply with it is small, and its threads would stand in llama.cpp's way.
os.environ["OPENBLAS_NUM_THREADS"] = "1"


def main() -> None:
    answer, orders = stdio.answers(), _orders(stdio.take_stdin())
    from native.score.failed import Failed
    from native.score.session import Session

    try:
        session = Session(next(orders), answer)
        answer({"ready": True})
        for order in orders:
            ((verb, argument),) = order.items()
            for line in getattr(session, verb)(argument):
                answer(line)
    except Failed as error:
        answer({"error": str(error), "model": error.model, "kind": error.kind})


def _orders(stream: BinaryIO) -> Iterator[dict[str, Any]]:
    """Read by a thread that ends the process when nobody waits for answers any more."""
    waiting: queue.Queue[bytes] = queue.Queue()

    def read() -> None:
        for line in stream:
            waiting.put(line)
        sys.stderr.flush()
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield json.loads(waiting.get())


if __name__ == "__main__":
    main()
