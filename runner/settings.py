"""What can be set: the settings as values, and each with the name, the check and the sentence users see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from modelstore.kv_types import KV_TYPES, KvTypes
from runner import config_values as values

PREFILL_STEPS_S = {"smooth": 0.1, "balanced": 0.5, "fast": 0.0}
"""Longest pause of those who generate, for a prompt; 0 is as long as a full batch takes."""


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """How one model is loaded and used. None means: nybble decides; for `kv_type_k` and `kv_type_v`: as
    `kv_type`; for `draft`: no draft model. `keep_alive_s` negative keeps it loaded for ever."""

    context_length: int | None = None
    num_parallel: int | None = None
    keep_alive_s: float = 300.0
    gpu_layers: int | None = None
    kv_type: str = "f16"
    kv_type_k: str | None = None
    kv_type_v: str | None = None
    flash_attention: Literal["auto", "on", "off"] = "auto"
    draft: str | None = None
    overflow: Literal["error", "truncate", "shift"] = "error"
    speculation: bool = True
    prefix_ram_bytes: int | None = None
    prefix_disk_bytes: int = 4 * 2**30

    @property
    def kv_types(self) -> KvTypes:
        return KvTypes(self.kv_type_k or self.kv_type, self.kv_type_v or self.kv_type)

    @property
    def most_gpu_layers(self) -> int:
        """For children that measure: where nothing is said, all, which llama.cpp calls -1."""
        return -1 if self.gpu_layers is None else self.gpu_layers

    @property
    def uses_flash_attention(self) -> bool | None:
        return None if self.flash_attention == "auto" else self.flash_attention == "on"


@dataclass(frozen=True, slots=True)
class Settings(ModelSettings):
    """All settings: those of models without their own, and the daemon's. None means: nybble decides."""

    host: str = "127.0.0.1"
    port: int = 11444
    max_queue: int = 512
    memory_budget_bytes: int | None = None
    threads: int | None = None
    prefill_threads: int | None = None
    prefill_step_s: float = PREFILL_STEPS_S["balanced"]
    drain_s: float = 10.0
    hf_endpoint: str | None = None
    hf_token: str | None = None
    offline: bool = False
    models: Mapping[str, ModelSettings] = field(default_factory=dict)
    """By `modelstore.names.key` of the canonical name; complete, with what they take from the rest."""

    @property
    def address(self) -> str:
        """`http://host:port`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def compute_threads(self) -> int:
        """`threads`, or one for each core that is good for long work."""
        from native.topology import performance_cores, physical_cores  # most commands compute nothing

        allowed = physical_cores()
        return self.threads or min(performance_cores() or allowed, allowed)

    def of(self, model: str) -> ModelSettings:
        """What counts for the model with this canonical name."""
        return self.models.get(model.lower(), self)


@dataclass(frozen=True, slots=True)
class Key:
    """One setting as users spell it: `read` makes the field's value or raises ValueError. `unset` is the word
    for None."""

    name: str
    read: Callable[[Any], Any]
    sentence: str
    field: str
    variable: str
    unset: str

    @property
    def is_size(self) -> bool:
        return self.field.endswith("_bytes")

    def spelled(self, value: Any) -> str:
        """A value of the field as it may stand in config.toml."""
        if value is None:
            return self.unset
        if isinstance(value, bool):
            return str(value).lower()
        if self.is_size:
            return values.spell_size(value)
        return f"{value:g}s" if isinstance(value, float) else str(value)


def _key(
    name: str, read: Callable[[Any], Any], sentence: str, field: str = "", variable: str = "", unset: str = ""
) -> Key:
    """`field` is called like the key, maybe with its unit behind it, unless something else is said."""
    field = field or next(each for each in (name, f"{name}_s", f"{name}_bytes") if each in _FIELDS)
    return Key(name, read, sentence, field, variable or f"NYBBLE_{name.upper()}", unset or "auto")


_FIELDS = {each.name for each in fields(Settings)}
_count = values.or_none(values.integer(1, 4096))
_length = values.or_none(values.integer(1, 2**24))
_layers = values.or_none(values.integer(0, 100_000))
_kv_type = values.choice(*KV_TYPES)

_ALL = (
    _key("host", values.text, "Address to listen on: one of this computer, since there is no API key yet."),
    _key("port", values.integer(0, 65535), "Port to listen on; 0 picks a free one."),
    _key("context_length", _length, "Context length of each slot, in tokens."),
    _key("num_parallel", _count, "Slots per model: how many sequences it generates at once."),
    _key(
        "keep_alive",
        values.duration,
        "How long a model stays loaded after its last request; 0 unloads it then, negative is for ever.",
    ),
    _key("gpu_layers", _layers, "Layers on the GPU; 0 uses the CPU only."),
    _key("kv_type", _kv_type, f"Type of the KV cache: {', '.join(KV_TYPES)}."),
    _key("kv_type_k", values.or_none(_kv_type), "Type of its keys; auto is `kv_type`."),
    _key("kv_type_v", values.or_none(_kv_type), "Type of its values; auto is `kv_type`."),
    _key(
        "flash_attention",
        values.choice("auto", "on", "off"),
        "Flash attention; auto: on GPUs llama.cpp decides, on CPUs a measurement does.",
    ),
    _key(
        "draft",
        values.or_none(values.text, "none"),
        "A smaller model of the same vocabulary that drafts tokens for this one.",
        unset="none",
    ),
    _key("speculation", values.boolean, "Draft tokens where that is measured to be faster; same output."),
    _key(
        "overflow",
        values.choice("error", "truncate", "shift"),
        "What a full context does: refuse, leave out the oldest turns, or also forget while generating.",
    ),
    _key("max_queue", values.integer(1, 2**20), "Requests that may wait; more are refused with 503."),
    _key(
        "memory_budget",
        values.or_none(values.size),
        "Memory that all loaded models together may take; auto is what the machine can give.",
    ),
    _key("threads", _count, "CPU threads per model."),
    _key(
        "prefill_threads",
        _count,
        "CPU threads for steps of several tokens, as in prefill; auto is `threads`.",
    ),
    _key(
        "prefill",
        values.or_named(PREFILL_STEPS_S, values.duration_from_zero),
        "About how long those who generate pause before each token while a prompt is read: smooth (0.1s),"
        " balanced (0.5s), fast (no limit), or a duration.",
        field="prefill_step_s",
    ),
    _key(
        "prefix_ram",
        values.or_none(values.size),
        "Memory per model for the beginnings of earlier prompts; auto is a sixteenth of all, 1GiB at most.",
    ),
    _key(
        "prefix_disk",
        values.size,
        "Disk space per model for the same, kept when it is unloaded; 0 turns it off.",
    ),
    _key("drain", values.duration_from_zero, "How long a stopping daemon lets running requests finish."),
    _key(
        "hf_endpoint",
        values.url,
        "Hugging Face hub, or a mirror of it.",
        variable="HF_ENDPOINT",
        unset="unset",
    ),
    _key(
        "hf_token",
        values.text,
        "Token for gated Hugging Face repositories.",
        variable="HF_TOKEN",
        unset="unset",
    ),
    _key(
        "offline",
        values.boolean,
        "Ask no Hugging Face hub. The package index is pip's: PIP_NO_INDEX.",
        variable="HF_HUB_OFFLINE",
    ),
)

KEYS: dict[str, Key] = {key.name: key for key in _ALL}
SECRET_KEYS = frozenset({"hf_token"})

_MODEL_FIELDS = {each.name for each in fields(ModelSettings)}
MODEL_KEYS: dict[str, Key] = {key.name: key for key in _ALL if key.field in _MODEL_FIELDS}
"""Settings that a `[models."NAME"]` table of config.toml may hold."""
