"""`azaks version`."""

from __future__ import annotations

import platform
import sys
from typing import Final

import click

from autoscale_aks import __version__
from autoscale_aks.cli.options import format_option
from autoscale_aks.cli.terminal import print_json

LIBRARIES: Final = ("azure-identity", "click", "frozendict", "jsonschema", "numpy", "requests", "rich", "urllib3",
                    "starlette", "uvicorn", "celery", "PyYAML")  # fmt: skip


@click.command("version")
@format_option
def command(form: str) -> None:
    """Show the version; with --format json also Python's and the libraries', for a report.

    \b
    Example: azaks version --format json
    """
    if form == "json":
        print_json({"azaks": __version__, "python": platform.python_version(), "executable": sys.executable,
                    "platform": platform.platform(), "libraries": _libraries()})  # fmt: skip
        return
    click.echo(f"azaks, version {__version__}")


def _libraries() -> dict[str, str | None]:
    """Installed versions by name; null for what is not there."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    found: dict[str, str | None] = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found
