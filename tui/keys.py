"""Every key of the terminal app: the one table behind bindings, footer, help screen and `docs/tui.md`.

Function keys and ctrl chords work everywhere. Single letters work only where no text field has the focus.
"""

from __future__ import annotations

from textual.binding import Binding, BindingType
from textual.keys import format_key

_OUT_OF_TEXT_FIELDS = ("app.palette", "app.quit", "chat.stop")
"""Ids of keys that a text field does not get."""


def _key(id: str, keys: str, action: str, label: str, sentence: str, is_shown: bool = True) -> Binding:
    """`keys` as Textual spells them, separated by commas; `label` is the word in the footer, `sentence` the
    one in help. `is_shown` puts it in the footer."""
    has_priority = id in _OUT_OF_TEXT_FIELDS
    return Binding(keys, action, label, is_shown, priority=has_priority, tooltip=sentence, id=id)


GROUPS: dict[str, tuple[Binding, ...]] = {
    "Everywhere": (
        _key("app.help", "f1,question_mark", "help", "Help", "Show all keys"),
        _key("app.palette", "ctrl+p", "command_palette", "Find", "Find actions, models, chats", False),
        _key("app.chat", "f2", "switch_mode('chat')", "Chat", "Go to the chat screen"),
        _key("app.compare", "f4", "switch_mode('compare')", "Compare", "Go to the compare screen"),
        _key("app.suspend", "ctrl+z", "suspend_process", "Suspend", "Suspend; in a text field, undo", False),
        _key("app.quit", "ctrl+q", "quit", "Quit", "Leave; an unfinished answer is kept"),
    ),
    "Chat": (
        _key("chat.stop", "escape", "stop", "Stop", "Stop the answer, or the pull; Ctrl+C, too"),
        _key("chat.new", "ctrl+n", "new_chat", "New", "Begin a new chat"),
        _key("chat.models", "ctrl+t", "pick_model", "Model", "Choose a model, or pull one by its name"),
        _key("chat.sessions", "ctrl+l", "sessions", "Chats", "Go to the list of chats"),
        _key("chat.retry", "ctrl+r", "retry", "Retry", "Reconnect, and ask again what has no answer"),
    ),
    "Prompt": (
        _key("prompt.send", "enter", "send", "Send", "Send the message", False),
        _key("prompt.newline", "ctrl+j,shift+enter,alt+enter", "newline", "New line",
             "Add a line (Ctrl+J works in every terminal)", False),
        _key("prompt.leave", "escape", "leave", "Read", "Leave the prompt to scroll the chat"),
    ),
    "Transcript": (
        _key("transcript.down", "j,down", "scroll_down", "Down", "Scroll down a line", False),
        _key("transcript.up", "k,up", "scroll_up", "Up", "Scroll up a line", False),
        _key("transcript.page_down", "pagedown,space", "page_down", "Page down", "Scroll down a page", False),
        _key("transcript.page_up", "pageup", "page_up", "Page up", "Scroll up a page", False),
        _key("transcript.top", "g,home", "scroll_home", "Top", "Go to the beginning", False),
        _key("transcript.end", "G,end", "follow", "End", "Go to the end and follow it"),
        _key("transcript.earlier", "e", "earlier", "Earlier", "Show earlier messages of a long chat"),
        _key("transcript.copy", "y", "screen.copy('answer')", "Copy", "Copy the last answer"),
        _key("transcript.code", "c", "screen.copy('code')", "Copy code", "Copy the last block of code"),
        _key("transcript.write", "i,enter", "write", "Write", "Back to the prompt; other letters do it too"),
    ),
    "Chats": (
        _key("sessions.new", "n", "screen.new_chat", "New", "Begin a new chat", False),
        _key("sessions.rename", "r", "screen.rename_chat", "Rename", "Give the chat another name"),
        _key("sessions.delete", "d,delete", "screen.delete_chat", "Delete", "Delete the chat, after asking"),
    ),
    "List at the side": (
        _key("side.filter", "slash", "filter", "Search", "Show only what matches"),
        _key("side.list", "down", "enter", "List", "From the search to what it found", False),
        _key("side.leave", "escape", "leave", "Back", "End the search, or leave the list"),
    ),
    "Lists": (
        _key("list.select", "enter", "select", "Choose", "Open or change what is marked", False),
        _key("list.down", "j,down", "cursor_down", "Down", "Next line", False),
        _key("list.up", "k,up", "cursor_up", "Up", "Previous line", False),
        _key("list.page_down", "pagedown", "page_down", "Page down", "A page down", False),
        _key("list.page_up", "pageup", "page_up", "Page up", "A page up", False),
        _key("list.first", "g,home", "first", "First", "First line", False),
        _key("list.last", "G,end", "last", "Last", "Last line", False),
    ),
    "Compare": (
        _key("compare.run", "r", "run", "Run", "Run the comparison, or go on with one that was stopped"),
        _key("compare.leave", "escape", "leave", "Stop", "Stop the comparison; what is measured is kept"),
        _key("compare.models", "ctrl+t", "pick_model", "Model", "Choose the model to compare", False),
        _key("compare.export", "e", "export", "Export", "Save it as a report, a picture, a card or a table"),
        _key("compare.earlier", "ctrl+l", "earlier", "Saved", "Go to the list of earlier comparisons"),
    ),
    "Setup": (
        _key("setup.next", "right,l,space", "change(1)", "Change", "Next value; Enter also takes any other"),
        _key("setup.previous", "left,h", "change(-1)", "Previous", "Previous value", False),
    ),
    "Comparison": (
        _key("result.back", "escape,n", "screen.back", "Back", "Set up another; a running one goes on"),
        _key("result.next", "right,l", "turn(1)", "View", "Result, kinds of text, or answers"),
        _key("result.previous", "left,h", "turn(-1)", "Previous view", "The view before", False),
        _key("result.axes", "x", "axes", "Axes", "Plot against memory, speed or size"),
        _key("result.later", "right_square_bracket", "answer(1)", "Next", "Next answer"),
        _key("result.earlier", "left_square_bracket", "answer(-1)", "Before", "The answer before", False),
        _key("result.page_down", "pagedown,space", "page(1)", "Page down", "Scroll down a page", False),
        _key("result.page_up", "pageup", "page(-1)", "Page up", "Scroll up a page", False),
    ),
    "First start": (
        _key("start.pull", "enter", "screen.pull_first", "Get it", "Pull the model that is offered"),
    ),
    "Model picker": (
        _key("picker.down", "down", "move(1)", "Down", "Next model", False),
        _key("picker.up", "up", "move(-1)", "Up", "Previous model", False),
        _key("picker.choose", "enter", "choose", "Choose", "Use the model, or pull this name"),
        _key("picker.cancel", "escape", "dismiss", "Cancel", "Change nothing"),
    ),
    "Questions": (
        _key("question.yes", "y", "dismiss(True)", "Yes", "Do it", True),
        _key("question.no", "n,escape", "dismiss(False)", "No", "Leave everything as it is", True),
    ),
    "Words": (
        _key("words.keep", "enter", "keep", "Keep", "Keep what was typed"),
        _key("words.cancel", "escape", "dismiss", "Cancel", "Change nothing"),
    ),
    "Help": (_key("help.close", "escape,f1,q,question_mark", "app.pop_screen", "Close", "Close this help"),),
}  # fmt: skip

# Where Textual has signs and short forms.
_NAMES = {"escape": "Esc", "enter": "Enter", "pageup": "PgUp", "pagedown": "PgDn"}


def bindings(group: str) -> list[BindingType]:
    """The bindings of one group, for a `BINDINGS` list."""
    return list(GROUPS[group])


def actions(group: str) -> dict[str, str]:
    """The action of each key of one group, for a widget that must handle its keys in their order."""
    return {name: key.action for key in GROUPS[group] for name in key.key.split(",")}


def spelled(keys: str) -> str:
    """`"ctrl+j,escape"` as people read it: `"Ctrl+J, Esc"`."""
    return ", ".join(_spelled_one(key) for key in keys.split(","))


def first_key(id: str) -> str:
    """How people read the first key of the binding `id`."""
    return next(spelled(key.key.split(",")[0]) for keys in GROUPS.values() for key in keys if key.id == id)


def _spelled_one(key: str) -> str:
    *modifiers, last = key.split("+")
    name = format_key(last)
    name = _NAMES.get(last, name.capitalize() if len(name) > 1 or modifiers else name)
    return "+".join([*(modifier.capitalize() for modifier in modifiers), name])


def hint(group: str) -> str:
    """The keys of a small dialog in one line: `Enter choose   Esc cancel`."""
    shown = [key for key in GROUPS[group] if key.show]
    return "   ".join(f"{spelled(key.key.split(',')[0])} {key.description.lower()}" for key in shown)
