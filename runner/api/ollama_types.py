"""What Ollama's clients send and expect about models: sizes in bytes, digests as bare hex."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from runner import wire
from runner.api.fields import Body

API_VERSION = "0.33.0"
"""The version of Ollama whose API this dialect follows: clients compare it before they use a feature."""

# Requests


class NameBody(Body):
    """Old clients say `name`, new ones `model`."""

    model: str | None = None
    name: str | None = None

    @property
    def either(self) -> str:
        return self.model or self.name or ""


class PullBody(NameBody):
    stream: bool | None = None


class CopyBody(Body):
    source: str
    destination: str


# Answers


class Details(BaseModel):
    parent_model: str = ""
    format: str = "gguf"
    family: str = ""
    families: list[str] = []
    parameter_size: str = ""
    quantization_level: str = ""


class Model(BaseModel):
    name: str
    model: str
    modified_at: datetime
    size: int
    digest: str
    details: Details


class Models(BaseModel):
    models: list[Model]


class LoadedModel(BaseModel):
    name: str
    model: str
    size: int
    digest: str
    details: Details
    expires_at: datetime
    size_vram: int
    context_length: int


class LoadedModels(BaseModel):
    models: list[LoadedModel]


class Show(BaseModel):
    license: str | None = None
    modelfile: str
    parameters: str = ""
    template: str = ""
    details: Details
    model_info: dict[str, Any]
    tensors: list[wire.TensorInfo]
    capabilities: list[str]
    modified_at: datetime


class Version(BaseModel):
    version: str = API_VERSION
    nybble: str


class Progress(BaseModel):
    status: str
    digest: str | None = None
    total: int | None = None
    completed: int | None = None


def details(info: wire.ModelInfo | None) -> Details:
    """Empty texts for what is not known: clients expect all fields."""
    if info is None:
        return Details()
    return Details(
        family=info.architecture or "",
        families=[info.architecture] if info.architecture else [],
        parameter_size=short_count(info.parameter_count),
        quantization_level=info.quantization or "",
    )


def short_count(count: int | None) -> str:
    """134515008 as "134.52M", 8030261312 as "8.0B"; empty for None."""
    if count is None:
        return ""
    for size, letter, digits in ((10**9, "B", 1), (10**6, "M", 2), (10**3, "K", 0)):
        if count >= size:
            return f"{count / size:.{digits}f}{letter}"
    return str(count)


def now() -> datetime:
    return datetime.now(UTC)
