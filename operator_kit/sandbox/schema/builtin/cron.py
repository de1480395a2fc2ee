"""Schedules of CronJobs, read as the server's cron library reads them; only whether they are valid is of interest here."""

from __future__ import annotations

from operator_kit.sandbox.schema.formats import go_duration
from operator_kit.sandbox.schema.golang import quote

__all__ = ["cron_problem"]

_DESCRIPTORS = frozenset({"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"})
_MONTHS = {
    name: at for at, name in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1)
}
_DAYS = {name: at for at, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
# Lowest, highest, names: minute, hour, day of month, month, day of week.
_FIELDS: tuple[tuple[int, int, dict[str, int]], ...] = ((0, 59, {}), (0, 23, {}), (1, 31, {}), (1, 12, _MONTHS), (0, 6, _DAYS))


def cron_problem(schedule: str) -> str | None:
    """What is wrong with a schedule, in the library's words; None when it is fine."""
    if schedule.startswith(("TZ=", "CRON_TZ=")):
        schedule = schedule.partition(" ")[2].strip()
    if schedule.startswith("@"):
        if schedule.startswith("@every "):
            text = schedule.removeprefix("@every ")
            return (
                None
                if go_duration(text) is not None
                else f"failed to parse duration {schedule}: time: invalid duration {quote(text)}"
            )
        return None if schedule in _DESCRIPTORS else f"unrecognized descriptor: {schedule}"
    parts = schedule.split()
    if len(parts) != len(_FIELDS):
        return f"expected exactly 5 fields, found {len(parts)}: [{' '.join(parts)}]"
    for part, (low, high, names) in zip(parts, _FIELDS, strict=True):
        for expression in part.split(","):
            problem = _range(expression, low, high, names)
            if problem is not None:
                return problem
    return None


def _range(expression: str, low: int, high: int, names: dict[str, int]) -> str | None:
    base, *steps = expression.split("/")
    if len(steps) > 1:
        return f"too many slashes: {expression}"
    first, *rest = base.split("-")
    if len(rest) > 1:
        return f"too many hyphens: {expression}"
    if first in {"*", "?"}:
        start, end = low, high
    else:
        numbers = [_number(text, names) for text in (first, *rest)]
        for text, number in zip((first, *rest), numbers, strict=True):
            if number is None:
                return f"failed to parse int from {text}: strconv.Atoi: parsing {quote(text)}: invalid syntax"
        start = numbers[0] or 0
        end = (numbers[-1] or 0) if rest else (high if steps else start)
    if steps:
        step = _number(steps[0], {})
        if step is None:
            return f"failed to parse int from {steps[0]}: strconv.Atoi: parsing {quote(steps[0])}: invalid syntax"
        if step == 0:
            return f"step of range should be a positive number: {expression}"
    if start < low:
        return f"beginning of range ({start}) below minimum ({low}): {expression}"
    if end > high:
        return f"end of range ({end}) above maximum ({high}): {expression}"
    if start > end:
        return f"beginning of range ({start}) beyond end of range ({end}): {expression}"
    return None


def _number(text: str, names: dict[str, int]) -> int | None:
    if text.lower() in names:
        return names[text.lower()]
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
