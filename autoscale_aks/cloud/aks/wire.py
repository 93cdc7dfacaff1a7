"""The AKS Machine API on the wire: encode requests, decode answers (aks-machine-api.md §2 – §4, batching.md B7).

=========================  ====================================================================================
PUT pool                   `{"properties":{"mode":"Machines"}}` and nothing else
PUT machine                `zones` at top level; `tags` under `properties`, never at top level; taints under
                           `nodeInitializationTaints`; `priority` only for Spot
`BatchPutMachine: all`     `batchMachines` has every machine, each with `machineName`, `zones`, `tags`
`… additional`             `vmSkus`, and in `batchMachines` the machines after the first, by `machineName`; a machine
                           with a zone or tags of its own has `zones` and all its `tags` there, the first one too,
                           because the service takes neither from the body of a batch (§4.3)
both forms                 the first machine is the URL's; its own zone and tags stand in the body as well
POST deleteMachines        `{"machineNames":[…]}`
GET machine(s)             `priority` is absent for Regular; unknown states are kept as they are; the ownership mark
                           is taken from the node labels when the tags have lost it
=========================  ====================================================================================

The key in the header is always `machineName`: with `name` the service drops the entry and answers 2xx.
"""

from __future__ import annotations

import enum
import json
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.cloud.aks.faults import clean_text, mark_of, parse_object, parse_provisioning_error
from autoscale_aks.errors import ProtocolError
from autoscale_aks.model.launch import GROUP_TAG, OWNER_TAG, Machine, MachineSpec, PoolView

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from autoscale_aks.model.launch import MachineTemplate

BATCH_HEADER: Final = "BatchPutMachine"
MAX_PER_PUT: Final = 50
MAX_PER_DELETE: Final = 50
HEADER_BUDGET_BYTES: Final = 12 * 1024
MAX_PAGE_BYTES: Final = 32 * 1024 * 1024

_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")


class HeaderForm(enum.Enum):
    """The two known shapes of the batch header (B7)."""

    ALL = "all"
    ADDITIONAL = "additional"


def encode_json(value: object) -> bytes:
    """Compact JSON in ASCII: what headers need and bodies may have."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def encode_pool() -> dict[str, Any]:
    """The body that makes a pool for machines (§2.1)."""
    return {"properties": {"mode": "Machines"}}


def encode_machine(template: MachineTemplate, machine: MachineSpec) -> dict[str, Any]:
    """The body of a machine's PUT; of a batch's, with its URL machine (§3, §4.3)."""
    properties: dict[str, Any] = {
        "hardware": _present(
            vmSize=template.vm_size,
            gpuInstanceProfile=template.gpu_instance_profile,
            gpuProfile={"driver": template.gpu_driver} if template.gpu_driver else None,
        ),
        "operatingSystem": _present(
            osSKU=template.os_sku, osDiskSizeGB=template.os_disk_size_gb, osDiskType=template.os_disk_type
        ),
        "kubernetes": _present(
            orchestratorVersion=template.orchestrator_version,
            nodeLabels=dict(template.node_labels),
            nodeInitializationTaints=list(template.node_taints),
            maxPods=template.max_pods,
        ),
        "priority": "Spot" if template.spot else None,
        "billing": _present(spotMaxPrice=template.spot_max_price if template.spot else None),
        "security": _present(sshAccess=template.ssh_access),
        "network": _present(vnetSubnetID=template.vnet_subnet_id),
        "nodeImageVersion": template.node_image_version,
        "tags": _tags(template, machine),
    }
    return _present(zones=[machine.zone] if machine.zone else None, properties=_present(**properties))


def encode_batch_header(template: MachineTemplate, machines: Sequence[MachineSpec], form: HeaderForm) -> str:
    """The value of `BatchPutMachine` for a chunk whose first machine is the URL's (§4.2)."""
    if form is HeaderForm.ALL:
        return f'{{"batchMachines":[{",".join(_entries(template, machines))}]}}'
    first, *additional = machines
    skus = {"value": [{"name": template.vm_size, "resourceType": "virtualMachines"}]}
    listed = [first, *additional] if first.zone or first.tags else additional
    return encode_json({"vmSkus": skus, "batchMachines": [_entry(template, one) for one in listed]}).decode("ascii")


def _entry(template: MachineTemplate, machine: MachineSpec) -> dict[str, Any]:
    """A machine in the `additional` form: only its name, unless something of it differs from the others."""
    return _present(
        machineName=machine.name,
        zones=[machine.zone] if machine.zone else None,
        tags=_tags(template, machine) if machine.tags else None,
    )


def _entries(template: MachineTemplate, machines: Sequence[MachineSpec]) -> list[str]:
    """`{"machineName":…,"zones":…,"tags":…}` of each; what neighbours have alike is encoded once."""
    entries: list[str] = []
    zone: str | None = None
    tags: Mapping[str, str] | None = None
    rest = ""
    for machine in machines:
        if tags is None or machine.zone != zone or machine.tags != tags:
            zone, tags = machine.zone, machine.tags
            shared = {"zones": [zone] if zone else [], "tags": _tags(template, machine)}
            rest = encode_json(shared).decode("ascii")[1:]
        entries.append(f'{{"machineName":{encode_basestring_ascii(machine.name)},{rest}')
    return entries


def header_bytes(value: str) -> int:
    """Bytes of the whole header line: name, colon, space, value, CR LF (B5)."""
    return len(BATCH_HEADER) + 2 + len(value) + 2


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderLimits:
    """How batches are written and how large they may be."""

    form: HeaderForm = HeaderForm.ALL
    budget_bytes: int = HEADER_BUDGET_BYTES
    max_machines: int = MAX_PER_PUT


def machines_per_put(
    template: MachineTemplate,
    name_length: int,
    *,
    zone: str | None = None,
    tags: Mapping[str, str] | None = None,
    limits: HeaderLimits | None = None,
) -> int:
    """How many machines with names of that length, that zone and such tags one PUT can carry (B5): 1 … 50."""
    limits = limits or HeaderLimits()
    sample = MachineSpec(name="x" * name_length, zone=zone, tags=tags or frozendict())
    fits = 1
    for count in range(2, limits.max_machines + 1):
        if header_bytes(encode_batch_header(template, [sample] * count, limits.form)) > limits.budget_bytes:
            break
        fits = count
    return fits


@dataclass(frozen=True, slots=True)
class BatchPart:
    """Machines of one PUT, and its batch header; a machine alone has none."""

    machines: tuple[MachineSpec, ...]
    header: str = ""


def split_by_budget(
    template: MachineTemplate, machines: Sequence[MachineSpec], limits: HeaderLimits
) -> list[BatchPart]:
    """Contiguous parts, as equal as can be and as few as can be, of which each fits the limits."""
    for parts in range(1, len(machines)):
        size, longer = divmod(len(machines), parts)
        cuts = [size * part + min(part, longer) for part in range(parts + 1)]
        if size + bool(longer) > limits.max_machines:
            continue
        found = [_part(template, tuple(machines[start:end]), limits) for start, end in pairwise(cuts)]
        if all(header_bytes(part.header) <= limits.budget_bytes for part in found if part.header):
            return found
    return [BatchPart((machine,)) for machine in machines]


def _part(template: MachineTemplate, machines: tuple[MachineSpec, ...], limits: HeaderLimits) -> BatchPart:
    return BatchPart(machines, encode_batch_header(template, machines, limits.form) if len(machines) > 1 else "")


def encode_delete(names: Sequence[str]) -> dict[str, Any]:
    """The body of `deleteMachines` (§7.5)."""
    return {"machineNames": list(names)}


def decode_machine(value: object, pool: str) -> Machine:
    """One machine of a GET or a list. Raises ProtocolError when it has no name."""
    name = _text(value, "name")
    if not name:
        raise ProtocolError(f"a machine without a name in pool {pool}")
    zones = at(value, "zones")
    fault = parse_provisioning_error(at(value, "properties", "status", "provisioningError"))
    machine = Machine(
        name=name.rpartition("/")[2],
        pool=pool,
        provisioning_state=_text(value, "properties", "provisioningState") or "",
        vm_size=_text(value, "properties", "hardware", "vmSize") or "",
        zone=zones[0] if isinstance(zones, list) and zones and isinstance(zones[0], str) else None,
        spot=_text(value, "properties", "priority") == "Spot",
        node_name=_text(value, "properties", "kubernetes", "nodeName"),
        tags=frozendict(_marked_tags(value)),
        vm_state=_text(value, "properties", "status", "vmState"),
        created_at=parse_timestamp(_text(value, "properties", "status", "creationTimestamp")),
        resource_id=_text(value, "properties", "resourceId"),
    )
    if fault is None:
        return machine
    mark = mark_of(fault.kind, fault.code, fault.message, spot=machine.spot)
    return replace(machine, error_kind=fault.kind, error_code=fault.code, error_message=fault.message, mark=mark)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list: its items, still undecoded, and where the next one is."""

    items: tuple[object, ...]
    next_link: str | None


def decode_page(body: bytes) -> Page:
    """An ARM list page; empty ones are allowed (§7.4). Raises ProtocolError for anything else."""
    page = parse_object(body, MAX_PAGE_BYTES)
    items, link = page.get("value"), page.get("nextLink")
    if not isinstance(items, list) or not (link is None or isinstance(link, str)):
        raise ProtocolError("a list page without a list in it")
    return Page(tuple(items), link or None)


def decode_pool(body: bytes) -> PoolView:
    """An agent pool. Raises ProtocolError when it has no properties."""
    return decode_pool_item(parse_object(body))


def decode_pool_item(value: object) -> PoolView:
    """An agent pool as it stands in a list. Raises ProtocolError when it has no properties."""
    properties = at(value, "properties")
    if not isinstance(properties, dict):
        raise ProtocolError("an agent pool without properties")
    return PoolView(
        mode=_text(properties, "mode") or "",
        provisioning_state=_text(properties, "provisioningState") or "",
        name=(_text(value, "name") or "").rpartition("/")[2],
        power_state=_text(properties, "powerState", "code") or "",
    )


def parse_timestamp(text: str | None) -> float | None:
    """RFC 3339, with any number of decimals, as seconds since the epoch; None when it is something else."""
    match = _TIMESTAMP.fullmatch(text or "")
    if not match:
        return None
    base, decimals, offset = match.groups()
    try:
        moment = datetime.fromisoformat(f"{base}{'+00:00' if offset == 'Z' else offset}")
        return (moment + timedelta(seconds=float(f"0.{decimals or 0}"))).timestamp()
    except (ValueError, OverflowError):
        return None


def format_timestamp(seconds: float) -> str:
    """UTC in whole seconds with a `Z`, as operation records have it (§8)."""
    return datetime.fromtimestamp(int(seconds), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def at(value: object, *path: str) -> object:
    """What stands at a path of keys; None when any step of it is missing or not an object."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _text(value: object, *path: str) -> str | None:
    found = at(value, *path)
    return clean_text(found) if isinstance(found, str) else None


def _texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {clean_text(key): clean_text(text) for key, text in value.items() if isinstance(text, str)}


def _marked_tags(value: object) -> dict[str, str]:
    """A machine's tags; its ownership mark and its group also from the labels, which no header form can lose (B7)."""
    labels = _texts(at(value, "properties", "kubernetes", "nodeLabels"))
    mark = {key: labels[key] for key in (OWNER_TAG, GROUP_TAG) if key in labels}
    return {**mark, **_texts(at(value, "properties", "tags"))}


def _tags(template: MachineTemplate, machine: MachineSpec) -> dict[str, str]:
    return {**template.tags, **machine.tags}


def _present(**fields: Any) -> dict[str, Any]:
    """The fields that are set: no None, no empty object or list."""
    return {key: value for key, value in fields.items() if value is not None and value not in ({}, [])}
