"""The whole life of an object, told as it happens: `make demo`.

Three processes, as in real life: an API server (the embedded one), the operator (`operator-kit run …`), and this
script, which plays the user and the kubelet, and tells only what it read from the API server. It ends with 0 when every step came
true, with 1 and the step that did not otherwise, and with 130 on Ctrl-C.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from operator_kit.clock import Clock
from operator_kit.errors import ApiError, ConnectionFailed, NotFound, OperatorKitError

if TYPE_CHECKING:
    from operator_kit.api import Client

# What takes long to import is imported inside `main`, which has an answer to Ctrl-C.

Object = dict[str, Any]
HERE = Path(__file__).resolve().parent
PATIENCE = 60.0  # seconds a step may take before it counts as not come true
NAMESPACE = "default"


class DemoFailed(Exception):
    """A step did not come true."""


class Demo:
    """The teller: reads the API server, waits for what should come true, and says it in a line."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self.client = client
        self.clock = clock
        self.began = clock.monotonic()
        kinds = (
            "v1/ConfigMap",
            "v1/Service",
            "v1/Event",
            "apps/v1/Deployment",
            "apiextensions.k8s.io/v1/CustomResourceDefinition",
        )
        self.kinds = {kind.rpartition("/")[2]: client.discovery.resolve(kind) for kind in kinds}

    def tell(self, title: str, text: str) -> None:
        """One line of the story."""
        print(f"{self.clock.monotonic() - self.began:6.2f} s  {title:<11} {text}", flush=True)

    def until(self, expected: str, look: Callable[[], Any]) -> Any:
        """Look at the API server until there is something to see. Raises `DemoFailed` with what was expected."""
        deadline = self.clock.monotonic() + PATIENCE
        while True:
            seen = look()
            if seen:
                return seen
            if self.clock.monotonic() > deadline:
                raise DemoFailed(f"expected {expected}; it did not come true within {PATIENCE:.0f} s")
            self.clock.sleep(0.05)

    def get(self, kind: str, name: str, namespace: str = NAMESPACE) -> Object | None:
        """An object as the API server holds it, or None."""
        try:
            return self.client.get(self.kinds[kind], name, namespace)
        except NotFound:
            return None

    def site(self, name: str) -> Object | None:
        """A Website."""
        return self.get("Website", name)

    def children(self, site: Object) -> list[str]:
        """What the API server holds with this site as its owner, `"Kind name"` each."""
        found = []
        for kind in ("ConfigMap", "Deployment", "Service"):
            for item in self.client.list(self.kinds[kind], NAMESPACE).items:
                owners = item["metadata"].get("ownerReferences", [])
                if any(owner["uid"] == site["metadata"]["uid"] for owner in owners):
                    found.append(f"{kind} {item['metadata']['name']}")
        return found

    def condition(self, name: str) -> Object:
        """The Available condition of a site, or an empty mapping."""
        status = (self.site(name) or {}).get("status", {})
        return next((item for item in status.get("conditions", []) if item["type"] == "Available"), {})

    def events(self, name: str) -> list[Object]:
        """The Events about a site."""
        items = self.client.list(self.kinds["Event"], NAMESPACE).items
        about = [(item.get("involvedObject") or item.get("regarding") or {}, item) for item in items]
        return [item for regarding, item in about if regarding.get("name") == name and regarding.get("kind") == "Website"]


def play(demo: Demo) -> None:
    """The story."""
    install(demo)
    create(demo)
    edit(demo)
    repair(demo)
    fail_alone(demo)
    delete(demo)


def install(demo: Demo) -> None:
    """The kind, and the namespace of the domains' records."""
    crds = demo.kinds["CustomResourceDefinition"]
    demo.client.create(crds, document("crd.yaml"))
    namespaces = demo.client.discovery.resolve("v1/Namespace")
    demo.client.create(namespaces, document("namespace.yaml"))

    def established() -> bool:
        conditions = demo.client.get(crds, "websites.example.com").get("status", {}).get("conditions", [])
        return any(item["type"] == "Established" and item["status"] == "True" for item in conditions)

    demo.until("the CRD to be established", established)
    demo.client.discovery.refresh()
    demo.kinds["Website"] = demo.client.discovery.resolve("example.com/v1/Website")
    demo.tell("install", "the CRD websites.example.com is established; the waiting operator may begin")


def create(demo: Demo) -> None:
    """Children appear; the kubelet's part is played; the condition follows."""
    site = demo.client.create(demo.kinds["Website"], document("blog.yaml"), namespace=NAMESPACE)
    demo.tell("create", f"Website blog, {site['spec']['replicas']} replicas, image {site['spec']['image']} by default")
    children = demo.until("three children of the Website", lambda: found if len(found := demo.children(site)) == 3 else None)
    demo.tell("children", f"{', '.join(children)}; each owned by Website blog")
    record = demo.until("the record of the domain", lambda: demo.get("ConfigMap", "default.blog", "dns"))
    finalizers = (demo.site("blog") or {})["metadata"].get("finalizers", [])
    demo.tell(
        "", f"record {record['data']['domain']} -> {record['data']['target']} in namespace dns; finalizer {', '.join(finalizers)}"
    )
    condition = demo.until("the condition Available", lambda: demo.condition("blog"))
    demo.tell("status", f"Available={condition['status']} {condition['reason']}: {condition['message']}")
    kubelet(demo, "blog", 2)
    condition = demo.until("Available=True", lambda: found if (found := demo.condition("blog")).get("status") == "True" else None)
    demo.tell("status", f"the pods became ready (played by this script): Available={condition['status']} {condition['reason']}")


def edit(demo: Demo) -> None:
    """A change of the spec reaches the child."""
    demo.client.patch(demo.kinds["Website"], "blog", NAMESPACE, {"spec": {"replicas": 3, "html": "<h1>New</h1>"}})
    demo.tell("edit", "replicas: 3, and a new page")

    def followed() -> Object | None:
        live, page = demo.get("Deployment", "blog"), demo.get("ConfigMap", "blog-html")
        done = live and page and live["spec"]["replicas"] == 3 and page["data"]["index.html"] == "<h1>New</h1>"
        return live if done else None

    live = demo.until("the Deployment and the page to follow", followed)
    demo.tell(
        "", f"Deployment blog: {live['spec']['replicas']} replicas, generation {live['metadata']['generation']}; the page is new"
    )
    kubelet(demo, "blog", 3)
    demo.until(
        "Available=True again",
        lambda: demo.condition("blog").get("observedGeneration") == 2 and demo.condition("blog")["status"] == "True",
    )


def repair(demo: Demo) -> None:
    """A child deleted by hand comes back."""
    gone = demo.get("Service", "blog")
    if gone is None:
        raise DemoFailed("expected a Service blog to delete")
    demo.client.delete(demo.kinds["Service"], "blog", NAMESPACE)
    demo.tell("repair", "Service blog deleted by hand")
    back = demo.until(
        "the Service to come back", lambda: found if (found := demo.get("Service", "blog")) and uid(found) != uid(gone) else None
    )
    demo.tell("", f"Service blog is back, with another uid ({uid(back)[:8]}, was {uid(gone)[:8]})")


def fail_alone(demo: Demo) -> None:
    """One object fails and backs off, others proceed, and it heals when its cause is gone."""
    demo.client.create(demo.kinds["Website"], document("broken.yaml"), namespace=NAMESPACE)
    condition = demo.until("a condition of the failing site", lambda: demo.condition("broken"))
    demo.tell("failure", f"Website broken: Available={condition['status']} {condition['reason']}: {condition['message']}")
    event = demo.until("an Event about it", lambda: next(iter(demo.events("broken")), None))
    demo.tell("", f"Event {event.get('type')} {event.get('reason')}: {event.get('message') or event.get('note')}")
    names = [f"site-{number}" for number in range(20)]
    began = demo.clock.monotonic()
    for name in names:
        body = {"apiVersion": "example.com/v1", "kind": "Website", "metadata": {"name": name}, "spec": {"html": name}}
        demo.client.create(demo.kinds["Website"], body, namespace=NAMESPACE)
    demo.until("twenty other sites to get their Deployments", lambda: all(demo.get("Deployment", name) for name in names))
    demo.tell(
        "isolation", f"20 other sites were created and converged within {demo.clock.monotonic() - began:.2f} s while it backs off"
    )
    if demo.get("Deployment", "broken"):
        raise DemoFailed("Website broken has a Deployment, though its page is missing")
    page = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "front-page", "labels": {"example.com/site": "broken"}},
        "data": {"index.html": "<h1>Mended</h1>"},
    }
    demo.client.create(demo.kinds["ConfigMap"], page, namespace=NAMESPACE)
    demo.until("the mended site to get its Deployment", lambda: demo.get("Deployment", "broken"))
    condition = demo.until(
        "its condition to change", lambda: found if (found := demo.condition("broken")).get("reason") == "PodsStarting" else None
    )
    demo.tell("healing", f"its ConfigMap appeared: Deployment broken made; Available={condition['status']} {condition['reason']}")


def delete(demo: Demo) -> None:
    """Cleanup runs, the finalizer goes, the children are collected."""
    site = demo.site("blog")
    if site is None:
        raise DemoFailed("Website blog is gone before anyone deleted it")
    children = demo.children(site)
    demo.client.delete(demo.kinds["Website"], "blog", NAMESPACE)
    demo.tell("delete", f"Website blog, with {len(children)} children and a record of its domain")
    demo.until("the cleanup to take the record out", lambda: demo.get("ConfigMap", "default.blog", "dns") is None)
    demo.until("the Website to be gone", lambda: demo.site("blog") is None)
    demo.tell("cleanup", "the record was taken out of namespace dns, the finalizer off; Website blog is gone")
    demo.until("the children to be collected", lambda: not demo.children(site))
    demo.tell("collected", f"{', '.join(children)}: gone")


def kubelet(demo: Demo, name: str, replicas: int) -> None:
    """Play the controllers that a bare API server lacks: the Deployment's pods are ready."""
    status = {"replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas, "updatedReplicas": replicas}
    demo.client.patch(demo.kinds["Deployment"], name, NAMESPACE, {"status": status}, subresource="status")


def uid(obj: Object) -> str:
    """The uid of an object."""
    return str(obj["metadata"]["uid"])


def document(name: str) -> Object:
    """One of the example's manifests."""
    import yaml

    loaded: Object = yaml.safe_load((HERE / "website" / name).read_text(encoding="utf-8"))
    return loaded


@contextmanager
def process(*arguments: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """An `operator-kit` process, stopped with SIGTERM at the end; its log is kept for when something goes wrong."""
    with log.open("wb") as out:
        running = subprocess.Popen([sys.executable, "-m", "operator_kit", *arguments], stdout=out, stderr=subprocess.STDOUT)
        try:
            yield running
        finally:
            running.terminate()
            try:
                code = running.wait(timeout=60)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()
                code = None
    if code != 0 and sys.exc_info()[0] is None:
        raise DemoFailed(f"operator-kit {arguments[0]} ended with {code} instead of 0:\n{tail(log)}")


def tail(log: Path, lines: int = 12) -> str:
    """The end of a log, indented."""
    return "\n".join(f"    {line}" for line in log.read_text("utf-8", "replace").splitlines()[-lines:])


def connect(kubeconfig: Path, server: subprocess.Popen[bytes], clock: Clock) -> Client:
    """Wait until the API server has written its kubeconfig and answers."""
    from operator_kit.api import Client

    deadline = clock.monotonic() + PATIENCE
    while clock.monotonic() < deadline and server.poll() is None:
        if kubeconfig.exists():
            client = Client.from_config(kubeconfig=str(kubeconfig))
            try:
                client.discovery.resolve("v1/ConfigMap")
            except (ConnectionFailed, ApiError):
                client.close()
            else:
                return client
        clock.sleep(0.05)
    raise DemoFailed(f"the embedded API server did not answer within {PATIENCE:.0f} s")


def main() -> int:
    """Play the demo. Returns the exit code."""
    try:
        return perform(Clock())
    except KeyboardInterrupt:
        print("\nThe demo was interrupted; its operator and its API server are stopped.", file=sys.stderr)
        return 130


def perform(clock: Clock) -> int:
    """Start the processes, play, and say how it went. Returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="operator-kit-demo-") as scratch:
        kubeconfig, server_log, operator_log = (Path(scratch) / name for name in ("kubeconfig", "server.log", "operator.log"))
        try:
            with process("sandbox", "--kubeconfig", str(kubeconfig), log=server_log) as server:
                client = connect(kubeconfig, server, clock)
                try:
                    demo = Demo(client, clock)
                    demo.tell("server", f"embedded API server at {client.host}, pid {server.pid}")
                    with process("run", "--kubeconfig", str(kubeconfig), str(HERE / "website.py"), log=operator_log) as operator:
                        demo.tell("operator", f"operator-kit run examples/website.py, pid {operator.pid}")
                        play(demo)
                        if operator.poll() is not None:
                            raise DemoFailed("the operator ended before it was told to")
                    demo.tell("stop", "the operator stopped on SIGTERM with exit code 0")
                finally:
                    client.close()
            demo.tell("done", "every step came true")
        except (DemoFailed, OperatorKitError) as exc:
            print(f"\nThe demo failed: {exc}", file=sys.stderr)
            for name, log in (("operator", operator_log), ("server", server_log)):
                if log.exists():
                    print(f"  the {name}'s log ended with\n{tail(log)}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
