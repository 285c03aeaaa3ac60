"""The list of chats: opening, naming, deleting, searching."""

from __future__ import annotations

import pytest
from textual.widgets import Input, Static, TextArea

from runner import wire
from tests.fakes.daemon import FakeDaemon, Gate, answer, done, error
from tests.system.tui.screen import desk_of, say, shows, started, text, type_in, until
from tui.widgets.message_list import AT_ONCE
from tui.widgets.messages import Said


def _chat(daemon: FakeDaemon, title: str, *said: str) -> int:
    session = daemon.history.create(wire.SessionCreate(title=title, model="smollm2:135m"))
    for number, content in enumerate(said):
        message = {"role": "assistant" if number % 2 else "user", "content": content}
        daemon.history.add_message(session.id, wire.SessionMessage.model_validate(message))
    return session.id


async def test_a_chat_is_opened_and_goes_on_and_a_new_one_begins_with_the_first_word(
    fake_daemon: FakeDaemon,
) -> None:
    _chat(fake_daemon, "Rust borrow help", "what is a borrow", "A loan.")
    _chat(fake_daemon, "Trip plan", "where to", "Lisbon.")
    fake_daemon.replies.append(answer("Of memory."))
    async with started(fake_daemon) as pilot:
        await pilot.press("ctrl+l", "j", "enter")
        await shows(pilot, "A loan.")
        await say(pilot, "a loan of what?")
        await shows(pilot, "Of memory.")
        assert "Lisbon." not in text(pilot)
        await until(pilot, lambda: desk_of(pilot).state.turn is None)
        await pilot.press("ctrl+n")
        await shows(pilot, "Ask smollm2:135m anything")
    assert len(fake_daemon.history.list()) == 2
    asked = fake_daemon.requests[0].messages
    assert asked is not None
    assert [message["content"] for message in asked] == ["what is a borrow", "A loan.", "a loan of what?"]


async def test_a_long_chat_shows_its_end_and_more_on_request(fake_daemon: FakeDaemon) -> None:
    _chat(fake_daemon, "Long", *(f"said-{number}." for number in range(60)))
    fake_daemon.replies.append(answer("And so on."))
    async with started(fake_daemon) as pilot:
        await pilot.press("ctrl+l", "enter")
        await shows(pilot, "said-59.")
        await say(pilot, "go on")
        await shows(pilot, "128 tokens")
        pilot.app.screen.query_one("#transcript").focus()
        await pilot.press("g")
        await shows(pilot, "↑ 38 earlier · e shows more")
        assert "said-38." in text(pilot)
        await pilot.press("e")
        await shows(pilot, "said-14.")
        assert "↑ 14 earlier" in text(pilot)
        await pilot.press("e")
        await shows(pilot, "said-0.")
        assert "earlier ·" not in text(pilot)


async def test_what_is_not_shown_takes_no_widgets_and_comes_back_as_it_was(fake_daemon: FakeDaemon) -> None:
    broken = error("too many requests", "wait", 503)
    fake_daemon.replies += [[broken], *(answer(f"Answer-{number}.") for number in range(14))]
    async with started(fake_daemon, size=(100, 120)) as pilot:
        await say(pilot, "first")
        await shows(pilot, "too many requests")
        pilot.app.screen.query_one("#prompt", TextArea).text = ""
        for number in range(14):
            await say(pilot, f"question-{number}")
            await shows(pilot, f"Answer-{number}.")
            await until(pilot, lambda: desk_of(pilot).state.turn is None)
        assert len(pilot.app.screen.query(Said)) == AT_ONCE
        assert len(pilot.app.screen.query(Static)) < 5 * AT_ONCE
        await pilot.press("escape", "e", "g")
        await shows(pilot, "too many requests")
        assert len(pilot.app.screen.query(Said)) == 31
        before, after = text(pilot).split("Answer-0.")
        assert "hint: wait" in before
        assert "128 tokens · first 0.31 s" in after.split("question-1")[0]


async def test_naming_searching_and_deleting(
    fake_daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The app asks for the list every few seconds, and would hear of a deletion before a key is pressed.
    monkeypatch.setattr("tui.app._HEARTBEAT_S", 3600.0)
    _chat(fake_daemon, "Rust borrow help", "what is a borrow", "A loan.")
    elsewhere = _chat(fake_daemon, "Deleted elsewhere")
    _chat(fake_daemon, "Trip plan")
    async with started(fake_daemon) as pilot:
        await pilot.press("ctrl+l", "r")
        await until(pilot, lambda: pilot.app.screen.query(Input))
        await pilot.press("ctrl+u")
        await type_in(pilot, "Holiday")
        await pilot.press("enter")
        await shows(pilot, "Holiday")
        await pilot.press("slash")
        await type_in(pilot, "brw")
        await until(pilot, lambda: "Holiday" not in text(pilot))
        await pilot.press("enter", "enter")
        await shows(pilot, "A loan.")
        await pilot.press("ctrl+l", "d")
        await shows(pilot, "Delete “Rust borrow help”?")
        await pilot.press("n", "d")
        assert len(fake_daemon.history.list()) == 3, "no is no"
        await pilot.press("y")
        await shows(pilot, "Nothing matches")
        assert "A loan." not in text(pilot)
        await pilot.press("escape")
        await shows(pilot, "Holiday")
        fake_daemon.history.delete(elsewhere)
        await pilot.press("g", "j", "enter")
        await shows(pilot, f"there is no chat session {elsewhere}")
    assert [info.title for info in fake_daemon.history.list()] == ["Holiday"]


async def test_a_chat_is_not_left_while_an_answer_is_written(fake_daemon: FakeDaemon) -> None:
    gate = Gate()
    fake_daemon.replies.append([wire.TextDelta(text="Half", completion_tokens=1), gate, done(2)])
    async with started(fake_daemon) as pilot:
        await say(pilot, "tell me")
        await shows(pilot, "Half")
        await pilot.press("ctrl+n")
        await shows(pilot, "An answer is being written.")
        assert "Half" in text(pilot)
        gate.open()
        await until(pilot, lambda: desk_of(pilot).state.turn is None)


async def test_a_narrow_terminal_shows_the_list_only_when_asked(fake_daemon: FakeDaemon) -> None:
    _chat(fake_daemon, "Trip plan")
    async with started(fake_daemon, size=(80, 24)) as pilot:
        assert "Trip plan" not in text(pilot)
        await pilot.press("ctrl+l")
        await shows(pilot, "Trip plan")
        await pilot.press("escape")
        await until(pilot, lambda: "Trip plan" not in text(pilot))
