"""Speed is timed with the kind of attention that the daemon serves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from native.attention import Record, Verdict, conditions
from runner.compare.attention import as_served
from runner.compare.variant import Variant, header_of
from tests.fast.compare.timing import variant
from tests.tiny_gguf import Shape, write_model

PROCESSORS = ["a processor"]
PLAIN_IS_FASTER, FLASH_IS_FASTER = Verdict(on_s=2.0, off_s=1.0), Verdict(on_s=1.0, off_s=2.0)


def test_what_a_worker_measured_counts_for_files_of_the_same_shape_run_the_same_way(
    tiny_model: Path, tmp_path: Path
) -> None:
    draft = tiny_model.with_name("nybble-tiny-draft-f16.gguf")
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(tiny_model.read_bytes())
    served, same, other_shape = variant(tiny_model), variant(copy), variant(draft)
    more_threads = variant(tiny_model, threads=2)
    by_choice = variant(tiny_model, flash_attention=True)
    on_gpu, quantized = variant(tiny_model, gpu_layers=-1), variant(tiny_model, kv_type_v="q8_0")
    too_long = variant(tiny_model, context_length=10**6)
    all_of_them = [same, served, other_shape, more_threads, by_choice, on_gpu, quantized, too_long]
    headers = {each: header_of(each.path) for each in all_of_them}
    # The heads of these models are short.
    guessed = [*map(_plain, all_of_them[:4]), *all_of_them[4:]]
    assert as_served(headers, tmp_path, PROCESSORS) == guessed, "nothing was measured"

    def after(verdict: Verdict, kv_type_v: str = "f16") -> list[Variant]:
        Record(tmp_path, tiny_model, conditions(PROCESSORS, 1, "f16", kv_type_v)).write(verdict)
        return as_served(headers, tmp_path, PROCESSORS)

    measured = [*all_of_them[:2], *guessed[2:]]
    assert after(FLASH_IS_FASTER) == measured
    assert after(PLAIN_IS_FASTER, "q8_0") == measured, "quantized values need it, and others have their own"
    assert after(PLAIN_IS_FASTER) == guessed


def test_long_heads_begin_with_flash_attention(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.gguf", Shape(width=256, heads=2))
    long_heads = variant(path)
    assert as_served({long_heads: header_of(path)}, tmp_path, PROCESSORS) == [long_heads]
    Record(tmp_path, path, conditions(PROCESSORS, 1, "f16", "f16")).write(PLAIN_IS_FASTER)
    assert as_served({long_heads: header_of(path)}, tmp_path, PROCESSORS) == [_plain(long_heads)]


def _plain(each: Variant) -> Variant:
    return replace(each, engine=replace(each.engine, flash_attention=False))
