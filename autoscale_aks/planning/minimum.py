"""Machines beyond demand: the minimum of a node array, and adding them to a plan (user ask T21a).

A minimum counts every machine there is, with work or without, and those the plan asks for: it is never added on top.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from frozendict import frozendict

from autoscale_aks.errors import Problem
from autoscale_aks.model.job import Job, JobShape, PackingStrategy
from autoscale_aks.model.node import Node, Stage
from autoscale_aks.planning.batching import plan_waves
from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scale_in import is_counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from fractions import Fraction

    from autoscale_aks.model.bucket import NodeArray
    from autoscale_aks.model.plan import BucketOutcome, Certificate, NodeClaim, Plan
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.model.snapshot import NameSeries, Snapshot


def with_minimum(snapshot: Snapshot, policy: Policy, decided: Plan) -> Plan:
    """The plan with claims for what its node arrays have less than their minimum, as far as limits allow."""
    missing = _missing(snapshot, decided)
    if not missing:
        return decided
    extra = plan(_only_limits(snapshot, decided, missing), policy_after(policy, len(decided.claims)))
    problems = tuple(
        Problem(
            f"nodearrays.{array}.min_nodes",
            f"{outcome.requested - outcome.slots} machines are missing: {outcome.reason.code.value}",
        )
        for array, outcome in zip(missing, extra.outcomes, strict=True)
        if outcome.slots < outcome.requested
    )
    merged = _merged(decided, extra, policy) if extra.claims else decided
    return replace(merged, problems=(*decided.problems, *problems))


def claimed_nodes(claims: Iterable[NodeClaim], now: float | None) -> tuple[Node, ...]:
    """The machines of a plan as they will be listed: in flight."""
    return tuple(
        Node(
            name=claim.name,
            nodearray=claim.bucket.array.name,
            vm_size=claim.bucket.vm_size,
            state="Creating",
            stage=Stage.IN_FLIGHT,
            placement_group=claim.bucket.placement_group,
            zone=claim.bucket.offering.zone,
            create_time=now,
        )
        for claim in claims
    )


def names_after(naming: Mapping[str, NameSeries], claims: Iterable[NodeClaim]) -> Mapping[str, NameSeries]:
    """The series beyond the names of these claims."""
    found = dict(naming)
    for claim in claims:
        array = claim.bucket.array.name
        series = found[array]
        number = int(claim.name.removeprefix(series.prefix))
        if number >= series.start:
            found[array] = replace(series, start=number + 1)
    return frozendict(found)


def _missing(snapshot: Snapshot, decided: Plan) -> Mapping[str, int]:
    wanted = {array.name: array.min_nodes for array in snapshot.nodearrays if array.min_nodes and array.enabled}
    if not wanted:
        return {}
    leaving = {release.node.name for release in decided.releases}
    there = dict.fromkeys(wanted, 0)
    for node in snapshot.nodes:
        if node.nodearray in there and is_counted(node) and node.name not in leaving:
            there[node.nodearray] += 1
    for claim in decided.claims:
        if claim.bucket.array.name in there:
            there[claim.bucket.array.name] += 1
    return {array: wanted[array] - count for array, count in there.items() if count < wanted[array]}


def _only_limits(snapshot: Snapshot, decided: Plan, missing: Mapping[str, int]) -> Snapshot:
    """Every machine still counts against limits and takes no work; all that waits is the minimum."""
    there = (*snapshot.nodes, *claimed_nodes(decided.claims, snapshot.now))
    jobs = tuple(
        Job(
            name=f"minimum of {array}",
            shape=JobShape(
                constraints=({"node.nodearray": array},), iterations=count, packing_strategy=PackingStrategy.SCATTER
            ),
            is_headroom=True,
        )
        for array, count in missing.items()
    )
    return replace(
        snapshot,
        nodes=tuple(replace(node, target_state="Terminated") for node in there),
        nodearrays=arrays_after(snapshot.nodearrays, decided.claims),
        unmanaged_nodes=(),
        jobs=jobs,
        naming=names_after(snapshot.naming, decided.claims),
    )


def policy_after(policy: Policy, created: int) -> Policy:
    """What the cap on creates leaves when so many machines were asked for already in the cycle."""
    most = policy.max_creates_per_cycle
    return policy if most is None else replace(policy, max_creates_per_cycle=max(0, most - created))


def arrays_after(arrays: Iterable[NodeArray], claims: Iterable[NodeClaim]) -> tuple[NodeArray, ...]:
    """What the node arrays' own caps on creates, and what is to be had of each size, leave after these claims."""
    asked = Counter((claim.bucket.array.name, claim.bucket.vm_size, claim.bucket.offering.zone) for claim in claims)
    created: Counter[str] = Counter()
    for (array, _, _), count in asked.items():
        created[array] += count
    return tuple(
        replace(
            array,
            max_creates_per_cycle=_less(array.max_creates_per_cycle, created[array.name]),
            offerings=tuple(
                replace(one, available_count=_less(one.available_count, asked[array.name, one.vm_size, one.zone]))
                for one in array.offerings
            ),
        )
        if created[array.name]
        else array
        for array in arrays
    )


def _less(most: int | None, taken: int) -> int | None:
    return None if most is None else max(0, most - taken)


def _with_more(certificate: Certificate | None, price: Fraction | None) -> Certificate | None:
    """A certificate once machines are added that price does not decide on."""
    if certificate is None or price is None:
        return None
    return replace(
        certificate,
        cost=certificate.cost + price,
        bound=certificate.bound + price,
        kept=certificate.kept + price,
        rules=frozendict({name: None if paid is None else paid + price for name, paid in certificate.rules.items()}),
    )


def _merged(decided: Plan, extra: Plan, policy: Policy) -> Plan:
    claims = (*decided.claims, *extra.claims)
    added = {outcome.bucket.key: outcome for outcome in extra.buckets}
    known = {outcome.bucket.key for outcome in decided.buckets}
    return replace(
        decided,
        certificate=_with_more(decided.certificate, extra.price_per_hour),
        claims=claims,
        waves=plan_waves(claims, policy.machines_per_put),
        buckets=(
            *(_added(outcome, added.get(outcome.bucket.key)) for outcome in decided.buckets),
            *(outcome for key, outcome in added.items() if key not in known and outcome.new_nodes),
        ),
    )


def _added(outcome: BucketOutcome, more: BucketOutcome | None) -> BucketOutcome:
    if more is None:
        return outcome
    return replace(
        outcome,
        new_nodes=outcome.new_nodes + more.new_nodes,
        available_after=more.available_after,
        binding=more.binding,
    )
