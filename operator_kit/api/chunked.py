"""The body of a streaming answer, in as large pieces as the socket has ready.

An API server sends each event of a watch as a chunk of its own (`Transfer-Encoding: chunked`). urllib3 and http.client read chunk
by chunk, with several calls for each; that alone costs a client more than taking the event apart. So the chunks are undone here,
all that have come at once, from the same buffered socket. Any other body is left to urllib3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import urllib3
from urllib3.exceptions import ProtocolError, ReadTimeoutError

__all__ = ["pieces"]

_AT_ONCE = 1 << 16
_LONGEST_SIZE_LINE = 4096  # of a chunk, with extensions nobody sends


def pieces(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """The body, piece by piece, as soon as something is there. Ends with the body.

    Raises what urllib3 raises: `ReadTimeoutError` for a silence, `ProtocolError` for a connection that breaks or a body cut off.
    """
    # The buffered socket has no public name; where a urllib3 has it elsewhere, its own reader does.
    source = getattr(getattr(response, "_fp", None), "fp", None)
    if not getattr(response, "chunked", False) or not hasattr(source, "read1"):
        return response.stream(amt=None, decode_content=False)
    return _dechunked(source, response)


def _dechunked(source: Any, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    rest = b""  # of a size line that is not complete
    left = 0  # bytes to come of the present chunk
    closing = 0  # bytes to come of the line break after it
    while True:
        try:
            data = source.read1(_AT_ONCE)
        except TimeoutError as exc:
            raise ReadTimeoutError(getattr(response, "_pool", None), None, "Read timed out.") from exc  # type: ignore[arg-type]
        except (OSError, ValueError) as exc:  # ValueError: it was closed meanwhile
            raise ProtocolError(f"Connection broken: {exc!r}", exc) from exc
        if not data:
            raise ProtocolError("Connection broken: closed in the middle of a chunked body")
        data = rest + data if rest else data
        rest = b""
        at, length = 0, len(data)
        found: list[bytes] = []
        while True:
            if left:
                if at == length:
                    break
                piece = data[at : at + left]
                found.append(piece)
                at += len(piece)
                left -= len(piece)
                if left:
                    break
                closing = 2
            if closing:
                ending = data[at : at + closing]
                if ending != b"\r\n"[2 - closing :][: len(ending)]:
                    raise ProtocolError("a chunk is longer than it said")
                at += len(ending)
                closing -= len(ending)
                if closing:
                    break
            end = data.find(b"\r\n", at)
            if end < 0:
                rest = data[at:]
                if len(rest) > _LONGEST_SIZE_LINE:
                    raise ProtocolError("a chunk without a size")
                break
            size = _size(data[at:end])
            if size == 0:  # the end; what may follow is of no use, and the connection is not used again
                if found:
                    yield b"".join(found)
                return
            at = end + 2
            stop = at + size
            if data.startswith(b"\r\n", stop):
                found.append(data[at:stop])
                at = stop + 2
            else:
                left = size
        if found:
            yield b"".join(found)


def _size(line: bytes) -> int:
    try:
        size = int(line.partition(b";")[0], 16)
    except ValueError:
        size = -1
    if size < 0:
        raise ProtocolError(f"a chunk of size {line[:40]!r}")
    return size
