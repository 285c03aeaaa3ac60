"""A table that a model wrote, as one widget: with one for each cell, some hundred rows would take seconds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from textual.content import Content
from textual.geometry import Size
from textual.widgets import Markdown
from textual.widgets.markdown import MarkdownBlock

ROWS = "rows"
"""The token that `gather_rows` puts in the place of all tokens of a table."""
_BETWEEN, _CROSSING = Content(" │ ").stylize("$foreground-muted"), "─┼─"


def gather_rows(state: StateCore) -> None:
    """A rule for the parser: a table becomes one token, with a list of cells for each row in its `meta`."""
    tokens: list[Token] = []
    rows: list[list[Token]] | None = None
    for token in state.tokens:
        if token.type == "table_open":
            rows = []
            tokens.append(Token(ROWS, "", 0, map=token.map, level=token.level, meta={ROWS: rows}))
        elif token.type == "table_close":
            rows = None
        elif rows is None:
            tokens.append(token)
        elif token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append(token)
    state.tokens = tokens


class Table(MarkdownBlock):
    def __init__(self, markdown: Markdown, token: Token) -> None:
        super().__init__(markdown, token)
        self._rows = [[self._token_to_content(cell) for cell in row] for row in token.meta[ROWS]]

    async def _update_from_block(self, block: MarkdownBlock) -> None:
        if isinstance(block, Table):
            self._rows = block._rows
            self.refresh(layout=True)
        else:
            await super()._update_from_block(block)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(drawn(self._rows, width))

    def render(self) -> Content:
        return Content("\n").join(drawn(self._rows, self.content_size.width))


def drawn(rows: Sequence[Sequence[Content]], width: int) -> list[Content]:
    """The lines of a table; cells are wrapped where it is wider than `width` cells, and then lines part the
    rows."""
    columns = list(zip(*rows, strict=True))
    widths = fitted([max(cell.cell_length for cell in column) for column in columns], width)
    rule = Content(_CROSSING.join("─" * each for each in widths)).stylize("$foreground-muted")
    wrapped = [[cell.wrap(each) for cell, each in zip(row, widths, strict=True)] for row in rows]
    is_wrapped = any(len(cell) > 1 for row in wrapped for cell in row)
    lines: list[Content] = []
    for number, row in enumerate(wrapped):
        if number == 1 or (number and is_wrapped):
            lines.append(rule)
        for parts in zip_longest(*row, fillvalue=Content()):
            cells = [_padded(part, each) for part, each in zip(parts, widths, strict=True)]
            line = _BETWEEN.join(cells)
            lines.append(line if number else line.stylize("bold $text-primary"))
    return lines


def fitted(widths: Sequence[int], room: int) -> list[int]:
    """The widest columns give way first, down to one cell."""
    room -= len(_CROSSING) * (len(widths) - 1)
    most = max([1, *widths])
    while most > 1 and sum(min(each, most) for each in widths) > room:
        most -= 1
    return [max(1, min(each, most)) for each in widths]


def _padded(cell: Content, width: int) -> Content:
    return cell.pad_right(max(0, width - cell.cell_length))
