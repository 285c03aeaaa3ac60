"""Settings: flag > environment > config.toml > default, checked strictly, each with its origin."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelstore.errors import UserError
from runner import config_values as values


class InvalidSetting(UserError):
    code = "invalid_setting"


@dataclass(frozen=True, slots=True)
class Settings:
    """None means: nybble decides. `keep_alive_s` negative keeps models loaded for ever."""

    host: str = "127.0.0.1"
    port: int = 11444
    context_length: int | None = None
    num_parallel: int | None = None
    keep_alive_s: float = 300.0
    max_queue: int = 512
    gpu_layers: int | None = None
    threads: int | None = None
    prefill_step_s: float = 0.5
    drain_s: float = 10.0
    hf_endpoint: str | None = None
    hf_token: str | None = None
    offline: bool = False

    @property
    def address(self) -> str:
        """`http://host:port`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Key:
    """One setting as users spell it: `read` makes the field's value or raises ValueError."""

    name: str
    read: Callable[[Any], Any]
    sentence: str
    field: str
    variable: str


def _key(
    name: str, read: Callable[[Any], Any], sentence: str, field: str = "", variable: str = ""
) -> tuple[str, Key]:
    return name, Key(name, read, sentence, field or name, variable or f"NYBBLE_{name.upper()}")


_count = values.or_auto(values.integer(1, 4096))
_length = values.or_auto(values.integer(1, 2**24))
_layers = values.or_auto(values.integer(0, 100_000))

KEYS: dict[str, Key] = dict(
    (
        _key(
            "host", values.text, "Address to listen on: one of this computer, since there is no API key yet."
        ),
        _key("port", values.integer(0, 65535), "Port to listen on; 0 picks a free one."),
        _key("context_length", _length, "Context length of each slot, in tokens."),
        _key("num_parallel", _count, "Slots per model: how many sequences it generates at once."),
        _key(
            "keep_alive",
            values.duration,
            "How long a model stays loaded after its last request; negative is for ever.",
            field="keep_alive_s",
        ),
        _key("max_queue", values.integer(1, 2**20), "Requests that may wait; more are refused with 503."),
        _key("gpu_layers", _layers, "Layers on the GPU; 0 uses the CPU only."),
        _key("threads", _count, "CPU threads per model."),
        _key(
            "prefill",
            values.prefill,
            "How prompts share steps with running streams: smooth, balanced, fast, or the longest step.",
            field="prefill_step_s",
        ),
        _key(
            "drain",
            values.duration_from_zero,
            "How long a stopping daemon lets running requests finish.",
            field="drain_s",
        ),
        _key("hf_endpoint", values.url, "Hugging Face hub, or a mirror of it.", variable="HF_ENDPOINT"),
        _key("hf_token", values.text, "Token for gated Hugging Face repositories.", variable="HF_TOKEN"),
        _key("offline", values.boolean, "Ask no hub, ever.", variable="HF_HUB_OFFLINE"),
    )
)
SECRET_KEYS = frozenset({"hf_token"})

_Layer = dict[str, tuple[Any, str]]
"""Key name → value as written, and where."""


def load(
    flags: Mapping[str, str | int | None], environment: Mapping[str, str], config_file: Path
) -> tuple[Settings, dict[str, str]]:
    """The settings, and for each key of KEYS where its value comes from: "flag --port",
    "environment NYBBLE_PORT", "config.toml" or "default".

    Raises InvalidSetting naming the flag, the variable or the file and key that is wrong.
    """
    fields: dict[str, Any] = {}
    origins = dict.fromkeys(KEYS, "default")
    for layer in (_from_file(config_file), _from_environment(environment), _from_flags(flags)):
        for name, (raw, origin) in _split_host(layer).items():
            fields[KEYS[name].field] = _read(KEYS[name], raw, origin)
            origins[name] = origin
    return Settings(**fields), origins


def check_key(name: str, where: str) -> Key:
    """The key called `name`. Raises InvalidSetting with the closest name."""
    if name in KEYS:
        return KEYS[name]
    close = difflib.get_close_matches(name, KEYS, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(KEYS)}"
    raise InvalidSetting(f"unknown key {name!r} in {where}", hint=hint)


def toml_value(name: str, text: str) -> str | int | bool:
    """`text` as config.toml should hold it for key `name`. Raises InvalidSetting if the key refuses it."""
    value = _read(check_key(name, "the settings"), text, f"{name} = {text}")
    # "5m" stays as the user wrote it.
    return value if isinstance(value, (int, bool)) else text.strip()


def _from_flags(flags: Mapping[str, str | int | None]) -> _Layer:
    return {name: (raw, f"flag --{name}") for name, raw in flags.items() if raw is not None}


def _from_environment(environment: Mapping[str, str]) -> _Layer:
    known = {key.variable: key.name for key in KEYS.values()} | {"NYBBLE_HOME": ""}
    for variable in environment:
        if not variable.startswith("NYBBLE_") or variable in known:
            continue
        # Refuses slips of the keyboard only: another variable may be another program's.
        if close := difflib.get_close_matches(variable, known, 1, 0.75):
            raise InvalidSetting(f"unknown environment variable {variable}", hint=f"did you mean {close[0]}?")
    present = {variable: raw for variable in known if (raw := environment.get(variable, "").strip())}
    return {known[name]: (raw, f"environment {name}") for name, raw in present.items() if known[name]}


def _from_file(config_file: Path) -> _Layer:
    try:
        table = tomllib.loads(config_file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InvalidSetting(
            f"cannot read {config_file}: {error}", hint="correct or remove the file"
        ) from error
    for name in table:
        check_key(name, str(config_file))
    return {name: (raw, "config.toml") for name, raw in table.items()}


def _split_host(layer: _Layer) -> _Layer:
    """`host` may carry the port, as in "http://[::1]:11500"; `port` in the same layer is stronger."""
    raw, origin = layer.get("host", (None, ""))
    if not isinstance(raw, str):
        return layer
    host = re.sub(r"^http://|/+$", "", raw.strip())
    if match := re.fullmatch(r"(\[[^\]]+\]|[^:]+):(\d+)", host):
        layer = {"port": (match[2], origin), **layer}
        host = match[1]
    return {**layer, "host": (host.strip("[]"), origin)}


def _read(key: Key, raw: Any, origin: str) -> Any:
    try:
        return key.read(raw)
    except ValueError as error:
        where = f"{key.name} in config.toml" if origin == "config.toml" else origin
        shown = "this value" if key.name in SECRET_KEYS else repr(raw)
        raise InvalidSetting(f"{where}: {shown} is not valid", hint=f"{key.name} {error}") from None
