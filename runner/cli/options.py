"""Options as users write them: `temperature=0`, `stop=END`, `json` or a file with a JSON Schema."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import cast, get_args

from pydantic import ValidationError

from modelstore.errors import UserError
from runner.cli.arguments import text_of
from runner.wire import Constraint, Options, Overflow

# Ollama's names of what is called otherwise here.
_ALSO = {"num_predict": "max_tokens", "num_ctx": "context_length", "num_keep": "kept_tokens"}
_IN_JSON = ("logit_bias", "dry_sequence_breakers")


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
    try:
        new = [*options.stop, value] if key == "stop" else json.loads(value) if key in _IN_JSON else value
        return Options.model_validate({**options.model_dump(), key: new})
    except ValidationError as error:
        raise UserError(f"{key} = {value} is not valid", hint=error.errors()[0]["msg"]) from None
    except ValueError as error:
        raise UserError(f"{key} = {value} is not JSON", hint=str(error)) from None


def parse_format(text: str) -> Constraint:
    """`json`, or the path of a JSON Schema. Raises UserError."""
    if text == "json":
        return Constraint(kind="json")
    source = text_of(Path(text), hint="a format is `json` or a file")
    return Constraint(kind="json_schema", source=source)


def parse_overflow(text: str) -> Overflow:
    """Raises UserError."""
    if text not in get_args(Overflow):
        raise UserError(f"{text} is no policy for a full context", hint="error, truncate or shift")
    return cast("Overflow", text)
