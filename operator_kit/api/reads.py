"""The verbs that only read: get, list, watch."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from operator_kit.api.call import Caller, collection_path, object_path
from operator_kit.api.cancel import Cancel
from operator_kit.api.page import Page, Selection
from operator_kit.api.transport import Request, Stream
from operator_kit.api.watch import WatchStream
from operator_kit.codec import RawObject
from operator_kit.errors import Gone
from operator_kit.objects import Object, Resource

__all__ = ["Reads"]


class Reads(Caller):
    """get, list and watch. A namespace of None means all namespaces, where there is a choice."""

    def get(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        subresource: str | None = None,
        timeout: float | None = None,
        retries: bool = True,
        cancel: Cancel | None = None,
    ) -> Object:
        """One object. Raises NotFound, Forbidden, …

        Args:
            resource: the kind.
            name: the object's name.
            namespace: its namespace; needed for namespaced kinds.
            subresource: e.g. `"status"` or `"scale"`.
            timeout: seconds; this and the next two as in all verbs, see the class.
            retries: try again where that is safe.
            cancel: ends the call.
        """
        path = object_path(resource, namespace, name, subresource)
        return self.call("GET", path, timeout=timeout, retries=retries, cancel=cancel)

    def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_: str = "",
        resource_version: str = "",
        resource_version_match: str = "",
        metadata_only: bool = False,
        timeout: float | None = None,
        retries: bool = True,
        cancel: Cancel | None = None,
    ) -> Page:
        """One page of a collection; the whole of it without `limit`. A namespace of None means all.

        Raises Gone when the `continue_` token is too old: begin again.
        """
        selection = Selection(resource, namespace, label_selector, field_selector, metadata_only)
        page = Page()
        more = (("resourceVersion", resource_version), ("resourceVersionMatch", resource_version_match))
        raw = self._raw_list(selection, limit, continue_, more=more, timeout=timeout, retries=retries, cancel=cancel)
        page.read(raw, selection, lambda raw: page.items.append(selection.complete(raw.decode())))
        return page

    def list_all(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        page_size: int = 500,
        metadata_only: bool = False,
        timeout: float | None = None,
        retries: bool = True,
        cancel: Cancel | None = None,
    ) -> Page:
        """The whole collection, fetched in pages. The time limit is per page."""
        items: list[Object] = []
        selection = Selection(resource, namespace, label_selector, field_selector, metadata_only)
        page = self.visit(
            selection,
            lambda raw: items.append(selection.complete(raw.decode())),
            items.clear,
            page_size=page_size,
            timeout=timeout,
            retries=retries,
            cancel=cancel,
        )
        page.items = items
        return page

    def visit(
        self,
        selection: Selection,
        visit: Callable[[RawObject], None],
        restart: Callable[[], None],
        *,
        strip: bool = False,
        page_size: int = 500,
        timeout: float | None = None,
        retries: bool = True,
        cancel: Cancel | None = None,
        progress: Callable[[], None] | None = None,
    ) -> Page:
        """List a selection in pages, handing each object on as it came; none is kept here.

        Args:
            selection: what to list.
            visit: called with each object.
            restart: called when what was visited so far does not count: the `continue` token expired, and all is listed anew, in
                one piece.
            strip: whether objects may come without managedFields and last-applied annotation.
            page_size: objects per page; 0 for one piece.
            timeout: seconds per page.
            retries: whether to try again what is safe to repeat.
            cancel: ends the call from another thread.
            progress: called after each page.

        Returns:
            A page without items, with the version of the whole.
        """
        whole = Page()
        token = ""
        while True:
            page = Page()
            try:
                raw = self._raw_list(selection, page_size, token, timeout=timeout, retries=retries, cancel=cancel)
            except Gone:
                if not token:
                    raise
                restart()
                whole, token, page_size = Page(), "", 0
                continue
            page.read(raw, selection, visit, strip=strip)
            if progress is not None:
                progress()
            # All pages are of the version of the first.
            whole.resource_version = whole.resource_version or page.resource_version
            token = page.continue_
            if not token:
                return whole

    def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int | None = None,
        read_timeout: float | None = None,
        bookmarks: bool = True,
        send_initial_events: bool = False,
        metadata_only: bool = False,
        strip: bool = False,
        cancel: Cancel | None = None,
    ) -> WatchStream:
        """The changes since a version, as a stream. It connects, and can fail, when iterated.

        Args:
            resource: the kind.
            namespace: one namespace, or None for all.
            resource_version: from where; empty begins with the present state.
            label_selector: which objects.
            field_selector: which objects.
            timeout_seconds: after how long the server closes the stream; 5 to 10 minutes at random unless given.
            read_timeout: the longest silence in seconds; unless given, a little more than `timeout_seconds`.
            bookmarks: ask the server to tell its version now and then.
            send_initial_events: begin with all objects, then a bookmark annotated `k8s.io/initial-events-end`.
            metadata_only: objects without spec and status.
            strip: whether objects may come without managedFields and last-applied annotation.
            cancel: ends the stream from another thread, as its `stop` does.
        """
        selection = Selection(resource, namespace, label_selector, field_selector, metadata_only)
        if timeout_seconds is None:
            timeout_seconds = int(random.uniform(300, 600))  # noqa: S311  # it spreads load, it hides nothing
        seconds = max(1, int(timeout_seconds))
        query = [("watch", "true"), ("timeoutSeconds", str(seconds))]
        if bookmarks:
            query.append(("allowWatchBookmarks", "true"))
        if send_initial_events:
            query += [("sendInitialEvents", "true"), ("resourceVersionMatch", "NotOlderThan")]
        if resource_version:
            query.append(("resourceVersion", resource_version))
        path = collection_path(resource, namespace)

        def open_stream(cancel: Cancel) -> Stream:
            return self._transport.stream(
                Request(
                    "GET",
                    path,
                    timeout=seconds + 15.0 if read_timeout is None else read_timeout,
                    query=query + selection.query(),
                    accept=selection.accept(listing=False),
                    cancel=cancel,
                )
            )

        return WatchStream(open_stream, f"watch {path}", cancel or Cancel(self._clock), strip=strip)

    def _raw_list(
        self,
        selection: Selection,
        limit: int,
        continue_: str,
        *,
        more: Sequence[tuple[str, str]] = (),
        timeout: float | None,
        retries: bool,
        cancel: Cancel | None,
    ) -> bytes:
        query = selection.query()
        query += [(name, value) for name, value in (("limit", str(limit or "")), ("continue", continue_), *more) if value]
        path = collection_path(selection.resource, selection.namespace)
        accept = selection.accept(listing=True)
        return self.call_raw("GET", path, query=query, accept=accept, timeout=timeout, retries=retries, cancel=cancel)
