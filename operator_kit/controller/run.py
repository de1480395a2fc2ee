"""One run of one object, from the copy in the cache to a decision: finalizer, the author's function, status, report.

    deleting, not ours            nothing
    deleting, ours                cleanup (if there is one), children by label deleted, status, finalizer off
    living                        finalizer on (if one is needed and it is not on), reconcile function, status

The status is written after every outcome, failure included, and before the finalizer is taken off. A failure is reported as
an Event and, where the kind has conditions, as the condition `Reconciled`, which a later success sets back; an object that
never fails has none. (Of a second reconciler of the kind the condition has another name.)
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from operator_kit.codec import clone
from operator_kit.controller.aio import AsyncRun, LoopThread, is_async
from operator_kit.controller.async_context import AsyncContext
from operator_kit.controller.context import Context
from operator_kit.controller.finalizers import add_finalizer, finalizers_of, remove_finalizer
from operator_kit.controller.outcome import Action, Decision, Result, decide, describe_error
from operator_kit.controller.registered import REPORT_CONDITION, Reconciler
from operator_kit.controller.scope import Run, Scope, Write
from operator_kit.controller.sets import delete_by_label
from operator_kit.controller.status import condition_of
from operator_kit.controller.typed import INVALID_CONDITION, parse
from operator_kit.errors import (
    BadRequest,
    Cancelled,
    Conflict,
    ConnectionFailed,
    Invalid,
    InvalidObject,
    NotFound,
    NotLeader,
    OperatorKitError,
    PermanentError,
    RateLimited,
    ServerError,
    TooLarge,
    TooManyRequests,
)
from operator_kit.objects import Object, is_deleting, name_of, namespace_of, resource_version_of, uid_of
from operator_kit.observe.logging import BoundLogger

__all__ = ["NOTHING", "Finished", "Runner"]

STATUS_TIMEOUT = 10.0

_log = logging.getLogger("operator_kit.controller")


@dataclass(frozen=True, slots=True)
class Finished:
    """What a run came to, what it wrote, and of which versions its key need not be told (see `echoes`)."""

    decision: Decision
    writes: tuple[Write, ...] = ()
    known: tuple[Write, ...] = ()


NOTHING = Finished(decide())
"""What a key comes to that has no object any more."""


@dataclass(slots=True)
class _Kind:
    """What was learnt about the kind while running; only ever set."""

    takes_report: bool = True
    told: set[str] = field(default_factory=set)


class Runner:
    """Runs the functions of one reconciler. Thread-safe: workers share it."""

    def __init__(self, made: Reconciler, scope: Scope, finalizer: str, loop: LoopThread) -> None:
        self._made = made
        self._scope = scope
        self._finalizer = finalizer
        self._report_condition = made.report_condition
        self._loop = loop
        self._kind = _Kind()
        # What is called, and whether that makes a coroutine: it takes a while to know.
        self._function = made.function, is_async(made.function)
        self._cleanup = made.cleanup_function, is_async(made.cleanup_function)
        # What is written after the author's function: not part of its time, but of no other limit than any call.
        self._last_call = min(STATUS_TIMEOUT, scope.request_timeout)
        self._lock = threading.Lock()
        self._async_runs: dict[str, AsyncRun] = {}

    def run(
        self,
        obj: Object,
        *,
        log: BoundLogger,
        attempt: int,
        timeout: float | None,
        reason: str = "",
        live: bool = False,
        renew: bool = False,
    ) -> Finished:
        """Run one object.

        Args:
            obj: a private copy from the cache.
            log: bound to this run.
            attempt: 1 for the first try.
            timeout: seconds, None for no limit.
            reason: why it runs, for logs.
            live: the caches are behind: read everything from the server, the object first.
            renew: read the object from the server first: the cache may not know yet that it is being deleted, or gone.

        Nothing is raised: whatever happens is in the decision.
        """
        scope = self._scope
        deadline = None if timeout is None else scope.clock.monotonic() + timeout
        run = Run(obj, log, attempt, deadline, reason, live)
        try:
            decision = self._run(run, renew=live or renew)
            if run.again:
                decision = _in_time(decision, run.again)
            known = [
                write for write in run.known(obj, scope.caches.own.resource) if scope.caches.shows(write.resource, write.key)
            ]
            return Finished(decision, tuple(run.writes), tuple(known))
        except BaseException as exc:  # noqa: BLE001  # a worker outlives whatever happens in a run
            return Finished(decide(error=exc), tuple(run.writes))
        finally:
            run.over = True

    def _run(self, run: Run, *, renew: bool) -> Decision:
        if renew:
            scope, uid = self._scope, uid_of(run.obj)
            try:
                run.obj = scope.client.get(
                    scope.caches.own.resource, name_of(run.obj), namespace_of(run.obj) or None, timeout=scope.request_timeout
                )
            except NotFound:
                return decide()
            if uid_of(run.obj) != uid:
                return decide()  # another of its name: the cache will show it, and that is a change of its own
        deleting = is_deleting(run.obj)
        ours = self._finalizer in finalizers_of(run.obj)
        if deleting and not ours:
            return decide()
        function, coroutine = self._cleanup if deleting else self._function
        context = Context(self._scope, run)
        if not deleting and self._made.finalizes and not ours:
            try:
                self._add_finalizer(run, context)
            except NotFound:
                return decide()  # gone: the cache is about to show it
            except Exception as exc:  # noqa: BLE001  # it is an outcome, and told like any other
                return self._settle(run, context, decide(error=exc))
        decision = self._call(function, run, context, coroutine=coroutine) if function is not None else decide()
        if deleting and decision.action is Action.FORGET:
            decision = self._delete_children(run, context)
        decision = self._settle(run, context, decision)
        if deleting and decision.action is Action.FORGET:
            return self._remove_finalizer(run, context)
        return decision

    # ------------------------------------------------------------------ the author's function

    def _call(self, function: Callable[..., Any], run: Run, context: Context, *, coroutine: bool) -> Decision:
        run.given = resource_version_of(run.obj)
        try:
            given = self._given(run, context)
            if coroutine:
                return decide(self._call_async(function, given, run, context))
            return decide(function(given, context))
        except BaseException as exc:  # noqa: BLE001  # SystemExit included: one object must not end the operator
            return decide(error=exc)

    def _given(self, run: Run, context: Context) -> Any:
        """What the author is handed, and may change; what the framework compares with must stay."""
        if self._made.model is not None:
            return parse(self._made.model, run, context, report=self._takes_conditions())
        given = clone(run.obj)
        given.get("metadata", {}).pop("managedFields", None)
        return given

    def _takes_conditions(self) -> bool:
        return self._kind.takes_report and "status" in self._scope.caches.own.resource.subresources

    def _call_async(self, function: Callable[..., Any], given: Any, run: Run, context: Context) -> Any:
        loop = self._loop.loop()
        bridge = AsyncRun(loop, self._scope.clock)
        key = context.key
        with self._lock:
            self._async_runs[key] = bridge
        try:
            return bridge.execute(function(given, AsyncContext(context, bridge)), run.deadline)
        finally:
            with self._lock:
                del self._async_runs[key]

    def held_up_by(self, key: str) -> str:
        """The function that blocks the loop, where a coroutine runs for this key; empty otherwise."""
        with self._lock:
            is_coroutine = key in self._async_runs
        return self._loop.held_by() if is_coroutine else ""

    def coroutine_stack(self, key: str) -> list[str]:
        """Where the coroutine of this key is, and the loop that it is on; empty when no coroutine runs for it."""
        with self._lock:
            bridge = self._async_runs.get(key)
        return [] if bridge is None else [*bridge.stack(), "the loop of all coroutines is at", *self._loop.stack()]

    def cancel_async(self) -> int:
        """Cancel every coroutine that runs: at the end of a shutdown's grace. Returns how many there were."""
        with self._lock:
            runs = list(self._async_runs.values())
        for bridge in runs:
            bridge.cancel()
        return len(runs)

    # ------------------------------------------------------------------ what the framework writes

    def _delete_children(self, run: Run, context: Context) -> Decision:
        """Delete the children that no owner reference binds to this object: no garbage collector will."""
        try:
            delete_by_label(context, self._scope, run)
        except Exception as exc:  # noqa: BLE001  # it is an outcome: the finalizer stays
            return decide(error=exc)
        return decide()

    def _add_finalizer(self, run: Run, context: Context) -> None:
        scope = self._scope
        newer = add_finalizer(
            scope.client,
            scope.caches.own.resource,
            run.obj,
            self._finalizer,
            field_manager=scope.field_manager,
            timeout=context._timeout(),  # noqa: SLF001  # the context is this module's to open and close
        )
        context._took(newer)  # noqa: SLF001

    def _remove_finalizer(self, run: Run, context: Context) -> Decision:
        scope = self._scope
        try:
            newer = remove_finalizer(
                scope.client,
                scope.caches.own.resource,
                run.obj,
                self._finalizer,
                field_manager=scope.field_manager,
                timeout=self._last_call,
            )
        except NotFound:
            newer = None
        if newer is not None:
            context._took(newer)  # noqa: SLF001
            if not finalizers_of(newer):  # it was the last: the object is gone with it
                run.writes[-1] = Write(run.writes[-1].resource, run.writes[-1].key, run.writes[-1].uid, "")
        return decide()

    def _settle(self, run: Run, context: Context, decision: Decision) -> Decision:
        """Report the outcome and write the status. A failed write is the outcome where there was no other failure."""
        reported = self._report(run, context, decision)
        try:
            context._write_status(self._last_call)  # noqa: SLF001
        except Invalid as exc:
            if not reported:
                return self._status_failed(run, context, decision, exc)
            # The report may be what the schema refuses: what the author set must not be lost for it.
            self._kind.takes_report = False
            context._draft.conditions.pop(self._report_condition, None)  # noqa: SLF001
            if isinstance(decision.error, InvalidObject):
                context._draft.conditions.pop(INVALID_CONDITION, None)  # noqa: SLF001
            try:
                context._write_status(self._last_call)  # noqa: SLF001
            except Exception as again:  # noqa: BLE001
                return self._status_failed(run, context, decision, again)
        except Exception as exc:  # noqa: BLE001
            return self._status_failed(run, context, decision, exc)
        return decision

    def _status_failed(self, run: Run, context: Context, decision: Decision, exc: Exception) -> Decision:
        """What a status that could not be written makes of the outcome; where it can never be written, the report goes alone."""
        draft = context._draft  # noqa: SLF001
        report = draft.take(self._report_condition)
        if decision.error is None:
            decision = decide(error=exc)
            self._report(run, context, decision)
        else:
            name = type(exc).__name__
            level = logging.DEBUG if name in self._kind.told or isinstance(exc, Conflict | NotLeader) else logging.WARNING
            self._kind.told.add(name)
            run.log.log(level, "the status could not be written after a failure: %s", exc)
            if report is not None:
                draft.set_condition(self._report_condition, False, report.reason, report.message)
        if isinstance(exc, Invalid | TooLarge | BadRequest):
            try:
                context._write_status(self._last_call)  # noqa: SLF001
            except Exception as again:  # noqa: BLE001
                run.log.debug("nor could it be said in the status: %s", again)
        return decision

    def _report(self, run: Run, context: Context, decision: Decision) -> bool:
        """Say in a condition and an Event what failed, or that it is mended. Returns whether a condition was set."""
        draft, obj, condition = context._draft, run.obj, self._report_condition  # noqa: SLF001
        error = decision.error
        conditions = self._takes_conditions() and condition not in draft.conditions
        if error is None:
            before = condition_of(obj, condition) if conditions else None
            if before is None or before.get("status") == "True":
                return False
            draft.set_condition(condition, True, REPORT_CONDITION, "")
            return True
        if not _is_news(error):
            return False
        reason, message = _reason(error), describe_error(error)
        self._scope.recorder.record(obj, controller=self._scope.field_manager, reason=reason, note=message, warning=True)
        if conditions:
            draft.set_condition(condition, False, reason, message)
        return conditions


def _in_time(decision: Decision, seconds: float) -> Decision:
    """The decision, so that the run after it comes in time for a child that was held back."""
    delay = min(seconds, decision.delay or seconds)
    if decision.action in {Action.FORGET, Action.AFTER}:
        return decide(Result(requeue_after=delay))
    if decision.action in {Action.GIVE_UP, Action.RETRY_AFTER}:  # the run may be given up, the child is not
        return replace(decision, action=Action.RETRY_AFTER, delay=delay)
    return decision  # a backoff is short enough


def _is_news(error: BaseException) -> bool:
    """Whether the object's owner should hear of it: not of stale versions, a lost lease, or the API server's own troubles."""
    return not isinstance(
        error, Conflict | ConnectionFailed | ServerError | TooManyRequests | RateLimited | Cancelled | NotLeader
    )


def _reason(error: BaseException) -> str:
    if isinstance(error, PermanentError):
        return error.reason
    name = type(error).__name__
    return name if isinstance(error, OperatorKitError) or name.isidentifier() else "Failed"
