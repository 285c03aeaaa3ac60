"""llama-perplexity's file of distributions, written here byte by byte: read as it is meant, or refused."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import pytest

from native.score import rows
from native.score.logits_file import LogitsFile
from native.score.record_file import RecordUnusable
from native.score.workers import Block, Places

VOCABULARY, LENGTH = 2001, 6
TOKENS = [[3, 1, 4, 1, 0, 2], [2, 0, 3, 3, 1, 4]]
# Of both chunks, what is said behind positions 3 and 4: scale, least, steps. The last is sure of one token.
STEPS = np.random.default_rng(2).integers(0, 65_536, (3, VOCABULARY)).tolist()
SURE = [65_535 * (token == 4) for token in range(VOCABULARY)]
ROWS = [
    [(1e-4, -11.0, STEPS[0]), (2e-5, -8.5, STEPS[1])],
    [(0.0, -math.log(VOCABULARY), STEPS[2]), (16 / 65_535, -16.01, SURE)],
]


def written(path: Path) -> Path:
    parts = [b"_logits_", struct.pack("<3i", LENGTH, VOCABULARY, len(TOKENS))]
    parts += [struct.pack("<6i", *chunk) for chunk in TOKENS]
    for scale, least, steps in (row for chunk in ROWS for row in chunk):
        # One more, for an even number.
        parts.append(struct.pack(f"<2f{VOCABULARY + 1}H", scale, least, *steps, 999))
    path.write_bytes(b"".join(parts))
    return path


def places(index: int, first: int, count: int, logits: rows.Rows) -> Places:
    following = np.array(TOKENS[index][4 + first : 4 + first + count], np.intp)
    return Places(Block(index, TOKENS[index], 4), logits, logits, following, first, rows.Scratch(VOCABULARY))


@pytest.mark.parametrize(("index", "first", "count"), [(0, 0, 2), (1, 0, 1), (1, 1, 1)])
def test_divergence_is_from_the_stored_distributions(
    tmp_path: Path, index: int, first: int, count: int
) -> None:
    """What is stored need not add up to 1, and what is not above -16 counts as nothing."""
    logits = np.random.default_rng(1).normal(7, 2, (count, VOCABULARY)).astype(np.float32)
    at = places(index, first, count, logits)
    file = LogitsFile(written(tmp_path / "base"), VOCABULARY, [])
    file.check(at.block)
    found = file.candidate(at)
    for row in range(count):
        ln_q = logits[row].astype(np.float64)
        ln_q -= np.log(np.exp(ln_q).sum())
        scale, least, steps = ROWS[index][first + row]
        ln_p = scale * np.array(steps) + least
        terms = np.where(ln_p > -16, np.exp(ln_p) * (ln_p - ln_q), 0)
        assert found.kld[row] == pytest.approx(terms.sum(), rel=1e-5)
        assert found.nll[row] == pytest.approx(-ln_q[at.following[row]], rel=1e-6)
        assert found.same_top[row] == (ln_q.argmax() == ln_p.argmax())


def test_texts_begin_as_the_vocabulary_has_it(tmp_path: Path) -> None:
    """The file holds the tokens of the text, of which llama-perplexity replaces the first of each chunk."""
    file = LogitsFile(written(tmp_path / "base"), VOCABULARY, [4])
    file.check(Block(1, [4, *TOKENS[1][1:]], 4))
    with pytest.raises(RecordUnusable, match="other tokens than block 1"):
        file.check(Block(1, TOKENS[1], 4))


def test_other_tokens_are_refused(tmp_path: Path) -> None:
    file = LogitsFile(written(tmp_path / "base"), VOCABULARY, [])
    for index, tokens, first_scored in ((1, TOKENS[0], 4), (0, TOKENS[0], 3), (2, TOKENS[0], 4)):
        with pytest.raises(RecordUnusable, match=f"other tokens than block {index}"):
            file.check(Block(index, tokens, first_scored))


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "base")
    whole = path.read_bytes()
    with pytest.raises(RecordUnusable, match="another vocabulary: it has 2001 tokens, and the model's 6"):
        LogitsFile(path, 6, [])
    for cut in (whole[:-1], whole + b"\0", whole[:40], whole[:14], whole[:8]):
        path.write_bytes(cut)
        with pytest.raises(RecordUnusable, match="damaged"):
            LogitsFile(path, VOCABULARY, [])
    # No chunks, chunks of a negative length, of so many that no file has them; a scale that is no number.
    changed = ((16, 0, "<i"), (8, -6, "<i"), (16, 2**31 - 1, "<i"), (68, math.nan, "<f"), (68, 9.0, "<f"))
    for offset, value, form in changed:
        damaged = bytearray(whole)
        struct.pack_into(form, damaged, offset, value)
        path.write_bytes(damaged)
        with pytest.raises(RecordUnusable, match="damaged"):
            LogitsFile(path, VOCABULARY, [])
    for other in (b"", b"_logits", b"GGUF" + whole):
        path.write_bytes(other)
        with pytest.raises(RecordUnusable, match="does not begin with _logits_"):
            LogitsFile(path, VOCABULARY, [])
