"""`scheduler` of autoscale.json → a scheduler port, by its type; others can be installed beside ours."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any, Final, Protocol

from autoscale_aks.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from autoscale_aks.schedulers.port import SchedulerPort

ENTRY_POINT_GROUP: Final = "autoscale_aks.schedulers"
"""Installed packages offer schedulers here: the entry point's name is the type, its object a `SchedulerFactory`."""


class SchedulerFactory(Protocol):
    """Makes a scheduler from its settings. Raises ConfigError (with paths below `scheduler`) when they are wrong."""

    def __call__(
        self, settings: Mapping[str, Any], *, environment: Mapping[str, str], base: Path | None = None
    ) -> SchedulerPort:
        """Return the scheduler; nothing is run or read yet."""
        ...


_BUILT_IN: Final[Mapping[str, str]] = {
    "slurm": "autoscale_aks.schedulers.slurm.driver",
    "command": "autoscale_aks.schedulers.command.driver",
    "openpbs": "autoscale_aks.schedulers.openpbs.driver",
    "gridengine": "autoscale_aks.schedulers.gridengine.driver",
    "kubernetes": "autoscale_aks.schedulers.kubernetes.driver",
    "celery": "autoscale_aks.schedulers.celery.driver",
}
"""Type → module, whose `build` it is; only the one that is used is imported."""


def known_types() -> tuple[str, ...]:
    """Every type that can be named, ours first."""
    installed = sorted(entry.name for entry in _installed())
    return tuple(dict.fromkeys((*_BUILT_IN, *installed)))


def build_scheduler(
    settings: Mapping[str, Any], *, environment: Mapping[str, str] | None = None, base: Path | None = None
) -> SchedulerPort:
    """The scheduler that `settings["type"]` names. Nothing is run or read yet.

    `environment` is what its programs inherit (default: ours); relative paths start at `base`, the directory of
    the configuration file. Raises ConfigError with every problem at once.
    """
    environment = os.environ if environment is None else environment
    return _factory(settings.get("type"))(settings, environment=environment, base=base)


def _factory(kind: object) -> SchedulerFactory:
    if isinstance(kind, str) and kind in _BUILT_IN:
        factory: SchedulerFactory = importlib.import_module(_BUILT_IN[kind]).build
        return factory
    for entry in _installed():
        if entry.name == kind:
            return _load(entry)
    import difflib  # noqa: PLC0415  only mistakes need it

    known = known_types()
    close = difflib.get_close_matches(str(kind), known, n=1)
    hint = f'did you mean "{close[0]}"?' if close else f"known are {', '.join(known)}"
    found = "it is missing" if kind is None else f"{str(kind)[:60]!r} is not known"
    raise ConfigError([Problem("scheduler.type", f"{found}; {hint}")])


def _installed() -> Any:
    """The entry points of schedulers that are installed beside ours."""
    from importlib.metadata import entry_points  # noqa: PLC0415  asked only for a type that is not ours

    return entry_points(group=ENTRY_POINT_GROUP)


def _load(entry: Any) -> SchedulerFactory:
    try:
        factory: SchedulerFactory = entry.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError([Problem("scheduler.type", f"{entry.value} cannot be loaded: {error}")]) from error
    if not callable(factory):
        raise ConfigError([Problem("scheduler.type", f"{entry.value} is not a scheduler factory")])
    return factory
