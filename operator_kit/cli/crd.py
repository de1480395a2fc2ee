"""`operator-kit crd`: the CustomResourceDefinitions of the author's models, as YAML."""

from __future__ import annotations

import click

from operator_kit.cli import exit_codes
from operator_kit.cli.options import targets_argument
from operator_kit.errors import UsageError

__all__ = ["command"]

EPILOG = f"""\b
Examples:
  operator-kit crd my_operator.py > crd.yaml
  operator-kit crd my_package.models | kubectl apply --server-side -f -

{exit_codes(0, 1, 2, 3, ok="printed")}
"""


@click.command(epilog=EPILOG, short_help="Print the CRDs of models written in Python.")
@targets_argument
def command(targets: tuple[str, ...]) -> None:
    """Print the CustomResourceDefinitions of the models in TARGETs: Python files, directories of them, or modules."""
    try:
        import operator_kit.models  # noqa: F401  # asked for first: its absence has a remedy
    except ImportError as exc:
        raise UsageError(str(exc)) from None
    from operator_kit.generate import crds, models_in, to_yaml

    click.echo(to_yaml(crds(*models_in(targets))), nl=False)
