"""A daemon with two small real models: `tiny` continues text, `tiny-chat` has a chat template, too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gguf
import pytest
from gguf.scripts.gguf_new_metadata import MetadataDetails, copy_with_new_metadata

from tests.daemons import Daemon

TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}<|assistant|>"
)


@pytest.fixture(scope="session")
def tiny_chat_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny_model` with a template that uses its control tokens."""
    path = tmp_path_factory.mktemp("models") / "tiny-chat.gguf"
    template = MetadataDetails(gguf.GGUFValueType.STRING, TEMPLATE)
    writer = gguf.GGUFWriter(path, "llama")
    reader = gguf.GGUFReader(tiny_model)
    copy_with_new_metadata(reader, writer, {gguf.Keys.Tokenizer.CHAT_TEMPLATE: template}, [])
    return path


@pytest.fixture(scope="session")
def served(
    tiny_model: Path, tiny_chat_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    home = tmp_path_factory.mktemp("served") / "home"
    with Daemon(home, {"HF_HUB_OFFLINE": "1"}) as daemon:
        daemon.add_model(tiny_model, "tiny")
        daemon.add_model(tiny_chat_model, "tiny-chat")
        yield daemon
