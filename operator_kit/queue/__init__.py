"""The WorkQueue: what must be reconciled next. Knows nothing about Kubernetes.

WorkQueue       the queue: each key at most once in it, at most once at work
LOW, NORMAL, HIGH   priorities with a name; any int is one
ShutDown        what `get` raises when there will be no more
limiters        ExponentialBackoff (the default), FastSlow, TokenBucket, MaxOf, Capped; anything with the face of RateLimiter
Snapshot        what `WorkQueue.snapshot()` gives
"""

from operator_kit.errors import ShutDown
from operator_kit.queue.lanes import HIGH, LOW, NORMAL, by_namespace
from operator_kit.queue.limiters import Capped, ExponentialBackoff, FastSlow, MaxOf, RateLimiter, TokenBucket
from operator_kit.queue.snapshot import Delayed, Ready, Running, Snapshot
from operator_kit.queue.workqueue import WorkQueue

__all__ = [
    "HIGH",
    "LOW",
    "NORMAL",
    "Capped",
    "Delayed",
    "ExponentialBackoff",
    "FastSlow",
    "MaxOf",
    "RateLimiter",
    "Ready",
    "Running",
    "ShutDown",
    "Snapshot",
    "TokenBucket",
    "WorkQueue",
    "by_namespace",
]
