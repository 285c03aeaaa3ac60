"""nybble against llama-server built from the same llama.cpp, in turn, in the same minutes.

    python -m tests.bench.side_by_side LLAMA_SERVER MODEL.gguf [--rows decode,calm] [--rounds N]

Each row prints the median of each side and the median of the rounds' ratios with their range: above 1 nybble
is better. The rows are the functions below that begin with `row_`.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import shlex
import statistics
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.bench.bare import decode_tps
from tests.bench.chunks import PROMPT_WORDS, gap_and_ttft_s
from tests.bench.neighbour import neighbours
from tests.bench.servers import MODEL, Setup, llama_server, nybble
from tests.bench.stream import complete, words

# llama-server's default for the number of its slots; the last of two flags counts.
_OWN_SLOTS = ("-np", "-1")

Measure = Callable[[str, int], Coroutine[Any, Any, tuple[float, ...]]]
"""Figures of the server at an address; the round's number makes its prompts new to every cache."""


@dataclass(slots=True)
class Bench:
    binary: Path
    setup: Setup
    rounds: int
    best_flags: Sequence[str]
    settings: dict[str, str] = field(default_factory=dict)

    def compare(
        self,
        names: Sequence[str],
        measure: Measure,
        *,
        flags: Sequence[str] = (),
        beside: AbstractContextManager[None] | None = None,
    ) -> None:
        """Both servers, in turn; a line for each of the figures, which have these names. `beside` is entered
        once both are loaded: nybble measures its attention only on a free machine."""
        with ExitStack() as stack:
            ours = stack.enter_context(nybble(self.setup, self.settings)).address
            theirs = stack.enter_context(llama_server(self.binary, self.setup, flags))
            for address in (ours, theirs):
                asyncio.run(complete(address, MODEL, words(20, 0), 30))
            stack.enter_context(beside or nullcontext())
            rounds = []
            for number in range(1, self.rounds + 1):
                sides = [(ours, 0), (theirs, 1)] if number % 2 else [(theirs, 1), (ours, 0)]
                found = {side: asyncio.run(measure(address, number)) for address, side in sides}
                rounds.append(list(zip(found[0], found[1], strict=True)))
        for name, pairs in zip(names, zip(*rounds, strict=True), strict=True):
            report(name, pairs)


def report(name: str, pairs: Sequence[tuple[float, float]]) -> None:
    """Of seconds, less is better: then the ratio is theirs by ours."""
    ratios = sorted(b / a if name.endswith("(s)") else a / b for a, b in pairs)
    ours, theirs = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    spread = f"{ratios[0]:.2f}-{ratios[-1]:.2f}"
    sys.stdout.write(f"{name:58} {ours:9.2f} {theirs:9.2f}  {statistics.median(ratios):6.2f} ({spread})\n")
    sys.stdout.flush()


async def _one_stream(address: str, number: int) -> tuple[float]:
    return ((await complete(address, MODEL, words(30, number), 120, seed=number)).decode_tps,)


async def _eight_streams(address: str, number: int, tokens: int = 64) -> tuple[float]:
    """Tokens a second of all streams together, prompts included in the time."""
    prompts = [words(17, number * 100 + index) for index in range(8)]
    timed = await asyncio.gather(*(complete(address, MODEL, prompt, tokens) for prompt in prompts))
    last_s = max(each.pieces_s[-1] for each in timed)
    return (sum(each.usage["completion_tokens"] for each in timed) / (last_s - timed[0].sent_s),)


async def _long_prompt(address: str, number: int) -> tuple[float]:
    """Prompt tokens a second."""
    timed = await complete(address, MODEL, words(920, number), 2)
    return (timed.usage["prompt_tokens"] / timed.ttft_s,)


async def _beside(address: str, number: int) -> tuple[float, float]:
    """The p99 gap of a stream, and the time to the first token of a 3,000-token prompt that comes while it
    runs."""
    under_way = asyncio.Event()
    task = asyncio.create_task(complete(address, MODEL, words(20, number), 160, under_way))
    await under_way.wait()
    long = await complete(address, MODEL, words(PROMPT_WORDS, number + 50), 4)
    gaps = sorted((await task).gaps_s)
    return gaps[min(len(gaps) - 1, round(0.99 * len(gaps)))], long.ttft_s


def row_bare(bench: Bench) -> None:
    setup = replace(bench.setup, threads=1)
    with nybble(setup, bench.settings) as daemon:
        pairs = []
        for number in range(bench.rounds + 1):
            ours = asyncio.run(complete(daemon.address, MODEL, words(30, 1), 120, seed=number)).decode_tps
            pairs.append((ours, decode_tps(setup.model, 1, 120)))
    report("decode over HTTP, 1 thread, against a bare loop (tok/s)", pairs[1:])


def row_decode(bench: Bench) -> None:
    bench.compare(["decode, one stream (tok/s)"], _one_stream)


def row_eight(bench: Bench) -> None:
    _eight(bench, "40-token prompts", _eight_streams)


def row_longer(bench: Bench) -> None:
    """As `row_eight`, with answers as long as in a chat: of 64 tokens, a third of the time is for prompts."""
    _eight(bench, "answers of 256 tokens", functools.partial(_eight_streams, tokens=256))


def _eight(bench: Bench, what: str, measure: Measure) -> None:
    """Against as many slots as llama-server has by default, against eight, and with its best flags."""
    eight = replace(bench, setup=replace(bench.setup, slots=8, context_length=1024))
    for name, flags in (("its own", _OWN_SLOTS), ("8", ()), ("8, best flags", bench.best_flags)):
        eight.compare([f"8 streams, {what}, slots: {name} (tok/s)"], measure, flags=flags)


def row_prefill(bench: Bench) -> None:
    bench.compare(["prefill of 2,000 tokens alone (tok/s)"], _long_prompt)


def row_calm(bench: Bench) -> None:
    for mode in ("balanced", "smooth"):
        side = replace(bench, settings=bench.settings | {"NYBBLE_PREFILL": mode})
        names = [f"p99 gap beside a 3,000-token prompt, {mode} (s)", f"TTFT of that prompt, {mode} (s)"]
        side.compare(names, _beside)


def row_neighbour(bench: Bench) -> None:
    bench.compare(["decode beside one spinning process (tok/s)"], _one_stream, beside=neighbours(1))


def row_ceiling(bench: Bench) -> None:
    """What there is to win in `row_neighbour`: bare loops, of one thread and of all beside the spinning
    process, and of all with the machine to themselves."""
    model, most, found = bench.setup.model, bench.setup.threads, []
    with llama_server(bench.binary, bench.setup) as theirs:
        for number in range(bench.rounds + 1):
            with neighbours(1):
                theirs_tps = asyncio.run(_one_stream(theirs, number))[0]
                beside = [decode_tps(model, threads, 120) for threads in (1, most)]
            found.append([(tps, theirs_tps) for tps in (*beside, decode_tps(model, most, 120))])
    one, all_of_them, free = zip(*found[1:], strict=True)
    report("a bare loop, 1 thread, beside one spinning process (tok/s)", one)
    report("a bare loop, all threads, beside it (tok/s)", all_of_them)
    report("a bare loop without it, llama-server beside it (tok/s)", free)


def row_frontier(bench: Bench) -> None:
    """What there is to win in `row_calm`: bare loops with chunks of a size, against llama-server."""
    kinds = [(attention, tokens) for attention in ("on", "off") for tokens in (64, 128, 256, 512)]
    kinds += [("apart", tokens) for tokens in (64, 128, 192, 256, 512)]
    found: dict[tuple[str, int], list[tuple[tuple[float, ...], ...]]] = {}
    with llama_server(bench.binary, bench.setup) as theirs:
        asyncio.run(_beside(theirs, 0))
        for number in range(1, bench.rounds + 1):
            theirs_s = asyncio.run(_beside(theirs, number))
            for kind in kinds:
                ours_s = gap_and_ttft_s(bench.setup.model, bench.setup.threads, *kind)
                found.setdefault(kind, []).append((ours_s, theirs_s))
    for (attention, tokens), rounds in found.items():
        for figure, what in enumerate(("p99 gap", "TTFT")):
            name = f"bare loop, chunks of {tokens}, flash attention {attention}: {what} (s)"
            report(name, [(ours_s[figure], theirs_s[figure]) for ours_s, theirs_s in rounds])


def row_most(bench: Bench) -> None:
    """What there is to win in `row_decode` and `row_eight`: bare loops against llama-server."""
    _against_bare(bench, "one stream", _one_stream, 120, [("1", "on"), ("1", "off")])
    eight = replace(bench, setup=replace(bench.setup, slots=8, context_length=1024))
    kinds = [("8", attention, *kv) for attention in ("on", "off") for kv in ((), ("unified",))]
    _against_bare(eight, "8 streams", _eight_streams, 64, kinds)


def _against_bare(
    bench: Bench, name: str, measure: Measure, tokens: int, kinds: Sequence[Sequence[str]]
) -> None:
    pairs: dict[str, list[tuple[float, float]]] = {}
    model, threads = bench.setup.model, bench.setup.threads
    with llama_server(bench.binary, bench.setup) as theirs:
        asyncio.run(measure(theirs, 0))
        for number, kind in enumerate(list(kinds) * bench.rounds, 1):
            bare_tps = decode_tps(model, threads, tokens, *kind)
            words_of = f"bare loop, {name}, flash attention {' '.join(kind[1:])} (tok/s)"
            pairs.setdefault(words_of, []).append((bare_tps, asyncio.run(measure(theirs, number))[0]))
    for each, found in pairs.items():
        report(each, found)


def main() -> None:
    rows = {name.removeprefix("row_"): row for name, row in globals().items() if name.startswith("row_")}
    parser = argparse.ArgumentParser()
    parser.add_argument("binary", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--rows", default=",".join(rows))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--best", default="-kvu", help="best flags of llama-server")
    parser.add_argument("--set", default="", help="nybble's settings, such as NYBBLE_FLASH_ATTENTION=off")
    asked = parser.parse_args()
    settings = dict(pair.split("=", 1) for pair in shlex.split(asked.set))
    setup = Setup(asked.model, asked.threads)
    bench = Bench(asked.binary, setup, asked.rounds, shlex.split(asked.best), settings)
    sys.stdout.write(f"{asked.model.name:58} {'nybble':>9} {'llama-srv':>9}   ratio (range)\n")
    for name in asked.rows.split(","):
        rows[name](bench)


if __name__ == "__main__":
    main()
