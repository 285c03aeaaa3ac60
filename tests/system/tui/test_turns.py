"""Taking turns with a model: streaming, stopping, failing, asking again."""

from __future__ import annotations

from textual import events
from textual.pilot import Pilot
from textual.widgets import TextArea

from runner import wire
from tests.fakes.daemon import FakeDaemon, Gate, HangUp, Step, answer, done, error, loaded, model
from tests.system.tui.screen import desk_of, say, shows, started, text, until


def _prompt(pilot: Pilot[None]) -> TextArea:
    return pilot.app.screen.query_one("#prompt", TextArea)


def _kept(daemon: FakeDaemon) -> list[tuple[str, str, bool]]:
    """What the history holds of the only chat."""
    (info,) = daemon.history.list()
    messages = daemon.history.get(info.id).messages
    return [(message.role, message.content, message.is_partial) for message in messages]


async def test_an_answer_from_the_first_sign_to_the_last(fake_daemon: FakeDaemon) -> None:
    loading, prefill, writing = Gate(), Gate(), Gate()
    quarter = wire.Prefilling(done_tokens=512, total_tokens=2048)
    first = wire.TextDelta(text="Because **blue", completion_tokens=2)
    rest = wire.TextDelta(text="** scatters.", completion_tokens=5)
    begin: list[Step] = [wire.Loading(fraction=0.4), loading, quarter, prefill]
    fake_daemon.replies.append([*begin, first, writing, rest, done(128)])
    fake_daemon.loaded = [loaded("smollm2:135m")]
    async with started(fake_daemon) as pilot:
        await say(pilot, "Why is the sky blue?")
        await shows(pilot, "◐ loading 40 %")
        loading.open()
        await shows(pilot, "reading the prompt 25 % of 2,048 tokens · Esc stops")
        prefill.open()
        await shows(pilot, "Because")
        assert "2 tokens · Esc stops" in text(pilot)
        writing.open()
        await shows(pilot, "128 tokens · first 0.31 s · 46.2 tok/s · context 159 of 8,192")
        await shows(pilot, "● ready · 46.2 tok/s")
        assert "Why is the sky blue?" in text(pilot).splitlines()[0], "the first message names the chat"
    asked, answered = _kept(fake_daemon)
    assert asked == ("user", "Why is the sky blue?", False)
    assert answered == ("assistant", "Because **blue** scatters.", False)


async def test_escape_keeps_what_had_arrived_and_gives_back_what_has_no_answer(
    fake_daemon: FakeDaemon,
) -> None:
    half, silent = Gate(), Gate()
    first_half = wire.TextDelta(text="The first half", completion_tokens=3)
    fake_daemon.replies += [[first_half, half], [wire.Queued(position=1), silent], answer("Here")]
    async with started(fake_daemon) as pilot:
        await say(pilot, "Tell me")
        await shows(pilot, "The first half")
        await pilot.press("escape")
        await shows(pilot, "stopped · what had arrived is kept")
        await until(pilot, fake_daemon.cancelled.is_set)
        await until(pilot, lambda: desk_of(pilot).state.turn is None)
        assert _prompt(pilot).text == "" and _prompt(pilot).has_focus
        await say(pilot, "Go on")
        await silent.reached()
        await pilot.press("escape")
        await until(pilot, lambda: _prompt(pilot).text == "Go on")
        await pilot.press("ctrl+r")
        await shows(pilot, "Here")
        await until(pilot, lambda: desk_of(pilot).state.turn is None)
        assert _prompt(pilot).text == ""
    assert _kept(fake_daemon) == [
        ("user", "Tell me", False),
        ("assistant", "The first half", True),
        ("user", "Go on", False),
        ("assistant", "Here", False),
    ]


async def test_ctrl_c_stops_what_is_running_and_leaves_only_a_hint_otherwise(fake_daemon: FakeDaemon) -> None:
    fake_daemon.replies.append([wire.TextDelta(text="The first half", completion_tokens=3), Gate()])
    async with started(fake_daemon) as pilot:
        await say(pilot, "Tell me")
        await shows(pilot, "The first half")
        await pilot.press("ctrl+c")
        await shows(pilot, "stopped · what had arrived is kept")
        await pilot.press("ctrl+c")
        await shows(pilot, "Press ctrl+q to quit")
    assert _kept(fake_daemon)[-1] == ("assistant", "The first half", True)


async def test_failures_say_why_and_lose_nothing(fake_daemon: FakeDaemon) -> None:
    half = wire.TextDelta(text="Half an", completion_tokens=2)
    died = error("the worker died: signal 9", "see `nybble logs`")
    fake_daemon.replies += [[half, died], [wire.Queued(position=1), HangUp()], answer("Whole")]
    async with started(fake_daemon) as pilot:
        await say(pilot, "first")
        await shows(pilot, "✕ the worker died: signal 9")
        await until(pilot, lambda: _prompt(pilot).text == "first")
        assert "hint: see `nybble logs`" in text(pilot) and "Half an" in text(pilot)
        _prompt(pilot).text = ""
        await say(pilot, "second")
        await shows(pilot, "✕ the nybble daemon at")
        await until(pilot, lambda: _prompt(pilot).text == "second")
        _prompt(pilot).text = ""
        await say(pilot, "third")
        await shows(pilot, "Whole")
    assert _kept(fake_daemon)[1] == ("assistant", "Half an", True)
    asked = fake_daemon.requests[-1].messages
    assert asked is not None
    assert [message["content"] for message in asked] == ["first", "Half an", "third"], (
        "one question at a time"
    )


async def test_a_model_without_chat_template_continues_text(fake_daemon: FakeDaemon) -> None:
    fake_daemon.models = [model("gemma3:270m", has_chat_template=False)]
    fake_daemon.replies.append(answer(" upon a time"))
    async with started(fake_daemon) as pilot:
        assert "It has no chat template" in text(pilot)
        await say(pilot, "Once")
        await shows(pilot, "upon a time")
    (request,) = fake_daemon.requests
    assert (request.prompt, request.raw, request.messages) == ("Once", True, None)


async def test_quitting_in_the_middle_of_an_answer_keeps_it(fake_daemon: FakeDaemon) -> None:
    fake_daemon.replies.append([wire.TextDelta(text="The first half", completion_tokens=3), Gate()])
    async with started(fake_daemon) as pilot:
        await say(pilot, "Tell me")
        await shows(pilot, "The first half")
        await pilot.press("ctrl+t", "ctrl+p", "ctrl+q")
        assert not pilot.app.is_running, "also over dialogs"
    assert _kept(fake_daemon)[-1] == ("assistant", "The first half", True)


async def test_the_prompt_takes_lines_in_their_order_and_holds_what_cannot_be_sent(
    fake_daemon: FakeDaemon,
) -> None:
    gate = Gate()
    fake_daemon.replies.append([wire.Queued(position=1), gate, *answer("done")])
    async with started(fake_daemon) as pilot:
        height = _prompt(pilot).size.height
        await pilot.press("a", "ctrl+j", "b", "shift+enter", "c", "alt+enter", "d")
        assert _prompt(pilot).text == "a\nb\nc\nd"
        assert _prompt(pilot).size.height == height + 3
        # All at once, as from a terminal that types a whole text, or while the app is busy.
        for key in ["e", "enter", "n", "e", "x", "t", "enter", "x"]:
            pilot.app.post_message(events.Key(key, "\r" if key == "enter" else key))
        await gate.reached()
        await until(pilot, lambda: _prompt(pilot).text == "next\nx")
        gate.open()
        await shows(pilot, "128 tokens")
    assert len(fake_daemon.requests) == 1
    assert _kept(fake_daemon)[0] == ("user", "a\nb\nc\nde", False)


async def test_the_end_is_followed_until_the_user_scrolls(fake_daemon: FakeDaemon) -> None:
    gate = Gate()
    lines = [wire.TextDelta(text=f"line {number}\n\n", completion_tokens=number) for number in range(1, 40)]
    fake_daemon.replies.append([*lines[:20], gate, *lines[20:], done(60)])
    async with started(fake_daemon) as pilot:
        await say(pilot, "Count")
        await shows(pilot, "line 20")
        pilot.app.screen.query_one("#transcript").focus()
        await pilot.press("g")
        await shows(pilot, "line 1")
        gate.open()
        await until(pilot, lambda: desk_of(pilot).state.turn is None)
        assert "line 39" not in text(pilot)
        await pilot.press("G")
        await shows(pilot, "line 39")
