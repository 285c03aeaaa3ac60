"""Texts for making a mixture: to calibrate on, and others to decide on, of the same kind and of another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from modelstore.header import Header
from runner.compare.answers import AnswerPlan, Report, answer_blocks
from runner.compare.blocks import Block, Window, block
from runner.compare.corpus import fixed_blocks
from runner.compare.rendering import Chat
from runner.compare.scoring import Scorer

# Shorter than elsewhere: what is decided is how two files differ, and for that more texts say more.
_WINDOW = Window(512, 64)
_SEED = 4
_LEAD_TOKENS = 32
_OWN_TOKENS = 128
_TOGETHER = 8


@dataclass(frozen=True, slots=True)
class Passages:
    """Blocks with different numbers. `held_out` by kind of text: first the kind that `calibration` is of,
    though not the same texts, then one that it has nothing of."""

    calibration: list[Block]
    held_out: dict[str, list[Block]]

    @property
    def datasets(self) -> tuple[str, ...]:
        return (f"nybble: {next(iter(self.held_out))}",)

    @property
    def deciding(self) -> list[Block]:
        """All that is held out, kind by kind."""
        return [each for blocks in self.held_out.values() for each in blocks]


def gather(scorer: Scorer, header: Header, chunks: int, report: Report) -> Passages:
    """A model that chats is calibrated on its own answers, and any other on the texts that come with nybble;
    the other kind of text, for the latter what it makes of beginnings, is only for deciding."""
    window_tokens = min(_WINDOW.length, header.context_length or _WINDOW.length)
    fixed = fixed_blocks(scorer, Window(window_tokens, _WINDOW.context), 2 * chunks)
    chat = Chat.of(scorer.loaded[0], header)
    if chat is None:
        calibration, same = halves(fixed)
        other = _continued(scorer, same)
        kinds = {"texts of all kinds": same, "its own continuations": other}
    else:
        answers = list(answer_blocks(scorer, chat, AnswerPlan.of(2 * chunks, _SEED), report))
        calibration, same = halves(answers)
        kinds = {"its own answers": same, "texts of all kinds": fixed[: len(fixed) // 2]}
    return _numbered(calibration, kinds)


def halves(blocks: Sequence[Block]) -> tuple[list[Block], list[Block]]:
    """Two lists, with every domain in both as far as it goes: of each in turn, beginning now with the one and
    now with the other list, since of some domains there is one block only."""
    seen: Counter[str] = Counter()
    split: tuple[list[Block], list[Block]] = ([], [])
    for each in blocks:
        number = list(seen).index(each.domain) if each.domain in seen else len(seen)
        split[(number + seen[each.domain]) % 2].append(each)
        seen[each.domain] += 1
    return split


def _continued(scorer: Scorer, blocks: Sequence[Block]) -> list[Block]:
    """What the model itself says after the first tokens of each block."""
    found = []
    for start in range(0, len(blocks), _TOGETHER):
        some = blocks[start : start + _TOGETHER]
        leads = [each.tokens[:_LEAD_TOKENS] for each in some]
        seeds = [_SEED + start + index for index in range(len(some))]
        for each, lead, tokens in zip(some, leads, scorer.sampled(leads, _OWN_TOKENS, seeds), strict=True):
            if tokens:
                found.append(block(scorer, 0, each.domain, [*lead, *tokens], len(lead)))
    return found


def _numbered(calibration: Sequence[Block], kinds: dict[str, list[Block]]) -> Passages:
    """Numbers are what a record of the reference knows blocks by."""
    held_out, start = {}, len(calibration)
    for kind, blocks in kinds.items():
        held_out[kind] = [replace(each, index=start + index) for index, each in enumerate(blocks)]
        start += len(blocks)
    return Passages([replace(each, index=index) for index, each in enumerate(calibration)], held_out)
