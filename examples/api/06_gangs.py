"""Jobs that are placed whole or not at all: different nodes, one placement group, several chunks."""

from autoscale_aks.api import DemandCalculator, MinResource, build_job, build_nodearray, build_offering

calculator = DemandCalculator(
    nodearrays=[
        build_nodearray(
            "hpc",
            build_offering("Standard_HB8", vcpu_count=8, memory_gb=32, max_count=8, max_placement_group_size=4),
            new_placement_groups=True,
        )
    ]
)
calculator.add_jobs(
    [
        build_job("mpi", {"ncpus": 8}, node_count=3, colocated=True),
        build_job(
            "coupled",
            chunks=[
                {"constraints": [MinResource("ncpus", 8)], "iterations": 1},
                {"constraints": [MinResource("ncpus", 2)], "iterations": 4},
            ],
        ),
        build_job("wide", {"ncpus": 8}, node_count=5, colocated=True),
        build_job("late", {"ncpus": 1}, node_count=9),
    ]
)

answer = calculator.answer()
groups = {claim.name: claim.bucket.placement_group for claim in answer.new_nodes}
for job in ("mpi", "coupled", "wide", "late"):
    placed = {node: groups[node] for node in answer.nodes_of(job)}
    print(job, answer.reason(job).code.value, placed or answer.message(job))
