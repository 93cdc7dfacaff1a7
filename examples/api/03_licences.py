"""Licences and shared values: counted once over all buckets, exact, given back when a job is not placed."""

from autoscale_aks.api import (
    DemandCalculator,
    SharedConsumable,
    build_job,
    build_licences,
    build_nodearray,
    build_offering,
    build_shared_value,
)

calculator = DemandCalculator(
    nodearrays=[build_nodearray("htc", build_offering("Standard_F4", vcpu_count=4, memory_gb=8))],
    shared_resources={
        "fluent": build_licences(10, current=7),
        "token": build_licences(1),
        "release": build_shared_value("2.1"),
    },
)
# Two licences a slot: three slots fit, the fourth waits.
calculator.add_job(build_job("flow", {"ncpus": 1}, SharedConsumable(("fluent",), 2), iterations=4))
# One token a job, however many slots it has.
calculator.add_job(build_job("post", {"ncpus": 1}, SharedConsumable(("token",), 1, once=True), iterations=3))
# The shared value must equal what the job asks for.
calculator.add_job(build_job("old", {"shared-non-consumable": {"resource": "release", "value": "1.9"}}))

answer = calculator.answer()
for name in ("flow", "post", "old"):
    outcome = answer.outcome(name)
    print(f"{name}: {outcome.slots} of {outcome.requested}, {outcome.reason.code.value}: {answer.message(name)}")
print("left:", dict(answer.plan.shared_left))
