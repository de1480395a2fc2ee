"""How an operator's process ends: one named code for each reason, so that a script or a pod's status can tell them apart."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["MEANINGS", "ExitCode"]


class ExitCode(IntEnum):
    """The exit codes of `operator-kit`. Those of `run` are below 20."""

    OK = 0
    CRASH = 1
    USAGE = 2
    TARGET = 3
    CONFIG = 4
    KIND = 5
    UNREACHABLE = 6
    NOT_SYNCED = 7
    STUCK = 8
    STARTUP = 9
    ENDPOINT = 10
    LEASE_LOST = 11
    # What `operator-kit check` found; `run` waits for these.
    NOT_INSTALLED = 20
    NOT_ALLOWED = 21
    # What `operator-kit release` met.
    HELD = 22
    NOT_RELEASED = 23


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "stopped as asked, or idle with --exit-when-idle",
    ExitCode.CRASH: "a defect of operator-kit",
    ExitCode.USAGE: "a flag or an option that cannot be used",
    ExitCode.TARGET: "a target is not found, raises when it is imported, or registers nothing",
    ExitCode.CONFIG: "a kubeconfig, a settings file, a variable of the environment or a file to load that cannot be used",
    ExitCode.KIND: "a kind that can mean several, or cannot be reconciled",
    ExitCode.UNREACHABLE: "with --exit-when-idle: the API server did not answer in time",
    ExitCode.NOT_SYNCED: "with --exit-when-idle: a kind was not there, or not readable, in time",
    ExitCode.STUCK: "a reconcile outlived --shutdown-timeout",
    ExitCode.STARTUP: "an @on_startup function raised",
    ExitCode.ENDPOINT: "probes or metrics cannot be served: address in use, or certificate that cannot be used",
    ExitCode.LEASE_LOST: "with --leader-elect: the lease was lost",
    ExitCode.NOT_INSTALLED: "a kind is not installed",
    ExitCode.NOT_ALLOWED: "a permission is missing",
    ExitCode.HELD: "an operator holds the lease, or it cannot be told; --force goes on",
    ExitCode.NOT_RELEASED: "some finalizers could not be taken off",
}
"""What each means, for `--help`. 128 and more: ended at once by a second signal, the signal's number added."""
