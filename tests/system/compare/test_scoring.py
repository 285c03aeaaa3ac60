"""Real models scored in a child: what must hold, what must agree, and what must be refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from modelstore.errors import Unusable
from modelstore.gguf import read_header
from modelstore.progress import Cancelled
from runner.compare.blocks import Block
from runner.compare.scoring import Scorer
from runner.compare.selftest_run import SelfTest
from runner.compare.variant import Engine, Variant
from tests.tiny_gguf import write_model

TEXT = "NAME\n    cat - concatenate files and print on the standard output\n\nSYNOPSIS\n    cat [OPTION]... "


def variant(path: Path, name: str) -> Variant:
    return Variant(name, path, "sha256:0", path.stat().st_size, None, Engine(512, 1, 0))


def test_everything_that_must_hold_of_scores_holds(tiny_model: Path) -> None:
    said: list[str] = []
    test = SelfTest(variant(tiny_model, "tiny"), None, said.append, Event())
    checks = list(test.checks())
    assert [(check.name, check.found) for check in checks if not check.passed] == []
    assert sum("compact record" in check.name for check in checks) == 4
    assert "making Q4_0" in said


def test_sampling_and_answers(tiny_model: Path) -> None:
    model = variant(tiny_model, "tiny")
    with Scorer.running(model, [model], None, Event()) as scorer:
        prompt = scorer.tokenize(TEXT, add_special=True, parse_special=False)
        assert b"".join(scorer.pieces(prompt)).decode() == TEXT
        ((first,), (again,), (other,)) = (scorer.sampled([prompt], 12, [seed]) for seed in (1, 1, 2))
        assert first == again != other and len(first) == 12
        together = scorer.sampled([prompt, prompt[:9]], 12, [1, 2])
        assert [len(answer) for answer in together] == [12, 12]
        steps = [[len(answer) for answer in said] for said in scorer.sample([prompt] * 2, 3, [1, 2])]
        assert steps == [[1, 1], [2, 2], [3, 3]]
        # Gone on with, it draws what it would have drawn.
        *_, resumed = scorer.sample([prompt, prompt[:9]], 12, [1, 2], begun=[together[0][:5], together[1]])
        assert resumed == together
        ((reference, candidate), short) = scorer.answer([prompt, prompt[:9]], [8, 3])
        assert reference == candidate and len(reference.tokens) == 8
        assert [len(answer.tokens) for answer in short] == [3, 3]
        assert list(reference.tokens) == [step[0][0] for step in reference.top]
        assert all(step[0][1] >= step[1][1] >= step[2][1] for step in reference.top)
        # What it wrote greedily is its first choice when it is read, too.
        block = Block(0, "prose", (*prompt, *reference.tokens), len(prompt), 1)
        scored = next(scorer.score_all([block]))
        assert scored.reference.nll == pytest.approx([-step[0][1] for step in reference.top], abs=1e-3)


def test_models_that_go_on_to_the_next_block_say_what_they_say_of_it_alone(tiny_model: Path) -> None:
    model = replace(variant(tiny_model, "tiny"), engine=Engine(512, 2, 0))
    with Scorer.running(model, [model, model], None, Event()) as scorer:
        tokens = scorer.tokenize(TEXT * 40, add_special=True, parse_special=False)
        lengths = ((300, 64), (70, 1), (20, 19), (510, 255))
        blocks = [
            Block(index, "prose", tuple(tokens[index : index + length]), first_scored, 1)
            for index, (length, first_scored) in enumerate(lengths)
        ]
        for block, together in zip(blocks, scorer.score_all(blocks), strict=True):
            assert [len(each.kld) for each in together.candidates] == [block.scored_tokens] * 2
            assert all((each.nll == together.reference.nll).all() for each in together.candidates)
        in_one_go = list(scorer.score_all(blocks))
        for block, together in zip(blocks, in_one_go, strict=True):
            assert (next(scorer.score_all([block])).reference.nll == together.reference.nll).all()


def test_another_vocabulary_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    other = variant(write_model(tmp_path / "other.gguf"), "Q4_K_M")
    with (
        pytest.raises(Unusable, match="Q4_K_M has another vocabulary than tiny") as refused,
        Scorer.running(variant(tiny_model, "tiny"), [other], None, Event()),
    ):
        pass
    assert "Bits per byte" in (refused.value.hint or "")


def test_a_corrupt_file_is_refused_by_name(tiny_model: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(tiny_model.read_bytes()[:5_000_000])
    with (
        pytest.raises(Unusable, match=r"Q4_K_M: .*tensor"),
        Scorer.running(variant(tiny_model, "tiny"), [variant(cut, "Q4_K_M")], None, Event()),
    ):
        pass


def test_a_model_that_makes_no_numbers_is_refused_by_name(tiny_model: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    shutil.copy(tiny_model, broken)
    with broken.open("r+b") as stream:
        header = read_header(stream, broken.stat().st_size)
        norm = next(tensor for tensor in header.tensors if tensor.name == "output_norm.weight")
        stream.seek(header.data_offset + norm.offset)
        stream.write(np.full(1, np.nan, np.float32).tobytes())
    with Scorer.running(variant(tiny_model, "tiny"), [variant(broken, "Q2_K")], None, Event()) as scorer:
        tokens = scorer.tokenize(TEXT, add_special=True, parse_special=False)
        with pytest.raises(Unusable, match=r"Q2_K: .*not numbers"):
            next(scorer.score_all([Block(0, "prose", tuple(tokens), 2, 1)]))


def test_a_record_has_no_other_blocks(tiny_model: Path, tmp_path: Path) -> None:
    model, record = variant(tiny_model, "tiny"), tmp_path / "reference.record"
    block = Block(0, "prose", tuple(range(20)), 4, 1)
    with Scorer.running(model, [], record, Event()) as scorer:
        scored = next(scorer.score_all([block]))
        assert scored.candidates == ()
    with Scorer.running(None, [model], record, Event()) as scorer:
        again = next(scorer.score_all([block]))
        assert (again.reference.entropy == scored.reference.entropy).all()
        assert (again.candidates[0].kld == 0).all()
        with pytest.raises(Unusable, match="no block 0 of these tokens"):
            next(scorer.score_all([Block(0, "prose", tuple(range(1, 21)), 4, 1)]))


def test_models_beside_a_file_that_llama_perplexity_wrote(tiny_model: Path, tmp_path: Path) -> None:
    """The file is sure of the token that follows: divergence from it is -ln q of that token."""
    model, base = variant(tiny_model, "tiny"), tmp_path / "base.logits"
    with Scorer.running(None, [model, model], None, Event()) as scorer:
        tokens = scorer.tokenize(TEXT * 10, add_special=True, parse_special=False)[:200]
        size = scorer.loaded[0].vocabulary_size
        blocks = [Block(index, "prose", tuple(tokens[index * 100 :][:100]), 51, 1) for index in range(2)]
        sure = np.zeros(98, [("scale", "<f4"), ("least", "<f4"), ("steps", "<u2", size + size % 2)])
        following = [token for block in blocks for token in block.tokens[block.first_scored :]]
        sure["scale"], sure["least"] = 20 / 65_535, -20
        sure["steps"][np.arange(98), following] = 65_535
        head = b"_logits_" + np.array([100, size, 2, *tokens], "<i4").tobytes()
        base.write_bytes(head + sure.tobytes())
        for candidates in scorer.score_beside_file(base, blocks):
            assert len(candidates) == 2 and len(candidates[0].kld) == 49
            assert all(each.kld == pytest.approx(each.nll, abs=1e-5) for each in candidates)
        with pytest.raises(Unusable, match="llama-perplexity's file has other tokens than block 0"):
            list(scorer.score_beside_file(base, [replace(blocks[1], index=0)]))


def test_where_there_is_a_gpu_single_tokens_are_noise_too(tiny_model: Path) -> None:
    """They take other kernels, also on processors, which are not asked: what they read they read alike."""
    floors = []
    for gpu_layers in (0, -1):
        model = replace(variant(tiny_model, "tiny"), engine=Engine(512, 1, gpu_layers))
        with Scorer.running(model, [], None, Event()) as scorer:
            floors.append(scorer.noise_floor(Block(0, "prose", tuple(range(128)), 64, 1)).kld.mean())
    assert abs(floors[0]) < 1e-9 < floors[1]


def test_stopping(tiny_model: Path) -> None:
    cancelled = Event()
    with Scorer.running(variant(tiny_model, "tiny"), [], None, cancelled) as scorer:
        cancelled.set()
        with pytest.raises(Cancelled):
            for index in range(1000):
                next(scorer.score_all([Block(index, "prose", tuple(range(500)), 4, 1)]))
