"""The keys of `{"type": "slurm", …}`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.errors import ConstraintError
from autoscale_aks.matching.parse import parse_constraint
from autoscale_aks.planning.reading import Reader
from autoscale_aks.schedulers.commanded import COMMANDED_KEYS, CommandedSettings, read_commanded
from autoscale_aks.schedulers.settings import finish, read_lists, read_object, read_path, read_word

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_ATTRIBUTE = re.compile(r"[A-Za-z]\w{0,40}=[^\s\x00-\x1f]{1,400}\Z")
_OWN_ATTRIBUTES: Final = frozenset({"nodename", "state"})
PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
PLACEHOLDERS: Final = frozenset(
    {"ncpus", "mem_mb", "ngpus", "nodearray", "vm_size", "placement_group", "zone", "address"}
)
"""What `create_nodes` may say of a machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerSaving:
    """Slurm's own powering of nodes: where its hooks keep their events, and the node arrays it is for (empty: all)."""

    spool: Path
    nodearrays: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmSettings(CommandedSettings):
    """How this site's Slurm is asked, and how its words become constraints.

    ========================  ==========================================================================
    key                       meaning
    ========================  ==========================================================================
    squeue, scontrol          the commands; full paths where PATH lacks them (cron)
    slurm_conf                SLURM_CONF for them
    timeout_s                 seconds one command may take (60)
    max_output_bytes          most bytes one command may print (1 GiB)
    capture_dir               answer from captured files instead; nothing is changed
    capture_nodes             whether the captured nodes are reported too (false)
    partitions                partition → node arrays, in order of preference; default: the same name.
                              An empty list: its jobs are not served
    features                  feature → constraint; default: {"feature_NAME": true}
    gpu_types                 GPU type of a gres → constraint; default: {"gpu_type": TYPE}
    cpu_resource              resource that CPUs are charged on (ncpus)
    memory_resource           resource that memory is charged on (mem)
    gpu_resource              resource that GPUs are charged on (ngpus); other gres: gres_NAME
    memory_is_managed         whether Slurm shares memory out; null: as its configuration says
    unknown_reasons           "runnable" (default) or "waiting": jobs that wait for a reason not known here
    dynamic_nodes             whether partitions grow by `scontrol create`, so that PartitionConfig is worth
                              a machine; null: where a partition is made of node sets or has no nodes
    create_nodes              node name pattern → attributes for `scontrol create`, such as
                              {"htc-*": ["cpus=4", "realmemory=15564", "feature=htc"]}; in a value {ncpus},
                              {mem_mb}, {ngpus}, {nodearray}, {vm_size}, {placement_group}, {zone} and {address}
                              are the machine's own, and what is not known is left out
    power_saving              Slurm makes and ends nodes itself (ResumeProgram, SuspendProgram): {"spool": DIR}, where
                              our hooks keep its wishes, and "nodearrays", for which it does (all)
    job_reasons               whether to write why a job waits into its AdminComment (false)
    ========================  ==========================================================================
    """

    squeue: str = "squeue"
    scontrol: str = "scontrol"
    slurm_conf: Path | None = None
    partitions: Mapping[str, tuple[str, ...]] = field(default_factory=frozendict)
    features: Mapping[str, Mapping[str, Any]] = field(default_factory=frozendict)
    gpu_types: Mapping[str, Mapping[str, Any]] = field(default_factory=frozendict)
    cpu_resource: str = "ncpus"
    memory_resource: str = "mem"
    gpu_resource: str = "ngpus"
    memory_is_managed: bool | None = None
    dynamic_nodes: bool | None = None
    create_nodes: Mapping[str, tuple[str, ...]] = field(default_factory=frozendict)
    power_saving: PowerSaving | None = None

    def powers(self, nodearrays: tuple[str, ...]) -> bool:
        """Whether Slurm itself powers the nodes of all these node arrays."""
        powered = self.power_saving
        return powered is not None and (
            not powered.nodearrays or (bool(nodearrays) and set(nodearrays) <= set(powered.nodearrays))
        )

    def nodearrays_of(self, partitions: tuple[str, ...]) -> tuple[str, ...]:
        """The node arrays that serve these partitions, each once, earlier partitions first."""
        found = (array for name in partitions for array in self.partitions.get(name, (name,)))
        return tuple(dict.fromkeys(found))

    def feature(self, name: str) -> Mapping[str, Any]:
        """The constraint that stands for a feature."""
        return self.features.get(name, {feature_resource(name): True})

    def gpu_type(self, name: str) -> Mapping[str, Any]:
        """The constraint that stands for a GPU type."""
        return self.gpu_types.get(name, {GPU_TYPE: name})


_KEYS: Final = (
    *COMMANDED_KEYS, "squeue", "scontrol", "slurm_conf", "partitions", "features", "gpu_types", "cpu_resource",
    "memory_resource", "gpu_resource", "memory_is_managed", "dynamic_nodes", "create_nodes", "power_saving",
)  # fmt: skip

GPU_TYPE: Final = "gpu_type"
"""The resource that a GPU type equals where `gpu_types` says nothing."""


def feature_resource(name: str) -> str:
    """The resource that is true on nodes with a feature."""
    return f"feature_{name}"


def read_settings(raw: Mapping[str, Any], *, path: str = "scheduler", base: Path | None = None) -> SlurmSettings:
    """Raises ConfigError with every problem at once."""
    reader = Reader()
    reader.keys(raw, path, _KEYS)
    settings = SlurmSettings(
        **read_commanded(reader, raw, path, base),
        squeue=read_word(reader, raw, "squeue", path, "squeue"),
        scontrol=read_word(reader, raw, "scontrol", path, "scontrol"),
        slurm_conf=read_path(reader, raw, "slurm_conf", path, base),
        partitions=read_lists(reader, raw, "partitions", path),
        features=_constraints(reader, raw, "features", path),
        gpu_types=_constraints(reader, raw, "gpu_types", path),
        cpu_resource=read_word(reader, raw, "cpu_resource", path, "ncpus"),
        memory_resource=read_word(reader, raw, "memory_resource", path, "mem"),
        gpu_resource=read_word(reader, raw, "gpu_resource", path, "ngpus"),
        memory_is_managed=_maybe(reader, raw, "memory_is_managed", path),
        dynamic_nodes=_maybe(reader, raw, "dynamic_nodes", path),
        create_nodes=read_lists(reader, raw, "create_nodes", path),
        power_saving=_power_saving(reader, raw, path, base),
    )
    for pattern, attributes in settings.create_nodes.items():
        for attribute in attributes:
            if not _ATTRIBUTE.match(attribute) or attribute.partition("=")[0].lower() in _OWN_ATTRIBUTES:
                expected = 'expected an attribute such as "cpus=4"'
                reader.wrong(f"{path}.create_nodes.{pattern}", f"{expected}, found {attribute[:40]!r}")
            unknown = sorted(set(PLACEHOLDER.findall(attribute)) - PLACEHOLDERS)
            if unknown:
                known = ", ".join(f"{{{name}}}" for name in sorted(PLACEHOLDERS))
                reader.wrong(f"{path}.create_nodes.{pattern}", f"there is no {{{unknown[0]}}}; known are {known}")
    finish(reader)
    return settings


def _maybe(reader: Reader, raw: Mapping[str, Any], key: str, path: str) -> bool | None:
    return None if raw.get(key) is None else reader.flag(raw, key, path, default=False)


def _power_saving(reader: Reader, raw: Mapping[str, Any], path: str, base: Path | None) -> PowerSaving | None:
    if raw.get("power_saving") is None:
        return None
    path = f"{path}.power_saving"
    found = raw["power_saving"]
    if not hasattr(found, "items"):
        reader.wrong(path, 'expected an object such as {"spool": "/var/spool/azaks"}')
        return None
    reader.keys(found, path, ("spool", "nodearrays"))
    spool = read_path(reader, found, "spool", path, base)
    if spool is None:
        reader.wrong(f"{path}.spool", "is missing; name the directory that wake.json of the hooks names too")
        return None
    return PowerSaving(spool=spool, nodearrays=reader.texts(found, "nodearrays", path))


def _constraints(reader: Reader, raw: Mapping[str, Any], key: str, path: str) -> Mapping[str, Mapping[str, Any]]:
    """Slurm's words → constraints, each parsed once here so that a mistake is found at the start."""
    found: dict[str, Mapping[str, Any]] = {}
    for name, constraint in read_object(reader, raw, key, path).items():
        try:
            parse_constraint(constraint, f"{path}.{key}.{name}")
        except ConstraintError as error:
            reader.problems.extend(error.problems)
        else:
            found[name] = constraint
    return frozendict(found)
