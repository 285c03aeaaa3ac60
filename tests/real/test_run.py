"""`nybble run` with a chat model."""

from __future__ import annotations

import re
from pathlib import Path

from tests.commands import nybble
from tests.daemons import NYBBLE
from tests.terminal import Terminal

GREEDY = ["-o", "temperature=0"]


def pull(weights: Path, name: str) -> None:
    assert nybble("pull", str(weights), "--as", name).code == 0


def prompt_tokens(text: str) -> list[int]:
    """Prompt tokens, and how many of them were cached, as --verbose prints them."""
    return [int(number) for number in re.findall(r"prompt tokens\s+(\d+), (\d+)", text)[-1]]


def test_prompt_becomes_a_message_unless_it_is_raw(smollm2: Path) -> None:
    pull(smollm2, "chat")
    question = ["run", "chat", "What is the capital of France?", *GREEDY, "--verbose", "-o", "max_tokens=8"]
    plain, raw = nybble(*question), nybble(*question, "--raw")
    pirate = nybble(*question, "--system", "You are a pirate. Say arr.")
    assert "no chat template" not in plain.stderr
    assert prompt_tokens(raw.stderr)[0] == 7 < prompt_tokens(plain.stderr)[0]
    assert len({plain.stdout, raw.stdout, pirate.stdout}) == 3


def test_conversation_sends_what_was_said(smollm2: Path) -> None:
    pull(smollm2, "chat")
    with Terminal([*NYBBLE, "run", "chat", "--verbose", *GREEDY, "-o", "max_tokens=8"]) as terminal:
        terminal.expect(">>>")
        terminal.type("My name is Ada.\r")
        first, _ = prompt_tokens(terminal.expect("of them cached"))
        terminal.expect("ended by length\r\n")
        terminal.type("/set verbose\rWhat is my name?\r")
        second, cached = prompt_tokens(terminal.expect("of them cached"))
        assert cached >= first
        assert second > first + 8


def test_models_share_one_daemon(smollm2: Path, gemma3: Path) -> None:
    pull(smollm2, "chat")
    pull(gemma3, "base")
    assert nybble("run", "chat", "Hello", *GREEDY, "-o", "max_tokens=4").stdout.strip()
    continued = nybble("run", "base", "The capital of France is", *GREEDY, "-o", "max_tokens=4")
    assert "the capital of" in continued.stdout
    assert "no chat template" in continued.stderr
    assert len(nybble("ps").stdout.splitlines()) == 3
