"""examples/hello.py with its kind as a class, from which its CRD is made. `operator-kit run --sandbox examples/hello_typed.py`"""

from typing import Annotated

from pydantic import Field

from operator_kit import Context, reconciler
from operator_kit.models import Column, CustomResource, Model, Status


class GreetingSpec(Model):
    name: Annotated[str, Field(min_length=1, max_length=60)]
    """Who is greeted."""


class GreetingStatus(Status):
    text: str | None = None


class Greeting(CustomResource, group="example.com", version="v1", columns=[Column("Text", ".status.text")]):
    spec: GreetingSpec
    status: GreetingStatus = GreetingStatus()


@reconciler(Greeting, owns=["v1/ConfigMap"])
def greeting(obj: Greeting, ctx: Context) -> None:
    text = f"Hello, {obj.spec.name}!"
    ctx.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": obj.metadata.name}, "data": {"text": text}})
    ctx.patch_status({"text": text})
