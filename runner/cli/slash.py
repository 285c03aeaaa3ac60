"""Slash commands of the conversation."""

from __future__ import annotations

from modelstore.errors import UserError
from runner.cli import human, output
from runner.cli.conversation import Conversation
from runner.cli.options import parse_format, parse_overflow, with_option

_HELP = """\
/set KEY VALUE       change an option, as temperature 0; stop END adds one more
/set system TEXT     system message from here on; no TEXT removes it
/set format json     answers in JSON, or as a JSON Schema file says; none: any
/set overflow POLICY a full context: error, truncate or shift
/set verbose|quiet   print times and speeds after each answer, or not
/show                the model, the system message and the options
/clear               forget the conversation
/save NAME           keep the conversation; /load NAME brings it back
/bye                 leave, as Ctrl-D does
/?                   this help
\"\"\"                  begins and ends a text of several lines"""


class Leave(Exception):
    """The user wants to leave."""


async def obey(conversation: Conversation, line: str) -> None:
    """Run one slash command. Raises Leave, or UserError for what is wrong with it."""
    word, _, rest = line.partition(" ")
    rest = rest.strip()
    match word:
        case "/set":
            _set(conversation, rest)
            output.say(f"set {rest}")
        case "/show":
            _show(conversation)
        case "/clear":
            conversation.messages.clear()
            output.say("forgot the conversation")
        case "/save" | "/load" if not rest:
            raise UserError(f"{word} needs a name", hint=f"{word} NAME")
        case "/save":
            await conversation.save(rest)
            output.say(f"saved {rest}")
        case "/load":
            await conversation.load(rest)
            count, model = len(conversation.messages), conversation.model.name
            output.say(f"loaded {rest}: {count} messages with {model}")
        case "/bye" | "/exit" | "/quit":
            raise Leave
        case "/?" | "/help":
            output.say(_HELP)
        case _:
            raise UserError(f"unknown command {word}", hint="/? lists the commands")


def _set(conversation: Conversation, rest: str) -> None:
    key, _, value = rest.removeprefix("parameter ").partition(" ")
    value = value.strip().strip('"')
    asked = conversation.asked
    if key in {"verbose", "quiet"}:
        conversation.verbose = key == "verbose"
    elif key == "system":
        asked.system = value or None
    elif key == "format":
        asked.constraint = parse_format(value) if value else None
    elif key == "overflow":
        asked.overflow = parse_overflow(value) if value else None
    elif value:
        asked.options = with_option(asked.options, key, value)
    else:
        raise UserError("/set needs a key and a value", hint="/? lists what can be set")


def _show(conversation: Conversation) -> None:
    model, asked = conversation.model, conversation.asked
    facts = [human.count(model.parameter_count), model.quantization or "", human.size(model.size_bytes)]
    output.say(f"model    {model.name}  {'  '.join(fact for fact in facts if fact)}")
    output.say(f"system   {asked.system or '-'}")
    output.say(f"format   {asked.constraint.kind if asked.constraint else '-'}")
    output.say(f"overflow {asked.overflow or '-'}")
    for key, value in asked.options.model_dump().items():
        output.say(f"{key.ljust(18)} {'-' if value in (None, [], {}) else value}")
