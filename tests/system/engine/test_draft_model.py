"""A worker with a draft model."""

from __future__ import annotations

from pathlib import Path

from runner.protocol import Generate, LoadFailed, Ready, Sampling
from tests.system.engine.test_worker import WorkerProcess
from tests.tiny_gguf import write_model


def test_it_answers_with_a_draft_model_as_without(tiny_model: Path) -> None:
    request = Generate("a", ("def main(arguments):",), Sampling(temperature=0, max_tokens=64))
    texts = []
    for draft in (None, tiny_model.with_name("nybble-tiny-draft-f16.gguf")):
        worker = WorkerProcess(tiny_model, draft)
        worker.wait_for(Ready)
        worker.send(request)
        texts.append(worker.finish("a")[0])
        worker.close()
    assert texts[0] == texts[1]


def test_a_draft_model_of_another_family_is_refused_with_what_to_do(tiny_model: Path, tmp_path: Path) -> None:
    worker = WorkerProcess(tiny_model, write_model(tmp_path / "bytes.gguf"))
    failed = worker.wait_for(LoadFailed)
    assert isinstance(failed, LoadFailed)
    assert failed.code == "draft_unsuitable"
    assert "8192" in failed.message and "259" in failed.message
    assert failed.hint and "family" in failed.hint
    assert worker.process.wait(60) == 1
    worker.close()
