"""Deleting machines (aks-machine-api.md §7.5).

===========================================  ======================================================================
Answer to `deleteMachines`                   Outcome
===========================================  ======================================================================
2xx                                          accepted
404                                          accepted: there is nothing to delete
400, `Cannot find any valid machines`        one name: accepted. More: LIST, then ask again for those that exist,
                                             because the service may refuse known names together with unknown ones
no answer, 5xx                               unknown
anything else                                refused
===========================================  ======================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoscale_aks.cloud.aks.batch import kind_of, read_outcomes
from autoscale_aks.cloud.aks.budget import Lane
from autoscale_aks.cloud.aks.caller import Call
from autoscale_aks.cloud.aks.faults import is_no_valid_machines, parse_fault
from autoscale_aks.cloud.aks.proof import accept, refuse
from autoscale_aks.cloud.aks.transport import Response
from autoscale_aks.cloud.aks.wire import MAX_PER_DELETE, encode_delete
from autoscale_aks.errors import CloudError
from autoscale_aks.model.launch import DeleteOutcome, FaultKind, LaunchOutcome, LaunchState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from autoscale_aks.cloud.aks.caller import Caller
    from autoscale_aks.cloud.aks.endpoints import AksEndpoints
    from autoscale_aks.model.launch import MachineListing


class Deleter:
    """Deletes machines of a pool; a chunk's failure never hides another's success."""

    def __init__(
        self, caller: Caller, endpoints: AksEndpoints, list_machines: Callable[[str, float], MachineListing]
    ) -> None:
        self._caller = caller
        self._endpoints = endpoints
        self._list_machines = list_machines

    def delete(self, executor: Executor, pool: str, names: Sequence[str], deadline: float) -> DeleteOutcome:
        """One request for every 50 names; a name given twice is asked for once."""
        distinct = list(dict.fromkeys(names))
        chunks = [distinct[start : start + MAX_PER_DELETE] for start in range(0, len(distinct), MAX_PER_DELETE)]
        outcomes = [
            outcome
            for found in executor.map(lambda chunk: self._chunk(pool, chunk, deadline), chunks)
            for outcome in found
        ]
        return DeleteOutcome(
            pool=pool,
            accepted=tuple(outcome.name for outcome in outcomes if outcome.state is LaunchState.ACCEPTED),
            refused=tuple(outcome for outcome in outcomes if outcome.state is not LaunchState.ACCEPTED),
        )

    def _chunk(self, pool: str, names: Sequence[str], deadline: float) -> list[LaunchOutcome]:
        try:
            outcomes = self._post(pool, names, deadline)
            if outcomes is not None:
                return outcomes
            return self._post_known(pool, names, deadline)
        except CloudError as error:
            kind, code = kind_of(error)
            return [refuse(name, kind, code, str(error)) for name in names]

    def _post_known(self, pool: str, names: Sequence[str], deadline: float) -> list[LaunchOutcome]:
        """After "none is valid" to several names: ask for those that a list still shows."""
        listing = self._list_machines(pool, deadline)
        listed = {machine.name for machine in listing.machines if not machine.is_deleting}
        known = [name for name in names if name in listed]
        gone = [
            accept(name)
            if listing.complete
            else LaunchOutcome(name=name, state=LaunchState.UNKNOWN, kind=FaultKind.TRANSIENT, code="ListIncomplete")
            for name in names
            if name not in listed
        ]
        if not known:
            return gone
        outcomes = self._post(pool, known, deadline)
        if outcomes is None:
            message = "listed, but the service finds no such machine"
            outcomes = [refuse(name, FaultKind.CONFLICT, "NotFound", message) for name in known]
        return gone + outcomes

    def _post(self, pool: str, names: Sequence[str], deadline: float) -> list[LaunchOutcome] | None:
        """One request; None for "none is valid" when there are several names."""
        answer = self._caller.call(
            Call(
                method="POST",
                url=self._endpoints.delete_url(pool),
                lane=Lane.WRITE,
                body=encode_delete(names),
                label=f"delete {pool}",
            ),
            deadline,
        )
        response = answer.result
        if isinstance(response, Response):
            fault = parse_fault(response.status, response.body)
            if response.ok or response.status == 404:
                return [accept(name) for name in names]
            if response.status == 400 and is_no_valid_machines(fault):
                return [accept(names[0])] if len(names) == 1 else None
        return list(read_outcomes(answer, names).values())
