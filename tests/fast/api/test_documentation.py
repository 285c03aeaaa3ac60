"""docs/api.md and the OpenAPI document say what the application has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from runner.api import anthropic_requests, ollama_generate, openai, openai_requests
from runner.settings import Settings
from tests.fast.api.scripted import ScriptedService, application, serving

DOCUMENT = Path(__file__).parents[3] / "docs" / "api.md"


@pytest.fixture(scope="module")
def openapi() -> dict[str, Any]:
    return application(Settings().host).openapi()


def test_the_documented_routes_are_the_routes(openapi: dict[str, Any]) -> None:
    documented = re.findall(r"^\| `([A-Z]+) (/\S*)` \|", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    routes = [(method.upper(), path) for path, methods in openapi["paths"].items() for method in methods]
    assert sorted(documented) == sorted(routes)


def test_what_is_refused_is_documented() -> None:
    text = DOCUMENT.read_text("utf-8")
    ollamas = ollama_generate.ABSENT_IN_GENERATE | ollama_generate.ABSENT_IN_CHAT
    openais = openai.ABSENT_IN_CHAT | openai.ABSENT_IN_COMPLETIONS
    assert [field for field in ollamas | openais if f"`{field}`" not in text] == []
    for body in (openai_requests.ChatBody, anthropic_requests.MessagesBody):
        assert [name for name in body.model_fields if f"`{name}" not in text] == []


def test_streams_are_described_with_their_records(openapi: dict[str, Any]) -> None:
    def content(path: str) -> dict[str, Any]:
        described: dict[str, Any] = openapi["paths"][path]["post"]["responses"]["200"]["content"]
        return described

    assert content("/api/chat")["application/x-ndjson"]["schema"]["$ref"].endswith("/ChatRecord")
    for path in ("/v1/chat/completions", "/v1/messages"):
        assert content(path).keys() == {"application/json", "text/event-stream"}
    assert "TextDelta" in str(content("/nybble/generate"))
    assert "422" not in str(openapi["paths"])


async def test_the_document_is_served_and_no_page_that_loads_scripts() -> None:
    async with serving(ScriptedService()) as client:
        assert (await client.get("/openapi.json")).json()["info"]["title"] == "nybble"
        for path in ("/docs", "/redoc"):
            assert (await client.get(path)).status_code == 404
