"""A static web site: one `Website` becomes a ConfigMap, a Deployment and a Service, and a record of its domain elsewhere.

    operator-kit run --sandbox --load examples/website examples/website.py

It shows children that follow their owner, a condition and an Event that tell what is wrong, a wake-up by an object that is not a
child (the ConfigMap a site takes its page from), and a cleanup of what no owner reference can reach.
"""

from __future__ import annotations

import hashlib
from typing import Any

from operator_kit import Context, TemporaryError, reconciler

Object = dict[str, Any]
DNS = "dns"  # the namespace of the domains' records


def sites_with_page(config_map: Object) -> list[str]:
    """A ConfigMap labelled with the site it is for wakes that site."""
    meta = config_map["metadata"]
    site = (meta.get("labels") or {}).get("example.com/site")
    return [f"{meta['namespace']}/{site}"] if site else []


@reconciler(
    "Website",
    owns=["apps/v1/Deployment", "v1/Service", "v1/ConfigMap"],
    watches={"v1/ConfigMap": sites_with_page},
    permissions=["get,create,patch,delete v1/ConfigMap in dns"],  # the records, for who watches other namespaces only
)
def website(site: Object, ctx: Context) -> None:
    """Make the children of one site, and say in its status how they are."""
    name, spec = site["metadata"]["name"], site["spec"]
    html = front_page(site, ctx)
    labels = {"app.kubernetes.io/name": "website", "app.kubernetes.io/instance": name}
    ctx.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"{name}-html", "labels": labels},
            "data": {"index.html": html},
        }
    )
    live = ctx.apply(deployment(name, spec, labels, html))
    ctx.apply(service(name, labels))
    if domain := spec.get("domain"):
        ctx.apply(record(site, domain), owned=False)
        ctx.patch_status({"url": f"http://{domain}/"})

    ready = live.get("status", {}).get("readyReplicas", 0)
    ctx.patch_status({"replicas": live.get("status", {}).get("replicas", 0)})
    if ready < spec["replicas"]:
        ctx.set_condition("Available", False, reason="PodsStarting", message=f"{ready} of {spec['replicas']} pods are ready")
        return  # the Deployment is a child: its next change runs this again
    ctx.set_condition("Available", True, reason="PodsReady", message=f"{ready} pods are ready")


@website.cleanup
def remove_record(site: Object, ctx: Context) -> None:
    """Take the domain's record out: it is in another namespace, where no owner reference reaches."""
    ctx.delete("v1/ConfigMap", record_name(site), namespace=DNS)


def front_page(site: Object, ctx: Context) -> str:
    """The page itself, or the one in the ConfigMap it names. Raises `TemporaryError` while that is missing."""
    spec = site["spec"]
    if "htmlFrom" not in spec:
        return str(spec.get("html", ""))
    source = spec["htmlFrom"]["configMap"]
    config_map = ctx.get_or_none("v1/ConfigMap", source)
    if config_map is None or "index.html" not in config_map.get("data", {}):
        message = f"the ConfigMap {source} with a key index.html does not exist"
        ctx.set_condition("Available", False, reason="PageMissing", message=message)
        raise TemporaryError(message)
    return str(config_map["data"]["index.html"])


def deployment(name: str, spec: Object, labels: dict[str, str], html: str) -> Object:
    """The pods. The page's hash is on them, so that a new page rolls them."""
    page = hashlib.sha256(html.encode()).hexdigest()[:12]
    container = {
        "name": "web",
        "image": spec["image"],
        "ports": [{"containerPort": 80, "protocol": "TCP"}],
        "volumeMounts": [{"name": "html", "mountPath": "/usr/share/nginx/html"}],
    }
    pod = {"containers": [container], "volumes": [{"name": "html", "configMap": {"name": f"{name}-html"}}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": spec["replicas"],
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels, "annotations": {"example.com/page": page}}, "spec": pod},
        },
    }


def service(name: str, labels: dict[str, str]) -> Object:
    """The address inside the cluster."""
    port = {"name": "http", "port": 80, "protocol": "TCP", "targetPort": 80}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": labels},
        "spec": {"selector": labels, "ports": [port]},
    }


def record_name(site: Object) -> str:
    """One record per site, named for both its namespace and its name."""
    return f"{site['metadata']['namespace']}.{site['metadata']['name']}"


def record(site: Object, domain: str) -> Object:
    """The stand-in for a DNS record."""
    target = f"{site['metadata']['name']}.{site['metadata']['namespace']}.svc"
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": record_name(site), "namespace": DNS},
        "data": {"domain": domain, "target": target},
    }
