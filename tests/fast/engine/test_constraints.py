"""Constraints on a real model that would write anything else, at a temperature where it writes nonsense."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from enum import Enum
from typing import Literal

import pytest
from llguidance import LLMatcher
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from native import guidance
from native.llama import Context, ContextOptions, Model
from native.vocabulary import Reading, reading
from runner.prep.constraints import compiled
from runner.protocol import Constraint, Failed, Generate, Reason, Sampling
from runner.worker.engine import Engine
from runner.worker.slots import Slot
from tests.fast.engine.driving import Answer, run, run_to_failure

GREEDY = Sampling(temperature=0, max_tokens=100)


class Color(Enum):
    RED = "red"
    GREEN = "green"


class Wheel(BaseModel):
    model_config = ConfigDict(extra="forbid")
    spokes: int = Field(ge=3, le=40)
    material: Literal["steel", "wood"]


class Car(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(pattern="^[A-Z][a-z]{1,12}$")
    color: Color
    wheels: list[Wheel] = Field(min_length=1, max_length=3)
    trailer: Wheel | None


@pytest.fixture(scope="module")
def context(model: Model) -> Iterator[Context]:
    context = Context(model, ContextOptions(512, 4, 256, 1, 1))
    yield context
    context.close()


@pytest.fixture(scope="module")
def vocabulary(context: Context) -> Reading:
    vocabulary = reading(context.model)
    assert next(filter(None, vocabulary))
    return vocabulary


@pytest.fixture
def engine(context: Context, vocabulary: Reading) -> Engine:
    engine = Engine(context, 0.0)
    engine._reception._vocabulary = vocabulary
    return engine


def constraint(kind: str, source: str, *triggers: str) -> Constraint:
    return Constraint(compiled(kind, source), triggers)


def generate(
    engine: Engine, constraint: Constraint, sampling: Sampling = GREEDY, top_logprobs: int | None = None
) -> Answer:
    engine.submit(Generate("one", ("It is",), sampling, constraint=constraint, top_logprobs=top_logprobs))
    return run(engine)["one"]


def ended(answer: Answer) -> tuple[str, Reason]:
    return answer.text, answer.end.reason


@pytest.mark.parametrize("speculation", [True, False])
def test_json_of_a_schema_always_parses_and_validates(engine: Engine, speculation: bool) -> None:
    cars = constraint("json_schema", json.dumps(Car.model_json_schema()))
    for seed in range(8):
        sampling = Sampling(temperature=1.5, top_k=0, top_p=1.0, max_tokens=400, seed=seed)
        engine.submit(Generate(str(seed), ("A car:",), sampling, constraint=cars, speculation=speculation))
    answers = run(engine)
    complete = [answer.text for answer in answers.values() if answer.end.reason == "stop"]
    assert len(complete) >= 5
    for text in complete:
        Car.model_validate_json(text)


def test_json_mode_is_any_object(engine: Engine) -> None:
    for seed in range(10):
        sampling = Sampling(temperature=1.0, max_tokens=200, seed=seed)
        engine.submit(Generate(str(seed), ("{",), sampling, constraint=constraint("json", "")))
    complete = [answer.text for answer in run(engine).values() if answer.end.reason == "stop"]
    assert complete
    for text in complete:
        TypeAdapter(dict[str, object]).validate_json(text)


@pytest.mark.parametrize(
    ("kind", "source", "matching"),
    [
        ("regex", "[0-9]{3}-[a-f]+x", "[0-9]{3}-[a-f]+x"),
        ("lark", 'start: "<" INT ">" | "none"\nINT: /[0-9]{1,4}/', "<[0-9]{1,4}>|none"),
        (
            "gbnf",
            'root ::= pair ("," pair)?\npair ::= [a-z]{2} "=" ("0x" [0-9]{2})',
            "[a-z]{2}=0x[0-9]{2}(,[a-z]{2}=0x[0-9]{2})?",
        ),
        ("gbnf", 'root ::= "caf\\u00e9" [\\u3040-\\u309F]', "café[\u3040-\u309f]"),
    ],
)
def test_grammars_hold_at_any_temperature(engine: Engine, kind: str, source: str, matching: str) -> None:
    grammar = constraint(kind, source)
    complete = 0
    for seed in range(4):
        sampling = Sampling(temperature=1.5, top_k=0, top_p=1.0, max_tokens=100, seed=seed)
        text, reason = ended(generate(engine, grammar, sampling))
        assert reason == "length" or re.fullmatch(matching, text)
        complete += reason == "stop"
    assert complete


def test_masks_are_computed_while_the_model_decodes(model: Model, vocabulary: Reading) -> None:
    slots: list[Slot] = []
    begun: list[bool] = []

    class Watched(Context):
        def decode(self) -> bool:
            is_done = super().decode()
            guides = [slot.sequence.picker.guide for slot in slots if slot.sequence]
            begun.append(all(guide and guide._mask for guide in guides))
            return is_done

    context = Watched(model, ContextOptions(256, 2, 128, 1, 1))
    bound = Engine(context, 0.0)
    bound._reception._vocabulary = vocabulary
    slots += bound._slots
    for name in "ab":
        digits = constraint("regex", "[0-9]{12}")
        bound.submit(Generate(name, ("It is",), GREEDY, constraint=digits))
    assert [len(answer.text) for answer in run(bound).values()] == [12, 12]
    assert len(begun) >= 2 and all(begun)
    context.close()


def test_forced_tokens_take_no_steps_of_their_own_and_change_no_text(engine: Engine) -> None:
    grammar = constraint(
        "lark", 'start: "The answer to all of it is " /[0-9]{2}/ ", and there is no other one."'
    )
    forced = generate(engine, grammar)
    # With log probabilities every token is computed.
    computed = generate(engine, grammar, top_logprobs=0)
    assert ended(forced) == ended(computed)
    assert re.fullmatch("The answer to all of it is [0-9]{2}, and there is no other one.", forced.text)


def test_forced_tokens_are_decoded_in_one_step(engine: Engine) -> None:
    engine.submit(
        Generate("one", ("It is",), GREEDY, constraint=constraint("lark", f'start: "a" "{"xyz" * 20}"'))
    )
    steps = 0
    while not engine.is_idle:
        engine.step()
        steps += 1
    assert steps <= 3


def test_what_is_complete_stops_even_with_the_last_token_allowed(engine: Engine) -> None:
    grammar = constraint("regex", "[0-9]{4}")
    whole = generate(engine, grammar)
    assert whole.end.reason == "stop"
    exact = Sampling(temperature=0, max_tokens=whole.end.completion_tokens)
    assert ended(generate(engine, grammar, exact)) == ended(whole)
    short = Sampling(temperature=0, max_tokens=whole.end.completion_tokens - 1)
    assert generate(engine, grammar, short).end.reason == "length"


def test_what_cannot_be_met_ends_with_length(engine: Engine) -> None:
    """The prep child refuses such a grammar; a worker must not call it complete either."""
    recursive = '{"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}'
    impossible = Constraint(LLMatcher.grammar_from_json_schema(recursive))
    assert ended(generate(engine, impossible)) == ("", "length")


def test_a_text_without_end_is_not_written_out_without_end(engine: Engine, vocabulary: Reading) -> None:
    endless = Constraint(LLMatcher.grammar_from_lark(f'start: "{"ab" * 200}" start'))
    text, reason = ended(generate(engine, endless))
    assert re.fullmatch("(ab)*a?", text)
    assert reason == "length"
    # What one step writes out: with llguidance's own limit it is five times as much, and nine times as long.
    matcher = guidance.matcher(next(filter(None, vocabulary)), endless.grammar)
    assert len(matcher.compute_ff_tokens()) < 1_100_000


def test_a_text_without_end_behind_a_choice_fails_with_the_limit(engine: Engine) -> None:
    endless = constraint("lark", f'start: /[a-z]/ rest\nrest: "{"ab" * 200}" rest')
    engine.submit(Generate("one", ("It is",), GREEDY, constraint=endless))
    failed = run_to_failure(engine)
    assert (failed.code, failed.status) == ("invalid_constraint", 400)
    assert "Too many items (limit 10000" in failed.message


def test_ignoring_end_tokens_does_not_pass_the_end_of_a_constraint(engine: Engine) -> None:
    sampling = Sampling(temperature=0, max_tokens=50, ignore_eos=True)
    assert ended(generate(engine, constraint("regex", "(ab){2}"), sampling)) == ("abab", "stop")
    text, reason = ended(generate(engine, constraint("regex", "(ab)+"), sampling))
    assert set(re.findall("..", text)) == {"ab"}
    assert reason == "length"


@pytest.mark.parametrize("temperature", [0.0, 0.9, 1.0, 1.1])
def test_output_is_free_up_to_a_trigger(engine: Engine, temperature: float) -> None:
    sampling = Sampling(temperature=temperature, max_tokens=400, seed=1)
    text, reason = ended(generate(engine, constraint("regex", "(e|o)[xyz]{3} ends here", "e", "o"), sampling))
    assert reason == "stop"
    assert re.fullmatch("[^eo]*[eo][xyz]{3} ends here", text, re.S)


def test_a_trigger_may_be_a_control_token(engine: Engine) -> None:
    """The grammar may name the token, or have its spelling as text."""
    model = engine._context.model
    spelling = next(
        t for t in model.control_tokens() if not model.is_end(model.tokenize(t, add_special=False)[0])
    )
    (token,) = model.tokenize(spelling, add_special=False)
    biased = Sampling(temperature=0, max_tokens=20, logit_bias=((token, 100.0),))
    for start in (spelling, f'"{spelling}"'):
        grammar = constraint("lark", f'start: {start} "call" /[0-9]/', spelling)
        text, reason = ended(generate(engine, grammar, biased))
        assert reason == "stop"
        assert re.fullmatch("call[0-9]", text)


def failure(engine: Engine, constraint: Constraint) -> Failed:
    engine.submit(Generate("bad", ("It is",), GREEDY, constraint=constraint))
    (failed,) = engine.step().failed
    return failed


def test_a_worker_refuses_what_it_cannot_use(engine: Engine) -> None:
    broken = failure(engine, Constraint(LLMatcher.grammar_from_lark("start: /(/")))
    assert (broken.code, broken.status) == ("invalid_constraint", 400)
    unknown = failure(engine, constraint("lark", 'start: <|of_others|> "x"'))
    assert 'unknown special token: "<|of_others|>"' in unknown.message
    never = failure(engine, constraint("regex", "abc", "x"))
    assert "no text of the constraint begins with its trigger 'x'" in never.message
    assert engine.is_idle


def test_constrained_and_free_requests_share_steps(engine: Engine) -> None:
    alone = generate(engine, constraint("regex", "[a-z ]{40}"))
    for index in range(2):
        engine.submit(Generate(f"free {index}", ("It is",), GREEDY))
        engine.submit(
            Generate(f"bound {index}", ("It is",), GREEDY, constraint=constraint("regex", "[a-z ]{40}"))
        )
    answers = run(engine)
    assert {answers[f"bound {index}"].text for index in range(2)} == {alone.text}
    assert answers["free 0"].text == answers["free 1"].text != alone.text


def test_others_go_on_while_the_vocabulary_is_read(context: Context) -> None:
    engine = Engine(context, 0.0)
    engine.submit(Generate("running", ("It is",), Sampling(temperature=0, max_tokens=60, ignore_eos=True)))
    while not engine.step().deltas:
        pass
    engine.submit(Generate("bound", ("It is",), GREEDY, constraint=constraint("regex", "[a-z]{8}")))
    # 8,192 tokens, 2,048 at once, and the first of llguidance's two parts: one of these in each step.
    for _ in range(5):
        assert [delta.request_id for delta in engine.step().deltas if delta.text] == ["running"]
    answers = run(engine)
    assert re.fullmatch("[a-z]{8}", answers["bound"].text)
    assert answers["running"].end.completion_tokens == 60


def test_others_go_on_between_the_grammars_of_many(engine: Engine) -> None:
    """One of 1,000 alternatives takes far more than the 10 ms after which a step begins no further one."""
    any_of = [{"type": "object", "properties": {f"k{n}": {"type": "integer"}}} for n in range(1000)]
    heavy = constraint("json_schema", json.dumps({"anyOf": any_of}))
    engine.submit(Generate("running", ("It is",), Sampling(temperature=0, max_tokens=60, ignore_eos=True)))
    for name in ("a", "b", "c"):
        engine.submit(Generate(name, ("It is",), Sampling(max_tokens=1), constraint=heavy))
    began = []
    while not engine.is_idle:
        waiting = [sequence.request_id for sequence in engine._waiting]
        engine.step()
        began.append(waiting[: len(waiting) - len(engine._waiting)])
    assert [names for names in began if names] == [["running", "a"], ["b"], ["c"]]


def test_a_request_is_cancelled_while_the_vocabulary_is_read_for_it(context: Context) -> None:
    engine = Engine(context, 0.0)
    engine.submit(Generate("bound", ("It is",), GREEDY, constraint=constraint("regex", "[a-z]{8}")))
    engine.step()
    engine.cancel("bound")
    (end,) = engine.step().finished
    assert (end.reason, engine.is_idle) == ("cancelled", True)
