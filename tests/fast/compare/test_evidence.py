"""What is kept comes back, to the last bit, and only for the very same key."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from modelstore.errors import NybbleError, Unusable
from runner.compare.blocks import TEMPERATURES, CandidateScores, ReferenceScores
from runner.compare.evidence import Evidence, Key
from runner.compare.stored_scores import decode, encode
from runner.compare.variant import Engine
from runner.errors import ComparisonNotFound
from tests.comparisons import example

_ENGINE = Engine(context_length=4096, threads=2, gpu_layers=0)
_KEY = Key("scores", "stream", "sha256:r", _ENGINE, None, "0c1e57098", "cpu", "sha256:c", _ENGINE)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "evidence.sqlite3"


@pytest.fixture
def evidence(file: Path) -> Iterator[Evidence]:
    evidence = Evidence(file)
    yield evidence
    evidence.close()


def scores(tokens: int, seed: int) -> tuple[ReferenceScores, CandidateScores]:
    chance = np.random.default_rng(seed)
    small = chance.gamma(1.0, 2.0, (2, tokens)).astype(np.float32)
    reference = ReferenceScores(
        chance.gamma(1.0, 2.0, tokens), small[0], small[1], chance.random(len(TEMPERATURES))
    )
    kld = np.where(chance.random(tokens) < 0.1, 0.0, chance.gamma(0.3, 0.05, tokens))
    return reference, CandidateScores(reference.nll + 1e-9, kld, chance.random(tokens) < 0.9)


@pytest.mark.parametrize("tokens", [1, 7, 8, 960])
def test_scores_come_back_to_the_last_bit(tokens: int) -> None:
    given = scores(tokens, seed=tokens)
    for before, after in zip(given, decode(encode(*given)), strict=True):
        for field in fields(before):
            one, other = getattr(before, field.name), getattr(after, field.name)
            same = one is other is None or (one.dtype == other.dtype and np.array_equal(one, other))
            assert same, field.name


def test_a_quick_comparison_takes_little_room(evidence: Evidence, file: Path) -> None:
    for candidate in range(5):
        key = replace(_KEY, candidate=f"sha256:{candidate}")
        for block in range(16):
            evidence.keep_piece(key, block, encode(*scores(960, seed=block)))
    evidence.close()
    assert file.stat().st_size < 4_000_000


@pytest.mark.parametrize("damage", [b"", b"\x01", b"\x02\x00\x00\x00\x00", b"\x01\x04\x00\x00\x00nonsense"])
def test_damaged_scores_are_named(damage: bytes) -> None:
    with pytest.raises(NybbleError, match="damaged"):
        decode(damage)
    whole = encode(*scores(9, seed=1))
    with pytest.raises(NybbleError, match="damaged"):
        decode(whole[:1] + b"\x0a" + whole[2:])


@pytest.mark.parametrize("name", [field.name for field in fields(Key)])
def test_another_key_finds_nothing(evidence: Evidence, name: str) -> None:
    evidence.keep_piece(_KEY, 3, b"three")
    other: object = replace(_ENGINE, kv_type_k="q8_0") if name.endswith("settings") else "other"
    assert evidence.pieces(replace(_KEY, **{name: other})) == {}
    assert evidence.pieces(_KEY) == {3: b"three"}


def test_what_was_kept_first_stays_over_a_restart(evidence: Evidence, file: Path) -> None:
    for number in (2, -1, 0, 2):
        evidence.keep_piece(_KEY, number, f"{number}".encode())
    evidence.keep_piece(_KEY, 0, b"another")
    evidence.close()
    again = Evidence(file)
    assert list(again.pieces(_KEY).items()) == [(-1, b"-1"), (0, b"0"), (2, b"2")]
    again.close()


def test_comparisons_are_listed_newest_first(evidence: Evidence) -> None:
    first = evidence.keep(example().model_copy(update={"id": None, "seconds": None}))
    second = evidence.keep(example().model_copy(update={"id": None, "recommendation": None}))
    infos = evidence.comparisons()
    assert [(info.id, info.choice, info.is_finished) for info in infos] == [
        (second, None, True), (first, "Q5_K_M", False),
    ]  # fmt: skip
    assert infos[0].variants[:2] == ["F16", "Q8_0"]
    assert evidence.comparison(first) == example().model_copy(update={"id": first, "seconds": None})


def test_one_that_cannot_be_read_is_named_and_the_rest_is_listed(evidence: Evidence, file: Path) -> None:
    first, second = (evidence.keep(example().model_copy(update={"id": None})) for _ in range(2))
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("UPDATE comparison SET info = '{\"id\": 0}', content = '{}' WHERE id = ?", (second,))
    unreadable, readable = evidence.comparisons()
    assert (readable.id, readable.problem) == (first, None) and readable.choice == "Q5_K_M"
    assert unreadable.id == second and f"comparison {second} cannot be read" in (unreadable.problem or "")
    with pytest.raises(Unusable, match=f"comparison {second} cannot be read: created_at"):
        evidence.comparison(second)


def test_an_unknown_comparison_is_named(evidence: Evidence) -> None:
    with pytest.raises(ComparisonNotFound, match="no comparison 99"):
        evidence.comparison(99)


def test_two_read_while_one_writes(file: Path) -> None:
    """Each with a connection of its own, all beginning with a file that is not there yet."""

    def write(_: int) -> int:
        writer = Evidence(file)
        for block in range(40):
            writer.keep_piece(_KEY, block, bytes([block]) * 2000)
        writer.close()
        return 40

    def read(_: int) -> int:
        reader, seen = Evidence(file), 0
        while seen < 40:
            found = reader.pieces(_KEY)
            assert found == {block: bytes([block]) * 2000 for block in range(len(found))}
            assert len(found) >= seen
            seen = len(found)
        reader.close()
        return seen

    with ThreadPoolExecutor(3) as pool:
        tasks = [pool.submit(work, 0) for work in (write, read, read)]
        assert [task.result(timeout=60) for task in tasks] == [40, 40, 40]
