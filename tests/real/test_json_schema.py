"""Constraints keep what the published JSON Schema test suite says."""

from __future__ import annotations

from tests.real.json_schema import PAGE, page, results


def test_nothing_wrong_can_be_written_and_the_page_is_fresh() -> None:
    outcomes = results()
    assert {
        name: outcome.cases[False, True] for name, outcome in outcomes.items() if outcome.cases[False, True]
    } == {}
    assert sum(outcome.cases[True, True] for outcome in outcomes.values()) >= 300
    assert PAGE.read_text("utf-8") == page(outcomes), (
        "run `python -m tests.real.json_schema`: the page is stale"
    )
