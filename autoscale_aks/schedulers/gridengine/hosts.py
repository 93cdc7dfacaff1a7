"""Hosts that join, close, reopen and leave: what qconf and qmod are told, and what is done already."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from autoscale_aks.errors import SchedulerError
from autoscale_aks.schedulers.commanded import try_each
from autoscale_aks.schedulers.gridengine.objects import parse_groups, parse_names, parse_objects, parse_queues

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoscale_aks.schedulers.gridengine.commands import GridEngineCommands
    from autoscale_aks.schedulers.gridengine.settings import Join

_ABSENT: Final = re.compile(r"does not exist|is not an? |invalid queue|no modification|unknown object", re.IGNORECASE)
_PRESENT: Final = re.compile(r"already exists", re.IGNORECASE)
_HOST: Final = """\
hostname {name}
load_scaling NONE
complex_values {values}
user_lists NONE
xuser_lists NONE
projects NONE
xprojects NONE
usage_scaling NONE
report_variables NONE
"""


class Hosts:
    """Changes of the host list of one cluster. Methods raise SchedulerError."""

    def __init__(self, commands: GridEngineCommands) -> None:
        self._commands = commands

    def join(self, name: str, join: Join) -> None:
        """Make the host known, with what it has, then let the queues have it. What is done already is no error.

        The name has to resolve on the master. The values stand before the first queue may use the host.
        """
        values = dict(join.complex_values)
        if join.slots is not None:
            values["slots"] = str(join.slots)
        self._unless(_PRESENT, "-ah", name)
        written = ",".join(f"{key}={value}" for key, value in values.items()) or "NONE"
        if not self._make(name, written) and values:
            self._commands.change("-mattr", "exechost", "complex_values", written, name)
        for group in join.hostgroups:
            self._unless(_PRESENT, "-aattr", "hostgroup", "hostlist", name, group)

    def close(self, names: Sequence[str]) -> list[SchedulerError]:
        """Disable every queue of the hosts: what runs goes on, nothing new starts."""
        return try_each(names, lambda name: self._modify("-d", name))

    def reopen(self, names: Sequence[str]) -> list[SchedulerError]:
        """Enable every queue of the hosts."""
        return try_each(names, lambda name: self._modify("-e", name))

    def remove(self, names: Sequence[str]) -> list[SchedulerError]:
        """Take hosts out of groups and queues, then forget them. Grid Engine refuses while a queue names the host."""
        if not names:
            return []
        self._requeue(names)
        groups = parse_groups(
            "\n\n".join(
                self._commands.show("-shgrp", group).text for group in parse_names(self._commands.show("-shgrpl").text)
            )
        )
        queues = parse_queues(self._commands.show("-sq", "*").text)

        def leave(name: str) -> None:
            for group, members in groups.items():
                if name in members:
                    self._unless(_ABSENT, "-dattr", "hostgroup", "hostlist", name, group)
            for queue in queues.values():
                if name in queue.hostlist:
                    self._unless(_ABSENT, "-dattr", "queue", "hostlist", name, queue.name)
                self._unless(_ABSENT, "-purge", "queue", "*", f"{queue.name}@{name}")
            self._unless(_ABSENT, "-de", name)
            self._unless(_ABSENT, "-dh", name)

        return try_each(names, leave)

    def _requeue(self, names: Sequence[str]) -> None:
        """Give jobs of lost machines back to the queue; jobs that may not run twice stay, and keep their host."""
        for name in names:
            try:
                self._commands.modify("-f", "-rq", f"*@{name}")
            except SchedulerError:
                continue  # no such queue instance, or nothing runs there

    def _make(self, name: str, values: str) -> bool:
        """Make the execution host; False when it is there already."""
        with tempfile.TemporaryDirectory(prefix="azaks-") as directory:
            path = Path(directory) / "host"
            path.write_text(_HOST.format(name=name, values=values), encoding="utf-8")
            try:
                self._commands.change("-Ae", str(path))
            except SchedulerError as error:
                if _PRESENT.search(str(error)):
                    return False
                raise
        return True

    def _modify(self, option: str, name: str) -> None:
        try:
            self._commands.modify(option, f"*@{name}")
        except SchedulerError as error:
            if not _ABSENT.search(str(error)):
                raise

    def _unless(self, fine: re.Pattern[str], *args: str) -> None:
        """Change something; a refusal of this kind is fine."""
        try:
            self._commands.change(*args)
        except SchedulerError as error:
            if not fine.search(str(error)):
                raise


def global_values(text: str) -> str:
    """`qconf -se global` → its complex_values."""
    return next((pairs.get("complex_values", "") for pairs in parse_objects(text)), "")
