"""A model whose numbers are none: its file is damaged, and nothing may be picked by them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from modelstore.gguf import read_header
from native import sampler
from native.llama import Context, ContextOptions, Model
from runner.protocol import Generate, Sampling
from runner.worker.apart import Apart
from runner.worker.engine import Engine


@pytest.fixture(scope="module")
def model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """A copy whose last norm is NaN, and with it all logits."""
    data = bytearray(tiny_model.read_bytes())
    with tiny_model.open("rb") as stream:
        header = read_header(stream, len(data))
    norm = next(each for each in header.tensors if each.name == "output_norm.weight")
    start = header.data_offset + norm.offset
    data[start : start + norm.size_bytes] = np.full(norm.weights, np.nan, np.float32).tobytes()
    path = tmp_path_factory.mktemp("damaged") / "nan.gguf"
    path.write_bytes(data)
    model = Model(path, 0)
    yield model
    model.close()


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0),
        Sampling(temperature=0, ignore_eos=True),
        Sampling(temperature=0.8),
        Sampling(temperature=0.8, top_k=0),
        Sampling(temperature=0.8, mirostat=2),
    ],
)
@pytest.mark.parametrize("is_hastened", [False, True])
def test_a_request_fails_and_leaves_nothing_behind(
    model: Model, sampling: Sampling, is_hastened: bool
) -> None:
    if not is_hastened:
        sampler._shortlist = None
    engine = Engine(Context(model, ContextOptions(256, 2, 64, 1, 1)), 0.0)
    for name in ("first", "second"):
        engine.submit(Generate(name, ("The list command shows",), sampling))
        step = engine.step()
        assert [(each.request_id, each.code, each.status) for each in step.failed] == [
            (name, "not_finite", 422)
        ]
        assert not step.finished and engine.is_idle and step.busy_slots == 0
        assert not engine._slots[0].cached and engine._context.positions(0) == (-1, -1)
    engine._context.close()


def test_what_was_read_apart_does_not_come_home(model: Model) -> None:
    context = Context(model, ContextOptions(256, 2, 64, 1, 1, flash_attention=False))
    engine = Engine(context, 0.0, apart=Apart(context, 256, least_tokens=8))
    for name in ("first", "second"):
        engine.submit(Generate(name, ("The list command shows this. " * 4,), Sampling(temperature=0)))
        codes: list[str] = []
        while not engine.is_idle:
            codes += [each.code for each in engine.step().failed]
        assert codes == ["not_finite"] and not engine._slots[0].is_apart
        engine.use_idle_time()
        assert not engine._slots[0].cached and context.positions(0) == (-1, -1)
    context.close()
