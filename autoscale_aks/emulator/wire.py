"""Reading requests: the machine body (§3), the `BatchPutMachine` header (§4.2), names, tags, zones."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autoscale_aks.emulator import fields
from autoscale_aks.emulator.problems import RefusalError, invalid

if TYPE_CHECKING:
    from autoscale_aks.emulator.settings import EmulatorSettings

MACHINE_NAME = re.compile(r"^[a-z][a-z0-9]{0,11}$|^[a-zA-Z0-9][-_a-zA-Z0-9]{0,39}$")
POOL_NAME = re.compile(r"^[a-z][a-z0-9]{0,11}$")
TAINT = re.compile(r"^[^\s=:]+(=[^\s=:]*)?:(NoSchedule|PreferNoSchedule|NoExecute)$")
TAG_FORBIDDEN = frozenset("<>%&\\?/")
TOP_LEVEL = frozenset({"id", "name", "type", "zones", "properties"})
BATCH_HEADER = "BatchPutMachine"


@dataclass(frozen=True, slots=True)
class MachineRequest:
    """The body of a machine PUT: shared template, and the URL machine's own zones and tags."""

    properties: dict[str, Any]
    zones: tuple[str, ...]
    tags: dict[str, str] | None

    @property
    def size(self) -> str:
        """`hardware.vmSize`, or empty."""
        return str(self.properties.get("hardware", {}).get("vmSize", ""))

    @property
    def spot(self) -> bool:
        """Whether `priority` asks for Spot."""
        return self.properties.get("priority") == "Spot"


@dataclass(frozen=True, slots=True)
class BatchEntry:
    """One entry of `batchMachines` that names a machine."""

    name: str
    zones: tuple[str, ...]
    tags: dict[str, str] | None


@dataclass(frozen=True, slots=True)
class Batch:
    """The `BatchPutMachine` header. `ignored` counts entries without `machineName` (the landmine, §4.3)."""

    entries: tuple[BatchEntry, ...]
    ignored: int

    def names(self, primary: str) -> tuple[str, ...]:
        """URL machine and header names, without duplicates, in order of first sight."""
        return tuple({name.casefold(): name for name in (primary, *(entry.name for entry in self.entries))}.values())

    def form(self, primary: str) -> str:
        """`all` when the URL machine is listed too (Karpenter), else `additional` (telescope), §4.2."""
        listed = any(entry.name.casefold() == primary.casefold() for entry in self.entries)
        return "all" if listed else "additional"


def read_json(body: bytes) -> dict[str, Any]:
    """The body as a JSON object; 400 when it is none."""
    try:
        data = json.loads(body) if body else {}
    except ValueError as error:
        raise invalid(f"The request content was invalid and could not be deserialized: {error}") from error
    if not isinstance(data, dict):
        raise invalid("The request content was invalid: a JSON object is expected")
    return data


def read_machine(body: bytes, settings: EmulatorSettings, version: str) -> MachineRequest:
    """The machine body, or 400 with the first problem (§10.3)."""
    data = read_json(body)
    code = settings.bad_body_code
    if "tags" in data:
        raise invalid("json: cannot unmarshal: unknown field 'tags' at top level of a machine", code)
    unknown = sorted(set(data) - TOP_LEVEL)
    if unknown and settings.strict_machine_body:
        raise invalid(f"json: unknown field '{unknown[0]}'", code)
    properties = data.get("properties")
    if not isinstance(properties, dict):
        raise invalid("a machine needs 'properties'", code)
    since = version if settings.fields_by_version else None
    for problem in fields.check(properties, since):
        if settings.strict_machine_body or not problem.unknown:
            raise invalid(problem.message, code)
    kept = fields.writable(properties)
    tags = kept.pop("tags", None)
    if message := tags_problem(tags) or _relations_problem(kept, read_zones(data.get("zones"))):
        raise invalid(message, code)
    return MachineRequest(kept, read_zones(data.get("zones")), tags)


def _relations_problem(properties: dict[str, Any], zones: tuple[str, ...]) -> str:
    spot = properties.get("priority") == "Spot"
    if not spot and ("evictionPolicy" in properties or "billing" in properties):
        return "'evictionPolicy' and 'billing' need priority Spot"
    if properties.get("hardware", {}).get("ultraSsdEnabled") and not zones:
        return "'hardware.ultraSsdEnabled' needs a zone"
    kubernetes = properties.get("kubernetes", {})
    for key in ("nodeTaints", "nodeInitializationTaints"):
        for taint in kubernetes.get(key, ()):
            if not TAINT.match(taint):
                return f"'kubernetes.{key}': '{taint}' is not of the form key=value:effect"
    return ""


def read_zones(value: object) -> tuple[str, ...]:
    """`zones` as a tuple; 400 unless it is a list of strings."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(zone, str) for zone in value):
        raise invalid("'zones' must be an array of strings")
    return tuple(value)


def tags_problem(tags: dict[str, str] | None) -> str:
    """What is wrong with Azure tags, or nothing (§2.7)."""
    if not tags:
        return ""
    if len(tags) > 50:
        return f"{len(tags)} tags; at most 50 are allowed"
    for name, value in tags.items():
        if len(name) > 512 or len(value) > 256 or TAG_FORBIDDEN & set(name):
            return f"tag '{name[:40]}' has a name or value that is not allowed"
    return ""


def machine_name_problem(name: str, cap: int) -> str:
    """What is wrong with a machine name, or nothing (§2.6)."""
    if not MACHINE_NAME.match(name):
        return f"machine name '{name}' does not match {MACHINE_NAME.pattern}"
    if len(name) > cap:
        return f"machine name '{name}' has {len(name)} characters; at most {cap} are allowed"
    return ""


def read_batch(header: str) -> Batch:
    """The `BatchPutMachine` header. Entries without `machineName` are dropped without a word (§4.3)."""
    try:
        data = json.loads(header)
    except ValueError as error:
        raise invalid(f"header {BATCH_HEADER} is not valid JSON: {error}") from error
    listed = data.get("batchMachines", []) if isinstance(data, dict) else None
    if not isinstance(listed, list):
        raise invalid(f"header {BATCH_HEADER} must be an object with an array 'batchMachines'")
    entries: dict[str, BatchEntry] = {}
    ignored = 0
    given: dict[str, Any] | None = None
    tags: dict[str, str] | None = None
    for item in listed:
        name = item.get("machineName") if isinstance(item, dict) else None
        if not isinstance(name, str) or not name:
            ignored += 1
            continue
        if item.get("tags") != given or given is None:  # neighbours mostly have the same: they share one mapping
            given, tags = item.get("tags"), _read_tags(item)
        entries.setdefault(name.casefold(), BatchEntry(name, read_zones(item.get("zones")), tags))
    return Batch(tuple(entries.values()), ignored)


def _read_tags(item: dict[str, Any]) -> dict[str, str] | None:
    tags = item.get("tags")
    if tags is None:
        return None
    if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
        raise invalid("'tags' of a batch entry must map strings to strings")
    return tags or None


def read_machine_names(body: bytes) -> tuple[str, ...]:
    """`machineNames` of deleteMachines (§7.5)."""
    names = read_json(body).get("machineNames")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise invalid("'machineNames' must be a non-empty array of strings")
    return tuple(dict.fromkeys(names))


def glance_machine_names(body: bytes) -> tuple[str, ...]:
    """The same for faults and journal, before anything is checked: none when the body cannot be read."""
    try:
        return read_machine_names(body)
    except RefusalError:
        return ()


@dataclass(frozen=True, slots=True)
class Conditions:
    """`If-Match` and `If-None-Match`, quotes stripped (§3)."""

    if_match: str
    if_none_match: str

    def check(self, etag: str | None, code: str) -> None:
        """412 unless the resource (`etag` None = absent) is as the caller expects."""
        if self.if_match and (etag is None or self.if_match not in ("*", etag)):
            raise RefusalError(412, code, f"The eTag '{self.if_match}' does not match the resource.")
        if etag is not None and self.if_none_match in ("*", etag):
            raise RefusalError(412, code, "The resource exists already (If-None-Match).")


def read_conditions(if_match: str | None, if_none_match: str | None) -> Conditions:
    """From the two headers; the Python SDK adds quotes that the JSON value has not."""
    return Conditions((if_match or "").strip().strip('"'), (if_none_match or "").strip().strip('"'))
