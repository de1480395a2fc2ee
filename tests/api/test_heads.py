"""The head of an answer is read as http.client reads it, whatever stands in it."""

from __future__ import annotations

import http.client
import io
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from operator_kit.api.heads import Response

PLAIN = (
    b'HTTP/1.1 200 OK\r\nAudit-Id: 1\r\nContent-Type: application/json\r\nWarning: 299 - "a: b"\r\n'
    b"Warning: 299 - second\r\nContent-Length: 2\r\n\r\n{}"
)


class Socket:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        return io.BufferedReader(io.BytesIO(self.data))  # type: ignore[arg-type]


def read(kind: type[http.client.HTTPResponse], data: bytes, method: str) -> Any:
    """All that a response says of its head, and its body; or how it fails."""
    response = kind(Socket(data), method=method)  # type: ignore[arg-type]
    try:
        response.begin()
        head = {
            name: getattr(response, name)
            for name in ("status", "code", "reason", "version", "chunked", "chunk_left", "will_close", "length")
        }
        return (
            head,
            response.headers.items(),
            response.headers.get_all("warning"),
            response.msg is response.headers,
            response.read(),
        )
    except (http.client.HTTPException, ValueError) as exc:
        return type(exc), str(exc)
    finally:
        response.close()


def agree(data: bytes, method: str = "GET") -> Any:
    ours = read(Response, data, method)
    assert ours == read(http.client.HTTPResponse, data, method)
    return ours


@pytest.mark.parametrize(
    "data",
    [
        PLAIN,
        b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" + PLAIN,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nContent-Length: 9\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: Close\r\n\r\nuntil the end",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.0 200 OK\r\nKeep-Alive: timeout=5\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
        b"HTTP/1.1 200\r\nContent-Length: -1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nFolded: one\r\n two\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nno colon here\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\nContent-Length: 1\n\nx",
        b"HTTP/1.1 200 OK\r\nA : b\r\n: c\r\nContent-Length:1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nA: caf\xe9 \t\r\nContent-Length:  1  \r\n\r\nx",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 999999 What\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 99 + b"\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 101 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_heads_of_every_kind(data: bytes, method: str) -> None:
    agree(data, method)


def test_a_plain_head_says_what_it_should() -> None:
    head, items, warnings, same, body = agree(PLAIN)
    assert (head["status"], head["length"], head["will_close"]) == (200, 2, False)
    assert ("Content-Type", "application/json") in items
    assert warnings == ['299 - "a: b"', "299 - second"]
    assert same
    assert body == b"{}"


LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"Content-Length: 3",
                b"Transfer-Encoding: chunked",
                b"Connection: close",
                b"X: y",
                b" folded",
                b"\tfolded",
                b"colonless",
            ]
        ),
        st.binary(max_size=20),
    ),
    max_size=8,
)


@given(lines=LINES, end=st.sampled_from([b"\r\n", b"\n"]), method=st.sampled_from(["GET", "HEAD", "PATCH"]))
@example(lines=[b"A\rB: c"], end=b"\r\n", method="GET")
@example(lines=[b"A: b\rc: d"], end=b"\r\n", method="GET")
@example(lines=[b"A: b\x0bc: d"], end=b"\r\n", method="GET")
@example(lines=[b"From x: y"], end=b"\n", method="GET")
@example(lines=[b"A: b\x85c"], end=b"\n", method="GET")
def test_any_bytes_are_read_alike(lines: list[bytes], end: bytes, method: str) -> None:
    agree(b"HTTP/1.1 200 OK" + end + b"".join(line + end for line in lines) + end + b"abc", method)
