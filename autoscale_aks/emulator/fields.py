"""The fields of a machine's `properties`: which exist, since when, who may write them (§2.3).

A leaf is a `Field`, an object is a nested dict, an opaque object is a `Field` of kind `object`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Kind = Literal["text", "int", "number", "bool", "texts", "text_map", "object", "list"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One leaf. `fixed` = create-only (the C marks), `since` = first api-version having it."""

    kind: Kind = "text"
    values: frozenset[str] = frozenset()
    low: float | None = None
    high: float | None = None
    read_only: bool = False
    fixed: bool = True
    since: str = ""


Tree: TypeAlias = "dict[str, Field | Tree]"

_TEXT = Field()
_FLAG = Field(kind="bool")
_OBJECT = Field(kind="object")
_READ = Field(read_only=True)


def _one_of(*values: str, since: str = "") -> Field:
    return Field(values=frozenset(values), since=since)


MACHINE: Tree = {
    "hardware": {
        "vmSize": _TEXT,
        "gpuInstanceProfile": _one_of("", "MIG1g", "MIG2g", "MIG3g", "MIG4g", "MIG7g"),
        "gpuProfile": {
            "driver": _one_of("Install", "None"),
            "driverType": _one_of("GRID", "CUDA"),
            "nvidia": Field(kind="object", since="2026-01"),
        },
        "ultraSsdEnabled": Field(kind="bool", since="2026-01"),
    },
    "operatingSystem": {
        "osType": _one_of("Linux", "Windows"),
        "osSKU": _TEXT,
        "osDiskSizeGB": Field(kind="int", low=0, high=2048),
        "osDiskType": _one_of("Managed", "Ephemeral"),
        "enableFIPS": _FLAG,
        "linuxProfile": _OBJECT,
        "windowsProfile": _OBJECT,
    },
    "kubernetes": {
        "orchestratorVersion": Field(fixed=False),
        "currentOrchestratorVersion": _READ,
        "nodeLabels": Field(kind="text_map", fixed=False),
        "nodeTaints": Field(kind="texts", fixed=False),
        "nodeInitializationTaints": Field(kind="texts"),
        "maxPods": Field(kind="int", low=1, high=250),
        "kubeletDiskType": _one_of("OS", "Temporary"),
        "kubeletConfig": _OBJECT,
        "workloadRuntime": _TEXT,
        "artifactStreamingProfile": _OBJECT,
        "nodeName": _READ,
    },
    "mode": Field(values=frozenset({"System", "User"}), fixed=False),
    "priority": _one_of("Regular", "Spot"),
    "evictionPolicy": _one_of("Delete", "Deallocate", since="2026-01"),
    "billing": {"spotMaxPrice": Field(kind="number", since="2026-01")},
    "security": {
        "sshAccess": _one_of("LocalUser", "Disabled", "EntraId"),
        "enableVTPM": _FLAG,
        "enableSecureBoot": _FLAG,
        "enableEncryptionAtHost": Field(kind="bool", since="2026-01"),
    },
    "network": {
        "vnetSubnetID": _TEXT,
        "podSubnetID": _TEXT,
        "enableNodePublicIP": _FLAG,
        "nodePublicIPPrefixID": _TEXT,
        "nodePublicIPTags": Field(kind="list"),
        "podIPAllocationMode": Field(since="2026-08"),
        "ipAddresses": Field(kind="list", read_only=True),
    },
    "nodeImageVersion": _TEXT,
    "localDNSProfile": Field(kind="object", since="2026-01"),
    "capacityReservation": Field(kind="object", since="2026-06"),
    "tags": Field(kind="text_map", fixed=False),
    "resourceId": _READ,
    "eTag": _READ,
    "provisioningState": _READ,
    "status": Field(kind="object", read_only=True),
}


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing wrong with a body, with its path."""

    path: str
    message: str
    unknown: bool = False


def check(data: Mapping[str, Any], version: str | None, tree: Tree = MACHINE, at: str = "") -> Iterator[FieldProblem]:
    """All problems of a `properties` object; `version` (or None) hides newer fields."""
    for key, value in data.items():
        path = f"{at}.{key}" if at else key
        spec = tree.get(key)
        if spec is None or (isinstance(spec, Field) and version is not None and spec.since > version):
            yield FieldProblem(path, f"unknown field '{path}'", unknown=True)
        elif value is None:
            continue
        elif isinstance(spec, dict):
            if isinstance(value, dict):
                yield from check(value, version, spec, path)
            else:
                yield FieldProblem(path, f"cannot unmarshal '{path}': an object is expected")
        elif not spec.read_only and (message := _leaf_problem(spec, value)):
            yield FieldProblem(path, f"'{path}' {message}")


def _leaf_problem(spec: Field, value: object) -> str:
    if not _is_kind(spec.kind, value):
        return f"must be of type {spec.kind}"
    if spec.values and value not in spec.values:
        return f"must be one of {', '.join(sorted(item for item in spec.values if item))}, not '{value}'"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if spec.low is not None and value < spec.low:
            return f"must be at least {spec.low:g}"
        if spec.high is not None and value > spec.high:
            return f"must be at most {spec.high:g}"
    return ""


def _is_kind(kind: Kind, value: object) -> bool:
    if kind == "texts":
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if kind == "text_map":
        return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
    if kind in ("int", "number"):
        numbers = (int,) if kind == "int" else (int, float)
        return isinstance(value, numbers) and not isinstance(value, bool)
    types: dict[str, type] = {"text": str, "bool": bool, "object": dict, "list": list}
    return isinstance(value, types[kind])


def writable(data: Mapping[str, Any], tree: Tree = MACHINE) -> dict[str, Any]:
    """The known, writable, non-null part of a `properties` object."""
    kept: dict[str, Any] = {}
    for key, value in data.items():
        spec = tree.get(key)
        if value is None or spec is None or (isinstance(spec, Field) and spec.read_only):
            continue
        kept[key] = writable(value, spec) if isinstance(spec, dict) else value
    return kept


def fixed_changes(old: Mapping[str, Any], new: Mapping[str, Any], tree: Tree = MACHINE, at: str = "") -> list[str]:
    """Paths of create-only leaves that `new` gives another value than `old`."""
    changed: list[str] = []
    for key, value in new.items():
        spec, path = tree[key], f"{at}.{key}" if at else key
        if isinstance(spec, dict):
            changed += fixed_changes(old.get(key) or {}, value, spec, path)
        elif spec.fixed and value != old.get(key):
            changed.append(path)
    return changed
