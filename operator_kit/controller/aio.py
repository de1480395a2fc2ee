"""Asynchronous reconcilers: one shared event loop for all of them, and the bridge to the worker that runs each.

A worker that runs an `async def` function hands its coroutine to the loop and then serves it: every `ctx` call of the
coroutine that talks to the API server, or decodes objects of the cache, is carried out on the worker's own thread, while the
loop goes on. So the loop never blocks, calls of one reconcile never overlap, and no further threads are needed.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, Protocol, TypeVar

from operator_kit.clock import Clock
from operator_kit.errors import DeadlineExceeded, UsageError
from operator_kit.threads import coroutine_stack, has_ended, held_by, thread_stack

__all__ = ["AsyncRun", "LoopThread", "awaited", "is_async"]

_T = TypeVar("_T")
_P = ParamSpec("_P")
_log = logging.getLogger("operator_kit.controller")


def is_async(function: Callable[..., Any] | None) -> bool:
    """Whether calling it makes a coroutine. None does not."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004  # an object with an async __call__


class _Bridged(Protocol):
    _bridge: AsyncRun


def awaited(method: Callable[_P, Coroutine[Any, Any, _T]]) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """Decorator for methods of asynchronous contexts, which keep their run as `_bridge`: a call that nobody awaits is an error.

    Python itself only warns, some time later, and the run would count as done.
    """

    @functools.wraps(method)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> Coroutine[Any, Any, _T]:
        coroutine = method(*args, **kwargs)
        context: _Bridged = args[0]  # type: ignore[assignment]  # it decorates methods
        context._bridge.made.append(coroutine)  # noqa: SLF001  # the two are one mechanism
        return coroutine

    return call


class LoopThread:
    """The event loop of a process's asynchronous reconcilers, on a thread of its own, started when first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()

    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop; its thread is started at the first call."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._ending = threading.Event()
                self._thread = threading.Thread(
                    target=self._run, args=(self._loop, self._ending), name="reconcile-loop", daemon=True
                )
                self._thread.start()
            return self._loop

    @staticmethod
    def _run(loop: asyncio.AbstractEventLoop, ending: threading.Event) -> None:
        asyncio.set_event_loop(loop)
        try:
            while not ending.is_set():
                try:
                    loop.run_forever()
                except BaseException as exc:  # noqa: BLE001  # it is its coroutine's outcome, and no reason to end all others
                    # asyncio lets SystemExit and KeyboardInterrupt of a task out of the loop, after the task has ended with it.
                    _log.debug("a coroutine let %r out of the loop; the loop goes on", exc)
        finally:
            # Tasks an author started and never awaited end here.
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            if left:
                loop.run_until_complete(asyncio.wait(left, timeout=1.0))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    def stack(self) -> list[str]:
        """Where its thread is just now: something may block it. Empty when there is none."""
        with self._lock:
            thread = self._thread
        return [] if thread is None else thread_stack(thread)

    def held_by(self) -> str:
        """The author's function that the loop is in just now, and so does nothing else; empty when it is in none."""
        with self._lock:
            thread = self._thread
        return "" if thread is None else held_by(thread)

    def dead(self) -> bool:
        """Whether its thread has ended without being told to."""
        with self._lock:
            return self._thread is not None and not self._ending.is_set() and has_ended(self._thread)

    def stop(self, timeout: float) -> bool:
        """End the loop and its thread. Returns whether it ended within `timeout` seconds: author's code may block it."""
        with self._lock:
            loop, thread, ending = self._loop, self._thread, self._ending
        if loop is None or thread is None:
            return True
        ending.set()
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout)
        if thread.is_alive():
            return False
        with self._lock:
            self._loop = self._thread = None
        return True


class AsyncRun:
    """One run of a coroutine function: `execute` on the worker's thread, `call` from the coroutine."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self._loop = loop
        self._clock = clock
        self._condition = threading.Condition()
        self._calls: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()  # under the condition
        self._task: asyncio.Task[Any] | None = None  # under the condition
        self._finished = False  # under the condition
        self._cancelled = False  # under the condition
        self._forgotten = ""  # what was called and not awaited; set before `_finished`
        self.made: list[Coroutine[Any, Any, Any]] = []  # the calls of the context; touched on the loop alone

    def execute(self, coroutine: Coroutine[Any, Any, _T], deadline: float | None) -> _T:
        """Run the coroutine on the loop, serve its calls on this thread, and return what it returns.

        Args:
            coroutine: the author's.
            deadline: on the monotonic clock; the coroutine is cancelled then. None for none.

        Raises:
            DeadlineExceeded: the coroutine was cancelled, by the deadline or by `cancel`.
            UsageError: it ended well, but did not await a call of its context.
            BaseException: whatever the coroutine raised.
        """
        self._loop.call_soon_threadsafe(self._begin, coroutine)
        while True:
            with self._condition:
                while not self._calls and not self._finished:
                    if deadline is not None and deadline <= self._clock.monotonic():
                        deadline = None
                        self._cancel_locked()
                        continue
                    self._clock.wait_until(self._condition, deadline)
                if not self._calls:
                    break
                function, future = self._calls.popleft()
            self._serve(function, future)
        task = self._task
        assert task is not None
        if task.cancelled():
            raise DeadlineExceeded(
                "the reconcile was cancelled at its deadline" if self._cancelled else "the reconcile cancelled itself"
            )
        error = task.exception()
        if error is not None:
            raise error
        if self._forgotten:
            raise UsageError(
                f"{self._forgotten} was called and not awaited, so nothing was done: write `await ctx.{self._forgotten}(…)`"
            )
        result: _T = task.result()
        return result

    def stack(self) -> list[str]:
        """Where the coroutine is just now."""
        with self._condition:
            task = self._task
        return [] if task is None else coroutine_stack(task.get_coro())

    def cancel(self) -> None:
        """Cancel the coroutine, from any thread: at the end of a shutdown's grace."""
        with self._condition:
            self._cancel_locked()

    def _cancel_locked(self) -> None:
        self._cancelled = True
        if self._task is not None and not self._finished:
            self._loop.call_soon_threadsafe(self._task.cancel)

    def _begin(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        task = self._loop.create_task(coroutine)
        with self._condition:
            self._task = task
            if self._cancelled:
                task.cancel()
        task.add_done_callback(self._end)

    def _end(self, _task: asyncio.Task[Any]) -> None:
        tasks = {id(task.get_coro()) for task in asyncio.all_tasks(self._loop)}  # those that the author started end by themselves
        for coroutine in self.made:
            if inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED and id(coroutine) not in tasks:
                self._forgotten = self._forgotten or str(getattr(coroutine, "__name__", coroutine))
                coroutine.close()
        self.made.clear()
        with self._condition:
            self._finished = True
            for _, future in self._calls:  # of tasks the author started and did not wait for
                future.cancel()
            self._calls.clear()
            self._condition.notify_all()

    async def call(self, function: Callable[[], _T]) -> _T:
        """From the coroutine: have the worker carry out a function, without blocking the loop."""
        future: asyncio.Future[_T] = self._loop.create_future()
        with self._condition:
            if self._finished:
                raise RuntimeError("this reconcile is over: its ctx must not be used any more")
            self._calls.append((function, future))
            self._condition.notify_all()
        return await future

    def _serve(self, function: Callable[[], Any], future: asyncio.Future[Any]) -> None:
        try:
            answer = function()
        except Exception as exc:  # noqa: BLE001  # it is the coroutine's to handle
            self._loop.call_soon_threadsafe(_fail, future, exc)
        else:
            self._loop.call_soon_threadsafe(_answer, future, answer)


def _answer(future: asyncio.Future[Any], answer: Any) -> None:
    if not future.done():  # cancelled meanwhile
        future.set_result(answer)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
    else:
        _log.debug("a call of a cancelled reconcile failed: %s", error)
