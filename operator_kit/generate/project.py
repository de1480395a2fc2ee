"""A new operator as a project that runs: model, reconciler, tests, manifests, image and chart, from the templates in project/.

`write_project` writes what is the same for everyone; what follows from the code (the definition of the kind, the roles) is made
from the code, by the same functions as `operator-kit crd` and `operator-kit rbac`, and written by the caller.
"""

from __future__ import annotations

import json
import keyword
import re
import shutil
import sys
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from urllib.parse import unquote, urlsplit

from operator_kit.errors import ConfigError, UsageError

__all__ = ["Project", "write_project"]

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_KIND = re.compile(r"[A-Z][A-Za-z0-9]{0,62}")
_GROUP = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+")
_LONGEST = 40  # the chart makes names of it, of 63 characters at most, with suffixes
# Where each template goes; "{module}" is the operator's.
_FILES = {
    "README.md": "README.md",
    "Makefile": "Makefile",
    "pyproject.toml": "pyproject.toml",
    "requirements.txt": "requirements.txt",
    "gitignore": ".gitignore",
    "Dockerfile": "Dockerfile",
    "dockerignore": ".dockerignore",
    "values.yaml": "values.yaml",
    "sample.yaml": "sample.yaml",
    "operator.py": "{module}.py",
    "test_operator.py": "test_{module}.py",
}
_FIELD = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True, slots=True)
class Project:
    """What a new project is called.

    Attributes:
        name: of the operator: its folder, release and image; `"bookshop"`, `"bookshop-operator"`.
        kind: `"Bookshop"`.
        group: `"example.com"`.
    """

    name: str
    kind: str
    group: str

    @classmethod
    def of(cls, name: str, kind: str = "", group: str = "example.com") -> Project:
        """Check the names; without a kind, it is made from the name: `Bookshop` from `bookshop-operator`.

        Raises:
            UsageError: a name that cannot be one.
        """
        if not _NAME.fullmatch(name) or len(name) > _LONGEST:
            raise UsageError(
                f"{name!r} is no name for an operator; use lower-case words and dashes, such as bookshop-operator, "
                f"{_LONGEST} characters at most"
            )
        base = name.removesuffix("-operator")
        kind = kind or "".join(word.capitalize() for word in base.split("-"))
        if not _KIND.fullmatch(kind) or keyword.iskeyword(kind):
            raise UsageError(f"{kind!r} is no name for a kind; use a word in CamelCase: --kind Bookshop")
        if not _GROUP.fullmatch(group):
            raise UsageError(f"{group!r} is no API group; use a domain that is yours: --group shop.example.com")
        made = cls(name, kind, group)
        if made.module in sys.stdlib_module_names or keyword.iskeyword(made.module) or made.module in {"operator_kit", "pytest"}:
            raise UsageError(f"a module named {made.module} exists already; use another name, such as my-{name}")
        return made

    @property
    def module(self) -> str:
        """`bookshop_operator`, the file without its suffix."""
        return self.name.replace("-", "_")

    @property
    def function(self) -> str:
        """What the reconcile function is called."""
        word = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", self.kind).lower()
        return f"{word}_" if keyword.iskeyword(word) else word


def write_project(project: Project, folder: Path) -> list[Path]:
    """Write the files of a new project.

    Args:
        project: its names.
        folder: where; it may exist if it is empty.

    Returns:
        The files, the operator's own first.

    Raises:
        ConfigError: there is something in the folder, or it cannot be written.
    """
    fields = {
        "name": project.name,
        "kind": project.kind,
        "group": project.group,
        "module": project.module,
        "function": project.function,
        "plural": f"{project.kind.lower()}s",  # a name for a file, not the kind's own plural
        "version": metadata.version("operator-kit"),
        "requirement": _requirement(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigError(f"{folder} is not empty; give the name of a new directory")
        templates = resources.files("operator_kit.generate") / "project"
        written = []
        for template, place in _FILES.items():
            path = folder / place.format(module=project.module)
            text = (templates / f"{template}.tmpl").read_text(encoding="utf-8")
            path.write_text(_FIELD.sub(lambda match: fields[match[1]], text), encoding="utf-8")
            written.append(path)
        shutil.copytree(_chart(), folder / "chart")
    except OSError as exc:
        raise ConfigError(f"{folder} cannot be written: {exc.strerror or exc}") from None
    return sorted(written, key=lambda path: path.suffix != ".py")


def _requirement() -> str:
    """What pip installs as operator-kit: its name, or the checkout that this one was installed from (PEP 610)."""
    origin = metadata.distribution("operator-kit").read_text("direct_url.json")
    url = urlsplit(str(json.loads(origin).get("url", ""))) if origin else urlsplit("")
    path = unquote(url.path)
    return path if url.scheme == "file" and Path(path).is_dir() else "operator-kit"


def _chart() -> Path:
    """The Helm chart: in an installed package beside the templates, in a checkout where it is made."""
    installed = Path(__file__).parent / "chart"
    checkout = Path(__file__).parents[2] / "charts" / "operator-kit"
    for path in (installed, checkout):
        if (path / "Chart.yaml").is_file():
            return path
    raise ConfigError(f"the Helm chart is missing from this installation ({installed}); install operator-kit again")
