"""Where the configuration comes from, and what is said when it cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from operator_kit.api import Client, config
from operator_kit.errors import ConfigError


def kubeconfig(name: str, *, current: bool = True, **user: Any) -> dict[str, Any]:
    return {
        "current-context": name if current else "",
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": f"ns-{name}"}}],
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}.example.com"}}],
        "users": [{"name": name, "user": user}],
    }


def write(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return path


def pod(tmp_path: Path) -> Path:
    directory = tmp_path / "sa"
    write(directory / "token", "secret")
    write(directory / "namespace", "here\n")
    return directory


def test_an_explicit_file_goes_before_everything(tmp_path: Path) -> None:
    explicit = write(tmp_path / "a", kubeconfig("a"))
    write(tmp_path / "b", kubeconfig("b"))
    env = {"KUBECONFIG": str(tmp_path / "b"), "KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOME": str(tmp_path)}
    source = config.find(str(explicit), environ=env, service_account=pod(tmp_path))
    assert (source.context, source.namespace) == ("a", "ns-a")
    assert str(explicit) in source.description


def test_kubeconfig_goes_before_the_pod_and_the_pod_before_home(tmp_path: Path) -> None:
    write(tmp_path / ".kube" / "config", kubeconfig("home"))
    write(tmp_path / "b", kubeconfig("b"))
    account = pod(tmp_path)
    env = {"KUBECONFIG": str(tmp_path / "b"), "KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOME": str(tmp_path)}
    assert config.find(environ=env, service_account=account).context == "b"
    del env["KUBECONFIG"]
    in_pod = config.find(environ=env, service_account=account)
    assert (in_pod.service_account, in_pod.namespace) == (account, "here")
    assert config.find(environ=env, service_account=tmp_path / "none").context == "home"


def test_an_explicit_context_rules_the_pod_out(tmp_path: Path) -> None:
    write(tmp_path / ".kube" / "config", kubeconfig("home"))
    env = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOME": str(tmp_path)}
    assert config.find(context="home", environ=env, service_account=pod(tmp_path)).context == "home"


def test_several_files_are_merged_as_kubectl_does_and_the_first_to_say_something_wins(tmp_path: Path) -> None:
    first = kubeconfig("one", current=False)
    second = kubeconfig("two")
    second["clusters"].append({"name": "one", "cluster": {"server": "https://other.example.com"}})
    third = kubeconfig("three")
    paths = [write(tmp_path / str(number), document) for number, document in enumerate([first, second, third])]
    env = {"KUBECONFIG": ":".join(["", str(tmp_path / "missing"), *map(str, paths)])}
    source = config.find(environ=env)
    assert source.context == "two"
    assert source.document is not None
    servers = {entry["name"]: entry["cluster"]["server"] for entry in source.document["clusters"]}
    assert servers["one"] == "https://one.example.com"
    assert config.find(context="three", environ=env).namespace == "ns-three"


def test_relative_paths_are_relative_to_their_own_file(tmp_path: Path) -> None:
    write(tmp_path / "sub" / "client.crt", "x")
    document = kubeconfig("a", **{"client-certificate": "client.crt", "client-key-data": "eA=="})
    document["users"][0]["user"]["exec"] = {"command": "./bin/login"}
    source = config.find(str(write(tmp_path / "sub" / "config", document)))
    assert source.document is not None
    user = source.document["users"][0]["user"]
    assert user["client-certificate"] == str(tmp_path / "sub" / "client.crt")
    assert user["exec"]["command"] == str(tmp_path / "sub" / "bin/login")
    assert source.renewable


def test_a_plugin_that_gives_no_credentials_is_named_and_nobody_goes_on_as_anonymous(tmp_path: Path) -> None:
    absent = str(tmp_path / "login")
    execute = {"apiVersion": "client.authentication.k8s.io/v1", "command": absent, "interactiveMode": "Never"}
    with pytest.raises(ConfigError, match=f"context a: the program {absent}, which it names, gave no credentials"):
        Client.from_kubeconfig_dict(kubeconfig("a", exec=execute))


def test_impersonation_is_not_dropped_silently(tmp_path: Path) -> None:
    source = config.find(str(write(tmp_path / "a", kubeconfig("a", **{"as": "jane", "as-uid": "7"}))))
    assert source.impersonate == {"Impersonate-User": "jane", "Impersonate-Uid": "7"}
    with pytest.raises(ConfigError, match="as-groups"):
        config.find(str(write(tmp_path / "b", kubeconfig("b", **{"as": "jane", "as-groups": ["g"]}))))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("a: [", "is not YAML: line 1: "),
        ("- a", "is not a kubeconfig: it holds a list"),
        ("", "no current-context"),
        ({**kubeconfig("a"), "current-context": "b"}, "no context named b; did you mean a|no context named b; known are a"),
        ({**kubeconfig("a"), "clusters": []}, "of cluster 'a', which is not defined"),
        ({**kubeconfig("a"), "users": []}, "of user 'a', which is not defined"),
        ({**kubeconfig("a"), "clusters": [{"name": "a", "cluster": {}}]}, "needs a server"),
        ({**kubeconfig("a"), "clusters": [{"name": "a", "cluster": {"server": "example.com"}}]}, "needs a server"),
        *(
            (
                {**kubeconfig("a"), "clusters": [{"name": "a", "cluster": {"server": server}}]},
                f"the server of cluster a is no URL: {why}",
            )
            for server, why in (
                ("http://127.0.0.1:99999", "Failed to parse"),
                ("http://exa mple.com", "Failed to parse"),
                ("https://a..b", ".*label empty"),
                ("https://[::1", "Failed to parse"),
                ("https://:6443", "it names no host"),
                ("https://jane:secret@host", "a user and password in it are never sent"),
            )
        ),
        ({**kubeconfig("a"), "clusters": {"name": "a"}}, "clusters is not a list"),
        ({**kubeconfig("a"), "users": [{"name": "a"}]}, "every entry of users needs a name and a user"),
        (kubeconfig("a", **{"client-certificate": "none.crt"}), "client-certificate .*none.crt does not exist"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(tmp_path: Path, document: Any, message: str) -> None:
    path = write(tmp_path / "broken", document)
    with pytest.raises(ConfigError, match=message) as caught:
        config.find(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_who_named_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"kubeconfig .*none \(from --kubeconfig\) does not exist"):
        config.find(str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"none \(from KUBECONFIG\) does not exist"):
        config.find(environ={"KUBECONFIG": str(tmp_path / "none")})


def test_no_configuration_at_all_says_what_was_tried_and_what_would_help(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"KUBECONFIG is not set, this is not a pod, and .*\.kube/config does not exist.*--sandbox"
    ):
        config.find(environ={"HOME": str(tmp_path)}, service_account=tmp_path)
    with pytest.raises(ConfigError, match="no service account token"):
        config.find(environ={"HOME": str(tmp_path), "KUBERNETES_SERVICE_HOST": "x"}, service_account=tmp_path)
