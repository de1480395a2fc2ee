"""The operator that the replicas run: each reconcile writes who it is, when it begins and when it ends."""

from __future__ import annotations

import uuid

from operator_kit import Context, reconciler


@reconciler("Foo", workers=4)
def foo(obj: dict, ctx: Context) -> None:
    run = uuid.uuid4().hex
    value = str(obj["spec"]["value"])

    def mark(step: str) -> None:
        data = {
            "key": obj["metadata"]["name"],
            "holder": ctx.fence.holder,
            "transition": str(ctx.fence.transitions),
            "run": run,
            "attempt": str(ctx.attempt),
            "step": step,
            "value": value,
        }
        ctx.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{data['key']}-{step}"}, "data": data})

    mark("begin")
    ctx.stopping.wait(0.02)
    mark("end")
    ctx.patch_status({"value": value})
