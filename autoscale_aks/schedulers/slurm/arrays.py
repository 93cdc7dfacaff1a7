"""Array task ids: `0-318:2`, `2-3,5,7`, `1-120%10`. Counted and cut, never written out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_PART = re.compile(r"([0-9]{1,10})(?:-([0-9]{1,10})(?::([0-9]{1,10}))?)?\Z")
_SHOWN: Final = 48
_CUT: Final = "..."
MOST_TASKS: Final = 4_000_001
"""MaxArraySize's own limit."""


@dataclass(frozen=True, slots=True)
class TaskSet:
    """Task ids as ranges (first, last, step) in the order in which Slurm starts them."""

    ranges: tuple[tuple[int, int, int], ...]
    limit: int | None = None
    """`%N`: never more than N of the array's tasks run at once."""

    @property
    def count(self) -> int:
        """How many tasks there are."""
        return sum((last - first) // step + 1 for first, last, step in self.ranges)

    def split(self, size: int) -> tuple[TaskSet, TaskSet]:
        """The first `size` tasks, and the rest. Either may be empty."""
        head: list[tuple[int, int, int]] = []
        tail: list[tuple[int, int, int]] = []
        left = max(size, 0)
        for first, last, step in self.ranges:
            here = (last - first) // step + 1
            taken = min(here, left)
            left -= taken
            if taken:
                head.append((first, first + (taken - 1) * step, step))
            if taken < here:
                tail.append((first + taken * step, last, step))
        return TaskSet(tuple(head)), TaskSet(tuple(tail), self.limit)

    def __str__(self) -> str:
        """As squeue writes it, and as short as squeue does."""
        shown: list[str] = []
        length = 0
        for first, last, step in self.ranges:
            text = str(first) if first == last else f"{first}-{last}" + (f":{step}" if step > 1 else "")
            length += len(text) + 1
            if length > _SHOWN:
                shown.append(_CUT)
                break
            shown.append(text)
        return ",".join(shown) + (f"%{self.limit}" if self.limit is not None else "")


def parse_tasks(text: str) -> TaskSet:
    """Task ids of a pending array. Raises ValueError, also for a list that was cut short (`...`)."""
    body, percent, limit = text.strip().removeprefix("[").removesuffix("]").partition("%")
    if percent and not (limit.isascii() and limit.isdigit() and len(limit) < 11):
        raise ValueError(f"array limit %{limit[:20]} is not a number")
    ranges = tuple(_parse_part(part) for part in body.split(","))
    tasks = TaskSet(ranges, int(limit) if percent else None)
    if tasks.count > MOST_TASKS:
        raise ValueError(f"an array of {tasks.count} tasks cannot be meant")
    return tasks


def holds_task(record: str, task: str) -> bool:
    """Whether an array's record, by its name, holds a task: `14_[2-9]` holds `14_7`.

    A name that is cut short (`14_[2-3,5,...]`) may hold every task that it does not show.
    """
    job, _, number = task.rpartition("_")
    if not job or not (number.isascii() and number.isdigit()) or not record.startswith(f"{job}_["):
        return False
    shown = record.removeprefix(f"{job}_").strip("[]").partition("%")[0]
    parts = [part for part in shown.split(",") if part != _CUT]
    ranges = [_parse_part(part) for part in parts]
    is_shown = any(first <= int(number) <= last and (int(number) - first) % step == 0 for first, last, step in ranges)
    last_shown = ranges[-1][1] if ranges else -1
    return is_shown or (len(parts) < len(shown.split(",")) and int(number) > last_shown)


def _parse_part(part: str) -> tuple[int, int, int]:
    match = _PART.match(part.strip())
    if match is None:
        raise ValueError(f"array tasks {part[:20]!r} are no range of numbers")
    first = int(match[1])
    last = first if match[2] is None else int(match[2])
    step = 1 if match[3] is None else int(match[3])
    if last < first or step < 1:
        raise ValueError(f"array tasks {part[:20]!r} run backwards")
    return first, last, step
