"""Constraints with a vocabulary of usual size: what they cost, and what a chat model makes of them."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from native import guidance
from native.llama import Context, ContextOptions, Model
from native.vocabulary import reading
from runner.prep.constraints import compiled
from runner.protocol import Constraint, Generate, Sampling
from runner.worker.constrain import Guide
from runner.worker.engine import Engine
from runner.worker.sampling import build_chain
from tests.fast.engine.driving import run_to_failure

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 60},
        "born": {"type": "integer", "minimum": 1000, "maximum": 2100},
        "works": {
            "type": "array",
            "items": {"type": "string", "pattern": "^[A-Z]"},
            "minItems": 2,
            "maxItems": 4,
        },
    },
    "required": ["name", "born", "works"],
    "additionalProperties": False,
}
PROMPT = (
    "<|im_start|>user\nTell me about a writer, as JSON with name, born and works.<|im_end|>\n"
    "<|im_start|>assistant\n"
)


@pytest.fixture(scope="module")
def context(smollm2: Path) -> Iterator[Context]:
    model = Model(smollm2, 0)
    context = Context(model, ContextOptions(1024, 1, 256, 1, 1))
    yield context
    context.close()
    model.close()


def answers(context: Context, guide: Guide, sampling: Sampling) -> tuple[str, list[float]]:
    """The text of one complete answer, and the processor seconds of each pick."""
    model = context.model
    pending = model.tokenize(PROMPT, add_special=True)
    chain = build_chain(model, sampling, pending)
    context.clear(0)
    output: list[int] = []
    costs_s: list[float] = []
    position = 0
    while not guide.is_complete:
        context.batch.clear()
        row = context.batch.add(0, position, pending, 1) - 1
        context.decode()
        position += len(pending)
        started_s = time.thread_time()
        token = guide.pick(chain, context, row)
        assert token is not None
        pending = [token, *guide.forced()]
        costs_s.append(time.thread_time() - started_s)
        output += pending
    chain.close()
    return b"".join(map(model.piece, output)).decode(), costs_s


def test_answers_of_a_chat_model_meet_the_schema_at_little_cost(context: Context) -> None:
    constraint = Constraint(compiled("json_schema", json.dumps(PERSON)))
    costs_s: list[float] = []
    tokenizer = next(filter(None, reading(context.model)))
    for seed in range(3):
        text, costs = answers(context, Guide(context.model, tokenizer, constraint), Sampling(seed=seed))
        costs_s += costs
        person = json.loads(text)
        assert set(person) == {"name", "born", "works"}
        assert 1000 <= person["born"] <= 2100
        assert 2 <= len(person["works"]) <= 4
    # Mask, sampling and forced tokens together; the sampling alone costs 0.2 ms.
    assert len(costs_s) > 30
    assert statistics.mean(costs_s) < 0.8e-3


def test_an_object_of_many_optional_properties_can_be_written(context: Context) -> None:
    properties = {f"p{number}": {"type": "string"} for number in range(140)}
    grammar = compiled("json_schema", json.dumps({"type": "object", "properties": properties}))
    matcher = guidance.matcher(next(filter(None, reading(context.model))), grammar)
    for text in ("{", '"p', "1", "1", '":', '"x"', ",", '"p', "13", '9":'):
        matcher.compute_bitmask()
        assert not matcher.is_error(), matcher.get_error()
        assert matcher.consume_tokens(context.model.tokenize(text, add_special=False))


def test_what_takes_too_much_to_compute_is_no_answer(context: Context) -> None:
    properties = {f"p{number}": {"type": "string"} for number in range(1000)}
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    large = Constraint(compiled("json_schema", json.dumps(schema)))
    engine = Engine(context, 0.0)
    engine.submit(Generate("large", (PROMPT,), Sampling(temperature=0), constraint=large))
    failed = run_to_failure(engine)
    assert (failed.code, failed.status) == ("invalid_constraint", 400)
    assert "Too many items (limit 10000" in failed.message
    assert [slot.sequence for slot in engine._slots] == [None]
