"""Why a job waits, told where its users look: an event of events.k8s.io/v1 beside the pod, or beside its controller.

An event needs the right to create events and no other. An annotation would need the right to patch pods, which is the
right to change what they run; so none is written. An event's name follows from what it says: said twice, it is there
once (409), and the API server forgets it after an hour.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.schedulers.kubernetes.objects import Owner, read_pod

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from autoscale_aks.model.job import Job
    from autoscale_aks.schedulers.kubernetes.objects import Pod

CONTROLLER: Final = "azaks.io/azaks"
REASON: Final = "WaitsForMachines"
ACTION: Final = "Planning"
_LONGEST_NOTE: Final = 1024
"""events.k8s.io: a longer note is refused."""
_LONGEST_NAME: Final = 200
_PATH: Final = re.compile(r"pods\[([0-9]+)\]\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What an event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


def subjects_of(jobs: Iterable[Job], pods: Sequence[Any]) -> dict[str, Subject]:
    """Job → its pod; of several pods alike the controller they have in common. Others have none."""
    found: dict[str, Subject] = {}
    for job in jobs:
        match = _PATH.match(job.path)
        if match is None or int(match[1]) >= len(pods):
            continue
        try:
            found[job.name] = _subject(read_pod(pods[int(match[1])]), of_many=job.count > 1)
        except ValueError:  # a pod that cannot be read is told of elsewhere
            continue
    return found


def _subject(pod: Pod, *, of_many: bool) -> Subject:
    whose = pod.owner if of_many and pod.owner.kind else Owner("Pod", pod.name, pod.uid, "v1")
    if not whose.name or not whose.uid:
        raise ValueError("no name, no uid")
    return Subject(
        api_version=whose.api_version, kind=whose.kind, namespace=pod.namespace, name=whose.name, uid=whose.uid
    )


def events_path(subject: Subject) -> str:
    """Where events about it are made."""
    return f"/apis/events.k8s.io/v1/namespaces/{subject.namespace}/events"


def encode_event(subject: Subject, reason: str, now: float) -> Mapping[str, Any]:
    """The event that says `reason`. `now` is in seconds since the epoch."""
    note = "".join(char if char.isprintable() else " " for char in reason)[:_LONGEST_NOTE]
    mark = hashlib.sha256(f"{subject.uid} {note}".encode()).hexdigest()[:16]
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{subject.name[:_LONGEST_NAME]}.{mark}", "namespace": subject.namespace},
        "eventTime": datetime.fromtimestamp(now, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "type": "Normal",
        "reason": REASON,
        "action": ACTION,
        "note": note,
        "reportingController": CONTROLLER,
        "reportingInstance": "azaks",
        "regarding": {
            "apiVersion": subject.api_version,
            "kind": subject.kind,
            "namespace": subject.namespace,
            "name": subject.name,
            "uid": subject.uid,
        },
    }
