"""What the rest of the program may ask of a cloud, and what it may assume.

Assumptions every implementation keeps:

1. **Eventually consistent.** A machine just created may be missing from the next list; absence proves nothing
   unless the listing says `complete` and the machine is older than its boot timeout.
2. **Asynchronous.** An accepted create or delete has been taken note of, not carried out.
3. **Names are identity.** A machine's name is the idempotency key: asking again for a name that exists never makes
   a second machine, and names are unique in a pool.
4. **Expected failures are values, broken contracts raise.** Per-machine refusals come back as `LaunchOutcome`;
   `AuthError`, `ThrottledError` and `ProtocolError` mean that nothing can be said of the whole call.
5. **Deadlines.** `deadline` is a moment in seconds since the epoch by the caller's clock; None: the implementation's
   own limit from now on (`CallDeadlines`). Every wait, retry and page lies before it, and a request under way at the
   deadline is given up there. What had not left by then was not sent and changed nothing; what was under way is
   unknown. A deadline that has passed sends nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from autoscale_aks.errors import CloudError
    from autoscale_aks.model.launch import (
        ChunkOutcome,
        ClusterNode,
        DeleteOutcome,
        LaunchRequest,
        Machine,
        MachineListing,
        PoolView,
    )


class CloudPort(Protocol):
    """The cloud as `reconcile` sees it."""

    def ensure_pool(self, pool: str, deadline: float | None = None) -> None:
        """Make the agent pool in Machines mode if it is absent, and wait until it can take machines.

        Idempotent. A pool just seen usable need not be asked for again. Raises CloudError when the pool exists in
        another mode or cannot be made; of these, PoolLimitError when the cluster has all the pools it can have, and
        DeadlineError when it is not there in time (it may come later).
        """
        ...

    def ensure_pools(self, pools: Sequence[str], deadline: float | None = None) -> Mapping[str, CloudError]:
        """`ensure_pool` for all of them at once: a pool may take minutes. Those that cannot be used, and why."""
        ...

    def list_pools(self, deadline: float | None = None) -> tuple[str, ...]:
        """The names of the pools that can hold machines. Raises CloudError when they cannot be read whole."""
        ...

    def delete_pool(self, pool: str, deadline: float | None = None) -> None:
        """Ask for the deletion of a pool with every machine in it. Absent is success.

        The caller makes sure that it is empty: the service does not ask. Raises CloudError when it is refused.
        """
        ...

    def list_machines(self, pool: str, deadline: float | None = None) -> MachineListing:
        """All machines of a pool, every page followed; a pool that does not exist is an empty, complete listing.

        A page that fails, or for which there is no time, makes the listing `complete=False` with the machines seen
        so far; `answered=False` when there was no time for the first. Raises AuthError or
        ThrottledError when not even the first page could be read.
        """
        ...

    def create_machines(
        self,
        requests: Sequence[LaunchRequest],
        on_chunk: Callable[[ChunkOutcome], None] | None = None,
        deadline: float | None = None,
    ) -> tuple[ChunkOutcome, ...]:
        """Send every chunk under one pool of workers and one rate budget (batching.md B4); one PUT a chunk.

        A chunk's failure never hides another's success. Outcomes come back in the order of `requests`; `on_chunk`
        is called from the calling thread as each is known. After the writes one LIST a pool proves what exists
        (B10); machines of an unknown outcome are adopted when listed and re-sent one by one when not (B9).
        At the deadline, machines whose PUT has not left are rejected (`DeadlineExceeded`: never sent), those under
        way, and those accepted that no list has proven, are unknown. Never raises for a single machine or chunk.
        """
        ...

    def delete_machines(self, pool: str, names: Sequence[str], deadline: float | None = None) -> DeleteOutcome:
        """Ask for the deletion of machines, in chunks of at most 50. Absent is success.

        At the deadline, chunks that have not left are refused and those under way are unknown; both stay listed.
        """
        ...

    def list_nodes(self, pools: Sequence[str], deadline: float | None = None) -> tuple[ClusterNode, ...]:
        """Kubernetes nodes of these pools. Raises CloudError when the list cannot be read whole, or not in time."""
        ...


class DirectPort(CloudPort, Protocol):
    """What the direct tools ask for beside: pools as a whole, and single machines.

    Every method raises AuthError, ThrottledError or another CloudError when the question was not answered; an absent
    pool or machine is an answer.
    """

    def get_pool(self, pool: str) -> PoolView | None:
        """One agent pool, of any mode; None when it is absent. One that was just made may be absent for a moment."""
        ...

    def list_pool_views(self) -> tuple[PoolView, ...]:
        """Every agent pool of the cluster, every page followed; never only a part of them."""
        ...

    def delete_pool_to_the_end(self, pool: str, *, wait_s: float | None = None) -> bool:
        """Delete an agent pool in Machines mode with all its machines; whether it is gone within `wait_s`.

        Idempotent; absent is success. Refuses pools of another mode without having sent anything. When no answer
        comes, the pool is looked at: it is an error only if nothing is being deleted.
        """
        ...

    def get_machine(self, pool: str, name: str) -> Machine | None:
        """One machine; None when it or its pool is absent. For looking at one: states of many come from lists."""
        ...
