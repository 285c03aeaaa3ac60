"""The list of chats: opening, naming, deleting, searching."""

from __future__ import annotations

from textual.widgets import Input

from runner import wire
from tests.fakes.daemon import FakeDaemon, Gate, answer, done
from tests.fast.tui.screen import desk_of, say, shows, started, text, until


def _chat(daemon: FakeDaemon, title: str, *said: str) -> int:
    session = daemon.history.create(wire.SessionCreate(title=title, model="smollm2:135m"))
    for number, content in enumerate(said):
        role = "assistant" if number % 2 else "user"
        daemon.history.add_message(
            session.id, wire.SessionMessage.model_validate({"role": role, "content": content})
        )
    return session.id


async def test_opening_a_chat_goes_on_with_it(fake_daemon: FakeDaemon) -> None:
    _chat(fake_daemon, "Rust borrow help", "what is a borrow", "A loan.")
    _chat(fake_daemon, "Trip plan", "where to", "Lisbon.")
    fake_daemon.replies.append(answer("Of memory."))
    async with started(fake_daemon) as pilot:
        await pilot.press("ctrl+l", "j", "enter")
        await shows(pilot, "A loan.")
        await say(pilot, "a loan of what?")
        await shows(pilot, "Of memory.")
        assert "Lisbon." not in text(pilot)
    asked = fake_daemon.requests[0].messages
    assert asked is not None
    assert [message.content for message in asked] == ["what is a borrow", "A loan.", "a loan of what?"]


async def test_a_new_chat_is_kept_only_when_something_is_said(fake_daemon: FakeDaemon) -> None:
    _chat(fake_daemon, "Trip plan", "where to", "Lisbon.")
    async with started(fake_daemon) as pilot:
        await pilot.press("ctrl+l", "enter")
        await shows(pilot, "Lisbon.")
        await pilot.press("ctrl+n")
        await shows(pilot, "Ask smollm2:135m anything")
    assert len(fake_daemon.history.list()) == 1


async def test_renaming(fake_daemon: FakeDaemon) -> None:
    _chat(fake_daemon, "Trip plan", "where to", "Lisbon.")
    async with started(fake_daemon) as pilot:
        await pilot.press("ctrl+l", "r")
        await until(pilot, lambda: pilot.app.screen.query(Input))
        await pilot.press("ctrl+u", *"Holiday", "enter")
        await shows(pilot, "Holiday")
    assert fake_daemon.history.list()[0].title == "Holiday"


async def test_deleting_asks_and_takes_no_for_an_answer(fake_daemon: FakeDaemon) -> None:
    _chat(fake_daemon, "Trip plan", "where to", "Lisbon.")
    async with started(fake_daemon) as pilot:
        await pilot.press("ctrl+l", "enter")
        await shows(pilot, "Lisbon.")
        await pilot.press("ctrl+l", "d")
        await shows(pilot, "Delete “Trip plan”?")
        await pilot.press("n")
        await until(pilot, lambda: "Delete “" not in text(pilot))
        assert len(fake_daemon.history.list()) == 1
        await pilot.press("d")
        await shows(pilot, "Delete “Trip plan”?")
        await pilot.press("y")
        await shows(pilot, "None yet")
        assert "Lisbon." not in text(pilot)
    assert list(fake_daemon.history.list()) == []


async def test_searching_shows_what_matches_and_escape_ends_it(fake_daemon: FakeDaemon) -> None:
    _chat(fake_daemon, "Rust borrow help")
    _chat(fake_daemon, "Trip plan")
    async with started(fake_daemon) as pilot:
        await pilot.press("ctrl+l", "slash", *"brw")
        await until(pilot, lambda: "Trip plan" not in text(pilot))
        assert "Rust borrow help" in text(pilot)
        await pilot.press("enter", "enter")
        await until(pilot, lambda: desk_of(pilot).state.session is not None)
        await pilot.press("ctrl+l", "escape")
        await shows(pilot, "Trip plan")


async def test_a_chat_is_not_left_while_an_answer_is_written(fake_daemon: FakeDaemon) -> None:
    _chat(fake_daemon, "Trip plan", "where to", "Lisbon.")
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


async def test_a_chat_that_was_deleted_elsewhere_is_reported(fake_daemon: FakeDaemon) -> None:
    session_id = _chat(fake_daemon, "Trip plan")
    async with started(fake_daemon) as pilot:
        fake_daemon.history.delete(session_id)
        await pilot.press("ctrl+l", "enter")
        await shows(pilot, f"there is no chat session {session_id}")
