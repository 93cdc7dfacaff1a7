"""One quick filling of a node of each size: items in one order, of each as many slots as fit and are left.

What is left only shrinks. A filling stays what it is while enough is left of all that it holds, so that only the
others are made anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from autoscale_aks.planning.cost.problem import PLENTY

if TYPE_CHECKING:
    from autoscale_aks.planning.cost.problem import CostProblem
    from autoscale_aks.planning.places import Column


class QuickFillings:
    """Fillings by size. Slots that take a whole node are left out."""

    slots: Column
    """S × I."""

    def __init__(self, problem: CostProblem, order: Column) -> None:
        """`order`: items, first ones first."""
        self._problem = problem
        self._order = order
        self._usable = ((problem.each > 0) & ~problem.alone[:, None]).T
        self.slots = np.full(self._usable.shape, np.iinfo(np.int64).max)

    def renew(self, left: Column) -> None:
        """Make those anew of which not all is left."""
        sizes = np.flatnonzero((self.slots > left).any(axis=1))
        if len(sizes):
            items = self._order[left[self._order] > 0]
            self.slots[sizes] = 0
            self.slots[np.ix_(sizes, items)] = self._filled(sizes, items, left[items])

    def _filled(self, sizes: Column, items: Column, left: Column) -> Column:
        """Slots by size and item: again and again the first item that fits, as often as it does."""
        problem = self._problem
        needs, room = problem.needs[items], problem.totals[sizes]
        slots = np.zeros((len(sizes), len(items)), np.int64)
        fits = self._usable[np.ix_(sizes, items)]
        rows = np.arange(len(sizes))
        while len(rows) and len(items):
            for dimension in range(needs.shape[1]):
                fits &= needs[:, dimension] <= room[:, dimension, None]
            first = fits.argmax(axis=1)
            more = fits[np.arange(len(rows)), first]
            if not more.all():
                rows, room, fits, first = rows[more], room[more], fits[more], first[more]
            takes = needs[first]
            count = np.where(takes > 0, room // np.maximum(takes, 1), PLENTY).min(axis=1)
            count = np.minimum(count, left[first])
            slots[rows, first] = count
            room = room - takes * count[:, None]
            fits[np.arange(len(rows)), first] = False
        return slots
