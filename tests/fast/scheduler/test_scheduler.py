"""The scheduler by tables, then by a machine that throws events at it in any order."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from modelstore.errors import InvalidModel
from modelstore.fit import memory_need
from modelstore.gguf import read_header
from modelstore.header import Header
from runner.errors import DoesNotFit, Overloaded
from runner.placement import Machine, Wish
from runner.scheduler import Effect, Phase, Reject, Request, Scheduler, Start, StartLoad, Unload

TINY = Path(__file__).parents[2] / "data" / "nybble-tiny-f16.gguf"
GB = 10**9


def tiny_header() -> Header:
    with TINY.open("rb") as stream:
        return read_header(stream, TINY.stat().st_size)


HEADER = tiny_header()
NEED = memory_need(HEADER, 1024, 1).total_bytes


class Desk:
    """A scheduler on a machine with room for `models` models, and a clock that tests set."""

    def __init__(self, models: int = 10, max_queue: int = 100) -> None:
        self.now_s = 0.0
        self.taken = 0
        self.room = models
        self.scheduler = Scheduler(max_queue, self.machine)

    def machine(self) -> Machine:
        reserve = Machine(8 * GB, 0).ram_usable_bytes
        return Machine(8 * GB, int((self.room - self.taken + 0.5) * NEED) - reserve)

    def request(
        self, name: str, key: str, keep_alive_s: float = 300, least: int | None = None
    ) -> list[Effect]:
        wish = Wish(context_length=256, least_context_length=least, slots=1)
        return self.scheduler.on_request(Request(name, key, HEADER, wish, keep_alive_s), self.now_s)

    def loaded(self, key: str) -> list[Effect]:
        self.taken += 1
        return self.scheduler.on_loaded(key, self.now_s)

    def exited(self, key: str) -> list[Effect]:
        self.taken -= 1
        return self.scheduler.on_exited(key, self.now_s)


def kinds(effects: list[Effect]) -> list[tuple[str, str]]:
    return [(type(e).__name__, e.key if isinstance(e, StartLoad | Unload) else e.request_id) for e in effects]


def test_a_request_loads_its_model_and_those_that_follow_wait_for_the_same_load() -> None:
    desk = Desk()
    assert kinds(desk.request("r1", "a")) == [("StartLoad", "a")]
    assert kinds(desk.request("r2", "a")) == []
    assert kinds(desk.request("r3", "b")) == [("StartLoad", "b")]
    assert kinds(desk.loaded("a")) == [("Start", "r1"), ("Start", "r2")]
    assert kinds(desk.request("r4", "a")) == [("Start", "r4")]


def test_an_idle_model_goes_when_its_keep_alive_is_over_and_not_before() -> None:
    desk = Desk()
    desk.request("r1", "a", keep_alive_s=60)
    desk.loaded("a")
    desk.now_s = 100
    assert desk.scheduler.on_tick(100) == []
    assert desk.scheduler.on_done("r1", 100) == []
    assert desk.scheduler.models["a"].expires_at_s() == 160
    assert desk.scheduler.on_tick(159) == []
    assert kinds(desk.scheduler.on_tick(160)) == [("Unload", "a")]


@pytest.mark.parametrize(("keep_alive_s", "expected"), [(0, [("Unload", "a")]), (-1, [])])
def test_keep_alive_zero_unloads_at_once_and_negative_never(
    keep_alive_s: float, expected: list[tuple[str, str]]
) -> None:
    desk = Desk()
    desk.request("r1", "a", keep_alive_s)
    desk.loaded("a")
    assert kinds(desk.scheduler.on_done("r1", 1)) == expected
    assert desk.scheduler.on_tick(10**9) == []


def test_a_request_that_comes_while_its_model_unloads_gets_a_new_load() -> None:
    desk = Desk()
    desk.request("r1", "a", keep_alive_s=0)
    desk.loaded("a")
    desk.scheduler.on_done("r1", 1)
    assert kinds(desk.request("r2", "a")) == []
    assert kinds(desk.exited("a")) == [("StartLoad", "a")]


def test_a_larger_context_reloads_once_when_the_model_is_idle() -> None:
    desk = Desk()
    desk.request("r1", "a")
    desk.loaded("a")
    assert kinds(desk.request("r2", "a", least=1000)) == []
    assert kinds(desk.request("r3", "a", least=500)) == []
    assert kinds(desk.scheduler.on_done("r1", 1)) == [("Unload", "a")]
    (load,) = desk.exited("a")
    assert isinstance(load, StartLoad) and load.placement.context_length == 1000
    assert kinds(desk.loaded("a")) == [("Start", "r2"), ("Start", "r3")]


def test_an_idle_model_makes_room_and_a_busy_one_is_waited_for() -> None:
    desk = Desk(models=1)
    desk.request("r1", "a")
    desk.loaded("a")
    assert kinds(desk.request("r2", "b")) == []
    assert kinds(desk.scheduler.on_done("r1", 1)) == [("Unload", "a")]
    assert kinds(desk.exited("a")) == [("StartLoad", "b")]


def test_no_second_model_is_unloaded_while_the_first_is_still_leaving() -> None:
    desk = Desk(models=2)
    for name, key in (("r1", "a"), ("r2", "b")):
        desk.request(name, key)
        desk.loaded(key)
        desk.now_s += 1
        desk.scheduler.on_done(name, desk.now_s)
    assert kinds(desk.request("r3", "c")) == [("Unload", "a")]
    assert kinds(desk.request("r4", "c")) == []
    assert kinds(desk.exited("a")) == [("StartLoad", "c")]


def test_what_does_not_fit_is_refused() -> None:
    desk = Desk(models=0)
    desk.room = -5
    (reject,) = desk.request("r1", "a")
    assert isinstance(reject, Reject) and isinstance(reject.error, DoesNotFit)
    assert desk.scheduler.models == {}


def test_a_full_queue_and_a_drain_refuse() -> None:
    desk = Desk(max_queue=2)
    desk.request("r1", "a")
    desk.request("r2", "a")
    (full,) = desk.request("r3", "a")
    desk.scheduler.on_drain()
    (draining,) = desk.request("r4", "b")
    for reject in (full, draining):
        assert isinstance(reject, Reject) and isinstance(reject.error, Overloaded)


def test_a_failed_load_fails_all_who_wait_and_the_next_request_tries_again() -> None:
    desk = Desk()
    desk.request("r1", "a")
    desk.request("r2", "a")
    failed = desk.scheduler.on_load_failed("a", InvalidModel("broken"), 1)
    assert kinds(failed) == [("Reject", "r1"), ("Reject", "r2")]
    assert kinds(desk.request("r3", "a")) == [("StartLoad", "a")]


def test_a_load_that_nobody_waits_for_any_more_is_stopped() -> None:
    desk = Desk()
    desk.request("r1", "a")
    desk.request("r2", "a")
    assert desk.scheduler.on_done("r1", 1) == []
    assert kinds(desk.scheduler.on_done("r2", 1)) == [("Unload", "a")]


def test_stopping_a_busy_model_waits_for_its_requests() -> None:
    desk = Desk()
    desk.request("r1", "a")
    desk.loaded("a")
    assert desk.scheduler.on_unload("a", 1) == []
    assert kinds(desk.scheduler.on_done("r1", 2)) == [("Unload", "a")]


class AnyOrder(RuleBasedStateMachine):
    """Events in any order that processes can produce: no request is lost or answered twice, no model is
    loaded twice at once, memory is never promised twice, and all is quiet in the end."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(models=2, max_queue=6)
        self.count = 0
        self.asked: set[str] = set()
        self.started: dict[str, str] = {}
        self.loading: set[str] = set()
        self.up: set[str] = set()
        self.ending: set[str] = set()
        self.in_memory: set[str] = set()

    def see(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, StartLoad):
                assert effect.key not in self.loading | self.up | self.ending
                self.loading.add(effect.key)
            elif isinstance(effect, Unload):
                assert effect.key not in self.ending
                (self.loading if effect.key in self.loading else self.up).remove(effect.key)
                self.ending.add(effect.key)
            elif isinstance(effect, Start):
                assert effect.key in self.up
                self.asked.remove(effect.request_id)
                self.started[effect.request_id] = effect.key
            else:
                self.asked.remove(effect.request_id)

    @rule(key=st.sampled_from("abcd"), keep=st.sampled_from([-1, 0, 10]), least=st.sampled_from([None, 900]))
    def request(self, key: str, keep: float, least: int | None) -> None:
        self.count += 1
        self.asked.add(f"r{self.count}")
        self.see(self.desk.request(f"r{self.count}", key, keep, least))

    @precondition(lambda self: self.loading)
    @rule(data=st.data(), works=st.booleans())
    def end_load(self, data: st.DataObject, works: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.loading)))
        if works:
            self.come_up(key)
        else:
            self.loading.remove(key)
            self.see(self.desk.scheduler.on_load_failed(key, InvalidModel("broken"), self.desk.now_s))

    @precondition(lambda self: self.started or self.asked)
    @rule(data=st.data())
    def end_request(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.started | dict.fromkeys(self.asked, ""))))
        self.started.pop(name, None)
        self.asked.discard(name)
        self.see(self.desk.scheduler.on_done(name, self.desk.now_s))

    @precondition(lambda self: self.ending)
    @rule(data=st.data())
    def end_worker(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.ending)))
        self.exit(key)

    def exit(self, key: str) -> None:
        self.ending.discard(key)
        self.in_memory.discard(key)
        self.desk.taken = len(self.in_memory)
        self.see(self.desk.scheduler.on_exited(key, self.desk.now_s))

    def come_up(self, key: str) -> None:
        self.loading.remove(key)
        self.up.add(key)
        self.in_memory.add(key)
        self.see(self.desk.loaded(key))

    @precondition(lambda self: self.up)
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.up)))
        self.up.remove(key)
        self.started = {name: k for name, k in self.started.items() if k != key}
        self.exit(key)

    @rule(key=st.sampled_from("abcd"))
    def stop(self, key: str) -> None:
        self.see(self.desk.scheduler.on_unload(key, self.desk.now_s))

    @rule(seconds=st.sampled_from([1, 100]))
    def tick(self, seconds: float) -> None:
        self.desk.now_s += seconds
        self.see(self.desk.scheduler.on_tick(self.desk.now_s))

    @invariant()
    def agrees_with_the_processes(self) -> None:
        models = self.desk.scheduler.models
        phases = {key: model.phase for key, model in models.items()}
        assert {k for k, p in phases.items() if p is Phase.LOADING} == self.loading
        assert {k for k, p in phases.items() if p is Phase.READY} == self.up
        assert {k for k, p in phases.items() if p is Phase.UNLOADING} == self.ending
        waiting = {r.request_id for model in models.values() for r in model.waiting}
        assert waiting == self.asked

    def teardown(self) -> None:
        """Whatever happened: once loads end and requests finish, nobody waits any more."""
        for _ in range(200):
            for key in sorted(self.loading):
                self.come_up(key)
            for name in sorted(self.started):
                del self.started[name]
                self.see(self.desk.scheduler.on_done(name, self.desk.now_s))
            for key in sorted(self.ending):
                self.exit(key)
        assert not self.asked, f"requests wait for ever: {self.asked}"


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
