"""Settings: flag > environment > config.toml > default, checked strictly, each with its origin."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from modelstore.errors import InvalidName, UserError
from runner.settings import KEYS, MODEL_KEYS, SECRET_KEYS, Key, ModelSettings, Settings


class InvalidSetting(UserError):
    code = "invalid_setting"


_MODELS = "models"
_PREFIX = "NYBBLE_"

_Layer = dict[str, tuple[Any, str]]
"""Key name → value as written, and where."""


def load(
    flags: Mapping[str, str | int | None], environment: Mapping[str, str], config_file: Path
) -> tuple[Settings, dict[str, str]]:
    """The settings, and for each key of KEYS where its value comes from: "flag --port",
    "environment NYBBLE_PORT", "config.toml" or "default".

    Raises InvalidSetting naming the flag, the variable or the file and key that is wrong.
    """
    table = _read_file(config_file)
    models = table.pop(_MODELS, {})
    fields: dict[str, Any] = {}
    origins = dict.fromkeys(KEYS, "default")
    written = {name: (raw, "config.toml") for name, raw in table.items()}
    said = {name: (raw, f"flag --{name}") for name, raw in flags.items() if raw is not None}
    for layer in (written, _from_environment(environment), said):
        for name, (raw, origin) in _split_host(layer).items():
            fields[KEYS[name].field] = _read(KEYS[name], raw, origin)
            origins[name] = origin
    return Settings(**fields, models=_models(models, fields)), origins


def check_key(name: str, where: str, known: Mapping[str, Key] = KEYS) -> Key:
    """The key called `name`. Raises InvalidSetting with the closest name."""
    if name in known:
        return known[name]
    if name in KEYS:
        raise InvalidSetting(f"{name!r} in {where} is for the whole daemon", hint="set it at the top")
    raise InvalidSetting(f"unknown key {name!r} in {where}", hint=_meant(name, known))


def _meant(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, [*known, _MODELS], 1)
    return f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"


def toml_value(name: str, text: str) -> str | int | bool:
    """`text` as config.toml should hold it for key `name`. Raises InvalidSetting if the key refuses it."""
    key = check_key(name, "the settings")
    value = _read(key, text, f"{name} = {text}")
    # "5m" and "4GiB" stay as the user wrote them.
    return value if isinstance(value, (int, bool)) and not key.is_size else text.strip()


def _from_environment(environment: Mapping[str, str]) -> _Layer:
    known = {key.variable: key.name for key in KEYS.values()} | {"NYBBLE_HOME": ""}
    ours = {variable.removeprefix(_PREFIX): variable for variable in known if variable.startswith(_PREFIX)}
    for variable in environment:
        if not variable.startswith(_PREFIX) or variable in known:
            continue
        # Refuses slips of the keyboard only: another variable may be another program's.
        if close := difflib.get_close_matches(variable.removeprefix(_PREFIX), ours, 1, 0.75):
            hint = f"did you mean {ours[close[0]]}?"
            raise InvalidSetting(f"unknown environment variable {variable}", hint=hint)
    present = {variable: raw for variable in known if (raw := environment.get(variable, "").strip())}
    return {known[name]: (raw, f"environment {name}") for name, raw in present.items() if known[name]}


def _read_file(config_file: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(config_file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InvalidSetting(
            f"cannot read {config_file}: {error}", hint="correct or remove the file"
        ) from error
    for name in table.keys() - {_MODELS}:
        check_key(name, str(config_file))
    return table


def _models(tables: Any, general: Mapping[str, Any]) -> dict[str, ModelSettings]:
    """The `[models."NAME"]` tables, each completed from the `general` fields."""
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise InvalidSetting("models in config.toml is not a table", hint='write [models."smollm2:135m"]')
    shared = {key.field: general[key.field] for key in MODEL_KEYS.values() if key.field in general}
    return {_canonical(name): _model(name, table, shared) for name, table in tables.items()}


def _model(name: str, table: Mapping[str, Any], shared: Mapping[str, Any]) -> ModelSettings:
    where = f'[models."{name}"] of config.toml'
    own = {}
    for word, raw in table.items():
        key = check_key(word, where, MODEL_KEYS)
        own[key.field] = _read(key, raw, f"{word} in {where}")
    # The model's own word on both types beats what counts for one type of all models.
    beaten = {"kv_type_k", "kv_type_v"} if "kv_type" in own else set()
    return ModelSettings(**{field: value for field, value in shared.items() if field not in beaten} | own)


def _canonical(name: str) -> str:
    """How the daemon looks the model up. Raises InvalidSetting if no model can be called so."""
    # The catalog is a file to read: only for those who have such a table.
    from modelstore import catalog, names

    try:
        ref = names.parse(name)
    except InvalidName as error:
        raise InvalidSetting(f"config.toml: {error.message}", hint=error.hint) from None
    return names.key(catalog.canonical(ref) if isinstance(ref, names.TagName) else str(ref))


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
