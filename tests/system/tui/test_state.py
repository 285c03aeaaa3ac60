"""What the app knows: pure transitions, and how they read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runner import wire
from tests.fakes.daemon import START, done, loaded, model
from tui.state import Pull, State, Turn, request_for
from tui.widgets.transcript import last_code
from tui.wording import model_facts, model_state, notice, progress, pull_line, rate, size, usage


def _message(role: str, content: str) -> wire.SessionMessage:
    return wire.SessionMessage.model_validate({"role": role, "content": content})


def test_the_current_model_stays_while_it_is_there() -> None:
    state = State().with_models([model("new:1b"), model("old:1b")])
    assert state.model == "new:1b", "the newest at first"
    state = state.with_model("old:1b")
    assert state.with_models([model("newer:1b"), model("old:1b")]).model == "old:1b"
    assert state.with_models([model("newer:1b")]).model == "newer:1b"
    assert state.with_models([]).model is None


def test_opening_a_chat_takes_its_model_if_it_is_here() -> None:
    state = State().with_models([model("a:1b"), model("b:1b")])
    chat = wire.Session(id=1, title="t", model="b:1b", created_at=START, updated_at=START)
    assert state.with_session(chat).model == "b:1b"
    assert state.with_session(chat.model_copy(update={"model": "gone:1b"})).model == "a:1b"


def test_two_messages_without_answer_are_one_question() -> None:
    said = [
        ("user", "a"),
        ("assistant", "A"),
        ("user", "b"),
        ("user", "c"),
        ("assistant", "C"),
        ("user", "d"),
    ]
    state = State(messages=tuple(_message(role, content) for role, content in said))
    request = request_for(state, model("m:1b"))
    assert request.messages is not None
    assert "".join(message["content"] for message in request.messages) == "aAcCd"
    raw = request_for(state, model("base:1b", has_chat_template=False))
    assert (raw.prompt, raw.raw, raw.messages) == ("d", True, None)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (wire.Queued(position=1), "next in line · Esc stops"),
        (wire.Queued(position=3), "3rd in line · Esc stops"),
        (wire.Reloading(reason="more"), "loading again, for more context · Esc stops"),
        (wire.Loading(fraction=0.4), "loading 40 % · Esc stops"),
        (wire.Prefilling(done_tokens=1, total_tokens=4), "reading the prompt 25 % of 4 tokens · Esc stops"),
        (wire.Prefilling(done_tokens=0, total_tokens=0), "reading the prompt of 0 tokens · Esc stops"),
        (wire.TextDelta(text="x", completion_tokens=1200), "1,200 tokens · Esc stops"),
    ],
)
def test_how_an_answer_on_its_way_reads(event: wire.Progressing, line: str) -> None:
    assert progress(Turn()) == "waiting · Esc stops"
    assert progress(Turn().after(event, 0.0)) == line


def test_the_speed_of_an_answer_is_shown_once_it_can_be_told() -> None:
    turn = Turn().after(wire.TextDelta(text="x", completion_tokens=1), 10.0)
    turn = turn.after(wire.TextDelta(text="x", completion_tokens=5), 10.4)
    assert turn.decode_tps is None
    turn = turn.after(wire.TextDelta(text="x", completion_tokens=21), 11.0)
    assert turn.decode_tps == pytest.approx(20.0)
    assert progress(turn) == "21 tokens · 20.0 tok/s · Esc stops"


def test_how_a_finished_answer_reads() -> None:
    assert usage(done(128), 8192) == "128 tokens · first 0.31 s · 46.2 tok/s · context 159 of 8,192"
    assert usage(done(1), None) == "1 token · first 0.31 s · context 32"
    assert usage(done(2, "length"), 8192).endswith("context 33 of 8,192 · ended at the limit")
    full = done(2)
    full.usage = full.usage.model_copy(update={"dropped_messages": 4, "shifted_tokens": 20})
    words = "context 13 of 8,192 · without the 4 oldest messages · 20 tokens forgotten on the way"
    assert usage(full, 8192).endswith(words)


def test_how_a_pull_reads() -> None:
    pull = Pull("m:1b").after(wire.JobProgress(phase="downloading", completed_bytes=50_000_000), 0.0)
    assert pull_line(pull) == "downloading  50 MB"
    half = wire.JobProgress(phase="downloading", completed_bytes=150_000_000, total_bytes=300_000_000)
    pull = pull.after(half, 2.0)
    assert pull_line(pull) == "downloading  ━━━━━━━━╌╌╌╌╌╌╌╌  50 % of 300 MB  50 MB/s"
    verifying = pull.after(
        wire.JobProgress(phase="verifying", completed_bytes=0, total_bytes=300_000_000), 3.0
    )
    assert verifying.bytes_per_s is None, "another phase has another speed"


def test_what_the_model_is_doing() -> None:
    state = State().with_models([model("m:1b")])
    assert model_state(state)[:2] == ("○", "not loaded")
    state = replace(state, loaded=(loaded("m:1b"),), decode_tps=46.18)
    assert model_state(state)[:2] == ("●", "ready · 46.2 tok/s")
    assert model_state(replace(state, turn=Turn()))[:2] == ("◐", "waiting")
    lost = wire.ErrorBody(message="gone", code="daemon_unreachable", status=503)
    assert model_state(replace(state, lost=lost))[0] == "✕"


def test_unknown_facts_are_left_out() -> None:
    said = notice(State(lost=wire.ErrorBody(message="gone", code="daemon_unreachable", status=503)))
    assert said is not None and said.text == "✕ gone\nCtrl+R tries again"
    known = model("m:1b")
    assert model_facts(known) == "Q4_1 · 98 MB · context 8,192"
    nothing = {"quantization": None, "context_length": None, "has_chat_template": False}
    assert model_facts(known.model_copy(update=nothing)) == "98 MB · no chat template"


def test_sizes_and_rates_round_without_lying() -> None:
    assert [size(n) for n in (0, 999_499, 999_500, 98_362_432, 999_500_000, 5_000_000_000)] == [
        "0 kB",
        "999 kB",
        "1 MB",
        "98 MB",
        "1.0 GB",
        "5.0 GB",
    ]
    assert (rate(9.96), rate(117.4)) == ("10.0 tok/s", "117 tok/s")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a\n```python\nprint(1)\n```\nb\n~~~\nsecond\n~~~\n", "second\n"),
        ("````md\n```\ninner\n```\n````\n", "```\ninner\n```\n"),
        ("no code", None),
        ("```\nnever closed", None),
    ],
)
def test_the_last_block_of_code(text: str, code: str | None) -> None:
    assert last_code(text) == code
