"""The pytest plugin: fixtures for testing operators against the embedded API server, or against a real one.

pytest loads this module in every run in which operator-kit is installed, so it imports nothing but pytest; what a fixture needs
is imported when the fixture is first asked for.

`OPERATOR_KIT_TEST_KUBECONFIG=FILE` runs the same tests against the cluster of that kubeconfig, each in a namespace of its own.
Tests that use `sandbox` or `faults` skip there, and say so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from operator_kit.api import Client
    from operator_kit.cache import ReflectorSettings
    from operator_kit.clock import Clock, FakeClock
    from operator_kit.sandbox import Sandbox
    from operator_kit.settings import Settings
    from operator_kit.testing.cluster import Cluster
    from operator_kit.testing.faults import OperatorFaults
    from operator_kit.testing.running import RunningOperator, Target
    from operator_kit.testing.writes import OperatorWrites

__all__ = [
    "KUBECONFIG_VARIABLE",
    "StartOperator",
    "cluster",
    "events_of",
    "fake_clock",
    "faults",
    "operator",
    "sandbox",
    "writes",
]

KUBECONFIG_VARIABLE = "OPERATOR_KIT_TEST_KUBECONFIG"

# The sandbox answers in milliseconds, and a test that breaks it wants to see it mended soon. But whatever gives up a request, a
# run or a watch takes longer than a busy machine stands still.
_SANDBOX_OPTIONS = {"bookmark_interval": 0.25}
_SANDBOX_SETTINGS = {"request_timeout": 20.0, "backoff_max": 1.0, "shutdown_timeout": 20.0}


class StartOperator(Protocol):
    """The type of the fixture `operator`."""

    def __call__(
        self,
        *targets: Target,
        clock: Clock | None = None,
        reflector: ReflectorSettings | None = None,
        **settings: Any,
    ) -> RunningOperator:
        """Run the reconcilers of the targets in the background until the test ends.

        Args:
            *targets: registries, decorated functions, modules, or files, directories and module names as for `operator-kit run`;
                a relative path is looked for from here, then from where the test's file is.
            clock: a `FakeClock` for an operator whose delays pass when the test says so.
            reflector: times of the caches; short ones against the sandbox by default.
            **settings: any setting of the command line (`workers=1, resync="1s", namespace=["a"], watch=False`).
        """


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, for `--strict-markers`."""
    config.addinivalue_line(
        "markers",
        "sandbox(**options): options of this test's embedded API server, e.g. sandbox(workloads=0.01); see operator_kit.sandbox",
    )


def _kubeconfig() -> str:
    return os.environ.get(KUBECONFIG_VARIABLE, "")


@pytest.fixture
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A fresh embedded API server. Options come from `@pytest.mark.sandbox(workloads=0.01)`."""
    if _kubeconfig():
        pytest.skip(f"needs the embedded API server, and {KUBECONFIG_VARIABLE} names a real one")
    try:
        from operator_kit.sandbox import Sandbox
    except ImportError as exc:
        raise pytest.UsageError(f"the fixture sandbox needs {exc.name}: pip install 'operator-kit[sandbox]'") from exc
    options: dict[str, Any] = dict(_SANDBOX_OPTIONS)
    for mark in reversed(list(request.node.iter_markers("sandbox"))):  # the nearest mark last: it wins
        options |= mark.kwargs
    try:
        made = Sandbox(**options)
    except TypeError as exc:
        raise pytest.UsageError(f"@pytest.mark.sandbox: {str(exc).removeprefix('Sandbox.__init__() ')}") from None
    with made:
        yield made


@pytest.fixture
def faults(sandbox: Sandbox) -> Iterator[OperatorFaults]:
    """Faults for the operator under test: `faults.add("status", verb="create", code=500, count=3)`; lifted at the end."""
    from operator_kit.testing.faults import OperatorFaults

    made = OperatorFaults(sandbox)
    yield made
    made.clear()


@pytest.fixture
def writes(sandbox: Sandbox) -> OperatorWrites:
    """What the operator under test writes: `assert writes.take() == ["patch configmaps default/blog"]`."""
    from operator_kit.testing.writes import OperatorWrites

    return OperatorWrites(sandbox)


@pytest.fixture
def fake_clock() -> FakeClock:
    """A clock that stands still until the test moves it: `operator(…, clock=fake_clock)`, `fake_clock.advance(3600)`.

    Its wall clock begins at the real time, so that it can be compared with timestamps that the server writes.
    """
    from operator_kit.clock import Clock, FakeClock

    return FakeClock(now=Clock().now())


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The API server as the test sees it: `load`, `create`, `get`, `list`, `patch`, `delete`, `wait`, `events_of`, …"""
    from operator_kit.testing.cluster import Cluster

    folder = Path(request.path).parent
    if not _kubeconfig():
        request.getfixturevalue("sandbox")
    client = _client(request, _test_agent())
    made = Cluster(client, folder=folder)
    kinds: set[str] = set()
    request.node.stash[_KINDS] = kinds
    try:
        if _kubeconfig():
            made.own_namespace()
        yield made
        if _kubeconfig():
            made.clean(kinds)
    finally:
        client.close()


@pytest.fixture
def operator(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[StartOperator]:
    """Runs operators in the background: `operator(website).settle()`. They are stopped at the end, and leave no thread."""
    from operator_kit.testing.faults import OPERATOR_AGENT
    from operator_kit.testing.running import RunningOperator, collect_targets

    running: list[RunningOperator] = []

    def start(
        *targets: Target, clock: Clock | None = None, reflector: ReflectorSettings | None = None, **settings: Any
    ) -> RunningOperator:
        registry = collect_targets([_beside(target, Path(request.path).parent) for target in targets])
        request.node.stash[_KINDS].update(kind for made in (*registry, *registry.tasks) for kind in made.kinds())
        loaded = _settings(settings, cluster)

        client = _client(request, OPERATOR_AGENT, request_timeout=loaded.request_timeout, clock=clock)
        made = RunningOperator(registry, client, cluster.client, loaded, clock=clock, reflector=reflector or _reflector(clock))
        running.append(made)
        return made.start()

    yield start
    for made in running:  # all are told before any is waited for
        made.manager.stop()
    problems = [problem for made in running if (problem := _stopped(made))]
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


@pytest.fixture
def events_of(cluster: Cluster) -> Callable[..., Sequence[Mapping[str, Any]]]:
    """The Events about an object: `assert_event(events_of(site), reason="PageMissing")`. See `Cluster.events_of`."""
    return cluster.events_of


def _beside(target: Target, folder: Path) -> Target:
    """A file that does not exist from here is looked for where the test is."""
    if isinstance(target, str) and not Path(target).exists() and (folder / target).exists():
        return str(folder / target)
    return target


_KINDS = pytest.StashKey[set[str]]()


def _stopped(made: RunningOperator) -> str:
    from operator_kit.errors import OperatorKitError

    try:
        made.stop()
    except (AssertionError, OperatorKitError) as exc:
        return str(exc)
    return ""


def _test_agent() -> str:
    from operator_kit.testing.faults import TEST_AGENT

    return TEST_AGENT


def _client(request: pytest.FixtureRequest, agent: str, **options: Any) -> Client:
    from operator_kit.api import Client

    if _kubeconfig():
        return Client.from_config(kubeconfig=_kubeconfig(), user_agent=agent, **options)
    server: Sandbox = request.getfixturevalue("sandbox")
    return Client.from_kubeconfig_dict(server.kubeconfig(), user_agent=agent, **options)


def _settings(given: Mapping[str, Any], cluster: Cluster) -> Settings:
    """Those for tests, and those that were given. On a shared cluster an operator sees its test's namespace, unless told more."""
    import dataclasses

    from operator_kit.errors import ConfigError
    from operator_kit.settings import Settings, load, suggest

    known = [field.name for field in dataclasses.fields(Settings)]
    for name in given:
        if name not in known:
            raise ConfigError(f"operator(…, {name}=…): no setting is named {name}{suggest(name, known)}")
    defaults: dict[str, Any] = {"namespace": (cluster.namespace,)} if _kubeconfig() else _SANDBOX_SETTINGS
    return load(flags={**defaults, **given})[0]


def _reflector(clock: Clock | None) -> ReflectorSettings:
    from operator_kit.cache import ReflectorSettings
    from operator_kit.clock import FakeClock

    if _kubeconfig():
        return ReflectorSettings()
    # Streams end in real time, and on a clock that stands still one never begins again: the pause before that does not pass.
    ends: dict[str, Any] = {} if isinstance(clock, FakeClock) else {"watch_timeout": (5.0, 5.0), "silence": 3.0, "margin": 3.0}
    return ReflectorSettings(**ends, short_watch=0.05, backoff_base=0.02, backoff_max=0.5, backoff_reset=5.0)
