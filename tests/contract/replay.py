"""Sends recorded requests to a server and brings its answers into the recording's normal form."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from operator_kit.clock import Clock

HERE = Path(__file__).parent
SCENARIOS = yaml.safe_load((HERE / "scenarios.yaml").read_text(encoding="utf-8"))
RECORDED = json.loads((HERE / "kube-apiserver-1.36.json").read_text(encoding="utf-8"))

_UID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIMES = frozenset(
    [
        "creationTimestamp",
        "deletionTimestamp",
        "lastTransitionTime",
        "time",
        "renewTime",
        "acquireTime",
        "eventTime",
        "firstTimestamp",
        "lastTimestamp",
    ]
)
_NUMBERS = (
    (re.compile(r"too old resource version: \d+ \(\d+\)"), "too old resource version: <n> (<n>)"),
    (re.compile(r"(ResourceVersion in \w+(?: \w+)?|record) \(\d+\)"), r"\1 (<n>)"),
)


class Normaliser:
    """Replaces what differs from run to run by numbered placeholders, the same value always by the same one."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, int]] = {}

    def _number(self, kind: str, value: str) -> str:
        known = self._seen.setdefault(kind, {})
        return f"<{kind}:{known.setdefault(value, len(known) + 1)}>"

    def value(self, value: Any, *, managed: bool) -> Any:
        if isinstance(value, dict):
            return {
                key: self._field(value, key, item, managed=managed)
                for key, item in value.items()
                if managed or key != "managedFields"
            }
        if isinstance(value, list):
            return [self.value(item, managed=managed) for item in _in_order(value)]
        return _text(value) if isinstance(value, str) else value

    def _field(self, parent: dict[str, Any], key: str, item: Any, *, managed: bool) -> Any:
        if isinstance(item, str):
            if key == "resourceVersion" and item not in {"", "0"}:
                return self._number("rv", item)
            if key == "uid" and _UID.fullmatch(item):
                return self._number("uid", item)
            if key in _TIMES:
                return "<ts>"
            if key == "continue" and item:
                return self._number("continue", item)
            prefix = parent.get("generateName")
            if key == "name" and isinstance(prefix, str) and item.startswith(prefix):
                return f"{prefix}<gen>"
        return self.value(item, managed=managed)


def _in_order(items: list[Any]) -> list[Any]:
    """Lists whose order the server leaves open are sorted."""
    if not items or not all(isinstance(item, dict) for item in items):
        return items
    if all("field" in item and "reason" in item for item in items):
        return sorted(items, key=lambda item: (item["field"], item["reason"]))
    if all("verbs" in item and "name" in item for item in items):
        kept = [{key: value for key, value in item.items() if key != "storageVersionHash"} for item in items]
        return sorted(kept, key=lambda item: str(item["name"]))
    if all("fieldsV1" in item for item in items):
        return sorted(items, key=lambda item: (item.get("manager", ""), item.get("operation", ""), item.get("subresource", "")))
    return items


def _text(text: str) -> str:
    text = _UID.sub("<uid>", text)
    for pattern, replacement in _NUMBERS:
        text = pattern.sub(replacement, text)
    return text


def _filled(value: Any, known: dict[str, Any]) -> Any:
    if isinstance(value, str):
        whole = re.fullmatch(r"\$\{(\w+)\}", value)
        return known[whole[1]] if whole else re.sub(r"\$\{(\w+)\}", lambda match: str(known[match[1]]), value)
    if isinstance(value, dict):
        return {_filled(key, known): _filled(item, known) for key, item in value.items()}
    return [_filled(item, known) for item in value] if isinstance(value, list) else value


def _at(value: Any, path: str) -> Any:
    for part in path.split("."):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def _at_or_absent(value: Any, path: str) -> Any:
    try:
        return _at(value, path)
    except (KeyError, IndexError, TypeError):
        return "<absent>"


class Replay:
    """Runs the steps of a scenario against one server."""

    def __init__(self, url: str) -> None:
        self._url = url

    def send(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> tuple[int, bytes]:
        request = urllib.request.Request(self._url + path, method=method, data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def prepare(self) -> None:
        """The set-up steps, and a namespace for each scenario."""
        list(self.steps({"steps": SCENARIOS["setup"]}, {}))

    def scenario(self, scenario: dict[str, Any]) -> list[dict[str, Any]]:
        namespace = "c-" + re.sub(r"[^a-z0-9]+", "-", scenario["name"])[:50]
        body = json.dumps({"metadata": {"name": namespace}}).encode()
        self.send("POST", "/api/v1/namespaces", {"Content-Type": "application/json"}, body)
        return list(self.steps(scenario, {"ns": namespace}))

    def steps(self, scenario: dict[str, Any], known: dict[str, Any]) -> Iterator[dict[str, Any]]:
        normaliser = Normaliser()
        for raw in scenario["steps"]:
            step = _filled(raw, known)
            if "sleep" in step:
                Clock().sleep(step["sleep"])
                continue
            status, answer = self._until(step)
            if step.get("watch"):
                document: Any = [json.loads(line) for line in answer.splitlines() if line.strip()]
            else:
                try:
                    document = json.loads(answer)
                except ValueError:
                    document = {"text": answer.decode(errors="replace")[:200]}
            for name, path in step.get("save", {}).items():
                known[name] = _at(document, path)
            if step.get("hide"):
                continue
            if "pick" in step:
                document = {path: _at_or_absent(document, path) for path in step["pick"]}
            if step.get("status_only"):
                document = None
            body = normaliser.value(document, managed=bool(step.get("keep_managed")))
            yield {
                "do": _text(re.sub(r"(continue|resourceVersion)=[^&]+", r"\1=<v>", step["do"])),
                "status": status,
                "body": body,
            }

    def _until(self, step: dict[str, Any]) -> tuple[int, bytes]:
        method, path = step["do"].split(" ", 1)
        json_type = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"Accept": "application/json", "Content-Type": json_type, **step.get("headers", {})}
        body = step["raw"].encode() if "raw" in step else json.dumps(step["body"]).encode() if "body" in step else None
        for _ in range(step.get("until_tries", 1)):
            status, answer = self.send(method, path, headers, body)
            if "until_status" in step:
                done = status == step["until_status"]
            elif "until_path" in step:
                done = status == 200 and _at_or_absent(json.loads(answer), step["until_path"]) == step["until_value"]
            else:
                done = True
            if done:
                break
            Clock().sleep(0.02)
        return status, answer
