"""The three names of one machine: in AKS, in Kubernetes, in the scheduler. `docs/names.md` shows them as a table.

==================  =================================  ==========================================================
name                form                               rule
==================  =================================  ==========================================================
machine             `OWNER-NODEARRAY-NUMBER`           ours; identity (aks-machine-api.md §2.6, batching.md B7)
Kubernetes node     `aks-POOL-MACHINE-########-vm`     the service's (§7.2); older recordings end in `-vm0`, `-vm1`
scheduler's node    the machine's name                 or the host's: short, with a domain, or the Kubernetes form
==================  =================================  ==========================================================

A pool's name has no hyphen (§2.1), so that the Kubernetes form is read in one way only. Where the service tells a
machine's `nodeName`, that is believed before any name is taken apart.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

NODE_NUMBER: Final = "########"
"""Stands for the eight digits that the service chooses."""

_KUBERNETES: Final = re.compile(r"aks-(?P<pool>[a-z0-9]{1,12})-(?P<machine>.+)-[0-9]{8}-vm[0-9]*\Z")
_NUMBER: Final = re.compile(r"(?:0|[1-9][0-9]{0,17})\Z")


def machine_prefix(owner: str, nodearray: str) -> str:
    """`OWNER-NODEARRAY-`: what a number is put behind."""
    return f"{owner}-{nodearray}-"


def nodearray_of(machine: str, owner: str, nodearrays: Iterable[str]) -> str | None:
    """The node array in one of our machine names; None: nobody of `owner` gives this name (no leading zeros)."""
    for nodearray in nodearrays:
        prefix = machine_prefix(owner, nodearray)
        if machine.startswith(prefix) and _NUMBER.match(machine, len(prefix)):
            return nodearray
    return None


def kubernetes_node(pool: str, machine: str, number: str = NODE_NUMBER) -> str:
    """The Kubernetes node of a machine; `number` is the service's, and known only to the service."""
    return f"aks-{pool}-{machine}-{number}-vm"


def machine_of_kubernetes_node(node: str, pool: str | None = None) -> str | None:
    """The machine in a Kubernetes node's name; None: another kind of node, or another pool than `pool`."""
    match = _KUBERNETES.match(node)
    if match is None or (pool is not None and match["pool"] != pool):
        return None
    return match["machine"]


def machine_of_host(host: str) -> str:
    """The machine behind a host or scheduler node: its name without a domain, taken from the Kubernetes form."""
    short = host.partition(".")[0] or host
    return machine_of_kubernetes_node(short) or short


def scheduler_node(machine: str) -> str:
    """What the scheduler calls a machine's node where this program names it: the same."""
    return machine
