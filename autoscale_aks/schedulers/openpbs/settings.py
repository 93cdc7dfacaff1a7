"""The keys of `{"type": "openpbs", …}`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.planning.reading import Reader
from autoscale_aks.schedulers.commanded import COMMANDED_KEYS, CommandedSettings, read_commanded
from autoscale_aks.schedulers.settings import finish, read_lists, read_object, read_path, read_texts, read_word

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_RESOURCE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,60}\Z")
_VALUE = re.compile(r"[A-Za-z0-9._:/@+-]{1,200}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class PbsSettings(CommandedSettings):
    """How this site's OpenPBS is asked, and how its words become constraints.

    ========================  ==========================================================================
    key                       meaning
    ========================  ==========================================================================
    qstat, qmgr, pbsnodes,    the commands; full paths where PATH lacks them (cron)
    qalter
    pbs_conf                  PBS_CONF_FILE for them
    timeout_s                 seconds one command may take (60)
    max_output_bytes          most bytes one command may print (1 GiB)
    capture_dir               answer from captured files instead; nothing is changed
    capture_nodes             whether the captured nodes are reported too (false)
    queues                    queue → node arrays that serve it, in order of preference. A queue that is not
                              named here is served by all. An empty list: its jobs are not served
    group_resource            resource that is equal on the nodes of a placement group (group_id):
                              `place=group=` of it is a colocated job
    identity_resource         resource that holds the machine's name on a node (ccnodeid)
    subjobs                   whether qstat is asked for array subjobs too (false: the arrays' own counts and
                              the nodes' job lists say the same in far fewer lines)
    sched_config              PBS's sched_config; null: where `qmgr -c 'list sched'` says
    run_server_dyn_res        whether the programs of `server_dyn_res` lines are run (false)
    unknown_reasons           "runnable" (default) or "waiting": jobs that wait for a reason not known here
    job_reasons               whether to write why a job waits behind PBS's own words in its comment (false)
    create_nodes              node name pattern → resources for `qmgr create node`, such as
                              {"az1-htc-*": {"ncpus": 4, "mem": "15gb", "slot_type": "htc"}}
    ========================  ==========================================================================
    """

    qstat: str = "qstat"
    qmgr: str = "qmgr"
    pbsnodes: str = "pbsnodes"
    qalter: str = "qalter"
    pbs_conf: Path | None = None
    queues: Mapping[str, tuple[str, ...]] = field(default_factory=frozendict)
    group_resource: str = "group_id"
    identity_resource: str = "ccnodeid"
    subjobs: bool = False
    sched_config: Path | None = None
    run_server_dyn_res: bool = False
    create_nodes: Mapping[str, Mapping[str, str]] = field(default_factory=frozendict)


_KEYS: Final = (
    *COMMANDED_KEYS, "qstat", "qmgr", "pbsnodes", "qalter", "pbs_conf", "queues", "group_resource", "identity_resource",
    "subjobs", "sched_config", "run_server_dyn_res", "create_nodes",
)  # fmt: skip


def read_settings(raw: Mapping[str, Any], *, path: str = "scheduler", base: Path | None = None) -> PbsSettings:
    """Raises ConfigError with every problem at once."""
    reader = Reader()
    reader.keys(raw, path, _KEYS)
    settings = PbsSettings(
        **read_commanded(reader, raw, path, base),
        qstat=read_word(reader, raw, "qstat", path, "qstat"),
        qmgr=read_word(reader, raw, "qmgr", path, "qmgr"),
        pbsnodes=read_word(reader, raw, "pbsnodes", path, "pbsnodes"),
        qalter=read_word(reader, raw, "qalter", path, "qalter"),
        pbs_conf=read_path(reader, raw, "pbs_conf", path, base),
        queues=read_lists(reader, raw, "queues", path),
        group_resource=read_word(reader, raw, "group_resource", path, "group_id"),
        identity_resource=read_word(reader, raw, "identity_resource", path, "ccnodeid"),
        subjobs=reader.flag(raw, "subjobs", path, default=False),
        sched_config=read_path(reader, raw, "sched_config", path, base),
        run_server_dyn_res=reader.flag(raw, "run_server_dyn_res", path, default=False),
        create_nodes=_resources_by_pattern(reader, raw, "create_nodes", path),
    )
    finish(reader)
    return settings


def _resources_by_pattern(
    reader: Reader, raw: Mapping[str, Any], key: str, path: str
) -> Mapping[str, Mapping[str, str]]:
    """Node name patterns → resources as qmgr writes them."""
    patterns = read_object(reader, raw, key, path)
    found = {
        pattern: read_texts(reader, patterns, pattern, f"{path}.{key}", name=_RESOURCE, value=_VALUE)
        for pattern in patterns
    }
    return frozendict(found)
