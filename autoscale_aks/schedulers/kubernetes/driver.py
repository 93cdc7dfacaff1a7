"""Kubernetes behind the scheduler port."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.errors import ConfigError, Problem, SchedulerError
from autoscale_aks.schedulers.commanded import first_line
from autoscale_aks.schedulers.kubernetes.answers import NotFoundError
from autoscale_aks.schedulers.kubernetes.nodes import CLOSED_BY_US, read_node
from autoscale_aks.schedulers.kubernetes.notes import Subject, encode_event, events_path, subjects_of
from autoscale_aks.schedulers.kubernetes.objects import mapping_at, read_pod, text_at
from autoscale_aks.schedulers.kubernetes.queue import read_state
from autoscale_aks.schedulers.kubernetes.settings import read_settings
from autoscale_aks.schedulers.kubernetes.source import NODES, VERSION, CaptureSource, ServerSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from autoscale_aks.schedulers.kubernetes.client import KubeClient
    from autoscale_aks.schedulers.kubernetes.nodes import NodeObject
    from autoscale_aks.schedulers.kubernetes.settings import KubernetesSettings
    from autoscale_aks.schedulers.kubernetes.source import LookSource
    from autoscale_aks.schedulers.port import NewNode, NodeRequest, SchedulerState

_MOST_REASONS: Final = 200
"""Events made in one cycle."""
_ONE_BY_ONE: Final = 25
"""Nodes whose pods are asked for each on its own; for more, all pods are read once."""
_EXTRA: Final = ("kubernetes", "msgspec")
_NOT_INSTALLED: Final = (
    "kubernetes is spoken by the official client, which is not installed here: pip install 'autoscale_aks[kubernetes]'"
)
_SAFE_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\Z")


class KubernetesScheduler:
    """The scheduler port over the API server.

    Closing is cordoning, with one look at the node afterwards: only nodes that are cordoned and without work are
    returned. Nothing is ever evicted; DaemonSet and mirror pods go with their node. Reopening undoes our own cordon
    only. A Node object is removed only when its kubelet has stopped answering: a live kubelet would register again,
    open. Nodes join by themselves.
    """

    def __init__(
        self,
        settings: KubernetesSettings,
        source: LookSource,
        client: KubeClient | None,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._source = source
        self._client = client
        self._now = now
        self._subjects: Mapping[str, Subject] = {}

    def read(self) -> SchedulerState:
        """One look. Raises SchedulerError when nodes or pods cannot be read."""
        look = self._source.look()
        state = read_state(look, self._settings)
        if not self._settings.job_reasons:
            return state
        self._subjects = subjects_of(state.jobs, look.pods)
        return replace(state, takes_reasons=_MOST_REASONS)

    def add_nodes(self, nodes: Sequence[NewNode]) -> None:
        """Nothing to do: the kubelet of a machine registers its node."""

    def close_nodes(self, names: Sequence[str], reason: str) -> tuple[str, ...]:
        """Cordon, then look: the names that are cordoned and run nothing."""
        cordoned = []
        for name, client in self._each(names):
            try:
                if not self._node(client, name).is_cordoned:
                    mark = {CLOSED_BY_US: reason[:200]}
                    change = {"metadata": {"annotations": mark}, "spec": {"unschedulable": True}}
                    client.patch(f"{NODES}/{name}", change)
            except NotFoundError:
                continue
            cordoned.append(name)
        busy = self._with_work(cordoned)
        return tuple(name for name in cordoned if name not in busy)

    def reopen_nodes(self, names: Sequence[str]) -> None:
        """Uncordon the nodes that we cordoned; other people's cordons stay."""
        for name, client in self._each(names):
            try:
                node = self._node(client, name)
                if node.is_cordoned and CLOSED_BY_US in node.annotations:
                    change = {"metadata": {"annotations": {CLOSED_BY_US: None}}, "spec": {"unschedulable": None}}
                    client.patch(f"{NODES}/{name}", change)
            except NotFoundError:
                continue

    def remove_nodes(self, names: Sequence[str]) -> None:
        """Remove the Node objects of machines that are gone; one whose kubelet still answers stays, cordoned."""
        for name, client in self._each(names):
            try:
                raw = client.get(f"{NODES}/{name}")
            except NotFoundError:
                continue
            if not _readable(raw).is_ready:
                client.delete(f"{NODES}/{name}", {"uid": text_at(mapping_at(raw, "metadata"), "uid")})

    def settle_requests(self, requests: Sequence[NodeRequest]) -> None:
        """Nothing to do: Kubernetes never asks for nodes by name."""

    def explain_jobs(self, reasons: Mapping[str, str]) -> tuple[str, ...]:
        """Say why jobs of the last look wait; those it was said of. Nothing of a pod is changed.

        An event beside the pod, of several pods alike beside their controller. Events end by themselves, so that an
        empty reason has nothing to take away. Raises SchedulerError when every one is refused.
        """
        if self._client is None or not self._settings.job_reasons:
            return ()
        self._client.begin()
        said: list[str] = []
        failure: SchedulerError | None = None
        for name, reason in reasons.items():
            subject = self._subjects.get(name)
            try:
                if reason and subject is not None:
                    self._client.create(events_path(subject), encode_event(subject, reason, self._now()))
            except NotFoundError:  # its namespace is gone
                continue
            except SchedulerError as error:
                failure = failure or error
                continue
            if subject is not None or not reason:
                said.append(name)
        if failure is not None and not said:
            raise failure
        return tuple(said)

    def version(self) -> str:
        """`gitVersion` of the API server, such as `v1.31.2`; of captures nothing. Raises SchedulerError."""
        if self._client is None:
            return ""
        self._client.begin()
        try:
            return first_line(text_at(self._client.get(VERSION), "gitVersion"))
        except (NotFoundError, ValueError):  # something before the API server that lets its objects through alone
            return ""

    def _each(self, names: Sequence[str]) -> Iterator[tuple[str, KubeClient]]:
        """Names that are node names, each once; none where nothing may be changed."""
        if self._client is None:
            return
        self._client.begin()
        for name in dict.fromkeys(names):
            if not _SAFE_NAME.match(name):
                raise SchedulerError(f"{name[:60]!r} is no node name")
            yield name, self._client

    def _node(self, client: KubeClient, name: str) -> NodeObject:
        return _readable(client.get(f"{NODES}/{name}"))

    def _with_work(self, names: Sequence[str]) -> set[str]:
        """The nodes on which a pod works; a pod that cannot be read is taken for work. Few are asked one by one."""
        if self._client is None or not names:
            return set()
        if len(names) > _ONE_BY_ONE:
            found = self._client.list_pods()
        else:
            found = [raw for name in names for raw in self._client.list_pods(f"spec.nodeName={name}")]
        busy: set[str] = set()
        for raw in found:
            try:
                pod = read_pod(raw)
            except ValueError:
                spec = raw.get("spec") if isinstance(raw, dict) else None
                node = spec.get("nodeName") if isinstance(spec, dict) else None
                busy.update([node] if isinstance(node, str) else names)
                continue
            if pod.node_name and not pod.is_over and not pod.stays_with_node:
                busy.add(pod.node_name)
        return busy


def _readable(raw: Mapping[str, Any]) -> NodeObject:
    try:
        return read_node(raw)
    except ValueError as error:
        raise SchedulerError(f"a node that cannot be read: {error}") from error


def build(
    settings: Mapping[str, Any], *, environment: Mapping[str, str], base: Path | None = None
) -> KubernetesScheduler:
    """`{"type": "kubernetes", …}` → a scheduler. Raises ConfigError."""
    parsed = read_settings(settings, base=base)
    if parsed.capture_dir is not None:
        return KubernetesScheduler(parsed, CaptureSource(parsed.capture_dir), None)
    client = _client(parsed, environment)
    return KubernetesScheduler(parsed, ServerSource(client, parsed), client)


def _client(settings: KubernetesSettings, environment: Mapping[str, str]) -> KubeClient:
    """The client, without a request. Raises ConfigError."""
    if any(find_spec(name) is None for name in _EXTRA):
        raise ConfigError([Problem("scheduler.type", _NOT_INSTALLED)])
    from autoscale_aks.schedulers.kubernetes.access import login_of  # noqa: PLC0415  captures need no extra
    from autoscale_aks.schedulers.kubernetes.client import KubeClient  # noqa: PLC0415
    from autoscale_aks.schedulers.kubernetes.transport import ApiTransport  # noqa: PLC0415

    return KubeClient(
        ApiTransport(login_of(settings, environment)),
        timeout_s=settings.timeout_s,
        page_size=settings.page_size,
        page_bytes=settings.max_output_bytes,
    )
