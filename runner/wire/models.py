"""What is answered: models, and the daemon itself."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from runner.wire.base import Wire


class ModelFile(Wire):
    role: Literal["model"] = "model"
    digest: str
    size_bytes: int
    path: str


class ModelInfo(Wire):
    """One local model. `digest` is `sha256:<hex>` of its weights file."""

    name: str
    digest: str
    size_bytes: int
    modified_at: datetime
    source: str
    architecture: str | None = None
    parameter_count: int | None = None
    quantization: str | None = None
    context_length: int | None = None
    embedding_length: int | None = None
    license: str | None = None
    has_chat_template: bool = False
    derived_from: str | None = None


class ModelDetail(ModelInfo):
    """`metadata` holds the GGUF header's keys; arrays longer than 5 are None there."""

    files: list[ModelFile] = Field(default_factory=list)
    purpose: Literal["generate", "embed", "rerank"] = "generate"
    chat_template: str | None = None
    metadata: dict[str, str | int | float | bool | list[str] | list[int] | list[float] | None] = Field(
        default_factory=dict
    )
    tensors: list[TensorInfo] = Field(default_factory=list)


class TensorInfo(Wire):
    name: str
    type: str
    shape: list[int]


class LoadedModel(Wire):
    """One model with a worker. `devices` says where its layers are and `reason` why they are there; `notes`
    are what else was decided at the load. `variant` are the settings that set it apart from another load of
    the same weights; `waiting` have no slot yet. Of `most_threads`, the machine has room for `threads`."""

    name: str
    digest: str
    variant: str | None = None
    state: Literal["loading", "ready", "unloading"]
    pid: int | None = None
    size_bytes: int
    memory_bytes: int | None = None
    gpu_memory_bytes: int | None = None
    context_length: int
    slots: int
    busy_slots: int = 0
    waiting: int = 0
    threads: int | None = None
    most_threads: int | None = None
    devices: str | None = None
    flash_attention: bool | None = None
    reason: str = ""
    notes: list[str] = Field(default_factory=list)
    expires_at: datetime | None = None


class RemoveResult(Wire):
    freed_bytes: int


class Health(Wire):
    version: str
    pid: int
    address: str
    store: str
    started_at: datetime
    llama_cpp_python: str | None = None
    memory_bytes: int | None = None
    drain_s: float = 10.0
    """How long running requests get once the daemon is to stop."""
