"""An operator in the background of a test, and the moment when it has done everything there was to do.

`settle` takes nothing on trust that can be checked: it compares every cache with what the API server holds, waits until what came
in has become keys, and then looks whether anything is queued, running, backing off or unwritten. So a change made before
`settle` was called has been reconciled when it returns.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from operator_kit.clock import Clock, FakeClock
from operator_kit.controller import Hook, Reconciler, Registry, Task
from operator_kit.errors import KindNotFound, OperatorKitError, UsageError
from operator_kit.manager import ExitCode, Manager, load_targets
from operator_kit.objects import key_of, resource_version_of, uid_of
from operator_kit.testing.cluster import PATIENCE

if TYPE_CHECKING:
    from operator_kit.api import Client
    from operator_kit.cache import Informer, ReflectorSettings
    from operator_kit.controller import Controller
    from operator_kit.settings import Settings

__all__ = ["NotSettled", "RunningOperator", "Target", "collect_targets"]

Target = Registry | Reconciler | Task | ModuleType | str | Path
"""A registry, a decorated function, a module with some, or a file, directory or module name as for `operator-kit run`."""

_FIRST_LOOK, _LONGEST_LOOK = 0.002, 0.05  # seconds between two looks
_STEP = 0.02  # seconds a fake clock is moved, a look each, while the operator starts
_GRACE = 30.0  # seconds beyond the shutdown timeout in which everything must have ended
_SHOWN = 10  # keys that a reason names


class NotSettled(AssertionError):
    """The operator did not come to rest in time. The message says what is left to do, and why."""


def collect_targets(targets: Iterable[Target]) -> Registry:
    """The reconcilers of all targets. Raises TargetError, RegistrationError, or UsageError when there is none."""
    registry = Registry()
    for target in targets:
        registry.include(_registry(target))
    if not len(registry):
        raise UsageError(
            'no reconciler to run: give a Registry, a module, a file, or a function decorated with @reconciler("Kind")'
        )
    return registry


def _registry(target: Target) -> Registry:
    if isinstance(target, Registry):
        return target
    if isinstance(target, str) and target in sys.modules:  # what it registered when it was imported is not registered again
        target = sys.modules[target]
    if isinstance(target, str | Path):
        return load_targets([str(target)])
    registry = Registry()
    if isinstance(target, Reconciler | Task):
        registry.add(target)
    elif isinstance(target, ModuleType):
        for value in vars(target).values():
            if isinstance(value, Registry):
                registry.include(value)
            elif isinstance(value, Reconciler | Task | Hook):
                registry.add(value)
    else:
        raise UsageError(f"{target!r} is nothing to run: give a Registry, a module, a file, or a decorated function")
    return registry


_running: list[RunningOperator] = []  # of this process; only the tests' thread touches it


class RunningOperator:
    """Runs the reconcilers of a registry on threads of this process.

    Args:
        registry: what to run.
        client: the operator's own; it is closed at the end.
        reader: the test's client: what the caches are compared with, untouched by faults for the operator.
        settings: as for the command line.
        clock: the operator's clock. While the operator starts, a FakeClock is moved in small steps; after that it is the test's.
        reflector: times of the caches.
    """

    def __init__(
        self,
        registry: Registry,
        client: Client,
        reader: Client,
        settings: Settings,
        *,
        clock: Clock | None = None,
        reflector: ReflectorSettings | None = None,
    ) -> None:
        self.registry = registry
        self._client = client
        self.manager = Manager(registry, client, settings, clock=clock, reflector=reflector)
        self._reader = reader
        self._fake = clock if isinstance(clock, FakeClock) else None
        self._clock = Clock()  # a test waits in real time, whatever the operator's clock is
        self._before: set[threading.Thread] = set()
        self._thread = threading.Thread(target=self._run, name="operator", daemon=True)
        self._code: ExitCode | None = None
        self._error: BaseException | None = None

    # ------------------------------------------------------------------ life

    def start(self) -> RunningOperator:
        """Start it. Returns at once; `settle` waits until it has come up."""
        others = list(_running)
        self._before = others[0]._before if others else set(threading.enumerate())  # noqa: SLF001  # one of this class
        _running.append(self)
        self._thread.start()
        return self

    def _run(self) -> None:
        try:
            self._code = self.manager.run()
        except BaseException as exc:  # noqa: BLE001  # it belongs to the test: settle and stop raise it there
            self._error = exc

    def stop(self) -> None:
        """Stop it as a SIGTERM would, and wait until everything has ended. May be repeated.

        Raises:
            AssertionError: a reconcile, or a thread of the operator, did not end.
            OperatorKitError: what ended it before, unless `settle` has raised that already.
        """
        self.manager.stop()
        if self in _running:
            _running.remove(self)
        timeout = self.manager.settings.shutdown_timeout + _GRACE
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise AssertionError(f"the operator did not stop within {timeout:g} s: {self._left_over()}")
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        if self._code is ExitCode.STUCK:
            running = [key for controller in self.manager.controllers for key in controller.running()]
            shown = ", ".join(f"{key.controller} {key.key} for {key.seconds:.1f} s" for key in running)
            raise AssertionError(f"reconciles were still running at the end of the shutdown timeout: {shown}")
        left = "" if _running else self._left_over()  # threads of several operators have the same names: the last one looks
        if left:
            raise AssertionError(f"the operator left threads running: {left}")

    def _left_over(self) -> str:
        """The operator's own threads that live; not those that an author's code has started."""
        workers = tuple(f"{made.name}-" for made in self.registry)
        names = ("operator", "binder", "events", "reconcile-loop", "leader-election", "leader-election-calls")
        left = [
            thread.name
            for thread in threading.enumerate()
            if thread not in self._before and (thread.name.startswith(("informer/", *workers)) or thread.name in names)
        ]
        return ", ".join(sorted(left))

    @property
    def requests(self) -> int:
        """How many requests it has sent so far, failed ones included: what a loop without pause would drive up."""
        return self._client.metrics.count()

    # ------------------------------------------------------------------ coming to rest

    def settle(self, timeout: float = PATIENCE) -> RunningOperator:
        """Wait until all is done: caches synced and equal to what the server holds, nothing queued, running or backing off.

        A pending requeue-after does not count, nor does what the server's own controllers do later.

        Args:
            timeout: seconds, in real time.

        Raises:
            NotSettled: it was not so in time; the message names the keys with their errors, and the caches with their problems.
            OperatorKitError: the operator has ended by itself, for this reason.
        """
        __tracebackhide__ = True
        deadline = self._clock.monotonic() + timeout
        pause = _FIRST_LOOK
        while True:
            reason = self._unsettled()
            if not reason:
                return self
            if self._clock.monotonic() >= deadline:
                raise NotSettled(f"the operator has not settled after {timeout:g} s\n{reason}{self._failed_before(reason)}")
            self._clock.sleep(pause)
            pause = min(_LONGEST_LOOK, pause * 1.5)

    def wait_failing(self, pattern: str, timeout: float = PATIENCE) -> None:
        """Wait until a key's last run has failed so: for what an operator does not settle over until somebody mends it.

        Args:
            pattern: a regular expression that is found in the line `reconciler: namespace/name: error`.
            timeout: seconds, in real time.

        Raises:
            AssertionError: no key failed so in time; the message lists the errors there are.
            OperatorKitError: the operator has ended by itself, for this reason.
        """
        __tracebackhide__ = True
        deadline = self._clock.monotonic() + timeout
        while True:
            self._raise_if_ended()
            failed = [
                f"{controller.name}: {key}: {error}"
                for controller in self.manager.controllers
                for key, error in controller.errors().items()
            ]
            if any(re.search(pattern, line) for line in failed):
                return
            if self._clock.monotonic() >= deadline:
                shown = "\n".join(f"  {line}" for line in failed[:_SHOWN]) or "  none has failed"
                raise AssertionError(f"after {timeout:g} s no key has failed with {pattern!r}\n{shown}")
            self._clock.sleep(_LONGEST_LOOK)

    def _raise_if_ended(self) -> None:
        if not self._thread.is_alive():
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            raise NotSettled(f"the operator has ended already: {self._code!r}")

    def _unsettled(self) -> str:
        """What is left to do; empty when nothing is."""
        self._raise_if_ended()
        manager = self.manager
        if not manager.started():
            if self._fake is not None:
                self._fake.advance(_STEP)
            return self._not_started()
        if not manager.idle():
            return self._at_work()
        runs = self._runs()
        for informer in self.informers():
            behind = self._behind(informer)
            if behind:
                return behind
            informer.wait_told()  # what the cache held when it was compared has become keys by now
        if not manager.idle() or self._runs() != runs:
            return self._at_work()
        return ""

    def _runs(self) -> int:
        return sum(controller.runs for controller in self.manager.controllers)

    def informers(self) -> list[Informer]:
        """The caches of the operator, each once. Only when it has started."""
        found: dict[int, Informer] = {}
        for binding in self.manager.bindings:
            for kind in binding.made.kinds():
                for informer in binding.caches.lister(kind).informers:
                    found[id(informer)] = informer
        return list(found.values())

    def _behind(self, informer: Informer) -> str:
        """In what a cache differs from the server; empty when it shows all that the server held a moment ago."""
        selection, store = informer.selection, informer.store
        try:
            page = self._reader.list_all(
                selection.resource,
                selection.namespace,
                label_selector=selection.label_selector,
                field_selector=selection.field_selector,
                metadata_only=True,
            )
        except (OperatorKitError, KindNotFound) as exc:
            return f"  the test cannot list {selection}: {exc}"
        listed = {key_of(obj): obj for obj in page.items}
        wrong = []
        for key, obj in listed.items():
            entry = store.entry(key)
            if entry is None:
                wrong.append(f"{key} is missing")
            elif entry.uid != uid_of(obj) and not _newer(entry.resource_version, page.resource_version):
                wrong.append(f"{key} is one that was deleted")
            elif not _newer(entry.resource_version, resource_version_of(obj), equal=True):
                wrong.append(f"{key} is version {entry.resource_version}, not {resource_version_of(obj)}")
        wrong += [
            f"{entry.key} does not exist any more"
            for entry in store.entries()
            if entry.key not in listed and not _newer(entry.resource_version, page.resource_version)
        ]
        if not wrong:
            return ""
        status = informer.status()
        problem = f"; {status.problem}" if status.problem else ""
        quiet = f"the server was last heard {status.seconds_since_sign_of_life:.1f} s ago"
        return f"  the cache of {selection} is behind ({quiet}{problem}): {_shown(wrong)}"

    # ------------------------------------------------------------------ reasons

    def _not_started(self) -> str:
        lines = [f"  {problem}" for problem in self.manager.problems()]
        started = {runnable.name for runnable in self.manager.runnables if runnable.started}
        for binding in self.manager.bindings:
            if binding.name not in started:
                waiting = [
                    f"the cache of {status.resource} is not synced" for status in binding.caches.statuses() if not status.synced
                ]
                reason = ", ".join(waiting) or ("it does not work yet" if binding.done else "its kinds are not found yet")
                lines.append(f"  {binding.name} has not started: {reason}")
        return "\n".join(lines) or "  it is starting"

    def _at_work(self) -> str:
        lines = [line for controller in self.manager.controllers for line in _work_of(controller)]
        if not all(work.recorder.idle() for work in self.manager.works):
            lines.append("  Events wait to be written")
        lines += [f"  {problem}" for problem in self.manager.problems()]
        return "\n".join(lines) or "  it was at work a moment ago"  # never empty: that would be rest

    def _failed_before(self, reason: str) -> str:
        """The errors of keys that the reason does not tell of: one that runs just now failed the last time, perhaps."""
        return "".join(
            f"\n  {controller.name}: {key} failed the last time: {error}"
            for controller in self.manager.controllers
            for key, error in list(controller.errors().items())[:_SHOWN]
            if error not in reason
        )

    def __repr__(self) -> str:
        return f"<RunningOperator {self.manager!r}>"


def _work_of(controller: Controller) -> Iterator[str]:
    snapshot, errors = controller.queue.snapshot(), controller.errors()
    name = controller.name
    if snapshot.ready_count:
        keys = [str(key) for lane in snapshot.ready for key in lane.keys]
        yield f"  {name}: {snapshot.ready_count} keys are queued: {_shown(keys)}"
    for run in snapshot.running[:_SHOWN]:
        yield f"  {name}: {run.key} has been running for {run.seconds:.2f} s"
    failing = [entry for entry in snapshot.delayed if entry.backoff or entry.key in errors]
    for entry in failing[:_SHOWN]:
        times = f"failed {entry.failures} times; " if entry.failures > 1 else ""
        yield f"  {name}: {entry.key} runs again in {entry.seconds:.2f} s: {times}{errors.get(entry.key, 'it waits for a cache')}"
    if not (snapshot.ready_count or snapshot.running or failing) and not controller.idle():
        yield f"  {name}: waits until its caches show what it wrote"


def _newer(version: str, than: str, *, equal: bool = False) -> bool:
    """Whether a version is newer than another (or equal). Versions that do not compare count as newer."""
    if not version.isdecimal() or not than.isdecimal():
        return True
    return int(version) >= int(than) if equal else int(version) > int(than)


def _shown(items: list[str]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more
