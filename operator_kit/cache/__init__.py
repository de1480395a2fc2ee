"""Informers: what the API server holds, kept here, and told to whoever wants to hear of changes.

A reflector lists and watches, a store holds, an informer tells, and the shared set makes sure that nobody does it twice. Below,
the API; above, the controller. Guarantees and the behaviour under every fault are in docs/informers.md.
"""

from __future__ import annotations

from operator_kit.cache.indexes import IndexFunction
from operator_kit.cache.informer import HANGS, Informer, InformerStatus
from operator_kit.cache.informers import Informers
from operator_kit.cache.records import Change, Entry
from operator_kit.cache.registrations import Registration
from operator_kit.cache.states import ReflectorSettings
from operator_kit.cache.store import Store
from operator_kit.cache.waits import Write

__all__ = [
    "HANGS",
    "Change",
    "Entry",
    "IndexFunction",
    "Informer",
    "InformerStatus",
    "Informers",
    "ReflectorSettings",
    "Registration",
    "Store",
    "Write",
]
