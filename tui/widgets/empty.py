"""What the chat shows while nothing has been said: what this is, and the next key."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from tui.keys import bindings, first_key
from tui.state import FIRST_MODEL, State
from tui.widgets.paint import dim
from tui.wording import problem, pull_line, short_model

_LOGO = "▚▞ nybble"


class EmptyState(Static, can_focus=True):
    BINDINGS = bindings("First start")

    def __init__(self, id: str) -> None:
        super().__init__(id=id, markup=False)

    def show(self, state: State) -> None:
        self.display = not state.messages
        if not self.display:
            return
        self.can_focus = state.models == ()
        logo = Content(_LOGO).stylize("bold $text-primary")
        self.update(Content("\n").join([logo, Content(), *_lines(state)]))


def _lines(state: State) -> list[Content]:
    if state.models is None:
        return [dim("Asking the daemon …")]
    if state.pull is not None and not state.models:
        return [
            Content(f"Pulling {short_model(state.pull.name)}"),
            Content(pull_line(state.pull)).stylize("$text-accent"),
            Content(),
            dim("Esc stops; the next pull goes on from there"),
        ]
    if not state.models:
        return _offer(state)
    if state.current_model is not None and not state.current_model.has_chat_template:
        return [
            Content(f"{short_model(state.current_model.name)} continues text"),
            dim("It has no chat template: it goes on writing where you stop, and does not answer."),
        ]
    return [
        Content(f"Ask {short_model(state.model or '')} anything"),
        dim("It runs on this machine; nothing you write leaves it."),
        Content(),
        *_keys({"chat.models": "another model", "chat.sessions": "your chats", "app.help": "all keys"}),
    ]


def _offer(state: State) -> list[Content]:
    keys = {"start.pull": f"get {FIRST_MODEL}: small, quick, 98 MB", "chat.models": "pull another by name"}
    lines = [Content("There is no model on this machine yet."), Content(), *_keys(keys)]
    if state.pull_error is not None:
        reason, *hint = problem(state.pull_error)
        lines += [Content(), Content(reason).stylize("$text-error"), *map(dim, hint)]
    return lines


def _keys(meanings: dict[str, str]) -> list[Content]:
    """A line for each key id; padded to equal width, because the lines are centred."""
    names = [first_key(id) for id in meanings]
    key_width, width = max(map(len, names)), max(map(len, meanings.values()))
    return [
        Content(name.ljust(key_width)).stylize("bold $text-accent") + Content(f"  {meaning.ljust(width)}")
        for name, meaning in zip(names, meanings.values(), strict=True)
    ]
