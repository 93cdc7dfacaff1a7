"""`jobs` of a scenario, or of any program that prints our job JSON → Job values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from frozendict import deepfreeze

from autoscale_aks.errors import ConstraintError
from autoscale_aks.matching.parse import parse_constraints
from autoscale_aks.model.job import Chunk, Job, JobShape, PackingStrategy
from autoscale_aks.planning.keys import json_key
from autoscale_aks.planning.reading import Reader

_SHAPE_KEYS: Final = ("constraints", "iterations", "node_count", "colocated", "packing_strategy", "chunks")
_JOB_KEYS: Final = (
    "name", *_SHAPE_KEYS, "count", "runnable", "not_runnable_reason", "priority", "queue", "user",
    "executing_hostnames",
)  # fmt: skip
MOST_JOBS: Final = 1_000_000
"""Most jobs one record may stand for, and most nodes one job may ask for."""
MOST_SLOTS: Final = 1_000_000_000
"""Most slots one job may ask for."""
_NOT_READ: Final = JobShape()


@dataclass(slots=True)
class JobDecoder:
    """Decodes jobs one by one; jobs that need the same share one shape."""

    _shapes: dict[Any, JobShape] = field(default_factory=dict)

    def decode(self, raw: Any, path: str) -> Job:
        """One job. Never raises: what cannot be read is a job with a `problem` (matching.md C7)."""
        reader = Reader()
        raw = reader.keys(raw, path, _JOB_KEYS)
        name = raw.get("name") if isinstance(raw.get("name"), str) else path
        if not raw.get("name") or not isinstance(raw["name"], str):
            reader.wrong(f"{path}.name", "every job needs a name")
        runnable = reader.flag(raw, "runnable", path, default=True)
        job = Job(
            name=str(name),
            shape=self._shape(raw, path, reader),
            count=reader.count(raw, "count", path, 1, most=MOST_JOBS),
            runnable=runnable,
            not_runnable_reason=reader.text(raw, "not_runnable_reason", path, ""),
            priority=float(reader.number(raw, "priority", path, 0) or 0),
            queue=reader.text(raw, "queue", path, ""),
            user=reader.text(raw, "user", path, ""),
            executing_hostnames=reader.texts(raw, "executing_hostnames", path),
            path=path,
        )
        if reader.problems:
            return Job(name=job.name, shape=_NOT_READ, count=0, path=path, problem=reader.problems[0])
        return job

    def _shape(self, raw: Mapping[str, Any], path: str, reader: Reader) -> JobShape:
        try:
            key = json_key([raw.get(name) for name in _SHAPE_KEYS])
        except ValueError as error:
            _find_problem(raw, path, str(error), reader)
            return _NOT_READ
        found = self._shapes.get(key)
        if found is not None:
            return found
        before = len(reader.problems)
        shape = JobShape(
            constraints=_constraints(raw, path, reader),
            iterations=reader.count(raw, "iterations", path, 1, most=MOST_SLOTS),
            node_count=reader.count(raw, "node_count", path, 0, most=MOST_JOBS),
            colocated=reader.flag(raw, "colocated", path, default=False),
            packing_strategy=_strategy(raw, path, reader),
            chunks=tuple(
                _chunk(item, f"{path}.chunks[{index}]", reader)
                for index, item in enumerate(reader.items(raw, "chunks", path))
            ),
        )
        if len(reader.problems) == before:
            self._shapes[key] = shape
        return shape


def _find_problem(raw: Mapping[str, Any], path: str, message: str, reader: Reader) -> None:
    """Name the very key that cannot be read, where the constraints have it."""
    try:
        parse_constraints(raw.get("constraints", []), f"{path}.constraints")
    except ConstraintError as error:
        reader.problems.extend(error.problems)
    else:
        reader.wrong(path, message)


def _constraints(raw: Mapping[str, Any], path: str, reader: Reader) -> tuple[Mapping[str, Any], ...]:
    found = raw.get("constraints", [])
    items = [found] if isinstance(found, Mapping) else found
    if not isinstance(items, list | tuple):
        reader.wrong(f"{path}.constraints", "expected a list of constraint objects")
        return ()
    return tuple(deepfreeze(item) for item in items)


def _strategy(raw: Mapping[str, Any], path: str, reader: Reader) -> PackingStrategy | None:
    found = raw.get("packing_strategy")
    if found is None:
        return None
    for strategy in PackingStrategy:
        if strategy.value == found:
            return strategy
    reader.wrong(f"{path}.packing_strategy", 'expected "pack", "scatter" or null')
    return None


def _chunk(raw: Any, path: str, reader: Reader) -> Chunk:
    raw = reader.keys(raw, path, ("constraints", "iterations", "node_count"))
    return Chunk(
        constraints=_constraints(raw, path, reader),
        iterations=reader.count(raw, "iterations", path, 1, most=MOST_SLOTS),
        node_count=reader.count(raw, "node_count", path, 0, most=MOST_JOBS),
    )
