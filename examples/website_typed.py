"""examples/website.py with its kind as a class, from which the CRD is written.

operator-kit run --sandbox examples/website_typed.py
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from pydantic import Field

from operator_kit import Context, TemporaryError, reconciler
from operator_kit.models import Column, CustomResource, Model, Rule, Scale, Status

DNS = "dns"  # the namespace of the domains' records


class PageSource(Model):
    """A ConfigMap of the same namespace that holds the front page under the key index.html."""

    config_map: Annotated[str, Field(min_length=1)]


class WebsiteSpec(Model, rules=[Rule("has(self.html) != has(self.htmlFrom)", "give either html or htmlFrom")]):
    replicas: Annotated[int, Field(ge=0, le=20)] = 1
    """How many pods serve the site."""
    image: Annotated[str, Field(min_length=1)] = "nginx:1.27"
    """The web server's image."""
    html: Annotated[str, Field(max_length=65536)] | None = None
    """The front page."""
    html_from: PageSource | None = None
    domain: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)] | None = None
    """The host name under which the site is registered in the namespace dns."""


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
        Column.age(),
    ],
):
    """A static web site, served by a Deployment behind a Service."""

    spec: WebsiteSpec
    status: WebsiteStatus = WebsiteStatus()


def sites_with_page(config_map: dict[str, Any]) -> list[str]:
    """A ConfigMap labelled with the site it is for wakes that site."""
    meta = config_map["metadata"]
    site = (meta.get("labels") or {}).get("example.com/site")
    return [f"{meta['namespace']}/{site}"] if site else []


@reconciler(
    Website,
    owns=["apps/v1/Deployment", "v1/Service", "v1/ConfigMap"],
    watches={"v1/ConfigMap": sites_with_page},
)
def website(site: Website, ctx: Context) -> None:
    """Make the children of one site, and say in its status how they are."""
    name, spec = site.metadata.name, site.spec
    labels = {"app.kubernetes.io/name": "website", "app.kubernetes.io/instance": name}
    html = front_page(site, ctx)
    ctx.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"{name}-html", "labels": labels},
            "data": {"index.html": html},
        }
    )
    container = {
        "name": "web",
        "image": spec.image,
        "ports": [{"containerPort": 80, "protocol": "TCP"}],
        "volumeMounts": [{"name": "html", "mountPath": "/usr/share/nginx/html"}],
    }
    page = {"example.com/page": hashlib.sha256(html.encode()).hexdigest()[:12]}  # a new page rolls the pods
    pod = {"containers": [container], "volumes": [{"name": "html", "configMap": {"name": f"{name}-html"}}]}
    live = ctx.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "replicas": spec.replicas,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels, "annotations": page}, "spec": pod},
            },
        }
    )
    ports = [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 80}]
    ctx.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "labels": labels},
            "spec": {"selector": labels, "ports": ports},
        }
    )
    status = WebsiteStatus(replicas=live.get("status", {}).get("replicas", 0))
    if spec.domain:
        target = f"{name}.{site.metadata.namespace}.svc"
        ctx.apply(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": record_name(site), "namespace": DNS},
                "data": {"domain": spec.domain, "target": target},
            },
            owned=False,
        )
        status.url = f"http://{spec.domain}/"
    ctx.patch_status(status.to_dict())

    ready = live.get("status", {}).get("readyReplicas", 0)
    if ready < spec.replicas:
        ctx.set_condition("Available", False, reason="PodsStarting", message=f"{ready} of {spec.replicas} pods are ready")
        return  # the Deployment is a child: its next change runs this again
    ctx.set_condition("Available", True, reason="PodsReady", message=f"{ready} pods are ready")


@website.cleanup
def remove_record(site: Website, ctx: Context) -> None:
    """Take the domain's record out: it is in another namespace, where no owner reference reaches."""
    ctx.delete("v1/ConfigMap", record_name(site), namespace=DNS)


def front_page(site: Website, ctx: Context) -> str:
    """The page itself, or the one in the ConfigMap it names. Raises `TemporaryError` while that is missing."""
    if site.spec.html_from is None:
        return site.spec.html or ""
    source = site.spec.html_from.config_map
    config_map = ctx.get_or_none("v1/ConfigMap", source)
    if config_map is None or "index.html" not in config_map.get("data", {}):
        message = f"the ConfigMap {source} with a key index.html does not exist"
        ctx.set_condition("Available", False, reason="PageMissing", message=message)
        raise TemporaryError(message)
    return str(config_map["data"]["index.html"])


def record_name(site: Website) -> str:
    """One record per site, named for both its namespace and its name."""
    return f"{site.metadata.namespace}.{site.metadata.name}"
