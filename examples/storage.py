"""A storage provider, as operators meet them: an HTTP API outside the cluster, slow, sometimes busy, and able to say no.

`Storage` is the client that examples/bucket.py uses. The server is a stand-in to try the example with, everything in memory:

    python examples/storage.py 8090
"""

from __future__ import annotations

import json
import sys
import threading
import uuid
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

Bucket = dict[str, Any]
QUOTA = 100


class Busy(Exception):
    """Not now. `seconds` is when to ask again."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class Refused(Exception):
    """Not like this: asking again changes nothing."""


class Storage:
    """The provider's API. Each call ends within `timeout` seconds, and raises `Busy` or `Refused`."""

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        self._url = url
        self._timeout = timeout

    def create(self, token: str, **settings: Any) -> Bucket:
        """Make a bucket. The same token again gives the same bucket: an answer that was lost costs nothing."""
        return self._call("PUT", f"/tokens/{token}", settings)

    def get(self, bucket_id: str) -> Bucket | None:
        """A bucket, or None."""
        return self._call("GET", f"/buckets/{bucket_id}")

    def update(self, bucket_id: str, **settings: Any) -> Bucket:
        """Change its settings."""
        return self._call("PATCH", f"/buckets/{bucket_id}", settings)

    def find(self, token: str) -> Bucket | None:
        """The bucket that was made with a token, or None."""
        return self._call("GET", f"/tokens/{token}")

    def delete(self, bucket_id: str) -> None:
        """Delete it; one that is gone already is no error."""
        self._call("DELETE", f"/buckets/{bucket_id}")

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = Request(self._url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urlopen(request, timeout=self._timeout) as answer:
                return json.load(answer)
        except HTTPError as exc:
            with exc:
                text = exc.read().decode("utf-8", "replace")
            if exc.code == 404:
                return None
            if exc.code in {429, 503}:
                raise Busy(f"the storage provider is busy: {text}", float(exc.headers.get("Retry-After", 5))) from None
            raise Refused(f"the storage provider refuses: {text}") from None
        except (OSError, HTTPException, ValueError) as exc:
            raise Busy(f"the storage provider does not answer: {exc}", 5.0) from None


class StandIn(ThreadingHTTPServer):
    """The provider's server. `busy` makes it refuse for now, `lose` makes it do what it is asked and not answer."""

    daemon_threads = False

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.lock = threading.Lock()
        self.tokens: dict[str, Bucket] = {}
        self.busy = False
        self.lose = 0
        self.calls: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def buckets(self) -> list[Bucket]:
        """What there is."""
        return list(self.tokens.values())

    def handle_error(self, *_: Any) -> None:
        """A client that went away is no news."""

    def answer(self, method: str, path: str, body: Bucket) -> tuple[int, Any]:
        """Carry out a call."""
        with self.lock:
            self.calls.append(f"{method} {path}")
            if self.busy:
                return 503, "maintenance"
            _, collection, name = path.split("/")
            bucket = self.tokens.get(name)
            if collection == "buckets":
                bucket = next((one for one in self.tokens.values() if one["id"] == name), None)
            if method == "PUT" and bucket is None:
                if body.get("region") not in {"north", "south"}:
                    return 422, f"there is no region {body.get('region')}"
                if len(self.tokens) >= QUOTA:
                    return 403, "your quota is used up"
                new = uuid.uuid4().hex
                bucket = self.tokens[name] = {"id": new[:12], "key": new, "state": "creating", **body}
                return 200, dict(bucket)
            if bucket is None:
                return 404, "no such bucket"
            if method == "DELETE":
                self.tokens = {token: one for token, one in self.tokens.items() if one is not bucket}
            elif method == "PATCH":
                bucket.update(body)
            else:
                bucket["state"] = "ready"  # it was slow: made by the time somebody looks
            return 200, bucket


class _Handler(BaseHTTPRequestHandler):
    server: StandIn

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        status, answer = self.server.answer(self.command, self.path, json.loads(self.rfile.read(length) or b"{}"))
        if self.server.lose:
            self.server.lose -= 1
            self.close_connection = True
            return
        body = json.dumps(answer).encode()
        self.send_response(status)
        if status == 503:
            self.send_header("Retry-After", "1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815  # the standard library's names

    def log_message(self, *_: Any) -> None:
        """Quiet."""


if __name__ == "__main__":
    with StandIn(int(sys.argv[1]) if sys.argv[1:] else 8090) as server:
        print(f"a storage provider listens on {server.url}; Ctrl-C stops it")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("stopped")
