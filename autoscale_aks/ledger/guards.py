"""What keeps cycles from doing harm twice: protections, boot circuits, weak marks, small sizes, proposed deletes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from frozendict import frozendict

from autoscale_aks.ledger.access import Access
from autoscale_aks.ledger.records import storable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """A machine that must not be deleted, whatever the cause (user ask T20)."""

    name: str
    owner: str
    reason: str
    until: float | None
    """Seconds since the epoch; None: until somebody takes it back."""
    added_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """How machines of one bucket and image have joined lately (user ask T12c)."""

    nodearray: str
    vm_size: str
    zone: str | None
    spot: bool
    image: str
    failures: int
    """In a row."""
    last_error: str = ""
    opened_at: float | None = None
    """None: closed, machines may be asked for."""

    @property
    def key(self) -> tuple[str, str, str | None, bool, str]:
        """What tells circuits apart."""
        return (self.nodearray, self.vm_size, self.zone, self.spot, self.image)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallSize:
    """A machine of a size that has less of a resource than it was planned with (user ask T03c). Values as text."""

    nodearray: str
    vm_size: str
    resource: str
    machine: str
    promised: str
    found: str


class Guards(Access):
    """The ledger's part that holds brakes and marks."""

    __slots__ = ()

    # Protections

    def protect(self, name: str, *, owner: str, reason: str, until: float | None, now: float) -> None:
        """Keep a machine from every delete until `until`; None is until it is taken back. The last word counts."""
        query = "INSERT OR REPLACE INTO protections (name, owner, reason, until, added_at) VALUES (?, ?, ?, ?, ?)"
        with self._writing() as connection:
            connection.execute(query, (name, storable(owner), storable(reason), until, now))

    def unprotect(self, name: str) -> bool:
        """Take a protection back; False when there was none."""
        with self._writing() as connection:
            return connection.execute("DELETE FROM protections WHERE name = ?", (name,)).rowcount == 1

    def protections(self, now: float) -> Mapping[str, Protection]:
        """Those in force, by machine."""
        query = """SELECT name, owner, reason, until, added_at FROM protections
                   WHERE until IS NULL OR until > ? ORDER BY name"""
        return frozendict(
            {
                name: Protection(name=name, owner=owner, reason=reason, until=until, added_at=added_at)
                for name, owner, reason, until, added_at in self._read(query, now)
            }
        )

    # Boot circuits

    def circuits(self) -> tuple[Circuit, ...]:
        """All circuits of which a machine failed to join since one last did."""
        query = """SELECT nodearray, vm_size, zone, spot, image, failures, last_error, opened_at
                   FROM circuits ORDER BY key"""
        return tuple(
            Circuit(
                nodearray=nodearray,
                vm_size=vm_size,
                zone=zone,
                spot=bool(spot),
                image=image,
                failures=failures,
                last_error=last_error,
                opened_at=opened_at,
            )
            for nodearray, vm_size, zone, spot, image, failures, last_error, opened_at in self._read(query)
        )

    def set_circuits(self, circuits: Iterable[Circuit], now: float) -> None:
        """Keep circuits as they are now; one without failures is dropped."""
        query = """INSERT OR REPLACE INTO circuits
                   (key, nodearray, vm_size, zone, spot, image, failures, last_error, opened_at, changed_at)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
        with self._writing() as connection:
            for one in circuits:
                key = json.dumps(one.key)
                if not one.failures:
                    connection.execute("DELETE FROM circuits WHERE key = ?", (key,))
                    continue
                row = (key, *one.key, one.failures, storable(one.last_error), one.opened_at, now)
                connection.execute(query, row)

    def reset_circuits(self, nodearray: str | None = None, vm_size: str | None = None) -> int:
        """Close circuits by hand (None: of any); how many (user ask T12c)."""
        query = """DELETE FROM circuits WHERE (:nodearray IS NULL OR nodearray = :nodearray)
                   AND (:vm_size IS NULL OR vm_size = :vm_size)"""
        with self._writing() as connection:
            return connection.execute(query, {"nodearray": nodearray, "vm_size": vm_size}).rowcount

    # Weak marks on families

    def mark_family(self, family: str, until: float, reason: str) -> None:
        """Let sizes of this family come last among equals until then; the later of two moments wins (T08b)."""
        query = """INSERT INTO family_marks (family, until, reason) VALUES (?, ?, ?)
                   ON CONFLICT (family) DO UPDATE SET until = excluded.until, reason = excluded.reason
                   WHERE excluded.until > family_marks.until"""
        with self._writing() as connection:
            connection.execute(query, (family, until, storable(reason)))

    def family_marks(self, now: float) -> Mapping[str, str]:
        """Families that come last now, each with its reason."""
        query = "SELECT family, reason FROM family_marks WHERE until > ? ORDER BY family"
        return frozendict(dict(self._read(query, now)))

    # Sizes smaller than promised

    def small_sizes(self, newer_than: float) -> tuple[SmallSize, ...]:
        """Every machine that was seen to have less than promised, unless that is longer ago."""
        query = """SELECT nodearray, vm_size, resource, machine, promised, found FROM small_sizes
                   WHERE seen_at > ? ORDER BY nodearray, vm_size, resource, machine"""
        return tuple(
            SmallSize(
                nodearray=nodearray, vm_size=vm_size, resource=resource, machine=machine, promised=promised, found=found
            )
            for nodearray, vm_size, resource, machine, promised, found in self._read(query, newer_than)
        )

    def record_small(self, found: Sequence[SmallSize], now: float) -> None:
        """Keep what was seen; the last look at a machine counts."""
        query = """INSERT OR REPLACE INTO small_sizes (nodearray, vm_size, resource, machine, promised, found, seen_at)
                   VALUES (?, ?, ?, ?, ?, ?, ?)"""
        with self._writing() as connection:
            connection.executemany(
                query,
                [
                    (one.nodearray, one.vm_size, one.resource, one.machine, one.promised, one.found, now)
                    for one in found
                ],
            )

    def forget_small(self, nodearray: str, vm_size: str | None = None) -> int:
        """Believe the promises of a node array again, or of one of its sizes; how many machines' were dropped.

        What machines of these sizes turned out to have, whatever their image, is forgotten with it.
        """
        which = "FROM small_sizes WHERE nodearray = :nodearray AND (:size IS NULL OR vm_size = :size)"
        values = {"nodearray": nodearray, "size": vm_size}
        with self._writing() as connection:
            connection.execute(f"DELETE FROM observed_sizes WHERE vm_size IN (SELECT vm_size {which})", values)  # noqa: S608 - no text from outside
            return connection.execute(f"DELETE {which}", values).rowcount

    # Proposed deletes

    def proposals(self, newer_than: float) -> frozenset[str]:
        """Machines that the last cycle wanted to release, unless that is longer ago."""
        return frozenset(name for (name,) in self._read("SELECT name FROM proposals WHERE at > ?", newer_than))

    def set_proposals(self, names: Iterable[str], now: float) -> None:
        """What this cycle wanted to release, for the next one to agree with (user ask T13d)."""
        with self._writing() as connection:
            connection.execute("DELETE FROM proposals")
            connection.executemany("INSERT INTO proposals (name, at) VALUES (?, ?)", [(name, now) for name in names])
