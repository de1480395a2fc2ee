"""What a type checker makes of an author's code. Checked by `make lint`, never run: a `type: ignore` that nothing needs is an error."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, assert_type

from operator_kit import (
    AsyncContext,
    AsyncTaskContext,
    Context,
    Registry,
    Result,
    TaskContext,
    every,
    index,
    on_shutdown,
    on_startup,
    reconciler,
)
from operator_kit.models import CustomResource, Model
from operator_kit.predicates import annotation_changed, field_changed, label_changed, when

# ------------------------------------------------------------------ reconcilers


@reconciler(
    "Website",
    owns=["apps/v1/Deployment"],
    watches={"v1/Secret": lambda secret: f"default/{secret['metadata']['name']}"},
    predicates=[label_changed | annotation_changed, ~field_changed("status"), when(lambda old, new: old != new)],
    timeout=timedelta(minutes=1),
    backoff=("1s", 300),
    requeue_every="1h",
    leader=False,
    permissions=["get v1/Secret"],
)
def website(site: dict[str, Any], ctx: Context) -> Result | None:
    assert_type(ctx.get("v1/Secret", "a"), dict[str, Any])
    assert_type(ctx.get_or_none("v1/Secret", "a"), dict[str, Any] | None)
    assert_type(ctx.live.list("v1/Secret", namespace="*"), list[dict[str, Any]])
    assert_type(ctx.stopping.wait(1.5), bool)
    return Result(requeue_after="30s")


@website.cleanup
async def remove(site: dict[str, Any], ctx: AsyncContext) -> None:
    assert_type(await ctx.get("v1/Secret", "a"), dict[str, Any])
    assert_type(await ctx.delete("v1/Secret", "a"), bool)


@website.index("v1/Secret", "by-colour")
def by_colour(secret: dict[str, Any]) -> list[str]:
    return list(secret["metadata"]["labels"])


@index("v1/Secret", "by-name")
def by_name(secret: dict[str, Any]) -> set[str]:
    return {secret["metadata"]["name"]}


class GadgetSpec(Model):
    size: int = 1


class Gadget(CustomResource, group="example.com", version="v1"):
    spec: GadgetSpec


@Registry().reconciler(Gadget)
async def gadget(obj: Gadget, ctx: AsyncContext) -> None:
    assert_type(obj.spec.size, int)


# ------------------------------------------------------------------ what is refused


@reconciler(Gadget)  # type: ignore[arg-type]  # the objects of a model are its instances
def untyped(obj: dict[str, Any], ctx: Context) -> None: ...


@reconciler("Website")  # type: ignore[arg-type]  # an async function has the context whose calls are awaited
async def mixed(obj: dict[str, Any], ctx: Context) -> None: ...


@reconciler("Website")  # type: ignore[arg-type]  # it returns nothing or a Result
def nonsense(obj: dict[str, Any], ctx: Context) -> bool:
    return True


@reconciler("Website", owms=["v1/Pod"])  # type: ignore[call-overload, untyped-decorator]  # there is no such option
def misspelt(obj: dict[str, Any], ctx: Context) -> None: ...


@reconciler("Website", leader="yes")  # type: ignore[call-overload, untyped-decorator]
def answered(obj: dict[str, Any], ctx: Context) -> None: ...


@website.cleanup  # type: ignore[type-var]  # a cleanup takes what the function takes
def alone(obj: dict[str, Any]) -> None: ...


# ------------------------------------------------------------------ tasks and hooks


@every("5m", leader=False, name="rotate", timeout=30)
def rotate(ctx: TaskContext) -> None:
    assert_type(ctx.live.get_or_none("v1/Secret", "a", "default"), dict[str, Any] | None)


@every(timedelta(hours=1))
async def sweep(ctx: AsyncTaskContext) -> Result:
    await ctx.apply({})
    return Result(requeue_after=timedelta(minutes=5))


@on_startup
def connect(ctx: TaskContext) -> None:
    ctx.log.info("…")


@on_shutdown
async def disconnect(ctx: AsyncTaskContext) -> None:
    ctx.log.info("…")


@on_startup  # type: ignore[arg-type]  # a hook belongs to no object
def objected(obj: dict[str, Any], ctx: Context) -> None: ...


@every("5m")  # type: ignore[arg-type]  # a task has no object's context
def borrowed(ctx: Context) -> None: ...
