"""What the app knows, in one value with one owner (the desk), and how it changes: pure transitions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

from runner import wire
from tui.comparing import Comparing

FIRST_MODEL = "smollm2"
"""Offered when there is no model: the smallest that can chat, and it needs no hub account."""


@dataclass(frozen=True, slots=True)
class Turn:
    """An answer on its way. `event` is the last that came of it, None before the first; times are
    `Clock.elapsed_s`."""

    event: wire.Progressing | None = None
    completion_tokens: int = 0
    first_token_s: float | None = None
    last_token_s: float | None = None

    def after(self, event: wire.Progressing, now_s: float) -> Turn:
        if not isinstance(event, wire.TextDelta):
            return replace(self, event=event)
        first_s = now_s if self.first_token_s is None else self.first_token_s
        return Turn(event, max(event.completion_tokens, self.completion_tokens), first_s, now_s)

    @property
    def decode_tps(self) -> float | None:
        """Tokens a second so far; None until half a second has been seen."""
        if self.first_token_s is None or self.last_token_s is None:
            return None
        seconds = self.last_token_s - self.first_token_s
        return (self.completion_tokens - 1) / seconds if seconds >= 0.5 else None


@dataclass(frozen=True, slots=True)
class Pull:
    """A model on its way to this machine. `event` is the last that came of it, at `now_s`; its phase began
    with `started_bytes` at `started_s`."""

    name: str
    event: wire.JobProgress = field(default_factory=lambda: wire.JobProgress(phase="asking"))
    now_s: float = 0.0
    started_bytes: int = 0
    started_s: float = 0.0

    def after(self, event: wire.JobProgress, now_s: float) -> Pull:
        if event.phase != self.event.phase:
            return Pull(self.name, event, now_s, event.completed_bytes or 0, now_s)
        return replace(self, event=event, now_s=now_s)

    @property
    def fraction(self) -> float | None:
        if self.event.completed_bytes is None or not self.event.total_bytes:
            return None
        return min(1.0, self.event.completed_bytes / self.event.total_bytes)

    @property
    def bytes_per_s(self) -> float | None:
        """None until a second of the phase has been seen."""
        seconds = self.now_s - self.started_s
        return ((self.event.completed_bytes or 0) - self.started_bytes) / seconds if seconds >= 1 else None


@dataclass(frozen=True, slots=True)
class State:
    """`models` is None until the daemon has been asked; `session` is None for a chat that nobody has written
    in yet; `lost` says why the daemon cannot be reached; `decode_tps` is the speed of the last answer."""

    models: tuple[wire.ModelInfo, ...] | None = None
    loaded: tuple[wire.LoadedModel, ...] = ()
    sessions: tuple[wire.SessionInfo, ...] = ()
    model: str | None = None
    session: wire.SessionInfo | None = None
    messages: tuple[wire.SessionMessage, ...] = ()
    turn: Turn | None = None
    pull: Pull | None = None
    pull_error: wire.ErrorBody | None = None
    decode_tps: float | None = None
    lost: wire.ErrorBody | None = None
    comparing: Comparing = field(default_factory=Comparing)

    def with_models(self, models: list[wire.ModelInfo]) -> State:
        """The current model stays while it is there; otherwise the newest one is taken."""
        names = [model.name for model in models]
        current = self.model if self.model in names else next(iter(names), None)
        return replace(self, models=tuple(models), model=current)

    def with_sessions(self, sessions: list[wire.SessionInfo]) -> State:
        """The open chat takes its new title along."""
        renamed = [info for info in sessions if self.is_open(info.id)]
        return replace(self, sessions=tuple(sessions), session=renamed[0] if renamed else self.session)

    def with_model(self, name: str) -> State:
        return self if name == self.model else replace(self, model=name, decode_tps=None)

    def with_session(self, session: wire.Session) -> State:
        """A chat was opened: its model becomes the current one if it is still there."""
        info = wire.SessionInfo.model_validate(session.model_dump())
        opened = replace(self, session=info, messages=tuple(session.messages))
        is_here = session.model in [model.name for model in self.models or ()]
        return opened.with_model(session.model) if session.model is not None and is_here else opened

    def without_session(self) -> State:
        return replace(self, session=None, messages=())

    def is_open(self, session_id: int) -> bool:
        return self.session is not None and self.session.id == session_id

    @property
    def current_model(self) -> wire.ModelInfo | None:
        return next((model for model in self.models or () if model.name == self.model), None)

    @property
    def current_loaded(self) -> wire.LoadedModel | None:
        return next((loaded for loaded in self.loaded if loaded.name == self.model), None)

    @property
    def unanswered(self) -> str | None:
        """The last thing the user said, if nothing has come back for it."""
        last = self.messages[-1] if self.messages else None
        return last.content if last is not None and last.role == "user" else None

    @property
    def is_busy(self) -> bool:
        return self.turn is not None or self.pull is not None


def request_for(state: State, model: wire.ModelInfo) -> wire.GenerateRequest:
    """What to ask the daemon for the last message of the chat.

    A model without a chat template continues that message as plain text. What the user said and never got an
    answer to is left out of the conversation, because many templates refuse two user messages in a row.
    """
    if not model.has_chat_template:
        return wire.GenerateRequest(model=model.name, prompt=state.messages[-1].content, raw=True)
    pairs = pairwise(state.messages)
    kept = [one for one, following in pairs if not one.role == following.role == "user"]
    messages = [wire.Message(role=one.role, content=one.content) for one in (*kept, state.messages[-1])]
    return wire.GenerateRequest(model=model.name, messages=messages)
