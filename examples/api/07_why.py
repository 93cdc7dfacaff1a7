"""Why a job goes where it goes: every bucket's verdict, and why not another VM size."""

from autoscale_aks.api import (
    DemandCalculator,
    Objective,
    Policy,
    build_job,
    build_nodearray,
    build_offering,
    render_verdict,
)

calculator = DemandCalculator(
    nodearrays=[
        build_nodearray(
            "htc",
            build_offering("Standard_D4", vcpu_count=4, memory_gb=16, price=0.23, max_count=20),
            build_offering("Standard_F8", vcpu_count=8, memory_gb=16, price=0.34, max_count=5),
        ),
        build_nodearray("big", build_offering("Standard_E2", vcpu_count=2, memory_gb=16, price=0.15)),
    ],
    policy=Policy(objective=Objective.COST),
)
calculator.add_job(build_job("a", {"ncpus": 4}, iterations=6))

answer = calculator.answer()
for verdict in answer.explain("a").parts[0].verdicts:
    print(verdict.rank or "-", verdict.bucket.id, "|", render_verdict(verdict))
for size in ("Standard_F8", "Standard_D4", "standard_e2", "Standard_E22"):
    for reply in answer.why_not("a", size):
        print(f"{size}: {reply.code.value}: {reply.message}")
