"""Random mixtures of everything: people who edit, a server that lies, an operator that is restarted. The same seed does the same.

(The same choices, that is: threads and the network still run as they like.)
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from typing import Any

from operator_kit.clock import Clock
from operator_kit.errors import NotFound
from operator_kit.sandbox.faults import EVENT_ACTIONS, REQUEST_ACTIONS, STREAM_ACTIONS
from tests.chaos.world import LABELS, SETTINGS, World

__all__ = ["Report", "replay", "run_seed"]

CLOCK = Clock()
NAMES = ("anna", "berta", "carla", "dora")
RESOURCES = (
    "",
    "",
    "",
    "websites.example.com",
    "websites.example.com/*",
    "websites.example.com/status",
    "deployments.apps",
    "services",
    "configmaps",
    "events.events.k8s.io",
)
VERBS = ("", "", "list", "watch", "patch", "patch", "delete", "create")
CODES = (401, 403, 409, 410, 422, 429, 500, 503, 504)
LOSSY = {"drop", "reorder"}  # an event that is held back when its stream breaks is lost
MOST = 600  # requests per second, over the whole of a seed, of an operator that pauses between its tries


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """What a seed came to."""

    seed: int
    seconds: float
    requests: int
    struck: int
    story: tuple[str, ...]


class Chaos:
    """What one seed does, step by step. `story` tells it."""

    def __init__(self, seed: int, world: World, *, lossy: bool) -> None:
        self.dice = random.Random(seed)
        self.actions = sorted((REQUEST_ACTIONS | STREAM_ACTIONS | EVENT_ACTIONS) - (set() if lossy else LOSSY))
        self.world = world
        self.faults: list[int] = []
        self.struck = 0
        self.story: list[str] = []
        self.number = 0

    def step(self) -> None:
        weighted: list[tuple[int, Callable[[], str]]] = [
            (8, self.strike),
            (2, self.lift),
            (5, self.create_or_edit),
            (2, self.delete),
            (2, self.recreate),
            (3, self.deface),
            (2, self.remove_child),
            (2, self.change_page),
            (1, self.forget_history),
            (1, self.skew),
            (1, self.restart),
        ]
        act = self.dice.choices([act for _, act in weighted], [weight for weight, _ in weighted])[0]
        self.story.append(act())
        CLOCK.sleep(self.dice.choice((0.0, 0.005, 0.02, 0.05)))

    # ------------------------------------------------------------------ faults

    def strike(self) -> str:
        action = self.dice.choice(self.actions)
        fields: dict[str, Any] = {"resource": self.dice.choice(RESOURCES), "share": self.dice.choice((0.2, 0.5, 1.0))}
        if action in REQUEST_ACTIONS:
            fields["verb"] = self.dice.choice(VERBS)
        else:
            fields["events"] = self.dice.choice((0, 0, 1, 3))
        if action in {"status", "error"}:
            # A server that says of an object that it is gone is believed: 404 is for kinds that are not served for a while.
            fields["code"] = self.dice.choice((*CODES, 404) if fields.get("verb") in {"list", "watch"} else CODES)
        if action == "status" and self.dice.random() < 0.1:
            fields["retry_after"] = self.dice.choice((0, 1))
        if action == "delay":
            fields["seconds"] = self.dice.choice((0.005, 0.05, 0.2))
        if self.dice.random() < 0.5:
            fields["count"] = self.dice.choice((1, 3, 10))
        fields["seed"] = self.dice.randrange(1 << 30)
        self.faults.append(self.world.faults.add(action, **fields))
        return f"fault {self.faults[-1]}: {action} {fields}"

    def lift(self) -> str:
        if not self.faults:
            return self.strike()
        number = self.faults.pop(self.dice.randrange(len(self.faults)))
        self.struck += self.world.faults.struck(number)
        self.world.faults.remove(number)
        return f"fault {number} is lifted"

    def lift_all(self) -> None:
        while self.faults:
            self.story.append(self.lift())

    def forget_history(self) -> str:
        self.world.sandbox.forget_history()
        return "the server forgets its history"

    def skew(self) -> str:
        seconds = self.dice.choice((-3600.0, 3600.0, 0.0))
        self.world.sandbox.skew_clock(seconds)
        return f"the server's clock is {seconds:+.0f} s off"

    def restart(self) -> str:
        self.world.stop()
        self.world.start()
        return "the operator is restarted"

    # ------------------------------------------------------------------ people

    def create_or_edit(self) -> str:
        name = self.dice.choice(NAMES)
        spec: dict[str, Any] = {"replicas": self.dice.randrange(4)}
        if self.dice.random() < 0.3:
            spec["htmlFrom"] = {"configMap": f"{name}-page"}
        else:
            self.number += 1
            spec["html"] = f"page {self.number}"
        if name in NAMES[:2]:  # the example keeps the record of a domain that is taken out of a spec
            spec["domain"] = f"{self.dice.choice('xyz')}.example.com"
        live = self.world.sites().get(name)
        if live is not None and "deletionTimestamp" in live["metadata"]:
            return f"site {name} is being deleted, and left alone"
        self.world.site(name, **spec)
        return f"site {name}: {spec}"

    def delete(self) -> str:
        name = self.dice.choice(NAMES)
        try:
            self.world.cluster.delete("Website", name)
        except NotFound:
            return f"site {name} is not there to delete"
        return f"site {name} is deleted"

    def recreate(self) -> str:
        """Delete, and create again as soon as the name is free: another uid under the same key."""
        name = self.dice.choice(NAMES)
        site = self.world.sites().get(name)
        if site is None or site["metadata"].get("deletionTimestamp"):
            return self.create_or_edit()
        self.world.cluster.delete("Website", name)
        if name in self.world.sites():
            return f"site {name} is deleted, and its name not free yet"
        self.world.site(name, **site["spec"])
        return f"site {name} is deleted and made again"

    def _a_child(self) -> tuple[str, str] | None:
        kind = self.dice.choice(("ConfigMap", "Deployment", "Service"))
        found = [obj["metadata"]["name"] for obj in self.world.cluster.list(kind, selector=LABELS)]
        return (kind, self.dice.choice(found)) if found else None

    def deface(self) -> str:
        child = self._a_child()
        if child is None:
            return "no child to deface"
        body: dict[str, Any] = {
            "ConfigMap": {"data": {"index.html": "defaced"}},
            "Deployment": {"spec": {"replicas": 9}},
            "Service": {"spec": {"selector": {"app.kubernetes.io/name": "other"}}},
        }[child[0]]
        try:
            self.world.cluster.patch(*child, body)
        except NotFound:
            return f"{child} was gone before it could be defaced"
        return f"{child} is defaced"

    def remove_child(self) -> str:
        child = self._a_child()
        if child is None:
            return "no child to remove"
        try:
            self.world.cluster.delete(*child)
        except NotFound:
            return f"{child} was gone before it could be removed"
        return f"{child} is removed"

    def change_page(self) -> str:
        name = self.dice.choice(NAMES)
        if self.dice.random() < 0.3 and self.world.cluster.get("ConfigMap", f"{name}-page"):
            self.world.cluster.delete("ConfigMap", f"{name}-page")
            return f"the page of {name} is deleted"
        self.number += 1
        self.world.page(f"{name}-page", name, f"page {self.number}")
        return f"the page of {name} is page {self.number}"

    def give_pages(self) -> None:
        """A site without its page is never done: now each that needs one has one."""
        for name in NAMES:
            if not self.world.cluster.get("ConfigMap", f"{name}-page"):
                self.world.page(f"{name}-page", name, "the last page")


def replay(seed: int) -> str:
    """The command that runs this seed again."""
    return f"python -m tests.chaos --first {seed} --seeds 1 --verbose"


def run_seed(seed: int) -> Report:
    """Live through one seed. Raises AssertionError, with the story so far, when something is not as it must be in the end."""
    dice = random.Random(seed ^ 0x5EED)
    # What lost events have changed is found by lists alone. Where none are lost, the watch must do without.
    lossy = dice.random() < 0.5
    settings = dataclasses.replace(SETTINGS, workers=dice.choice((1, 3)), resync=0.3 if lossy else 1800.0)
    began = CLOCK.monotonic()
    with World(settings) as world:
        chaos = Chaos(seed, world, lossy=lossy)
        try:
            for _ in range(dice.randrange(3)):
                chaos.story.append(chaos.create_or_edit())
            for _ in range(dice.choice((0, 0, 1, 2))):
                chaos.story.append(chaos.strike())
            world.start()
            if dice.random() < 0.7:
                CLOCK.sleep(0.05)
            for _ in range(dice.randrange(10, 20)):
                chaos.step()
            chaos.lift_all()
            chaos.give_pages()
            world.converge()
            requests, seconds = world.requests, CLOCK.monotonic() - began
            assert requests <= 200 + MOST * seconds, f"{requests} requests in {seconds:.2f} s: something does not pause"
            world.stop()
        except AssertionError as exc:
            told = [f"seed {seed}: {exc}", "what happened:", *(f"  {line}" for line in chaos.story), f"replay: {replay(seed)}"]
            raise AssertionError("\n".join(told)) from exc
    return Report(seed, CLOCK.monotonic() - began, requests, chaos.struck, tuple(chaos.story))
