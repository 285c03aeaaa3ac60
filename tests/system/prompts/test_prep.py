"""The prep child: hostile templates get an error in time, and the next conversation is rendered."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from modelstore.errors import UserError
from native import child
from runner.errors import TemplateFailed
from runner.prep.pool import Prep
from tests.fast.prompts.templates import CHATML, GEMMA, LLAMA3

ANSWER_S = 3.0
ENDLESS = "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}"
JOB = CHATML.job(("user", "Hi"))
PROMPT = ("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",)


@pytest_asyncio.fixture
async def prep() -> AsyncIterator[Prep]:
    running = Prep()
    await running.render(JOB)
    yield running
    await running.close()


async def test_templates_of_several_models_stay_apart(prep: Prep) -> None:
    for _ in range(2):
        assert await prep.render(JOB) == PROMPT
        assert (await prep.render(LLAMA3.job(("user", "Hi"))))[0].startswith("<|begin_of_text|>")
        assert (await prep.render(GEMMA.job(("user", "Hi"))))[0].startswith("<bos>")
        assert "".join(await prep.render(CHATML.job(("user", "<|im_end|>é\ud800")))) == (
            "<|im_start|>user\n<|im_end|>é\ud800<|im_end|>\n<|im_start|>assistant\n"
        )


async def test_more_models_than_one_child_remembers(prep: Prep) -> None:
    for number in range(70):
        assert await prep.render(replace(JOB, template=f"model {number}")) == (f"model {number}",)


async def test_a_long_text_is_rendered_whatever_its_letters(prep: Prep) -> None:
    (prompt,) = await prep.render(CHATML.job(("user", "\U0001f600" * 2_500_000)))
    assert len(prompt) > 2_500_000
    with pytest.raises(UserError, match=r"has 4,194,306 characters, and the limit is 4,194,304"):
        await prep.render(CHATML.job(*[("user", "a" * 2_097_153)] * 2))


BOMBS = {
    "loops": ENDLESS,
    "power": "{{ 9 ** (9 ** 9) }}",
    "long text": "{{ 'a' * 10**9 }}",
    "padding": "{{ '%010000000000d' | format(1) }}",
    "doubling": "{% set n = namespace(a='a') %}{% for i in range(60) %}{% set n.a = n.a ~ n.a %}{% endfor %}",
    "long list": "{{ range(100000) | map('string') | list * 1000000 }}",
    "nesting": "{{ (" * 2000 + "1" + ") }}" * 2000,
    "long date": "{{ strftime_now('%Y' * 100000000) }}",
}


@pytest.mark.parametrize("name", BOMBS)
async def test_a_bomb_is_answered_in_time_and_the_next_render_works(prep: Prep, name: str) -> None:
    started_s = time.perf_counter()
    with pytest.raises(TemplateFailed):
        await prep.render(replace(JOB, template=BOMBS[name]))
    assert time.perf_counter() - started_s < ANSWER_S
    assert await prep.render(JOB) == PROMPT


# Each reaches for something outside of the template; {canary} is a file that none may create or read.
ESCAPES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''|attr('__class__') }}",
    "{{ ''|attr('\\x5f\\x5fclass\\x5f\\x5f') }}",
    "{{ [''] | map(attribute='__class__') | list }}",
    "{{ '{0.__class__}'.format('') }}",
    "{{ '{x.__class__}'.format_map({'x': 1}) }}",
    "{{ ('{0.__class__}'|attr('format'))('') }}",
    "{{ '%s' | format(''.__class__) }}",
    "{{ cycler.__init__.__globals__.os.popen('touch {canary}').read() }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ namespace.__init__.__globals__.os.system('touch {canary}') }}",
    "{{ lipsum.__globals__['os'].system('touch {canary}') }}",
    "{{ raise_exception.__globals__ }}",
    "{{ strftime_now.__code__ }}",
    "{{ (strftime_now|attr('__globals__')).json }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context.environment.globals }}",
    "{{ dict.mro() }}",
    "{{ range.__class__ }}",
    "{{ messages.__class__.__base__.__subclasses__() }}",
    "{{ messages[0].__init__.__globals__ }}",
    "{% set x = namespace() %}{% set x.__class__ = 1 %}{{ x }}",
    "{% macro m() %}{% endmacro %}{{ m.__globals__ }}",
    "{% macro m() %}{{ caller.__globals__ }}{% endmacro %}{% call m() %}{% endcall %}",
    "{% for a in [1] %}{{ loop.__init__.__globals__ }}{% endfor %}",
    "{{ loop.__class__ }}",
    "{% include '{canary}' %}",
    "{% extends '/etc/hostname' %}",
    "{% import 'os' as os %}{{ os.system('touch {canary}') }}",
    "{% from 'os' import system %}{{ system('touch {canary}') }}",
    "{{ open('{canary}', 'w') }}",
    "{{ __import__('os') }}",
    "{{ config }}{{ request.application.__globals__ }}",
    "{{ (messages|map('attr', '__class__')|list)[0] }}",
    "{{ ''.join.__self__.__class__ }}",
    "{{ (1).__class__.__bases__ }}",
    "{{ [].append.__func__ }}",
    "{{ {}.update({'a': 1}) }}",
    "{{ tojson.__globals__ }}{{ [1]|tojson(cls=''.__class__) }}",
    "{{ cycler('a')._CYCLER__items }}{{ cycler('a').next.__func__.__globals__ }}",
]


LEAKS = ("<class", "<module", "<built-in", "<function", " at 0x", "'os'")


async def test_no_template_escapes(prep: Prep, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for template in ESCAPES:
        job = replace(JOB, template="->" + template.replace("{canary}", str(canary)))
        try:
            shown = "".join(await prep.render(job))
        except TemplateFailed as refused:
            shown = refused.message
        assert not canary.exists(), template
        assert not any(leak in shown for leak in LEAKS), template


async def test_a_cancelled_render_does_not_answer_the_next_one(prep: Prep) -> None:
    for wait_s in (0.0, 0.001, 0.02, 0.2):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(prep.render(replace(JOB, template=ENDLESS)), wait_s)
        assert await prep.render(JOB) == PROMPT
        # The next one is cancelled while its child starts.
        await prep.close()


async def test_jobs_at_once_each_get_their_own_answer(prep: Prep) -> None:
    jobs = [CHATML.job(("user", f"number {n}")) for n in range(50)]
    for n, segments in enumerate(await asyncio.gather(*map(prep.render, jobs))):
        assert f"number {n}<" in segments[0]


def test_a_child_without_a_parent_ends_itself() -> None:
    job = {"template": ENDLESS, "bos_text": "", "eos_text": "", "control_tokens": []}
    question = json.dumps({"model": 0, "define": job, "messages": []}) + "\n"
    started_s = time.perf_counter()
    ended = subprocess.run(
        child.command("runner.prep"),
        input=question.encode(),
        env=child.environment(),
        capture_output=True,
        timeout=20,
    )
    assert time.perf_counter() - started_s < 10
    assert ended.stdout == b'{"ready": true}\n'


def test_a_child_ends_with_its_input() -> None:
    ended = subprocess.run(
        child.command("runner.prep"), input=b"", env=child.environment(), capture_output=True, timeout=20
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
