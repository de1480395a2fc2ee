"""Answers: encoded documents with the server's headers, Status documents, plain text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml
from aiohttp import web

from operator_kit import codec
from operator_kit.sandbox.http.negotiate import YAML, Accept
from operator_kit.sandbox.status import StatusError

__all__ = ["answer", "document", "not_found_page", "refusal", "text"]

PLAIN = Accept()
_WARNINGS_LIMIT = 4096
_JSON_HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-cache, private"}


def answer(
    body: bytes, status: int = 200, *, accept: Accept = PLAIN, warnings: Iterable[str] = (), pretty: bool = False
) -> web.Response:
    """An answer whose JSON is there already."""
    headers: Any = _JSON_HEADERS
    if accept.media == YAML:
        body = yaml.safe_dump(codec.loads(body), sort_keys=True, allow_unicode=True).encode()
        headers = {**_JSON_HEADERS, "Content-Type": YAML}
    elif pretty:
        import json

        body = json.dumps(codec.loads(body), indent=2, ensure_ascii=False).encode() + b"\n"
    response = web.Response(body=body, status=status, headers=headers)
    room = _WARNINGS_LIMIT
    for warning in warnings:
        # One with control characters cannot stand in a header, and is not sent; too many are cut short.
        room -= len(warning)
        if warning.isprintable() and room >= 0:
            escaped = warning.replace("\\", "\\\\").replace('"', '\\"')
            response.headers.add("Warning", f'299 - "{escaped}"')
    return response


def document(obj: Any, status: int = 200, *, content_type: str = "application/json") -> web.Response:
    """An answer from a document."""
    headers = {**_JSON_HEADERS, "Content-Type": content_type}
    return web.Response(body=codec.dumps(obj), status=status, headers=headers)


def refusal(error: StatusError) -> web.Response:
    """A Status, with `Retry-After` where its details ask for patience."""
    response = document(error.body(), error.code)
    retry = (error.details or {}).get("retryAfterSeconds")
    if retry:
        response.headers["Retry-After"] = str(retry)
    return response


def text(body: str, status: int = 200) -> web.Response:
    """Plain text."""
    headers = {"X-Content-Type-Options": "nosniff"}
    return web.Response(text=body, status=status, content_type="text/plain", charset="utf-8", headers=headers)


def not_found_page() -> web.Response:
    """What a path answers that nobody serves."""
    return text("404 page not found\n", 404)
