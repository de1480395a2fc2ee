"""Probes and metrics at the addresses that the settings name: started before everything else, stopped last of all.

    metrics_bind_address        /metrics
    health_probe_bind_address   /livez, /healthz, /readyz

Both may be one address; it is one server then, and with TLS if the metrics are.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from operator_kit.api import Cancel
from operator_kit.clock import Clock
from operator_kit.errors import ConfigError
from operator_kit.manager.authorization import Authorizer
from operator_kit.manager.certificates import CertificateFiles, self_signed
from operator_kit.manager.connection import Request, Response, Route
from operator_kit.manager.endpoint import Endpoint, EndpointError
from operator_kit.observe.exporter import Exporter
from operator_kit.settings import parse_address

if TYPE_CHECKING:
    import ssl

    from operator_kit.api import Client
    from operator_kit.manager.probes import Probes
    from operator_kit.observe.metrics import Registry as Metrics
    from operator_kit.settings import Settings

__all__ = ["Serving", "check_serving"]

SCRAPES_AT_ONCE = 4
STOP_SECONDS = 5.0

_log = logging.getLogger("operator_kit.endpoint")


class Serving:
    """The endpoints of a manager; none where the settings turn both off.

    Args:
        settings: the addresses, and how the metrics are guarded.
        probes: what the probes ask.
        metrics: what is exported.
        client: asked who may read the metrics.
        clock: the clock.

    Raises:
        ConfigError: as `check_serving`.
    """

    def __init__(self, settings: Settings, probes: Probes, metrics: Metrics, client: Client, *, clock: Clock) -> None:
        check_serving(settings)
        self._settings = settings
        self._probes = probes
        self._metrics = metrics
        self._client = client
        self._clock = clock
        self._cancel = Cancel(clock)
        self.endpoints: tuple[Endpoint, ...] = ()

    def start(self) -> None:
        """Take the addresses and answer. Either all of it works or nothing is started.

        Raises:
            EndpointError: an address or a certificate cannot be used.
        """
        endpoints = self._planned()
        try:
            for endpoint in endpoints:
                endpoint.bind()
        except EndpointError:
            for endpoint in endpoints:
                endpoint.stop(0)
            raise
        for endpoint in endpoints:
            endpoint.start()
            paths = ", ".join(path for path in endpoint.routes if not path.endswith("/"))
            _log.info("serving %s on %s%s", paths, endpoint.address, " with TLS" if endpoint.tls else "")
        self.endpoints = tuple(endpoints)

    def stop(self) -> bool:
        """Give the addresses back. Returns whether every thread has ended."""
        self._cancel.cancel()
        ended = [endpoint.stop(STOP_SECONDS) for endpoint in self.endpoints]
        return all(ended)

    def url(self, path: str) -> str:
        """Where a path is served, for this machine; empty where it is not."""
        return next((f"{endpoint.url}{path}" for endpoint in self.endpoints if path in endpoint.routes), "")

    def _planned(self) -> list[Endpoint]:
        settings = self._settings
        metrics, probes = parse_address(settings.metrics_bind_address), parse_address(settings.health_probe_bind_address)
        checks = {**self._probes.live.routes("/healthz"), **self._probes.ready.routes()}
        endpoints = []
        if metrics is not None:
            shared = probes == metrics and metrics.port != 0
            routes = {"/metrics": self._metrics_route(), **(checks if shared else {})}
            endpoints.append(Endpoint(metrics, routes, tls=self._tls(), clock=self._clock))
            probes = None if shared else probes
        if probes is not None:
            endpoints.append(Endpoint(probes, checks, clock=self._clock))
        return endpoints

    def _tls(self) -> Callable[[], ssl.SSLContext] | None:
        settings = self._settings
        if not settings.metrics_secure:
            return None
        if settings.metrics_cert_file:
            return CertificateFiles(
                Path(settings.metrics_cert_file), Path(settings.metrics_key_file), clock=self._clock, metrics=self._metrics
            )
        context = self_signed(self._clock)
        return lambda: context

    def _metrics_route(self) -> Route:
        exporter = Exporter(self._metrics)

        def scrape(request: Request) -> Response:
            body, content_type = exporter.render(request.headers.get("Accept", ""))
            return Response(body, content_type=content_type)

        guarded = (
            Authorizer(self._client, cancel=self._cancel, clock=self._clock).guarded(scrape)
            if self._settings.metrics_auth
            else scrape
        )
        return _at_most(SCRAPES_AT_ONCE, guarded)


def check_serving(settings: Settings) -> None:
    """Refuse settings that contradict each other. Raises `ConfigError`, with the remedy."""
    files = (settings.metrics_cert_file, settings.metrics_key_file)
    if any(files) and not all(files):
        raise ConfigError("metrics-cert-file and metrics-key-file belong together: give both, or neither")
    if not settings.metrics_secure and any(files):
        raise ConfigError("metrics-cert-file is given, and the metrics are served without TLS: add --metrics-secure")
    if not settings.metrics_secure and settings.metrics_auth:
        raise ConfigError("metrics-auth takes tokens, which must not be sent without TLS: add --metrics-secure")


def _at_most(limit: int, route: Route) -> Route:
    """The route for so many at once: more would wait for each other, and keep whoever asks for a probe from being heard."""
    slots = threading.BoundedSemaphore(limit)

    def answer(request: Request) -> Response:
        if not slots.acquire(blocking=False):
            return Response("too many at once\n", 503, headers={"Retry-After": "1"})
        try:
            return route(request)
        finally:
            slots.release()

    return answer
