"""`operator-kit sandbox`: the embedded API server as a process of its own, for kubectl, operators and tests to talk to."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from operator_kit.cli import exit_codes
from operator_kit.errors import UsageError

__all__ = ["command", "sandbox"]

EPILOG = f"""\b
Examples:
  operator-kit sandbox
  operator-kit sandbox --port 8001 --kubeconfig sandbox.kubeconfig --load crds/ --load samples/site.yaml

{exit_codes(0, 1, 2, 4, ok="stopped as asked")}
"""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@click.command("sandbox", epilog=EPILOG, short_help="Run an embedded Kubernetes API server.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Where to listen; 0 takes a free one.  [0]")
@click.option("--host", default="127.0.0.1", metavar="ADDRESS", help="The address to listen on.  [127.0.0.1]")
@click.option(
    "--kubeconfig",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    metavar="FILE",
    help="Where to write the kubeconfig; a temporary file by default.",
)
@click.option(
    "--load",
    "loads",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE_OR_DIR",
    help="YAML to load, CRDs first; repeat for more.",
)
@click.option("--workloads", is_flag=True, help="Let Deployments, StatefulSets and Jobs make progress, and Pods become ready.")
@click.option(
    "--workloads-delay",
    type=click.FloatRange(0),
    default=1.0,
    metavar="SECONDS",
    help="Seconds between the steps of a Pod's life.  [1]",
)
@click.option(
    "--rbac",
    is_flag=True,
    help="Authorise requests by the roles it holds. Turns on --tls: kubectl sends tokens over nothing else.",
)
@click.option(
    "--owner-permissions",
    is_flag=True,
    help="With --rbac: enforce OwnerReferencesPermissionEnforcement, as OpenShift does.",
)
@click.option("--tls", is_flag=True, help="Serve HTTPS, with a certificate made for this run.")
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    metavar="FILE",
    help="Keep the objects in this file across restarts.",
)
def sandbox(
    *,
    port: int,
    host: str,
    kubeconfig: Path | None,
    loads: tuple[Path, ...],
    workloads: bool,
    workloads_delay: float,
    rbac: bool,
    owner_permissions: bool,
    tls: bool,
    state: Path | None,
) -> None:
    """Run an embedded Kubernetes API server until Ctrl-C or SIGTERM.

    For development and tests on one's own machine: without --rbac it asks nobody who they are, and without --state it keeps
    everything in memory.
    """
    if owner_permissions and not rbac:
        raise click.UsageError("--owner-permissions is for --rbac: without it nobody is refused anything")
    try:
        from operator_kit.sandbox import Sandbox
    except ImportError as exc:
        raise UsageError(f"the sandbox needs {exc.name}: pip install 'operator-kit[sandbox]'") from None

    # Blocked before the server's thread exists, so that every signal waits for sigwait below, wherever it is delivered.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        with ExitStack() as stack:
            delay = workloads_delay if workloads else None
            server = Sandbox(
                host=host,
                port=port,
                workloads=delay,
                rbac=rbac,
                owner_permissions=owner_permissions,
                tls=tls or rbac,
                state=state,
            )
            count = server.load(*loads)
            stack.enter_context(server)
            if kubeconfig is None:
                kubeconfig = Path(stack.enter_context(TemporaryDirectory(prefix="operator-kit-"))) / "kubeconfig"
            server.write_kubeconfig(kubeconfig)
            loaded = f", {count} object{'s' * (count != 1)} loaded" if loads else ""
            click.echo(f"API server listening on {server.url}{loaded}")
            click.echo(f"  kubectl --kubeconfig {kubeconfig} get namespaces")
            click.echo("Ctrl-C stops it.")
            signal.sigwait(_SIGNALS)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    click.echo("stopped")


command = sandbox
