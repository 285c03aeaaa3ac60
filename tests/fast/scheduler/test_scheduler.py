"""The scheduler by tables; test_any_order.py throws events at it."""

from __future__ import annotations

import math

import pytest

from modelstore.errors import InvalidModel
from runner.breaker import DEATHS, PAUSE_S
from runner.effects import AnnounceReload, Effect, Enqueued, Reject, StartLoad
from runner.errors import DoesNotFit, KeepsCrashing, Overloaded, WorkerFailed
from runner.scheduler import PATIENCE_S
from tests.fast.scheduler.desk import NEED, Desk, kinds, need, positions

DIED = WorkerFailed("the process was ended by SIGSEGV")


def overloaded(effects: list[Effect]) -> Overloaded:
    (reject,) = effects
    assert isinstance(reject, Reject) and isinstance(reject.error, Overloaded)
    return reject.error


def does_not_fit(effects: list[Effect]) -> bool:
    (reject,) = effects
    return isinstance(reject, Reject) and isinstance(reject.error, DoesNotFit)


def test_a_request_loads_its_model_and_those_that_follow_wait_for_the_same_load() -> None:
    desk = Desk()
    assert kinds(desk.request("r1", "a")) == [("StartLoad", "a")]
    assert kinds(desk.request("r2", "a")) == []
    assert kinds(desk.request("r3", "b")) == [("StartLoad", "b")]
    assert kinds(desk.loaded("a")) == [("Start", "r1"), ("Start", "r2")]
    assert kinds(desk.request("r4", "a")) == [("Start", "r4")]


def test_the_same_weights_are_loaded_twice_with_different_settings() -> None:
    desk = Desk()
    desk.ready("a")
    assert kinds(desk.request("r1", "a#embedding")) == [("StartLoad", "a#embedding")]
    assert kinds(desk.request("r2", "a")) == [("Start", "r2")]
    assert kinds(desk.loaded("a#embedding")) == [("Start", "r1")]
    desk.done("r1")
    desk.done("r2")
    assert kinds(desk.scheduler.on_unload("a", 1)) == [("Unload", "a"), ("Unload", "a#embedding")]


# Keep-alive


def test_an_idle_model_goes_when_its_keep_alive_is_over_and_not_before() -> None:
    desk = Desk()
    desk.request("r1", "a", keep_alive_s=60)
    desk.loaded("a")
    desk.now_s = 100
    assert desk.scheduler.on_tick(100) == []
    assert desk.done("r1") == []
    assert desk.scheduler.models["a"].expires_at_s() == 160
    assert desk.scheduler.on_tick(159) == []
    assert kinds(desk.scheduler.on_tick(160)) == [("Unload", "a")]


@pytest.mark.parametrize(
    ("keep_alive_s", "expected"), [(0, [("Unload", "a")]), (-1, []), (1e12, []), (math.inf, [])]
)
def test_keep_alive_zero_unloads_at_once_and_negative_never(
    keep_alive_s: float, expected: list[tuple[str, str]]
) -> None:
    desk = Desk()
    desk.request("r1", "a", keep_alive_s)
    desk.loaded("a")
    assert kinds(desk.done("r1")) == expected
    assert desk.scheduler.on_tick(10**9) == []
    assert desk.scheduler.models["a"].expires_at_s() is None


def test_the_latest_request_that_names_a_keep_alive_decides() -> None:
    desk = Desk()
    desk.ready("a")
    assert desk.scheduler.models["a"].expires_at_s() == 300
    for name, keep_alive_s, expires_s in (("r1", 60, 60), ("r2", None, 60), ("r3", -1, None)):
        desk.request(name, "a", keep_alive_s)
        desk.done(name)
        assert desk.scheduler.models["a"].expires_at_s() == expires_s


def test_a_request_that_comes_while_its_model_unloads_gets_a_new_load() -> None:
    desk = Desk()
    desk.request("r1", "a", keep_alive_s=0)
    desk.loaded("a")
    desk.done("r1")
    assert kinds(desk.request("r2", "a")) == []
    assert kinds(desk.exited("a")) == [("StartLoad", "a")]


def test_stopping_a_busy_model_waits_for_its_requests() -> None:
    desk = Desk()
    desk.request("r1", "a")
    desk.loaded("a")
    assert desk.scheduler.on_unload("a", 1) == []
    assert kinds(desk.done("r1")) == [("Unload", "a")]


# Context


def test_a_larger_context_reloads_once_announced_after_the_requests_that_run() -> None:
    desk = Desk()
    desk.request("r1", "a", keep_alive_s=-1)
    desk.loaded("a")
    assert desk.request("r2", "a", least=1000) == [
        Enqueued("r2", 1),
        AnnounceReload("r2", "the request needs a context of 1000 tokens, 256 are loaded"),
    ]
    assert kinds(desk.request("r3", "a", least=500)) == []
    assert kinds(desk.request("r4", "a")) == []
    assert kinds(desk.done("r1")) == [("Unload", "a")]
    load = desk.exited("a")[-1]
    assert isinstance(load, StartLoad) and load.placement.context_length == 1000
    assert kinds(desk.loaded("a")) == [("Start", "r2"), ("Start", "r3"), ("Start", "r4")]
    for name in ("r2", "r3", "r4"):
        desk.done(name)
    assert desk.scheduler.models["a"].expires_at_s() is None


def test_small_and_large_requests_in_turn_do_not_reload_again() -> None:
    desk = Desk()
    desk.request("r1", "a", least=1000)
    desk.loaded("a")
    for number, least in enumerate((None, 1000, 100, 900, None)):
        assert kinds(desk.request(f"s{number}", "a", least=least)) == [("Start", f"s{number}")]


def test_more_context_than_the_model_was_trained_for_is_not_more_than_it_has() -> None:
    desk = Desk()
    desk.request("r1", "a", least=1024)
    desk.loaded("a")
    assert kinds(desk.request("r2", "a", least=9000)) == [("Start", "r2")]


def test_a_context_that_cannot_fit_is_refused_and_the_loaded_model_stays() -> None:
    desk = Desk(models=1)
    desk.ready("a")
    desk.room = -3
    assert does_not_fit(desk.request("r1", "a", least=1000))
    assert kinds(desk.request("r2", "a")) == [("Start", "r2")]


def test_only_the_requests_that_cannot_fit_are_refused() -> None:
    desk = Desk(models=1)
    desk.request("b1", "busy")
    desk.loaded("busy")
    desk.request("small", "a")
    desk.request("large", "a", least=1000)
    assert kinds(desk.done("b1")) == [("Unload", "busy")]
    desk.room = need(256) / NEED - 0.5
    assert kinds(desk.exited("busy")) == [("Reject", "large"), ("StartLoad", "a")]


# Memory


def test_an_idle_model_makes_room_and_a_busy_one_is_waited_for() -> None:
    desk = Desk(models=1)
    desk.request("r1", "a")
    desk.loaded("a")
    assert kinds(desk.request("r2", "b")) == []
    assert kinds(desk.done("r1")) == [("Unload", "a")]
    assert kinds(desk.exited("a")) == [("StartLoad", "b")]


def test_the_model_that_is_quickest_to_load_again_makes_room() -> None:
    desk = Desk(models=2)
    desk.ready("slow", load_s=60)
    desk.ready("quick", load_s=1)
    desk.now_s = 10
    assert kinds(desk.request("r1", "c")) == [("Unload", "quick")]


def test_no_second_model_is_unloaded_while_the_first_is_still_leaving() -> None:
    desk = Desk(models=2)
    desk.ready("a")
    desk.now_s = 1
    desk.ready("b")
    desk.now_s = 2
    assert kinds(desk.request("r3", "c")) == [("Unload", "a")]
    assert kinds(desk.request("r4", "c")) == []
    assert kinds(desk.exited("a")) == [("StartLoad", "c")]


def test_the_second_load_is_placed_by_what_the_first_one_took() -> None:
    desk = Desk(models=2)
    desk.request("r1", "a", keep_alive_s=0)
    desk.loaded("a", memory_bytes=5 * NEED)
    desk.done("r1")
    desk.exited("a")
    assert does_not_fit(desk.request("r2", "a"))
    assert kinds(desk.request("r3", "b")) == [("StartLoad", "b")]


def test_a_budget_counts_measured_memory_and_not_models() -> None:
    desk = Desk(budget_bytes=3 * NEED)
    desk.request("r1", "a")
    desk.loaded("a", memory_bytes=NEED)
    desk.request("r2", "b")
    desk.loaded("b", memory_bytes=2 * NEED - 1)
    desk.done("r1")
    desk.done("r2")
    assert kinds(desk.request("r3", "c")) == [("Unload", "b")]


def test_idle_models_go_when_a_load_turns_out_larger_than_the_budget_but_never_the_only_one() -> None:
    desk = Desk(budget_bytes=3 * NEED)
    desk.ready("a")
    desk.request("r1", "b")
    assert kinds(desk.loaded("b", memory_bytes=4 * NEED)) == [("Start", "r1"), ("Unload", "a")]
    desk.exited("a")
    assert kinds(desk.done("r1")) == []


def test_what_does_not_fit_is_refused() -> None:
    desk = Desk(models=-5)
    assert does_not_fit(desk.request("r1", "a"))
    assert desk.scheduler.models == {}


def test_a_model_that_never_rests_gives_way_to_one_that_has_waited_long_enough() -> None:
    desk = Desk(models=1)
    desk.request("b1", "busy")
    desk.loaded("busy")
    desk.request("r1", "a")
    desk.now_s = PATIENCE_S - 1
    assert kinds(desk.request("b2", "busy")) == [("Start", "b2")]
    desk.now_s = PATIENCE_S
    assert kinds(desk.request("b3", "busy")) == [("Start", "b3")]
    assert kinds(desk.request("b4", "busy")) == []
    assert kinds(desk.done("b1") + desk.done("b2") + desk.done("b3")) == [("Unload", "busy")]
    assert kinds(desk.exited("busy")) == [("StartLoad", "a")]
    assert kinds(desk.loaded("a")) == [("Start", "r1")]
    assert kinds(desk.done("r1")) == [("Unload", "a")]
    assert kinds(desk.exited("a")) == [("StartLoad", "busy")]


def waiting_for_room_of_two(*busy: str) -> Desk:
    """`c1` waits for the room of two models; those in `busy` work."""
    desk = Desk(models=2)
    desk.request("c0", "c")
    desk.loaded("c", 2 * NEED)
    desk.done("c0")
    desk.scheduler.on_unload("c", 0)
    desk.exited("c")
    for key in busy:
        desk.request(f"{key}1", key)
        desk.loaded(key)
    assert kinds(desk.request("c1", "c")) == []
    return desk


def test_models_that_must_both_give_way_rest_at_the_same_time() -> None:
    desk = waiting_for_room_of_two("a", "b")
    desk.now_s = PATIENCE_S
    desk.scheduler.on_tick(desk.now_s)
    assert kinds(desk.request("a2", "a")) == kinds(desk.request("b2", "b")) == []
    assert kinds(desk.done("a1")) == [], "it must not begin anew while the other one ends"
    assert sorted(kinds(desk.done("b1"))) == [("Unload", "a"), ("Unload", "b")]


def test_small_models_keep_no_large_one_out_that_has_waited_long() -> None:
    desk = waiting_for_room_of_two("a")
    assert kinds(desk.request("d1", "d")) == [("StartLoad", "d")]
    desk = waiting_for_room_of_two("a")
    desk.now_s = PATIENCE_S
    assert kinds(desk.request("d1", "d")) == []
    desk.done("a1")
    assert ("StartLoad", "c") in kinds(desk.exited("a"))


def test_nobody_gives_way_any_more_when_the_one_that_waited_has_left() -> None:
    desk = Desk(models=1)
    desk.request("b1", "busy")
    desk.loaded("busy")
    desk.request("r1", "a")
    desk.now_s = PATIENCE_S
    desk.scheduler.on_tick(desk.now_s)
    assert kinds(desk.request("b2", "busy")) == []
    assert kinds(desk.done("r1", answered=False)) == [("Start", "b2")]


# The queue


def test_places_in_the_queue_count_those_in_the_worker_and_are_told_when_they_change() -> None:
    desk = Desk()
    assert positions(desk.request("r1", "a")) == {"r1": 1}
    assert positions(desk.request("r2", "a")) == {"r2": 2}
    assert positions(desk.loaded("a")) == {}
    assert positions(desk.request("large", "a", least=1000)) == {"large": 2}
    assert positions(desk.request("r4", "a")) == {"r4": 3}
    assert positions(desk.done("r1")) == {"large": 1, "r4": 2}
    assert positions(desk.done("large", answered=False)) == {}
    assert desk.scheduler.models["a"].queue_length == 1


def test_a_full_queue_refuses_with_its_limit_and_the_pace_at_which_places_come_free() -> None:
    desk = Desk(max_queue=2)
    desk.ready("b")
    desk.request("r1", "a")
    desk.loaded("a")
    for name in ("r2", "r3"):
        assert kinds(desk.request(name, "a")) == [("Start", name)]
    full = overloaded(desk.request("r4", "a"))
    assert full.message == "2 requests are waiting already, and max_queue is 2"
    assert kinds(desk.request("r5", "b")) == [("Start", "r5")], "it need not wait"
    desk.now_s = 6.5
    desk.done("r1")
    desk.request("r6", "a")
    assert overloaded(desk.request("r7", "a")).retry_after_s == 7


def test_retry_after_a_load_that_took_20_s_before_says_when_it_will_have_ended() -> None:
    desk = Desk(max_queue=1)
    desk.ready("a", load_s=20)
    desk.scheduler.on_unload("a", 0)
    desk.exited("a")
    desk.request("r1", "a")
    desk.now_s = 5
    assert overloaded(desk.request("r2", "a")).retry_after_s == 15


def test_a_drain_refuses() -> None:
    desk = Desk()
    desk.scheduler.on_drain()
    assert "shutting down" in overloaded(desk.request("r4", "b")).message


# Failures


def test_a_failed_load_fails_all_who_wait_and_the_next_request_tries_again() -> None:
    desk = Desk()
    desk.request("r1", "a")
    desk.request("r2", "a")
    failed = desk.scheduler.on_load_failed("a", InvalidModel("broken"), 1)
    assert kinds(failed) == [("Reject", "r1"), ("Reject", "r2")]
    assert kinds(desk.request("r3", "a")) == [("StartLoad", "a")]


def test_a_load_that_nobody_waits_for_any_more_is_stopped_even_if_it_has_just_ended() -> None:
    desk = Desk()
    desk.request("r1", "a")
    desk.request("r2", "a")
    assert desk.done("r1", answered=False) == [Enqueued("r2", 1)]
    assert kinds(desk.done("r2", answered=False)) == [("Unload", "a")]
    assert kinds(desk.loaded("a")) == [("Unload", "a")]


def die(desk: Desk, name: str, answers: int = 0) -> list[Effect]:
    """One load, so many answers, one request that ends with the process."""
    desk.request(name, "a")
    desk.loaded("a")
    for number in range(answers):
        desk.request(f"{name}.{number}", "a")
        desk.done(f"{name}.{number}")
    desk.done(name, answered=False)
    return desk.exited("a", DIED)


def test_a_model_that_keeps_dying_is_refused_for_a_while_with_the_last_reason() -> None:
    desk = Desk()
    for number in range(DEATHS - 1):
        die(desk, f"r{number}")
    desk.request("last", "a")
    desk.scheduler.on_load_failed("a", DIED, desk.now_s)
    desk.now_s = 10
    refused = overloaded(desk.request("r8", "a"))
    assert isinstance(refused, KeepsCrashing) and "SIGSEGV" in refused.message
    assert refused.retry_after_s == PAUSE_S - 10
    assert kinds(desk.request("r9", "a#embedding")) == [("StartLoad", "a#embedding")]
    desk.now_s = PAUSE_S
    assert kinds(desk.request("r10", "a")) == [("StartLoad", "a")]


def test_deaths_after_an_answer_or_far_apart_do_not_count() -> None:
    desk = Desk()
    for number in range(DEATHS * 2):
        die(desk, f"r{number}", answers=1)
    for number in range(DEATHS - 1):
        die(desk, f"q{number}")
    assert kinds(desk.request("r8", "a")) == [("StartLoad", "a")]
    desk.scheduler.on_load_failed("a", InvalidModel("broken"), desk.now_s)
    desk.now_s = 100
    for number in range(DEATHS * 2):
        desk.now_s += 40
        die(desk, f"s{number}")
    assert kinds(desk.request("r9", "a")) == [("StartLoad", "a")]


def test_those_who_wait_for_a_reload_are_refused_when_the_model_dies_once_too_often() -> None:
    desk = Desk()
    for number in range(DEATHS - 1):
        die(desk, f"r{number}")
    desk.request("r8", "a")
    desk.loaded("a")
    desk.request("large", "a", least=1000)
    desk.done("r8", answered=False)
    assert kinds(desk.exited("a", DIED)) == [("Reject", "large")]
