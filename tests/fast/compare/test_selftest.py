"""The self test finds what is wrong: scores that cannot be, and figures that are not llama-perplexity's."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from modelstore.errors import UserError
from runner.compare import selftest
from runner.compare.blocks import CandidateScores, ReferenceScores
from runner.compare.peer import Peer, figures_in
from runner.compare.quality import Pooled, pooled
from runner.wire.compare import Estimate
from tests.fast.compare.timing import variant

PRINTED = """
====== Perplexity statistics ======
Mean PPL(Q)                   :   9.974182 ±   0.500000
Mean PPL(base)                :   9.900000 ±   0.500000

====== KL divergence statistics ======
Mean    KLD:   0.006605 ±   0.000224
Maximum KLD:   0.200000
99.0%   KLD:   0.041000
Median  KLD:   0.004000
Minimum KLD:  -0.000001

====== Token probability statistics ======
Mean    Δp: -0.010 ± 0.030 %
RMS Δp    :  1.500 ± 0.040 %
Same top p: 96.520 ± 0.406 %
"""


def scores(kld: float = 0.01, shift: float = 0.01, seed: int = 1, tokens: int = 400) -> Pooled:
    """Eight texts on which the candidate is `shift` nats worse, on average."""
    random = np.random.default_rng(seed)
    references, candidates = [], []
    for _ in range(8):
        nll = random.exponential(2.0, tokens)
        each = np.full(tokens, kld)
        candidate = nll + shift + random.normal(0, 1e-3, tokens) * (shift != 0)
        references.append(ReferenceScores(nll, nll.astype(np.float32), nll.astype(np.float32), np.zeros(6)))
        candidates.append(CandidateScores(candidate, each, np.ones(tokens, np.bool_)))
    return pooled(references, candidates)


def changed(of: Pooled, **fields: object) -> Pooled:
    return replace(of, candidate=replace(of.candidate, **fields))  # type: ignore[arg-type]


def test_the_reference_beside_itself() -> None:
    same = scores(kld=0, shift=0)
    assert selftest.itself(same).passed
    flipped = same.candidate.same_top.copy()
    flipped[3] = False
    assert not selftest.itself(changed(same, same_top=flipped)).passed
    assert not selftest.itself(changed(same, kld=same.candidate.kld + 1e-9)).passed


def test_bounds() -> None:
    assert selftest.bounds("Q", scores()).passed
    assert not selftest.bounds("Q", scores(kld=-2e-6)).passed
    assert not selftest.bounds("Q", scores(kld=1e-6, shift=0.5)).passed  # Δp without divergence


def test_the_references_own_text() -> None:
    assert selftest.sampled("Q", scores(kld=0.01, shift=0.01)).passed
    assert not selftest.sampled("Q", scores(kld=0.01, shift=0.02)).passed


def test_the_record() -> None:
    exact = scores()
    noise = np.random.default_rng(2).normal(0, 1e-3, len(exact.candidate.kld))
    noise -= noise.mean()
    lumped = exact.candidate.kld * 0.8
    compact = changed(exact, kld=exact.candidate.kld + noise)
    assert selftest.record("Q", exact, compact, lumped).passed
    for wrong in ({"kld": exact.candidate.kld * 1.03 + noise}, {"nll": exact.candidate.nll + 1e-9}):
        assert not selftest.record("Q", exact, changed(compact, **wrong), lumped).passed
    lumped[7] = exact.candidate.kld[7] + 2e-6
    assert not selftest.record("Q", exact, compact, lumped).passed


@pytest.mark.parametrize(("flash_attention", "option"), [(None, None), (True, "on"), (False, "off")])
def test_llama_perplexity_attends_as_we_do(
    tiny_model: Path, flash_attention: bool | None, option: str | None
) -> None:
    peer = Peer(Path("llama-perplexity"), Path("text"), 512, 4, Path("folder"))
    command = peer.command(variant(tiny_model, flash_attention=flash_attention))
    assert ("-fa" in command) == (option is not None)
    assert option is None or command[command.index("-fa") + 1] == option


def test_llama_perplexity_is_a_file_here_or_a_program(tiny_model: Path, tmp_path: Path) -> None:
    peer = Peer(Path("./llama-perplexity"), Path("text"), 512, 4, Path("folder"))
    with contextlib.chdir(tmp_path):
        assert peer.command(variant(tiny_model))[0] == "llama-perplexity"
        (tmp_path / "llama-perplexity").touch()
        assert Path(peer.command(variant(tiny_model))[0]).is_absolute()


def test_llama_perplexity() -> None:
    peer = figures_in(PRINTED)
    assert [each.value for each in peer.values()] == pytest.approx(
        [9.974182, 0.006605, 0.004, 0.041, 0.015, 0.9652]
    )
    errors = [each.error for each in peer.values()]
    assert errors == pytest.approx([0.5, 0.000224, None, None, 0.0004, 0.00406])
    with pytest.raises(UserError, match="did not print median KL divergence"):
        figures_in(PRINTED.replace("Median  KLD", "Middle  KLD"))
    ours = scores()
    ppl = float(np.exp(ours.candidate.nll.mean()))
    rms = float(np.sqrt((ours.delta_p**2).mean()))

    def failed(ppl: float, *others: float) -> list[str]:
        peer = dict(zip(figures_in(PRINTED), (Estimate(value=each) for each in (ppl, *others)), strict=True))
        checks = selftest.against_peer("Q", ours, [ours.candidate], peer)
        assert len(checks) == 7
        return [check.name for check in checks if not check.passed]

    assert failed(ppl, 0.01, 0.01, 0.01, rms, 1.0) == []
    assert len(failed(ppl * 1.0002, 0.0101, 0.0102, 0.0102, rms + 2e-4, 0.998)) == 7
    # Reading the same file leaves less to differ by.
    from_file = "Q: mean KL divergence, both from its file, as llama-perplexity has it"
    assert failed(ppl, 0.01002, 0.01, 0.01, rms, 1.0) == [from_file]


def test_both_errors_are_shown() -> None:
    theirs = Estimate(value=2.0, error=0.25)
    check = selftest.close("it", Estimate(value=2.5, error=0.75, low=1, high=4), theirs, 0.5, 0.1)
    assert check.passed and check.found == "2.5 ± 0.75 here, 2 ± 0.25 by llama-perplexity, 0.5 allowed"
