"""The operator that is measured, as an author would write it: a Widget has a ConfigMap with its value, and says so in its status.

operator-kit run --workers 16 benchmarks/widgets.py
"""

from operator_kit import Context, reconciler


@reconciler("Widget.bench.example.com", owns=["v1/ConfigMap"])
def widget(obj: dict, ctx: Context) -> None:
    name, value = obj["metadata"]["name"], obj["spec"]["value"]
    ctx.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": value}})
    ctx.patch_status({"value": value})
