"""Speed and memory of small models, measured by the real child."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from modelstore.errors import NybbleError, Unusable
from modelstore.progress import Cancelled
from runner.compare.answering import with_answer
from runner.compare.speed import Listener, measure_speed
from runner.compare.variant import Variant
from runner.errors import DoesNotFit, WorkerFailed
from runner.wire.compare import CompareProgress, Estimate
from tests.fast.compare.timing import PLAN, listener, measured, variant

DRAFT = "nybble-tiny-draft-f16.gguf"


def test_every_figure_has_an_error_or_a_reason_and_candidates_take_turns(
    tiny_model: Path, tmp_path: Path
) -> None:
    variants = [variant(tiny_model), variant(tiny_model.with_name(DRAFT))]
    steps: list[CompareProgress] = []
    first, second = measure_speed(variants, PLAN, listener(steps.append), Event(), tmp_path)
    assert [first[0], second[0]] == variants
    for _, found in (first, second):
        speed, energy = with_answer(found.speed, found.energy, PLAN.answer_tokens)
        assert [at.depth for at in speed.depths] == [0, 64]
        assert all(measured(at.prefill_tps) > measured(at.decode_tps) for at in speed.depths)
        assert measured(speed.load_warm_s) < 5
        answer = speed.time_to_answer_s
        assert answer.value is not None and answer.value > 256 / measured(speed.depths[0].decode_tps)
        # Repetitions that vary too much leave no upper bound, which is said.
        assert answer.error is not None or answer.reason
        assert speed.client_ttft_s.reason == "not measured: there is no daemon"
        assert energy.reason and energy.reason.startswith("not measurable here: ")
        assert (energy.sensor, energy.answer_joules) == (None, Estimate(reason=energy.reason))
    # One layer against six.
    assert measured(second[1].speed.depths[0].decode_tps) > measured(first[1].speed.depths[0].decode_tps)
    order = [step.detail.split(":")[0] for step in steps if step.detail and step.detail.endswith(": tg8")]
    one, other = variants[0].name, variants[1].name
    assert order == [one, other, other, one, one, other]


@pytest.mark.parametrize(
    "engine",
    [
        {"context_length": 1024},
        {"context_length": 8192, "kv_type_k": "q8_0", "kv_type_v": "q8_0"},
        # Attention without it keeps more than 100 MB of scores.
        {"context_length": 16384, "flash_attention": False},
    ],
)
def test_memory_is_as_predicted(tiny_model: Path, tmp_path: Path, engine: dict[str, object]) -> None:
    plan = replace(PLAN, depths=(0,), repetitions=1, loads=1)
    ((_, found),) = measure_speed([variant(tiny_model, **engine)], plan, listener(), Event(), tmp_path)
    memory = found.memory
    assert memory.measured_bytes is not None, memory.reason
    assert memory.total_bytes == memory.weights_bytes + memory.kv_bytes + (memory.compute_bytes or 0)
    allowed = max(0.05 * memory.total_bytes, 64 * 10**6)
    assert abs(memory.measured_bytes - memory.total_bytes) <= allowed
    # The weights alone are more than a process without them has grown by.
    assert memory.measured_bytes > memory.weights_bytes
    assert memory.at_context == {}


def test_what_cannot_be_loaded_or_run_leaves_the_others_as_they_are(tiny_model: Path, tmp_path: Path) -> None:
    corrupt, lost = tmp_path / "corrupt.gguf", tmp_path / "lost.gguf"
    corrupt.write_bytes(tiny_model.read_bytes()[:4_000_000])
    lost.write_bytes(tiny_model.read_bytes())
    huge = variant(tiny_model, context_length=2_000_000_000)
    well, refused = variant(tiny_model), dict[Variant, NybbleError]()
    variants = [replace(well, path=corrupt), variant(lost), huge, well]

    def lose(step: CompareProgress) -> None:
        # Later it cannot be loaded once more.
        if step.completed == 3:
            lost.unlink(missing_ok=True)

    found = measure_speed(variants, PLAN, Listener(lose, refused.__setitem__), Event(), tmp_path)
    assert [each for each, _ in found] == [well]
    assert {each: type(error) for each, error in refused.items()} == {
        variants[0]: Unusable, huge: DoesNotFit, variants[1]: WorkerFailed,
    }  # fmt: skip


def test_a_cancelled_run_has_no_figures(tiny_model: Path, tmp_path: Path) -> None:
    cancelled = Event()

    def cancel(step: CompareProgress) -> None:
        if step.completed == 3:
            cancelled.set()

    with pytest.raises(Cancelled):
        list(measure_speed([variant(tiny_model)], PLAN, listener(cancel), cancelled, tmp_path))
