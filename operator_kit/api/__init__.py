"""The API server seen from here: configuration, discovery, verbs, watch streams, retries, error mapping.

The only room that imports `kubernetes`, and in it only `transport.py`. Objects in and out are dicts; errors are those of
`operator_kit.errors`; every call has a limit in time.
"""

from __future__ import annotations

from operator_kit.api.call import Guard
from operator_kit.api.cancel import Cancel
from operator_kit.api.client import Client
from operator_kit.api.discovery import Discovery
from operator_kit.api.limiter import RateLimiter
from operator_kit.api.metrics import RequestMetrics
from operator_kit.api.page import Page, Selection
from operator_kit.api.watch import WatchStream

__all__ = [
    "Cancel",
    "Client",
    "Discovery",
    "Guard",
    "Page",
    "RateLimiter",
    "RequestMetrics",
    "Selection",
    "WatchStream",
]
