"""Jobs to job classes and runs: identical needs are compiled once and placed together (user ask T05)."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from autoscale_aks.errors import ConstraintError, Problem
from autoscale_aks.matching.alternatives import (
    Alternative,
    amounts_in,
    compile_alternatives,
    mentions_groups,
    mentions_live,
    plain_needs,
    speaks_of_tasks,
)
from autoscale_aks.matching.constraint import And, MinResource
from autoscale_aks.matching.parse import Kinds, parse_constraints
from autoscale_aks.model.job import PackingStrategy
from autoscale_aks.planning.keys import json_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoscale_aks.model.job import Job, JobShape


class Rule(enum.Enum):
    """Which rule places a job (matching.md A0)."""

    PACK = "A2: slots packed, as many as fit"
    SPREAD = "one slot a node, as many as fit"
    SCATTER_GANG = "A4: that many different nodes, all or nothing"
    PACK_GANG = "slots packed on as few nodes as they need, all or nothing"
    COLOCATED_PACK = "A5: all slots in one group, packed"
    COLOCATED_SCATTER = "A5: one slot a node, all in one group"


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One chunk of a job, or the whole of a job without chunks: what a slot needs and how many there are."""

    id: int
    alternatives: tuple[Alternative, ...]
    slots: int
    rule: Rule
    is_live: bool
    speaks_of_groups: bool
    amounts: tuple[MinResource, ...] = ()
    """Every amount its constraints speak of, asked for or ruled out."""

    one_a_node: bool = field(init=False)
    """Whether each slot needs a node of its own."""
    is_colocated: bool = field(init=False)
    """Whether all slots must be in one placement group."""
    has_moving_criteria: bool = field(init=False)
    """Whether it may fit a node better after other work was placed there."""
    takes_shared: bool = field(init=False)
    """Whether slots take licences or the like."""

    def __post_init__(self) -> None:
        moving = shared = False
        for alternative in self.alternatives:
            moving = moving or bool(alternative.moving)
            shared = shared or bool(alternative.shared)
        rule = self.rule
        one_a_node = rule is Rule.SPREAD or rule is Rule.SCATTER_GANG or rule is Rule.COLOCATED_SCATTER
        object.__setattr__(self, "one_a_node", one_a_node)
        object.__setattr__(self, "is_colocated", _is_colocated(rule))
        object.__setattr__(self, "has_moving_criteria", moving)
        object.__setattr__(self, "takes_shared", shared)


def _is_colocated(rule: Rule) -> bool:
    return rule is Rule.COLOCATED_PACK or rule is Rule.COLOCATED_SCATTER


@dataclass(frozen=True, slots=True, eq=False)
class JobClass:
    """Jobs with identical needs. `parts` is empty when the constraints cannot be read; `problem` says why."""

    id: int
    shape: JobShape
    parts: tuple[Part, ...] = ()
    problem: Problem | None = None
    warning: Problem | None = None

    is_gang: bool = field(init=False)
    """Whether a job of this class is placed wholly or not at all."""
    may_fit_later: bool = field(init=False)
    """Whether a refusal says nothing of the next job of the class: others' work may make a node fit, and a scattered
    job is refused for want of different nodes while they still have room."""
    is_pooled: bool = field(init=False)
    """Whether jobs of this class may be placed as one heap of slots: nothing speaks of "the same job"."""

    def __post_init__(self) -> None:
        is_gang = len(self.parts) > 1
        spreads = may_fit_later = speaks_of_job = False
        for part in self.parts:
            is_gang = is_gang or not (part.rule is Rule.PACK or part.rule is Rule.SPREAD)
            spreads = spreads or part.rule is Rule.SPREAD
            may_fit_later = may_fit_later or part.has_moving_criteria
            speaks_of_job = speaks_of_job or any(map(_speaks_of_job, part.alternatives))
        object.__setattr__(self, "is_gang", is_gang)
        object.__setattr__(self, "may_fit_later", spreads or may_fit_later)
        object.__setattr__(self, "is_pooled", not (is_gang or spreads or speaks_of_job))


def _speaks_of_job(alternative: Alternative) -> bool:
    """Whether it matters which slots belong to the same job."""
    return (
        alternative.exclusive_task
        or any(shared.once for shared in alternative.shared)
        or speaks_of_tasks(alternative.moving)
    )


class Run(NamedTuple):
    """Consecutive jobs of one class: indices `first … stop - 1` into the snapshot's jobs."""

    job_class: JobClass
    first: int
    stop: int


@dataclass(slots=True)
class Demand:
    """All classes in order of first appearance, and the runs in the order in which jobs are taken (A1)."""

    classes: list[JobClass] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    class_of: list[JobClass | None] = field(default_factory=list)
    """Per job; None for jobs that are not looked at (unreadable or not runnable)."""


def fold_jobs(jobs: Sequence[Job], kinds: Kinds) -> Demand:
    """Fold jobs into classes, keeping their order. Unreadable and not runnable jobs are left out of the runs."""
    demand = Demand()
    by_shape: dict[int, JobClass] = {}
    by_key: dict[Any, JobClass] = {}
    part_ids = iter(range(1 << 62))
    class_of = demand.class_of
    for job in jobs:
        if job.problem is not None or not job.runnable:
            class_of.append(None)
            continue
        shape = job.shape
        found = by_shape.get(id(shape))
        if found is None:
            found = by_shape[id(shape)] = _find_class(shape, demand.classes, by_key, kinds, part_ids)
        class_of.append(found)
    demand.runs = _runs(class_of)
    return demand


def _runs(class_of: Sequence[JobClass | None]) -> list[Run]:
    """Consecutive jobs of one class, without those that cannot be read."""
    runs: list[Run] = []
    first, current = 0, class_of[0] if class_of else None
    for index, job_class in enumerate(class_of):
        if job_class is not current:
            if current is not None and current.problem is None:
                runs.append(Run(current, first, index))
            first, current = index, job_class
    if current is not None and current.problem is None:
        runs.append(Run(current, first, len(class_of)))
    return runs


def _find_class(
    shape: JobShape, classes: list[JobClass], by_key: dict[Any, JobClass], kinds: Kinds, part_ids: Iterator[int]
) -> JobClass:
    """The class of a shape, compiled when no equal one is known."""
    try:
        key = _shape_key(shape)
    except ValueError as error:
        classes.append(JobClass(len(classes), shape, problem=Problem("constraints", str(error))))
        return classes[-1]
    found = by_key.get(key)
    if found is None:
        found = by_key[key] = _compile_class(len(classes), shape, kinds, part_ids)
        classes.append(found)
    return found


def _shape_key(shape: JobShape) -> Any:
    chunks = tuple((json_key(chunk.constraints), chunk.iterations, chunk.node_count) for chunk in shape.chunks)
    constraints = json_key(shape.constraints)
    return constraints, shape.iterations, shape.node_count, shape.colocated, shape.packing_strategy, chunks


def _compile_class(class_id: int, shape: JobShape, kinds: Kinds, part_ids: Iterator[int]) -> JobClass:
    """Problems carry paths within the job; each job puts its own path before them."""
    try:
        shared = parse_constraints(shape.constraints, "constraints", kinds)
        if not shape.chunks:
            rule = _rule(shape.node_count, shape.packing_strategy, colocated=shape.colocated)
            slots = shape.node_count or shape.iterations
            parts: tuple[Part, ...] = (_compile_part(next(part_ids), shared, slots, rule, "constraints"),)
            return JobClass(class_id, shape, parts, warning=_ignored_iterations(shape))
        parts = tuple(
            _compile_part(
                next(part_ids),
                And(
                    (
                        *shared.children,
                        *_chunk_constraint(chunk.constraints, f"chunks[{index}]", kinds).children,
                    )
                ),
                chunk.node_count or chunk.iterations,
                _chunk_rule(chunk.node_count, shape),
                f"chunks[{index}].constraints",
            )
            for index, chunk in enumerate(shape.chunks)
        )
    except ConstraintError as error:
        return JobClass(class_id, shape, problem=error.problems[0])
    return JobClass(class_id, shape, parts)


def _chunk_constraint(raw: Any, path: str, kinds: Kinds) -> And:
    return parse_constraints(raw, f"{path}.constraints", kinds)


def _compile_part(part_id: int, constraint: And, slots: int, rule: Rule, path: str) -> Part:
    needs = plain_needs(constraint)
    if needs is not None:
        return Part(part_id, (Alternative(needs=needs),), slots, rule, False, _is_colocated(rule), needs)
    return Part(
        id=part_id,
        alternatives=compile_alternatives(constraint, path),
        slots=slots,
        rule=rule,
        is_live=mentions_live(constraint),
        speaks_of_groups=_is_colocated(rule) or mentions_groups(constraint),
        amounts=tuple(amounts_in(constraint)),
    )


def _rule(node_count: int, strategy: PackingStrategy | None, *, colocated: bool) -> Rule:
    scatter = strategy is PackingStrategy.SCATTER or (node_count > 0 and strategy is None)
    if colocated:
        return Rule.COLOCATED_SCATTER if scatter else Rule.COLOCATED_PACK
    if node_count > 0:
        return Rule.SCATTER_GANG if scatter else Rule.PACK_GANG
    return Rule.SPREAD if scatter else Rule.PACK


def _chunk_rule(node_count: int, shape: JobShape) -> Rule:
    """Chunks are all or nothing whatever they say of themselves (A6)."""
    rule = _rule(node_count, shape.packing_strategy, colocated=shape.colocated)
    return {Rule.PACK: Rule.PACK_GANG, Rule.SPREAD: Rule.SCATTER_GANG}.get(rule, rule)


def _ignored_iterations(shape: JobShape) -> Problem | None:
    if shape.node_count > 0 and shape.iterations > 1:
        return Problem("iterations", f"{shape.iterations} is ignored because node_count is given (A0)")
    return None
