"""A constraint kind of your own: a value that judges a node by its facts, and a parser for its JSON."""

from dataclasses import dataclass
from typing import Any

from autoscale_aks.api import DemandCalculator, Profile, build_job, build_kinds, build_nodearray, build_offering


@dataclass(frozen=True)
class MemoryPerCore:
    """Holds where every vCPU has at least so many GiB."""

    gib: int
    kind = "memory-per-core"

    def holds_on(self, profile: Profile) -> bool:
        """Judge by facts only: the same node must always get the same answer."""
        return profile.property("memory").bytes >= self.gib * 1024**3 * profile.property("vcpu_count")

    def to_json(self) -> dict[str, Any]:
        """Written back, it parses to an equal value."""
        return {self.kind: self.gib}


def parse_memory_per_core(raw: Any) -> MemoryPerCore:
    """The JSON beside the name; a ValueError makes the job INVALID with the path to the key."""
    if not isinstance(raw, int):
        raise ValueError(f"expected whole GiB a core, found {raw!r}")
    return MemoryPerCore(raw)


calculator = DemandCalculator(
    nodearrays=[
        build_nodearray(
            "any",
            build_offering("Standard_F4", vcpu_count=4, memory_gb=8),
            build_offering("Standard_E4", vcpu_count=4, memory_gb=32),
        )
    ],
    kinds=build_kinds({"memory-per-core": parse_memory_per_core}),
)
calculator.add_job(build_job("lean", {"ncpus": 4}))
calculator.add_job(build_job("fat", {"ncpus": 4}, MemoryPerCore(8)))
calculator.add_job(build_job("wrong", {"memory-per-core": "much"}))

answer = calculator.answer()
sizes = {claim.name: claim.bucket.vm_size for claim in answer.new_nodes}
for job in ("lean", "fat"):
    print(job, [sizes[node] for node in answer.nodes_of(job)])
print(answer.reason("wrong").code.value, answer.message("wrong"))
