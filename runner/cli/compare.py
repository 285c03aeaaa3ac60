"""`compare`: which quantization to run on this computer."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from typer.core import TyperGroup

from runner.cli import compare_evidence, compare_selftest, output
from runner.cli.arguments import argument, flag, listed, option, parsed, text_of
from runner.cli.session import Json, Session, client_command

if TYPE_CHECKING:
    from runner.wire.compare import CompareRequest

_MEASURE = "measure"


class _NameOrWord(TyperGroup):
    """`compare NAME` means `compare measure NAME`, where NAME is none of the words. A model that is called as
    one of them is reached by its tag, as `list:latest`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = [_MEASURE, *args]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        self.commands[_MEASURE].format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


app = typer.Typer(
    cls=_NameOrWord,
    help="Measure which quantization of a model to run on this computer.",
    subcommand_metavar="NAME",
    no_args_is_help=True,
)


@app.command(_MEASURE)
@client_command
async def measure(  # noqa: PLR0913 (typer: one for each option)
    session: Session,
    name: Annotated[str, argument("NAME", "Model as `pull` takes it, local or not.")],
    quants: Annotated[
        str | None, option("--quants", "Q,Q", "Quantizations or local tags: Q8_0,Q4_K_M.")
    ] = None,
    reference: Annotated[
        str | None, option("--reference", "Q", "What the others are held against: the best.")
    ] = None,
    intent: Annotated[str, option("--intent", "WHAT", "balanced, fast, best or battery.")] = "balanced",
    domains: Annotated[
        str | None, option("--domains", "D,D", "Kinds of text that count: code,math,German.")
    ] = None,
    context: Annotated[
        int, option("--context", "N", "Tokens the model is to be used with.", min=256, max=2**24)
    ] = 4096,
    text: Annotated[
        Path | None, option("--text", "FILE", "Your own text. It stays on this computer.")
    ] = None,
    chats: Annotated[bool, flag("--chats", "Your chats as the text. They stay on this computer.")] = False,
    quick: Annotated[bool, flag("--quick", "16 chunks: minutes. The default.")] = False,
    standard: Annotated[bool, flag("--standard", "64 chunks: also close ranks.")] = False,
    deep: Annotated[bool, flag("--deep", "256 chunks: also the tails.")] = False,
    chunks: Annotated[int | None, option("--chunks", "N", "So many chunks instead.", min=1)] = None,
    quality_only: Annotated[bool, flag("--quality-only", "No speed, no energy.")] = False,
    speed_only: Annotated[bool, flag("--speed-only", "No quality.")] = False,
    compatible: Annotated[bool, flag("--compatible", "Windows and definitions of llama-perplexity.")] = False,
    vary: Annotated[
        list[str] | None, option("--vary", "SETTING=V,V", "Settings instead of files: kv_type=f16,q8_0.")
    ] = None,
    keep: Annotated[bool, flag("--keep", "Keep what was fetched or made for this.")] = False,
    json: Json = False,
) -> None:
    """Compare quantizations of a model. The word `measure` may be left out.

    Stopped or killed, the same command goes on where it was.
    """
    from runner.wire.compare import settings

    fields = {
        "name": name,
        "quants": parsed("--quants", listed, quants),
        "reference": reference,
        "intent": intent,
        "domains": parsed("--domains", listed, domains) or [],
        "context": context,
        "effort": _one_of({"quick": quick, "standard": standard, "deep": deep}, "quick"),
        "measure": _one_of({"quality": quality_only, "speed": speed_only}, "all"),
        "chunks": chunks,
        "compatible": compatible,
        "text": _given_text(text, chats),
        "vary": parsed("--vary", settings, vary) or {},
        "keep_made": keep,
    }
    await _compare(session, _request(fields), chats, json)


app.command("list")(compare_evidence.list_comparisons)
app.command("show")(compare_evidence.show)
app.command("export")(compare_evidence.export)
app.command("selftest")(compare_selftest.selftest)


async def _compare(session: Session, request: CompareRequest, chats: bool, json: bool) -> None:
    from runner.cli import compare_output as out

    async with session.client() as client:
        if chats:
            request = request.model_copy(update={"text": await client.all_said()})
        try:
            comparison = await out.follow(client.compare(request))
        except asyncio.CancelledError:
            output.say("stopped; the same command goes on from here")
            raise
    if json:
        output.write_json(comparison)
    else:
        out.write_result(comparison)


def _request(fields: dict[str, Any]) -> CompareRequest:
    from runner import config_values
    from runner.cli.jobs import as_request
    from runner.wire.compare import CompareRequest, Intent

    parsed("--intent", config_values.choice(*get_args(Intent)), fields["intent"])
    return CompareRequest.model_validate({**fields, "name": as_request(fields["name"])})


def _one_of(chosen: dict[str, bool], default: str) -> str:
    """The one whose option was given."""
    given = [name for name, is_given in chosen.items() if is_given]
    if len(given) > 1:
        raise typer.BadParameter(f"choose one: {' or '.join(given)}")
    return given[0] if given else default


def _given_text(file: Path | None, chats: bool) -> str | None:
    """Raises UserError."""
    _one_of({"--text": file is not None, "--chats": chats}, "")
    return None if file is None else text_of(file, hint="--text takes a file of UTF-8 text")
