"""How numbers and states read on the screen: pure functions from values to text."""

from __future__ import annotations

from dataclasses import dataclass

from runner import wire
from runner.readout.numbers import bar, percent
from runner.text import clean, clean_name, in_line
from tui.keys import first_key
from tui.state import Pull, State, Turn


def size(byte_count: int) -> str:
    """Decimal units, as disks and hubs count: `98 MB`, `5.0 GB`."""
    if byte_count < 999_500:
        return f"{byte_count / 1000:.0f} kB"
    if byte_count < 999_500_000:
        return f"{byte_count / 1e6:.0f} MB"
    return f"{byte_count / 1e9:.1f} GB"


def rate(tokens_per_s: float) -> str:
    return f"{tokens_per_s:.1f} tok/s" if tokens_per_s < 100 else f"{tokens_per_s:.0f} tok/s"


def short_model(name: str) -> str:
    """A name for people: without the hub and the owner before it."""
    return clean_name(name).rsplit("/", 1)[-1]


def model_facts(model: wire.ModelInfo) -> str:
    """`Q4_1 · 98 MB · context 8,192`, without what is not known."""
    facts = [clean_name(model.quantization) if model.quantization else None, size(model.size_bytes)]
    facts.append(f"context {model.context_length:,}" if model.context_length else None)
    facts.append(None if model.has_chat_template else "no chat template")
    return " · ".join(fact for fact in facts if fact)


def turn_state(turn: Turn) -> str:
    """What an answer is doing now, in a few words."""
    match turn.event:
        case wire.Loading(fraction=fraction):
            return f"loading {percent(fraction)}"
        case wire.Prefilling(done_tokens=done, total_tokens=total):
            return "reading the prompt" + (f" {percent(done / total)}" if total else "")
        case wire.Reloading():
            return "loading again, for more context"
        case wire.TextDelta():
            return "writing"
        case _:
            return in_line(None if turn.event is None else turn.event.position)


def progress(turn: Turn) -> str:
    """The line under an answer that is on its way."""
    parts = [turn_state(turn)]
    if isinstance(turn.event, wire.Prefilling):
        parts = [f"{parts[0]} of {turn.event.total_tokens:,} tokens"]
    elif isinstance(turn.event, wire.TextDelta):
        parts = [f"{turn.completion_tokens:,} tokens"]
        parts += [] if turn.decode_tps is None else [rate(turn.decode_tps)]
    return " · ".join([*parts, f"{first_key('chat.stop')} stops"])


def usage(done: wire.Done, context_length: int | None) -> str:
    """The line under a finished answer: tokens, first token, speed, context used and what did not fit."""
    tokens = done.usage.completion_tokens
    parts = [f"{tokens:,} token{'' if tokens == 1 else 's'}"]
    if done.timings.ttft_s is not None:
        parts.append(f"first {done.timings.ttft_s:.2f} s")
    if (speed := decode_tps(done)) is not None:
        parts.append(rate(speed))
    used = done.usage.prompt_tokens + tokens - done.usage.shifted_tokens
    parts.append(f"context {used:,}" + (f" of {context_length:,}" if context_length else ""))
    if dropped := done.usage.dropped_messages:
        parts.append(f"without the {dropped} oldest messages")
    if shifted := done.usage.shifted_tokens:
        parts.append(f"{shifted:,} tokens forgotten on the way")
    if done.reason == "length":
        parts.append("ended at the limit")
    return " · ".join(parts)


def decode_tps(done: wire.Done) -> float | None:
    """Speed between first and last token."""
    if done.usage.completion_tokens < 2 or done.timings.decode_s <= 0:
        return None
    return (done.usage.completion_tokens - 1) / done.timings.decode_s


def model_state(state: State) -> tuple[str, str, str]:
    """Mark, words and theme colour for what the current model is doing: never told by colour alone."""
    if state.lost is not None:
        return "✕", "daemon not reachable", "$text-error"
    if state.turn is not None:
        speed = [] if state.turn.decode_tps is None else [rate(state.turn.decode_tps)]
        return "◐", " · ".join([turn_state(state.turn), *speed]), "$text-warning"
    loaded = state.current_loaded
    if loaded is None or loaded.state != "ready":
        return "○", "not loaded" if loaded is None else loaded.state, "$foreground 70%"
    speed = [] if state.decode_tps is None else [rate(state.decode_tps)]
    return "●", " · ".join(["ready", *speed]), "$text-success"


def pull_line(pull: Pull) -> str:
    """`downloading  ██████░░░░  68 % · 67 of 98 MB · 41 MB/s`."""
    parts = [clean_name(pull.event.phase)]
    if pull.fraction is not None:
        parts.append(bar(pull.fraction))
        parts.append(f"{percent(pull.fraction)} of {size(pull.event.total_bytes or 0)}")
    elif pull.event.completed_bytes:
        parts.append(size(pull.event.completed_bytes))
    if pull.bytes_per_s is not None:
        parts.append(f"{size(round(pull.bytes_per_s))}/s")
    return "  ".join(parts)


@dataclass(frozen=True, slots=True)
class Notice:
    text: str
    is_error: bool


def notice(state: State) -> Notice | None:
    """The line above the prompt: what the user should know now, the most urgent first."""
    if state.lost is not None:
        reason, *hint = problem(state.lost)
        again = " · ".join([f"{first_key('chat.retry')} tries again", *hint])
        return Notice(f"{reason}\n{again}", True)
    if state.models and state.pull is not None:
        return Notice(f"{short_model(state.pull.name)}: {pull_line(state.pull)}", False)
    if state.models and state.pull_error is not None:
        return Notice("\n".join(problem(state.pull_error)), True)
    return None


def problem(error: wire.ErrorBody) -> list[str]:
    """In one line or two, safe to show."""
    return [f"✕ {clean(error.message)}", *([f"hint: {clean(error.hint)}"] if error.hint else [])]
