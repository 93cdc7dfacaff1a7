"""Nodes that exist come first; what does not fit has one reason."""

from autoscale_aks.api import (
    CoreQuota,
    DemandCalculator,
    Limits,
    build_job,
    build_node,
    build_nodearray,
    build_offering,
)

calculator = DemandCalculator(
    nodearrays=[
        build_nodearray("htc", build_offering("Standard_F4", vm_family="standardFFamily", vcpu_count=4, memory_gb=8))
    ],
    nodes=[
        build_node("onprem-1", resources={"ncpus": 2}),
        build_node("htc-1", "htc", "Standard_F4", available={"ncpus": 1}, job_ids=["running"]),
        build_node("htc-2", "htc", "Standard_F4", state="Failed"),
        build_node("htc-3", "htc", "Standard_F4", resources={"rack": "r7"}),
    ],
    limits=Limits(families={"westus2": {"standardFFamily": CoreQuota(16)}}),
)
# The queue is taken in the order given. A job may also be the JSON of a scenario file.
calculator.add_jobs(
    [
        build_job("small", {"ncpus": 1}, iterations=5),
        {"name": "rack", "constraints": [{"rack": "r*"}, {"ncpus": 1}]},
        build_job("many", {"ncpus": 2}, iterations=4),
        build_job("huge", {"ncpus": 64}),
    ]
)

answer = calculator.answer()
for job in ("small", "rack", "many", "huge"):
    outcome = answer.outcome(job)
    print(f"{job}: {outcome.status.value}, {outcome.slots} of {outcome.requested} on {answer.nodes_of(job)}")
    print(f"  {outcome.reason.code.value}: {answer.message(job)}")
print("matched:", ", ".join(answer.matched))
print("unmatched:", ", ".join(answer.unmatched) or "none")
