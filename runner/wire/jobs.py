"""What is answered: events of a job (pull, verify, quantize, imatrix)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from runner.wire.base import Wire
from runner.wire.generation import ErrorEvent
from runner.wire.models import ModelInfo


class JobProgress(Wire):
    """`phase` is a few words for people: "resolving", "downloading", "verifying", "quantizing", …"""

    type: Literal["progress"] = "progress"
    phase: str
    detail: str | None = None
    digest: str | None = None
    completed_bytes: int | None = None
    total_bytes: int | None = None
    completed: int | None = None
    """Steps, of `total`, where there are no bytes to count."""
    total: int | None = None


class JobDone(Wire):
    """`file` is what was made beside the model (an importance matrix, a recipe); `notes` are sentences."""

    type: Literal["done"] = "done"
    model: ModelInfo
    file: str | None = None
    notes: list[str] = Field(default_factory=list)


JobEvent = Annotated[JobProgress | JobDone | ErrorEvent, Field(discriminator="type")]
