"""A machine that throws events at the scheduler in any order that processes can produce."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from modelstore.errors import InvalidModel
from runner.effects import AnnounceReload, Effect, Enqueued, Start, StartLoad, Unload
from runner.errors import WorkerFailed
from runner.loaded import Phase
from tests.fast.scheduler.desk import NEED, Desk, need

KEYS = ("a", "a#embedding", "b", "c")


class AnyOrder(RuleBasedStateMachine):
    """No request is lost or answered twice, requests to one model start in order, no model is loaded twice at
    once, memory is never promised twice, what was told of the queue is so, and all is quiet in the end."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(models=2, max_queue=6, budget_bytes=3 * NEED)
        self.count = 0
        self.asked: dict[str, str] = {}
        self.told: dict[str, int] = {}
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
                first = next(name for name, key in self.asked.items() if key == effect.key)
                assert effect.request_id == first
                self.started[first] = self.asked.pop(first)
            elif isinstance(effect, Enqueued):
                self.told[effect.request_id] = effect.position
            elif not isinstance(effect, AnnounceReload):
                del self.asked[effect.request_id]

    @rule(
        key=st.sampled_from(KEYS),
        keep=st.sampled_from([None, -1, 0, 10]),
        least=st.sampled_from([None, 900]),
    )
    def request(self, key: str, keep: float | None, least: int | None) -> None:
        self.count += 1
        self.asked[f"r{self.count}"] = key
        self.see(self.desk.request(f"r{self.count}", key, keep, least))

    @precondition(lambda self: self.loading)
    @rule(data=st.data(), works=st.booleans(), died=st.booleans())
    def end_load(self, data: st.DataObject, works: bool, died: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.loading)))
        if works:
            self.come_up(key, data.draw(st.sampled_from([None, need(256), NEED])))
        else:
            self.loading.remove(key)
            error = WorkerFailed("died") if died else InvalidModel("broken")
            self.see(self.desk.scheduler.on_load_failed(key, error, self.desk.now_s))

    @precondition(lambda self: self.started or self.asked)
    @rule(data=st.data(), answered=st.booleans())
    def end_request(self, data: st.DataObject, answered: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.started | self.asked)))
        self.started.pop(name, None)
        self.asked.pop(name, None)
        self.see(self.desk.done(name, answered))

    @precondition(lambda self: self.ending)
    @rule(data=st.data())
    def end_worker(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.ending)))
        self.exit(key)

    def exit(self, key: str, death: WorkerFailed | None = None) -> None:
        self.ending.discard(key)
        self.in_memory.discard(key)
        self.desk.taken = len(self.in_memory) + 1
        self.see(self.desk.exited(key, death))

    def come_up(self, key: str, memory_bytes: int | None = None) -> None:
        self.loading.remove(key)
        self.up.add(key)
        self.desk.taken = len(self.in_memory)
        self.in_memory.add(key)
        self.see(self.desk.loaded(key, memory_bytes))

    @precondition(lambda self: self.up)
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.up)))
        self.up.remove(key)
        self.started = {name: k for name, k in self.started.items() if k != key}
        self.exit(key, WorkerFailed("died"))

    @rule(key=st.sampled_from(KEYS))
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

    @invariant()
    def tells_the_queue_as_it_is(self) -> None:
        models = self.desk.scheduler.models.values()
        assert {each.request_id for model in models for each in model.waiting} == self.asked.keys()
        assert sum(model.queue_length for model in models) <= 6 + len(self.up)
        for model in models:
            in_worker = max(0, len(model.active) - model.slots)
            places = [self.told[each.request_id] for each in model.waiting]
            assert places == list(range(in_worker + 1, in_worker + 1 + len(places)))

    @invariant()
    def keeps_within_the_budget(self) -> None:
        placed = [model for model in self.desk.scheduler.models.values() if model.placement]
        assert sum(model.memory_bytes for model in placed if model.phase is Phase.LOADING) <= 3 * NEED
        assert len(self.in_memory | self.loading) <= 3

    def teardown(self) -> None:
        """Whatever happened: once loads end and requests finish, nobody waits any more."""
        for _ in range(200):
            for key in sorted(self.loading):
                self.come_up(key)
            for name in sorted(self.started):
                del self.started[name]
                self.see(self.desk.done(name))
            for key in sorted(self.ending):
                self.exit(key)
        assert not self.asked, f"requests wait for ever: {self.asked}"


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=150, stateful_step_count=40)
