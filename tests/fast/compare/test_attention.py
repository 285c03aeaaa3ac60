"""Speed is timed with the kind of attention that the daemon serves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from native.attention import Record, Verdict, conditions
from runner.compare.attention import as_served
from runner.compare.memory import header_of
from runner.compare.variant import Variant
from tests.fast.compare.timing import variant

PROCESSORS = ["a processor"]
PLAIN_IS_FASTER, FLASH_IS_FASTER = Verdict(on_s=2.0, off_s=1.0), Verdict(on_s=1.0, off_s=2.0)


def test_what_a_worker_measured_counts_for_files_of_the_same_shape_run_the_same_way(
    tiny_model: Path, tmp_path: Path
) -> None:
    draft = tiny_model.with_name("nybble-tiny-draft-f16.gguf")
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(tiny_model.read_bytes())
    served, same, other_shape = variant(tiny_model), variant(copy), variant(draft)
    by_choice = variant(tiny_model, flash_attention=True)
    on_gpu, quantized = variant(tiny_model, gpu_layers=-1), variant(tiny_model, kv_type_v="q8_0")
    more_threads, too_long = variant(tiny_model, threads=2), variant(tiny_model, context_length=10**6)
    all_of_them = [same, served, other_shape, by_choice, on_gpu, quantized, more_threads, too_long]
    headers = {each: header_of(each) for each in all_of_them}
    assert as_served(headers, tmp_path, PROCESSORS) == all_of_them, "nothing was measured"

    def after(verdict: Verdict, kv_type_v: str = "f16") -> list[Variant]:
        Record(tmp_path, tiny_model, conditions(PROCESSORS, 1, "f16", kv_type_v)).write(verdict)
        return as_served(headers, tmp_path, PROCESSORS)

    assert after(FLASH_IS_FASTER) == all_of_them
    assert after(PLAIN_IS_FASTER, "q8_0") == all_of_them, "quantized values need it"
    plain = [replace(each, engine=replace(each.engine, flash_attention=False)) for each in (same, served)]
    assert after(PLAIN_IS_FASTER) == [*plain, *all_of_them[2:]]
