"""The prep child: one JSON object a line on stdin, one answer a line on stdout, until stdin ends.

A line is `{"model": number, "messages": [...]}`; the first one with a number also has `define`, the fields
of RenderJob that stay the same for a model. Or it is `{"constraint": {"kind", "source"}}`. The answer is
`{"segments": [...]}`, `{"grammar": text}` or `{"failed": {"message", "hint"}}`.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import json
import os
import sys
from pathlib import Path
from typing import Any

from modelstore.errors import NybbleError
from native.stdio import take_stdin
from runner.prompts import RenderJob, render
from runner.system import limit_resources

MEMORY_LIMIT_BYTES = 512 * 1024 * 1024
# The parent ends an overrun after 2 s. Should the parent be gone, the child ends itself: by a watchdog thread
# in C, since arithmetic on huge numbers lets neither signal handlers nor Python threads run.
OVERRUN_S = 3.0

_NOTHING = RenderJob(template=" ", messages=[], bos_text="", eos_text="", control_tokens=())


def main() -> None:
    # No limit on processor time: it counts over the life of a process, and this one lives on.
    limit_resources(MEMORY_LIMIT_BYTES)
    requests, models = take_stdin(), dict[int, RenderJob]()
    with Path(os.devnull).open("w") as nowhere:
        render(_NOTHING)  # imports jinja2 before the first job's time starts to count
        _say({"ready": True})
        for line in requests:
            faulthandler.dump_traceback_later(OVERRUN_S, exit=True, file=nowhere)
            answer = _answer(json.loads(line), models)
            faulthandler.cancel_dump_traceback_later()
            _say(answer)


def _answer(question: dict[str, Any], models: dict[int, RenderJob]) -> dict[str, Any]:
    try:
        if constraint := question.get("constraint"):
            from runner.prep.constraints import compiled  # a child for templates needs no llguidance

            return {"grammar": compiled(**constraint)}
        return {"segments": _rendered(question, models)}
    except NybbleError as error:
        return {"failed": {"message": error.message, "hint": error.hint}}


def _rendered(question: dict[str, Any], models: dict[int, RenderJob]) -> tuple[str, ...]:
    number = question["model"]
    if defined := question.get("define"):
        tokens = tuple(defined.pop("control_tokens"))
        models[number] = RenderJob(**defined, messages=[], control_tokens=tokens)
    return render(dataclasses.replace(models[number], messages=question["messages"]))


def _say(answer: dict[str, Any]) -> None:
    # In ASCII an emoji would take twelve bytes, more than the daemon reserves for a character.
    line = json.dumps(answer, ensure_ascii=False).encode("utf-8", "surrogatepass")
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
