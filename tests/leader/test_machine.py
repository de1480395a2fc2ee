"""The election, step by step. Names in capitals in the docstrings are client-go's tests."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from operator_kit.errors import Cancelled, ConnectionFailed, api_error
from operator_kit.leader.record import Record
from operator_kit.leader.states import Abandon, Answered, Failed, GiveUp, Note, Phase, Retire, Stop, Tick, WorkStopped
from tests.leader.driver import Driver, conflict, lease_of, not_found
from tests.leader.simulate import Server

THEIRS = Record("bing", 3, "2026-01-01T00:00:00.000000Z", "2026-01-01T00:00:00.000000Z", 0)


class TestTryAcquireOrRenew:
    """TestTryAcquireOrRenewLeases."""

    def test_acquire_from_no_object(self) -> None:
        me = Driver()
        me.run(0)
        assert me.verbs == ["get", "create"]
        assert me.state.phase is Phase.LEADING
        assert (me.record.holder, me.record.transitions, me.record.duration) == ("me", 0, 15)
        assert me.leaders == ["me"]

    def test_acquire_from_object_without_spec(self) -> None:
        me = Driver()
        me.feed(Answered(0, {}))  # an answer to nothing is no answer
        me.pass_time(0)
        me.answer({"metadata": {"name": "lock", "namespace": "ns", "resourceVersion": "1"}})
        me.accept()
        assert me.verbs == ["get", "replace"]
        assert me.state.phase is Phase.LEADING
        assert me.state.record is not None
        assert me.state.record.transitions == 1

    def test_acquire_from_led_object_with_the_lease_duration_seconds(self) -> None:
        me = Driver()
        me.pass_time(0)
        me.answer(lease_of(THEIRS))
        assert me.state.phase is Phase.STANDBY
        assert me.state.call is None
        me.pass_time(3.0)
        me.answer(lease_of(THEIRS))
        me.accept()
        assert me.verbs == ["get", "get", "replace"]
        assert me.state.record is not None
        assert (me.state.record.holder, me.state.record.transitions) == ("me", 1)
        assert me.leaders == ["bing", "me"]

    def test_acquire_from_unled_object(self) -> None:
        me = Driver()
        me.pass_time(0)
        me.answer(lease_of(Record()))
        me.accept()
        assert me.started == 1

    def test_acquire_from_empty_led_acked_object(self) -> None:
        me = Driver()
        me.pass_time(0)
        me.answer(lease_of(Record("", 15, "a", "b", 4)))
        me.accept()
        assert me.state.record is not None
        assert me.state.record.transitions == 5

    def test_do_not_acquire_from_led_acked_object(self) -> None:
        me = Driver()
        me.pass_time(0)
        me.answer(lease_of(THEIRS))
        assert me.verbs == ["get"]
        assert me.leaders == ["bing"]
        assert me.started == 0

    def test_renew_already_acquired_object(self) -> None:
        me = Driver().lead()
        before = me.record
        me.run(2)
        assert me.record.acquire_time == before.acquire_time
        assert me.record.renew_time > before.renew_time
        assert me.record.transitions == 0
        assert me.started == 1

    def test_an_object_without_a_duration_counts_as_held_for_ours(self) -> None:
        """Here client-go takes it at once (`acquire from led, unacked object`)."""
        me = Driver()
        me.server.handle("create", lease_of(Record("bing")))
        me.run(14.9)
        assert me.started == 0
        me.run(5)
        assert me.started == 1


class TestFastPath:
    """TestFastPathLeaderElection."""

    def test_a_leader_renews_without_reading(self) -> None:
        me = Driver().lead()
        me.run(4)
        assert me.verbs == ["get", "create", "replace", "replace"]
        assert me.state.slow_paths == 0

    def test_on_a_conflict_it_reads_and_writes_again(self) -> None:
        me = Driver().lead()
        me.server.touch()  # an annotation, for example
        me.run(4)
        assert me.verbs == ["get", "create", "replace", "get", "replace", "replace"]
        assert me.state.slow_paths == 1
        assert me.ended == []

    def test_after_no_answer_it_waits_before_it_reads(self) -> None:
        me = Driver().lead()
        me.pass_time(2)
        me.fail(ConnectionFailed("reset"))
        assert me.state.call is None
        me.pass_time(2)
        assert me.call.verb == "get"
        me.serve()
        assert me.state.phase is Phase.LEADING

    def test_a_conflict_on_the_slow_path_waits_for_the_next_try(self) -> None:
        me = Driver().lead()
        me.pass_time(2)
        me.fail(conflict())
        me.answer(lease_of(me.record, "2"))
        me.fail(conflict())
        assert me.state.call is None
        assert me.valid_for == 8


class TestObservation:
    def test_only_a_changed_record_is_a_sign_of_life(self) -> None:
        me = Driver()
        me.server.handle("create", lease_of(Record("bing", 15, "a", "b", 0)))
        for _ in range(7):
            me.run(2)
            me.server.touch()  # somebody else writes the object all the time
        assert me.started == 0
        me.run(3)
        assert me.started == 1

    def test_the_holders_own_duration_counts_and_not_ours(self) -> None:
        me = Driver()
        me.server.handle("create", lease_of(Record("bing", 60, "a", "b", 0)))
        me.run(59)
        assert me.started == 0
        me.run(3)
        assert me.started == 1

    @pytest.mark.parametrize("renewed", ["1970-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z", "yesterday"])
    def test_times_in_the_lease_are_never_reckoned_with(self, renewed: str) -> None:
        me = Driver()
        me.server.handle("create", lease_of(Record("bing", 15, renewed, renewed, 0)))
        me.run(14.9)
        assert me.started == 0
        me.run(3)
        assert me.started == 1

    def test_a_wall_clock_that_jumps_changes_nothing(self) -> None:
        me = Driver().lead()
        me.wall -= 86_400
        me.run(20)
        me.wall += 2 * 86_400
        me.run(20)
        assert me.ended == []
        assert me.started == 1

    def test_a_standby_looks_again_after_one_to_two_point_two_retry_periods(self) -> None:
        for draw, seconds in ((0.0, 2.0), (0.999999, 4.4)):
            me = Driver()
            me.server.handle("create", lease_of(THEIRS))
            me.draw = draw
            me.pass_time(0)
            me.serve()
            assert me.state.next_try - me.at == pytest.approx(seconds, abs=1e-4)


class TestValidity:
    def test_it_counts_from_the_moment_the_claim_was_sent(self) -> None:
        me = Driver()
        me.pass_time(0)
        me.fail(not_found())
        me.at += 4
        me.accept()
        assert me.valid_for == 6

    def test_a_renewal_extends_it_from_the_moment_it_was_sent(self) -> None:
        me = Driver().lead()
        me.pass_time(2)
        me.at += 3
        assert me.valid_for == 5
        me.accept()
        assert me.valid_for == 7

    def test_it_ends_at_the_renew_deadline_and_so_does_the_leadership(self) -> None:
        me = Driver().lead()
        for _ in range(4):
            me.pass_time(2)
            me.fail(ConnectionFailed("refused"))
        me.pass_time(1.999)
        assert me.valid_for == pytest.approx(0.001)
        me.pass_time(0.001)
        assert me.valid_for == 0
        assert me.state.phase is Phase.LOST
        assert me.ended == ["the lease could not be renewed within 10s (cannot read the lease ns/lock: refused)"]

    def test_a_success_that_comes_too_late_brings_nothing_back(self) -> None:
        me = Driver().lead()
        me.pass_time(2)
        me.at += 8
        me.accept()
        assert me.state.phase is Phase.LOST
        assert me.valid_for == 0

    def test_a_claim_answered_too_late_does_not_begin_a_term(self) -> None:
        me = Driver()
        me.pass_time(0)
        me.fail(not_found())
        me.at += 10
        me.accept()
        assert me.started == 0
        assert me.call.verb == "get", "it looks again at once"

    def test_no_call_outlives_the_validity(self) -> None:
        me = Driver().lead()
        me.pass_time(2)
        assert me.call.timeout == 5
        me.fail(ConnectionFailed("timed out"))
        me.pass_time(7)
        assert me.call.timeout == 1

    def test_a_call_that_ignores_its_limit_is_abandoned_once(self) -> None:
        me = Driver().lead()
        me.pass_time(2)
        me.pass_time(5)
        assert me.told(Abandon) == []
        me.pass_time(1)
        me.pass_time(1)
        assert [action.id for action in me.told(Abandon)] == [me.call.id]
        me.fail(Cancelled("abandoned"))
        me.pass_time(0.2)
        assert me.call.verb == "get"

    def test_the_leadership_ends_in_time_while_a_call_hangs(self) -> None:
        me = Driver().lead()
        me.pass_time(2)
        me.pass_time(8)
        assert me.state.phase is Phase.LOST
        assert me.state.call is not None

    def test_only_one_call_is_out_at_a_time(self) -> None:
        me = Driver().lead()
        me.pass_time(2)
        for _ in range(5):
            me.pass_time(1)
        assert me.verbs.count("replace") == 1


class TestProblems:
    def test_a_write_that_is_refused_is_said_once_however_often_the_lease_can_be_read(self) -> None:
        me = Driver()
        forbidden = api_error(403, {"reason": "Forbidden", "message": "no"})
        for _ in range(3):
            me.feed(Tick())
            me.fail(not_found())
            assert me.call.verb == "create"
            me.fail(forbidden)
            assert "may not create the lease ns/lock" in me.state.problem
            me.pass_time(5)
        assert len([note for note in me.told(Note) if note.level == logging.WARNING]) == 1
        me.run(5)
        assert me.state.problem == ""


class TestLoss:
    def test_a_leader_that_sees_another_holder_stops_at_once(self) -> None:
        me = Driver().lead()
        me.edit(holderIdentity="bing")
        me.run(2)
        assert me.state.phase is Phase.LOST
        assert me.ended == ["bing holds the lease"]

    def test_its_work_has_until_another_may_lead(self) -> None:
        late = Driver().lead()
        renewed = late.at
        late.pass_time(12)  # it stood still, and notices late
        assert late.state.end_by == renewed + 15
        taken = Driver().lead()
        taken.edit(holderIdentity="bing")
        taken.run(2)
        assert taken.state.end_by == taken.at + 5, "another leads already: the shortest time there is"

    def test_with_exit_it_never_leads_again(self) -> None:
        me = Driver().lead()
        me.edit(holderIdentity="bing")
        me.run(2)
        me.feed(WorkStopped(1))
        me.run(60)
        assert me.state.phase is Phase.LOST
        assert me.started == 1

    def test_with_rejoin_it_is_a_candidate_again_once_the_work_has_ended(self) -> None:
        me = Driver(on_lost_lease="rejoin").lead()
        me.edit(holderIdentity="bing")
        me.run(60)
        assert me.state.phase is Phase.LOST, "its work goes on"
        me.feed(WorkStopped(0))
        assert me.state.phase is Phase.LOST, "that was another term"
        me.feed(WorkStopped(1))
        me.run(60)
        assert me.state.phase is Phase.LEADING
        assert me.state.term == 2
        assert me.record.transitions == 1

    def test_work_that_could_not_begin_ends_the_leadership(self) -> None:
        me = Driver().lead()
        me.feed(GiveUp("no work"))
        assert me.ended == ["no work"]
        me.feed(GiveUp("no work"))
        assert me.ended == ["no work"]


class TestHands:
    """What people do to a lease."""

    def test_a_leader_makes_a_deleted_lease_again_and_goes_on(self) -> None:
        me = Driver().lead()
        acquired = me.record.acquire_time
        me.run(10)
        me.server.lease = None
        me.run(3)
        assert me.ended == []
        assert (me.record.holder, me.record.acquire_time, me.record.transitions) == ("me", acquired, 0)

    def test_a_standby_that_knew_the_leader_does_not_jump_into_the_gap(self) -> None:
        server = Server()
        leader = Driver("leader", server=server).lead()
        me = Driver(server=server)
        me.run(0)
        server.lease = None
        me.run(14)
        assert me.started == 0
        leader.at = me.at
        me.run(4)
        assert me.started == 1
        assert me.record.transitions == 1

    def test_a_lease_deleted_and_made_again_by_the_leader_is_respected(self) -> None:
        server = Server()
        leader, me = Driver("leader", server=server).lead(), Driver(server=server)
        for step in range(40):
            if step == 10:
                server.lease = None
            leader.run(1)
            me.run(1)
        assert (leader.ended, me.started) == ([], 0)

    @pytest.mark.parametrize(
        "spec",
        [
            {"holderIdentity": ""},
            {"holderIdentity": None},
            {"leaseDurationSeconds": 1},
            {"leaseDurationSeconds": None},
            {"holderIdentity": None, "leaseDurationSeconds": None, "renewTime": None, "acquireTime": None},
        ],
    )
    def test_an_edit_does_not_shorten_what_was_observed(self, spec: dict[str, Any]) -> None:
        server = Server()
        Driver("leader", server=server).lead()
        me = Driver(server=server)
        me.run(0)
        me.edit(**spec)
        me.run(14.9)
        assert me.started == 0
        me.run(20)
        assert me.started == 1

    def test_a_duration_edited_to_a_thousand_years_is_mended_by_another_edit(self) -> None:
        me = Driver()
        me.server.handle("create", lease_of(THEIRS))
        me.edit(leaseDurationSeconds=10**9)
        me.run(60)
        assert me.started == 0
        me.edit(holderIdentity="")
        me.run(20)
        assert me.started == 1

    def test_a_leader_whose_lease_was_emptied_takes_it_again(self) -> None:
        me = Driver().lead()
        me.edit(holderIdentity="")
        me.run(2)
        assert me.ended == []
        assert (me.record.holder, me.record.transitions) == ("me", 1)
        me.run(20)
        assert me.ended == []

    def test_a_lease_emptied_and_then_deleted_is_claimed_and_not_left_empty(self) -> None:
        me = Driver().lead()
        me.edit(holderIdentity="")
        me.pass_time(2)
        me.fail(conflict())
        me.answer(me.server.handle("get", None))
        me.server.lease = None
        me.serve()
        me.run(2)
        assert me.record.holder == "me"

    def test_a_lease_that_names_us_but_was_not_taken_by_us_is_waited_for(self) -> None:
        """Another process of the same identity, or an edit. client-go takes it at once."""
        me = Driver()
        me.server.handle("create", lease_of(Record("me", 15, "a", "b", 0)))
        me.run(14.9)
        assert me.started == 0
        me.run(3)
        assert me.started == 1

    def test_of_two_processes_of_one_identity_one_leads(self) -> None:
        server = Server()
        first, second = Driver(server=server).lead(), Driver(server=server)
        for _ in range(60):
            first.run(1)
            second.run(1)
        assert (first.ended, second.started) == ([], 0)
        for _ in range(30):  # the first stands still
            second.run(1)
        assert second.started == 1
        first.at = second.at
        first.run(1)
        assert first.valid_for == 0

    def test_a_leader_notices_another_process_of_its_identity(self) -> None:
        me = Driver().lead()
        me.edit(acquireTime="2026-01-01T00:00:09.000000Z")
        me.run(2)
        assert me.ended == ["another process uses the same identity, or the lease was edited"]


class TestLostAnswers:
    def test_a_claim_whose_answer_was_lost_is_recognised(self) -> None:
        me = Driver()
        me.pass_time(0)
        me.fail(not_found())
        me.server.handle("create", me.call.lease)
        me.fail(ConnectionFailed("reset"))
        assert me.started == 0
        me.run(5)
        assert me.started == 1
        assert me.record.transitions == 0
        assert me.leaders == ["me"]

    def test_a_claim_that_arrives_after_the_next_one_was_sent_is_recognised(self) -> None:
        me = Driver()
        me.pass_time(0)
        me.fail(not_found())
        late = me.call.lease
        me.fail(ConnectionFailed("timed out"))
        me.pass_time(2)
        me.fail(not_found())
        me.server.handle("create", late)
        me.serve()
        me.run(3)
        assert me.started == 1

    def test_an_answer_that_nobody_waits_for_changes_nothing(self) -> None:
        me = Driver().lead()
        state = me.state
        me.feed(Answered(99, {}))
        me.feed(Failed(98, ConnectionFailed("x")))
        assert me.state == state


class TestRelease:
    """TestReleaseLeaseLeases and its relatives."""

    def test_release_lease(self) -> None:
        me = Driver().lead()
        me.run(3)
        me.feed(Stop(release=True, deadline=me.at + 10))
        me.serve()
        assert me.state.phase is Phase.STOPPED
        assert (me.record.holder, me.record.duration, me.record.transitions) == ("", 1, 0)
        assert me.record.acquire_time == me.record.renew_time != ""
        assert me.ended == ["the elector was told to stop"]

    def test_release_method_calls_get(self) -> None:
        me = Driver().lead()
        me.verbs.clear()
        me.feed(Stop(release=True, deadline=me.at + 10))
        me.serve()
        assert me.verbs == ["get", "replace"]

    def test_release_retries_on_conflict(self) -> None:
        me = Driver().lead()
        me.feed(Stop(release=True, deadline=me.at + 10))
        me.answer(me.server.handle("get", None))
        me.server.touch()
        me.serve()
        me.run(1)
        assert me.state.phase is Phase.STOPPED
        assert me.record.holder == ""

    @pytest.mark.parametrize("verb", ["replace", "get"])
    def test_release_on_cancellation_while_a_call_is_out(self, verb: str) -> None:
        me = Driver().lead()
        me.server.touch()
        me.pass_time(2)
        if verb == "get":
            me.fail(conflict())
        assert me.call.verb == verb
        late = me.call
        me.feed(Stop(release=True, deadline=me.at + 10))
        assert [action.id for action in me.told(Abandon)] == [late.id]
        if verb == "replace":
            me.server.handle("replace", {**late.lease, "metadata": me.server.lease["metadata"]})  # type: ignore[dict-item, index]
        me.fail(Cancelled("abandoned"))
        me.run(2)
        assert me.state.phase is Phase.STOPPED
        assert me.record.holder == ""

    def test_a_lease_that_another_holds_by_now_is_left_alone(self) -> None:
        me = Driver().lead()
        me.edit(holderIdentity="bing")
        me.feed(Stop(release=True, deadline=me.at + 10))
        me.serve()
        assert me.state.phase is Phase.STOPPED
        assert me.record.holder == "bing"

    def test_a_lease_that_is_gone_is_left_gone(self) -> None:
        me = Driver().lead()
        me.server.lease = None
        me.feed(Stop(release=True, deadline=me.at + 10))
        me.serve()
        assert me.state.phase is Phase.STOPPED
        assert me.server.lease is None

    def test_a_standby_has_nothing_to_release(self) -> None:
        me = Driver()
        me.server.handle("create", lease_of(THEIRS))
        me.run(0)
        me.verbs.clear()
        me.feed(Stop(release=True, deadline=me.at + 10))
        assert me.state.phase is Phase.STOPPED
        assert me.verbs == []
        assert me.ended == []

    def test_a_lost_lease_that_is_still_ours_is_given_back_too(self) -> None:
        me = Driver().lead()
        me.pass_time(10)
        me.fail(ConnectionFailed("x")) if me.state.call else None
        assert me.state.phase is Phase.LOST
        me.feed(Stop(release=True, deadline=me.at + 10))
        me.serve()
        assert me.record.holder == ""

    def test_without_release_the_lease_is_left_to_lapse(self) -> None:
        me = Driver().lead()
        me.feed(Stop(release=False, deadline=me.at + 10))
        assert me.state.phase is Phase.STOPPED
        assert me.valid_for == 0
        assert me.record.holder == "me"

    def test_a_release_that_does_not_succeed_ends_at_its_deadline(self) -> None:
        me = Driver().lead()
        me.feed(Stop(release=True, deadline=me.at + 4))
        assert me.call.timeout == 4
        me.fail(ConnectionFailed("refused"))
        me.pass_time(1)
        me.fail(api_error(500))
        me.pass_time(3)
        assert me.state.phase is Phase.STOPPED
        assert "it will lapse" in me.told(Note)[-1].text

    def test_nothing_may_be_written_while_the_lease_is_given_back(self) -> None:
        me = Driver().lead()
        me.feed(Stop(release=True, deadline=me.at + 4))
        assert me.state.phase is Phase.RELEASING
        assert me.valid_for == 0

    def test_a_released_lease_is_taken_at_the_next_look(self) -> None:
        server = Server()
        leader, me = Driver("leader", server=server).lead(), Driver(server=server)
        me.run(0)
        leader.feed(Stop(release=True, deadline=leader.at + 4))
        leader.serve()
        me.run(2)
        assert me.started == 1
        assert me.record.transitions == 1


class TestRetire:
    """A process that shuts down does not begin to lead."""

    def test_a_standby_makes_no_more_calls(self) -> None:
        me = Driver()
        me.feed(Retire())
        me.run(60)
        assert me.verbs == []

    def test_a_claim_that_succeeds_after_all_is_given_back_and_no_work_begins(self) -> None:
        me = Driver()
        me.pass_time(0)
        me.fail(not_found())
        me.feed(Retire())
        me.serve()
        assert me.started == 0
        assert me.record.holder == ""
        assert me.state.phase is Phase.STANDBY

    def test_a_look_that_is_out_leads_to_no_claim(self) -> None:
        me = Driver()
        me.pass_time(0)
        me.feed(Retire())
        me.serve()
        assert me.verbs == ["get"]

    def test_a_claim_without_an_answer_is_given_back_at_the_stop(self) -> None:
        me = Driver()
        me.pass_time(0)
        me.fail(not_found())
        me.feed(Retire())
        me.server.handle("create", me.call.lease)
        me.fail(ConnectionFailed("reset"))
        me.feed(Stop(release=True, deadline=me.at + 5))
        me.serve()
        assert me.record.holder == ""

    def test_a_leader_goes_on_renewing_while_its_work_ends(self) -> None:
        me = Driver().lead()
        me.feed(Retire())
        me.run(60)
        assert me.state.phase is Phase.LEADING


class TestWords:
    def test_a_missing_permission_is_named_once_with_its_remedy(self) -> None:
        me = Driver()
        for _ in range(3):
            me.pass_time(5)
            me.fail(api_error(403, {"reason": "Forbidden", "message": "no"}, request="GET /x"))
        notes = [note for note in me.told(Note) if note.level == logging.WARNING]
        assert len(notes) == 1
        assert "get, create and update of leases in coordination.k8s.io" in notes[0].text
        assert me.state.problem == notes[0].text
        me.run(5)
        assert me.state.problem == ""

    def test_a_missing_namespace_is_named(self) -> None:
        me = Driver()
        me.pass_time(0)
        me.fail(not_found())
        me.fail(api_error(404, {"reason": "NotFound", "message": 'namespaces "ns" not found'}))
        assert "the namespace must exist" in me.state.problem

    def test_losing_a_race_is_no_warning(self) -> None:
        me = Driver()
        me.pass_time(0)
        me.answer(lease_of(Record()))
        me.fail(conflict())
        assert [note.level for note in me.told(Note)] == [logging.DEBUG]

    def test_an_error_without_words_is_named_by_its_kind(self) -> None:
        me = Driver()
        me.pass_time(0)
        me.fail(RuntimeError())
        assert "RuntimeError" in me.state.problem


def test_after_the_end_nothing_happens_any_more() -> None:
    me = Driver().lead()
    me.feed(Stop(release=False, deadline=0))
    state = me.state
    me.pass_time(100)
    me.feed(Retire())
    assert me.state == state
