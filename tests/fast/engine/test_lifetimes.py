"""What llama.cpp would crash on, or end the process for, is an error that says what is wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from native import state
from native.batch import Batch
from native.errors import LlamaError
from native.llama import Context, ContextOptions, Model
from native.sampler import SamplerChain
from runner.errors import InvalidConstraint
from runner.prep.constraints import compiled

OPTIONS = ContextOptions(256, 2, 64, 1, 1)


@pytest.fixture
def context(model: Model) -> Iterator[Context]:
    context = Context(model, OPTIONS)
    context.batch.add(0, 0, [3, 4, 5], outputs=1)
    context.decode()
    yield context
    context.close()


@pytest.mark.parametrize(
    "use",
    [
        Context.decode,
        lambda context: context.logits_at(2),
        lambda context: context.logits(2),
        lambda context: context.keep_prefix(0, 1),
        lambda context: context.clear(0),
        lambda context: context.set_threads(1, 1),
        lambda context: state.save(context, 0),
    ],
)
def test_a_closed_context_is_not_used(context: Context, use: Callable[[Context], object]) -> None:
    context.close()
    context.close()
    with pytest.raises(LlamaError, match="this Context is closed"):
        use(context)


def test_a_closed_model_closes_its_contexts_first(tiny_model: Path) -> None:
    model = Model(tiny_model, 0)
    context, chain = Context(model, OPTIONS), SamplerChain(model)
    model.close()
    model.close()
    with pytest.raises(LlamaError, match="this Context is closed"):
        context.positions(0)
    for use in (
        lambda: model.tokenize("a", add_special=False),
        lambda: model.piece(3),
        lambda: model.size_bytes,
    ):
        with pytest.raises(LlamaError, match="this Model is closed"):
            use()
    with pytest.raises(LlamaError, match="this Model is closed"):
        Context(model, OPTIONS)
    context.close()
    chain.close()
    with pytest.raises(LlamaError, match="this SamplerChain is closed"):
        chain.accept(3)


def test_rows_without_logits_have_none(
    model: Model, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = SamplerChain(model)
    chain.greedy()
    monkeypatch.setattr("native.sampler._shortlist", None)
    uses: list[Callable[[int], object]] = [
        context.logits_at,
        context.logits,
        partial(chain.sample, context),
    ]
    for row in (0, 3, 64, -9, 2**31 - 1):
        for use in uses:
            with pytest.raises(LlamaError, match=f"row {row} has no logits"):
                use(row)
    with pytest.raises(LlamaError, match="row 4 has no logits"):
        context.logits_of(2, 3)
    assert context.logits(2).argmax() == chain.sample(context, 2)
    chain.close()


def test_tokens_that_the_vocabulary_does_not_have(model: Model) -> None:
    beyond = model.vocabulary_size
    for token in (-1, beyond, 2**31 - 1, 2**40):
        assert model.token_text(token) == ""
        with pytest.raises(LlamaError, match="is not one of the model's"):
            model.piece(token)
    assert model.piece(beyond - 1) or model.token_text(beyond - 1)


def test_a_grammar_is_compiled_on_a_small_stack_and_other_threads_keep_theirs() -> None:
    before = threading.stack_size()
    compiled("regex", "a+")
    with pytest.raises(InvalidConstraint):
        compiled("regex", "a(")
    assert threading.stack_size() == before


def test_a_batch_takes_no_states_beyond_its_last_row() -> None:
    batch = Batch(4, 1, state_width=2)
    batch.set_states(3, bytes(8))
    for row, states in ((3, bytes(16)), (4, bytes(8)), (0, bytes(40))):
        with pytest.raises(BufferError):
            batch.set_states(row, states)
