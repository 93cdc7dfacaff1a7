"""The planner as a library: build jobs, constraints, buckets and nodes, plan them, and ask why.

Nothing here reads a scheduler, a cloud, a file or a clock. Start with `DemandCalculator`; docs/api.md has a runnable
example of each part. Rule numbers (C6, A4, …) are those of docs/calculations.md.
"""

from autoscale_aks.api.answer import Answer
from autoscale_aks.api.building import (
    build_job,
    build_licences,
    build_node,
    build_nodearray,
    build_offering,
    build_shared_value,
    write_constraint,
)
from autoscale_aks.api.calculator import DemandCalculator
from autoscale_aks.api.kinds import build_kinds
from autoscale_aks.errors import ConstraintError, InputError, Problem
from autoscale_aks.matching.constraint import (
    And,
    CapacityFailureBackoff,
    Constraint,
    CustomConstraint,
    Exclusive,
    ExclusiveTask,
    InPlacementGroup,
    MinResource,
    Never,
    NodeProperty,
    Not,
    Or,
    ResourceList,
    ResourceValue,
    SharedConsumable,
    SharedNonConsumable,
    Xor,
)
from autoscale_aks.matching.parse import parse_constraint, parse_constraints
from autoscale_aks.matching.profile import Profile
from autoscale_aks.model.bucket import Bucket, NodeArray, Offering
from autoscale_aks.model.job import Chunk, Job, JobShape, PackingStrategy
from autoscale_aks.model.limits import CoreQuota, Limits, SharedResource
from autoscale_aks.model.node import Node
from autoscale_aks.model.plan import JobOutcome, JobStatus, NodeClaim, Plan
from autoscale_aks.model.policy import Objective, PlacementOrder, Policy, Timeout
from autoscale_aks.model.reason import Binding, LimitKind, Miss, Reason, ReasonCode
from autoscale_aks.planning.inspect import BucketVerdict, JobInspection, PartInspection
from autoscale_aks.reports.explain import WhyNot, WhyNotCode, render_verdict
from autoscale_aks.units import Size, format_value, parse_size

__all__ = [
    "And",
    "Answer",
    "Binding",
    "Bucket",
    "BucketVerdict",
    "CapacityFailureBackoff",
    "Chunk",
    "Constraint",
    "ConstraintError",
    "CoreQuota",
    "CustomConstraint",
    "DemandCalculator",
    "Exclusive",
    "ExclusiveTask",
    "InPlacementGroup",
    "InputError",
    "Job",
    "JobInspection",
    "JobOutcome",
    "JobShape",
    "JobStatus",
    "LimitKind",
    "Limits",
    "MinResource",
    "Miss",
    "Never",
    "Node",
    "NodeArray",
    "NodeClaim",
    "NodeProperty",
    "Not",
    "Objective",
    "Offering",
    "Or",
    "PackingStrategy",
    "PartInspection",
    "PlacementOrder",
    "Plan",
    "Policy",
    "Problem",
    "Profile",
    "Reason",
    "ReasonCode",
    "ResourceList",
    "ResourceValue",
    "SharedConsumable",
    "SharedNonConsumable",
    "SharedResource",
    "Size",
    "Timeout",
    "WhyNot",
    "WhyNotCode",
    "Xor",
    "build_job",
    "build_kinds",
    "build_licences",
    "build_node",
    "build_nodearray",
    "build_offering",
    "build_shared_value",
    "format_value",
    "parse_constraint",
    "parse_constraints",
    "parse_size",
    "render_verdict",
    "write_constraint",
]
