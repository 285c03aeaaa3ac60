"""Sampling options as users write them: `temperature=0`, `stop=END`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from pydantic import ValidationError

from modelstore.errors import UserError
from runner.wire import Options

# Ollama's names of what is called otherwise here.
_ALSO = {"num_predict": "max_tokens", "num_ctx": "context_length"}


def parse_options(assignments: Iterable[str]) -> Options:
    """Raises UserError naming the option that is wrong."""
    options = Options()
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise UserError(f"{assignment!r} is not an option", hint="options look like temperature=0")
        options = with_option(options, key.strip(), value.strip())
    return options


def with_option(options: Options, key: str, value: str) -> Options:
    """`options` with one changed; `stop` gains one more. Raises UserError."""
    key = _ALSO.get(key, key)
    if key not in Options.model_fields:
        close = difflib.get_close_matches(key, Options.model_fields, 1)
        hint = f"did you mean {close[0]}?" if close else f"options: {', '.join(Options.model_fields)}"
        raise UserError(f"unknown option {key!r}", hint=hint)
    new = [*options.stop, value] if key == "stop" else value
    try:
        return Options.model_validate({**options.model_dump(), key: new})
    except ValidationError as error:
        raise UserError(f"{key} = {value} is not valid", hint=error.errors()[0]["msg"]) from None
