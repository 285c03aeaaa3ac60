"""The app as a program in a real terminal."""

from __future__ import annotations

import signal
import sys

import pytest

from runner import wire
from tests.fakes.daemon import FakeDaemon, Gate, done

if sys.platform != "win32":
    from tests.terminal import Terminal


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals and no SIGTERM")
def test_a_signal_in_the_middle_of_hostile_text_leaves_the_terminal_as_it_was(
    fake_daemon: FakeDaemon,
) -> None:
    hostile = "before \x1b]52;c;aGFja2Vk\x07\x1b]0;owned\x1b\\\x1b[?1003h\x9b31mafter"
    fake_daemon.replies.append([wire.TextDelta(text=hostile, completion_tokens=3), Gate(), done(4)])
    program = f"from tui.app import run; run({fake_daemon.address!r})"
    with Terminal([sys.executable, "-c", program]) as terminal:
        terminal.expect("Ask smollm2:135m anything")
        assert terminal.is_raw
        terminal.type("hello\r")
        shown = terminal.expect("after")
        assert "aGFja2Vk" not in shown and "owned" not in shown
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.wait() == 0
        assert not terminal.is_raw
    (info,) = fake_daemon.history.list()
    assert fake_daemon.history.get(info.id).messages[-1].is_partial, "what had arrived is kept"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_a_closed_terminal_ends_it_in_the_middle_of_an_answer(fake_daemon: FakeDaemon) -> None:
    word = wire.TextDelta(text="word ", completion_tokens=1)
    fake_daemon.replies.append([*[word] * 5000, Gate(), done(4)])
    program = f"from tui.app import run; run({fake_daemon.address!r})"
    with Terminal([sys.executable, "-c", program]) as terminal:
        terminal.expect("Ask smollm2:135m anything")
        terminal.type("hello\r")
        terminal.expect("word word")
        terminal.hang_up()
        terminal.wait()
    (info,) = fake_daemon.history.list()
    assert fake_daemon.history.get(info.id).messages[-1].is_partial, "what had arrived is kept"
