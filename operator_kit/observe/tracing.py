"""Traces by OpenTelemetry: a span for each reconcile, and in it one for each request to the API server. The only importer of it.

Off unless it is asked for, and then free: what is called here does nothing, and nothing is imported. Turned on by the
setting `tracing`, or by the variables that every OpenTelemetry program knows (`OTEL_TRACES_EXPORTER`,
`OTEL_EXPORTER_OTLP_ENDPOINT`, …), which also say where spans go. A provider that the author's code has set is used as it is.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import metadata
from typing import Any

from operator_kit.errors import ApiError, ConfigError
from operator_kit.observe.logging import bound
from operator_kit.observe.redact import redact
from operator_kit.settings import format_duration

__all__ = ["Span", "asked_for", "reconcile_span", "request_span", "tracing"]

SHUTDOWN_SECONDS = 3.0
"""How long the last spans may take to be sent."""

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_GROUP = "opentelemetry_traces_exporter"
_REMEDY = "pip install 'operator-kit[otel]'"

_log = logging.getLogger("operator_kit.observe")


class Span:
    """What is told of a span while it lasts. Without tracing it is told to nobody."""

    def __init__(self, raw: Any = None) -> None:
        self._raw = raw

    def set(self, name: str, value: Any) -> None:
        """An attribute."""
        if self._raw is not None:
            self._raw.set_attribute(name, value)

    def came_to(self, result: str, error: BaseException | None) -> None:
        """How a reconcile ended: the label of its count, and what failed, if it failed."""
        self.set("operator_kit.result", result)
        if error is not None:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """It did not end well. The error is told by type and message, without its traceback."""
        if self._raw is None:
            return
        from opentelemetry.trace import Status, StatusCode

        kind, message = type(error).__name__, redact(str(error))
        self._raw.add_event("exception", {"exception.type": kind, "exception.message": message})
        self._raw.set_status(Status(StatusCode.ERROR, f"{kind}: {message}"))


class _State:
    """Of the process: as with logging, there is one place that spans go to."""

    tracer: Any = None  # None while tracing is off


_OFF: AbstractContextManager[Span] = nullcontext(Span())


def reconcile_span(fields: Mapping[str, Any]) -> AbstractContextManager[Span]:
    """A span round one reconcile, with the fields of its log lines as attributes; those lines get its `trace_id`."""
    return _OFF if _State.tracer is None else _reconcile(fields)


@contextmanager
def _reconcile(fields: Mapping[str, Any]) -> Iterator[Span]:
    attributes = {f"operator_kit.{name}": value for name, value in fields.items() if value not in {None, ""}}
    if fields.get("namespace"):
        attributes["k8s.namespace.name"] = fields["namespace"]
    with (
        _State.tracer.start_as_current_span(f"reconcile {fields['controller']}", attributes=attributes) as raw,
        bound(trace_id=f"{raw.get_span_context().trace_id:032x}"),
    ):
        yield Span(raw)


def request_span(method: str, path: str, address: str) -> AbstractContextManager[Span]:
    """A span round one request, if it is made in a reconcile: lists and watches of the caches belong to none."""
    return _OFF if _State.tracer is None else _request(method, path, address)


@contextmanager
def _request(method: str, path: str, address: str) -> Iterator[Span]:
    from opentelemetry import trace

    if not trace.get_current_span().is_recording():
        yield Span()
        return
    host, _, port = address.rpartition(":")
    attributes: dict[str, Any] = {"http.request.method": method, "url.path": path, "server.address": host or address}
    if host and port.isdecimal():
        attributes["server.port"] = int(port)
    with _State.tracer.start_as_current_span(
        method, kind=trace.SpanKind.CLIENT, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as raw:
        span = Span(raw)
        try:
            yield span
        except Exception as exc:
            if isinstance(exc, ApiError):
                span.set("http.response.status_code", exc.status)
            span.fail(exc)
            raise


def asked_for(environ: Mapping[str, str]) -> bool:
    """Whether the environment asks for traces."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER", "").lower() == "none":
        return False
    return any(environ.get(name) for name in ("OTEL_TRACES_EXPORTER", *_ENDPOINTS))


@contextmanager
def tracing(wanted: bool, environ: Mapping[str, str], *, provider: Any = None) -> Iterator[None]:
    """Trace what happens inside.

    Args:
        wanted: whether the settings ask for it.
        environ: the environment, which may ask for it too, and says where spans go.
        provider: an OpenTelemetry tracer provider; by default the one that is set, or one made from the environment.

    Raises:
        ConfigError: the settings ask for it, and a package is missing. If only the environment asks, that is a warning.
    """
    if not (wanted or provider is not None or asked_for(environ)):
        yield
        return
    own: Any = None
    try:
        if provider is None:
            provider, own = _provider(environ)
    except ConfigError as exc:
        if wanted:
            raise
        _log.warning("the environment asks for traces, and there are none: %s", exc)
        yield
        return
    _State.tracer = provider.get_tracer("operator_kit", metadata.version("operator-kit"))
    try:
        yield
    finally:
        _State.tracer = None
        if own is not None:
            _shut_down(own)


def _shut_down(provider: Any) -> None:
    """Send what waits. A collector that does not answer would hold up the end of the process for half a minute and more."""
    thread = threading.Thread(target=provider.shutdown, name="tracing-shutdown", daemon=True)
    thread.start()
    thread.join(SHUTDOWN_SECONDS)
    if thread.is_alive():
        _log.warning("the last traces could not be sent within %s and are lost", format_duration(SHUTDOWN_SECONDS))


def _provider(environ: Mapping[str, str]) -> tuple[Any, Any]:
    """The provider that the author's code has set; or one of our own, which must be shut down."""
    try:
        from opentelemetry import trace
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as exc:
        raise ConfigError(f"tracing needs {exc.name or 'opentelemetry'}: {_REMEDY}") from None
    present = trace.get_tracer_provider()
    if isinstance(present, TracerProvider):
        return present, None
    exporters = [_exporter(name, environ) for name in _names(environ)]
    resource = Resource.create({} if environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: "operator-kit"})
    own = TracerProvider(resource=resource, shutdown_on_exit=False)
    for exporter in exporters:
        own.add_span_processor(BatchSpanProcessor(exporter()))
    trace.set_tracer_provider(own)  # spans of the author's code belong into the same traces
    return own, own


def _names(environ: Mapping[str, str]) -> list[str]:
    names = [name.strip() for name in (environ.get("OTEL_TRACES_EXPORTER") or "otlp").split(",")]
    protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf"
    return [f"otlp_proto_{protocol.partition('/')[0]}" if name == "otlp" else name for name in names if name]


def _exporter(name: str, environ: Mapping[str, str]) -> Any:
    """The exporter's class, which takes its settings from the environment itself."""
    found = next(iter(metadata.entry_points(group=_GROUP, name=name)), None)
    if found is None:
        asked = environ.get("OTEL_TRACES_EXPORTER") or "otlp"
        package = f"opentelemetry-exporter-{name.replace('_', '-')}"
        raise ConfigError(
            f"no exporter of traces is installed for OTEL_TRACES_EXPORTER={asked}: pip install {package}, or set it to console"
        )
    return found.load()
