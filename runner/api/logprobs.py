"""Log probabilities as clients expect them: a list of tokens, or of OpenAI's texts lists side by side."""

from __future__ import annotations

import codecs
from collections.abc import Iterable

# The standard library's lacks what pydantic needs to describe it, before Python 3.12.
from typing_extensions import TypedDict

from runner import wire


class Alternative(TypedDict):
    token: str
    logprob: float
    bytes: list[int]


class ChatLogprob(Alternative):
    top_logprobs: list[Alternative]


class ChatLogprobs(TypedDict):
    content: list[ChatLogprob]
    refusal: None


class TextLogprobs(TypedDict):
    """One entry for each token in each list; `text_offset` counts characters of the choice's text."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


def chat_logprobs(tokens: Iterable[wire.TokenLogprob]) -> ChatLogprobs:
    content: list[ChatLogprob] = [
        {**alternative(token), "top_logprobs": [alternative(each) for each in token.top]} for token in tokens
    ]
    return {"content": content, "refusal": None}


def alternative(token: wire.Alternative) -> Alternative:
    return {"token": token.text, "logprob": token.logprob, "bytes": token.data}


class TextPosition:
    """Where the next token begins in the text of one choice."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._characters = 0

    def logprobs(self, tokens: Iterable[wire.TokenLogprob]) -> TextLogprobs:
        """Of the tokens that come next."""
        result: TextLogprobs = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
        for token in tokens:
            result["tokens"].append(_name(token))
            result["token_logprobs"].append(token.logprob)
            result["top_logprobs"].append({_name(each): each.logprob for each in [*token.top, token]})
            result["text_offset"].append(self._characters)
            self._characters += len(self._decoder.decode(bytes(token.data)))
        return result


def _name(token: wire.Alternative) -> str:
    """Its text; of a token that is not whole characters, its bytes, since names must differ."""
    try:
        return bytes(token.data).decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token.data)
