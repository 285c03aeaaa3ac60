"""Every format from a stored comparison alone: all there, nothing from elsewhere, nothing hostile alive."""

from __future__ import annotations

import csv
import io
import re
import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest

from modelstore.errors import UserError
from runner.compare.export import FORMATS, render
from runner.readout.numbers import bytes_text
from runner.wire.compare import Comparison, Energy, Estimate, VariantResult
from tests.comparisons import DOMAINS, example

_HOSTILE = '</style><script>alert(1)</script><img src="http://evil.example/x">$x^2$|[a](http://b)\x1b[31m\u202e\x07&"\''


class _Page(HTMLParser):
    """Elements, attributes and text; open elements must be closed in order."""

    _EMPTY = frozenset({"meta", "br", "path", "use"})

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in self._EMPTY:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag not in self._EMPTY:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def report() -> str:
    return render(example(), "html")


@pytest.fixture(scope="module")
def hostile() -> Comparison:
    """Every text of the example is hostile, keys included."""

    def poisoned(value: Any, key: str = "") -> Any:
        if isinstance(value, str) and key not in ("intent", "effort", "tier", "created_at"):
            return value + _HOSTILE
        if isinstance(value, list):
            return [poisoned(item) for item in value]
        if isinstance(value, dict):
            free = key in ("engine", "hardware", "text", "domains", "types", "settings", "refused")
            return {
                name + _HOSTILE if free else name: poisoned(item, str(name)) for name, item in value.items()
            }
        return value

    return Comparison.model_validate(poisoned(example().model_dump(mode="json")))


def test_the_report_has_every_section_and_figure(report: str) -> None:
    page = _Page(report)
    headings = re.findall(r"<h[12]>(.*?)</h[12]>", report)
    assert headings == [
        "Run Q5_K_M", "Quality against memory", "Where it hurts", "Speed and memory", "Energy",
        "The answers themselves", "Provenance",
    ]  # fmt: skip
    pictures = re.findall(r'<svg viewBox="[\d. ]+" role="img" aria-label="([^"]+)"', report)
    assert len(pictures) == 12, "six, each for wide and for narrow screens"
    text = " ".join(page.texts)
    for word in (*DOMAINS, "does not fit", "practically the original", "4k context", "32k context", "p99.9",
                 "RAPL package-0 covers: CPU package.", "harmless tie", "real change", "sha256:" + "5e" * 32,
                 "llama.cpp 0c1e57098", "tied with F"):  # fmt: skip
        assert word in text, word
    classes = " ".join(value for name, value in page.attributes if name == "class")
    assert re.search(r"h\d hard", classes) and re.search(r"h\d flip", classes)


def test_the_report_needs_nothing_from_elsewhere(report: str) -> None:
    page = _Page(report)
    assert "default-src 'none'; style-src 'unsafe-inline'" in report
    assert not {"script", "link", "img", "iframe", "object", "base", "form", "a", "image"} & set(page.tags)
    assert re.findall(r"https?:|//\w|@import|url\((?!#)", report) == []
    links = [value for name, value in page.attributes if name in ("src", "href", "xlink:href")]
    assert links and all(value.startswith("#") for value in links)
    names = re.findall(r' id="([^"]+)"', report)
    assert len(names) == len(set(names)) and {link[1:] for link in links} <= set(names)


def test_colours_are_those_of_the_reader(report: str) -> None:
    drawn = "".join(re.findall(r"<svg.*?</svg>", report, re.DOTALL))
    assert re.findall(r"(?:fill|stroke|color): #\w+", drawn) == []
    assert "prefers-color-scheme: dark" in report and "DejaVu" not in drawn
    used, given = set(re.findall(r"var\(--([\w-]+)\)", report)), set(re.findall(r"--([\w-]+):", report))
    assert used <= given


@pytest.mark.parametrize("name", ["html", "svg"])
def test_hostile_text_stays_text(hostile: Comparison, name: str) -> None:
    rendered = render(hostile, name)
    if name == "svg":
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(rendered).iter()}
        values = [value for each in ElementTree.fromstring(rendered).iter() for value in each.attrib.values()]
    else:
        page = _Page(rendered)
        tags, values = set(page.tags), [value for name, value in page.attributes if name != "title"]
        assert "</style><script>alert(1)" in " ".join(page.texts)
    assert not {"script", "img"} & tags
    assert [value for value in values if value.startswith(("http", "javascript"))] == []
    assert re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", rendered) == []


def test_the_card_shows_hostile_text_as_it_is(hostile: Comparison) -> None:
    card = render(hostile, "md")
    assert "<" not in card and "\x1b" not in card
    assert re.findall(r"(?<!\\)(?:\[|\]\(|://)", card) == []
    rows = [line for line in card.splitlines() if line.startswith("|")]
    cells = {len(re.split(r"(?<!\\)\|", line)) for line in rows}
    assert len(rows) == 2 + len(hostile.variants) and len(cells) == 1


def test_the_card_says_the_verdict_first() -> None:
    card = render(example(), "md")
    assert card.index("Q5\\_K\\_M fits 8 GB") < card.index("| variant |") < card.index("## Provenance")
    assert "0.0108 ± 0.0008" in card


def test_csv_has_every_figure_with_its_error() -> None:
    rows = list(csv.DictReader(io.StringIO(render(example(), "csv"))))
    assert [row["variant"] for row in rows] == [each.name for each in example().variants]
    row, quality = rows[3], example().variants[3].quality
    assert quality is not None
    assert (float(row["kld_mean"]), float(row["kld_mean_error"])) == (
        quality.kld_mean.value,
        quality.kld_mean.error,
    )
    assert float(row["size_bytes"]) == example().variants[3].size_bytes
    assert row["kld_p999_low"] != "" and rows[1]["kld_p999"] == ""
    assert float(row["kld_mean_arabic"]) == pytest.approx(0.01076 * 2.1)


@pytest.mark.parametrize("name", ["=cmd()", "+1", "-1", "@x", "\t=x"])
def test_csv_holds_no_formula(name: str) -> None:
    variant = VariantResult(name=name, digest=name, size_bytes=1)
    [row] = csv.DictReader(io.StringIO(render(example().model_copy(update={"variants": [variant]}), "csv")))
    assert row["variant"] == row["digest"] == f"'{name}"


def test_json_comes_back_as_it_was() -> None:
    rendered = render(example(), "json")
    assert rendered.isascii()
    assert Comparison.model_validate_json(rendered) == example()


@pytest.mark.parametrize("name", FORMATS)
def test_what_was_not_measured_leaves_no_hole(name: str) -> None:
    no = Estimate(reason="not readable: see `nybble doctor`")
    energy = Energy(prompt_joules_gross=no, prompt_joules_net=no, generated_joules_gross=no,
                    generated_joules_net=no, answer_joules=no, reason="not measurable here")  # fmt: skip
    bare = VariantResult(name="Q4_K_M", digest="sha256:0", size_bytes=98_000_000, energy=energy)
    comparison = Comparison(
        created_at=datetime(2026, 10, 12, tzinfo=UTC), model="smollm2:135m", reference="Q4_K_M", context=4096,
        effort="quick", intent="balanced", engine={}, hardware={}, variants=[bare],
    )  # fmt: skip
    if name == "svg":
        with pytest.raises(UserError, match="no picture"):
            render(comparison, name)
        return
    rendered = render(comparison, name)
    assert "Q4_K_M" in rendered.replace("\\", "")
    if name == "html":
        assert "not measurable here" in " ".join(_Page(rendered).texts) and "<svg" not in rendered
    assert not re.search(r"\b(?:nan|None)\b", rendered)


@pytest.fixture(scope="module")
def unlike() -> str:
    """Of variants whose prefill speed is unknown, the first with a context of its own."""

    def without_prefill(variant: VariantResult) -> VariantResult:
        assert variant.speed
        no = Estimate(reason="no")
        depths = [row.model_copy(update={"prefill_tps": no}) for row in variant.speed.depths]
        return variant.model_copy(update={"speed": variant.speed.model_copy(update={"depths": depths})})

    first, *others = map(without_prefill, example().variants)
    own = first.model_copy(update={"settings": {"context_length": "16384"}})
    return render(example().model_copy(update={"variants": [own, *others]}), "html")


def test_speeds_of_which_one_is_unknown_are_drawn(unlike: str) -> None:
    assert 'aria-label="Prefill and decode' in unlike


def test_of_variants_with_contexts_of_their_own_no_other_is_shown(unlike: str) -> None:
    first = example().variants[0]
    assert "own context" in unlike and "32k context" not in unlike
    assert first.memory and bytes_text(first.memory.total_bytes).split()[0] in unlike
