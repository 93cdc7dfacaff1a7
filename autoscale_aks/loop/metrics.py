"""What a monitoring system is told after every cycle: names, labels and values (user ask T28a).

Labels are node arrays of the configuration, stages, reason codes, error kinds and outcomes: closed lists all, so that a
site has a few hundred series at most. Counters go on where the last run of this ledger left them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

from autoscale_aks import __version__
from autoscale_aks.model.launch import FaultKind, LaunchState
from autoscale_aks.model.plan import JobStatus
from autoscale_aks.model.reason import ReasonCode
from autoscale_aks.reports.stage_counts import STAGES, count_fleet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from autoscale_aks.config import Config
    from autoscale_aks.model.plan import Plan
    from autoscale_aks.reconcile import CycleReport

GAUGE, COUNTER = "gauge", "counter"
PREFIX: Final = "azaks_"
STATUSES: Final = ("ok", "incomplete", "cloud-unavailable", "failed")
BACK_OFFS: Final = (ReasonCode.CAPACITY_BACKOFF.value, ReasonCode.BOOT_CIRCUIT_OPEN.value)
NO_KIND: Final = "none"
"""`kind` of outcomes that are no refusal."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One family of series. Its full name is `azaks_` and `name`."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str


METRICS: Final[tuple[Metric, ...]] = (
    Metric("build_info", GAUGE, ("version",), "Always 1; the version that runs."),
    Metric("cycles_total", COUNTER, ("status",), "Cycles by how they ended."),
    Metric("cycle_seconds_total", COUNTER, (), "Seconds spent in cycles."),
    Metric("cycle_last_seconds", GAUGE, (), "How long the last cycle took."),
    Metric("last_cycle_timestamp_seconds", GAUGE, (), "When the last cycle ended, well or not."),
    Metric("last_success_timestamp_seconds", GAUGE, (), "When the last cycle ended that saw scheduler and cloud."),
    Metric("ledger_updated_timestamp_seconds", GAUGE, (), "When the ledger last recorded a cycle."),
    Metric("creates_total", COUNTER, ("outcome", "kind"), "Machines asked for, by outcome and kind of refusal."),
    Metric("puts_total", COUNTER, (), "PUT requests for machines."),
    Metric("deletes_total", COUNTER, ("outcome",), "Machines that were to go: deleted, reopened for a job, or kept."),
    Metric("failed_machines_total", COUNTER, ("kind",), "Accepted machines that failed, did not boot, or were lost."),
    Metric("throttles_total", COUNTER, (), "Cycles in which the service throttled us."),
    Metric("throttled", GAUGE, (), "1 while the service wants no requests."),
    Metric("machines", GAUGE, ("nodearray", "stage"), "Machines by node array and stage."),
    Metric("in_flight", GAUGE, (), "Machines asked for that are not ready yet."),
    Metric("protected_machines", GAUGE, (), "Machines that nothing deletes."),
    Metric("unknown_creates", GAUGE, (), "Machines whose request was sent and whose answer was lost."),
    Metric("withheld_releases", GAUGE, (), "Deletes that the brake holds back until a second cycle agrees."),
    Metric("waiting_jobs", GAUGE, ("reason",), "Job records in the queue, by reason code; an array is one."),
    Metric("waiting_slots", GAUGE, ("reason",), "Slots (or nodes) the queue waits for, by reason code."),
    Metric("waiting_oldest_timestamp_seconds", GAUGE, ("reason",), "Since when the oldest job of a reason waits."),
    Metric("back_offs", GAUGE, ("code",), "Buckets that are left alone now."),
    Metric("price_per_hour", GAUGE, ("nodearray",), "Price of the machines that are there, where it is known."),
    Metric("unpriced_machines", GAUGE, (), "Machines that are there and whose price is not known."),
)
"""Every metric there is; `docs/metrics.md` has the same list, held by a test."""

_BY_NAME: Final = {metric.name: metric for metric in METRICS}
_VALUES: Final[Mapping[str, Sequence[tuple[str, ...]]]] = {
    "build_info": [(__version__,)],
    "cycles_total": [(status,) for status in STATUSES],
    "creates_total": [
        (LaunchState.ACCEPTED.value, NO_KIND),
        (LaunchState.UNKNOWN.value, NO_KIND),
        *((LaunchState.REJECTED.value, kind.value) for kind in FaultKind),
    ],
    "deletes_total": [("deleted",), ("reopened",), ("kept",)],
    "failed_machines_total": [("lost",), *((kind.value,) for kind in FaultKind)],
    "waiting_jobs": [(code.value,) for code in ReasonCode],
    "waiting_slots": [(code.value,) for code in ReasonCode],
    "back_offs": [(code,) for code in BACK_OFFS],
}
"""Label values that are always shown, so that nothing begins with its first event."""
_UNSET: Final = frozenset({"last_cycle_timestamp_seconds", "last_success_timestamp_seconds",
                           "ledger_updated_timestamp_seconds"})  # fmt: skip
"""Moments, which are not shown before they were."""


@final
class Meter:
    """All values, by metric and label values."""

    def __init__(self) -> None:
        self.values: dict[str, dict[tuple[str, ...], float]] = {metric.name: {} for metric in METRICS}
        for metric in METRICS:
            for labels in _VALUES.get(metric.name, [()] if not metric.labels and metric.name not in _UNSET else []):
                self.values[metric.name][labels] = 0.0
        self.values["build_info"][__version__,] = 1.0

    def series(self) -> Iterator[tuple[Metric, dict[tuple[str, ...], float]]]:
        """Every metric with its values."""
        for metric in METRICS:
            yield metric, self.values[metric.name]

    def dump(self) -> str:
        """The counters, for the next process."""
        counters = {
            name: [[list(labels), value] for labels, value in values.items()]
            for name, values in self.values.items()
            if _BY_NAME[name].kind == COUNTER
        }
        moments = {name: [[[], self.values[name][()]]] for name in _UNSET if self.values[name]}
        return json.dumps({**counters, **moments}, separators=(",", ":"))

    def restore(self, text: str | None) -> None:
        """Go on from what another process left; what cannot be read counts from zero."""
        try:
            found = json.loads(text or "{}")
            for name, entries in found.items():
                if name in self.values:
                    for labels, value in entries:
                        if len(labels) == len(_BY_NAME[name].labels):
                            self.values[name][tuple(map(str, labels))] = float(value)
        except (ValueError, TypeError, AttributeError):
            return

    def cycle_failed(self, *, now: float, took_s: float) -> None:
        """A cycle that raised: scheduler or ledger could not be used."""
        self._ended("failed", now, took_s)

    def cycle_done(
        self, report: CycleReport, config: Config, *, now: float, took_s: float, oldest: Mapping[str, int]
    ) -> None:
        """What a cycle saw, decided and did. `oldest` is since when jobs wait, by reason code."""
        status = "cloud-unavailable" if report.is_cloud_down else "ok" if report.is_clean else "incomplete"
        self._ended(status, now, took_s)
        self._set("ledger_updated_timestamp_seconds", now)
        if not report.is_cloud_down:
            self._set("last_success_timestamp_seconds", now)
        self._deeds(report)
        self._fleet(report, config)
        self._queue(report.final, oldest)

    def _ended(self, status: str, now: float, took_s: float) -> None:
        self._add("cycles_total", 1, status)
        self._add("cycle_seconds_total", max(took_s, 0.0))
        self._set("cycle_last_seconds", max(took_s, 0.0))
        self._set("last_cycle_timestamp_seconds", now)

    def _deeds(self, report: CycleReport) -> None:
        throttled = report.observation.snapshot.blocked.throttled_until is not None
        for chunk in report.chunks:
            for one in chunk.outcomes:
                kind = one.kind.value if one.kind and one.state is LaunchState.REJECTED else NO_KIND
                if one.state is LaunchState.REJECTED and one.kind is None:
                    kind = FaultKind.UNKNOWN.value
                throttled |= one.kind is FaultKind.THROTTLE
                self._add("creates_total", 1, one.state.value, kind)
        self._add("puts_total", report.puts)
        releases = report.releases
        for outcome, count in (
            ("deleted", len(releases.deleted)),
            ("reopened", len(releases.reopened)),
            ("kept", len(releases.kept)),
        ):
            self._add("deletes_total", count, outcome)
        records = report.observation.records
        for one in report.observation.failed:
            if records[one.name].error_kind is None:
                self._add("failed_machines_total", 1, one.kind.value if one.kind else "lost")
        self._add("throttles_total", float(throttled))
        self._set("throttled", float(throttled))

    def _fleet(self, report: CycleReport, config: Config) -> None:
        seen = report.observation
        fleet = count_fleet(seen.snapshot)
        known = set(config.nodearrays)
        machines: dict[tuple[str, ...], float] = {
            (array, stage): 0.0 for array in config.nodearrays for stage in STAGES
        }
        for (array, stage), count in fleet.machines.items():
            label = array if array in known else "other"
            machines[label, stage] = machines.get((label, stage), 0.0) + count
        self.values["machines"] = dict(machines)
        self._set("in_flight", fleet.by_stage["in-flight"])
        self._set("protected_machines", sum(node.keep_alive for node in seen.snapshot.nodes))
        unknown = {name for name, record in seen.records.items() if record.state.value == LaunchState.UNKNOWN.value}
        self._set("unknown_creates", len(unknown - seen.listed) + len(report.names(LaunchState.UNKNOWN)))
        self._set("withheld_releases", len(report.plan.withheld))
        codes = [one.code for one in seen.snapshot.blocked.back_offs]
        self.values["back_offs"] = {(code,): float(codes.count(code)) for code in BACK_OFFS}
        self.values["price_per_hour"] = {(array,): float(price) for array, price in fleet.price_per_hour.items()}
        self._set("unpriced_machines", fleet.unpriced)

    def _queue(self, decided: Plan, oldest: Mapping[str, int]) -> None:
        jobs = dict.fromkeys((code.value for code in ReasonCode), 0.0)
        slots = dict(jobs)
        for job, outcome in zip(decided.jobs, decided.outcomes, strict=True):
            if not job.is_headroom:
                code = outcome.reason.code.value
                jobs[code] += 1
                placed = 0 if outcome.status is JobStatus.SUCCESS else outcome.slots
                slots[code] += outcome.requested - placed
        self.values["waiting_jobs"] = {(code,): count for code, count in jobs.items()}
        self.values["waiting_slots"] = {(code,): count for code, count in slots.items()}
        self.values["waiting_oldest_timestamp_seconds"] = {
            (code,): float(since) for code, since in oldest.items() if code in jobs
        }

    def _set(self, name: str, value: float, *labels: str) -> None:
        self.values[name][labels] = float(value)

    def _add(self, name: str, value: float, *labels: str) -> None:
        self.values[name][labels] = self.values[name].get(labels, 0.0) + value
