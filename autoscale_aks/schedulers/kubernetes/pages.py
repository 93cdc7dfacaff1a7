"""Pages of lists, from bytes to objects: of pods only what is read of them, and what many have alike once.

A hundred thousand pods as the server writes them are a gigabyte, most of it field owners, commands, environments and
projected volumes. What nobody here reads is skipped while the page is parsed, and never becomes an object; labels,
requests, affinities and the like are compared as bytes, and parsed only when such bytes were not met before.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from autoscale_aks.schedulers.kubernetes.objects import NOBODY, NOTHING, Owner, Pod, list_at, owner_of, texts_at

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_SHARED: Final = 100_000
_JUDGED: Final = "PodScheduled"
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_MALFORMED: Final = (msgspec.ValidationError, ValueError, RecursionError)

_ABSENT: Final = msgspec.Raw()

Page = tuple[list[Any], str]
"""Objects, and what to continue with; empty after the last page."""


class _Meta(msgspec.Struct, rename="camel", gc=False):
    name: str
    namespace: str | None = None
    uid: str | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: msgspec.Raw = _ABSENT
    annotations: msgspec.Raw = _ABSENT
    owner_references: msgspec.Raw = _ABSENT


class _Container(msgspec.Struct, rename="camel", gc=False):
    resources: msgspec.Raw = _ABSENT
    restart_policy: msgspec.Raw = _ABSENT


class _Volume(msgspec.Struct, rename="camel", gc=False, omit_defaults=True):
    name: str | None = None
    persistent_volume_claim: msgspec.Raw = _ABSENT
    ephemeral: msgspec.Raw = _ABSENT


class _Condition(msgspec.Struct, rename="camel", gc=False, omit_defaults=True):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""


class _Spec(msgspec.Struct, rename="camel", gc=False):
    """Everything of a pod's spec that some module of this package reads."""

    node_name: str | None = None
    containers: list[_Container] | None = None
    init_containers: list[_Container] | None = None
    volumes: list[_Volume] | None = None
    scheduler_name: msgspec.Raw = _ABSENT
    priority: msgspec.Raw = _ABSENT
    node_selector: msgspec.Raw = _ABSENT
    affinity: msgspec.Raw = _ABSENT
    tolerations: msgspec.Raw = _ABSENT
    topology_spread_constraints: msgspec.Raw = _ABSENT
    overhead: msgspec.Raw = _ABSENT
    resources: msgspec.Raw = _ABSENT
    scheduling_gates: msgspec.Raw = _ABSENT
    scheduling_group: msgspec.Raw = _ABSENT
    workload_ref: msgspec.Raw = _ABSENT


class _Status(msgspec.Struct, rename="camel", gc=False):
    phase: str = ""
    nominated_node_name: str = ""
    conditions: list[_Condition] | None = None


class _Pod(msgspec.Struct, rename="camel", gc=False):
    metadata: _Meta
    spec: _Spec
    status: _Status


class _Pods(msgspec.Struct, rename="camel", gc=False):
    items: list[_Pod]
    metadata: dict[str, Any]


class _Items(msgspec.Struct, rename="camel", gc=False):
    items: list[msgspec.Raw]
    metadata: Any = None


_RAW_PARTS: Final = attrgetter(*(part.name for part in msgspec.structs.fields(_Spec) if part.type is msgspec.Raw))
_RAW_NAMES: Final = tuple(part.encode_name for part in msgspec.structs.fields(_Spec) if part.type is msgspec.Raw)
_WHOLE: Final = msgspec.json.Decoder()
_PODS: Final = msgspec.json.Decoder(_Pods)
_ITEMS: Final = msgspec.json.Decoder(_Items)
_POD: Final = msgspec.json.Decoder(_Pod)


def read_objects(content: bytes) -> Page:
    """A page of any list, whole. Raises ValueError when it is none."""
    try:
        page = _WHOLE.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError("the answer is no JSON object") from error
    if not isinstance(page, dict):
        raise ValueError("the answer is no JSON object")
    items = page.get("items")
    if items is not None and not isinstance(items, list):
        raise ValueError("the answer is no list")
    return items or [], _token(page.get("metadata"))


class PodReader:
    """Reads the pages of one list of pods."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._texts: dict[bytes, Mapping[str, str]] = {}
        self._owners: dict[bytes, Owner] = {}
        self._specs: dict[Any, Mapping[str, Any]] = {}
        self._statuses: dict[Any, Mapping[str, Any]] = {}

    def __call__(self, content: bytes) -> Page:
        """The pods of a page as `Pod`; one that is malformed as it is, to be reported when it is read.

        Raises ValueError when the page is none.
        """
        for shared in (self._names, self._texts, self._owners, self._specs, self._statuses):
            if len(shared) > _MOST_SHARED:
                shared.clear()
        try:
            page = _PODS.decode(content)
            return [self._pod(pod) for pod in page.items], _token(page.metadata)
        except _MALFORMED:
            return self._one_by_one(content)
        except msgspec.DecodeError as error:
            raise ValueError("the answer is no JSON object") from error

    def _one_by_one(self, content: bytes) -> Page:
        try:
            page = _ITEMS.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return read_objects(content)
        found: list[Any] = []
        for raw in page.items:
            try:
                found.append(self._pod(_POD.decode(raw)))
            except _MALFORMED:
                found.append(_WHOLE.decode(raw))
        return found, _token(page.metadata)

    def _pod(self, pod: _Pod) -> Pod:
        """Raises ValueError when something in it cannot be read."""
        meta, node = pod.metadata, pod.spec.node_name or ""
        namespace = meta.namespace or "default"
        spec = self._spec(pod.spec)
        if not meta.name or not spec:
            raise ValueError("a pod without name or spec")
        return Pod(
            meta.name,
            spec,
            self._status(pod.status, is_bound=bool(node)),
            self._names.setdefault(namespace, namespace),
            meta.uid or meta.name,
            self._labels(meta.labels),
            self._labels(meta.annotations),
            self._owner(meta.owner_references),
            meta.creation_timestamp or "",
            self._names.setdefault(node, node),
            bool(meta.deletion_timestamp),
        )

    def _labels(self, raw: msgspec.Raw) -> Mapping[str, str]:
        key = bytes(raw)
        if not key:
            return NOTHING
        found = self._texts.get(key)
        if found is None:
            texts = texts_at({"": _WHOLE.decode(key)}, "")
            found = self._texts[key] = {name: text for name, text in texts.items() if name != _LAST_APPLIED}
        return found

    def _owner(self, raw: msgspec.Raw) -> Owner:
        key = bytes(raw)
        if not key:
            return NOBODY
        found = self._owners.get(key)
        if found is None:
            found = self._owners[key] = owner_of(list_at({"": _WHOLE.decode(key)}, ""))
        return found

    def _spec(self, spec: _Spec) -> Mapping[str, Any]:
        """The spec without the node: one object for all pods that have it alike."""
        key = (
            tuple([(bytes(one.resources), bytes(one.restart_policy)) for one in spec.containers or ()]),
            tuple([(bytes(one.resources), bytes(one.restart_policy)) for one in spec.init_containers or ()]),
            tuple([msgspec.json.encode(one) for one in spec.volumes or () if _names_a_claim(one)]),
            *map(bytes, _RAW_PARTS(spec)),
        )
        found = self._specs.get(key)
        if found is None:
            found = self._specs[key] = _parsed(key)
        return found

    def _status(self, status: _Status, *, is_bound: bool) -> Mapping[str, Any]:
        """Of a bound pod nothing but its phase is read; of others what the scheduler said."""
        said = (
            ()
            if is_bound
            else tuple([msgspec.json.encode(one) for one in status.conditions or () if one.type == _JUDGED])
        )
        key = (status.phase, status.nominated_node_name, said)
        found = self._statuses.get(key)
        if found is None:
            conditions = [_WHOLE.decode(one) for one in said]
            found = {"phase": status.phase, "nominatedNodeName": status.nominated_node_name, "conditions": conditions}
            self._statuses[key] = found
        return found


def _names_a_claim(volume: _Volume) -> bool:
    return bool(bytes(volume.persistent_volume_claim) or bytes(volume.ephemeral))


def _parsed(key: tuple[Any, ...]) -> dict[str, Any]:
    """What a key of `PodReader._spec` says, as the API server would write it."""
    found: dict[str, Any] = {}
    for group, containers in zip(("containers", "initContainers"), key, strict=False):
        if containers:
            found[group] = [
                {
                    name: _WHOLE.decode(part)
                    for name, part in zip(("resources", "restartPolicy"), one, strict=True)
                    if part
                }
                for one in containers
            ]
    if key[2]:
        found["volumes"] = [_WHOLE.decode(one) for one in key[2]]
    found.update({name: _WHOLE.decode(part) for name, part in zip(_RAW_NAMES, key[3:], strict=True) if part})
    return found


def _token(meta: Any) -> str:
    found = meta.get("continue") if isinstance(meta, dict) else None
    return found if isinstance(found, str) else ""
