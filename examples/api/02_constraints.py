"""Constraints as JSON and as values: parsed, written back, combined."""

import json

from autoscale_aks.api import (
    ConstraintError,
    DemandCalculator,
    MinResource,
    NodeProperty,
    Not,
    Or,
    build_job,
    build_nodearray,
    build_offering,
    parse_constraint,
)

# The language as JSON, and the same as a value. Every value writes itself back.
parsed = parse_constraint({"or": [{"node.vm_size": "Standard_NC6"}, {"ncpus": 8}]})
built = Or((NodeProperty("vm_size", ("Standard_NC6",), is_list=False), MinResource("ncpus", 8)))
print(parsed == built)
print(json.dumps(built.to_json()))

# A malformed one says where, and what is meant.
try:
    parse_constraint({"or": [{"ncpus": 2}, {"node.vmsize": "Standard_F4"}]}, "constraints[0]")
except ConstraintError as error:
    print(error)

# Both forms go into a job. All of a job's constraints must hold.
calculator = DemandCalculator(
    nodearrays=[
        build_nodearray("gpu", build_offering("Standard_NC6", vcpu_count=6, memory_gb=56, gpu_count=1)),
        build_nodearray("cpu", build_offering("Standard_F8", vcpu_count=8, memory_gb=16)),
    ]
)
without_gpu = Not(parse_constraint({"ngpus": 1}))
calculator.add_job(build_job("render", {"ncpus": 4}, without_gpu))
calculator.add_job(build_job("either", built))
answer = calculator.answer()
print(answer.nodes_of("render"), answer.nodes_of("either"))
