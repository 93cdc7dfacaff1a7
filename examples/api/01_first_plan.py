"""Jobs and what nodes there may be in; the machines to make out."""

from autoscale_aks.api import DemandCalculator, build_job, build_nodearray, build_offering

htc = build_nodearray(
    "htc",
    build_offering("Standard_F4", vcpu_count=4, memory_gb=8, price=0.169, max_count=10),
)
calculator = DemandCalculator(
    nodearrays=[htc],
    default_resources=[
        {"select": {}, "name": "ncpus", "value": "node.vcpu_count"},
        {"select": {}, "name": "mem", "value": "node.memory"},
    ],
)
calculator.add_job(build_job("sweep", {"ncpus": 1, "mem": "memory::1g"}, iterations=6))
calculator.add_job(build_job("solver", {"ncpus": 4}, count=2))

answer = calculator.answer()
for claim in answer.new_nodes:
    print(claim.name, claim.bucket.vm_size)
for job in ("sweep", "solver"):
    print(job, answer.reason(job).code.value, answer.nodes_of(job))
print(f"{float(answer.plan.price_per_hour):.3f} an hour, {answer.plan.puts} PUT")
