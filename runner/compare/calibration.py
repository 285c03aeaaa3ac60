"""The text that an importance matrix is collected on when nobody gives one."""

from __future__ import annotations

from pathlib import Path

from runner.compare.corpus import FOLDER, languages, read, texts
from runner.compare.turns import in_turn

_PIECE_CHARACTERS = 1500
DATASET = "texts that come with nybble"


def calibration_text(folder: Path = FOLDER) -> str:
    """Pieces of the bundled corpus, kinds in turn: its beginning is as mixed as the whole. Raises Unusable
    if a file was altered."""
    pieces: dict[str, list[str]] = {}
    for text in texts(folder):
        if text.use == "corpus":
            whole = read(text, folder)
            cut = [whole[at : at + _PIECE_CHARACTERS] for at in range(0, len(whole), _PIECE_CHARACTERS)]
            pieces.setdefault(text.domain, []).extend(cut)
    return "\n\n".join(piece for _, piece in in_turn(pieces, languages(folder)))
