"""Taking turns with a model: streaming, stopping, failing, asking again."""

from __future__ import annotations

from textual import events
from textual.widgets import TextArea

from runner import wire
from tests.fakes.daemon import FakeDaemon, Gate, HangUp, answer, done, error, loaded, model
from tests.fast.tui.screen import desk_of, say, shows, started, text, until


def _prompt(pilot: object) -> TextArea:
    return pilot.app.screen.query_one("#prompt", TextArea)  # type: ignore[attr-defined, no-any-return]


def _kept(daemon: FakeDaemon) -> list[tuple[str, str, bool]]:
    """What the history holds of the only chat."""
    (info,) = daemon.history.list()
    messages = daemon.history.get(info.id).messages
    return [(message.role, message.content, message.is_partial) for message in messages]


async def test_an_answer_appears_as_it_is_written_and_is_kept(fake_daemon: FakeDaemon) -> None:
    gate = Gate()
    first = wire.TextDelta(text="Because **blue", completion_tokens=2)
    rest = wire.TextDelta(text="** scatters.", completion_tokens=5)
    fake_daemon.replies.append([wire.Loading(fraction=0.5), first, gate, rest, done(128)])
    fake_daemon.loaded = [loaded("smollm2:135m")]
    async with started(fake_daemon) as pilot:
        await say(pilot, "Why is the sky blue?")
        await shows(pilot, "Because")
        assert "2 tokens · Esc stops" in text(pilot)
        gate.open()
        await shows(pilot, "128 tokens · first 0.31 s · 46.2 tok/s · context 159 of 8,192")
        assert "● ready · 46.2 tok/s" in text(pilot)
        assert "Why is the sky blue?" in text(pilot).splitlines()[0], "the first message names the chat"
    asked, answered = _kept(fake_daemon)
    assert asked == ("user", "Why is the sky blue?", False)
    assert answered == ("assistant", "Because **blue** scatters.", False)


async def test_loading_and_prefill_are_shown(fake_daemon: FakeDaemon) -> None:
    loading, prefill = Gate(), Gate()
    quarter = wire.Prefilling(done_tokens=512, total_tokens=2048)
    fake_daemon.replies.append([wire.Loading(fraction=0.4), loading, quarter, prefill, *answer("Well")])
    async with started(fake_daemon) as pilot:
        await say(pilot, "Read this")
        await shows(pilot, "loading 40%")
        loading.open()
        await shows(pilot, "reading the prompt 25% of 2,048 tokens")
        prefill.open()
        await shows(pilot, "Well")


async def test_escape_stops_and_keeps_what_had_arrived(fake_daemon: FakeDaemon) -> None:
    gate = Gate()
    fake_daemon.replies.append([wire.TextDelta(text="The first half", completion_tokens=3), gate, done(9)])
    async with started(fake_daemon) as pilot:
        await say(pilot, "Tell me")
        await shows(pilot, "The first half")
        await pilot.press("escape")
        await shows(pilot, "stopped · what had arrived is kept")
        await until(pilot, fake_daemon.cancelled.is_set)
        assert _prompt(pilot).text == "" and _prompt(pilot).has_focus
    assert _kept(fake_daemon)[-1] == ("assistant", "The first half", True)


async def test_stopping_before_the_first_word_gives_the_prompt_back(fake_daemon: FakeDaemon) -> None:
    gate = Gate()
    fake_daemon.replies += [[wire.Queued(), gate], answer("Here")]
    async with started(fake_daemon) as pilot:
        await say(pilot, "Tell me")
        await gate.reached()
        await pilot.press("escape")
        await until(pilot, lambda: _prompt(pilot).text == "Tell me")
        await pilot.press("ctrl+r")
        await shows(pilot, "Here")
        assert _prompt(pilot).text == ""
    assert [said for said, *_ in _kept(fake_daemon)] == ["user", "assistant"], "asked twice, said once"


async def test_a_failure_shows_reason_and_hint_and_loses_nothing(fake_daemon: FakeDaemon) -> None:
    half = wire.TextDelta(text="Half an", completion_tokens=2)
    fake_daemon.replies.append([half, error("the worker died: signal 9", "see `nybble logs`")])
    async with started(fake_daemon) as pilot:
        await say(pilot, "Tell me")
        await shows(pilot, "✕ the worker died: signal 9")
        assert "hint: see `nybble logs`" in text(pilot)
        assert "Half an" in text(pilot)
        assert _prompt(pilot).text == "Tell me"
    assert _kept(fake_daemon)[-1] == ("assistant", "Half an", True)


async def test_a_connection_that_breaks_is_a_failure(fake_daemon: FakeDaemon) -> None:
    fake_daemon.replies.append([wire.TextDelta(text="Half an", completion_tokens=2), HangUp()])
    async with started(fake_daemon) as pilot:
        await say(pilot, "Tell me")
        await shows(pilot, "✕ the nybble daemon")
        assert _prompt(pilot).text == "Tell me"
    assert _kept(fake_daemon)[-1] == ("assistant", "Half an", True)


async def test_the_model_hears_the_conversation_without_what_it_never_answered(
    fake_daemon: FakeDaemon,
) -> None:
    fake_daemon.replies += [answer("One"), [error("busy")], answer("Three")]
    async with started(fake_daemon) as pilot:
        await say(pilot, "first")
        await shows(pilot, "One")
        await say(pilot, "second")
        await shows(pilot, "✕ busy")
        _prompt(pilot).text = ""
        await say(pilot, "third")
        await shows(pilot, "Three")
    asked = fake_daemon.requests[-1].messages
    assert asked is not None
    assert [message.content for message in asked] == ["first", "One", "third"]


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
    gate = Gate()
    fake_daemon.replies.append([wire.TextDelta(text="The first half", completion_tokens=3), gate])
    async with started(fake_daemon) as pilot:
        await say(pilot, "Tell me")
        await shows(pilot, "The first half")
        await pilot.press("ctrl+q")
    assert _kept(fake_daemon)[-1] == ("assistant", "The first half", True)


async def test_the_prompt_grows_with_its_lines(fake_daemon: FakeDaemon) -> None:
    fake_daemon.replies.append(answer("ok"))
    async with started(fake_daemon) as pilot:
        height = _prompt(pilot).size.height
        await pilot.press("a", "ctrl+j", "b", "shift+enter", "c", "alt+enter", "d")
        assert _prompt(pilot).text == "a\nb\nc\nd"
        assert _prompt(pilot).size.height == height + 3
        await pilot.press("enter")
        await shows(pilot, "ok")
    assert _kept(fake_daemon)[0] == ("user", "a\nb\nc\nd", False)


async def test_keys_that_come_at_once_keep_their_order(fake_daemon: FakeDaemon) -> None:
    """As they do when the app is busy, and from a terminal that types a whole text."""
    fake_daemon.replies.append(answer("ok"))
    async with started(fake_daemon) as pilot:
        for letter in "hello":
            pilot.app.post_message(events.Key(letter, letter))
        pilot.app.post_message(events.Key("enter", "\r"))
        for letter in "next":
            pilot.app.post_message(events.Key(letter, letter))
        await shows(pilot, "128 tokens")
        assert _prompt(pilot).text == "next"
    assert _kept(fake_daemon)[0] == ("user", "hello", False)


async def test_while_an_answer_is_written_nothing_else_is_sent(fake_daemon: FakeDaemon) -> None:
    gate = Gate()
    fake_daemon.replies.append([wire.Queued(), gate, *answer("done")])
    async with started(fake_daemon) as pilot:
        await say(pilot, "first")
        await gate.reached()
        await say(pilot, "second")
        assert _prompt(pilot).text == "second", "it waits in the prompt"
        gate.open()
        await shows(pilot, "done")
    assert len(fake_daemon.requests) == 1


async def test_the_end_is_followed_until_the_user_scrolls(fake_daemon: FakeDaemon) -> None:
    first, second = Gate(), Gate()
    lines = [wire.TextDelta(text=f"line {number}\n\n", completion_tokens=number) for number in range(1, 60)]
    fake_daemon.replies.append([*lines[:40], first, *lines[40:], second, done(60)])
    async with started(fake_daemon) as pilot:
        transcript = pilot.app.screen.query_one("#transcript")
        await say(pilot, "Count")
        await shows(pilot, "line 40")
        desk = desk_of(pilot)
        transcript.focus()
        await pilot.press("g")
        await shows(pilot, "line 1")
        first.open()
        await until(pilot, lambda: desk.state.turn is not None and desk.state.turn.completion_tokens == 59)
        assert "line 59" not in text(pilot)
        await pilot.press("G")
        await shows(pilot, "line 59")
        second.open()
        await shows(pilot, "60 tokens")
