"""Stand-ins for what a bare API server lacks: the workload controllers, the scheduler and a kubelet.

With them Deployments, ReplicaSets, StatefulSets, DaemonSets and Jobs make progress, Pods appear and become ready, and claims
are bound, each after a set delay. They are level-triggered like the real ones: a change only names what to look at again. They
are no simulation of failures, rolling limits or resources: a Pod always starts, and a Job's Pod always succeeds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from operator_kit.objects import controller_of
from operator_kit.sandbox.deletion import Deleter
from operator_kit.sandbox.status import StatusError
from operator_kit.sandbox.storage import Event
from operator_kit.sandbox.workloads import jobs, pods, replicas, sets
from operator_kit.sandbox.workloads.hands import Hands, Place
from operator_kit.sandbox.world import World
from operator_kit.sandbox.writes import Writer

__all__ = ["NODE", "Workloads"]

NODE = pods.NODE
"""The name of the one node there is."""

After = Callable[[float, Callable[[], None]], Any]

_STEPS: dict[str, Callable[[Hands, Any], float | None]] = {
    "deployments.apps": replicas.deployment,
    "replicasets.apps": replicas.replica_set,
    "statefulsets.apps": sets.stateful_set,
    "daemonsets.apps": sets.daemon_set,
    "jobs.batch": jobs.job,
    "pods": pods.pod,
    "persistentvolumeclaims": pods.claim,
}
_CONTROLLERS = {
    "Deployment": "deployments.apps",
    "ReplicaSet": "replicasets.apps",
    "StatefulSet": "statefulsets.apps",
    "DaemonSet": "daemonsets.apps",
    "Job": "jobs.batch",
}


class Workloads:
    """The stand-ins of one world.

    Args:
        delay: seconds between the steps of a Pod's life.
        after: runs a function after so many seconds, on the world's thread (an event loop's `call_later`).
    """

    def __init__(self, world: World, writer: Writer, deleter: Deleter, *, delay: float, after: After) -> None:
        self._world = world
        self._after = after
        self._queued: set[Place] = set()
        self._hands = Hands(world, writer, deleter, delay)
        world.storage.observers.append(self._see)

    def start(self) -> None:
        """Make the node, and look at everything that is there already."""
        pods.make_node(self._hands)
        for name in _STEPS:
            for entry in self._world.storage.store(name).scan():
                self._queue((name, entry.key))

    def _see(self, event: Event) -> None:
        self._hands.index(event)
        name = event.store.name
        if name in _STEPS and event.new is not None:
            self._queue((name, event.key))
        elif name == "nodes":
            for daemon_set in self._world.storage.store("daemonsets.apps").scan():
                self._queue(("daemonsets.apps", daemon_set.key))
        for entry in filter(None, (event.old, event.new)):
            reference = controller_of(entry.obj)
            owner = _CONTROLLERS.get(reference["kind"]) if reference is not None else None
            if reference is not None and owner is not None:
                self._queue((owner, f"{entry.namespace}/{reference['name']}"))

    def _queue(self, place: Place) -> None:
        if place not in self._queued:
            self._queued.add(place)
            self._world.later(lambda: self._step(place))

    def _step(self, place: Place) -> None:
        self._queued.discard(place)
        name, key = place
        entry = self._world.storage.store(name).get(key)
        if entry is None:
            return
        try:
            again = _STEPS[name](self._hands, entry)
        except StatusError as exc:
            if exc.code in {404, 409}:  # it changed under the step's hands: its event queues it again
                return
            if exc.code == 403:  # its namespace is ending: there is nothing left to do for it
                return
            raise
        if again is not None:
            self._after(again, lambda: self._queue(place))
