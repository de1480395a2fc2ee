"""What a run works with: what all runs of its controller share (`Scope`), what is its own (`Run`), what it wrote (`Write`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from operator_kit.clock import Clock, Signal
from operator_kit.objects import Object, Resource, key_of, resource_version_of, uid_of
from operator_kit.observe.logging import BoundLogger

if TYPE_CHECKING:
    from operator_kit.api import Client
    from operator_kit.controller.applier import Applier
    from operator_kit.controller.events import EventRecorder
    from operator_kit.controller.listers import Caches
    from operator_kit.controller.ownership import Marks
    from operator_kit.leader import Fence

__all__ = ["Run", "Scope", "Write"]


@dataclass(frozen=True, slots=True)
class Scope:
    """What all runs of one controller share."""

    controller: str
    client: Client
    caches: Caches
    applier: Applier
    recorder: EventRecorder
    clock: Clock
    stopping: Signal
    fence: Fence
    field_manager: str
    marks: Marks
    request_timeout: float


class Write(NamedTuple):
    """One write of a run, so that the next run can wait until the cache holds it.

    `version` is empty for a delete, which counts by uid.
    """

    resource: Resource
    key: str
    uid: str
    version: str


@dataclass(slots=True)
class Run:
    """One run of one object: what its context needs to know."""

    obj: Object
    log: BoundLogger
    attempt: int
    deadline: float | None
    reason: str = ""
    live: bool = False  # the caches are behind this object's own writes: everything is read from the server
    writes: list[Write] = field(default_factory=list)
    applied: dict[tuple[Resource, str], str] = field(default_factory=dict)  # the children that were wanted, with their hash
    again: float = 0.0  # seconds after which a child must be applied that was held back now
    read: set[str] = field(default_factory=set)  # `group_resource` of what the author's function saw and did not write itself
    given: str = ""  # the version of the object that the author's function was given
    over: bool = False

    def known(self, first: Object, own: Resource) -> list[Write]:
        """The versions of which the key need not be told: running again for them would be handed the same answers.

        Args:
            first: the object as the cache held it: of that version it was told already.
            own: its kind.
        """
        key = key_of(self.obj)
        known = [write for write in self.writes if write.version and (write.resource, write.key) != (own, key)]
        if self.given and self.given != resource_version_of(first):
            known.append(Write(own, key, uid_of(self.obj), self.given))
        return [write for write in known if write.resource.group_resource not in self.read]
