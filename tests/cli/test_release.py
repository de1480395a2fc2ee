"""`operator-kit release`: a controller that is uninstalled takes its finalizers along."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from operator_kit import Context
from operator_kit.cli import main
from operator_kit.clock import Clock
from operator_kit.controller import finalizers
from operator_kit.leader.record import micro_time
from operator_kit.manager import ExitCode
from operator_kit.objects import Object
from operator_kit.sandbox import Sandbox
from operator_kit.testing import Cluster, OperatorFaults, StartOperator, assert_object
from tests.controller.teams import FINALIZER, crd, namespace, team, teams

OPERATOR = """
from operator_kit import reconciler

@reconciler("Team", owns_by_label=["v1/ConfigMap"])
def team(obj, ctx): ...

@reconciler("NotInstalled")
def other(obj, ctx): ...
"""

Run = Callable[..., Result]


@pytest.fixture
def world(cluster: Cluster) -> Cluster:
    cluster.load(crd(), namespace("elsewhere"))
    return cluster


@pytest.fixture
def run(sandbox: Sandbox, tmp_path: Path) -> Run:
    """Runs the command on an operator file."""
    target = tmp_path / "my_operator.py"
    target.write_text(OPERATOR)

    kubeconfig = tmp_path / "kubeconfig"
    sandbox.write_kubeconfig(kubeconfig)

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["release", "--kubeconfig", str(kubeconfig), *arguments, str(target)])

    return call


def held(name: str, *others: str, where: str = "default") -> Object:
    made = team(name)
    made["metadata"] |= {"namespace": where, "finalizers": [*others, FINALIZER]}
    return made


def finalizers_of(world: Cluster, name: str, where: str = "default") -> list[str]:
    found = world.get("Team", name, namespace=where)
    assert found is not None
    return list(found["metadata"].get("finalizers", []))


def test_its_own_finalizers_come_off_and_no_others(world: Cluster, run: Run) -> None:
    world.create(held("red", "example.com/first"))
    world.create(held("blue", where="elsewhere"))
    world.create(team("free"))
    result = run()
    assert result.exit_code == ExitCode.OK, result.output
    assert result.output.splitlines() == [
        "Team default/red: example.com/team is off",
        "Team elsewhere/blue: example.com/team is off",
        "2 objects released",
        "children by label stay: kubectl get KIND --all-namespaces --selector example.com/team.owner",
    ]
    assert finalizers_of(world, "red") == ["example.com/first"]
    assert finalizers_of(world, "blue", "elsewhere") == []
    assert run().output == "0 objects released\n"


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(world: Cluster, run: Run) -> None:
    before = world.create(held("red"))
    result = run("--dry-run")
    assert result.exit_code == ExitCode.OK
    assert result.output.splitlines()[:2] == ["Team default/red: example.com/team would come off", "1 object would be released"]
    assert world.get("Team", "red") == before


def test_what_waits_to_be_deleted_goes_without_its_cleanup_and_is_told_so(world: Cluster, run: Run) -> None:
    world.create(held("red"))
    world.delete("Team", "red")
    assert "Team default/red: example.com/team is off, being deleted: it goes without its cleanup\n" in run().output
    assert world.get("Team", "red") is None


def test_only_the_namespaces_that_are_named(world: Cluster, run: Run) -> None:
    world.create(held("red"))
    world.create(held("blue", where="elsewhere"))
    assert "1 object released" in run("--namespace", "elsewhere").output
    assert finalizers_of(world, "red") == [FINALIZER]


def test_many_objects_are_read_page_by_page(world: Cluster, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(7):
        world.create(held(f"team-{number}"))
    visit = type(world.client).visit
    monkeypatch.setattr(type(world.client), "visit", lambda self, *args, **options: visit(self, *args, page_size=2, **options))
    assert "7 objects released" in run().output


def test_what_changes_meanwhile_keeps_what_others_put_on(world: Cluster, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    world.create(held("red"))
    look = finalizers.finalizers_of
    moved: list[int] = []

    def look_and_move(obj: Object) -> list[str]:
        found = look(obj)
        if not moved:  # between the list and the patch
            moved.append(1)
            world.patch("Team", "red", {"metadata": {"finalizers": ["example.com/late", FINALIZER]}})
        return found

    monkeypatch.setattr("operator_kit.manager.release.finalizers_of", look_and_move)
    assert run().exit_code == ExitCode.OK
    assert moved
    assert finalizers_of(world, "red") == ["example.com/late"]


def test_what_cannot_be_done_is_told_and_the_rest_goes_on(world: Cluster, run: Run, faults: OperatorFaults) -> None:
    world.create(held("blue"))
    world.create(held("red"))
    faults.add("status", verb="patch", name="blue", code=422, user_agent="operator-kit")
    result = run()
    assert result.exit_code == ExitCode.NOT_RELEASED
    assert "Team default/blue: example.com/team stays: " in result.output
    assert "Team default/red: example.com/team is off" in result.output
    assert "1 object released" in result.output


@pytest.mark.parametrize("verb", ["list", "patch"])
def test_a_missing_permission_is_named_with_its_rule(world: Cluster, run: Run, faults: OperatorFaults, verb: str) -> None:
    world.create(held("red"))
    faults.add("status", verb=verb, resource="teams.example.com", code=403, user_agent="operator-kit")
    result = run()
    assert result.exit_code == ExitCode.NOT_ALLOWED
    rule = f'{{apiGroups: ["example.com"], resources: ["teams"], verbs: ["{verb}"]}}'
    assert f"example.com/team stays: not allowed to {verb} teams.example.com; needs the rule {rule}" in result.output


def lease(renewed: datetime, seconds: int = 15) -> Object:
    spec = {"holderIdentity": "pod-1", "leaseDurationSeconds": seconds, "renewTime": micro_time(renewed)}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "my-operator"}, "spec": spec}


def test_it_refuses_while_an_operator_holds_the_lease(world: Cluster, run: Run) -> None:
    world.create(held("red"))
    world.create(lease(Clock().now(), seconds=3600))
    elected = ("--leader-election-id", "my-operator", "--leader-election-namespace", "default")
    result = run(*elected)
    assert result.exit_code == ExitCode.HELD
    assert "pod-1 holds the lease default/my-operator: an operator runs" in result.output
    assert finalizers_of(world, "red") == [FINALIZER]
    assert "would come off" in run("--dry-run", *elected).output
    assert run("--force", *elected).exit_code == ExitCode.OK
    assert finalizers_of(world, "red") == []


@pytest.mark.parametrize("there", [True, False], ids=["lapsed", "no lease"])
def test_a_lease_that_nobody_renews_is_no_obstacle(world: Cluster, run: Run, there: bool) -> None:
    world.create(held("red"))
    if there:
        world.create(lease(Clock().now() - timedelta(minutes=1)))
    assert run("--leader-election-id", "my-operator", "--leader-election-namespace", "default").exit_code == ExitCode.OK


def test_a_lease_that_cannot_be_read_is_asked_about(world: Cluster, run: Run, faults: OperatorFaults) -> None:
    faults.add("status", verb="get", resource="leases.coordination.k8s.io", code=403, user_agent="operator-kit")
    result = run("--leader-election-id", "my-operator", "--leader-election-namespace", "default")
    assert result.exit_code == ExitCode.HELD
    assert "cannot tell whether an operator runs" in result.output


def test_an_api_server_that_does_not_answer(tmp_path: Path) -> None:
    target, kubeconfig = tmp_path / "op.py", tmp_path / "kubeconfig"
    target.write_text(OPERATOR)
    with Sandbox() as sandbox:
        sandbox.write_kubeconfig(kubeconfig)
    result = CliRunner().invoke(main, ["release", "--kubeconfig", str(kubeconfig), "--request-timeout", "2s", str(target)])
    assert result.exit_code == ExitCode.UNREACHABLE


def test_a_finalizer_that_a_running_operator_put_on_comes_off(world: Cluster, run: Run, operator: StartOperator) -> None:
    def nothing(obj: Object, ctx: Context) -> None: ...

    world.create(team("red"))
    operator(teams(nothing, cleanup=nothing)).settle().stop()
    assert_object(world.get("Team", "red"), {"metadata": {"finalizers": [FINALIZER]}})
    assert run().exit_code == ExitCode.OK
    world.delete("Team", "red")
    assert world.get("Team", "red") is None
