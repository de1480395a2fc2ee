"""Settings that cannot work are refused, naming the setting and the remedy."""

from __future__ import annotations

from typing import Any

import pytest

from operator_kit.errors import ConfigError
from operator_kit.leader import Rules, new_identity


def test_the_defaults_are_those_of_client_go() -> None:
    rules = Rules("ns", "lock", "me")
    assert (rules.lease_duration, rules.renew_deadline, rules.retry_period) == (15, 10, 2)


def test_a_call_may_take_half_the_renew_deadline() -> None:
    assert Rules("ns", "lock", "me").call_timeout == 5


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"lease_duration": 10}, "leader-election-lease-duration"),
        ({"lease_duration": 15.5}, "leader-election-lease-duration"),
        ({"lease_duration": float("inf")}, "leader-election-lease-duration"),
        ({"lease_duration": 0}, "leader-election-lease-duration"),
        ({"lease_duration": -1}, "leader-election-lease-duration"),
        ({"renew_deadline": 2.4}, "leader-election-renew-deadline"),
        ({"renew_deadline": 0}, "leader-election-renew-deadline"),
        ({"renew_deadline": float("nan")}, "leader-election-renew-deadline"),
        ({"retry_period": 0}, "leader-election-retry-period"),
        ({"retry_period": 9}, "leader-election-retry-period"),
        ({"namespace": ""}, "leader-election-namespace"),
        ({"name": ""}, "leader-election-id"),
        ({"name": "My Lease"}, "leader-election-id is 'My Lease'"),
        ({"name": "a..b"}, "leader-election-id"),
        ({"name": "a" * 254}, "leader-election-id"),
        ({"namespace": "team.a"}, "leader-election-namespace is 'team.a'"),
        ({"identity": ""}, "identity"),
        ({"on_lost_lease": "rejoyn"}, "on-lost-lease"),
    ],
)
def test_leader_election_config_validation(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Rules(**{"namespace": "ns", "name": "lock", "identity": "me", **settings})
    assert named in str(caught.value)


def test_the_error_for_a_typo_names_the_word_that_was_meant() -> None:
    with pytest.raises(ConfigError, match="did you mean rejoin"):
        Rules("ns", "lock", "me", on_lost_lease="rejoyn")  # type: ignore[arg-type]  # that is the point


def test_no_two_processes_share_an_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_NAME", "operator-0")
    first, second = new_identity(), new_identity()
    assert first != second
    assert first.startswith("operator-0_")
    monkeypatch.delenv("POD_NAME")
    assert not new_identity().startswith("operator-0_")
