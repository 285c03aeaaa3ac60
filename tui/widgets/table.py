"""A table that a model wrote, as one widget: with one for each cell, some hundred rows would take seconds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from textual.app import ComposeResult
from textual.content import Content
from textual.geometry import Size
from textual.widgets._markdown import MarkdownBlock, MarkdownTable

from tui.widgets.paint import dim

_BETWEEN, _CROSSING = dim(" │ "), "─┼─"


class Table(MarkdownTable):
    def compose(self) -> ComposeResult:
        self._headers, self._rows = self._get_headers_and_rows()
        yield from ()

    async def _update_from_block(self, block: MarkdownBlock) -> None:
        if isinstance(block, Table):
            self._headers, self._rows = block._get_headers_and_rows()
            self.refresh(layout=True)
        else:
            await super()._update_from_block(block)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(drawn([self._headers, *self._rows], width))

    def render(self) -> Content:
        return Content("\n").join(drawn([self._headers, *self._rows], self.content_size.width))


def drawn(rows: Sequence[Sequence[Content]], width: int) -> list[Content]:
    """The lines of a table; cells are wrapped where it is wider than `width` cells, and then lines part the
    rows."""
    widths = fitted([max(cell.cell_length for cell in column) for column in zip(*rows, strict=True)], width)
    rule = dim(_CROSSING.join("─" * each for each in widths))
    wrapped = [[cell.wrap(each) for cell, each in zip(row, widths, strict=True)] for row in rows]
    is_wrapped = any(len(cell) > 1 for row in wrapped for cell in row)
    lines: list[Content] = []
    for number, row in enumerate(wrapped):
        if number == 1 or (number and is_wrapped):
            lines.append(rule)
        for parts in zip_longest(*row, fillvalue=Content()):
            line = zip(parts, widths, strict=True)
            cells = [part.pad_right(each - part.cell_length) for part, each in line]
            lines.append(_BETWEEN.join(cells).stylize("" if number else "bold $text-primary"))
    return lines


def fitted(widths: Sequence[int], room: int) -> list[int]:
    """The widest columns give way first, down to one cell."""
    most = max([1, *widths])
    while most > 1 and sum(min(each, most) + len(_CROSSING) for each in widths) - len(_CROSSING) > room:
        most -= 1
    return [max(1, min(each, most)) for each in widths]
