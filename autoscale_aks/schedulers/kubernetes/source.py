"""Where the objects of one look come from: the API server, or files of an earlier one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Protocol

from autoscale_aks.errors import Problem, SchedulerError
from autoscale_aks.schedulers.kubernetes.gangs import KUEUE_GROUP, POD_GROUP_LISTS, group_of
from autoscale_aks.schedulers.kubernetes.kueue import WORKLOAD_LISTS
from autoscale_aks.schedulers.kubernetes.objects import read_pod
from autoscale_aks.schedulers.kubernetes.queue import Look
from autoscale_aks.schedulers.kubernetes.volumes import claim_names

if TYPE_CHECKING:
    from pathlib import Path

    from autoscale_aks.schedulers.kubernetes.client import KubeClient
    from autoscale_aks.schedulers.kubernetes.settings import KubernetesSettings

NODES: Final = "/api/v1/nodes"
VERSION: Final = "/version"
_NOT_OVER: Final = "status.phase!=Succeeded,status.phase!=Failed"
_CLAIMS: Final = "/api/v1/persistentvolumeclaims"
_VOLUMES: Final = "/api/v1/persistentvolumes"
_CLASSES: Final = "/apis/storage.k8s.io/v1/storageclasses"
_DAEMON_SETS: Final = "/apis/apps/v1/daemonsets"


class LookSource(Protocol):
    """Gives one look."""

    def look(self) -> Look:
        """Everything at once. Raises SchedulerError when nodes or pods cannot be read."""
        ...


class ServerSource:
    """The API server. Nodes are asked for before pods: a pod that is bound in between is then seen on its node.

    What only some pods need (volume claims, pod groups) is asked for only when one does; when such a list is refused
    the rest is read all the same, and the report says so.
    """

    def __init__(self, client: KubeClient, settings: KubernetesSettings) -> None:
        self._client = client
        self._settings = settings
        self._problems: list[Problem] = []

    def look(self) -> Look:
        """One look, within the timeout."""
        self._client.begin()
        self._problems = []
        nodes = self._client.list_all(NODES)
        pods = self._client.list_pods(_NOT_OVER)
        wants_claims, wants_groups = _wants(pods)
        claims = self._extra(_CLAIMS) if wants_claims else []
        groups = []
        if wants_groups and self._settings.pod_groups:
            groups = [item for path in POD_GROUP_LISTS for item in self._extra(path)]
        return Look(
            nodes=nodes,
            pods=pods,
            daemon_sets=self._extra(_DAEMON_SETS) if self._settings.daemon_overhead else [],
            claims=claims,
            volumes=self._extra(_VOLUMES) if claims else [],
            storage_classes=self._extra(_CLASSES) if claims else [],
            pod_groups=groups,
            workloads=self._workloads() if self._settings.kueue else [],
            problems=tuple(self._problems),
        )

    def _workloads(self) -> list[Any]:
        """By the newest version that the server has; both have the same objects."""
        for path in WORKLOAD_LISTS:
            found = self._extra(path)
            if found:
                return found
        return []

    def _extra(self, path: str) -> list[Any]:
        try:
            return self._client.list_all(path, optional=True)
        except SchedulerError as error:
            self._problems.append(Problem(path, str(error)))
            return []


def _wants(pods: list[Any]) -> tuple[bool, bool]:
    """Whether some waiting pod names a volume claim, and a group whose size stands elsewhere."""
    claims = groups = False
    for raw in pods:
        try:
            pod = read_pod(raw)
            if pod.node_name:
                continue
            claims = claims or bool(claim_names(pod))
            groups = groups or (bool(group_of(pod)) and KUEUE_GROUP not in pod.labels)
        except ValueError:  # reported when it is read
            continue
    return claims, groups


class CaptureSource:
    """Files as `kubectl get NAME -A -o json` prints them: nodes.json and pods.json, others where they exist."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def look(self) -> Look:
        """The captured look."""
        return Look(
            nodes=self._items("nodes", required=True),
            pods=self._items("pods", required=True),
            daemon_sets=self._items("daemonsets"),
            claims=self._items("persistentvolumeclaims"),
            volumes=self._items("persistentvolumes"),
            storage_classes=self._items("storageclasses"),
            pod_groups=self._items("podgroups"),
            workloads=self._items("workloads"),
        )

    def _items(self, name: str, *, required: bool = False) -> list[Any]:
        path = self._directory / f"{name}.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            if not required:
                return []
            raise SchedulerError(f"{path}: is missing; capture it with kubectl get {name} -A -o json") from error
        except (OSError, ValueError) as error:
            raise SchedulerError(f"{path}: cannot be read: {error}") from error
        items = found.get("items") if isinstance(found, dict) else None
        if not isinstance(items, list):
            raise SchedulerError(f'{path}: expected an object with "items"')
        return items
