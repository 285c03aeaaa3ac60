"""`run`: an answer to one prompt, or a conversation."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from runner.cli import output
from runner.cli.arguments import argument, flag, option, parsed
from runner.cli.session import Session, client_command

if TYPE_CHECKING:
    from runner.client import Client
    from runner.wire import ModelInfo


@client_command
async def run(  # noqa: PLR0913 (typer: one for each option)
    session: Session,
    model: Annotated[str, argument("MODEL", "Name of a model; it is pulled if it is not here.")],
    prompt: Annotated[list[str] | None, argument("PROMPT", "What to ask; stdin goes before it.")] = None,
    system: Annotated[str | None, option("--system", "TEXT", "System message.")] = None,
    option: Annotated[list[str] | None, option("-o --option", "KEY=VALUE", "As temperature=0.")] = None,
    form: Annotated[str | None, option("--format", "FORMAT", "json, or a file with a JSON Schema.")] = None,
    overflow: Annotated[
        str | None, option("--overflow", "POLICY", "A full context: error, truncate or shift.")
    ] = None,
    draft: Annotated[str | None, option("--draft", "MODEL", "A smaller model that drafts tokens.")] = None,
    raw: Annotated[bool, flag("--raw", "Continue the prompt without chat template.")] = False,
    keep_alive: Annotated[
        str | None, option("--keep-alive", "DURATION", "As 10m; negative for ever.")
    ] = None,
    verbose: Annotated[bool, flag("--verbose", "Print times and speeds.")] = False,
) -> None:
    """Answer a prompt, or chat when there is none."""
    from runner import config_values
    from runner.cli.answer import answer
    from runner.cli.options import parse_format, parse_options, parse_overflow
    from runner.wire import GenerateRequest

    asked = GenerateRequest(
        model=model,
        options=parse_options(option or []),
        system=system,
        raw=raw,
        keep_alive_s=parsed("--keep-alive", config_values.duration, keep_alive),
        constraint=parse_format(form) if form else None,
        overflow=parse_overflow(overflow) if overflow else None,
        draft=draft,
    )
    text = "" if sys.stdin.isatty() else sys.stdin.read()
    text = "\n\n".join(part for part in (text.strip("\n"), " ".join(prompt or [])) if part)
    async with session.client() as client:
        info = await present(client, model)
        if text or not (sys.stdin.isatty() and sys.stdout.isatty()):
            if text and not info.has_chat_template and not raw:
                output.say(f"{info.name} has no chat template: it continues the text")
            asked = asked.model_copy(update={"model": info.name, "prompt": text or None})
            await answer(client, asked, verbose=verbose)
        else:
            from runner.cli.conversation import Conversation
            from runner.cli.repl import converse

            conversation = Conversation(client, info, asked, verbose=verbose)
            await converse(conversation, session.paths.prompt_history_file)


async def present(client: Client, name: str) -> ModelInfo:
    """The local model called `name`, pulled if there is none."""
    from runner.cli import progress
    from runner.cli.jobs import as_request
    from runner.errors import RemoteError

    try:
        return await client.show(name)
    except RemoteError as error:
        if error.code != "model_not_found":
            raise
    return (await progress.follow(client.pull(as_request(name)))).model
