"""The client-side rate limit: never more than it allows, and each who waits in its turn."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from operator_kit.api import Cancel, RateLimiter
from operator_kit.api.limiter import Turn, Turns
from operator_kit.clock import FakeClock
from operator_kit.errors import Cancelled, DeadlineExceeded, RateLimited
from operator_kit.objects import Resource

from .conftest import Serve
from .scripted import Asked, Peer

CM = Resource("", "v1", "ConfigMap", "configmaps")
FLOWS = ["a", "b", "c", "d"]


def turn(flow: str) -> Turn:
    return Turn(flow, threading.Condition())


class Fairness(RuleBasedStateMachine):
    """Any flows that come, wait, leave and are granted, at any times."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.turns = Turns(2.0, 3, self.now)
        self.waiting: list[Turn] = []  # in the order in which they came
        self.granted: list[float] = []
        self.passed: Counter[tuple[Turn, str]] = Counter()  # how many of another flow were let through while this one waited

    @rule(flow=st.sampled_from(FLOWS), calls=st.integers(1, 5))
    def come(self, flow: str, calls: int) -> None:
        for _ in range(calls):
            one = turn(flow)
            self.turns.join(one)
            self.waiting.append(one)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.waiting))
        self.turns.leave(one)
        self.waiting.remove(one)

    @rule(seconds=st.sampled_from([0.0, 0.1, 0.5, 1.0, 7.3]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def grant(self) -> None:
        for one in self.turns.grant(self.now):
            assert one.granted
            ahead = [other for other in self.waiting if other.flow == one.flow]
            assert ahead[0] is one, "first come, first served within a flow"
            self.waiting.remove(one)
            self.granted.append(self.now)
            for other in {flow: other for other in reversed(self.waiting) if (flow := other.flow) != one.flow}.values():
                self.passed[other, one.flow] += 1
                assert self.passed[other, one.flow] <= 1, f"{one.flow} was let through twice while {other.flow} waited"
            for other in self.waiting:
                if other.flow == one.flow:  # the head of its flow changes: it begins to wait for its own turn now
                    for flow in FLOWS:
                        self.passed.pop((other, flow), None)
        assert not self.waiting or self.turns.seconds_to(1, self.now) > 0, "nobody waits while a token is there"

    @invariant()
    def never_more_than_the_limit(self) -> None:
        for first, began in enumerate(self.granted):
            within = [moment for moment in self.granted[first:] if moment - began <= 10]
            assert len(within) <= 3 + 2.0 * (within[-1] - began) + 1e-6

    @invariant()
    def nobody_is_lost(self) -> None:
        assert len(self.turns) == len(self.waiting)


TestFairness = Fairness.TestCase
TestFairness.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.sampled_from(FLOWS), max_size=12), st.sampled_from(FLOWS))
def test_the_expected_wait_is_the_wait_if_nobody_else_comes(flows: list[str], mine: str) -> None:
    turns = Turns(10.0, 1, 0.0)
    for flow in flows:
        turns.join(turn(flow))
    list(turns.grant(0.0))
    expected = turns.expected(mine, 0.0)
    one = turn(mine)
    turns.join(one)
    now = 0.0
    while not one.granted:
        now = round(now + 0.1, 6)
        turns.grant(now if expected else 0.0)
    assert (now if expected else 0.0) == pytest.approx(expected)


# -- threads --------------------------------------------------------------------------------------------------------------------


class Callers:
    """Threads that ask a limiter for turns."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.limiter = RateLimiter(10.0, 1, clock=self.clock)
        self.order: list[str] = []
        self.errors: list[BaseException] = []
        self.threads: list[threading.Thread] = []
        self.end = Cancel(self.clock)
        self.limiter.wait("first", "GET /", 1.0)  # the bucket is empty

    def ask(self, flow: str, seconds: float = 60.0, cancel: Cancel | None = None) -> None:
        def call() -> None:
            try:
                self.limiter.wait(flow, f"GET /{flow}", seconds, cancel or self.end)
                self.order.append(flow)
            except BaseException as exc:  # noqa: BLE001  # it is what the test looks at
                self.errors.append(exc)

        before = self.clock.waiting()
        thread = threading.Thread(target=call, daemon=True)
        self.threads.append(thread)
        thread.start()
        self.clock.wait_for_waiters(before + 1)

    def tick(self) -> None:
        """One token more, and whoever gets it has taken it."""
        done, waiting = len(self.order) + len(self.errors), self.clock.waiting()
        self.clock.advance(0.1)
        settled(lambda: len(self.order) + len(self.errors) == done + 1 and self.clock.waiting() == waiting - 1)


def settled(condition: Callable[[], bool]) -> None:
    for _ in range(5000):
        if condition():
            return
        threading.Event().wait(0.001)
    raise AssertionError("it did not come true")


@pytest.fixture
def callers() -> Iterator[Callers]:
    made = Callers()
    yield made
    made.end.cancel()
    for thread in made.threads:
        thread.join(30)
        assert not thread.is_alive()


def test_a_busy_controller_does_not_starve_another(callers: Callers) -> None:
    for _ in range(6):
        callers.ask("busy")
    callers.ask("quiet")
    callers.ask("events")
    for _ in range(8):
        callers.tick()
    assert callers.order == ["busy", "quiet", "events", "busy", "busy", "busy", "busy", "busy"]


def test_a_call_that_cannot_have_its_turn_in_time_is_refused_at_once(callers: Callers) -> None:
    for _ in range(3):
        callers.ask("busy")
    with pytest.raises(
        RateLimited,
        match=r"^GET /x was not sent: under the limit of 10 calls per second \(kube_api_qps\) busy has no "
        r"turn within the 0\.35 s it may take; its turn would come in 0\.4 s$",
    ):
        callers.limiter.wait("busy", "GET /x", 0.35)
    assert callers.errors == []


def test_a_call_whose_time_is_up_while_it_waits_is_refused_and_gives_its_turn_away(callers: Callers) -> None:
    callers.ask("busy")
    callers.ask("busy", seconds=0.25)  # enough, if nobody else came
    callers.ask("quiet")
    callers.tick()
    callers.tick()
    assert callers.order == ["busy", "quiet"]
    callers.clock.advance(0.06)
    settled(lambda: len(callers.errors) == 1)
    assert isinstance(callers.errors[0], RateLimited)
    assert "others came before it" in str(callers.errors[0])
    assert len(callers.limiter._turns) == 0


def test_a_wait_that_is_cancelled_ends_and_its_turn_is_not_lost(callers: Callers) -> None:
    cancel = Cancel(callers.clock)
    callers.ask("a", cancel=cancel)
    callers.ask("a")
    callers.ask("b")
    cancel.cancel()
    settled(lambda: len(callers.errors) == 1)
    callers.tick()
    assert callers.order == ["a"]  # the turn of the cancelled one was not lost
    callers.end.cancel()
    settled(lambda: len(callers.errors) == 2)
    assert [type(exc) for exc in callers.errors] == [Cancelled, Cancelled]
    assert len(callers.limiter._turns) == 0


def test_a_limit_that_lets_nothing_through_is_refused() -> None:
    for qps, burst in ((0.0, 1), (-1.0, 1), (1.0, 0)):
        with pytest.raises(ValueError, match="would let nothing through"):
            RateLimiter(qps, burst)
    assert repr(RateLimiter(5.0, 2)) == "<RateLimiter 5/s burst 2: 0 wait>"


# -- calls ----------------------------------------------------------------------------------------------------------------------


def ok(asked: Asked, peer: Peer) -> None:
    peer.json({"kind": "ConfigMapList" if asked.path.endswith("configmaps") else "ConfigMap", "metadata": {}, "items": []})


def test_only_the_views_of_a_client_that_were_limited_are(serve: Serve) -> None:
    clock = FakeClock()
    server, client = serve(ok, clock=clock)
    limiter = RateLimiter(0.001, 1, clock=clock)
    view = client.limited(limiter, "websites")
    view.get(CM, "a", "default")
    with pytest.raises(RateLimited, match=r"GET /api/v1/namespaces/default/configmaps/a was not sent: .* websites has no turn"):
        view.get(CM, "a", "default")
    with pytest.raises(RateLimited):
        client.limited(limiter, "others").patch(CM, "a", "default", {})
    client.get(CM, "a", "default")  # the leader election's
    client.list_all(CM)  # the caches'
    client.discovery.refresh()
    view.discovery.refresh()
    assert len(server.asked) == 7


def test_the_wait_counts_as_time_of_the_call_and_of_its_guard(serve: Serve) -> None:
    clock = FakeClock()
    server, client = serve(ok, clock=clock)
    limiter = RateLimiter(0.1, 1, clock=clock)
    limiter.wait("x", "GET /", 1.0)
    view = client.limited(limiter, "x")
    with pytest.raises(RateLimited, match=r"within the 8 s"):
        view.get(CM, "a", "default", timeout=8)
    with pytest.raises(RateLimited, match=r"within the 9 s"):
        view.guarded(lambda method: 9.0).get(CM, "a", "default")
    with pytest.raises(DeadlineExceeded):
        view.guarded(lambda method: 0.0).get(CM, "a", "default")
    assert server.asked == []


def test_every_try_waits_for_its_turn_and_is_counted(serve: Serve) -> None:
    clock = FakeClock()
    server, client = serve(lambda asked, peer: peer.status(503, Retry_After="0"), clock=clock)
    view = client.limited(RateLimiter(1.0, 2, clock=clock), "x")
    failures: list[BaseException] = []

    def call() -> None:
        try:
            view.get(CM, "a", "default", timeout=2.5)
        except BaseException as exc:  # noqa: BLE001  # it is what the test looks at
            failures.append(exc)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    for asked in (2, 3):
        settled(lambda asked=asked: len(server.asked) == asked and clock.waiting() == 1)
        clock.advance(1)
    thread.join(30)
    assert [type(exc).__name__ for exc in failures] == ["RateLimited"]
    families: dict[str, Any] = {family.name: dict(family.samples) for family in client.metrics.families()}
    waits = families["rest_client_rate_limiter_duration_seconds"]["GET", server.url.removeprefix("http://")]
    assert (waits.count, waits.sum) == (4, pytest.approx(2.0))
