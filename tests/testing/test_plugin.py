"""The pytest plugin as its users meet it: in a pytest run of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from operator_kit.api import Client
from operator_kit.testing import Cluster
from operator_kit.testing.plugin import KUBECONFIG_VARIABLE
from tests.processes import ROOT, eventually, operator_kit

pytest_plugins = ["pytester"]

WEBSITE = ROOT / "examples" / "website"


@pytest.fixture(autouse=True)
def no_real_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KUBECONFIG_VARIABLE, raising=False)


def run(pytester: pytest.Pytester, source: str) -> pytest.RunResult:
    pytester.makepyfile(source)
    return pytester.runpytest_inprocess("-p", "no:randomly", "-p", "no:cacheprovider", "--strict-markers", "-rs")


def test_loading_the_plugin_loads_nothing_heavy() -> None:
    heavy = {"kubernetes", "urllib3", "aiohttp", "yaml", "click", "tenacity", "prometheus_client", "operator_kit.controller"}
    code = "import sys, operator_kit.testing.plugin; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()
    assert "operator_kit.testing.plugin" in loaded
    assert not heavy & set(loaded)


def test_pytest_finds_the_plugin_by_itself_and_tells_its_fixtures(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess("--fixtures", "-q")
    result.stdout.fnmatch_lines_random(["sandbox*", "cluster*", "operator*", "faults*", "fake_clock*", "events_of*"])
    pytester.runpytest_inprocess("--markers").stdout.fnmatch_lines(["*sandbox(*options)*"])


def test_options_of_the_sandbox_come_from_the_nearest_marker(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import pytest
        pytestmark = pytest.mark.sandbox(history=5, bookmark_interval=9.0)

        def test_of_the_module(sandbox):
            assert sandbox.engine.world.storage is not None

        @pytest.mark.sandbox(history=7, workloads=0)
        def test_of_its_own(sandbox):
            pass

        @pytest.mark.sandbox(wörkloads=1)
        def test_of_a_typo(sandbox):
            pass
        """,
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*@pytest.mark.sandbox:*unexpected keyword argument 'wörkloads'*"])


def test_each_test_has_a_server_of_its_own(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import pytest

        @pytest.mark.parametrize("time", [1, 2])
        def test_create(time, cluster):
            cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "same"}})
        """,
    )
    result.assert_outcomes(passed=2)


def test_an_operator_that_failed_and_was_not_asked_fails_its_test(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        from operator_kit import Registry

        def test_ambiguous(operator):
            registry = Registry()
            registry.reconciler("Event")(lambda obj, ctx: None)
            running = operator(registry)
            running.manager.wait_stopped(60)
        """,
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*Event can mean more than one kind*"])


def test_a_reconcile_that_does_not_end_fails_its_test_by_name(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import threading
        from operator_kit import Registry

        def test_stuck(cluster, operator):
            registry, started = Registry(), threading.Event()

            @registry.reconciler("v1/ConfigMap", name="stuck")
            def never(obj, ctx):
                started.set()
                threading.Event().wait()

            cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})
            operator(registry, shutdown_timeout=0.1)
            assert started.wait(60)
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:randomly", "-p", "no:cacheprovider")  # its thread ends with it
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*still running at the end of the shutdown timeout: stuck default/a for * s*"])


# ------------------------------------------------------------------ a real cluster


@pytest.fixture
def real(tmp_path: Path) -> Iterator[tuple[Path, Client]]:
    """What stands for a real cluster: an API server in another process. Its kubeconfig, and a client of it."""
    kubeconfig = tmp_path / "real.kubeconfig"
    with operator_kit("sandbox", "--kubeconfig", str(kubeconfig), log=tmp_path / "sandbox.log") as server:
        eventually(kubeconfig.exists, f"the kubeconfig: {server.output()}")
        client = Client.from_config(kubeconfig=str(kubeconfig))
        yield kubeconfig, client
        client.close()


SAME_TESTS = f"""
    import pytest
    from operator_kit.testing import assert_event, assert_object

    FILES = {str(WEBSITE)!r}
    OPERATOR = {str(ROOT / "examples" / "website.py")!r}

    @pytest.mark.parametrize("replicas", [1, 2])
    def test_children(cluster, operator, replicas):
        cluster.load(f"{{FILES}}/crd.yaml", f"{{FILES}}/namespace.yaml")
        spec = {{"html": "hi", "replicas": replicas, "domain": "x.example.com"}}
        cluster.create({{"apiVersion": "example.com/v1", "kind": "Website", "metadata": {{"name": "blog"}}, "spec": spec}})
        running = operator(OPERATOR).settle(timeout=30)
        assert_object(cluster.get("Deployment", "blog"), {{"spec": {{"replicas": replicas}}}})
        cluster.delete("Service", "blog")
        running.settle(timeout=30)
        assert cluster.get("Service", "blog")
        assert cluster.get("Website", "blog")["metadata"]["finalizers"]
        print("namespace:", cluster.namespace)

    def test_events(cluster, operator, events_of):
        cluster.load(f"{{FILES}}/crd.yaml")
        site, = cluster.load({{"apiVersion": "example.com/v1", "kind": "Website", "metadata": {{"name": "broken"}},
                             "spec": {{"htmlFrom": {{"configMap": "nowhere"}}}}}})
        cluster.create({{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {{"name": "of-a-test"}}}})
        running = operator(OPERATOR)
        cluster.wait("Website", "broken", lambda site: site["status"]["conditions"])
        cluster.create({{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {{"name": "nowhere"}}, "data": {{"index.html": ""}}}})
        running.settle(timeout=30)
        assert_event(events_of(site), reason="TemporaryError", message="nowhere")

    def test_clock(fake_clock, cluster):
        fake_clock.advance(5)

    @pytest.mark.sandbox(workloads=0)
    def test_pods(cluster):
        pass

    def test_server(sandbox):
        sandbox.load(f"{{FILES}}/crd.yaml")

    def test_faults(cluster, operator, faults):
        faults.add("close", verb="watch", count=1)
"""


def test_the_same_tests_run_against_a_real_cluster(
    pytester: pytest.Pytester, real: tuple[Path, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(pytester, SAME_TESTS).assert_outcomes(passed=7)
    kubeconfig, client = real
    monkeypatch.setenv(KUBECONFIG_VARIABLE, str(kubeconfig))
    result = pytester.runpytest_inprocess("-p", "no:randomly", "-p", "no:cacheprovider", "-rs", "-s")
    result.assert_outcomes(passed=5, skipped=2)
    result.stdout.fnmatch_lines([f"SKIPPED*needs the embedded API server, and {KUBECONFIG_VARIABLE} names a real one"])
    namespaces = {line.split()[-1] for line in result.outlines if "namespace: " in line}
    assert len(namespaces) == 2
    assert all(name.startswith("operator-kit-test-") for name in namespaces)

    cluster = Cluster(client)
    for name in namespaces:
        cluster.wait_gone("Namespace", name)
    assert [
        item["metadata"]["name"] for item in cluster.list("Namespace") if "operator-kit-test" in item["metadata"]["name"]
    ] == []
    assert cluster.list("Website", namespace="*") == []
    assert cluster.list("ClusterRole", selector="") == [] or cluster.get("ClusterRole", "of-a-test") is None
    assert cluster.get("CustomResourceDefinition", "websites.example.com"), "shared by all tests, so it stays"
