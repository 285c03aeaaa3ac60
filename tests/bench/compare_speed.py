"""Speeds of a comparison and of llama-bench on the same files: prefill and decode in tokens a second.

    python -m tests.bench.compare_speed LLAMA_BENCH MODEL.gguf … [--rounds 3]

LLAMA_BENCH is a llama-bench of the same llama.cpp as the binding's. In each round all files are measured
together as a comparison does, between two runs of llama-bench on each; the ratio is to the mean of these two.
Close other programs: both suffer from a busy neighbour, but not at the same moment.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from pathlib import Path
from threading import Event

from native.topology import physical_cores
from runner.compare.speed import measure_speed
from runner.compare.speed_plan import SpeedPlan
from runner.compare.variant import Engine, Variant
from tests.bench.llama_bench import theirs
from tests.fast.compare.timing import listener

PLAN = SpeedPlan(depths=(0,), loads=1, text=(Path(__file__).parents[2] / "README.md").read_text("utf-8"))


def ours(files: list[Path]) -> dict[tuple[Path, str], float]:
    engine = Engine(context_length=1024, threads=physical_cores(), gpu_layers=0)
    variants = [Variant(f.stem, f, f"sha256:{f}", f.stat().st_size, None, engine) for f in files]
    found = {}
    for variant, measured in measure_speed(variants, PLAN, listener(), Event()):
        speed = measured.speed
        prefill, decode = speed.depths[0].prefill_tps, speed.depths[0].decode_tps
        found |= {(variant.path, "pp512"): prefill.value or 0, (variant.path, "tg128"): decode.value or 0}
        for warning in speed.warnings:
            print(f"{variant.name}: {warning}")
    return found


def of_llama_bench(binary: str, files: list[Path]) -> dict[tuple[Path, str], float]:
    return {
        (file, test.name): theirs(binary, str(file), test, physical_cores())
        for file in files
        for test in PLAN.tests(0)
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("llama_bench")
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    files = [model.absolute() for model in chosen.models]
    ratios = defaultdict(list)
    before = of_llama_bench(chosen.llama_bench, files)
    for _ in range(chosen.rounds):
        mine, after = ours(files), of_llama_bench(chosen.llama_bench, files)
        for key, speed in mine.items():
            ratios[key].append(speed / statistics.fmean((before[key], after[key])))
            print(f"{key[0].stem} {key[1]}: {speed:.1f}, llama-bench {before[key]:.1f} and {after[key]:.1f}")
        before = after
    for (file, name), values in ratios.items():
        print(
            f"{file.stem} {name}: ratio {statistics.median(values):.3f}",
            f"({min(values):.3f} to {max(values):.3f})",
        )


if __name__ == "__main__":
    main()
