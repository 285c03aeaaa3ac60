"""`nybble compare` against a daemon with scripted comparisons."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from runner import exits
from runner.wire import SessionCreate, SessionMessage
from runner.wire.compare import Comparison, ComparisonDone, VariantMeasured
from tests.commands import finish, nybble_here, start
from tests.comparisons import beginning, comparison, finished, measured
from tests.daemons import NYBBLE
from tests.fakes.daemon import FakeDaemon, Gate, HangUp, error
from tests.terminal import Terminal


def test_the_table_is_data_and_what_happens_is_talk(fake: FakeDaemon) -> None:
    fake.comparisons.append(finished())
    done = nybble_here("compare", "llama3:8b", "--no-start")
    assert done.code == 0, done.stderr
    rows = {line.split()[2]: line for line in done.stdout.splitlines()[2:10] if line[4] not in "╭╰"}
    assert "0.0108 ± 0.0008" in rows["Q5_K_M"] and rows["Q5_K_M"].startswith("★   D")
    assert "  94.5 ± 0.8  " in rows["Q5_K_M"] and " 17.30 ± 0.18 " in rows["Q5_K_M"]
    assert "  ╭ G IQ4_XS" in done.stdout and "  ╰ F Q4_K_S" in done.stdout
    assert "KL divergence, nats" in done.stdout and "Tie: IQ4_XS and Q4_K_S" in done.stdout
    assert "the same choice in 84 % of resamplings" in done.stdout
    assert "energy: not measurable here" in done.stdout and "ENERGY" not in done.stdout
    assert done.stderr.splitlines()[:2] == ["loading F16", "scoring · 4 of 16 · about 1 min 35 s left"]
    assert "\x1b" not in done.stdout + done.stderr


def test_json_is_the_object_that_the_daemon_sent(fake: FakeDaemon) -> None:
    fake.comparisons.append(finished())
    done = nybble_here("compare", "llama3:8b", "--json")
    assert Comparison.model_validate(json.loads(done.stdout)) == comparison()


def test_every_option_reaches_the_daemon(fake: FakeDaemon, tmp_path: Path) -> None:
    own = tmp_path / "own.txt"
    own.write_text("mine\n", encoding="utf-8")
    fake.comparisons.extend([finished(), finished()])
    line = "--quants Q8_0,Q4_K_M list:latest --reference F16 --intent fast --context 8192 --deep --chunks 3"
    line += " --quality-only --compatible --keep --domains code,math --vary kv_type=f16,q8_0"
    assert nybble_here("compare", *line.split(), "--text", str(own)).code == 0
    assert nybble_here("compare", "--", "list").code == 0
    (asked, plain) = fake.compared
    assert asked.model_dump() == {
        "name": "list:latest",
        "quants": ["Q8_0", "Q4_K_M"],
        "reference": "F16",
        "intent": "fast",
        "domains": ["code", "math"],
        "context": 8192,
        "effort": "deep",
        "measure": "quality",
        "chunks": 3,
        "compatible": True,
        "text": "mine\n",
        "vary": {"kv_type": ["f16", "q8_0"]},
        "keep_made": True,
    }
    assert (plain.name, plain.quants, plain.effort, plain.measure) == ("list", None, "quick", "all")


def test_ones_own_chats_are_the_text_only_when_asked_for(fake: FakeDaemon, tmp_path: Path) -> None:
    for question in ("What is a fjord?", "And a loch?"):
        chat = fake.history.create(SessionCreate())
        fake.history.add_message(chat.id, SessionMessage(role="user", content=question))
    fake.comparisons.extend([finished(), finished()])
    assert nybble_here("compare", "x", "--chats").code == nybble_here("compare", "x").code == 0
    assert [asked.text for asked in fake.compared] == ["And a loch?\n\nWhat is a fjord?", None]
    own = tmp_path / "own.txt"
    own.write_text("mine", encoding="utf-8")
    both = nybble_here("compare", "x", "--chats", "--text", str(own))
    assert both.code == exits.USAGE and "choose one" in both.stderr


@pytest.mark.parametrize(
    "arguments, says",
    [
        ("x --quick --deep", "choose one: quick or deep"),
        ("x --quality-only --speed-only", "choose one: quality or speed"),
        ("x --intent cheap", "balanced, fast, best, battery"),
        ("x --quants Q8_0,", "values with commas"),
        ("x --vary kv_type", "--vary: expects settings like kv_type"),
        ("x --text no-such-file", "cannot read no-such-file"),
        ("x --context 1", "256"),
        ("x --context 4294967552", "16777216"),
    ],
)
def test_mistakes_are_found_before_anything_is_measured(fake: FakeDaemon, arguments: str, says: str) -> None:
    done = nybble_here("compare", *arguments.split())
    assert (done.code, done.stdout) == (exits.USAGE, "")
    assert says in done.stderr
    assert not fake.compared


def test_what_fails_has_a_code_and_hostile_words_stay_words(fake: FakeDaemon) -> None:
    escape = "\x1b]0;owned\x07[/b]\x1b[31m"
    broken = measured("Q2_K").model_copy(
        update={"name": f"Q2_K{escape}", "problems": [f"implausible{escape}"]}
    )
    hostile = comparison().model_copy(update={"variants": [measured("F16"), broken], "notes": [escape]})
    fake.comparisons.extend(
        [
            [error(f"Q2_K has another vocabulary{escape}", "leave it out", 422)],
            [error("no such model", status=404)],
            [*beginning(), HangUp()],
            [VariantMeasured(variant=broken), ComparisonDone(comparison=hostile)],
        ]
    )
    results = [nybble_here("compare", "x") for _ in range(4)]
    assert [done.code for done in results] == [exits.FAILED, exits.NOT_FOUND, exits.UNREACHABLE, exits.OK]
    assert "error: Q2_K has another vocabulary[/b]\nhint: leave it out" in results[0].stderr
    assert "! Q2_K[/b]: implausible[/b]" in results[3].stdout
    assert all("\x1b" not in done.stdout + done.stderr for done in results)


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(fake: FakeDaemon) -> None:
    fake.comparisons.append([*beginning(), Gate()])
    process = start("compare", "llama3:8b")
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("scoring"):
            break
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert (done.code, done.stdout) == (exits.INTERRUPTED, "")
    assert "stopped; the same command goes on from here" in done.stderr
    assert fake.cancelled.wait(60)


def test_a_terminal_shows_the_table_while_it_fills(fake: FakeDaemon) -> None:
    gate = Gate()
    fake.comparisons.append([*beginning(), gate, *finished()[len(beginning()) :]])
    with Terminal([*NYBBLE, "compare", "llama3:8b"]) as terminal:
        terminal.expect("0.0108 ± 0.0016")
        terminal.expect("scoring · 4 of 16 · about 1 min 35 s left")
        gate.open()
        terminal.expect("0.0108 ± 0.0008")
        terminal.expect("★ Q5_K_M")
        assert terminal.wait() == 0
