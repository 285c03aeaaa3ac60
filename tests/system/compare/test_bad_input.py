"""What must not become a number that looks fine: each bad input is named, and handled or refused.

Altered and corrupt files, and models whose logits are no numbers: `test_conductor`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event

import gguf
import pytest

from modelstore.errors import NybbleError
from modelstore.pull import pull
from modelstore.sources.huggingface import HubOptions
from modelstore.store import Store
from runner.compare.speed import measure_speed
from runner.wire.compare import CompareProgress, CompareRequest
from tests.daemons import Daemon
from tests.fast.compare.timing import PLAN, listener, variant
from tests.system.compare.test_conductor import QUALITY, kld, not_a_number, result, rows, run
from tests.tiny_gguf import write_model

ROOT = Path(__file__).parents[3]
SHORT = QUALITY.model_copy(update={"chunks": 3})


def add(store: Store, file: Path, name: str) -> None:
    pull(store, str(file), name, HubOptions(), lambda _: None, Event())


async def test_another_vocabulary_is_compared_by_bits_per_byte_of_both(
    compared: Daemon, store: Store, tmp_path: Path
) -> None:
    add(store, write_model(tmp_path / "bytes.gguf"), "bytes")
    comparison = await result(compared, SHORT.model_copy(update={"quants": ["bytes"]}))
    trained, random = comparison.variants
    assert trained.quality and random.quality
    ours, theirs = trained.quality.bits_per_byte.value, random.quality.bits_per_byte.value
    # A random model takes about the eight bits that a byte has.
    assert ours and theirs and ours < 4 < 7 < theirs
    assert "different vocabularies" in "; ".join(random.problems)
    assert comparison.recommendation and comparison.recommendation.choice == trained.name


def test_an_altered_corpus_is_refused(home: Path, store: Store, tmp_path: Path) -> None:
    altered = tmp_path / "installed"
    for room in ("runner", "modelstore", "native"):
        shutil.copytree(ROOT / room, altered / room, ignore=shutil.ignore_patterns("__pycache__"))
    prose = altered / "runner/compare/texts/corpus/prose.txt"
    prose.write_bytes(prose.read_bytes() + b" ")
    start = "import sys; sys.path.insert(0, sys.argv[1]); from runner.compare.__main__ import main; main()"
    command = [sys.executable, "-I", "-c", start, str(altered)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as conductor:
        assert conductor.stdin and conductor.stdout
        conductor.stdin.write(json.dumps(order(home, SHORT)).encode() + b"\n")
        # It stays open: its end would mean that nobody waits for the result.
        conductor.stdin.flush()
        events = [json.loads(line) for line in conductor.stdout]
    assert events[-1]["type"] == "error" and "prose.txt was altered" in events[-1]["error"]["message"]
    assert not any(event["type"] == "variant" and event["variant"].get("quality") for event in events)


def order(home: Path, request: CompareRequest) -> dict[str, object]:
    settings = {
        "threads": 1, "memory_budget_bytes": None, "gpu_layers": 0, "kv_type_k": "f16", "kv_type_v": "f16",
        "flash_attention": True, "hf_endpoint": None, "hf_token": None, "offline": True,
    }  # fmt: skip
    return {
        "request": request.model_dump(mode="json"),
        "store": str(home / "store"),
        "evidence": str(home / "evidence.sqlite3"),
        "cache": str(home / "cache"),
        "daemon": "",
        "settings": settings,
    }


async def test_a_wrong_template_scores_fixed_text_and_says_why(
    compared: Daemon, store: Store, tiny_model: Path, tmp_path: Path
) -> None:
    add(store, with_template(tiny_model, tmp_path / "deaf.gguf", "<|user|>Hello<|assistant|>"), "deaf")
    request = QUALITY.model_copy(
        update={"name": "deaf", "quants": ["tiny:q8_0"], "compatible": False, "chunks": 2}
    )
    comparison = await result(compared, request)
    assert comparison.text["kind"] == "texts of nybble's" and "template" not in comparison.text
    assert any("leaves out what the user says" in note for note in comparison.notes)
    assert any("another chat template than the reference's: Q8_0" in note for note in comparison.notes)
    (candidate,) = [row for row in comparison.variants if not row.is_reference]
    assert 0 < kld(candidate) < 0.01 and candidate.answers is not None


def with_template(model: Path, path: Path, template: str) -> Path:
    command = [sys.executable, "-m", "gguf.scripts.gguf_new_metadata", "--chat-template", template]
    subprocess.run([*command, str(model), str(path)], check=True, capture_output=True)
    assert gguf.Keys.Tokenizer.CHAT_TEMPLATE.encode() in path.read_bytes()
    return path


async def test_a_model_without_numbers_has_no_speed(
    compared: Daemon, store: Store, tiny_model: Path, tmp_path: Path
) -> None:
    add(store, not_a_number(tiny_model, tmp_path), "nan")
    request = CompareRequest(name="tiny", measure="speed", quants=["nan"], context=512)
    by_name = rows(await result(compared, request))
    assert "not numbers" in "; ".join(by_name["nan:latest"].problems)
    assert by_name["nan:latest"].speed is None and by_name["tiny:latest"].speed is not None


async def test_too_little_memory_for_both_takes_the_record_and_for_one_is_refused(
    home: Path, store: Store
) -> None:
    """The reference takes 42 MB to be scored, its candidates about 35."""
    request = SHORT.model_copy(update={"quants": ["Q8_0", "Q2_K"]})
    with Daemon(home) as roomy:
        together = rows(await result(roomy, request))
    (home / "state" / "evidence.sqlite3").unlink()
    with Daemon(home, {"NYBBLE_MEMORY_BUDGET": "60MB"}) as narrow:
        comparison = await result(narrow, request)
    apart = rows(comparison)
    assert any("compact record" in note and "Q8_0, Q2_K" in note for note in comparison.notes)
    for name in ("Q8_0", "Q2_K"):
        assert kld(apart[name]) == pytest.approx(kld(together[name]), rel=0.02)
        assert kld(apart[name]) != kld(together[name]), "it was a record"
        one, other = together[name].quality, apart[name].quality
        assert one and other and (one.ppl, one.same_top) == (other.ppl, other.same_top)
        assert apart[name].answers == together[name].answers
    with (
        Daemon(home, {"NYBBLE_MEMORY_BUDGET": "39MB"}) as tight,
        pytest.raises(NybbleError, match=r"the reference F16 needs .* and .* are free") as refusal,
    ):
        await run(tight, request)
    assert refusal.value.code == "does_not_fit" and refusal.value.hint


async def test_another_process_that_takes_the_processor_is_named(compared: Daemon) -> None:
    request = CompareRequest(name="tiny", measure="speed", quants=["Q8_0"], context=512)
    with spinning():
        comparison = await result(compared, request)
    for row in comparison.variants:
        assert row.speed is not None
        named = [each for each in row.speed.warnings if "other processes took the CPU" in each]
        assert named and "cores)" in named[0]


@contextmanager
def spinning() -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="files that Linux has")
def test_a_battery_that_drains_in_the_middle_is_named(tiny_model: Path, tmp_path: Path) -> None:
    supply = tmp_path / "sys/class/power_supply/BAT0"
    supply.mkdir(parents=True)
    for name, value in (("type", "Battery"), ("status", "Discharging"), ("capacity", "63")):
        (supply / name).write_text(f"{value}\n")

    def drain(step: CompareProgress) -> None:
        if (step.completed or 0) > 3:
            (supply / "capacity").write_text("9\n")

    plan = replace(PLAN, depths=(0,))
    ((_, found),) = measure_speed([variant(tiny_model)], plan, listener(drain), Event(), tmp_path)
    speed, energy = found.speed, found.energy
    assert "measured on battery, which went from 63% to 9%" in speed.warnings
    assert energy.generated_joules_net.value is None and "battery" in (energy.reason or "")
