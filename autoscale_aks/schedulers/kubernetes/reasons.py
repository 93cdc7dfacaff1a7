"""Why a pod waits: whether a machine would help, in the scheduler's words or in ours (T06a)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from autoscale_aks.schedulers.kubernetes.objects import list_at, mapping_at, text_at

if TYPE_CHECKING:
    from autoscale_aks.schedulers.kubernetes.objects import Pod
    from autoscale_aks.schedulers.kubernetes.settings import KubernetesSettings

_UNSCHEDULABLE: Final = "Unschedulable"
_GATED: Final = "SchedulingGated"


class Verdict(NamedTuple):
    """Empty `why`: a machine would help. `unknown` is a reason that is not known here."""

    why: str = ""
    unknown: str = ""


def judge(pod: Pod, settings: KubernetesSettings) -> Verdict:
    """Whether a waiting pod is demand. Raises ValueError."""
    gates = [text_at(gate, "name") for gate in list_at(pod.spec, "schedulingGates")]
    if gates:
        return Verdict(f"{_GATED}: {', '.join(gates)[:120]}")
    if pod.stays_with_node:
        return Verdict(f"{pod.owner.kind or 'Node'}: it belongs to one node and comes with it")
    scheduler = text_at(pod.spec, "schedulerName") or "default-scheduler"
    if scheduler not in settings.scheduler_names:
        return Verdict(f"it waits for the scheduler {scheduler[:60]} (see scheduler.scheduler_names)")
    nominated = text_at(pod.status, "nominatedNodeName")
    if nominated:
        return Verdict(f"it takes the place of others on {nominated[:60]} (preemption)")
    return _of_condition(pod, settings)


def _of_condition(pod: Pod, settings: KubernetesSettings) -> Verdict:
    for condition in list_at(pod.status, "conditions"):
        if text_at(condition, "type") != "PodScheduled" or text_at(condition, "status") == "True":
            continue
        reason = text_at(condition, "reason")
        if reason == _UNSCHEDULABLE:
            return Verdict()
        if reason == _GATED:
            return Verdict(f"{_GATED}: {text_at(condition, 'message')[:120]}")
        why = "" if settings.unknown_is_runnable else f"{reason[:60]}: not known here"
        return Verdict(why, unknown=reason[:60] or "(no reason)")
    return Verdict("the scheduler has not looked at it yet")


def condition_is(status: object, kind: str) -> str:
    """A condition's status, `True`, `False` or `Unknown`; empty when there is none. Raises ValueError."""
    for condition in list_at(mapping_at({"status": status}, "status"), "conditions"):
        if text_at(condition, "type") == kind:
            return text_at(condition, "status")
    return ""
