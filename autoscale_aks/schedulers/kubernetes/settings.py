"""The keys of `{"type": "kubernetes", …}`."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

from frozendict import frozendict

from autoscale_aks.model.node_labels import Taint, parse_taint
from autoscale_aks.planning.reading import Reader, kind_of
from autoscale_aks.schedulers.settings import (
    finish,
    read_job_reasons,
    read_object,
    read_output_limit,
    read_path,
    read_timeout,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ZoneLabels: TypeAlias = Literal["aks", "plain"]
DEFAULT_TIMEOUT_S: Final = 60.0
DEFAULT_LIMIT: Final = 2**28
_DEFAULT_RESOURCES: Final[Mapping[str, str | None]] = frozendict(
    {"cpu": "ncpus", "memory": "mem", "nvidia.com/gpu": "ngpus", "amd.com/gpu": "ngpus", "ephemeral-storage": None}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesSettings:
    """Which cluster is asked, and how its words become constraints.

    ================  ==================================================================================
    key               meaning
    ================  ==================================================================================
    kubeconfig        a kubeconfig file; default: the pod's own service account
    context           its context; default: its current one
    url               the API server instead of both, with token_file and ca_file (plain http: this host only)
    timeout_s         seconds one look may take (60)
    max_output_bytes  most bytes of one page (256 MiB)
    page_size         objects a page (500)
    capture_dir       answer from captured `kubectl get … -o json` files instead; nothing is changed
    scheduler_names   whose pods are demand (default-scheduler)
    unknown_reasons   "runnable" (default) or "waiting": pods that wait for a reason not known here
    resources         resource of Kubernetes → ours, null: not counted. Default cpu → ncpus, memory → mem,
                      nvidia.com/gpu → ngpus, ephemeral-storage → null; others keep their names
    labels            label → constraint for each value, such as
                      {"sku": {"gpu": {"node.gpu_count": 1}}}; default: {"label.KEY": VALUE}
    pools             agent pool → node arrays; filled from nodearrays
    zone_labels       "aks" (default): zone labels are REGION-N, or 0 without zones; "plain": the zone itself
    known_taints      taints of machines to come, KEY=VALUE:EFFECT; filled from nodearrays
    known_zones       zone labels of machines to come; filled from nodearrays
    daemon_overhead   whether the pods of DaemonSets are taken off fresh nodes (true)
    pod_groups        whether PodGroup objects are read for the least size of a gang (true)
    job_reasons       whether to say why a pod waits by an event beside it (false)
    kueue             whether Kueue workloads that have quota and wait for machines are demand (false)
    ================  ==================================================================================
    """

    kubeconfig: Path | None = None
    context: str | None = None
    url: str | None = None
    token_file: Path | None = None
    ca_file: Path | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S
    max_output_bytes: int = DEFAULT_LIMIT
    page_size: int = 500
    capture_dir: Path | None = None
    scheduler_names: tuple[str, ...] = ("default-scheduler",)
    unknown_is_runnable: bool = True
    resources: Mapping[str, str | None] = _DEFAULT_RESOURCES
    labels: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=frozendict)
    pools: Mapping[str, tuple[str, ...]] = field(default_factory=frozendict)
    zone_labels: ZoneLabels = "aks"
    known_taints: tuple[Taint, ...] = ()
    known_zones: tuple[str, ...] = ()
    daemon_overhead: bool = True
    pod_groups: bool = True
    kueue: bool = False
    job_reasons: bool = False

    def resource(self, name: str) -> str | None:
        """Our resource for one of Kubernetes; None: not counted."""
        return self.resources.get(name, name)


_KEYS: Final = (
    "type",
    "unknown_reasons",
    *(one.name for one in fields(KubernetesSettings) if one.name != "unknown_is_runnable"),
)


def read_settings(raw: Mapping[str, Any], *, path: str = "scheduler", base: Path | None = None) -> KubernetesSettings:
    """Raises ConfigError with every problem at once."""
    reader = Reader()
    reader.keys(raw, path, _KEYS)
    size = reader.count(raw, "page_size", path, 500, most=10_000)
    if not size:
        reader.wrong(f"{path}.page_size", "expected a whole number from 1 to 10000")
    names = reader.texts(raw, "scheduler_names", path) if "scheduler_names" in raw else ("default-scheduler",)
    settings = KubernetesSettings(
        kubeconfig=read_path(reader, raw, "kubeconfig", path, base),
        context=reader.optional_text(raw, "context", path),
        url=reader.optional_text(raw, "url", path),
        token_file=read_path(reader, raw, "token_file", path, base),
        ca_file=read_path(reader, raw, "ca_file", path, base),
        timeout_s=read_timeout(reader, raw, path, DEFAULT_TIMEOUT_S),
        max_output_bytes=read_output_limit(reader, raw, path, DEFAULT_LIMIT),
        page_size=size,
        capture_dir=read_path(reader, raw, "capture_dir", path, base),
        scheduler_names=names,
        unknown_is_runnable=_choice(reader, raw, "unknown_reasons", path, ("runnable", "waiting")) == "runnable",
        resources=_resources(reader, raw, path),
        labels=_labels(reader, raw, path),
        pools=_lists(reader, raw, "pools", path),
        zone_labels=cast("ZoneLabels", _choice(reader, raw, "zone_labels", path, ("aks", "plain"))),
        known_taints=_taints(reader, raw, path),
        known_zones=reader.texts(raw, "known_zones", path),
        daemon_overhead=reader.flag(raw, "daemon_overhead", path, default=True),
        pod_groups=reader.flag(raw, "pod_groups", path, default=True),
        kueue=reader.flag(raw, "kueue", path, default=False),
        job_reasons=read_job_reasons(reader, raw, path),
    )
    if sum(key in raw for key in ("kubeconfig", "url", "capture_dir")) > 1:
        reader.wrong(path, 'expected at most one of "kubeconfig", "url" and "capture_dir"')
    finish(reader)
    return settings


def _choice(reader: Reader, raw: Mapping[str, Any], key: str, path: str, known: tuple[str, ...]) -> str:
    found = reader.text(raw, key, path, known[0])
    if found not in known:
        reader.wrong(f"{path}.{key}", "expected " + " or ".join(f'"{one}"' for one in known))
    return found


def _resources(reader: Reader, raw: Mapping[str, Any], path: str) -> Mapping[str, str | None]:
    found: dict[str, str | None] = dict(_DEFAULT_RESOURCES)
    for name, value in read_object(reader, raw, "resources", path).items():
        if value is None or (isinstance(value, str) and value.strip() and not value.startswith("node.")):
            found[name] = value
        else:
            reader.wrong(f"{path}.resources.{name}", f"expected the name of a resource or null, found {kind_of(value)}")
    return frozendict(found)


def _labels(reader: Reader, raw: Mapping[str, Any], path: str) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    found: dict[str, Mapping[str, Mapping[str, Any]]] = {}
    objects = read_object(reader, raw, "labels", path)
    for key in objects:
        values = read_object(reader, objects, key, f"{path}.labels")
        for value, constraint in values.items():
            if not hasattr(constraint, "items"):
                reader.wrong(f"{path}.labels.{key}.{value}", f"expected a constraint, found {kind_of(constraint)}")
        found[key] = frozendict(values)
    return frozendict(found)


def _lists(reader: Reader, raw: Mapping[str, Any], key: str, path: str) -> Mapping[str, tuple[str, ...]]:
    objects = read_object(reader, raw, key, path)
    return frozendict({name: reader.texts(objects, name, f"{path}.{key}") for name in objects})


def _taints(reader: Reader, raw: Mapping[str, Any], path: str) -> tuple[Taint, ...]:
    found: list[Taint] = []
    for index, text in enumerate(reader.texts(raw, "known_taints", path)):
        taint = parse_taint(text)
        if taint is None:
            reader.wrong(f"{path}.known_taints[{index}]", "expected KEY=VALUE:EFFECT or KEY:EFFECT")
        else:
            found.append(taint)
    return tuple(found)
