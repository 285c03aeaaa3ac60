"""A mixture for a size, made and measured for real; and what the command line makes of it all."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from modelstore.gguf import read_header
from runner.compare.fit.mixture import Mixing
from runner.compare.fit.order import Order, Plan
from runner.compare.fit.recipe import recipe, sentences
from runner.compare.fit.workshop import Workshop
from tests.commands import nybble_here
from tests.daemons import Daemon

BUDGET_BYTES = 2_330_000
SMALL = Plan(chunks=4, probe_blocks=2, parts=1, rows=8, types=("IQ4_XS", "Q5_K", "Q6_K", "Q8_0"))


@pytest.fixture
def shared(daemon: Daemon, tiny_model: Path) -> Daemon:
    daemon.add_model(tiny_model, "tiny")
    return daemon


def test_a_mixture_fills_its_size_and_is_judged_on_other_texts(tiny_model: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    tiny_model = tiny_model.with_name("nybble-tiny-draft-f16.gguf")
    order = Order(
        tiny_model,
        "sha256:0",
        tmp_path / "made",
        work,
        "fit",
        "quick",
        1,
        0,
        budget_bytes=BUDGET_BYTES,
        min_tps=1,
    )
    with tiny_model.open("rb") as stream:
        header = read_header(stream, tiny_model.stat().st_size)
    events: list[dict[str, Any]] = []
    mixed = Mixing(Workshop(order, header, events.append, Event()), SMALL, BUDGET_BYTES).run()

    mixture, *stock = mixed.tried
    size_bytes = mixture.file.stat().st_size
    assert 0.98 * BUDGET_BYTES <= size_bytes <= BUDGET_BYTES
    assert [each.recipe.label for each in stock] == ["IQ4_XS", "IQ4_XS"]
    assert all(each.file.stat().st_size <= BUDGET_BYTES for each in stock)
    with mixture.file.open("rb") as stream:
        made = {tensor.name: tensor.type for tensor in read_header(stream, size_bytes).tensors}
    assert {name: made[name] for name in mixed.kinds} == mixed.kinds
    assert len(set(mixed.kinds.values())) >= 2, "types are mixed"
    # What was expected from errors and probes is about what came out.
    assert mixed.expected_kld == pytest.approx(mixture.kld, rel=0.5)
    assert mixture.kld < min(each.kld for each in stock)
    # Fewer texts than prove anything: better by luck or not, stock is kept.
    assert mixed.kept in (stock if not mixed.verdict.keeps_mixture else [mixture])
    assert mixed.verdict.keeps_mixture == (mixed.verdict.z["texts of all kinds"] >= 3)
    assert set(mixed.verdict.z) == {"texts of all kinds", "its own continuations"}
    assert mixed.decode_tps is not None and mixed.decode_tps > 1

    kept = json.loads(json.dumps(recipe(order, mixed)))
    assert kept["mixture"] == mixed.kinds and set(kept["measured"]) == {each.name for each in mixed.tried}
    lines = sentences(order, mixed)
    assert len(lines) == 5 and "on its own continuations" in lines[0] and "decodes" in lines[-1]
    assert {event["phase"] for event in events} >= {"trying types", "probing", "timing types", "scoring"}


def test_an_importance_matrix_from_the_command_line_and_used(shared: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "mine.gguf"
    made = nybble_here("imatrix", "tiny", "--chunks", "2", "-o", str(file), "--json")
    assert made.code == 0, made.stderr
    assert "reading for the importance matrix 50% of 2" in made.stderr
    answer = json.loads(made.stdout)
    assert (answer["file"], answer["notes"]) == (str(file), ["42 matrices in 2 chunks of text"])
    quantized = nybble_here("quantize", "tiny", "Q2_K_S", "--imatrix", str(file))
    assert quantized.code == 0, quantized.stderr
    assert "with an importance matrix" in nybble_here("show", "tiny:q2_k_s").stdout


def test_leaving_layers_out_is_measured_and_called_an_experiment(shared: Daemon) -> None:
    pruned = nybble_here(
        "quantize", "tiny", "F16", "--prune-layers", "3", "--effort", "quick", "--as", "less"
    )
    assert pruned.code == 0, pruned.stderr
    assert pruned.stdout.startswith("An experiment: without layers 3 the file is 11.")
    assert "KL divergence from the source is 0." in pruned.stdout
    shown = json.loads(nybble_here("show", "less", "--json").stdout)
    assert "without layers 3" in shown["derived_from"]
    assert nybble_here("run", "less", "Once", "-o", "max_tokens=4").code == 0


def test_refusals(shared: Daemon) -> None:
    for arguments, says in (
        ("tiny --fit 20MB", "20.0 MB is no size to choose a mixture for"),
        ("tiny --fit 1MB", "takes at least 1.8 MB"),
        ("tiny --fit 2MB --effort quick", "takes at least 2.2 MB"),
        ("tiny --fit much", "--fit: expects a size like"),
        ("tiny --fit 0", "--fit: expects a size above 0"),
        ("tiny", "give a quantization or a size to fit"),
        ("tiny Q4_0 --fit 4MB", "give a quantization or a size to fit"),
        ("tiny Q4_0 --prune-layers 6", "layers 6 cannot be left out of 6"),
        ("tiny Q4_0 --imatrix nowhere.gguf", "there is no file nowhere.gguf"),
    ):
        refused = nybble_here("quantize", *arguments.split())
        assert refused.code != 0 and says in refused.stderr
        assert not refused.stdout
    assert [row["name"] for row in json.loads(nybble_here("list", "--json").stdout)] == ["tiny:latest"]
