"""A machine that throws events at the scheduler in any order that processes can produce."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from modelstore.errors import InvalidModel
from runner.effects import AnnounceReload, Effect, Enqueued, Start, StartLoad, Unload
from runner.errors import WorkerFailed
from runner.loaded import Phase
from tests.fast.scheduler.desk import NEED, Desk, need

KEYS = ("a", "a#embedding", "b", "c")
UNBORN = (Phase.WAITING_FOR_ROOM, Phase.LOADING)


class AnyOrder(RuleBasedStateMachine):
    """No request is lost or answered twice, requests to one model start in order, no model is loaded twice at
    once or for nobody, memory is never promised twice, what was told of the queue is so, and nobody waits for
    ever, however much is asked of other models."""

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

    @initialize(room=st.sampled_from([1, 2, 9]), budget=st.sampled_from([1, 2, 3, 9]))
    def begin(self, room: int, budget: int) -> None:
        self.budget_bytes = budget * NEED
        self.desk = Desk(models=room, max_queue=6, budget_bytes=self.budget_bytes)

    def see(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, StartLoad):
                assert effect.key not in self.loading | self.up | self.ending
                self.loading.add(effect.key)
                self.has_room()
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

    def has_room(self) -> None:
        """For all that loads, in the machine and beside all that is there in the budget."""
        placed = [model for model in self.desk.scheduler.models.values() if model.placement]
        assert sum(model.memory_bytes for model in placed) <= self.budget_bytes
        promised = sum(model.memory_bytes for model in placed if model.phase is Phase.LOADING)
        assert promised <= self.desk.machine().ram_usable_bytes

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
            self.come_up(key, data.draw(st.sampled_from([None, need(256), NEED, 2 * NEED])))
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
        assert all(models[key].waiting for key, phase in phases.items() if phase in UNBORN)
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
    def keeps_nothing_idle_beyond_the_budget(self) -> None:
        """Loads may turn out larger than foreseen: then only what works stays, or the only one."""
        staying = [self.desk.scheduler.models[key] for key in self.loading | self.up]
        if len(staying) > 1 and sum(model.memory_bytes for model in staying) > self.budget_bytes:
            assert all(model.active for model in staying if model.phase is Phase.READY)

    def teardown(self) -> None:
        """Whatever happened: once loads end and requests finish, those who wait have their turn, though each
        model that is up is asked for more without a pause."""
        waiting = set(self.asked)
        for _ in range(60):
            self.desk.now_s += 1
            running = sorted(self.started)
            for key in sorted(self.up):
                self.request(key, None, None)
            for name in running:
                if self.started.pop(name, None):
                    self.see(self.desk.done(name))
            for key in sorted(self.loading):
                self.come_up(key)
            for key in sorted(self.ending):
                self.exit(key)
        assert not waiting & self.asked.keys(), f"requests wait for ever: {waiting & self.asked.keys()}"


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=150, stateful_step_count=40)
