"""The reconcile table: cloud × cluster × scheduler × ledger × age → stage and action (user asks T03a, T13).

Pure data. `docs/calculations.md` shows the same table to people, and a test holds the two together cell by cell. Rows
are tried from the top; the first that holds decides, and every cell is decided by one.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import cache
from typing import Final

from autoscale_aks.model.node import Stage


class CloudSays(enum.Enum):
    """What the list of a pool's machines says of one."""

    UNSEEN = "unseen"
    """It is not in a list that is not whole: its absence proves nothing."""
    ABSENT = "absent"
    MAKING = "making"
    MADE = "made"
    FAILED = "failed"
    """Its creation failed, or its VM is gone."""
    DELETING = "deleting"


class ClusterSays(enum.Enum):
    """What the list of Kubernetes nodes says."""

    NOT_ASKED = "not asked"
    SILENT = "silent"
    """It should have been read and was not, or not whole."""
    NOT_READY = "not ready"
    """No such node, or one that is not ready."""
    CORDONED = "cordoned"
    """It would be ready, and somebody made it unschedulable."""
    READY = "ready"


class SchedulerSays(enum.Enum):
    """What the scheduler says of the node."""

    NOT_ASKED = "not asked"
    """This scheduler reports no nodes."""
    SILENT = "silent"
    """Its list of nodes is not to be believed."""
    ABSENT = "absent"
    """It does not know the node, or the node is on its first way up; work may be assigned there, none runs."""
    READY = "ready"
    BUSY = "busy"
    """Work runs there."""
    HIDDEN = "hidden"
    """Work runs there, and its node is not shown: what is left of it nobody knows."""
    CLOSED = "closed"
    """Somebody else drains it, or this program does."""
    DOWN = "down"


class LedgerSays(enum.Enum):
    """How far the ledger knows the machine to have come."""

    ASKED = "asked"
    """Intended, accepted, or of unknown outcome."""
    REFUSED = "refused"
    LISTED = "listed"
    FOUND = "found"
    """Listed, and whether it ever was ready nobody saw: taken in by its marks, or work was on it at the first look."""
    READY = "ready"
    CLOSING = "closing"
    DELETING = "deleting"


class Age(enum.Enum):
    """How long what the ledger says has been so, against `VISIBILITY_GRACE_S`.

    Since it was asked for; since its delete was accepted; or, of a machine that was ready, since it is not.
    """

    YOUNG = "young"
    OLD = "old"


class Action(enum.Enum):
    """What the cycle does about the machine beside counting it."""

    KEEP = "keep"
    FORGET = "forget"
    """It is gone: the ledger closes its record and the scheduler is told."""
    REMOVE = "remove"
    """It is of no use: the plan releases it."""
    FINISH = "finish"
    """Its delete protocol was begun: go on with it."""
    ADOPT = "adopt"
    """It was refused and came all the same: useful if the plan wants it, else released."""
    LOSE = "lose"
    """It was ready and is not: the clock runs until it is given up."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The facts of one machine at one instant."""

    cloud: CloudSays
    cluster: ClusterSays
    scheduler: SchedulerSays
    ledger: LedgerSays
    age: Age


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a cell means. `stage` is None when the machine is gone; `state` is the node's word for it."""

    stage: Stage | None
    state: str
    action: Action = Action.KEEP


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Cells with one ruling; None in a column is any value."""

    cloud: frozenset[CloudSays] | None = None
    cluster: frozenset[ClusterSays] | None = None
    scheduler: frozenset[SchedulerSays] | None = None
    ledger: frozenset[LedgerSays] | None = None
    age: frozenset[Age] | None = None
    ruling: Ruling

    def holds(self, cell: Cell) -> bool:
        """Whether the cell is one of the row's."""
        return (
            (self.cloud is None or cell.cloud in self.cloud)
            and (self.cluster is None or cell.cluster in self.cluster)
            and (self.scheduler is None or cell.scheduler in self.scheduler)
            and (self.ledger is None or cell.ledger in self.ledger)
            and (self.age is None or cell.age in self.age)
        )


_LISTED: Final = frozenset({CloudSays.MAKING, CloudSays.MADE})
_MAYBE: Final = _LISTED | {CloudSays.UNSEEN}
"""It is there, or may be."""
_UP: Final = frozenset({ClusterSays.READY})
_CORDONED: Final = frozenset({ClusterSays.CORDONED})
_NOT_DENIED: Final = frozenset({ClusterSays.NOT_ASKED, ClusterSays.SILENT, ClusterSays.READY})
_WORKS: Final = frozenset({SchedulerSays.NOT_ASKED, SchedulerSays.READY})
_BUSY: Final = frozenset({SchedulerSays.BUSY})
_HIDDEN: Final = frozenset({SchedulerSays.HIDDEN})
_CLOSED: Final = frozenset({SchedulerSays.CLOSED})
_DOWN: Final = frozenset({SchedulerSays.DOWN})
_FOUND: Final = frozenset({LedgerSays.FOUND})
_EARLY: Final = _FOUND | {LedgerSays.ASKED, LedgerSays.LISTED}
_WAS_READY: Final = frozenset({LedgerSays.READY})
_MAY_HAVE_BEEN_READY: Final = _FOUND | _WAS_READY
_YOUNG: Final = frozenset({Age.YOUNG})

_CREATING: Final = Ruling(Stage.IN_FLIGHT, "Creating")
_JOINING: Final = Ruling(Stage.IN_FLIGHT, "Joining")
_REJOINING: Final = Ruling(Stage.IN_FLIGHT, "Rejoining", Action.LOSE)
_READY: Final = Ruling(Stage.EXISTING, "Ready")
_SHUT: Final = Ruling(Stage.EXISTING, "Closed")
_LOST: Final = Ruling(Stage.EXISTING, "Down", Action.LOSE)
_DRAINING: Final = Ruling(Stage.DRAINING, "Draining", Action.FINISH)
_LEAVING: Final = Ruling(Stage.DRAINING, "Deleting")
_MISSING: Final = Ruling(Stage.EXISTING, "Down", Action.LOSE)

TABLE: Final[tuple[Row, ...]] = (
    # The cloud has the last word on what is over.
    Row(cloud=frozenset({CloudSays.DELETING}), ruling=_LEAVING),
    Row(cloud=frozenset({CloudSays.FAILED}), ruling=Ruling(Stage.EXISTING, "Failed", Action.REMOVE)),
    Row(
        cloud=frozenset({CloudSays.ABSENT}),
        ledger=_EARLY,
        age=_YOUNG,
        ruling=_CREATING,
    ),
    Row(
        cloud=frozenset({CloudSays.ABSENT}),
        scheduler=_BUSY | _HIDDEN,
        ledger=_EARLY | {LedgerSays.READY, LedgerSays.CLOSING},
        ruling=_MISSING,
    ),
    Row(cloud=frozenset({CloudSays.ABSENT}), ruling=Ruling(None, "Gone", Action.FORGET)),
    # What was begun is finished.
    Row(cloud=_MAYBE, ledger=frozenset({LedgerSays.CLOSING}), ruling=_DRAINING),
    Row(cloud=_MAYBE, ledger=frozenset({LedgerSays.DELETING}), age=_YOUNG, ruling=_LEAVING),
    Row(cloud=_LISTED, ledger=frozenset({LedgerSays.DELETING}), ruling=_DRAINING),
    Row(cloud=_MAYBE, ledger=frozenset({LedgerSays.DELETING}), ruling=_LEAVING),
    # What was in use and an administrator took out of it is neither capacity nor a failure: nothing is done to it.
    Row(cloud=_MAYBE, cluster=_CORDONED, scheduler=_BUSY | _HIDDEN, ruling=_SHUT),
    Row(cloud=_MAYBE, cluster=_CORDONED, ledger=_MAY_HAVE_BEEN_READY, ruling=_SHUT),
    # Where work runs is a machine, whatever else is said of it.
    Row(cloud=_MAYBE, scheduler=_BUSY, ruling=_READY),
    Row(cloud=_MAYBE, scheduler=_HIDDEN, ruling=_SHUT),
    Row(
        cloud=_LISTED,
        ledger=frozenset({LedgerSays.REFUSED}),
        ruling=Ruling(Stage.IN_FLIGHT, "Creating", Action.ADOPT),
    ),
    # Once ready: only a clear no makes it lost.
    Row(cloud=_MAYBE, scheduler=_CLOSED, ledger=_WAS_READY, ruling=_SHUT),
    Row(cloud=_MAYBE, scheduler=_DOWN, ledger=_WAS_READY, ruling=_LOST),
    Row(
        cloud=_MAYBE,
        cluster=_NOT_DENIED,
        scheduler=_WORKS | {SchedulerSays.SILENT},
        ledger=_WAS_READY,
        ruling=_READY,
    ),
    Row(cloud=_MAYBE, ledger=_WAS_READY, age=_YOUNG, ruling=_REJOINING),
    Row(cloud=_MAYBE, ledger=_WAS_READY, ruling=_LOST),
    # On its first way up: a node that nobody lets work, for whatever reason, has its time to boot and no more.
    Row(cloud=_LISTED, cluster=_UP, scheduler=_WORKS, ruling=_READY),
    Row(cloud=_LISTED, cluster=_UP, scheduler=_CLOSED, ledger=_FOUND, ruling=_SHUT),
    Row(cloud=_LISTED, cluster=_UP, scheduler=_DOWN, ledger=_FOUND, ruling=_LOST),
    Row(cloud=_LISTED, cluster=_UP | _CORDONED, ruling=_JOINING),
    Row(
        cloud=frozenset({CloudSays.MADE}),
        cluster=frozenset({ClusterSays.NOT_ASKED}),
        scheduler=_WORKS,
        ruling=_READY,
    ),
    Row(
        cloud=frozenset({CloudSays.MADE}),
        cluster=frozenset({ClusterSays.NOT_ASKED}),
        scheduler=_CLOSED,
        ledger=_FOUND,
        ruling=_SHUT,
    ),
    Row(
        cloud=frozenset({CloudSays.MADE}),
        cluster=frozenset({ClusterSays.NOT_ASKED}),
        scheduler=_DOWN,
        ledger=_FOUND,
        ruling=_LOST,
    ),
    Row(cloud=frozenset({CloudSays.MADE}), cluster=frozenset({ClusterSays.NOT_ASKED}), ruling=_JOINING),
    Row(ruling=_CREATING),
)


@cache
def decide(cell: Cell) -> Ruling:
    """The ruling of the table's first row that holds."""
    return next(row.ruling for row in TABLE if row.holds(cell))
