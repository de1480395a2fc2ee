"""Health checks and their answers, in the manner of kube-apiserver.

GET /readyz             200 `ok`, or 500 with one line for each check
GET /readyz?verbose     one line for each check in any case
GET /readyz?exclude=x   without the check x
GET /readyz/x           the check x alone

[+]kinds ok
[-]caches failed: websites.example.com is not synced: …
readyz check failed
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from operator_kit.manager.connection import Request, Response, Route

__all__ = ["Check", "Checks", "Finding"]

_log = logging.getLogger("operator_kit.manager")


class Finding(NamedTuple):
    """What a check found. `problem` fails it; `note` is worth knowing and does not."""

    problem: str = ""
    note: str = ""


Check: TypeAlias = Callable[[], "Finding | str"]
"""Looks, and returns at once; a text is a problem, the empty one is none. What it raises is a problem too."""


class Checks:
    """Named checks that are asked together. Thread-safe.

    Args:
        name: `"livez"` or `"readyz"`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._checks: dict[str, Check] = {}  # under the lock
        self._failing: tuple[str, ...] = ()  # under the lock; what the last full answer said

    def add(self, name: str, check: Check) -> None:
        """Ask this check too. Raises `ValueError` for a name that is taken, or is none."""
        with self._lock:
            if not name or not name.replace("-", "").isalnum():
                raise ValueError(f"a check is named in letters, digits and dashes, not {name!r}")
            if name in self._checks:
                raise ValueError(f"there is a check named {name} already")
            self._checks[name] = check

    def look(self) -> dict[str, Finding]:
        """What every check finds now, by name, in the order in which they were added."""
        with self._lock:
            checks = dict(self._checks)
        return {name: _asked(check) for name, check in checks.items()}

    def passes(self) -> bool:
        """Whether no check has a problem."""
        return not any(finding.problem for finding in self.look().values())

    def routes(self, *paths: str) -> dict[str, Route]:
        """The routes that answer for these checks: at `/NAME`, its aliases, and below them for each check."""
        made: dict[str, Route] = {}
        for path in (f"/{self.name}", *paths):
            made |= {path: self._answer, f"{path}/": self._answer_one}
        return made

    def _answer(self, request: Request) -> Response:
        excluded = set(request.query.get("exclude", ()))
        lines, failing, known = [], [], set()
        for name, finding in self.look().items():
            known.add(name)
            if name in excluded:
                lines.append(f"[+]{name} excluded: ok")
            elif finding.problem:
                failing.append(f"{name}: {_line(finding.problem)}")
                lines.append(f"[-]{name} failed: {_line(finding.problem)}")
            else:
                lines.append(f"[+]{name} ok" + (f" ({_line(finding.note)})" if finding.note else ""))
        unknown = sorted(excluded - known - {""})
        if unknown:
            shown = ", ".join(f'"{name[:100]}"' for name in unknown[:10])
            lines.append(f"warn: some health checks cannot be excluded: no matches for {_line(shown)}")
        if not excluded:
            self._tell(tuple(failing))
        if not failing and "verbose" not in request.query:
            return Response("ok")
        lines.append(f"{self.name} check {'failed' if failing else 'passed'}")
        return Response("\n".join(lines) + "\n", 500 if failing else 200)

    def _answer_one(self, request: Request) -> Response:
        name = request.path.rstrip("/").rpartition("/")[2]
        if name == request.path.strip("/"):  # a slash at the end
            return self._answer(request)
        with self._lock:
            check = self._checks.get(name)
            names = list(self._checks)
        if check is None or request.path.count("/") != 2:
            return Response(f"{self.name} has no such check; there are {', '.join(names)}\n", 404)
        finding = _asked(check)
        return Response(f"{_line(finding.problem)}\n", 500) if finding.problem else Response("ok")

    def _tell(self, failing: tuple[str, ...]) -> None:
        """Log what whoever asks is told, when it changes: what follows may be the end of the pod."""
        with self._lock:
            before, self._failing = self._failing, failing
        if {text.partition(":")[0] for text in failing} != {text.partition(":")[0] for text in before}:
            if failing:
                _log.warning("%s fails: %s", self.name, "; ".join(failing))
            else:
                _log.info("%s passes", self.name)

    def __repr__(self) -> str:
        return f"<Checks {self.name}: {', '.join(self._checks)}>"


def _asked(check: Check) -> Finding:
    try:
        found = check()
    except Exception as exc:  # noqa: BLE001  # a check that cannot tell is a check that fails
        return Finding(f"the check itself failed: {type(exc).__name__}: {exc}")
    return found if isinstance(found, Finding) else Finding(found)


def _line(text: str) -> str:
    return " ".join(text.split())
