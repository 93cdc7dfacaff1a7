"""`existing_nodes` and `unmanaged_nodes` of a scenario → Node values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.model.node import Node, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from autoscale_aks.planning.reading import Reader

_NODE_KEYS: Final = (
    "name", "hostname", "nodearray", "vm_size", "state", "target_state", "stage", "placement_group", "keep_alive",
    "resources", "available", "job_ids", "create_time", "last_match_time", "idle_since", "zone", "private_ip",
    "instance_id",
)  # fmt: skip


def decode_nodes(raw: Sequence[Any], where: str, reader: Reader, *, managed: bool) -> tuple[Node, ...]:
    """All nodes that can be read; a faulty one is left out, with its problems noted."""
    seen: set[str] = set()
    found: list[Node] = []
    for index, item in enumerate(raw):
        path = f"{where}[{index}]"
        node = _decode_node(item, path, reader, managed=managed)
        if node is None:
            continue
        if node.name in seen:
            reader.wrong(f"{path}.name", f'a node "{node.name}" stands in the file already; this one is left out')
            continue
        seen.add(node.name)
        found.append(node)
    return tuple(found)


def _decode_node(raw: Any, path: str, reader: Reader, *, managed: bool) -> Node | None:
    before = len(reader.problems)
    raw = reader.keys(raw, path, _NODE_KEYS)
    if not raw and len(reader.problems) > before:
        return None
    hostname = reader.optional_text(raw, "hostname", path)
    name = reader.text(raw, "name", path, hostname)
    node = Node(
        name=name,
        nodearray=reader.text(raw, "nodearray", path) if managed else reader.optional_text(raw, "nodearray", path),
        vm_size=reader.text(raw, "vm_size", path) if managed else reader.optional_text(raw, "vm_size", path),
        hostname=hostname,
        state=reader.text(raw, "state", path, "Ready"),
        target_state=reader.text(raw, "target_state", path, "Started"),
        stage=_stage(raw, path, reader),
        placement_group=reader.optional_text(raw, "placement_group", path),
        zone=reader.optional_text(raw, "zone", path),
        keep_alive=reader.flag(raw, "keep_alive", path, default=False),
        resources=reader.values(raw, "resources", path),
        available=reader.values(raw, "available", path),
        job_ids=reader.texts(raw, "job_ids", path),
        create_time=reader.time(raw, "create_time", path),
        last_match_time=reader.time(raw, "last_match_time", path),
        idle_since=reader.time(raw, "idle_since", path),
        private_ip=reader.optional_text(raw, "private_ip", path),
        instance_id=reader.optional_text(raw, "instance_id", path),
    )
    return node if len(reader.problems) == before else None


def _stage(raw: Mapping[str, Any], path: str, reader: Reader) -> Stage:
    found = raw.get("stage", Stage.EXISTING.value)
    for stage in Stage:
        if stage.value == found:
            return stage
    known = ", ".join(f'"{stage.value}"' for stage in Stage)
    reader.wrong(f"{path}.stage", f"expected one of {known}")
    return Stage.EXISTING
