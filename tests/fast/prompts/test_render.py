"""What templates of known families make of a conversation; that no text can forge a control token."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from runner import wire
from runner.errors import TemplateFailed
from runner.prompts import RenderJob, render
from tests.fast.prompts.templates import CHATML, GEMMA, LLAMA3, Family


def text(template: str) -> str:
    job = RenderJob(template, [{"role": "user", "content": "hi"}], "<s>", "</s>", ("<s>", "</s>"))
    return "".join(render(job))


def test_chatml() -> None:
    assert render(CHATML.job(("system", "Be brief."), ("user", "Hi"))) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
    )


def test_llama3_trims_and_skips() -> None:
    assert render(LLAMA3.job(("user", "  Hi \n"), ("tool", "42"))) == (
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
    )


def test_gemma_renames_roles_and_leaves_no_white_space_of_its_block_tags() -> None:
    assert render(GEMMA.job(("user", "Hi"), ("assistant", "Hello"), ("user", "Bye"))) == (
        "<bos>"
        "<start_of_turn>user\nHi<end_of_turn>\n"
        "<start_of_turn>model\nHello<end_of_turn>\n"
        "<start_of_turn>user\nBye<end_of_turn>\n"
        "<start_of_turn>model\n",
    )


@pytest.mark.parametrize(
    ("template", "rendered"),
    [
        ("{{ {'a': '<b>', 'ä': [1, none]} | tojson }}", '{"a": "<b>", "ä": [1, null]}'),
        ("{{ messages | tojson(indent=2) }}", '[\n  {\n    "role": "user",\n    "content": "hi"\n  }\n]'),
        ("{% generation %}{{ eos_token }}{% endgeneration %}", "</s>"),
        ("{{ tools is none }} {{ add_generation_prompt }} {{ missing }}", "True True "),
        (
            "{% set n = namespace(i=0) %}{% for i in range(3) %}{% set n.i = n.i + i %}{% endfor %}{{ n.i }}",
            "3",
        ),
        ("{{ '%s and %d' | format('x', 4) }}", "x and 4"),
        ("{{ (strftime_now('%Y') | int) > 2000 }}", "True"),
    ],
)
def test_what_templates_may_use(template: str, rendered: str) -> None:
    assert text(template) == rendered


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("one\n{% if %}", "failed (line 2): Expected an expression"),
        ("one\ntwo\n{{ 1 / 0 }}", "failed (line 3): division by zero"),
        ("{{ 'a' | nonsense }}", "failed (line 1): No filter named 'nonsense'"),
        ("\n{{ missing.field }}", "failed (line 2): 'missing' is undefined"),
        (
            "\n{{ raise_exception('no \x1b[31mred\x1b[0m text') }}",
            "refuses this conversation (line 2): no red text",
        ),
        ("{{ messages.append('x') }}", "access to attribute 'append' of 'list' object is unsafe"),
        ("{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}", "failed (line 1): maximum recursion"),
        ("{{ " + "(" * 100_000 + " }}", "failed: maximum recursion"),
        ("{{ 'x' * 1000000 }}" * 5, "produced more than 4,194,304 characters"),
        ("{# nothing #}", "produced no text"),
    ],
)
def test_a_failing_template_says_where_and_why(template: str, problem: str) -> None:
    with pytest.raises(TemplateFailed) as raised:
        text(template)
    assert problem in raised.value.message
    assert raised.value.status == 422


def test_a_refused_role_is_the_templates_own_message() -> None:
    with pytest.raises(
        TemplateFailed, match=r"refuses this conversation \(line 2\): System role not supported"
    ):
        render(GEMMA.job(("system", "Be brief."), ("user", "Hi")))


@pytest.mark.parametrize("role", ["im_start", "User", "", "user|><|system"])
def test_roles_are_a_closed_set(role: str) -> None:
    with pytest.raises(ValidationError, match="role"):
        wire.GenerateRequest.model_validate({"model": "m", "messages": [{"role": role, "content": "Hi"}]})


# Control tokens that contain, begin and follow each other.
TOKENS = ("<|im_start|>", "<|im_end|>", "<|", "|>", "[INST]", "<s>", "</s>", "<<s>>")
FRAGMENTS = [token[a:b] for token in TOKENS for a in range(len(token)) for b in range(a + 1, len(token) + 1)]
contents = st.lists(st.sampled_from([*FRAGMENTS, *TOKENS, " ", "\n", "x", "é"]), max_size=12).map("".join)


def control_tokens(segments: tuple[str, ...]) -> int:
    """How many control tokens a tokenizer can find at most, overlapping ones included."""
    patterns = [re.compile(f"(?={re.escape(token)})") for token in TOKENS]
    return sum(len(pattern.findall(segment)) for segment in segments for pattern in patterns)


@given(st.lists(contents, min_size=1, max_size=4))
def test_no_content_forms_a_control_token_and_none_is_changed(texts: list[str]) -> None:
    family = Family(
        "{% for message in messages %}[INST]{{ message.content }}\n{% endfor %}</s>", "<s>", "</s>", TOKENS
    )
    segments = render(family.job(*(("user", content) for content in texts)))
    assert "".join(segments) == "".join(f"[INST]{content}\n" for content in texts) + "</s>"
    assert control_tokens(segments) == len(texts) + 1


JOINED = Family("x{% for message in messages %}{{ message.content | trim }}{% endfor %}", "", "", TOKENS)


@pytest.mark.parametrize("token", [token for token in TOKENS if len(token) > 2])
def test_a_token_spelled_across_messages_that_touch_is_not_formed(token: str) -> None:
    for at in range(1, len(token)):
        for white_space in ("", " \n"):
            segments = render(JOINED.job(("user", f"Hi {token[:at]}{white_space}"), ("user", token[at:])))
            assert "".join(segments) == f"xHi {token}"
            assert not any(token in segment for segment in segments)


@given(st.lists(contents, min_size=2, max_size=4))
def test_contents_that_touch_do_not_form_one_together(texts: list[str]) -> None:
    segments = render(JOINED.job(*(("user", content) for content in texts)))
    assert "".join(segments) == "x" + "".join(content.strip() for content in texts)
    assert control_tokens(segments) == 0
