"""A span for each reconcile with one for each of its requests; off, and free of any import, unless asked for."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from operator_kit.controller import AsyncContext, Context
from operator_kit.errors import ConfigError
from operator_kit.manager import ExitCode
from operator_kit.objects import Object
from operator_kit.observe import tracing as module
from operator_kit.observe.logging import JsonFormatter
from operator_kit.observe.tracing import Span, asked_for, reconcile_span, request_span, tracing
from tests.manager.conftest import Cluster, cluster, foos, registry_of  # noqa: F401  # fixtures
from tests.processes import run_operator_kit

sdk = pytest.importorskip("opentelemetry.sdk.trace")


@pytest.fixture
def spans() -> Iterator[Any]:
    """Collects the spans in memory."""
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = sdk.TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with tracing(False, {}, provider=provider):
        yield exporter
    provider.shutdown()


def run(served: Cluster, function: Any, **options: Any) -> None:
    served.create("a", spec={"size": 1})
    assert served.start(registry_of(function, **options), exit_when_idle=True).end() is ExitCode.OK


def reconcile(obj: Object, ctx: Context) -> None:
    ctx.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "made"}, "data": {"a": "b"}})


def of_reconciles(spans: Any) -> list[Any]:
    return [span for span in spans.get_finished_spans() if span.name.startswith("reconcile ")]


def test_a_reconcile_is_a_span_and_its_requests_are_its_children(foos: Cluster, spans: Any) -> None:  # noqa: F811
    run(foos, reconcile, owns=["v1/ConfigMap"])
    [span, *_] = of_reconciles(spans)
    assert span.name == "reconcile foo"
    about = dict(span.attributes)
    assert (about["operator_kit.controller"], about["operator_kit.kind"], about["operator_kit.name"]) == ("foo", "Foo", "a")
    assert (about["k8s.namespace.name"], about["operator_kit.attempt"], about["operator_kit.result"]) == ("default", 1, "success")
    assert about["operator_kit.reason"]
    children = [other for other in spans.get_finished_spans() if other.parent and other.parent.span_id == span.context.span_id]
    [patch] = [child for child in children if child.name == "PATCH"]
    assert patch.kind.name == "CLIENT"
    assert patch.attributes["url.path"] == "/api/v1/namespaces/default/configmaps/made"
    assert patch.attributes["http.response.status_code"] == 201
    assert patch.attributes["server.address"] == "127.0.0.1"
    assert {other.context.trace_id for other in children} == {span.context.trace_id}


def test_lists_and_watches_of_the_caches_are_no_spans(foos: Cluster, spans: Any) -> None:  # noqa: F811
    run(foos, lambda obj, ctx: None)
    assert {span.name for span in spans.get_finished_spans()} == {"reconcile foo"}


def test_an_asynchronous_reconcile_is_a_span_too(foos: Cluster, spans: Any) -> None:  # noqa: F811
    async def foo(obj: Object, ctx: AsyncContext) -> None:
        from opentelemetry import trace

        assert trace.get_current_span().is_recording()  # the author's own spans are its children
        await ctx.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "made"}})

    run(foos, foo, owns=["v1/ConfigMap"])
    [span, *_] = of_reconciles(spans)
    assert span.attributes["operator_kit.result"] == "success"
    assert "PATCH" in {
        other.name for other in spans.get_finished_spans() if other.parent and other.parent.span_id == span.context.span_id
    }


def test_what_fails_is_told_by_type_and_message_and_without_credentials(foos: Cluster, spans: Any) -> None:  # noqa: F811
    failures = iter([ValueError("Authorization: Bearer s3cret-t0ken"), None])

    def foo(obj: Object, ctx: Context) -> None:
        error = next(failures, None)
        if error is not None:
            raise error

    run(foos, foo)
    [failed, mended, *_] = of_reconciles(spans)
    assert (failed.attributes["operator_kit.result"], failed.status.status_code.name) == ("error", "ERROR")
    assert failed.events[0].attributes["exception.message"] == "Authorization: [redacted]"
    assert (mended.attributes["operator_kit.attempt"], mended.status.status_code.name) == (2, "UNSET")


def test_log_lines_of_a_traced_reconcile_carry_the_trace(spans: Any) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("authors.module")
    logger.addHandler(handler)
    try:
        with reconcile_span({"controller": "foo"}):
            logger.warning("hello")
    finally:
        logger.removeHandler(handler)
    [span] = spans.get_finished_spans()
    assert json.loads(stream.getvalue())["trace_id"] == f"{span.context.trace_id:032x}"


def test_without_tracing_nothing_is_recorded_and_the_author_notices_nothing() -> None:
    with reconcile_span({"controller": "foo"}) as span, request_span("GET", "/", "h:1") as inner:
        span.set("a", 1)
        inner.fail(ValueError("x"))
    assert isinstance(span, Span)
    assert module._State.tracer is None


def test_without_tracing_opentelemetry_is_not_even_imported() -> None:
    code = (
        "import sys\nfrom operator_kit.manager import Manager\nfrom operator_kit.observe.tracing import tracing\n"
        "with tracing(False, {}): pass\nprint([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("environ", "asked"),
    [
        ({}, False),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_SERVICE_NAME": "x"}, False),
    ],
)
def test_the_environment_can_ask_for_it(environ: dict[str, str], asked: bool) -> None:
    assert asked_for(environ) is asked


def test_an_exporter_that_is_not_installed_is_named_with_its_package() -> None:
    with (
        pytest.raises(ConfigError, match="pip install opentelemetry-exporter-carrier-pigeon, or set it to console"),
        tracing(True, {"OTEL_TRACES_EXPORTER": "carrier_pigeon"}),
    ):
        pass


def test_asked_for_by_the_environment_alone_a_missing_package_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with tracing(False, {"OTEL_TRACES_EXPORTER": "console"}):
        assert module._State.tracer is None
    assert "pip install 'operator-kit[otel]'" in caplog.text
    with pytest.raises(ConfigError, match="tracing needs opentelemetry"), tracing(True, {}):
        pass


def test_a_collector_that_does_not_answer_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked, answered, ended = threading.Event(), threading.Event(), threading.Event()

    class Provider:
        def get_tracer(self, *_: str) -> None:
            return None

        def shutdown(self) -> None:
            asked.set()
            assert answered.wait(60)
            ended.set()

    monkeypatch.setattr(module, "_provider", lambda _environ: (Provider(), Provider()))
    monkeypatch.setattr(module, "SHUTDOWN_SECONDS", 0.05)
    try:
        with tracing(True, {}):
            pass
        assert asked.wait(60)
        assert "the last traces could not be sent within 50ms and are lost" in caplog.text
    finally:
        answered.set()
        assert ended.wait(60)


def test_a_whole_operator_sends_its_spans_where_the_environment_says(tmp_path: Any) -> None:
    target = tmp_path / "traced_operator.py"
    target.write_text('from operator_kit import reconciler\n@reconciler("v1/Namespace")\ndef ns(obj, ctx): ...\n')
    done = run_operator_kit(
        "run", "--sandbox", "--exit-when-idle", str(target), env={"OTEL_TRACES_EXPORTER": "console", "OTEL_SERVICE_NAME": "mine"}
    )
    assert done.returncode == 0, done.stderr
    assert '"name": "reconcile namespace"' in done.stdout
    assert '"service.name": "mine"' in done.stdout
