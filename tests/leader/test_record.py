"""The Lease is read and written as client-go does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from operator_kit.leader.record import Record, micro_time, new_lease, updated_lease

NOW = "2026-01-02T03:04:05.000006Z"


def test_lease_spec_to_record_round_trip() -> None:
    record = Record("me", 15, NOW, NOW, 3)
    assert Record.of({"spec": record.spec()}) == record


def test_the_spec_has_the_fields_of_client_go() -> None:
    assert Record("me", 15, NOW, NOW, 0).spec() == {
        "holderIdentity": "me",
        "leaseDurationSeconds": 15,
        "acquireTime": NOW,
        "renewTime": NOW,
        "leaseTransitions": 0,
    }


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
        datetime(2026, 1, 2, 8, 34, 5, 6, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    ],
)
def test_a_time_is_utc_whatever_the_zone(moment: datetime) -> None:
    assert micro_time(moment) == NOW


def test_a_time_has_six_digits_even_on_the_second() -> None:
    assert micro_time(datetime(2026, 1, 2, tzinfo=UTC)) == "2026-01-02T00:00:00.000000Z"


@pytest.mark.parametrize(
    "lease",
    [
        {},
        {"spec": None},
        {"spec": []},
        {"spec": {"holderIdentity": None, "leaseDurationSeconds": "15", "acquireTime": 5, "leaseTransitions": True}},
        {"spec": {"leaseDurationSeconds": -1, "leaseTransitions": -2}},
    ],
)
def test_a_lease_edited_beyond_recognition_reads_as_empty(lease: dict[str, object]) -> None:
    assert Record.of(lease) == Record()


def test_a_release_names_nobody_for_one_second_and_keeps_the_count() -> None:
    given_back = Record("me", 15, "a", "b", 7).given_back(NOW)
    assert given_back == Record("", 1, NOW, NOW, 7)
    assert given_back.released
    assert not Record("", 15).released
    assert not Record("", 0).released
    assert not Record("me", 1).released


def test_create_sets_the_labels() -> None:
    lease = new_lease("ns", "lock", Record("me"), {"app": "x"})
    assert lease["metadata"] == {"name": "lock", "namespace": "ns", "labels": {"app": "x"}}
    assert (lease["apiVersion"], lease["kind"]) == ("coordination.k8s.io/v1", "Lease")
    assert "labels" not in new_lease("ns", "lock", Record("me"), {})["metadata"]


def test_update_overwrites_only_the_labels_that_are_ours_and_nothing_else_of_the_metadata() -> None:
    lease = {
        "metadata": {"name": "lock", "resourceVersion": "7", "labels": {"app": "old", "theirs": "1"}},
        "spec": {"strategy": "x"},
    }
    updated = updated_lease(lease, Record("me"), {"app": "new"})
    assert updated["metadata"] == {"name": "lock", "resourceVersion": "7", "labels": {"app": "new", "theirs": "1"}}
    assert updated["spec"] == Record("me").spec()
    assert lease["metadata"]["labels"] == {"app": "old", "theirs": "1"}, "what was read is not changed"
