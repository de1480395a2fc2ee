"""Something outside the cluster: a `Bucket` is made at a storage provider, and its key is put in a Secret.

    python examples/storage.py 8090                                                             # the provider's stand-in
    STORAGE_URL=http://127.0.0.1:8090 operator-kit run --sandbox --load examples/bucket examples/bucket.py

It shows what such an operator must get right: nothing is made twice though answers get lost and processes die (a token that
never changes, and the identifier flushed at once); what is slow is asked for again, not waited for; a refusal is told and not
repeated; what changed over there is found by looking again (`requeue_every`); and a cleanup that may run more than once.
"""

from __future__ import annotations

import os
from typing import Any

from storage import Busy, Refused, Storage

from operator_kit import Context, PermanentError, Result, TemporaryError, reconciler

Object = dict[str, Any]


def provider() -> Storage:
    """The provider that this operator works with."""
    return Storage(os.environ.get("STORAGE_URL", "http://127.0.0.1:8090"))


@reconciler("Bucket", owns=["v1/Secret"], requeue_every="10m", timeout="1m")
def bucket(obj: Object, ctx: Context) -> Result | None:
    """Make the provider's bucket like the object says."""
    try:
        found = ensure(obj, ctx)
    except Busy as exc:
        raise TemporaryError(str(exc), delay=exc.seconds) from exc
    except Refused as exc:
        ctx.set_condition("Ready", False, reason="Refused", message=str(exc))
        raise PermanentError(str(exc), reason="Refused") from exc
    if found["state"] != "ready":
        ctx.set_condition("Ready", False, reason="Creating", message="the provider is at it")
        return Result(requeue_after="1s")
    name = obj["metadata"]["name"]
    ctx.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": f"{name}-bucket"},
            "stringData": {"id": found["id"], "key": found["key"]},
        }
    )
    ctx.set_condition("Ready", True, reason="Ready", message=f"the key is in the Secret {name}-bucket")
    return None


def ensure(obj: Object, ctx: Context) -> Object:
    """The provider's bucket of this object, made or changed as far as needed."""
    storage, spec, known = provider(), obj["spec"], obj.get("status", {}).get("id")
    found = storage.get(known) if known else None
    if found is None:
        # The token is the object's uid: whoever asks twice, because an answer was lost or a process died, gets the same bucket.
        found = storage.create(obj["metadata"]["uid"], region=spec["region"], versioned=spec["versioned"])
        ctx.patch_status({"id": found["id"]})
        ctx.flush_status()
    if found["versioned"] != spec["versioned"]:
        found = storage.update(found["id"], versioned=spec["versioned"])
    return found


@bucket.cleanup
def delete_bucket(obj: Object, ctx: Context) -> None:
    """Delete the provider's bucket, unless it is to be kept. The Secret goes by its owner reference."""
    storage = provider()
    try:
        # By the token, not by the identifier in the status: the process may have died before that was written.
        found = storage.find(obj["metadata"]["uid"])
        if found is None:
            return
        if obj["spec"]["deletionPolicy"] == "Retain":
            ctx.event("Retained", f"the bucket {found['id']} stays at the provider")
            return
        storage.delete(found["id"])
    except Busy as exc:
        raise TemporaryError(str(exc), delay=exc.seconds) from exc
