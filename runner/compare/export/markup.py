"""HTML from Python: text is escaped by its type, so that nothing hostile becomes markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

Content = str | Markup | None


def element(name: str, *content: Content, **attributes: str | None) -> Markup:
    """An element; whatever is not Markup is escaped. Attributes of None are left out; `class_` is `class`."""
    given = [(key.rstrip("_"), value) for key, value in attributes.items() if value is not None]
    written = Markup("").join(Markup(' {}="{}"').format(key, value) for key, value in given)
    return Markup("<{}{}>{}</{}>").format(Markup(name), written, joined(content), Markup(name))


def joined(content: Iterable[Content]) -> Markup:
    return Markup("").join(escape(each) for each in content if each is not None)


def table(head: Sequence[Content], rows: Iterable[Sequence[Markup]], **attributes: str | None) -> Markup:
    """A table in a box that scrolls by itself; `rows` are of `th` and `td` elements."""
    titles = joined(element("th", each, scope="col") for each in head)
    body = joined(element("tr", *row) for row in rows)
    inner = element("table", element("thead", element("tr", titles)), element("tbody", body), **attributes)
    return element("div", inner, class_="scroll", tabindex="0")


def details(summary: str, *content: Content, is_open: bool = False) -> Markup:
    return element("details", element("summary", summary), *content, open="" if is_open else None)
