"""The conversation of `nybble run`, in a real pseudo-terminal."""

from __future__ import annotations

import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemons import NYBBLE, Daemon
from tests.terminal import Terminal

HISTORY = Path("state") / "prompt-history"
CTRL_C, CTRL_D = "\x03", "\x04"


@pytest.fixture
def terminal(shared: Daemon) -> Iterator[Terminal]:
    """A conversation with the small model, at its first prompt."""
    options = ["--verbose", "-o", "temperature=0", "-o", "max_tokens=8"]
    with Terminal([*NYBBLE, "run", "tiny", *options]) as running:
        running.expect("no chat template: it continues each text")
        running.expect(">>>")
        yield running


def answer(terminal: Terminal, prompt: str) -> str:
    """What the model answers, up to the figures that --verbose adds."""
    terminal.type(prompt + "\r")
    terminal.expect(prompt)
    shown = terminal.expect("total   ")
    terminal.expect("ended by length")
    # What was typed before the prompt was ready is echoed by the terminal, and again by the prompt; what a
    # bare carriage return ends was a status line.
    _, _, said = shown.removesuffix("total   ").rpartition(f">>> {prompt}")
    return re.split(r"\r(?!\n)", said)[-1].strip()


def test_answers_follow_each_other(terminal: Terminal) -> None:
    first = answer(terminal, "Once upon a time")
    assert first and answer(terminal, "Once upon a time") == first
    assert answer(terminal, "The compiler") != first


def test_what_is_waited_for_stays_in_one_line_that_can_be_cleared() -> None:
    program = "from runner.cli.answer import StatusLine as S; s = S(); s.show('w' * 300); s.clear(); print(0)"
    with Terminal([sys.executable, "-c", program]) as running:
        shown, cleared, _ = running.expect("\r0").split("\r")
    assert shown == "w" * 99
    assert cleared == " " * 99


def test_several_lines_between_quotes_are_one_prompt(terminal: Terminal, shared: Daemon) -> None:
    terminal.type('"""one\r')
    terminal.expect("...")
    answer(terminal, 'two"""')
    typed = [line[1:] for line in (shared.home / HISTORY).read_text().splitlines() if line.startswith("+")]
    assert typed[-2:] == ['"""one', 'two"""']


def test_ctrl_c_stops_the_answer_and_the_next_one_works(terminal: Terminal) -> None:
    beginning = answer(terminal, "Once upon a time")
    terminal.type("/set max_tokens 1000\r")
    terminal.expect("set max_tokens 1000\r\n")
    terminal.type("Once upon a time\r")
    # All of it: a word of it may be in a status line, too.
    terminal.expect(beginning)
    terminal.type(CTRL_C)
    stopped = terminal.expect(">>>")
    assert "ended by" not in stopped
    terminal.type("/set max_tokens 5\r")
    answer(terminal, "Once")


def test_options_and_mistakes(terminal: Terminal) -> None:
    terminal.type("/set tempratur 1\r")
    terminal.expect("did you mean temperature?")
    terminal.type("/set parameter top_k 7\r/show\r")
    terminal.expect("top_k              7")
    terminal.type("/?\r")
    assert max(map(len, terminal.expect("several lines").splitlines())) <= 80
    terminal.type("/set tempo 1\r")
    assert max(map(len, terminal.expect("kept_tokens").splitlines())) <= 100
    terminal.type("/frob\r")
    terminal.expect("unknown command /frob")
    terminal.type("/?\r")
    told = terminal.expect("/bye")
    assert "/set" in told and "Traceback" not in told


def test_loaded_models_are_legible_in_a_terminal(terminal: Terminal) -> None:
    answer(terminal, "Once")
    with Terminal([*NYBBLE, "ps"]) as running:
        shown = running.expect("no GPU")
    assert re.search(r"^CONTEXT +\d+$", shown.replace("\r", ""), re.MULTILINE)
    assert max(map(len, shown.splitlines())) <= 100


def test_saved_conversation_is_loaded_in_the_next_one(terminal: Terminal) -> None:
    terminal.type("/save\r")
    terminal.expect("/save needs a name")
    terminal.type("/save story\r")
    terminal.expect("there is nothing to save yet")
    terminal.type("/set system Be brief.\r")
    answer(terminal, "Once upon a time")
    terminal.type("/save story\r")
    terminal.expect("saved story")
    terminal.type("/bye\r")
    assert terminal.wait() == 0
    with Terminal([*NYBBLE, "run", "tiny"]) as second:
        second.expect(">>>")
        second.type("/load stor\r")
        second.expect("sessions: 'story'")
        second.type("/load story\r")
        second.expect("loaded story: 2 messages with tiny:latest")
        second.type("/show\r")
        second.expect("Be brief.")
        second.type("/clear\r")
        second.expect("forgot the conversation")


def test_leaving(terminal: Terminal, shared: Daemon) -> None:
    terminal.type("half a line" + CTRL_C)
    terminal.expect("Ctrl-D or /bye leaves")
    terminal.expect(">>>")
    terminal.type(CTRL_D)
    assert terminal.wait() == 0
    assert stat.S_IMODE((shared.home / HISTORY).stat().st_mode) == 0o600


def test_history_never_follows_a_link(shared: Daemon, terminal: Terminal, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("precious")
    (shared.home / HISTORY).unlink()
    (shared.home / HISTORY).symlink_to(target)
    with Terminal([*NYBBLE, "run", "tiny"]) as linked:
        linked.expect("typed lines are not kept")
        linked.expect(">>>")
        linked.type("/quit\r")
        assert linked.wait() == 0
    (shared.home / HISTORY).unlink()
    assert target.read_text() == "precious"
