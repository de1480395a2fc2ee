"""One HTTP request on its way through the handlers."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from operator_kit.sandbox.http.negotiate import Accept, choose
from operator_kit.sandbox.http.paths import Target
from operator_kit.sandbox.rbac import ADMIN, User
from operator_kit.sandbox.registry import Served
from operator_kit.sandbox.request import Query, RequestInfo, WriteOptions
from operator_kit.sandbox.views import MetadataView, TableView, View

__all__ = ["Call"]


@dataclass(slots=True)
class Call:
    """A request for a resource: what it is about, what serves it, its options and its body."""

    request: web.BaseRequest
    info: RequestInfo
    target: Target
    served: Served
    query: Query
    body: bytes = b""
    user: User = ADMIN

    @property
    def content_type(self) -> str:
        """The body's type, as sent."""
        return self.request.headers.get("Content-Type", "")

    def accept(self) -> Accept:
        """The form of the answer. Raises 406."""
        return choose(self.request.headers.get("Accept", ""))

    def view(self, accept: Accept) -> View:
        """How objects are shown in that form."""
        if not accept.into:
            return View(self.served)
        if accept.into == "Table":
            return TableView(self.served, self.query.text("includeObject") or "Metadata")
        return MetadataView(self.served)

    def write_options(self, kind: str) -> WriteOptions:
        """The options of a write. Raises 422; `kind` is what the server calls them."""
        options = WriteOptions.of(self.query, self.info.user_agent, kind)
        options.body_size = len(self.body)
        return options
