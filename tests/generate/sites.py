"""A kind much like the example's, with more of what a class can say, and a reconciler of five lines.

It stands for itself, so that the golden file of its definition tells of changes in the generator and not of those in the example.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from operator_kit import Context, Registry
from operator_kit.models import Column, CustomResource, Model, Rule, Scale, Status

registry = Registry()


class PageSource(Model):
    """A ConfigMap of the same namespace that holds the front page under the key index.html."""

    config_map: Annotated[str, Field(min_length=1)]


class WebsiteSpec(Model, rules=[Rule("has(self.html) != has(self.htmlFrom)", "give either html or htmlFrom")]):
    replicas: Annotated[int, Field(ge=0, le=20)] = 1
    """How many pods serve the site."""
    image: Annotated[str, Field(min_length=1)] = "nginx:1.27"
    html: Annotated[str, Field(max_length=65536)] | None = None
    html_from: PageSource | None = None
    domain: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)] | None = None


class WebsiteStatus(Status):
    replicas: int = 0
    url: str | None = None


class Website(
    CustomResource,
    group="example.com",
    version="v1",
    short_names=["site"],
    scale=Scale(),
    columns=[
        Column("Replicas", ".spec.replicas"),
        Column.condition("Available"),
        Column.condition("Available", reason=True),
        Column("URL", ".status.url", wide=True),
        Column.age(),
    ],
    selectable=[".spec.image"],
):
    """A static web site, served by a Deployment behind a Service."""

    spec: WebsiteSpec
    status: WebsiteStatus = WebsiteStatus()


@registry.reconciler(Website, owns=["v1/ConfigMap"])
def website(site: Website, ctx: Context) -> None:
    page = {"index.html": site.spec.html or ""}
    name = f"{site.metadata.name}-html"
    ctx.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": page})
    ctx.patch_status(WebsiteStatus(replicas=site.spec.replicas).to_dict())
    ctx.set_condition("Available", True, reason="PageWritten")
