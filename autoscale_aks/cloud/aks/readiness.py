"""How long until nodes were ready, in two forms (aks-machine-api.md §7.3, batching.md B11). Pure.

==============  ===================================================  ==============================================
Form            target of percentile p                               clock starts
==============  ===================================================  ==============================================
compatible      max(baseline + 1, ceil(p · (baseline + expected)))   when all PUTs are done and the pool Succeeded
new nodes       baseline + ceil(p · expected)                        at the first PUT
==============  ===================================================  ==============================================

`baseline` is the number of nodes that were ready before. The compatible form counts every node that became ready
since; ours counts only nodes that did not exist before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PERCENTILES: Final = (50, 70, 90, 99, 100)


@dataclass(frozen=True, slots=True)
class Reached:
    """One percentile: how many ready nodes it needs and when there were as many; None: never."""

    percentage: int
    target_nodes: int
    elapsed_s: float | None

    def to_dict(self) -> dict[str, Any]:
        """The envelope of §7.3."""
        return {
            "target_nodes": self.target_nodes,
            "elapsed_time_seconds": None if self.elapsed_s is None else round(self.elapsed_s, 3),
            "percentage": self.percentage,
            "success": self.elapsed_s is not None,
        }


def compatible_percentiles(
    baseline: int, expected: int, ready_at: Iterable[float], started_at: float
) -> Mapping[str, Reached]:
    """The published form. `ready_at` are the moments at which nodes beyond the baseline became ready."""
    total = baseline + expected
    targets = {p: max(baseline + 1, _share(p, total)) for p in PERCENTILES}
    return _reach(targets, baseline, ready_at, started_at)


def new_node_percentiles(
    baseline: int, expected: int, ready_at: Iterable[float], started_at: float
) -> Mapping[str, Reached]:
    """Ours. `ready_at` are the moments at which new nodes became ready, `started_at` that of the first PUT."""
    targets = {p: baseline + _share(p, expected) for p in PERCENTILES}
    return _reach(targets, baseline, ready_at, started_at)


def _share(percentage: int, total: int) -> int:
    """ceil(p/100 · total), exactly."""
    return -(-percentage * total // 100)


def _reach(
    targets: Mapping[int, int], baseline: int, ready_at: Iterable[float], started_at: float
) -> dict[str, Reached]:
    moments = sorted(ready_at)
    reached = {}
    for percentage, target in targets.items():
        needed = target - baseline
        elapsed_s = None
        if needed <= len(moments):
            elapsed_s = max(0.0, moments[needed - 1] - started_at) if needed > 0 else 0.0
        reached[f"P{percentage}"] = Reached(percentage, target, elapsed_s)
    return reached
