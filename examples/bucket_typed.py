"""examples/bucket.py with its kind as a class, from which the CRD is written, and as an `async` function.

STORAGE_URL=http://127.0.0.1:8090 operator-kit run --sandbox examples/bucket_typed.py
"""

from __future__ import annotations

import asyncio
import os
from typing import Annotated, Literal

from pydantic import Field
from storage import Bucket as Found
from storage import Busy, Refused, Storage

from operator_kit import AsyncContext, PermanentError, Result, TemporaryError, reconciler
from operator_kit.models import Column, CustomResource, Model, Rule, Status


class BucketSpec(Model):
    region: Annotated[str, Field(min_length=1, max_length=63), Rule("self == oldSelf", "a bucket does not move")]
    """Where the provider keeps it."""
    versioned: bool = False
    """Whether the provider keeps what is overwritten."""
    deletion_policy: Literal["Delete", "Retain"] = "Delete"
    """What becomes of the provider's bucket when this object goes."""


class BucketStatus(Status):
    id: str | None = None
    """The provider's name for it."""


class Bucket(
    CustomResource,
    group="example.com",
    version="v1",
    columns=[Column("Region", ".spec.region"), Column.condition("Ready"), Column("Id", ".status.id"), Column.age()],
):
    """A bucket at the storage provider."""

    spec: BucketSpec
    status: BucketStatus = BucketStatus()


def provider() -> Storage:
    """The provider that this operator works with."""
    return Storage(os.environ.get("STORAGE_URL", "http://127.0.0.1:8090"))


@reconciler(Bucket, owns=["v1/Secret"], requeue_every="10m", timeout="1m")
async def bucket(obj: Bucket, ctx: AsyncContext) -> Result | None:
    """Make the provider's bucket like the object says."""
    try:
        found = await ensure(obj, ctx)
    except Busy as exc:
        raise TemporaryError(str(exc), delay=exc.seconds) from exc
    except Refused as exc:
        ctx.set_condition("Ready", False, reason="Refused", message=str(exc))
        raise PermanentError(str(exc), reason="Refused") from exc
    if found["state"] != "ready":
        ctx.set_condition("Ready", False, reason="Creating", message="the provider is at it")
        return Result(requeue_after="1s")
    name = f"{obj.metadata.name}-bucket"
    keys = {"id": found["id"], "key": found["key"]}
    await ctx.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": keys})
    ctx.set_condition("Ready", True, reason="Ready", message=f"the key is in the Secret {name}")
    return None


async def ensure(obj: Bucket, ctx: AsyncContext) -> Found:
    """The provider's bucket of this object, made or changed as far as needed. Its client blocks, so it is called in threads."""
    storage, spec = provider(), obj.spec
    found = await asyncio.to_thread(storage.get, obj.status.id) if obj.status.id else None
    if found is None:
        # The token is the object's uid: whoever asks twice, because an answer was lost or a process died, gets the same bucket.
        found = await asyncio.to_thread(storage.create, obj.metadata.uid, region=spec.region, versioned=spec.versioned)
        ctx.patch_status({"id": found["id"]})
        await ctx.flush_status()
    if found["versioned"] != spec.versioned:
        found = await asyncio.to_thread(storage.update, found["id"], versioned=spec.versioned)
    return found


@bucket.cleanup
async def delete_bucket(obj: Bucket, ctx: AsyncContext) -> None:
    """Delete the provider's bucket, unless it is to be kept. The Secret goes by its owner reference."""
    storage = provider()
    try:
        # By the token, not by the identifier in the status: the process may have died before that was written.
        found = await asyncio.to_thread(storage.find, obj.metadata.uid)
        if found is None:
            return
        if obj.spec.deletion_policy == "Retain":
            ctx.event("Retained", f"the bucket {found['id']} stays at the provider")
            return
        await asyncio.to_thread(storage.delete, found["id"])
    except Busy as exc:
        raise TemporaryError(str(exc), delay=exc.seconds) from exc
