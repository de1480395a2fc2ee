"""Nothing secret is ever logged: not the data of a Secret, not a token, not a password, at no level and in no error."""

from __future__ import annotations

import base64
import json
import logging
import os
import signal
import threading
from pathlib import Path

import pytest
import yaml

from operator_kit.api import Client
from operator_kit.api.watch import _excerpt
from operator_kit.errors import OperatorKitError
from operator_kit.observe.redact import redact
from operator_kit.sandbox import Sandbox
from tests.processes import eventually, operator_kit

TOKEN = "0paque.t0ken-that-nobody-may-see"
PASSWORD = "pa55word-that-nobody-may-see"
DATA = "d4ta-that-nobody-may-see"
ENCODED = base64.b64encode(DATA.encode()).decode()


@pytest.mark.parametrize(
    ("text", "kept", "gone"),
    [
        (f"Invalid header value b'Bearer {TOKEN}'", "Invalid header value b'Bearer ", TOKEN),
        (f"Invalid header value b'Bearer {TOKEN}\\nsecond-part-0f-it'", "Invalid", "second-part-0f-it"),
        (f"{{'Authorization': 'Bearer {TOKEN}', 'Accept': 'x'}}", "'Accept': 'x'", TOKEN),
        (
            f"('authorization', 'Basic {base64.b64encode(PASSWORD.encode()).decode()}')",
            "authorization",
            base64.b64encode(PASSWORD.encode()).decode(),
        ),
        (f"Authorization: Token {PASSWORD}\r\nHost: x", "Host: x", PASSWORD),
        ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmN is bad", "is bad", "eyJzdWIi"),
        (f"cannot connect to http://admin:{PASSWORD}@proxy:3128/", "@proxy:3128/", PASSWORD),
        (f"user: {{username: admin, password: {PASSWORD}}}", "username: admin", PASSWORD),
        (f'{{"password": "{PASSWORD} with blanks", "a": 1}}', '"a": 1', PASSWORD),
        (f"https://x/y?access_token={TOKEN}&a=b", "&a=b", TOKEN),
        (f'{{"token":"{TOKEN}"}}', '"token":', TOKEN),
        (f"-----BEGIN EC PRIVATE KEY-----\n{DATA}\n-----END EC PRIVATE KEY-----\nafter", "after", DATA),
        (f"-----BEGIN PRIVATE KEY-----\n{DATA}", "[redacted]", DATA),
    ],
)
def test_what_looks_secret_is_taken_out_and_the_rest_stays(text: str, kept: str, gone: str) -> None:
    cleaned = redact(text)
    assert gone not in cleaned
    assert kept in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "the continue token: expired",
        "Basic authentication is not supported",
        "the bearer of bad news",
        "the API server does not accept the credentials of kubeconfig x, context y: Unauthorized (401 Unauthorized, GET /api)",
        'not allowed to list and watch secrets: … Add to a ClusterRole: {apiGroups: [""], resources: ["secrets"], verbs: ["list"]}',
        "authorization.k8s.io/v1: subjectaccessreviews is forbidden",
        "https://10.0.0.1:6443/api/v1/namespaces/a@b/secrets",
        "no Secret named token in default",
    ],
)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    "line",
    [
        f'{{"type":"MODIFIED","object":{{"data":{{"a":"{ENCODED}"}}}}',
        f'{{"a":"{ENCODED}"}},"metadata"',
        f'"{ENCODED}"}}',
        ENCODED,
        f'{{"object":{{"data":{{"a":"{ENCODED}"}}}}}}',
    ],
)
def test_a_torn_event_is_not_quoted(line: str) -> None:
    raw = line.encode()
    for start in range(0, len(raw) - len(ENCODED), 3):
        assert ENCODED[:6] not in _excerpt(raw[start:]) or raw[start:].lstrip()[:1] == b"{"
    assert ENCODED not in _excerpt(raw) or not line.startswith('{"type"')


def kubeconfig(server: str, **user: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "a",
        "clusters": [{"name": "a", "cluster": {"server": server}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "users": [{"name": "a", "user": user}],
    }


@pytest.mark.parametrize("token", [f"{TOKEN}\nsecond", f"{TOKEN}\x00", f"{TOKEN}…", f"{TOKEN}é"])
def test_a_token_that_cannot_be_sent_is_an_error_that_does_not_show_it(token: str) -> None:
    with Sandbox() as sandbox:
        client = Client.from_kubeconfig_dict(kubeconfig(sandbox.url, token=token))
        with pytest.raises(OperatorKitError) as caught:
            client.call("GET", "/api", timeout=5, retries=False)
        client.close()
    import traceback

    assert TOKEN not in "".join(traceback.format_exception(caught.value))
    assert "cannot be sent" in str(caught.value)


OPERATOR = """
import os
from operator_kit import reconciler, PermanentError
seen = 0
@reconciler("v1/ConfigMap", owns=["v1/Secret"], reads=[], selector="app=test")
def config(obj, ctx):
    global seen
    seen += 1
    ctx.log.debug("run %d", seen)
    ctx.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "made"}, "stringData": {"k": os.environ["SECRET"]}, "type": "Opaque"})
    if seen % 2:
        raise RuntimeError("the author's own defect")
"""


@pytest.mark.parametrize("format_", ["text", "json"])
def test_a_whole_life_at_the_debug_level_shows_nothing_secret(tmp_path: Path, format_: str) -> None:
    config, target, log = tmp_path / "kubeconfig", tmp_path / "secret_operator.py", tmp_path / "log"
    target.write_text(OPERATOR)
    with Sandbox() as sandbox:
        config.write_text(
            yaml.safe_dump(
                kubeconfig(sandbox.url, username="admin", password=PASSWORD)
                if format_ == "json"
                else kubeconfig(sandbox.url, token=TOKEN)
            )
        )
        client = Client.from_kubeconfig_dict(sandbox.kubeconfig(), user_agent="tester")
        resolve = client.discovery.resolve
        client.create(resolve("v1/ConfigMap"), {"metadata": {"name": "a", "labels": {"app": "test"}}}, namespace="default")
        secrets, maps = resolve("v1/Secret"), resolve("v1/ConfigMap")
        faults = sandbox.faults
        arguments = [
            "run",
            "--kubeconfig",
            str(config),
            "--log-level",
            "debug",
            "--log-format",
            format_,
            "--backoff-max",
            "200ms",
        ]
        with operator_kit(*arguments, str(target), log=log, env={"SECRET": DATA}) as process:

            def made() -> bool:
                return bool(client.list(secrets, "default").items)

            eventually(made, "the Secret")
            for fault in (
                {"action": "status", "code": 422, "resource": "secrets", "verb": "patch", "count": 1},
                {"action": "status", "code": 401, "resource": "secrets", "verb": "patch", "count": 1},
                {"action": "lost", "resource": "secrets", "verb": "patch", "count": 1},
                {"action": "garble", "resource": "secrets", "count": 2},
                {"action": "cut", "resource": "secrets", "count": 2},
                {"action": "break", "resource": "secrets", "count": 2},
                {"action": "corrupt", "resource": "secrets", "count": 2},
            ):
                number = faults.add(user_agent="operator-kit", **fault)
                for _ in range(3):
                    client.patch(secrets, "made", "default", {"stringData": {"k": f"{DATA}{os.urandom(4).hex()}"}})
                    client.patch(maps, "a", "default", {"metadata": {"annotations": {"x": os.urandom(4).hex()}}})
                    threading.Event().wait(0.05)
                faults.remove(number)
            eventually(lambda: process.output().count("the author's own defect") > 1, "it went on")
            assert process.stop(signal.SIGTERM) == 0, process.output()
        client.close()
    output = process.output()
    for secret in (TOKEN, PASSWORD, base64.b64encode(f"admin:{PASSWORD}".encode()).decode(), DATA, ENCODED, ENCODED[:12]):
        assert secret not in output
    assert "DEBUG" in output or '"debug"' in output
    if format_ == "json":
        lines = output.splitlines()
        documents = [json.loads(line) for line in lines]
        assert "SIGTERM: stopping; once more to end at once" in {document["message"] for document in documents}
        assert len(documents) > 20
        of_runs = [document for document in documents if document.get("reconcile_id")]
        assert of_runs
        odd = [
            document
            for document in of_runs
            if (document["controller"], document["name"]) != ("configmap", "a") or not document["reason"]
        ]
        assert odd == []


def test_the_command_line_shows_no_password_of_a_kubeconfig(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from operator_kit.api import config
    from operator_kit.errors import ConfigError

    file = tmp_path / "kubeconfig"
    good = yaml.safe_dump(kubeconfig("https://a.invalid", username="a", password=PASSWORD, token=TOKEN))
    with caplog.at_level(logging.DEBUG):
        for bad in (
            f"{good}  bad: [",
            good.replace("server: https", "server: ftp"),
            good.replace("current-context: a", "current-context: b"),
            good.replace("user: a", "user: [a]"),
            good + "users: 1\n",
            f"{good}\t{TOKEN}: {PASSWORD}",
        ):
            file.write_text(bad)
            with pytest.raises(ConfigError) as caught:
                config.find(str(file))
            assert PASSWORD not in redact(str(caught.value))
            assert TOKEN not in redact(str(caught.value))
    assert PASSWORD not in caplog.text
