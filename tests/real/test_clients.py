"""The official clients chat with a real instruct model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import ollama
import openai
import pytest

from tests.daemons import Daemon

MESSAGES = [{"role": "user", "content": "Why is the sky blue?"}]
# Which words the answer has depends on the processor's kernels, and on whether flash attention is faster.
ON_THE_SKY = re.compile("blue|light|scatter")


@pytest.fixture
def address(daemon: Daemon, smollm2: Path) -> Iterator[str]:
    daemon.add_model(smollm2, "smollm2")
    yield daemon.address


def test_ollama(address: str) -> None:
    options = {"temperature": 0, "num_predict": 24}
    with ollama.Client(host=address) as client:
        whole = client.chat("smollm2", MESSAGES, options=options)
        pieces = list(client.chat("smollm2", MESSAGES, options=options, stream=True))
    assert ON_THE_SKY.search(whole.message.content or "")
    assert "".join(piece.message.content or "" for piece in pieces) == whole.message.content
    assert pieces[-1].prompt_eval_count == whole.prompt_eval_count
    assert (pieces[-1].done_reason, pieces[-1].eval_count) == ("length", 24)


def test_openai(address: str) -> None:
    parts = [{"role": "user", "content": [{"type": "text", "text": MESSAGES[0]["content"]}]}]
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
        create = client.chat.completions.create
        whole = create(model="smollm2", messages=MESSAGES, temperature=0, max_tokens=24)
        usage = {"include_usage": True}
        chunks = list(
            create(
                model="smollm2",
                messages=parts,
                temperature=0,
                max_tokens=24,
                stream=True,
                stream_options=usage,
            )
        )
    assert ON_THE_SKY.search(whole.choices[0].message.content or "")
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    # The same conversation: nearly all of the prompt is in the slot already.
    details = chunks[-1].usage and chunks[-1].usage.prompt_tokens_details
    assert details and (details.cached_tokens or 0) > 20
