"""Types of nybble's own HTTP dialect (`/nybble/*`), shared by daemon, CLI and TUI.

Sizes are bytes, durations seconds, times UTC. Unknown is None. Text that comes from models, hubs and files is
data: `runner.text.clean` it before it reaches a terminal.
"""

from __future__ import annotations

from runner.wire.base import ErrorBody, Wire
from runner.wire.generation import (
    Alternative,
    Done,
    Embeddings,
    ErrorEvent,
    GenerationEvent,
    Loading,
    Prefilling,
    Progressing,
    Queued,
    Reloading,
    TextDelta,
    Timings,
    TokenLogprob,
    Usage,
)
from runner.wire.jobs import JobDone, JobEvent, JobProgress
from runner.wire.models import (
    Health,
    LoadedModel,
    ModelDetail,
    ModelFile,
    ModelInfo,
    RemoveResult,
    TensorInfo,
)
from runner.wire.requests import (
    MOST_INPUTS,
    MOST_LOGPROBS,
    MOST_MESSAGES,
    Constraint,
    CopyRequest,
    EmbedRequest,
    GenerateRequest,
    ImatrixRequest,
    Message,
    NameRequest,
    Options,
    Overflow,
    PullRequest,
    QuantizeRequest,
    Role,
)
from runner.wire.sessions import Session, SessionCreate, SessionInfo, SessionMessage, SessionUpdate
