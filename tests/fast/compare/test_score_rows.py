"""What rows of logits say, in lock step and by the compact record, against the formulas in 64 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from native.errors import NotFinite
from native.score import record, rows
from native.score.models import TILE_TOKENS, models_at_once, pieces
from native.score.record_file import KeptBlock, RecordFile, RecordUnusable
from native.score.workers import next_model
from runner.compare.blocks import TEMPERATURES

VOCABULARY, ROWS = 5000, 40


def logits(seed: int, spread: float = 3.0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, spread, (ROWS, VOCABULARY)).astype(np.float32)


def disturbed(original: NDArray[np.float32], by: float) -> NDArray[np.float32]:
    return original + logits(99, by)


def log_softmax(values: NDArray[np.float32], temperature: float = 1.0) -> NDArray[np.float64]:
    wide = values.astype(np.float64) / temperature
    shifted = wide - wide.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


FOLLOWING = np.arange(ROWS) * 7
SCRATCH = rows.Scratch(VOCABULARY)


def test_figures_are_those_of_the_formulas() -> None:
    p, q = logits(1), disturbed(logits(1), 0.1)
    against = rows.reference(p, FOLLOWING, SCRATCH)
    found = rows.candidate(q, FOLLOWING, against, SCRATCH)
    ln_p, ln_q = log_softmax(p), log_softmax(q)
    every = np.arange(ROWS)
    best = np.sort(ln_p, axis=1)
    assert against.nll == pytest.approx(-ln_p[every, FOLLOWING], rel=1e-6)
    assert against.margin == pytest.approx(best[:, -1] - best[:, -2], rel=1e-4, abs=1e-6)
    assert against.entropy == pytest.approx(-(np.exp(ln_p) * ln_p).sum(axis=1), rel=1e-6)
    assert found.nll == pytest.approx(-ln_q[every, FOLLOWING], rel=1e-6)
    assert found.kld == pytest.approx((np.exp(ln_p) * (ln_p - ln_q)).sum(axis=1), rel=1e-4)
    assert (found.same_top == (ln_p.argmax(axis=1) == ln_q.argmax(axis=1))).all()
    hotter = rows.divergence_at(TEMPERATURES, against, SCRATCH)
    expected = [(np.exp(ln_p) * (ln_p - log_softmax(p, t))).sum() for t in TEMPERATURES]
    assert hotter == pytest.approx(expected, rel=1e-3)


def test_large_vocabularies_lose_no_digits() -> None:
    """Of which a few tokens have nearly all probability: what 32 bits can hold, 32-bit sums may lose."""
    chance, shape = np.random.default_rng(1), (20, 49_152)
    p = (chance.normal(10, 3, shape) + 12 * (chance.random(shape) < 2e-5)).astype(np.float32)
    q = (p + chance.normal(0.7, 0.1, shape)).astype(np.float32)
    following, scratch = np.arange(20), rows.Scratch(shape[1])
    against = rows.reference(p, following, scratch)
    found = rows.candidate(q, following, against, scratch)
    ln_p, ln_q = log_softmax(p), log_softmax(q)
    assert found.kld == pytest.approx((np.exp(ln_p) * (ln_p - ln_q)).sum(axis=1), abs=8e-8)
    (hotter,) = rows.divergence_at((1.01,), against, scratch)
    assert hotter == pytest.approx((np.exp(ln_p) * (ln_p - log_softmax(p, 1.01))).sum(), rel=6e-5)


@pytest.mark.parametrize("by", [5.0, -30.0])
def test_what_all_logits_are_moved_by_changes_nothing(by: float) -> None:
    p, q = logits(1), disturbed(logits(1), 0.03)
    against = rows.reference(p, FOLLOWING, SCRATCH)
    found = rows.candidate(q + np.float32(by), FOLLOWING, against, SCRATCH)
    ln_p, ln_q = log_softmax(p), log_softmax(q)
    assert found.kld == pytest.approx((np.exp(ln_p) * (ln_p - ln_q)).sum(axis=1), rel=2e-3, abs=1e-6)


def test_equal_logits_differ_by_exactly_nothing() -> None:
    p = logits(2)
    against = rows.reference(p, FOLLOWING, SCRATCH)
    kept = record.keep(against, SCRATCH, seed=1)
    found = rows.candidate(p.copy(), FOLLOWING, against, SCRATCH)
    compact = record.compare(p.copy(), FOLLOWING, kept, SCRATCH)
    nothing = (found.kld, compact.lumped, compact.steady, compact.light)
    assert all((values == 0).all() for values in nothing)
    assert found.same_top.all() and compact.same_top.all()
    assert (found.nll == against.nll).all() and (compact.nll == against.nll).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(bad: float) -> None:
    p, q = logits(3), logits(4)
    kept = record.keep(rows.reference(p, FOLLOWING, SCRATCH), SCRATCH, seed=1)
    against = rows.reference(p, FOLLOWING, SCRATCH)
    # A place that the record keeps: minus infinity elsewhere makes the tail's probability no worse.
    q[5, kept["ids"][5, 3]] = bad
    with pytest.raises(NotFinite):
        rows.candidate(q, FOLLOWING, against, SCRATCH)
    with pytest.raises(NotFinite):
        record.compare(q, FOLLOWING, kept, SCRATCH)


@pytest.mark.parametrize("by", [0.05, 0.3, 1.0])
def test_the_record_is_unbiased_and_never_above_by_lumping(by: float) -> None:
    """Flat distributions, most of whose mass is in the tail: the hardest for it."""
    p = logits(5, 1.5)
    q = disturbed(p, by)
    against = rows.reference(p, FOLLOWING, SCRATCH)
    exact = rows.candidate(q, FOLLOWING, against, SCRATCH)
    steady, light = [], []
    for seed in range(40):
        kept = record.keep(rows.reference(p, FOLLOWING, SCRATCH), SCRATCH, seed)
        found = record.compare(q, FOLLOWING, kept, SCRATCH)
        assert (found.nll == exact.nll).all() and (found.same_top == exact.same_top).all()
        assert (found.lumped <= exact.kld + 1e-6).all() and (found.steady >= 0).all()
        steady.append((found.lumped + found.steady - exact.kld).mean())
        light.append((found.lumped + found.light - exact.kld).mean())
    for gaps in (np.array(steady), np.array(light)):
        assert abs(gaps.mean()) < 3.5 * gaps.std(ddof=1) / len(gaps) ** 0.5
    assert np.std(steady) < 0.05 * exact.kld.mean()


def test_a_token_of_the_record_takes_less_than_a_kilobyte() -> None:
    assert record.ROW.itemsize <= 1024


def test_a_block_is_read_in_pieces_without_gap() -> None:
    for length, first_output in ((512, 256), (1024, 63), (70, 0), (1, 0), (700, 699), (512, 255)):
        found = list(pieces(length, first_output, most_outputs=128))
        assert [piece.start for piece in found[1:]] == [piece.end for piece in found[:-1]]
        assert (found[0].start, found[-1].end) == (0, length)
        assert sum(piece.outputs for piece in found) == length - first_output
        assert all(piece.outputs <= 128 and piece.end - piece.start <= 256 for piece in found)
        assert all(piece.start % TILE_TOKENS == 0 for piece in found)


@pytest.mark.parametrize("lanes", [1, 2, 3, 6])
def test_models_go_on_alone_but_no_further_than_copies_of_the_reference_reach(lanes: int) -> None:
    pieces_of_block, seconds = 4, [1.0, 1.1, 2.5, 0.7, 0.9, 1.0]
    begun, finished = [0] * 6, [0] * 6
    ends_at: dict[int, float] = {}
    now = 0.0
    while min(finished) < pieces_of_block:
        while (model := next_model(begun, finished, pieces_of_block, seconds)) is not None:
            if len(ends_at) == lanes:
                break
            # The copy that this one makes, or needs, is there and not yet another's.
            assert begun[model] < begun[0] if model else begun[0] < min(finished) + 2
            ends_at[model] = now + seconds[model]
            begun[model] += 1
        first = min(ends_at, key=lambda each: ends_at[each])
        now = ends_at.pop(first)
        finished[first] += 1
    least = max(sum(seconds) / lanes, max(seconds)) * pieces_of_block
    assert now <= 1.1 * least


def test_models_share_threads() -> None:
    at_once = {(6, 2): 2, (3, 2): 1, (1, 8): 1, (6, 8): 2, (6, 6): 6, (2, 8): 2, (9, 1): 1}
    assert {case: models_at_once(*case) for case in at_once} == at_once


def block(seed: int) -> KeptBlock:
    return KeptBlock(record.keep(rows.reference(logits(seed), FOLLOWING, SCRATCH), SCRATCH, seed), [0.5])


def test_a_record_survives_a_killed_writer(tmp_path: Path) -> None:
    path = tmp_path / "reference.record"
    writer = RecordFile(path, [1.1], "vocabulary")
    writer.append(0, [1, 2, 3], 1, block(1))
    whole = path.stat().st_size
    writer.append(1, [4, 5, 6], 1, block(2))
    for cut in (path.stat().st_size - 1, whole + 10):
        with path.open("r+b") as stream:
            stream.truncate(cut)
        again = RecordFile(path, [1.1], "vocabulary")
        assert (again.read(0, [1, 2, 3], 1).rows == block(1).rows).all()
        with pytest.raises(RecordUnusable, match="no block 1"):
            again.read(1, [4, 5, 6], 1)
        again.append(1, [4, 5, 6], 1, block(2))
        assert (again.read(1, [4, 5, 6], 1).rows == block(2).rows).all()


def test_a_record_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "reference.record"
    RecordFile(path, [1.1], "vocabulary").append(0, [1, 2, 3], 1, block(1))
    with pytest.raises(RecordUnusable, match="another vocabulary"):
        RecordFile(path, [1.1], "another")
    for tokens, first_scored in (([1, 2, 4], 1), ([1, 2, 3], 2)):
        with pytest.raises(RecordUnusable, match="of these tokens"):
            RecordFile(path, [1.1], "vocabulary").read(0, tokens, first_scored)
    for damaged in (b"\x93NUMPY", b"[]\n"):
        path.write_bytes(damaged)
        with pytest.raises(RecordUnusable, match="damaged"):
            RecordFile(path, [1.1], "vocabulary")
