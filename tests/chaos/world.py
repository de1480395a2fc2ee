"""A sandbox, the example operator in this process, and what must be true of both once all faults are lifted.

Times are scaled down by settings: the operator gives up on a request after 0.4 s, backs off 0.1 s at most, and takes a watch for dead
after 0.3 s of silence.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from operator_kit import Registry
from operator_kit.api import Client
from operator_kit.cache import ReflectorSettings
from operator_kit.controller.registry import collect
from operator_kit.objects import Object, key_of, name_of, uid_of
from operator_kit.sandbox import Sandbox
from operator_kit.settings import Settings
from operator_kit.testing import Cluster, OperatorFaults, RunningOperator, differences
from operator_kit.testing.faults import OPERATOR_AGENT, TEST_AGENT
from operator_kit.testing.running import collect_targets
from tests.processes import ROOT

with collect(Registry()):  # not in the default one: the tests of the examples load what has the same name
    from examples import website

NAMESPACE = "default"
LABELS = "app.kubernetes.io/name=website"
SETTINGS = Settings(
    workers=3,
    resync=1800.0,
    request_timeout=0.4,
    reconcile_timeout=2.0,
    shutdown_timeout=30.0,
    backoff_base=0.01,
    backoff_max=0.1,
)
REFLECTOR = ReflectorSettings(
    list_timeout=0.4,
    watch_timeout=(1.0, 1.0),
    silence=0.3,
    margin=0.3,
    short_watch=0.02,
    backoff_base=0.02,
    backoff_max=0.1,
    backoff_reset=1.0,
)
BOOTSTRAP = [ROOT / "examples" / "website" / name for name in ("crd.yaml", "namespace.yaml")]


class World:
    """Use it as a context; `start` the operator in it."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.settings = settings
        self.sandbox = Sandbox(bookmark_interval=0.1)
        self.faults = OperatorFaults(self.sandbox)
        self.running: RunningOperator | None = None
        self.sent = 0  # requests of operators that were stopped

    def __enter__(self) -> Self:
        self.sandbox.start()
        self.sandbox.load(*BOOTSTRAP)
        self._reader = Client.from_kubeconfig_dict(self.sandbox.kubeconfig(), user_agent=TEST_AGENT)
        self.cluster = Cluster(self._reader)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        try:
            self.faults.clear()
            self.stop()
        finally:
            self._reader.close()
            self.sandbox.stop()

    # ------------------------------------------------------------------ the operator

    def start(self) -> RunningOperator:
        client = Client.from_kubeconfig_dict(
            self.sandbox.kubeconfig(), user_agent=OPERATOR_AGENT, request_timeout=self.settings.request_timeout
        )
        registry = collect_targets([website])
        self.running = RunningOperator(registry, client, self._reader, self.settings, reflector=REFLECTOR).start()
        return self.running

    def stop(self) -> None:
        """Stop the operator; it must leave no thread."""
        if self.running is not None:
            running, self.running = self.running, None
            running.stop()
            self.sent += running.requests

    @property
    def requests(self) -> int:
        return self.sent + (self.running.requests if self.running else 0)

    # ------------------------------------------------------------------ what people do

    def site(self, name: str, **spec: Any) -> None:
        """Create a site, or replace its spec."""
        if not {"html", "htmlFrom"} & set(spec):
            spec["html"] = name
        self.cluster.load(
            {"apiVersion": "example.com/v1", "kind": "Website", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}
        )

    def page(self, name: str, site: str, text: str) -> None:
        """Create, or replace, the ConfigMap with the page of a site."""
        meta = {"name": name, "namespace": NAMESPACE, "labels": {"example.com/site": site}}
        self.cluster.load({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"index.html": text}})

    def sites(self) -> dict[str, Object]:
        return {name_of(site): site for site in self.cluster.list("Website")}

    # ------------------------------------------------------------------ what must be true

    def converge(self, timeout: float = 60.0) -> None:
        """Once nothing strikes any more all becomes as it should be."""
        assert self.running is not None
        self.running.settle(timeout)
        wrong = [*self._wrong_children(), *self._wrong_caches()]
        assert not wrong, "\n".join(wrong)

    def _wrong_children(self) -> list[str]:
        """Every site has exactly its children, as they should be, and nothing is left of deleted sites."""
        cluster = self.cluster
        children = {
            (kind, name_of(obj)): obj
            for kind in ("ConfigMap", "Deployment", "Service")
            for obj in cluster.list(kind, selector=LABELS)
        }
        records = {name_of(obj): obj for obj in cluster.list("ConfigMap", namespace=website.DNS)}
        wrong = []
        for name, site in self.sites().items():
            spec = site["spec"]
            html = spec.get("html", "")
            if "htmlFrom" in spec:
                page = cluster.get("ConfigMap", spec["htmlFrom"]["configMap"])
                html = page["data"]["index.html"] if page else "(there is no page)"
            labels = {"app.kubernetes.io/name": "website", "app.kubernetes.io/instance": name}
            owned = {
                "metadata": {"labels": labels, "ownerReferences": [{"kind": "Website", "uid": uid_of(site), "controller": True}]}
            }
            expected: dict[tuple[str, str], list[Object]] = {
                ("ConfigMap", f"{name}-html"): [owned, {"data": {"index.html": html}}],
                ("Deployment", name): [owned, website.deployment(name, spec, labels, html)],
                ("Service", name): [owned, website.service(name, labels)],
            }
            for key, parts in expected.items():
                found = children.pop(key, None)
                for part in parts:
                    wrong += [f"{' '.join(key)} of site {name}: {line}" for line in differences(found or {}, part)]
            if domain := spec.get("domain"):
                found = records.pop(website.record_name(site), {})
                wrong += [f"record of site {name}: {line}" for line in differences(found, website.record(site, domain))]
            wrong += [f"status of site {name}: {line}" for line in differences(site, self._expected_status(site))]
        wrong += [f"nobody's: {' '.join(key)}" for key in children]
        wrong += [f"nobody's: record {name}" for name in records]
        return wrong

    @staticmethod
    def _expected_status(site: Object) -> Object:
        wanted = site["spec"]["replicas"]
        ready = wanted == 0
        conditions = {item["type"]: item for item in (site.get("status") or {}).get("conditions", ())}
        available = {
            "status": str(ready),
            "reason": "PodsReady" if ready else "PodsStarting",
            "message": f"{'0 pods' if ready else f'0 of {wanted} pods'} are ready",
        }
        # A failure that is over is told to be over; the order of conditions is nobody's business.
        expected = [
            {"type": kind, **(available if kind == "Available" else {"status": "True"})}
            for kind in conditions or {"Available": {}}
        ]
        return {"status": {"observedGeneration": site["metadata"]["generation"], "conditions": expected}}

    def _wrong_caches(self) -> list[str]:
        """Every cache holds what the server does, object by object."""
        assert self.running is not None
        wrong = []
        for informer in self.running.informers():
            live = {key_of(obj): obj for obj in self._reader.list_all(informer.resource).items}
            held = {key_of(obj): obj for obj in informer.store.list()}
            for key in live.keys() | held.keys():
                if key not in live or key not in held:
                    wrong.append(f"cache of {informer.resource}: {key} is only {'held' if key in held else 'on the server'}")
                    continue
                for obj in (live[key], held[key]):
                    obj["metadata"].pop("managedFields", None)
                if live[key] != held[key]:
                    wrong += [f"cache of {informer.resource}: {key}: {line}" for line in differences(held[key], live[key])] or [
                        f"cache of {informer.resource}: {key} holds more than the server"
                    ]
        return wrong
