"""`operator-kit rbac`: the least roles that registered code needs, as YAML."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from operator_kit.cli import exit_codes
from operator_kit.cli.options import asking, targets_argument
from operator_kit.errors import ConfigError, KindNotFound

if TYPE_CHECKING:
    from operator_kit.controller import Registry
    from operator_kit.objects import Resource

__all__ = ["command", "resolver"]

_DNS_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")

_CODES = exit_codes(
    *(0, 1, 2, 3, 4, 5, 6),
    ok="printed",
    kind="a kind is not known, or can mean several",
    unreachable="the API server does not answer, or refuses to be asked",
)
EPILOG = f"""\b
Examples:
  operator-kit rbac --crd crd.yaml my_operator.py
  operator-kit rbac --service-account ops/my-operator my_operator.py | kubectl apply -f -
  operator-kit rbac --namespaced team-a --namespaced team-b my_operator.py
  operator-kit rbac --output values my_operator.py > values-rbac.yaml

\b
The kinds are looked up in the CRDs of models written in Python, in the files of --crd and among the built-in ones; with
--kubeconfig or --context in an API server too. What the code does beyond what is registered, it declares:
  @reconciler("Website", permissions=["get v1/Secret", "create v1/ConfigMap in dns"])

{_CODES}
"""


@click.command(epilog=EPILOG, short_help="Print the least roles that reconcilers need.")
@targets_argument
@click.option(
    "--namespaced",
    multiple=True,
    metavar="NAMESPACE",
    help="A namespace the operator is to watch: print Roles for it, not a ClusterRole; repeat for more.",
)
@click.option(
    "--output",
    "-o",
    type=click.Choice(["manifest", "rules", "values"]),
    default="manifest",
    help="Roles with their bindings, the bare rules of one role, or values for the Helm chart.  [manifest]",
)
@click.option("--name", default="", metavar="NAME", help="Of the roles and bindings.  [made from the first TARGET]")
@click.option(
    "--service-account",
    default="",
    metavar="[NAMESPACE/]NAME",
    help="Whose rights they become, and where the operator runs.  [default/NAME]",
)
@click.option(
    "--leader-election/--no-leader-election",
    default=True,
    help="Add the Role for the lease.  [yes]",
)
@click.option(
    "--leader-election-id",
    default="",
    metavar="NAME",
    help="Name of the lease, as for run; without it the Role is for any lease of the namespace.",
)
@click.option(
    "--leader-election-namespace",
    default="",
    metavar="NAMESPACE",
    help="Namespace of the lease, as for run.  [the operator's own]",
)
@click.option("--metrics-auth", is_flag=True, help="Add the ClusterRole for an operator run with --metrics-auth.")
@click.option(
    "--crd",
    "crd_files",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE_OR_DIR",
    help="YAML with the CustomResourceDefinitions of kinds; repeat for more.",
)
@click.option("--kubeconfig", default="", metavar="FILE", help="Look kinds up in this kubeconfig's API server too.")
@click.option("--context", default="", metavar="TEXT", help="Context of the kubeconfig.")
def command(
    *,
    targets: tuple[str, ...],
    namespaced: tuple[str, ...],
    output: str,
    name: str,
    service_account: str,
    leader_election: bool,
    leader_election_id: str,
    leader_election_namespace: str,
    metrics_auth: bool,
    crd_files: tuple[Path, ...],
    kubeconfig: str,
    context: str,
) -> None:
    """Print the least roles that the reconcilers of TARGETs need: Python files, directories of them, or modules.

    They are read off the registration: the kinds with the verbs that are really called on them, status and finalizers, events,
    the lease of the leader election, and what the code declares besides.
    """
    from operator_kit.generate import all_rules, lease_needs, manifest, metrics_needs, needs_of, rules_text, values_text
    from operator_kit.manager import load_targets

    name = _checked("--name", name or _name_of(targets[0]))
    namespace, _, account = (service_account or name).rpartition("/")
    home = _checked("--service-account", namespace or "default")
    registry = load_targets(targets)
    parts = (part.strip() for item in namespaced for part in item.split(","))
    namespaces = tuple(dict.fromkeys(_checked("--namespaced", part) for part in parts if part))
    with resolver(registry, crd_files, kubeconfig, context) as resolve:
        needs = needs_of(registry, resolve, namespaces=namespaces)
    if output == "manifest":
        roles = {name: needs}
        if leader_election:
            roles[f"{name}-leader-election"] = lease_needs(
                _checked("--leader-election-namespace", leader_election_namespace or home), leader_election_id
            )
        if metrics_auth:
            roles[f"{name}-metrics-auth"] = metrics_needs()
        click.echo(manifest(roles, (home, _checked("--service-account", account))), nl=False)
    elif output == "values":
        click.echo(values_text(needs, namespaces), nl=False)
    else:
        click.echo(rules_text(all_rules(needs)), nl=False)


def _name_of(target: str) -> str:
    """`my-operator` for `pkg/my_operator.py` and for `my_operator`."""
    word = Path(target).stem if target.endswith(".py") else target.rstrip("/").rpartition("/")[2].rpartition(".")[2]
    return re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-") or "operator"


def _checked(option: str, name: str) -> str:
    if not _DNS_NAME.fullmatch(name):
        raise click.UsageError(f"{option}: {name!r} is not a name; use lower-case letters, digits and dashes")
    return name


@contextmanager
def resolver(
    registry: Registry, crd_files: Iterable[Path] = (), kubeconfig: str = "", context: str = ""
) -> Iterator[Callable[[str], Resource]]:
    """From a kind to its resource: of the definitions at hand, of the API server where one is named, of the built-in kinds."""
    from operator_kit.generate import Kinds, resources_of_models

    known = [*resources_of_models(registry), *_resources_of(crd_files)]
    if not kubeconfig and not context:
        yield Kinds([*known, *_builtin()]).resolve
        return
    with asking(kubeconfig, context) as client:

        def resolve(kind: str) -> Resource:
            try:
                return client.discovery.resolve(kind)
            except KindNotFound:
                return Kinds(known).resolve(kind)

        yield resolve


def _resources_of(files: Iterable[Path]) -> Iterator[Resource]:
    from operator_kit.generate import resources_of_crd
    from operator_kit.testing.documents import read_objects

    for file in files:
        found = [obj for obj in read_objects(file) if obj["kind"] == "CustomResourceDefinition"]
        if not found:
            raise ConfigError(f"--crd {file}: there is no CustomResourceDefinition in it")
        for crd in found:
            yield from resources_of_crd(crd, f"--crd {file}")


def _builtin() -> Iterator[Resource]:
    """The built-in kinds: those that the embedded API server serves."""
    from operator_kit.objects import Resource
    from operator_kit.sandbox.builtin import builtin_resources
    from operator_kit.sandbox.storage import Storage

    for served in builtin_resources(Storage()):
        yield Resource(
            served.group,
            served.version,
            served.kind,
            served.plural,
            namespaced=served.namespaced,
            subresources=frozenset(served.subresources),
        )
