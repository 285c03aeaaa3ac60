"""Models of different vocabularies beside each other: bits per byte, and tasks in each one's own words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest

from modelstore.pull import pull
from modelstore.sources.huggingface import HubOptions
from modelstore.store import Store
from runner.wire.compare import ALL_TASKS, CompareRequest, ComparisonDone
from tests.daemons import Daemon
from tests.tiny_gguf import write_model

TEMPLATE = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant: "


def with_template(model: Path, copy: Path) -> Path:
    edit = [sys.executable, "-m", "gguf.scripts.gguf_new_metadata", "--chat-template", TEMPLATE]
    subprocess.run([*edit, str(model), str(copy)], check=True, capture_output=True)
    return copy


async def test_tasks_and_bits_per_byte_across_vocabularies(
    home: Path, tiny_model: Path, tmp_path: Path
) -> None:
    store = Store(home / "store")
    other = write_model(tmp_path / "bytes.gguf")
    for name, model in (("ours", tiny_model), ("theirs", other)):
        copy = with_template(model, tmp_path / f"{name}.gguf")
        pull(store, str(copy), name, HubOptions(), lambda _: None, Event())
    request = CompareRequest(
        name="ours", quants=["theirs"], reference="ours:latest", measure="quality", chunks=2, context=512
    )
    with Daemon(home) as daemon:
        async with daemon.client() as client:
            *_, last = [event async for event in client.compare(request)]
    assert isinstance(last, ComparisonDone)
    ours, theirs = last.comparison.variants
    assert ours.quality and theirs.quality and theirs.quality.kld_mean.value is None
    assert ours.quality.bits_per_byte.value and theirs.quality.bits_per_byte.value
    assert len(ours.quality.text_bits) == len(theirs.quality.text_bits) == 4
    assert "different vocabularies" in "; ".join(theirs.problems)
    tasks = theirs.tasks[ALL_TASKS]
    assert len(tasks.outcomes) == len(ours.tasks[ALL_TASKS].outcomes) == 3
    assert tasks.reference_right == ours.tasks[ALL_TASKS].right
    found = last.comparison.recommendation
    assert found is not None and "bits per byte and tasks decide" in found.reason


@pytest.mark.parametrize("words, pairs, note", [(None, 4, ""), (2100, 4, ""), (300, 0, "too short")])
async def test_without_answers_too_both_are_asked_for_the_same_bytes(
    home: Path, tiny_model: Path, tmp_path: Path, words: int | None, pairs: int, note: str
) -> None:
    text = None if words is None else "a b c. " * (words // 3)
    store = Store(home / "store")
    for name, model in (("ours", tiny_model), ("theirs", write_model(tmp_path / "bytes.gguf"))):
        pull(store, str(model), name, HubOptions(), lambda _: None, Event())
    request = CompareRequest(
        name="ours",
        quants=["theirs"],
        measure="quality",
        chunks=2,
        context=512,
        compatible=text is None,
        text=text,
    )
    with Daemon(home) as daemon:
        async with daemon.client() as client:
            *_, last = [event async for event in client.compare(request)]
    assert isinstance(last, ComparisonDone)
    ours, theirs = (each.quality for each in last.comparison.variants)
    assert ours and theirs and ours.bits_per_byte.value and theirs.bits_per_byte.value
    assert len(ours.text_bits) == len(theirs.text_bits) == pairs
    assert note in "; ".join(last.comparison.notes)
