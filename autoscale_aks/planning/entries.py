"""Placements as columns, an entry a row of nodes, whatever spans they were written down in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoscale_aks.planning.places import Column
    from autoscale_aks.planning.records import Span
    from autoscale_aks.planning.table import NodeTable


@dataclass(frozen=True, slots=True)
class Entries:
    """Slots on nodes, an entry a row of nodes: job, first node, nodes, slots on each."""

    job: Column
    first: Column
    nodes: Column
    each: Column

    def of(self, which: Column) -> Entries:
        """Those for which `which` is true."""
        return Entries(self.job[which], self.first[which], self.nodes[which], self.each[which])


def entries_of(spans: Sequence[Span]) -> Entries:
    """All spans in the order in which they were made."""
    columns: list[list[Column]] = [[], [], [], []]
    for span in spans:
        first = np.asarray(span.first, np.int64)
        job = np.full(len(first), span.job, np.int64) if isinstance(span.job, int) else span.job
        for column, values in zip(columns, (job, first, span.nodes, span.slots_each), strict=True):
            column.append(np.asarray(values, np.int64))
    empty = np.zeros(0, np.int64)
    return Entries(*(np.concatenate([empty, *column]) for column in columns))


def rows_that_hold(job: int, spans: Sequence[Span], table: NodeTable) -> Column:
    """Rows of which some node has a slot of a job record."""
    entries = entries_of(spans)
    entries = entries.of(entries.job == job)
    first = table.first[: table.size, None]
    meets = (first < entries.first + entries.nodes) & (first + table.count[: table.size, None] > entries.first)
    return np.flatnonzero(meets.any(axis=1))
