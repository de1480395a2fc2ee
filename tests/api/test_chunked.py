"""A chunked body comes whole, however the network cuts it, and what is no such body is an error."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from operator_kit.api.chunked import pieces


class Source:
    """A buffered socket that has some bytes at a time."""

    def __init__(self, *parts: bytes | Exception) -> None:
        self._parts = list(parts)

    def read1(self, size: int) -> bytes:
        part = self._parts.pop(0) if self._parts else b""
        if isinstance(part, Exception):
            raise part
        assert len(part) <= size
        return part


def answer(source: Any, *, chunked: bool = True) -> Any:
    return SimpleNamespace(chunked=chunked, _fp=SimpleNamespace(fp=source), stream=lambda **_: iter([b"by urllib3"]))


def chunk(data: bytes, extension: bytes = b"") -> bytes:
    return b"%x%b\r\n%b\r\n" % (len(data), extension, data)


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=8),
    cuts=st.lists(st.integers(1, 12), max_size=80),
    extension=st.sampled_from([b"", b";a=b"]),
    trailer=st.sampled_from([b"\r\n", b"A: b\r\n\r\n", b""]),
)
def test_it_is_what_was_sent_however_it_is_cut(chunks: list[bytes], cuts: list[int], extension: bytes, trailer: bytes) -> None:
    sent = b"".join(chunk(data, extension) for data in chunks) + b"0\r\n" + trailer
    parts = []
    for size in cuts:
        parts.append(sent[:size])
        sent = sent[size:]
    found = list(pieces(answer(Source(*(part for part in [*parts, sent] if part)))))
    assert b"".join(found) == b"".join(chunks)
    assert b"" not in found


def test_what_has_come_is_given_before_the_rest_of_its_chunk() -> None:
    stream = pieces(answer(Source(b"a\r\n12345", b"67", b"890\r\n5\r\nabcde\r\n3\r\nxyz\r\n0\r\n\r\n")))
    assert list(stream) == [b"12345", b"67", b"890abcdexyz"]


@pytest.mark.parametrize(
    ("parts", "what"),
    [
        ([chunk(b"a")], "closed in the middle"),
        ([b"5\r\nab"], "closed in the middle"),
        ([b"5\r\nabcde", b"\r"], "closed in the middle"),
        ([], "closed in the middle"),
        ([b"x\r\nab\r\n"], "a chunk of size b'x'"),
        ([b"-2\r\nab\r\n"], "a chunk of size b'-2'"),
        ([b"\r\nab\r\n"], "a chunk of size b''"),
        ([b"2\r\nabcd\r\n0\r\n\r\n"], "longer than it said"),
        ([b"2\r\nab\r", b"x"], "longer than it said"),
        ([b"1" * 5000], "without a size"),
        ([ConnectionResetError("reset")], "Connection broken"),
    ],
)
def test_a_body_that_is_cut_off_or_damaged_is_an_error(parts: list[Any], what: str) -> None:
    with pytest.raises(ProtocolError, match=what):
        list(pieces(answer(Source(*parts))))


def test_a_silence_is_told_from_a_break() -> None:
    stream = pieces(answer(Source(chunk(b"a"), TimeoutError("timed out"))))
    assert next(stream) == b"a"
    with pytest.raises(ReadTimeoutError):
        next(stream)


def test_any_other_body_is_left_to_urllib3() -> None:
    assert list(pieces(answer(Source(), chunked=False))) == [b"by urllib3"]
    assert list(pieces(answer(io.RawIOBase()))) == [b"by urllib3"]
