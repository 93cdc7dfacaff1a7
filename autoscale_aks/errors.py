"""The only exception tree.

::

    AutoscaleError                 everything we raise on purpose
    ├── InputError                 text or JSON from a user cannot be read; carries every problem with its path
    │   ├── ConstraintError        a constraint or a default_resources entry (contract matching.md C7)
    │   ├── ScenarioError          a scenario's frame (contract scenario.md)
    │   └── ConfigError            autoscale.json
    ├── SchedulerError             a scheduler command failed, timed out or printed nonsense
    ├── CloudError                 the AKS side could not be asked
    │   ├── AuthError              no token, or the token is refused
    │   ├── ThrottledError         429 until `retry_at`; nothing was changed
    │   ├── DeadlineError          the time given was over before anything was sent
    │   ├── PoolRefusedError       the service did not make an agent pool
    │   │   └── PoolLimitError     the cluster has all the agent pools it can have
    │   └── ProtocolError          the service answered outside its contract
    ├── LedgerError                the ledger file cannot be used
    │   └── LedgerBusyError        its writer left no gap to read it in
    └── LockHeldError              another run is the writer
        └── LockLostError          it became the writer while this one was at it
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class AutoscaleError(Exception):
    """Root of everything this program raises on purpose."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong with an input: where (`jobs[3].constraints[0]`), what, and what to do next."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path or '(top)'}: {self.message}"


class InputError(AutoscaleError):
    """An input cannot be read. `problems` holds all of them at once, each with its path."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))


class ConstraintError(InputError):
    """A malformed constraint or `default_resources` entry (matching.md C7, D3, D4)."""

    @classmethod
    def at(cls, path: str, message: str) -> ConstraintError:
        """One problem at one path."""
        return cls([Problem(path, message)])


class ScenarioError(InputError):
    """A scenario whose frame, limits, node arrays or default resources cannot be read (scenario.md)."""


class ConfigError(InputError):
    """`autoscale.json` cannot be used."""


class SchedulerError(AutoscaleError):
    """A scheduler command failed, timed out or printed something unreadable as a whole."""


class CloudError(AutoscaleError):
    """The AKS side could not be asked, or refused as a whole."""


class AuthError(CloudError):
    """No token could be had, or the service refuses ours (401/403)."""


class ThrottledError(CloudError):
    """429 until `retry_at` (seconds since the epoch); the request changed nothing."""

    def __init__(self, message: str, retry_at: float) -> None:
        self.retry_at = retry_at
        super().__init__(message)


class DeadlineError(CloudError):
    """The time given for it was over before a request could leave; the call changed nothing."""


class PoolRefusedError(CloudError):
    """The service did not make an agent pool."""


class PoolLimitError(PoolRefusedError):
    """The cluster has all the agent pools it can have (aks-machine-api.md §2.7); none was made."""


class ProtocolError(CloudError):
    """The service answered something its contract does not contain; the outcome is unknown."""


class LedgerError(AutoscaleError):
    """The ledger file cannot be opened, read or migrated."""


class LedgerBusyError(LedgerError):
    """The ledger was locked all the time that a reader could wait; the message says by whom."""


class LockHeldError(AutoscaleError):
    """Another run holds the writer's lock; the message says who and since when."""


class LockLostError(LockHeldError):
    """This run held the lock and holds it no longer; it must send nothing more."""
