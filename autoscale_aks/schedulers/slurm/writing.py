"""What is written of new nodes and of waiting jobs: the words, before scontrol is given them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from autoscale_aks.errors import SchedulerError
from autoscale_aks.schedulers.commanded import first_match
from autoscale_aks.schedulers.slurm.settings import PLACEHOLDER
from autoscale_aks.schedulers.slurm.values import MEGABYTE
from autoscale_aks.units import Size, number_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from autoscale_aks.schedulers.port import NewNode
    from autoscale_aks.schedulers.slurm.settings import SlurmSettings

MARK: Final = "azaks: "
"""What our reasons in a job's AdminComment begin with."""

_ADDRESS: Final = "nodeaddr"
_VALUE: Final = re.compile(r"[^\s\x00-\x1f]{1,400}\Z")
_JOB: Final = re.compile(r"([0-9]{1,19})(?:_([0-9]{1,10})|_\[.*|\+[0-9]{1,10})?\Z", re.DOTALL)


def node_attributes(node: NewNode, settings: SlurmSettings) -> tuple[str, ...]:
    """Attributes for `scontrol create`; its address is added where it is known. Raises SchedulerError."""
    attributes = first_match(settings.create_nodes, node.name)
    if attributes is None:
        raise SchedulerError(f"node {node.name}: no pattern of scheduler.create_nodes says what it has")
    return _filled(attributes, node, settings)


def _filled(attributes: Sequence[str], node: NewNode, settings: SlurmSettings) -> tuple[str, ...]:
    facts = _facts(node, settings)
    found: dict[str, str] = {}
    for attribute in attributes:
        name, _, template = attribute.partition("=")
        filled = PLACEHOLDER.sub(lambda match: facts.get(match[1], ""), template)
        value = ",".join(part for part in filled.split(",") if part)
        if value and not _VALUE.match(value):
            raise SchedulerError(f"node {node.name}: {name}={value[:40]!r} cannot be given to scontrol")
        if value:
            found[name] = value
    if node.address and _ADDRESS not in map(str.lower, found):
        found[_ADDRESS] = node.address
    return tuple(f"{name}={value}" for name, value in found.items())


def _facts(node: NewNode, settings: SlurmSettings) -> Mapping[str, str]:
    def amount(name: str, unit: int = 1) -> str:
        number = number_of(node.resources.get(name))
        return "" if number is None else str(int(number) // unit)

    memory = node.resources.get(settings.memory_resource)
    return {
        "ncpus": amount(settings.cpu_resource),
        "mem_mb": amount(settings.memory_resource, MEGABYTE) if isinstance(memory, Size) else "",
        "ngpus": amount(settings.gpu_resource),
        "nodearray": node.nodearray,
        "vm_size": node.vm_size,
        "placement_group": node.placement_group or "",
        "zone": node.zone or "",
        "address": node.address or "",
    }


def job_id_of(name: str) -> str | None:
    """The id that scontrol takes for a job's name: `14_[0-599]` → `14`, `14_7`, `40+1` → `40`; None: no id."""
    match = _JOB.match(name)
    if match is None:
        return None
    return match[1] if match[2] is None else f"{match[1]}_{match[2]}"
