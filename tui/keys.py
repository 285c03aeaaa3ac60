"""Every key of the terminal app: the one table behind bindings, footer, help screen and `docs/tui.md`.

Function keys and ctrl chords work everywhere. Single letters work only where no text field has the focus.
"""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding, BindingType


@dataclass(frozen=True, slots=True)
class Key:
    """`keys` as Textual spells them, separated by commas; `label` is the word in the footer, `sentence` the
    one in help. `is_shown` puts it in the footer; `has_priority` takes the key from a text field."""

    id: str
    keys: str
    action: str
    label: str
    sentence: str
    is_shown: bool = True
    has_priority: bool = False

    def binding(self) -> Binding:
        return Binding(
            self.keys,
            self.action,
            self.label,
            id=self.id,
            tooltip=self.sentence,
            show=self.is_shown,
            priority=self.has_priority,
        )


GROUPS: dict[str, tuple[Key, ...]] = {
    "Everywhere": (
        Key("app.help", "f1,question_mark", "help", "Help", "Show all keys"),
        Key("app.palette", "ctrl+p", "command_palette", "Find", "Find actions, models, chats", False, True),
        Key("app.chat", "f2", "switch_mode('chat')", "Chat", "Go to the chat screen"),
        Key("app.compare", "f4", "switch_mode('compare')", "Compare", "Go to the compare screen"),
        Key("app.suspend", "ctrl+z", "suspend_process", "Suspend", "Suspend; in a text field, undo", False),
        Key("app.quit", "ctrl+q", "quit", "Quit", "Leave; an unfinished answer is kept", True, True),
    ),
    "Chat": (
        Key("chat.stop", "escape", "stop", "Stop", "Stop the answer, or the pull; Ctrl+C, too", True, True),
        Key("chat.new", "ctrl+n", "new_chat", "New", "Begin a new chat"),
        Key("chat.models", "ctrl+t", "pick_model", "Model", "Choose a model, or pull one by its name"),
        Key("chat.sessions", "ctrl+l", "sessions", "Chats", "Go to the list of chats"),
        Key("chat.retry", "ctrl+r", "retry", "Retry", "Reconnect, and ask again what has no answer"),
    ),
    "Prompt": (
        Key("prompt.send", "enter", "send", "Send", "Send the message", False),
        Key(
            "prompt.newline",
            "ctrl+j,shift+enter,alt+enter",
            "newline",
            "New line",
            "Add a line (Ctrl+J works in every terminal)",
            False,
        ),
        Key("prompt.leave", "escape", "leave", "Read", "Leave the prompt to scroll the chat"),
    ),
    "Transcript": (
        Key("transcript.down", "j,down", "scroll_down", "Down", "Scroll down a line", False),
        Key("transcript.up", "k,up", "scroll_up", "Up", "Scroll up a line", False),
        Key("transcript.page_down", "pagedown,space", "page_down", "Page down", "Scroll down a page", False),
        Key("transcript.page_up", "pageup", "page_up", "Page up", "Scroll up a page", False),
        Key("transcript.top", "g,home", "scroll_home", "Top", "Go to the beginning", False),
        Key("transcript.end", "G,end", "follow", "End", "Go to the end and follow it"),
        Key("transcript.earlier", "e", "earlier", "Earlier", "Show earlier messages of a long chat"),
        Key("transcript.copy", "y", "screen.copy('answer')", "Copy", "Copy the last answer"),
        Key("transcript.code", "c", "screen.copy('code')", "Copy code", "Copy the last block of code"),
        Key("transcript.write", "i,enter", "write", "Write", "Back to the prompt; other letters do it too"),
    ),
    "Chats": (
        Key("sessions.new", "n", "screen.new_chat", "New", "Begin a new chat", False),
        Key("sessions.rename", "r", "screen.rename_chat", "Rename", "Give the chat another name"),
        Key("sessions.delete", "d,delete", "screen.delete_chat", "Delete", "Delete the chat, after asking"),
    ),
    "List at the side": (
        Key("side.filter", "slash", "filter", "Search", "Show only what matches"),
        Key("side.list", "down", "enter", "List", "From the search to what it found", False),
        Key("side.leave", "escape", "leave", "Back", "End the search, or leave the list"),
    ),
    "Lists": (
        Key("list.select", "enter", "select", "Choose", "Open or change what is marked", False),
        Key("list.down", "j,down", "cursor_down", "Down", "Next line", False),
        Key("list.up", "k,up", "cursor_up", "Up", "Previous line", False),
        Key("list.page_down", "pagedown", "page_down", "Page down", "A page down", False),
        Key("list.page_up", "pageup", "page_up", "Page up", "A page up", False),
        Key("list.first", "g,home", "first", "First", "First line", False),
        Key("list.last", "G,end", "last", "Last", "Last line", False),
    ),
    "Compare": (
        Key("compare.run", "r", "run", "Run", "Run the comparison, or go on with one that was stopped"),
        Key("compare.leave", "escape", "leave", "Stop", "Stop the comparison; what is measured is kept"),
        Key("compare.models", "ctrl+t", "pick_model", "Model", "Choose the model to compare", False),
        Key("compare.export", "e", "export", "Export", "Save it as a report, a picture, a card or a table"),
        Key("compare.earlier", "ctrl+l", "earlier", "Saved", "Go to the list of earlier comparisons"),
    ),
    "Setup": (
        Key("setup.next", "right,l,space", "change(1)", "Change", "Next value; Enter also takes any other"),
        Key("setup.previous", "left,h", "change(-1)", "Previous", "Previous value", False),
    ),
    "Comparison": (
        Key("result.back", "escape,n", "screen.back", "Back", "Set up another; a running one goes on"),
        Key("result.next", "right,l", "turn(1)", "View", "Result, kinds of text, or answers"),
        Key("result.previous", "left,h", "turn(-1)", "Previous view", "The view before", False),
        Key("result.axes", "x", "axes", "Axes", "Plot against memory, speed or size"),
        Key("result.later", "right_square_bracket", "answer(1)", "Next", "Next answer"),
        Key("result.earlier", "left_square_bracket", "answer(-1)", "Before", "The answer before", False),
        Key("result.page_down", "pagedown,space", "page(1)", "Page down", "Scroll down a page", False),
        Key("result.page_up", "pageup", "page(-1)", "Page up", "Scroll up a page", False),
    ),
    "First start": (
        Key("start.pull", "enter", "screen.pull_first", "Get it", "Pull the model that is offered"),
    ),
    "Model picker": (
        Key("picker.down", "down", "move(1)", "Down", "Next model", False),
        Key("picker.up", "up", "move(-1)", "Up", "Previous model", False),
        Key("picker.choose", "enter", "choose", "Choose", "Use the model, or pull this name"),
        Key("picker.cancel", "escape", "cancel", "Cancel", "Change nothing"),
    ),
    "Questions": (
        Key("question.yes", "y", "answer(True)", "Yes", "Do it", True),
        Key("question.no", "n,escape", "answer(False)", "No", "Leave everything as it is", True),
    ),
    "Words": (
        Key("words.keep", "enter", "keep", "Keep", "Keep what was typed"),
        Key("words.cancel", "escape", "cancel", "Cancel", "Change nothing"),
    ),
    "Help": (Key("help.close", "escape,f1,q,question_mark", "app.pop_screen", "Close", "Close this help"),),
}  # fmt: skip

_NAMES = {
    "question_mark": "?",
    "slash": "/",
    "escape": "Esc",
    "enter": "Enter",
    "delete": "Del",
    "home": "Home",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "end": "End",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
}


def bindings(group: str) -> list[BindingType]:
    """The bindings of one group, for a `BINDINGS` list."""
    return [key.binding() for key in GROUPS[group]]


def actions(group: str) -> dict[str, str]:
    """The action of each key of one group, for a widget that must handle its keys in their order."""
    return {name: key.action for key in GROUPS[group] for name in key.keys.split(",")}


def spelled(keys: str) -> str:
    """`"ctrl+j,escape"` as people read it: `"Ctrl+J, Esc"`."""
    return ", ".join(_spelled_one(key) for key in keys.split(","))


def first_key(id: str) -> str:
    """How people read the first key of the binding `id`."""
    return next(spelled(key.keys.split(",")[0]) for keys in GROUPS.values() for key in keys if key.id == id)


def _spelled_one(key: str) -> str:
    *modifiers, last = key.split("+")
    name = _NAMES.get(last, last.capitalize() if len(last) > 1 or modifiers else last)
    return "+".join([*(modifier.capitalize() for modifier in modifiers), name])


def hint(group: str) -> str:
    """The keys of a small dialog in one line: `Enter choose   Esc cancel`."""
    shown = [key for key in GROUPS[group] if key.is_shown]
    return "   ".join(f"{first_key(key.id)} {key.label.lower()}" for key in shown)


def markdown() -> str:
    """The whole table for the documentation."""
    parts = []
    for group, keys in GROUPS.items():
        rows = [f"| {spelled(key.keys)} | {key.sentence} |" for key in keys]
        parts.append("\n".join([f"### {group}", "", "| Key | What it does |", "| --- | --- |", *rows]))
    return "\n\n".join(parts) + "\n"
