"""The keys of `{"type": "gridengine", …}`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.planning.reading import Reader
from autoscale_aks.schedulers.commanded import COMMANDED_KEYS, CommandedSettings, first_match, read_commanded
from autoscale_aks.schedulers.settings import finish, read_lists, read_object, read_path, read_texts, read_word

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,60}\Z")
_VALUE = re.compile(r"[A-Za-z0-9._:/@+*-]{1,200}\Z")
_GROUP = re.compile(r"@[A-Za-z0-9_.-]{1,60}\Z")
DEFAULT_REASONS: Final = 500
MOST_REASONS: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """How a host joins: the groups it is added to and what it has. Slots are the host's, over all its queues."""

    hostgroups: tuple[str, ...] = ()
    slots: int | None = None
    complex_values: Mapping[str, str] = field(default_factory=frozendict)


@dataclass(frozen=True, slots=True, kw_only=True)
class GridEngineSettings(CommandedSettings):
    """How this site's Grid Engine is asked, and how its words become constraints.

    ==========================  ========================================================================
    key                         meaning
    ==========================  ========================================================================
    qstat, qhost, qconf, qmod,  the commands; full paths where PATH lacks them (cron)
    qalter
    sge_root, sge_cell          SGE_ROOT and SGE_CELL for them
    timeout_s                   seconds one command may take (60)
    max_output_bytes            most bytes one command may print (1 GiB)
    capture_dir                 answer from captured files instead; nothing is changed
    capture_nodes               whether the captured hosts are reported too (false)
    hostgroups                  host group → node arrays whose hosts join it. A queue is served by the node
                                arrays of the groups in its host list
    queues                      queue → node arrays, where that is not what its host list says. An empty
                                list: its jobs are not served. With neither, every node array serves all
    colocated                   parallel environments (or patterns) whose jobs lie in one placement group
    reasons                     of how many of the first waiting jobs the scheduler's reasons are asked
                                (500); of arrays they always are
    unknown_reasons             "runnable" (default) or "waiting": jobs that wait for a reason not known here
    job_reasons                 whether to write why a job waits into its context, where qstat -j shows it (false)
    join                        host name pattern → {"hostgroups": ["@htc"], "slots": 4,
                                "complex_values": {"mem_free": "15G"}}
    ==========================  ========================================================================
    """

    qstat: str = "qstat"
    qhost: str = "qhost"
    qconf: str = "qconf"
    qmod: str = "qmod"
    qalter: str = "qalter"
    sge_root: Path | None = None
    sge_cell: str | None = None
    hostgroups: Mapping[str, tuple[str, ...]] = field(default_factory=frozendict)
    queues: Mapping[str, tuple[str, ...]] = field(default_factory=frozendict)
    colocated: tuple[str, ...] = ()
    reasons: int = DEFAULT_REASONS
    join: Mapping[str, Join] = field(default_factory=frozendict)

    @property
    def serves_all(self) -> bool:
        """Whether nothing says which node array serves which queue."""
        return not self.hostgroups and not self.queues

    def join_of(self, name: str) -> Join | None:
        """How a host of this name joins; None: nobody says."""
        return first_match(self.join, name)


_KEYS: Final = (
    *COMMANDED_KEYS, "qstat", "qhost", "qconf", "qmod", "qalter", "sge_root", "sge_cell", "hostgroups", "queues",
    "colocated", "reasons", "join",
)  # fmt: skip


def read_settings(raw: Mapping[str, Any], *, path: str = "scheduler", base: Path | None = None) -> GridEngineSettings:
    """Raises ConfigError with every problem at once."""
    reader = Reader()
    reader.keys(raw, path, _KEYS)
    settings = GridEngineSettings(
        **read_commanded(reader, raw, path, base),
        qstat=read_word(reader, raw, "qstat", path, "qstat"),
        qhost=read_word(reader, raw, "qhost", path, "qhost"),
        qconf=read_word(reader, raw, "qconf", path, "qconf"),
        qmod=read_word(reader, raw, "qmod", path, "qmod"),
        qalter=read_word(reader, raw, "qalter", path, "qalter"),
        sge_root=read_path(reader, raw, "sge_root", path, base),
        sge_cell=reader.optional_text(raw, "sge_cell", path),
        hostgroups=read_lists(reader, raw, "hostgroups", path),
        queues=read_lists(reader, raw, "queues", path),
        colocated=reader.texts(raw, "colocated", path),
        reasons=reader.count(raw, "reasons", path, DEFAULT_REASONS, most=MOST_REASONS),
        join=_joins(reader, raw, path),
    )
    for group in settings.hostgroups:
        _check_group(reader, group, f"{path}.hostgroups.{group[:60]}")
    finish(reader)
    return settings


def _joins(reader: Reader, raw: Mapping[str, Any], path: str) -> Mapping[str, Join]:
    found: dict[str, Join] = {}
    for pattern, entry in read_object(reader, raw, "join", path).items():
        where = f"{path}.join.{pattern}"
        keys = reader.keys(entry, where, ("hostgroups", "slots", "complex_values"))
        groups = reader.texts(keys, "hostgroups", where)
        for group in groups:
            _check_group(reader, group, f"{where}.hostgroups")
        values = read_texts(reader, keys, "complex_values", where, name=_NAME, value=_VALUE)
        slots = reader.optional_count(keys, "slots", where)
        found[pattern] = Join(hostgroups=groups, slots=slots, complex_values=values)
    return frozendict(found)


def _check_group(reader: Reader, group: str, path: str) -> None:
    if not _GROUP.match(group):
        reader.wrong(path, f'expected a host group such as "@htc", found {group[:40]!r}')
