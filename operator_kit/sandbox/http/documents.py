"""The paths that are about the server itself: health, version, discovery, OpenAPI."""

from __future__ import annotations

import hashlib
from typing import Any

from aiohttp import web

from operator_kit import codec
from operator_kit.sandbox.discovery import VERSION
from operator_kit.sandbox.engine import Engine
from operator_kit.sandbox.http import responses
from operator_kit.sandbox.http.negotiate import alternatives
from operator_kit.sandbox.request import Query
from operator_kit.sandbox.status import not_acceptable, wrong_method

__all__ = ["Documents"]

_HEALTH = frozenset({"/healthz", "/livez", "/readyz"})
_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"


class Documents:
    """Answers what is not about objects."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.ready = True

    async def answer(self, request: web.BaseRequest, path: str, query: Query) -> web.Response:
        """Answer a non-resource path."""
        clean = path.removesuffix("/") or "/"
        parts = clean.split("/")[1:]
        known = self._find(request, clean, parts, query) if "//" not in path else None
        if known is None:
            return responses.not_found_page()
        if request.method not in {"GET", "HEAD"}:
            raise wrong_method()
        return known

    def _find(self, request: web.BaseRequest, path: str, parts: list[str], query: Query) -> web.Response | None:
        if f"/{parts[0]}" in _HEALTH:
            return self._health(path, parts, query)
        if path == "/version":
            return responses.document(VERSION)
        if path == "/":
            return responses.document({"paths": self._paths()})
        if parts[0] == "openapi":
            return self._openapi(request, parts)
        if path in {"/api", "/apis"}:
            return self._root(request, core=path == "/api")
        found: dict[str, Any] | None = None
        if parts[0] == "api" and len(parts) == 2:
            found = self._engine.discovery.resources("", parts[1])
        elif parts[0] == "apis" and len(parts) == 2:
            found = self._engine.discovery.group(parts[1])
        elif parts[0] == "apis" and len(parts) == 3:
            found = self._engine.discovery.resources(parts[1], parts[2])
        return responses.document(found) if found is not None else None

    def _health(self, path: str, parts: list[str], query: Query) -> web.Response | None:
        if len(parts) > 1 and parts[1] not in {"ping", "log", "etcd"}:
            return None
        if not self.ready and path == "/readyz":
            return responses.text("[-]shutdown failed: reason withheld\nreadyz check failed\n", 500)
        if query.flag("verbose"):
            return responses.text(f"[+]ping ok\n[+]log ok\n[+]etcd ok\n{parts[0]} check passed\n")
        return responses.text("ok")

    def _paths(self) -> list[str]:
        registry = self._engine.world.registry
        paths = ["/api", "/api/v1", "/apis"]
        for group in registry.groups():
            paths.append(f"/apis/{group}")
            paths.extend(f"/apis/{group}/{version}" for version in registry.versions(group))
        return [*paths, "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"]

    def _root(self, request: web.BaseRequest, *, core: bool) -> web.Response:
        for media, parameters in alternatives(request.headers.get("Accept", "")):
            if media != "application/json" or parameters.get("as") != "APIGroupDiscoveryList":
                if media in {"application/json", "*/*", "application/*"}:
                    break
                continue
            version = parameters.get("v", "")
            if parameters.get("g") == "apidiscovery.k8s.io" and version in {"v2", "v2beta1"}:
                body = self._engine.discovery.aggregated(core=core, beta=version == "v2beta1")
                return _tagged(request, body, _AGGREGATED.format(version))
        if core:
            return responses.document(self._engine.discovery.core_versions(request.host))
        return responses.document(self._engine.discovery.groups())

    def _openapi(self, request: web.BaseRequest, parts: list[str]) -> web.Response | None:
        from operator_kit.sandbox import openapi

        registry = self._engine.world.registry
        if parts[1:] == ["v2"]:
            wanted = {media for media, _ in alternatives(request.headers.get("Accept") or "*/*")}
            if wanted & {"application/json", "*/*", "application/*"}:
                return responses.document(openapi.v2(registry))
            if openapi.V2_PROTOBUF_TYPE in {media.replace("@", ".") for media in wanted}:
                return web.Response(body=openapi.V2_PROTOBUF, headers={"Content-Type": openapi.V2_PROTOBUF_TYPE})
            raise not_acceptable(["application/json", openapi.V2_PROTOBUF_TYPE])
        if parts[1:] == ["v3"]:
            return responses.document(openapi.v3_index(registry))
        if len(parts) > 2 and parts[1] == "v3":
            found = openapi.v3(registry, "/".join(parts[2:]))
            return responses.document(found) if found is not None else None
        return None


def _tagged(request: web.BaseRequest, body: Any, content_type: str) -> web.Response:
    """A document with an ETag; 304 where the client has it already."""
    encoded = codec.dumps(body)
    tag = f'"{hashlib.sha512(encoded).hexdigest().upper()}"'
    headers = {"Content-Type": content_type, "Etag": tag, "Vary": "Accept", "Cache-Control": "public"}
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers=headers)
    return web.Response(body=encoded, headers=headers)
