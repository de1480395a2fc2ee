"""`Sandbox`: an embedded API server on a thread of its own, and how to reach it.

    with Sandbox() as sandbox:
        sandbox.load("crd.yaml", "objects/")
        client = Client.from_kubeconfig_dict(sandbox.kubeconfig())

The thread is named "sandbox" and ends with `stop`. Everything the server does happens on its event loop.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from weakref import WeakSet

import yaml
from aiohttp import web

from operator_kit.clock import Clock
from operator_kit.errors import ConfigError, UsageError
from operator_kit.sandbox.engine import Engine
from operator_kit.sandbox.faults import Faults
from operator_kit.sandbox.files import write_whole
from operator_kit.sandbox.http.app import App
from operator_kit.sandbox.http.bodies import BODY_LIMIT
from operator_kit.sandbox.loading import load_into, read_documents
from operator_kit.sandbox.state import capture, read_state, restore, write_state

if TYPE_CHECKING:
    from operator_kit.sandbox.tls import Certificates

__all__ = ["Sandbox"]

T = TypeVar("T")

_STOP_TIMEOUT = 10.0
_STATE_INTERVAL = 1.0

_log = logging.getLogger(__name__)


class Sandbox:
    """One embedded API server.

    Args:
        host: the address to listen on.
        port: the port; 0 takes a free one, told by `url` after `start`.
        clock: where timestamps come from.
        history: changes remembered per resource; a watch from before them gets 410.
        bookmark_interval: seconds between the bookmarks of a watch.
        watch_timeout: seconds a watch runs at least that asks for no time of its own.
        workloads: seconds between the steps in which Deployments, StatefulSets, Jobs and Pods make progress (see
            `operator_kit.sandbox.workloads`); None for a bare API server, in which nothing happens to them.
        rbac: authorise requests by the Role objects the server holds; without, everyone may do everything.
        owner_permissions: with `rbac`, enforce the permissions of owner references too, as OpenShift does: see `admission`.
        tls: serve HTTPS with a certificate made for this run. kubectl sends tokens over nothing else.
        state: a file that keeps the objects across restarts; None to keep them in memory alone.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Clock | None = None,
        history: int = 10_000,
        bookmark_interval: float = 60.0,
        watch_timeout: float = 1800.0,
        workloads: float | None = None,
        rbac: bool = False,
        owner_permissions: bool = False,
        tls: bool = False,
        state: str | Path | None = None,
    ) -> None:
        if owner_permissions and not rbac:
            raise UsageError("owner_permissions is for rbac: without it nobody is refused anything")
        if workloads is not None and not 0 <= workloads < float("inf"):
            raise UsageError(f"workloads: {workloads!r} is no number of seconds")
        self._workloads = workloads
        self._host = host
        self._port = port
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self.engine = Engine(clock=clock, history=history)
        self.app = App(
            self.engine,
            bookmark_interval=bookmark_interval,
            watch_timeout=watch_timeout,
            rbac=rbac,
            owner_permissions=owner_permissions,
        )
        self._certificates = _certificates(host, clock) if tls else None
        self._state = Path(state) if state is not None else None
        if self._state is not None and (document := read_state(self._state)) is not None:
            restore(self.engine, document)
        if rbac:
            self.app.guard.bootstrap(self.engine.writer)

    # ------------------------------------------------------------------ life

    def start(self) -> Self:
        """Listen and serve; returns when the server answers. Raises `UsageError` when the port cannot be had."""
        if self._thread is not None:
            raise UsageError("the sandbox is running already")
        started: Future[int] = Future()
        self._thread = threading.Thread(target=self._main, args=(started,), name="sandbox", daemon=True)
        self._thread.start()
        try:
            self._port = started.result()
        except OSError as exc:
            self._thread.join()
            self._thread = None
            raise UsageError(f"cannot listen on {self._host}:{self._port}: {_why(exc)}") from None
        return self

    def stop(self) -> None:
        """End all streams and connections and the thread. Safe to call twice."""
        thread, loop, stop = self._thread, self._loop, self._stop
        if thread is None or loop is None or stop is None:
            return
        loop.call_soon_threadsafe(stop.set)
        thread.join(_STOP_TIMEOUT)
        if thread.is_alive():
            raise RuntimeError(f"the sandbox thread did not end within {_STOP_TIMEOUT:g} s")
        self._thread = self._loop = self._stop = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.stop()

    def _main(self, started: Future[int]) -> None:
        asyncio.run(self._serve(started))

    async def _serve(self, started: Future[int]) -> None:
        loop = asyncio.get_running_loop()
        self._loop, self._stop = loop, asyncio.Event()
        server = _Server(
            self.app.handle,
            request_factory=_request,
            handler_cancellation=True,
            keepalive_timeout=3600.0,
            max_line_size=32_768,
            max_field_size=32_768,
            access_log=None,
        )
        runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        try:
            context = self._certificates.context if self._certificates is not None else None
            site = web.TCPSite(runner, self._host, self._port, reuse_address=True, backlog=1024, ssl_context=context)
            await site.start()
        except OSError as exc:
            await runner.cleanup()
            started.set_exception(exc)
            return
        self.engine.world.attach(loop.call_soon)
        if self._workloads is not None:
            self._start_workloads(loop, self._workloads)
        assert runner.addresses
        started.set_result(runner.addresses[0][1])
        keeper = asyncio.create_task(self._keep(self._state)) if self._state is not None else None
        await self._stop.wait()
        self.app.shut_down()
        self.engine.end_watches()
        # asyncio leaves a connection open that was accepted just before its server is closed: it must have been made by then.
        for listener in site._server.sockets if isinstance(site._server, asyncio.Server) else ():  # noqa: SLF001
            loop.remove_reader(listener.fileno())
        for _ in range(3):
            await asyncio.sleep(0)
        await runner.cleanup()
        await server.abort()
        self.engine.world.attach(None)
        if keeper is not None and self._state is not None:
            await keeper
            write_state(self._state, capture(self.engine))

    async def _keep(self, path: Path) -> None:
        """Write the state a moment after it changed, away from the loop."""
        assert self._stop is not None
        written = -1
        while not self._stop.is_set():
            version = self.engine.world.storage.version
            if version != written:
                document = capture(self.engine)
                try:
                    await asyncio.to_thread(write_state, path, document)
                    written = version
                except UsageError as exc:
                    _log.error("%s", exc)  # a full disk needs no traceback; the next turn tries again
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), _STATE_INTERVAL)

    def _start_workloads(self, loop: asyncio.AbstractEventLoop, delay: float) -> None:
        from operator_kit.sandbox.workloads import Workloads

        engine = self.engine
        Workloads(engine.world, engine.writer, engine.deleter, delay=delay, after=loop.call_later).start()

    # ------------------------------------------------------------------ access

    @property
    def faults(self) -> Faults:
        """The faults in force; see `operator_kit.sandbox.faults`. Thread-safe."""
        return self.app.faults

    def forget_history(self) -> None:
        """End every watch and forget all history, as a restart does: versions from before are too old (410) from now on."""
        self.run(self.engine.forget)

    def skew_clock(self, seconds: float) -> None:
        """Let the server's clock be off by so many seconds, back or forth: seen in the timestamps it writes."""
        self.engine.world.skew = seconds

    @property
    def url(self) -> str:
        """`http://HOST:PORT`, or `https://` with TLS."""
        scheme = "http" if self._certificates is None else "https"
        return f"{scheme}://{self._host}:{self._port}"

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    def kubeconfig(self) -> dict[str, Any]:
        """A kubeconfig whose only context is this server, as its administrator."""
        cluster, user = {"server": self.url}, {}
        if self._certificates is not None:
            cluster["certificate-authority-data"] = base64.b64encode(self._certificates.authority).decode()
        if self.app.guard.enforce:
            user["token"] = self.app.guard.admin_token
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "sandbox", "cluster": cluster}],
            "users": [{"name": "sandbox", "user": user}],
            "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": "sandbox", "namespace": "default"}}],
            "current-context": "sandbox",
        }

    def write_kubeconfig(self, path: str | Path) -> Path:
        """Write the kubeconfig into a file that only its owner can read.

        Raises `ConfigError` when that cannot be done, and rather than write over a kubeconfig that is not a sandbox's.
        """
        file = Path(path)
        try:
            if file.exists() and "current-context: sandbox" not in file.read_text(encoding="utf-8"):
                raise ConfigError(f"{file} is there and is no sandbox's kubeconfig: it is not written over; choose another file")
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, yaml.safe_dump(self.kubeconfig(), sort_keys=False).encode())
        except (OSError, UnicodeDecodeError) as exc:
            raise ConfigError(f"cannot write the kubeconfig {file}: {getattr(exc, 'strerror', None) or exc}") from None
        return file

    def run(self, work: Callable[[], T]) -> T:
        """Run something on the server's thread, between two requests, and return what it returns or raises.

        Before `start` it runs on the caller's thread.
        """
        loop = self._loop
        if loop is None or self._thread is None:
            try:
                return work()
            finally:
                self.engine.world.settle()
        if threading.current_thread() is self._thread:
            raise RuntimeError("this is the sandbox's own thread already")
        done: Future[T] = Future()

        def step() -> None:
            try:
                done.set_result(work())
            except BaseException as exc:  # noqa: BLE001  # whatever it is belongs to the caller
                done.set_exception(exc)

        loop.call_soon_threadsafe(step)
        return done.result()

    def load(self, *paths: str | Path) -> int:
        """Create (or replace) the objects in YAML files, or directories of them: CRDs first, then namespaces, then the rest.

        Returns how many there were. Raises `ConfigError` that names the file and what is wrong with it.
        """
        documents = [document for path in paths for document in read_documents(Path(path))]
        return self.run(lambda: load_into(self.engine, documents))

    def __repr__(self) -> str:
        state = self.url if self._thread is not None else "stopped"
        return f"<Sandbox {state}>"


class _Server(web.Server):
    """aiohttp's, which can cut off the connections that it has closed, and whose other end does not take part in closing them.

    A TLS connection is open until the other end has said goodbye too, or for half a minute; this loop ends sooner.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._made: WeakSet[asyncio.Transport] = WeakSet()

    def connection_made(self, handler: Any, transport: asyncio.Transport) -> None:
        """A connection begins."""
        self._made.add(transport)
        super().connection_made(handler, transport)

    async def abort(self) -> None:
        """End what is left, now."""
        for transport in list(self._made):
            transport.abort()
        await asyncio.sleep(0)  # the turn of the loop in which the sockets are closed


def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    return web.BaseRequest(message, payload, protocol, writer, task, asyncio.get_running_loop(), client_max_size=BODY_LIMIT + 1)


def _why(exc: OSError) -> str:
    hints = {
        errno.EADDRINUSE: "another process listens there already; choose another port",
        errno.EACCES: "not permitted; ports below 1024 are for privileged processes",
        errno.EADDRNOTAVAIL: "this machine has no such address",
    }
    return hints.get(exc.errno or 0, exc.strerror or str(exc))


def _certificates(host: str, clock: Clock | None) -> Certificates:
    try:
        from operator_kit.sandbox.tls import make_certificates
    except ImportError as exc:
        raise UsageError(f"TLS needs {exc.name}: pip install 'operator-kit[sandbox]'") from None
    return make_certificates(host, clock=clock)
