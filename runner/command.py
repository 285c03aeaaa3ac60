"""From a request to the command for the worker, once the model is loaded: pure."""

from __future__ import annotations

from modelstore.header import Header
from runner import wire
from runner.errors import PromptTooLong
from runner.overflow import Part, kept_characters, oldest_turns, room_for_answer
from runner.protocol import Constraint, Generate, Ready, Sampling

# The worker's own hint is to leave out turns.
_NO_TURN = "no turn can be left out: shorten the last one or the system's words, or raise `num_ctx`"


def conversation(request: wire.GenerateRequest, header: Header) -> list[wire.Message] | None:
    """The messages to render; None for plain text. A prompt is one user message, unless it is raw or the
    model does not chat."""
    if request.messages is None and (request.raw or header.chat_template is None):
        return None
    messages = request.messages or [wire.Message(role="user", content=request.prompt or "")]
    if request.system and not any(message["role"] == "system" for message in messages):
        return [wire.Message(role="system", content=request.system), *messages]
    return messages


def generate(
    request_id: str,
    request: wire.GenerateRequest,
    prompt: tuple[str, ...],
    ready: Ready,
    constraint: Constraint | None,
) -> Generate:
    """`prompt` is what became of the request's messages, in text segments; `constraint` of its constraint."""
    return Generate(
        request_id,
        prompt,
        sampling(request.options),
        # A template that writes the BOS token itself must not get a second one.
        add_bos=not (ready.bos_text and prompt[0].startswith(ready.bos_text)),
        constraint=constraint,
        top_logprobs=request.top_logprobs,
        overflow="shift" if request.overflow == "shift" else "error",
        room_tokens=_room_tokens(request, ready),
        kept_characters=_kept_characters(request, prompt) if request.overflow == "shift" else 0,
        kept_tokens=request.options.kept_tokens,
        speculation=request.speculation,
    )


def shortened(request: wire.GenerateRequest, command: Generate, error: PromptTooLong) -> wire.GenerateRequest:
    """The request without its oldest turns, after the worker refused `command`. Raises PromptTooLong if
    none may go."""
    most_tokens = error.context_length - command.room_tokens
    gone = oldest_turns(_parts(request), error.prompt_tokens, most_tokens)
    if request.overflow == "error":
        raise error
    if not gone:
        raise PromptTooLong(str(error), error.prompt_tokens, error.context_length, hint=_NO_TURN)
    messages = [message for index, message in enumerate(request.messages or ()) if index not in gone]
    return request.model_copy(update={"messages": messages})


def sampling(options: wire.Options) -> Sampling:
    """The same options in the worker's words: equal names, tuples for lists."""
    values = options.model_dump(exclude={"context_length", "kept_tokens"})
    values |= {name: tuple(values[name]) for name in ("stop", "dry_sequence_breakers")}
    return Sampling(**values | {"logit_bias": tuple(options.logit_bias.items())})


def _parts(request: wire.GenerateRequest) -> list[Part]:
    # One more than they have: an empty message takes tokens, too, those that the template puts around it.
    return [Part(message["role"], len(message["content"]) + 1) for message in request.messages or ()]


def _room_tokens(request: wire.GenerateRequest, ready: Ready) -> int:
    """Tokens that the prompt must leave free. More than one only as long as turns may go for them."""
    if request.overflow == "error" or not oldest_turns(_parts(request), 1, 0):
        return 1
    return room_for_answer(ready.context_length, request.options.max_tokens)


def _kept_characters(request: wire.GenerateRequest, prompt: tuple[str, ...]) -> int:
    messages = request.messages or ()
    system = [message["content"] for message in messages if message["role"] == "system"]
    turns = [message["content"] for message in messages if message["role"] != "system"]
    return kept_characters("".join(prompt), system, turns)
