"""`nybble compare list`, `show` and `export` against a daemon that has kept comparisons."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

from runner import exits
from runner.wire.compare import Comparison, ComparisonInfo
from tests.commands import nybble_here
from tests.comparisons import example
from tests.fakes.daemon import FakeDaemon


def _info(number: int, *, is_finished: bool = True) -> ComparisonInfo:
    return ComparisonInfo(
        id=number,
        created_at=datetime.now(UTC),
        model="llama3.1:8b\x1b[31m",
        reference="F16",
        variants=["F16", "Q8_0"],
        choice="Q5_K_M",
        is_finished=is_finished,
    )


def test_kept_comparisons_are_listed(fake: FakeDaemon) -> None:
    fake.infos.extend([_info(8, is_finished=False), _info(7)])
    done = nybble_here("compare", "list")
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["ID", "WHEN", "MODEL", "REFERENCE", "VARIANTS", "RECOMMENDED"],
        ["8", "just", "now", "llama3.1:8b", "F16", "2", "unfinished"],
        ["7", "just", "now", "llama3.1:8b", "F16", "2", "Q5_K_M"],
    ]
    assert [each["id"] for each in json.loads(nybble_here("compare", "list", "--json").stdout)] == [8, 7]


def test_one_is_shown_again(fake: FakeDaemon) -> None:
    fake.kept.append(example())
    done = nybble_here("compare", "show", "7")
    assert "Q5_K_M" in done.stdout and "0.0108 ± 0.0008" in done.stdout
    assert Comparison.model_validate_json(nybble_here("compare", "show", "7", "--json").stdout) == example()
    assert nybble_here("compare", "show", "99").code == exits.NOT_FOUND


def test_a_picture_is_written_where_it_was_asked_for(fake: FakeDaemon, tmp_path: Path) -> None:
    fake.kept.append(example())
    picture = tmp_path / "picture.svg"
    done = nybble_here("compare", "export", "7", "-o", str(picture))
    assert (done.code, done.stdout) == (0, ""), done.stderr
    assert "<svg" in picture.read_text("utf-8")
    card = nybble_here("compare", "export", "7", "--format", "md")
    assert card.stdout.startswith("# llama3")


def test_wrong_wishes_are_named(fake: FakeDaemon, tmp_path: Path) -> None:
    fake.kept.append(example())
    assert "html, svg, md, csv, json" in nybble_here("compare", "export", "7", "--format", "pdf").stderr
    nowhere = nybble_here("compare", "export", "7", "-o", str(tmp_path / "no" / "x.csv"))
    assert nowhere.code == exits.USAGE and "cannot write" in nowhere.stderr
    file = tmp_path / "x.json"
    content = example().model_dump_json()
    for name, altered in {
        "nothing": "{}",
        "no number": content.replace('"value":', '"value":NaN,"was":', 1),
        "too large a number": content.replace('"value":', '"value":1e999,"was":', 1),
        "a time of nowhere": re.sub(r'("created_at":"[^"Z]*)Z"', r'\1"', content),
    }.items():
        assert altered != content, name
        file.write_text(altered, encoding="utf-8")
        refused = nybble_here("compare", "show", str(file))
        assert "no exported comparison" in refused.stderr, (name, refused.stderr)


def test_a_file_of_another_computer_joins_only_under_the_same_keys(fake: FakeDaemon, tmp_path: Path) -> None:
    fake.kept.append(example())
    theirs = tmp_path / "theirs.json"
    theirs.write_text(example().model_copy(update={"hardware": {"cpu": "M4"}}).model_dump_json(), "utf-8")
    joined = nybble_here("compare", "show", "7", str(theirs), "--json")
    assert len(json.loads(joined.stdout)["variants"]) == len(example().variants)
    altered = example().model_copy(update={"text": {"stream": "sha256:altered"}})
    theirs.write_text(altered.model_dump_json(), "utf-8")
    refused = nybble_here("compare", "show", "7", str(theirs))
    assert refused.code == exits.FAILED and "text stream" in refused.stderr
