"""Leadership in the manager: the election, and the work of each term.

A standby keeps its caches warm and does nothing. When it wins, a new work begins under the fence of that term. When the lease is
lost, the elector's own thread stops that work at once; what runs has until another may lead (lease duration less renew deadline)
to return. Then the process ends, or with `--on-lost-lease rejoin` it is a standby again, once all has returned.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from operator_kit.leader import Elector, Fence, LeaseApi, OnLostLease, Phase, Rules, new_identity
from operator_kit.manager.checks import Finding
from operator_kit.manager.probes import BLIND_AFTER
from operator_kit.manager.stopping import CANCEL_GRACE, Ending, How, report_stop
from operator_kit.manager.work import Shared, Work
from operator_kit.settings import format_duration

if TYPE_CHECKING:
    from operator_kit.controller import EventRecorder
    from operator_kit.manager.binding import Binding
    from operator_kit.objects import Object
    from operator_kit.settings import Settings

__all__ = ["Leadership", "election_rules"]

REPORTER = "operator-kit/leader-election"
WORTH_A_LINE = 5.0  # seconds of trouble with the lease whose end is logged

_log = logging.getLogger("operator_kit.manager")


def election_rules(settings: Settings, namespace: str, environ: Mapping[str, str] | None = None) -> Rules:
    """The election as the settings have it.

    Args:
        settings: what the operator was told.
        namespace: the lease's, where neither the settings nor `POD_NAMESPACE` name one: the pod's or the context's.
        environ: the environment.

    Raises:
        ConfigError: they contradict each other, or the lease has no name.
    """
    env = os.environ if environ is None else environ
    on_lost: OnLostLease = "rejoin" if settings.on_lost_lease == "rejoin" else "exit"
    return Rules(
        namespace=settings.leader_election_namespace or env.get("POD_NAMESPACE", "") or namespace,
        name=settings.leader_election_id,
        identity=new_identity(),
        lease_duration=settings.leader_election_lease_duration,
        renew_deadline=settings.leader_election_renew_deadline,
        retry_period=settings.leader_election_retry_period,
        on_lost_lease=on_lost,
    )


class Leadership:
    """One candidate and its work. Owns the elector's threads.

    Args:
        rules: the election.
        shared: what all work of this process has in common.
        bindings: the reconcilers and tasks that only the leader runs. Others bind them, and keep their caches warm.
        recorder: writes Events about the lease; not fenced.
        changed: called, on the elector's thread, when a term begins or ends.
    """

    def __init__(
        self,
        rules: Rules,
        shared: Shared,
        bindings: Sequence[Binding],
        *,
        recorder: EventRecorder,
        changed: Callable[[], None],
    ) -> None:
        self.rules = rules
        self._shared = shared
        self._bindings = bindings
        self._recorder = recorder
        self._changed = changed
        self._lock = threading.Lock()
        self._fence: Fence | None = None  # under the lock: of the term that began last
        self._work: Work | None = None  # under the lock; made and ended by the manager's thread
        self._ending: Ending | None = None
        self._standing_by = False
        self._failing_since: float | None = None  # written by the manager's thread
        self.elector = Elector(
            LeaseApi(shared.client, rules),
            rules,
            on_started=self._won,
            on_stopped=self._lost,
            record_event=self._record,
            clock=shared.clock,
        )

    # ------------------------------------------------------------------ the elector's thread

    def _won(self, fence: Fence) -> None:
        with self._lock:
            self._fence = fence
        self._changed()

    def _lost(self, _reason: str) -> None:
        # The fence is shut by now. Whoever works is told here and now, whatever the manager's thread is at.
        work = self.work
        if work is not None:
            report_stop(work.stop(), len(work.running()), self.elector.grace())
        self._changed()

    def _record(self, lease: Object, reason: str, note: str) -> None:
        self._recorder.record(lease, controller=REPORTER, reason=reason, note=note)

    # ------------------------------------------------------------------ the manager's thread

    def start(self) -> None:
        """Become a candidate."""
        self.elector.start()

    def tend(self) -> bool:
        """Do what is due: begin the work of a term, start its controllers, see to its end.

        Returns whether the process goes on: not after a loss, unless it rejoins and all work returns in time.

        Raises:
            RuntimeError: the election has died of a defect.
        """
        if self.elector.crash:
            raise RuntimeError(f"the election has died: {self.elector.crash}")
        if not self.problem:
            self._say_that_it_is_over()
        elif self._failing_since is None:
            self._failing_since = self._shared.clock.monotonic()
        with self._lock:
            fence, work = self._fence, self._work
        if fence is None:
            self._stand_by()
        elif not fence.lost.is_set():
            work = work or self._begin(fence)
            work.tend()
        elif self.rules.on_lost_lease == "exit":
            return False
        else:
            return self._see_to_the_end(work)
        return True

    def _say_that_it_is_over(self) -> None:
        """The elector says when the lease cannot be had; what passes with the next try is not worth a second line."""
        since, self._failing_since = self._failing_since, None
        lasted = self._shared.clock.monotonic() - since if since is not None else 0.0
        if since is not None and lasted >= WORTH_A_LINE:
            rules = self.rules
            _log.info("lease %s/%s can be had again, after %s", rules.namespace, rules.name, format_duration(lasted))

    def _begin(self, fence: Fence) -> Work:
        work = Work(self._shared, self._bindings, fence)
        work.begin()
        with self._lock:
            self._work = work
        if fence.lost.is_set():
            work.stop()  # the elector's thread may have looked for it too early
        return work

    def _see_to_the_end(self, work: Work | None) -> bool:
        """The lease is lost, and this process rejoins once all has returned."""
        if work is not None:
            self._ending = self._ending or Ending(work)
            how = self._ending.look(*self.limits())
            if how is How.OVERDUE:
                return False
            if how is How.WAITING or not work.close(0):
                return True
            work.detach()
            work.forget()
        with self._lock:
            self._work = self._fence = None
        self._ending, self._standing_by = None, False
        self.elector.work_stopped()
        return True

    def _stand_by(self) -> None:
        if not self._standing_by and self._stands_by():
            self._standing_by = True
            _log.info("standing by with warm caches")

    def limits(self) -> tuple[float, float]:
        """After a loss: seconds until coroutines are cancelled, and until nothing may run any more."""
        left = self.elector.grace()
        gap = self.rules.lease_duration - self.rules.renew_deadline
        return left - min(CANCEL_GRACE, gap / 5), left

    def retire(self) -> None:
        """A shutdown begins: do not become leader any more. A leader goes on renewing while its work ends."""
        self.elector.retire()

    def stop(self, *, release: bool, timeout: float) -> bool:
        """Write the Events of the last work, then give the lease back, and end the election.

        Args:
            release: whether all work has ended; a lease whose work has not is left to lapse.
            timeout: seconds for both; the Events may take half of it.

        Returns whether the threads have ended.
        """
        work = self.work
        deadline = self._shared.clock.monotonic() + timeout
        written = work is None or work.close(timeout / 2)
        left = max(0.0, deadline - self._shared.clock.monotonic())
        return self.elector.stop(release=release and written, timeout=left) and written

    # ------------------------------------------------------------------ to be looked at

    @property
    def work(self) -> Work | None:
        """The work of the present term, or of the one that ends; None for a standby."""
        with self._lock:
            return self._work

    @property
    def lost(self) -> bool:
        """Whether the last term has ended, and not by our own wish."""
        return self.elector.state.phase is Phase.LOST or bool(self.elector.crash)

    def settled(self) -> bool:
        """Whether it is clear who works: this process and it has started, or another and this one's caches are warm."""
        work = self.work
        if work is not None:
            return work.started() and not self.lost
        return self._stands_by()

    def _stands_by(self) -> bool:
        """Whether another leads and the caches here are warm."""
        return self.elector.leader not in {"", self.rules.identity} and all(binding.synced() for binding in self._bindings)

    @property
    def problem(self) -> str:
        """Why the lease cannot be read or written, with the remedy; empty when it can."""
        return self.elector.problem

    def check(self) -> Finding:
        """For `/readyz`: a lease that could never be had is a problem at once, one that fails later after `BLIND_AFTER`."""
        problem = self.problem
        since = self._failing_since
        if not problem or since is None:
            return Finding()
        lasting = self._shared.clock.monotonic() - since
        if self.elector.state.record is None or lasting > BLIND_AFTER:
            return Finding(problem)
        return Finding(note=f"for {format_duration(lasting)}: {problem}")

    def __repr__(self) -> str:
        return f"<Leadership {self.elector!r} {self.work!r}>"
