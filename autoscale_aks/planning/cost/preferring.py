"""How well a placement serves what jobs prefer (contract matching.md P2): price never outweighs that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from autoscale_aks.planning.entries import entries_of
from autoscale_aks.planning.routes import Route
from autoscale_aks.planning.space import UNMANAGED
from autoscale_aks.planning.table import place_index

if TYPE_CHECKING:
    from autoscale_aks.planning.cost.keeping import Item
    from autoscale_aks.planning.demand import JobClass
    from autoscale_aks.planning.placer import Placer
    from autoscale_aks.planning.places import Column


def serves_less(mine: Placer, theirs: Placer) -> bool:
    """Whether some job of `mine` has less of what it prefers than it has in `theirs`, over all its slots."""
    scores = _scores_by_class(mine)
    return bool(scores) and bool((_served(mine, scores) < _served(theirs, scores)).any())


def serves_best(placer: Placer) -> bool:
    """Whether every slot that was placed is where its job likes best to be."""
    scores = _scores_by_class(placer)
    if not scores:
        return True
    classes = _class_of(placer)
    best = np.zeros(int(classes.max(initial=0)) + 1, np.int64)
    for class_id, by_place in scores.items():
        best[class_id] = by_place.max()
    most = np.where(classes >= 0, best[classes], 0) * np.array(placer.placed, np.int64)
    return bool((_served(placer, scores) >= most).all())


def at_least_as_good(placer: Placer, item: Item) -> Route:
    """The item's way over the places where it is served no less than where it was."""
    route, scores = placer.route_of(item.part), placer.router.scores(item.part)
    if scores is None:
        return route
    good = scores >= item.score
    reachable = good if route.reachable is None else route.reachable & good
    return Route(route.fresh, route.order, reachable, route.is_bound, route.enabled, route.held, route.bucket_by_bucket)


def _scores_by_class(placer: Placer) -> dict[int, Column]:
    """Class that prefers something → its score by place (`place_index`), of all its chunks together.

    On-premise nodes come before all buckets (P1) and are as good as the best.
    """
    found: dict[int, Column] = {}
    for one in placer.demand.classes:
        columns = [scores for part in one.parts if (scores := placer.router.scores(part)) is not None]
        if columns:
            found[one.id] = _by_place(np.sum(columns, axis=0), one, placer)
    return found


def _by_place(scores: Column, job_class: JobClass, placer: Placer) -> Column:
    usable = np.zeros(len(scores), bool)
    for part in job_class.parts:
        usable |= placer.router.fresh(part) > 0
    found = np.zeros(len(scores) + place_index(0), np.int64)
    found[place_index(0) :] = scores
    found[place_index(UNMANAGED)] = scores[usable].max(initial=0)
    return found


def _served(placer: Placer, scores: dict[int, Column]) -> Column:
    """By job, the sum of its slots' scores. All nodes of an entry are in one place."""
    classes, entries = _class_of(placer), entries_of(placer.state.spans)
    class_of = classes[entries.job]
    place = _places_of_nodes(placer)[entries.first]
    found = np.zeros(len(classes), np.int64)
    order = np.argsort(class_of, kind="stable")
    for class_id, by_place in scores.items():
        first, stop = np.searchsorted(class_of[order], (class_id, class_id + 1))
        mine = order[first:stop]
        np.add.at(found, entries.job[mine], entries.each[mine] * entries.nodes[mine] * by_place[place[mine]])
    return found


def _class_of(placer: Placer) -> Column:
    """By job, the number of its class; -1 where it has none."""
    classes = placer.demand.class_of
    return np.fromiter((-1 if one is None else one.id for one in classes), np.int64, len(classes))


def _places_of_nodes(placer: Placer) -> Column:
    """By node, the index of its place."""
    table = placer.state.table
    first, count, place = (column[: table.size] for column in (table.first, table.count, table.place))
    found = np.zeros(placer.state.next_node, np.int64)
    offset = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    found[np.repeat(first, count) + offset] = np.repeat(place, count)
    return found
