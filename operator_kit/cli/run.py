"""`operator-kit run`: load the author's code and run it until it is told to stop."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from operator_kit.cli import exit_codes
from operator_kit.cli.options import (
    NO_TARGET,
    SettingsCommand,
    needs_besides,
    read_settings,
    settings_options,
    show_settings,
    tell_ignored,
)
from operator_kit.errors import ConfigError, UsageError
from operator_kit.settings import ignored_variables

if TYPE_CHECKING:
    from operator_kit.api import Client
    from operator_kit.controller import Registry
    from operator_kit.manager import Manager
    from operator_kit.manager.grants import AskGranted
    from operator_kit.settings import Settings

__all__ = ["command"]

WORKLOADS_DELAY = 0.5  # seconds between the steps of Deployments and Pods on the embedded server: long enough to be seen

_log = logging.getLogger("operator_kit.cli")

EPILOG = f"""\b
Examples:
  operator-kit run my_operator.py
  operator-kit run --sandbox --load crd.yaml --load samples my_operator.py
  operator-kit run --namespace team-a --namespace team-b --workers 8 my_package.operators
  operator-kit run --exit-when-idle --no-watch my_operator.py
  operator-kit run --leader-elect --leader-election-id my-operator my_operator.py

Every setting is also an environment variable, OPERATOR_KIT_ and its name in capitals (OPERATOR_KIT_LOG_LEVEL=debug), and a
line of the --settings file. Flags come before variables, variables before the file. Durations: 30s, 1m30s, 500ms.

{exit_codes()}
"""


@click.command(cls=SettingsCommand, epilog=EPILOG, short_help="Run reconcilers.")
@click.argument("targets", nargs=-1, metavar="TARGET...")
@click.option("--sandbox", is_flag=True, help="Run against an API server embedded in this process; no cluster needed.")
@click.option(
    "--load",
    "loads",
    multiple=True,
    metavar="FILE_OR_DIR",
    help="With --sandbox: YAML to load into it, CRDs first; repeat for more.",
)
@settings_options
@click.option("--print-settings", is_flag=True, help="Print the settings and where each comes from, and end.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    targets: tuple[str, ...],
    *,
    sandbox: bool,
    loads: tuple[str, ...],
    settings_file: str | None,
    print_settings: bool,
    **flags: Any,
) -> None:
    """Run the reconcilers of TARGETs: Python files, directories of them, or modules.

    Runs until Ctrl-C or SIGTERM, then lets running reconciles finish within --shutdown-timeout; a second signal ends at once.
    """
    settings, origins = read_settings(settings_file, os.environ, flags)
    if print_settings:
        click.echo(show_settings(settings, origins))
        tell_ignored(os.environ)
        return
    if not targets:
        raise click.UsageError(NO_TARGET)
    if loads and not sandbox:
        raise click.UsageError("--load is for --sandbox; use kubectl apply for a cluster")
    if sandbox and (settings.kubeconfig or settings.context):
        raise click.UsageError("--sandbox and --kubeconfig (or --context) name two API servers; give one")
    _check_together(settings, origins)
    from operator_kit.observe.logging import configure

    configure(level=settings.log_level, format=settings.log_format)
    for text in ignored_variables(os.environ):
        _log.warning("%s", text)
    ctx.exit(_run(targets, settings, sandbox=sandbox, loads=loads))


def _check_together(settings: Settings, origins: Mapping[str, str]) -> None:
    """Refuse settings that cannot work together, before anything starts. It is the flags' fault where one of them was given."""
    from operator_kit.manager.leadership import election_rules
    from operator_kit.manager.serving import check_serving

    prefix = "metrics_"
    try:
        check_serving(settings)
        if settings.leader_elect:
            prefix = "leader_elect"
            election_rules(settings, "default")
    except ConfigError as exc:
        if any(name.startswith(prefix) and origin.startswith("--") for name, origin in origins.items()):
            raise click.UsageError(str(exc)) from None
        raise


def _run(targets: tuple[str, ...], settings: Settings, *, sandbox: bool, loads: tuple[str, ...]) -> int:
    from operator_kit.manager import ExitCode, Manager, load_targets
    from operator_kit.observe.tracing import tracing

    registry = load_targets(targets)
    with ExitStack() as stack:
        stack.enter_context(tracing(settings.tracing, os.environ))
        if sandbox:
            client = stack.enter_context(_sandboxed(loads, registry, settings))
        else:
            client = _client(settings, workers=_threads(registry, settings))
            _log.info("API server %s, from %s", client.host, client.origin)
        manager = Manager(registry, client, settings, ask_granted=_ask_granted(registry, client, settings))
        with _signals(manager):
            try:
                code = manager.run()
            except UsageError as exc:
                if not hasattr(exc, "exit_code"):
                    exc.exit_code = ExitCode.KIND  # type: ignore[attr-defined]  # read by the group, which maps errors to codes
                raise
        if code in {ExitCode.STUCK, ExitCode.LEASE_LOST}:
            _end_hard(code)
    return code


def _ask_granted(registry: Registry, client: Client, settings: Settings) -> AskGranted:
    """What `operator-kit check` asks of permissions."""
    from operator_kit.generate import ungranted

    besides = needs_besides(settings, client.namespace)
    return lambda cancel: ungranted(registry, client, namespaces=settings.namespace, besides=besides, cancel=cancel)


def _threads(registry: Registry, settings: Settings) -> int:
    return sum(made.workers or settings.workers for made in registry) + len(registry.tasks)


def _client(settings: Settings, *, workers: int) -> Client:
    from operator_kit.api import Client

    return Client.from_config(
        kubeconfig=settings.kubeconfig,
        context=settings.context,
        request_timeout=settings.request_timeout,
        pool_size=workers + 16,
    )


@contextmanager
def _sandboxed(loads: tuple[str, ...], registry: Registry, settings: Settings) -> Iterator[Client]:
    """A client of an embedded API server that lives as long as the block."""
    try:
        from operator_kit.sandbox import Sandbox
    except ImportError as exc:
        raise UsageError(f"--sandbox needs {exc.name}: pip install 'operator-kit[sandbox]'") from exc
    for path in loads:
        if not Path(path).exists():
            raise ConfigError(f"--load {path}: no such file or directory")
    with TemporaryDirectory(prefix="operator-kit-") as folder, Sandbox(workloads=WORKLOADS_DELAY) as server:
        try:
            server.load(*_crds(registry, Path(folder)), *loads)
        except (ValueError, OSError) as exc:
            raise ConfigError(f"--load: {exc}") from exc
        kubeconfig = Path(folder) / "kubeconfig"
        server.write_kubeconfig(kubeconfig)
        kind = next((made.kind.rpartition("/")[2].partition(".")[0].lower() for made in registry), "all")
        click.echo(f"sandbox: {server.url}, everything in memory; try it from another terminal:")
        click.echo(f"    kubectl --kubeconfig {kubeconfig} get {kind} -A")
        yield _client(_with_kubeconfig(settings, str(kubeconfig)), workers=_threads(registry, settings))


def _crds(registry: Registry, folder: Path) -> list[Path]:
    """A file with the CRDs of the models, so that the sandbox serves their kinds; none where there are no models."""
    models: list[Any] = [made.model for made in registry if made.model is not None]
    if not models:
        return []
    from operator_kit.generate import crds, to_yaml

    file = folder / "crds.yaml"
    file.write_text(to_yaml(crds(*models)), encoding="utf-8")
    return [file]


def _with_kubeconfig(settings: Settings, kubeconfig: str) -> Settings:
    import dataclasses

    return dataclasses.replace(settings, kubeconfig=kubeconfig)


@contextmanager
def _signals(manager: Manager) -> Iterator[None]:
    """SIGINT and SIGTERM ask the manager to stop; a second one ends the process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield  # an embedding program keeps its own handlers
        return

    def handle(number: int, _frame: FrameType | None) -> None:
        if manager.stopping:
            os._exit(128 + number)
        # Written past the buffers: the signal may have come in the middle of another line.
        os.write(2, f"{as_line(f'{signal.Signals(number).name}: stopping; once more to end at once')}\n".encode())
        manager.stop()

    from operator_kit.observe.logging import as_line

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_hard(code: int) -> NoReturn:
    """End now: no thread is waited for, since one of them is the reason."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
