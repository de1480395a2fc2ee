"""The smallest operator: a Greeting becomes a ConfigMap. `operator-kit run --sandbox --load examples/hello examples/hello.py`"""

from operator_kit import Context, reconciler


@reconciler("Greeting", owns=["v1/ConfigMap"])
def greeting(obj: dict, ctx: Context) -> None:
    text = f"Hello, {obj['spec']['name']}!"
    ctx.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": obj["metadata"]["name"]}, "data": {"text": text}})
    ctx.patch_status({"text": text})
