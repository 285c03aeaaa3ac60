"""What a model can be called: parsing and formatting of names, without touching disk or network.

    smollm2, smollm2:135m, my-model:v2             TagName    a name of the catalog or of the local store
    user/repo, hf.co/user/repo:Q4_K_M              HubName    a repository on the Hugging Face hub
    ./model.gguf, /data/model.gguf, C:\\model.gguf   LocalFile

Names compare without case. Nothing here can name a path outside the store: a part holds only ASCII letters,
digits, "_", "-" and ".", and starts with none of the last two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from modelstore.errors import InvalidName

DEFAULT_TAG = "latest"

# Which quantization a hub name without a tag means: the first of these that there is.
PREFERRED_QUANTIZATIONS = ("Q4_K_M", "Q8_0", "Q5_K_M", "Q6_K", "Q4_K_S", "Q4_0", "Q4_1", "F16", "BF16")

# A manifest's file name is the quoted name and must stay below 255 bytes.
_MAX_LENGTH = 200
# As Linux has it.
_MAX_PATH_LENGTH = 4096
_PART = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}"
_TAG = re.compile(rf"(?P<name>{_PART})(?::(?P<tag>{_PART}))?")
_HUB = re.compile(rf"(?P<user>{_PART})/(?P<repository>{_PART})(?::(?P<tag>{_PART}))?")
_HUB_PREFIX = re.compile(r"(?:hf\.co|huggingface\.co)/", re.IGNORECASE)
_PATH = re.compile(r"[/~\\]|\.{1,2}[/\\]|[A-Za-z]:[/\\]")
# Of the Ollama registry: no model here can be called so.
_REGISTRY = "ollama"


@dataclass(frozen=True, slots=True)
class TagName:
    """A local or catalog name; `tag` None means the name's default tag."""

    name: str
    tag: str | None = None

    def __str__(self) -> str:
        return f"{self.name}:{self.tag or DEFAULT_TAG}"


@dataclass(frozen=True, slots=True)
class HubName:
    """A hub repository; `tag` is a quantization or a file name in it, None means: choose."""

    user: str
    repository: str
    tag: str | None = None

    @property
    def repo_id(self) -> str:
        return f"{self.user}/{self.repository}"

    def __str__(self) -> str:
        return f"hf.co/{self.repo_id}" + (f":{self.tag}" if self.tag else "")


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of this machine, as the user wrote its path."""

    path: str

    def __str__(self) -> str:
        return self.path


ModelRef = TagName | HubName | LocalFile


def parse(text: str) -> ModelRef:
    """The reference that `text` spells; InvalidName if it spells none."""
    if prefix := _HUB_PREFIX.match(text):
        return _hub(text, text[prefix.end() :])
    if text.lower().partition(":")[0] == _REGISTRY:
        _check_length(text, _MAX_LENGTH)
        raise InvalidName(
            f"{text!r} is a name of the Ollama registry, which this version cannot pull from",
            hint="Use a catalog name, or a Hugging Face repository: user/repository:Q4_K_M.",
        )
    if _PATH.match(text) or (text.lower().endswith(".gguf") and ":" not in text):
        _check_length(text, _MAX_PATH_LENGTH)
        return LocalFile(text)
    if "/" in text:
        return _hub(text, text)
    match = _match(_TAG, text, text)
    return TagName(match["name"], match["tag"])


def parse_tag(text: str) -> TagName:
    """`text` as a name for a local model; InvalidName if it is anything else."""
    ref = parse(text)
    if not isinstance(ref, TagName):
        raise InvalidName(
            f"{text!r} cannot be the name of a local model", hint="Use a form like my-model:v1."
        )
    return ref


def from_file_name(file_name: str) -> TagName:
    """A valid name made of a file's name, for a file that the user gave none."""
    stem = re.sub(r"\.gguf$", "", file_name, flags=re.IGNORECASE)
    name = re.sub(r"[^a-z0-9._]+", "-", stem.lower()).strip("-.")[:80]
    return TagName("model" if name in ("", _REGISTRY) else name)


def key(name: str) -> str:
    """What two names have in common if they mean the same."""
    return name.lower()


def _hub(text: str, rest: str) -> HubName:
    match = _match(_HUB, text, rest)
    tag = match["tag"]
    return HubName(match["user"], match["repository"], None if tag in (None, DEFAULT_TAG) else tag)


def _match(pattern: re.Pattern[str], text: str, rest: str) -> re.Match[str]:
    _check_length(text, _MAX_LENGTH)
    match = pattern.fullmatch(rest)
    if match is None:
        raise InvalidName(
            f"{text!r} is not a model name",
            hint="Names look like smollm2:135m, user/repository:Q4_K_M or ./file.gguf: letters, digits, ._- "
            "in each part, 80 at most.",
        )
    return match


def _check_length(text: str, most: int) -> None:
    if len(text) > most:
        begin = f"{text[:40]}…"
        raise InvalidName(
            f"{begin!r} is no model name: it has {len(text):,} characters, and the limit is {most:,}"
        )
