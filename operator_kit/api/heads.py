"""The head of an HTTP answer, taken apart without the parser for mail that http.client uses: a sixth of the cost of a call.

What comes out is http.client's, to the letter; a head that is not plain (folded lines, lines without a colon) goes to its parser.
`tests/api/test_heads.py` compares the two.
"""

from __future__ import annotations

import http.client
import io
import re
from http import HTTPStatus
from typing import Any

__all__ = ["Response"]

_LONGEST_LINE = 65536
_MOST_LINES = 100
_LINE = re.compile(rb"([!-9;-~]+):[ \t]*([^\r\n]*)\r?\n")
_BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


class Response(http.client.HTTPResponse):
    """http.client's response, for `HTTPConnection.response_class`."""

    headers: Any  # None until `begin`
    fp: Any
    _method: str | None

    def begin(self) -> None:
        """Read the head. Raises as http.client's does: `HTTPException` and what the socket raises."""
        if self.headers is not None:
            return
        while True:
            version, status, reason = self._read_status()  # type: ignore[attr-defined]  # http.client's own
            lines = self._read_lines()
            if status != HTTPStatus.CONTINUE:
                break
        self.code = self.status = status
        self.reason = reason.strip()
        if version in {"HTTP/1.0", "HTTP/0.9"}:
            self.version = 10
        elif version.startswith("HTTP/1."):
            self.version = 11
        else:
            raise http.client.UnknownProtocol(version)
        self.headers = self.msg = _message(lines)
        self.chunked: Any = (self.headers.get("transfer-encoding") or "").lower() == "chunked"
        if self.chunked:
            self.chunk_left: int | None = None
        self.will_close = self._check_close()  # type: ignore[attr-defined]  # http.client's own
        self.length = None if self.chunked else _length(self.headers.get("content-length"))
        if status in _BODILESS or 100 <= status < 200 or self._method == "HEAD":
            self.length = 0
        if not self.will_close and not self.chunked and self.length is None:
            self.will_close = True  # only the end of the connection will be the end of the body

    def _read_lines(self) -> list[bytes]:
        """The lines after the first, without the empty one at the end."""
        lines: list[bytes] = []
        while True:
            line = self.fp.readline(_LONGEST_LINE + 1)
            if len(line) > _LONGEST_LINE:
                raise http.client.LineTooLong("header line")
            if line in {b"\r\n", b"\n", b""}:
                return lines
            lines.append(line)
            if len(lines) >= _MOST_LINES:
                raise http.client.HTTPException(f"got more than {_MOST_LINES} headers")


class _Plain(http.client.HTTPMessage):
    """The headers of a plain head. Any other's are looked at each time whether they are text at all."""

    def get(self, name: str, failobj: Any = None) -> Any:
        name = name.lower()
        for own, value in self.raw_items():
            if own.lower() == name:
                return value
        return failobj

    def items(self) -> list[tuple[str, str]]:
        return list(self.raw_items())


def _message(lines: list[bytes]) -> http.client.HTTPMessage:
    message = _Plain()
    for line in lines:
        found = _LINE.fullmatch(line)
        if found is None:
            return http.client.parse_headers(io.BytesIO(b"".join(lines)))
        name, value = found.groups()
        message.set_raw(name.decode("ascii"), value.decode("iso-8859-1"))
    return message


def _length(text: str | None) -> int | None:
    try:
        length = int(text or "")
    except ValueError:
        return None
    return length if length >= 0 else None
