"""Templates of models under comparison, rendered in the prep child: hostile and wrong ones are named."""

from __future__ import annotations

import time

import pytest

from runner.compare.rendering import Chat, rendered
from runner.errors import TemplateFailed
from tests.fast.prompts.templates import CHATML, GEMMA, LLAMA3, Family

THINKING = """{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}
{%- if m.role == 'assistant' %}{{ '<think>\n\n</think>\n\n' }}{% endif %}
{{- m.content + '<|im_end|>\n' }}{% endfor %}{{ '<|im_start|>assistant\n' }}"""
INSTRUCT = """{% for m in messages %}
{%- if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %} {{ m.content }}</s>{% endif %}
{%- endfor %}"""
WITHOUT_BEGINNING = "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"


def chat(template: str) -> Chat:
    return Chat(template, "<s>", "</s>", ("<s>", "</s>"))


@pytest.mark.parametrize("family", [CHATML, LLAMA3, GEMMA])
def test_good_templates(family: Family) -> None:
    questions = ["Why?", "  What does <|im_end|> mean?\n", "¿Cómo?"]
    made = Chat(family.template, family.bos_text, family.eos_text, family.control_tokens)
    prompts = rendered(made, questions)
    assert len(prompts) == 3
    for question, prompt in zip(questions, prompts, strict=True):
        assert question.strip() in "".join(prompt)


@pytest.mark.parametrize("template", [THINKING, INSTRUCT, WITHOUT_BEGINNING + "<|assistant|>\n"])
def test_templates_that_begin_answers_in_their_own_way(template: str) -> None:
    assert "".join(rendered(chat(template), ["Why?"])[0]).count("Why?") == 1


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{{ '' }}", "produced no text"),
        ("<|user|>Hello<|assistant|>", "leaves out what the user says"),
        ("{{ messages[0].content[:9] }}<|assistant|>", "leaves out what the user says"),
        (WITHOUT_BEGINNING, "does not begin the assistant's answer"),
        ("{{ messages[0].content.nothing.there }}", "failed"),
        ("{{ raise_exception('no') }}", "refuses this conversation"),
        (
            "{% for i in range(10**9) %}{% for j in range(10**9) %}{% endfor %}{% endfor %}",
            "failed|more than 2 s",
        ),
        ("{{ 'x' * (10**10) }}", "memory|failed|crashed"),
    ],
)
def test_wrong_and_hostile_templates_are_named(template: str, problem: str) -> None:
    started = time.perf_counter()
    with pytest.raises(TemplateFailed, match=problem):
        rendered(chat(template), ["Why is it so?"])
    assert time.perf_counter() - started < 30
