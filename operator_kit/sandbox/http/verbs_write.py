"""create, update, patch, delete and deletecollection over HTTP."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, cast

from aiohttp import web

from operator_kit import codec
from operator_kit.sandbox import scale
from operator_kit.sandbox.engine import Engine
from operator_kit.sandbox.guard import Guard
from operator_kit.sandbox.http import bodies
from operator_kit.sandbox.http.call import Call
from operator_kit.sandbox.http.negotiate import Accept
from operator_kit.sandbox.http.responses import answer, document
from operator_kit.sandbox.patch import PatchKind
from operator_kit.sandbox.request import ListOptions, WriteOptions
from operator_kit.sandbox.status import bad_request, success
from operator_kit.sandbox.storage import Entry
from operator_kit.sandbox.writes import Patch, Written

__all__ = ["Writes"]


class Writes:
    """The writing verbs."""

    def __init__(self, engine: Engine, guard: Guard) -> None:
        self._engine = engine
        self._guard = guard

    async def create(self, call: Call) -> web.StreamResponse:
        """POST to a collection."""
        accept = call.accept()
        options = self._options(call, "CreateOptions")
        obj = bodies.decode_object(call.body, call.content_type, call.served)
        written = self._engine.writer.create(call.served, call.info.namespace, obj, options)
        return self._written(call, written, accept, options)

    async def update(self, call: Call) -> web.StreamResponse:
        """PUT of an object, of its status, or of a namespace's finalizers."""
        accept = call.accept()
        options = self._options(call, "UpdateOptions")
        if not call.info.name:
            raise bad_request("name must be provided")
        obj = bodies.decode_object(call.body, call.content_type, call.served)
        written = self._engine.writer.update(
            call.served, call.info.namespace, call.info.name, obj, options, subresource=call.info.subresource
        )
        return self._written(call, written, accept, options)

    async def patch(self, call: Call) -> web.StreamResponse:
        """PATCH of an object or a subresource, in any of the four ways."""
        accept = call.accept()
        kind = bodies.patch_kind(call.content_type, call.served)
        options = self._options(call, "PatchOptions")
        options.check_patch(apply=kind == "apply")
        info, sub = call.info, call.info.subresource
        if kind == "apply":
            applied = bodies.decode_applied(call.body)
            written = self._engine.writer.apply(call.served, info.namespace, info.name, applied, options, subresource=sub)
        else:
            written = self._engine.writer.patch(
                call.served, info.namespace, info.name, Patch(cast(PatchKind, kind), call.body), options, subresource=sub
            )
        return self._written(call, written, accept, options)

    def _options(self, call: Call, kind: str) -> WriteOptions:
        """The options of a write. One that creates the object where there is none is authorised as a create then."""
        options = call.write_options(kind)
        if call.info.verb != "create":
            options.may_create = lambda: self._guard.check(call.user, replace(call.info, verb="create"))
        options.admit = partial(self._guard.admit, call.user)
        return options

    @staticmethod
    def _written(call: Call, written: Written, accept: Accept, options: WriteOptions) -> web.Response:
        body = call.view(accept).single(written.entry)
        if call.served.crd is not None and call.served.crd.deprecation_warning:
            options.warnings.append(call.served.crd.deprecation_warning)
        pretty = call.query.flag("pretty")
        return answer(body, 201 if written.created else 200, accept=accept, warnings=options.warnings, pretty=pretty)

    # ------------------------------------------------------------------ delete

    def _delete_options(self, call: Call) -> WriteOptions:
        options = call.write_options("DeleteOptions")
        if call.body:
            options.read_delete_body(bodies.decode_delete_options(call.body, call.content_type))
        options.check_delete()
        return options

    async def delete(self, call: Call) -> web.StreamResponse:
        """DELETE of one object: its last state where it stays for a while, a Status where it is gone."""
        accept = call.accept()
        options = self._delete_options(call)
        deleted = self._engine.deleter.delete(call.served, call.info.namespace, call.info.name, options)
        if deleted.gone and not call.served.rules.returns_deleted:
            served = call.served
            return document(success(served.group, served.plural, deleted.entry.name, deleted.entry.uid))
        return answer(call.view(accept).single(deleted.entry), accept=accept)

    async def delete_collection(self, call: Call) -> web.StreamResponse:
        """DELETE of a collection, or of what the selectors select: the objects as they were."""
        accept = call.accept()
        selected = ListOptions.of(call.query)
        options = self._delete_options(call)
        listed = self._engine.reader.list(call.served, call.info.namespace, selected)
        deleted: list[Entry] = [self._engine.deleter.delete_entry(call.served, entry, options).entry for entry in listed.entries]
        return answer(call.view(accept).collection(deleted, listed.meta), accept=accept)

    # ------------------------------------------------------------------ scale

    async def scale(self, call: Call) -> web.StreamResponse:
        """GET, PUT and PATCH of the scale subresource."""
        accept = call.accept()
        info, served = call.info, call.served
        entry = self._engine.reader.get(served, info.namespace, info.name)
        shown = scale.read(served, call.view(Accept()).obj(entry))
        if info.verb != "get":
            options = call.write_options("PatchOptions" if info.verb == "patch" else "UpdateOptions")
            wanted = self._wanted_scale(call, shown, options)
            written = self._engine.writer.modify(
                served, info.namespace, info.name, lambda obj: scale.write(served, obj, wanted), options, subresource="scale"
            )
            shown = scale.read(served, call.view(Accept()).obj(written.entry))
        return answer(codec.dumps(shown), accept=Accept(accept.media))

    @staticmethod
    def _wanted_scale(call: Call, shown: dict[str, Any], options: WriteOptions) -> dict[str, Any]:
        if call.info.verb == "update":
            wanted = bodies.decode_object(call.body, call.content_type, scale.SERVED)
        else:
            kind = bodies.patch_kind(call.content_type, call.served)
            options.check_patch(apply=kind == "apply")
            if kind == "apply":
                wanted = scale.applied(shown, bodies.decode_applied(call.body))
            else:
                wanted = scale.patched(shown, cast(PatchKind, kind), call.body)
        scale.check(wanted, call.info.name)
        return wanted
