"""The HTTP application: dialects, guards, one way for errors."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

from starlette.middleware.cors import CORSMiddleware

from runner.api import (
    anthropic,
    errors,
    native,
    ollama_embed,
    ollama_generate,
    ollama_models,
    openai,
    openai_embeddings,
    sessions,
)
from runner.api.guards import LOOPBACK_ORIGIN, Guards
from runner.api.later import LateApp

if TYPE_CHECKING:
    from fastapi import FastAPI

    from runner.service import Service

_DIALECTS = (
    (ollama_models, errors.OllamaAnswer),
    (ollama_generate, errors.OllamaAnswer),
    (ollama_embed, errors.OllamaAnswer),
    (openai, errors.OpenAIAnswer),
    (openai_embeddings, errors.OpenAIAnswer),
    (anthropic, errors.AnthropicAnswer),
    (native, errors.NybbleAnswer),
    (sessions, errors.NybbleAnswer),
)


def build_app(service: Service) -> FastAPI:
    """All routes, over one service. The page that shows the API is off: it loads scripts from elsewhere."""
    app = LateApp(title="nybble", version=metadata.version("nybble"), docs_url=None, redoc_url=None)
    app.state.service = service
    for module, failure in _DIALECTS:
        app.include_router(module.router, responses={"default": {"model": failure}})
    errors.install(app)
    # Lets pages on loopback read the answers; the guards have refused all other pages by then.
    app.add_middleware(
        CORSMiddleware, allow_origin_regex=LOOPBACK_ORIGIN, allow_methods=["*"], allow_headers=["*"]
    )
    app.add_middleware(Guards, listen_host=service.settings.host)
    return app
