"""Importance matrices: collected for real, checked by independent arithmetic, and put to use."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import gguf
import numpy as np
import pytest
from numpy.typing import NDArray

from modelstore.conversion import Conversion, Recipe
from modelstore.errors import Unusable
from modelstore.gguf import read_header
from modelstore.header import Header
from modelstore.imatrix import Reading, collect
from modelstore.progress import Progress
from runner.compare.blocks import Window
from runner.compare.corpus import fixed_blocks
from runner.compare.fit.passages import halves
from runner.compare.quality import kld_mean
from runner.compare.scoring import Scorer
from runner.compare.variant import Engine, Variant
from tests.kinds_gguf import write_kind

CHUNKS = [[(7 * index + 300 * chunk) % 8000 + 5 for index in range(64)] for chunk in range(3)]


def ignore(_progress: Progress) -> None:
    pass


def tensors(file: Path) -> dict[str, NDArray[np.float32]]:
    """As another reader sees them."""
    return {str(each.name): np.array(each.data) for each in gguf.GGUFReader(file).tensors}


def header_of(file: Path) -> Header:
    with file.open("rb") as stream:
        return read_header(stream, file.stat().st_size)


def make(source: Path, destination: Path, recipe: Recipe) -> Path:
    conversion = Conversion(source, header_of(source), destination, recipe)
    conversion.run(ignore, lambda _needed_bytes: None, Event())
    return destination


@pytest.fixture(scope="module")
def matrix(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("imatrix") / "deep" / "tiny.imatrix.gguf"
    seen: list[Progress] = []
    made = collect(
        tiny_model, Reading(("a text",), chunks=CHUNKS, chunk_tokens=64), file, seen.append, Event()
    )
    assert (made.file, made.tensors, made.chunks) == (file, 42, 3)
    assert [(each.completed, each.total) for each in seen] == [(1, 3), (2, 3), (3, 3)]
    assert [each.name for each in file.parent.iterdir()] == [file.name]
    return file


def test_sums_are_those_of_independent_arithmetic(tiny_model: Path, matrix: Path) -> None:
    """What goes into the first layer's attention is the normalized embedding: numpy can do that too."""
    weights, found = tensors(tiny_model), tensors(matrix)
    embedded = weights["token_embd.weight"].astype(np.float64)[np.concatenate(CHUNKS)]
    rms = np.sqrt(np.square(embedded).mean(axis=1, keepdims=True) + 1e-5)
    inputs = embedded / rms * weights["blk.0.attn_norm.weight"]
    for name in ("attn_q", "attn_k", "attn_v"):
        sums = found[f"blk.0.{name}.weight.in_sum2"].ravel()
        assert sums == pytest.approx(np.square(inputs).sum(axis=0), rel=1e-3)
        assert found[f"blk.0.{name}.weight.counts"].ravel() == [192]
    # The last layer too, which llama.cpp computes only for tokens whose logits are wanted.
    assert found["blk.5.ffn_down.weight.counts"].ravel() == [192]


def test_the_file_says_what_llama_cpp_wants_to_know(matrix: Path) -> None:
    fields = gguf.GGUFReader(matrix).fields
    said = {name: fields[name].contents() for name in fields if name.startswith(("general", "imatrix"))}
    assert said == {
        "general.type": "imatrix",
        "imatrix.datasets": ["a text"],
        "imatrix.chunk_count": 3,
        "imatrix.chunk_size": 64,
    }


def test_experts_are_told_apart(tmp_path: Path) -> None:
    """The router sees the same input as the experts, each of which sees the tokens routed to it."""
    model = write_kind(tmp_path / "experts.gguf", "experts")
    chunks = [[3 + (5 * index + chunk) % 250 for index in range(40)] for chunk in range(2)]
    made = collect(
        model, Reading(("",), chunks=chunks, chunk_tokens=40), tmp_path / "m.gguf", ignore, Event()
    )
    found = tensors(made.file)
    used = header_of(model).integer("{}.expert_used_count") or 0
    counts = found["blk.0.ffn_up_exps.weight.counts"].ravel()
    assert len(counts) == 4 and counts.sum() == used * 80 and counts.min() > 0
    # Its rows are normalized: the squares of each add up to the number of columns.
    sums = found["blk.0.ffn_up_exps.weight.in_sum2"]
    assert sums.sum(axis=1) == pytest.approx(counts * sums.shape[1], rel=1e-3)
    routed = sums.sum(axis=0)
    assert routed == pytest.approx(used * found["blk.0.ffn_gate_inp.weight.in_sum2"].ravel(), rel=1e-3)


def test_two_jobs_may_collect_the_same_at_once(tiny_model: Path, tmp_path: Path) -> None:
    reading, file = Reading(("a text",), chunks=CHUNKS, chunk_tokens=64), tmp_path / "m.gguf"

    def again(progress: Progress) -> None:
        if progress.completed == progress.total:
            collect(tiny_model, reading, file, ignore, Event())

    assert collect(tiny_model, reading, file, again, Event()).chunks == len(CHUNKS)
    assert [each.name for each in tmp_path.iterdir()] == [file.name]


def test_types_that_need_one_are_made_with_it(tiny_model: Path, tmp_path: Path) -> None:
    tiny_model = tiny_model.with_name("nybble-tiny-draft-f16.gguf")  # a layer of which is searched sooner
    reading = Reading(("a text",), chunks=CHUNKS, chunk_tokens=64)
    matrix = collect(tiny_model, reading, tmp_path / "m.gguf", ignore, Event()).file
    with pytest.raises(Unusable, match="needs an importance matrix") as refusal:
        make(tiny_model, tmp_path / "without.gguf", Recipe("IQ2_XS"))
    assert "--imatrix auto" in (refusal.value.hint or "")
    header = header_of(make(tiny_model, tmp_path / "made.gguf", Recipe("IQ2_XS", matrix)))
    assert header.quantization == "IQ2_XS"
    assert header.metadata["quantize.imatrix.file"] == matrix.name
    assert header.metadata["quantize.imatrix.dataset"] == "a text"
    assert header.metadata["quantize.imatrix.entries_count"] == 7
    assert header.metadata["quantize.imatrix.chunks_count"] == 3


def test_what_is_no_importance_matrix_is_refused(tiny_model: Path, matrix: Path, tmp_path: Path) -> None:
    short, broken = tmp_path / "short.gguf", tmp_path / "broken.gguf"
    short.write_bytes(matrix.read_bytes()[:-60_000])
    data = bytearray(matrix.read_bytes())
    data[-40_000:-39_996] = np.float32(np.nan).tobytes()
    broken.write_bytes(data)
    for file, reason in (
        (tiny_model, "no importance matrix"),
        (short, "ends inside|no GGUF"),
        (broken, "no sums of squares"),
    ):
        with pytest.raises(Unusable, match=reason):
            make(tiny_model, tmp_path / "out.gguf", Recipe("Q2_K", file))
    with pytest.raises(Unusable, match="too short for one chunk"):
        collect(tiny_model, Reading(("",), "A few words."), tmp_path / "no.gguf", ignore, Event())
    assert not (tmp_path / "no.gguf").exists() and not (tmp_path / "no.partial").exists()


def test_it_makes_small_types_better_on_other_texts(tiny_model: Path, tmp_path: Path) -> None:
    def variant(path: Path) -> Variant:
        return Variant(path.stem, path, "", path.stat().st_size, None, Engine(256, 1, 0))

    record = tmp_path / "record"
    with Scorer.running(variant(tiny_model), (), record, Event()) as scorer:
        calibration, held_out = halves(fixed_blocks(scorer, Window(256, 32), 10))
        list(scorer.score_all(held_out))
    reading = Reading(("half",), chunks=[each.tokens for each in calibration], chunk_tokens=256)
    matrix = collect(tiny_model, reading, tmp_path / "m.gguf", ignore, Event()).file
    for label, share in (("Q2_K", 0.95), ("Q3_K_S", 1.0)):
        found = []
        for recipe in (Recipe(label), Recipe(label, matrix)):
            file = make(tiny_model, tmp_path / "candidate.gguf", recipe)
            with Scorer.running(None, (variant(file),), record, Event()) as scorer:
                scored = scorer.score_all(held_out)
                found.append(kld_mean([each.candidates[0] for each in scored]).value or 0.0)
        assert found[1] < share * found[0], label
