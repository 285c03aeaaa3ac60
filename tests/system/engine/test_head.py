"""A worker whose model has a head for multi-token prediction."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.protocol import Generate, Ready, Sampling
from tests.kinds_gguf import write_kind
from tests.system.engine.test_worker import WorkerProcess


@pytest.mark.parametrize("name", ["head", "hybrid with head"])
def test_greedy_text_is_the_same_with_and_without(name: str, tmp_path: Path) -> None:
    model = write_kind(tmp_path / "model.gguf", name)
    long = Sampling(temperature=0, max_tokens=100, ignore_eos=True)
    texts = []
    for has_head in (False, True):
        worker = WorkerProcess(model, has_head=has_head)
        ready = worker.wait_for(Ready)
        assert isinstance(ready, Ready)
        assert any("own head" in note for note in ready.notes) == has_head
        worker.send(Generate("a", ("to be or not to be",), long))
        texts.append(worker.finish("a")[0])
        worker.close()
    assert texts[0] == texts[1]
