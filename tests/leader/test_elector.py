"""The elector with its threads, on a fake clock."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from queue import Empty, Queue
from typing import Any

import pytest

from operator_kit.clock import FakeClock
from operator_kit.errors import Cancelled, ConnectionFailed, NotLeader
from operator_kit.leader import Elector, Fence, Phase, Rules, State, machine
from operator_kit.leader.record import Record
from operator_kit.leader.states import Pending
from operator_kit.observe.logging import JsonFormatter
from operator_kit.observe.metrics import Registry
from tests.leader.driver import lease_of
from tests.leader.simulate import Server

LIMIT = 20.0  # real seconds that a test waits for what must come


class Calls:
    """The lease calls over a `Server`, which a test can make fail or hang."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.made: Queue[str] = Queue()
        self.fault: Callable[[], None] = lambda: None

    def _make(self, verb: str, lease: dict[str, Any] | None) -> dict[str, Any]:
        self.made.put(verb)
        self.fault()
        return self.server.handle(verb, lease)

    def get(self, timeout: float, cancel: Any) -> dict[str, Any]:
        return self._make("get", None)

    def create(self, lease: dict[str, Any], timeout: float, cancel: Any) -> dict[str, Any]:
        return self._make("create", lease)

    def replace(self, lease: dict[str, Any], timeout: float, cancel: Any) -> dict[str, Any]:
        return self._make("replace", lease)

    def took(self) -> str:
        return self.made.get(timeout=LIMIT)


class Case:
    """An elector, what it called, and what it told."""

    def __init__(
        self, *, server: Server | None = None, identity: str = "me", on_lost_lease: Any = "exit", **options: Any
    ) -> None:
        self.clock = FakeClock()
        self.server = server or Server()
        self.calls = Calls(self.server)
        self.told: Queue[tuple[str, Any]] = Queue()
        self.rules = Rules("ns", "lock", identity, on_lost_lease=on_lost_lease)
        callbacks: dict[str, Any] = {
            name: lambda *args, name=name: self.told.put((name, args[0] if len(args) == 1 else args[1:]))
            for name in ("on_started", "on_stopped", "on_new_leader", "record_event")
        }
        self.elector = Elector(self.calls, self.rules, clock=self.clock, draw=lambda: 0.0, **{**callbacks, **options})

    def hear(self, name: str) -> Any:
        """Wait until this is told; what is told before is passed over."""
        while True:
            heard, value = self.told.get(timeout=LIMIT)
            if heard == name:
                return value

    def settle(self) -> None:
        """Wait, in real time, until the elector has nothing to do at this moment of its clock."""
        for _ in range(10_000):
            state = self.elector.state
            if state.call is None and machine.wake_at(self.rules, state) > self.clock.boottime() and not self.elector._inbox:
                return
            threading.Event().wait(0.002)
        raise AssertionError(f"{self.elector!r} does not settle")

    def lead(self) -> Fence:
        self.elector.start()
        fence: Fence = self.hear("on_started")
        return fence


@contextmanager
def running(**options: Any) -> Iterator[Case]:
    case = Case(**options)
    try:
        yield case
    finally:
        case.calls.fault = lambda: None
        assert case.elector.stop(release=False, timeout=LIMIT)


class TestTheSplitBrainsOfTheOfficialClient:
    """Two ways in which the election of the `kubernetes` package lets two lead. They must not happen here."""

    def test_a_call_that_hangs_for_ever(self) -> None:
        """There the elector waits in the call, beyond the lease, and the work is never told."""
        hang = threading.Event()

        def fault() -> None:
            assert hang.wait(LIMIT)  # deaf to its timeout and to being cancelled
            raise Cancelled("at last")

        with running() as case:
            fence = case.lead()
            case.calls.fault = fault
            try:
                case.clock.advance(2)
                while case.calls.took() != "replace":
                    pass
                assert fence.valid_for() == pytest.approx(8)
                case.clock.advance(8)
                reason = case.hear("on_stopped")
                assert "could not be renewed within 10s" in reason
                assert case.elector.grace() == pytest.approx(5)
                assert fence.lost.is_set()
                with pytest.raises(NotLeader):
                    fence.guard("POST")
                assert not case.elector.is_leader()
            finally:
                hang.set()

    def test_a_connection_that_drops_with_an_error_nobody_foresaw(self, caplog: pytest.LogCaptureFixture) -> None:
        """There the elector dies of it and says nothing, and the work goes on."""

        def fault() -> None:
            raise RuntimeError("HTTPConnectionPool: Max retries exceeded")

        with running() as case, caplog.at_level(logging.CRITICAL, "operator_kit.leader"):
            fence = case.lead()
            case.calls.fault = fault
            case.clock.advance(2)
            while case.calls.took() != "replace":
                pass
            case.clock.wait_for_waiters(2)
            case.clock.advance(8)
            assert "could not be renewed" in case.hear("on_stopped")
            assert fence.valid_for() == 0
            assert case.elector.health() == ""


class TestCallbacks:
    def test_they_are_told_in_order_and_once(self) -> None:
        with running() as case:
            fence = case.lead()
            assert fence.holder == "me"
            assert case.elector.stop(release=True, timeout=LIMIT)
            case.told.put(("end", None))
            rest = [case.told.get(timeout=LIMIT) for _ in range(3)]
            assert rest == [
                ("record_event", ("LeaderElection", "me stopped leading")),
                ("on_stopped", "the elector was told to stop"),
                ("end", None),
            ]

    def test_they_run_under_no_lock(self) -> None:
        ended = Queue[bool]()

        def on_started(_: Fence) -> None:
            other = threading.Thread(target=lambda: (case.elector.retire(), case.elector.valid_for()))
            other.start()
            other.join(LIMIT)
            ended.put(not other.is_alive())

        with running(on_started=on_started) as case:
            case.elector.start()
            assert ended.get(timeout=LIMIT)

    def test_one_that_fails_does_not_end_the_election(self, caplog: pytest.LogCaptureFixture) -> None:
        def fail(_: Any) -> None:
            raise ValueError("a defect")

        with running(on_new_leader=fail) as case, caplog.at_level(logging.CRITICAL, "operator_kit.leader"):
            case.lead()

    def test_work_that_cannot_begin_gives_the_leadership_up(self, caplog: pytest.LogCaptureFixture) -> None:
        def fail(_: Any) -> None:
            raise ValueError("a defect")

        with running(on_started=fail) as case, caplog.at_level(logging.CRITICAL, "operator_kit.leader"):
            case.elector.start()
            assert case.hear("on_stopped") == "the work of a leader could not be started"

    def test_events_are_recorded_on_the_lease_in_client_gos_words(self) -> None:
        recorded = Queue[Any]()
        with running(record_event=lambda *args: recorded.put(args)) as case:
            case.lead()
            lease, reason, note = recorded.get(timeout=LIMIT)
            assert (lease["kind"], lease["metadata"]["name"]) == ("Lease", "lock")
            assert (reason, note) == ("LeaderElection", "me became leader")

    def test_new_leaders_are_told_of(self, caplog: pytest.LogCaptureFixture) -> None:
        server = Server()
        server.handle("create", lease_of(Record("bing", 15, "a", "b", 3)))
        with running(server=server) as case, caplog.at_level(logging.INFO, "operator_kit.leader"):
            case.elector.start()
            assert case.hear("on_new_leader") == "bing"
            assert "lease ns/lock: bing leads" in caplog.messages
            assert (case.elector.leader, case.elector.transitions) == ("bing", 3)


class TestStopping:
    def test_the_lease_is_given_back_when_asked_for(self) -> None:
        with running() as case:
            case.lead()
            assert case.elector.stop(release=True, timeout=LIMIT)
            assert case.server.lease is not None
            assert Record.of(case.server.lease).released
            assert case.elector.state.phase is Phase.STOPPED

    def test_and_only_then(self) -> None:
        with running() as case:
            case.lead()
            assert case.elector.stop(release=False, timeout=LIMIT)
            assert case.server.lease is not None
            assert Record.of(case.server.lease).holder == "me"
            assert case.elector.valid_for() == 0

    def test_a_call_that_is_out_is_ended(self) -> None:
        cancelled = Queue[bool]()

        class Deaf(Calls):
            def get(self, timeout: float, cancel: Any) -> dict[str, Any]:
                self.made.put("get")
                cancelled.put(cancel.signal.wait(None))
                raise Cancelled("ended")

        case = Case()
        case.elector = Elector(Deaf(case.server), case.rules, clock=case.clock)
        case.elector.start()
        assert case.elector.stop(release=False, timeout=LIMIT)
        while not cancelled.empty():
            assert cancelled.get_nowait()

    def test_from_within_a_callback_it_does_not_wait_for_itself(self) -> None:
        with running(on_started=lambda _: results.put(case.elector.stop(release=False, timeout=LIMIT))) as case:
            results: Queue[bool] = Queue()
            case.elector.start()
            assert results.get(timeout=LIMIT) is False

    def test_before_it_started(self) -> None:
        case = Case()
        assert case.elector.stop(release=True, timeout=1)
        assert case.elector.state.phase is Phase.STOPPED

    def test_twice(self) -> None:
        with running() as case:
            case.lead()
            assert case.elector.stop(release=True, timeout=LIMIT)
            assert case.elector.stop(release=True, timeout=LIMIT)

    def test_an_elector_is_started_once(self) -> None:
        with running() as case:
            case.elector.start()
            with pytest.raises(RuntimeError, match="once"):
                case.elector.start()

    def test_a_retired_candidate_makes_no_calls(self) -> None:
        with running() as case:
            case.elector.retire()
            case.elector.start()
            case.clock.wait_for_waiters(2)
            case.clock.advance(60)
            with pytest.raises(Empty):
                case.calls.made.get(timeout=0.05)


class TestFencing:
    def test_a_suspended_machine_may_not_write_when_it_wakes(self) -> None:
        with running() as case:
            fence = case.lead()
            case.clock.suspend(30)
            assert fence.valid_for() == 0
            with pytest.raises(NotLeader):
                fence.guard("PUT")
            assert case.hear("on_stopped"), "the refusal wakes the elector, whose own wait does not notice a suspend"
            assert case.elector.grace() == 0, "another may lead since long"

    def test_the_fence_of_an_old_term_stays_closed_in_a_new_one(self) -> None:
        with running(on_lost_lease="rejoin") as case:
            old = case.lead()
            assert case.elector.fence() is old
            case.clock.advance(10)
            case.hear("on_stopped")
            case.elector.work_stopped()
            case.settle()
            case.clock.advance(3)
            case.hear("on_started")
            assert case.elector.is_leader()
            assert old.valid_for() == 0
            assert case.elector.fence().valid_for() > 0
            assert case.elector.state.term == 2

    def test_who_never_led_may_not_write(self) -> None:
        case = Case()
        with pytest.raises(NotLeader):
            case.elector.fence().check()
        assert not case.elector.is_leader()

    def test_a_defect_of_the_elector_closes_the_fence_and_is_told(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(*_: Any) -> Any:
            raise KeyError("defect")

        with running() as case, caplog.at_level(logging.CRITICAL, "operator_kit.leader"):
            fence = case.lead()
            monkeypatch.setattr(machine, "step", broken)
            case.elector.retire()
            assert "KeyError" in case.hear("on_stopped")
            assert fence.valid_for() == 0
            assert "has died" in case.elector.health()


class TestTwo:
    def test_a_standby_takes_over_from_a_leader_that_was_cut_off(self) -> None:
        server = Server()

        def cut_off() -> None:
            raise ConnectionFailed("no route to host")

        with running(server=server) as first, running(server=server, identity="other") as second:
            first.lead()
            second.elector.start()
            assert second.hear("on_new_leader") == "me"
            first.calls.fault = cut_off
            seconds = 0
            while not second.elector.is_leader():
                assert seconds <= 24, "the lease duration and two acquire periods"
                first.clock.advance(1)
                second.clock.advance(1)
                seconds += 1
                second.settle()
                assert not (first.elector.is_leader() and second.elector.is_leader())
            assert first.hear("on_stopped")


class TestHealth:
    """client-go's healthz adaptor; an elector that is not set is the caller's case."""

    @pytest.mark.parametrize(
        ("state", "healthy"),
        [
            (State(Phase.LEADING, valid_until=0), False),  # own lease far expired
            (State(Phase.STANDBY, leader="other"), True),  # far expired but held by another
            (State(Phase.LEADING, valid_until=1010), True),  # not expired
            (State(Phase.LEADING, valid_until=1010 - 34), True),  # expired within the tolerance
            (State(Phase.LEADING, valid_until=1010 - 36), False),
            (State(Phase.LOST, since=990), True),
            (State(Phase.LOST, since=960), False),  # work that does not end
            (State(call=Pending(1, "get", 990, 995, 990)), True),
            (State(call=Pending(1, "get", 960, 965, 960)), False),
        ],
    )
    def test_it_is_unwell_only_when_something_should_have_ended(self, state: State, healthy: bool) -> None:
        case = Case()
        case.elector._state = state
        assert (case.elector.health() == "") is healthy

    def test_it_can_be_asked_while_the_elector_works(self) -> None:
        """TestCheckMethodRace."""
        with running() as case:
            case.elector.start()
            assert {case.elector.health() for _ in range(200)} == {""}


class TestShown:
    def test_metrics_have_the_names_of_client_go(self) -> None:
        case = Case()
        registry = Registry()
        registry.register(case.elector.collect)
        case.elector._state = replace(case.elector.state, phase=Phase.LEADING, valid_until=1e9, slow_paths=3)
        samples = {family.name: family.samples for family in registry.collect()}
        assert samples == {
            "leader_election_master_status": [(("lock",), 1.0)],
            "leader_election_slowpath_total": [(("lock",), 3.0)],
        }

    def test_it_tells_its_state(self) -> None:
        with running() as case:
            case.lead()
            assert repr(case.elector).startswith("<Elector ns/lock 'me' leading term=1 valid_for=10.000 leader='me'")

    def test_each_log_line_names_the_lease_and_for_machines_holder_and_transition(self) -> None:
        """Each once: who one is with the candidacy, the transition with the leadership, another leader with its name."""
        lines = io.StringIO()
        handler = logging.StreamHandler(lines)
        handler.setFormatter(JsonFormatter())
        log = logging.getLogger("operator_kit.leader")
        log.addHandler(handler)
        level = log.level
        log.setLevel(logging.INFO)
        try:
            with running() as case:
                case.lead()
        finally:
            log.removeHandler(handler)
            log.setLevel(level)
        told = [json.loads(line) for line in lines.getvalue().splitlines()]
        assert [(line["message"], line.get("holder"), line["transition"]) for line in told] == [
            ("lease ns/lock: a candidate, me", None, 0),
            ("lease ns/lock: became leader, transition 0", "me", 0),
            ("lease ns/lock: stopped leading: the elector was told to stop", "me", 0),
        ]

    def test_a_line_that_names_the_lease_itself_names_it_once(self, caplog: pytest.LogCaptureFixture) -> None:
        def fail() -> None:
            raise ConnectionFailed("no answer")

        with caplog.at_level(logging.INFO, "operator_kit.leader"), running() as case:
            case.calls.fault = fail
            case.elector.start()
            case.calls.took()
            case.settle()
        (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert line.startswith("cannot read the lease ns/lock: ")
