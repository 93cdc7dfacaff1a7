"""The `/_emulator` endpoints: look inside, move time, inject faults. They need no bearer."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from autoscale_aks.emulator.faults import FaultRule
from autoscale_aks.emulator.gate import CONTROL_PREFIX, control_error, json_response

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from autoscale_aks.emulator.clock import EmulatedClock
    from autoscale_aks.emulator.journal import Journal
    from autoscale_aks.emulator.service import Service
    from autoscale_aks.emulator.store import Cluster, Pool


class Control:
    """Handlers of the control endpoints."""

    def __init__(self, service: Service, journal: Journal) -> None:
        self._service = service
        self._store = service.store
        self._journal = journal

    def routes(self) -> list[Route]:
        """All of them."""
        rows = [
            ("/requests", self.requests, ["GET", "DELETE"]),
            ("/faults", self.faults, ["GET", "POST", "DELETE"]),
            ("/faults/{number:int}", self.fault, ["DELETE"]),
            ("/clock", self.clock, ["GET", "POST"]),
            ("/state", self.state, ["GET"]),
            ("/machines", self.machines, ["GET"]),
            ("/quota", self.quota, ["POST"]),
        ]
        return [Route(CONTROL_PREFIX + path, handler, methods=methods) for path, handler, methods in rows]

    async def requests(self, request: Request) -> Response:
        """GET: what was asked (`?operation=…&since=N`); DELETE: forget it."""
        if request.method == "DELETE":
            self._journal.clear()
            return json_response({})
        since = request.query_params.get("since", "0")
        if not since.isdigit():
            return control_error(ValueError("'since' must be a number"))
        operation = request.query_params.get("operation")
        return json_response(self._journal.summary(operation=operation, since=int(since)))

    async def faults(self, request: Request) -> Response:
        """GET: rules and hits; POST: one rule or a list; DELETE: drop all."""
        book = self._store.faults
        if request.method == "DELETE":
            return json_response({"removed": book.remove()})
        if request.method == "GET":
            return json_response({"faults": book.listed()})
        try:
            data = await _body(request)
            rules = [FaultRule.from_mapping(item) for item in (data if isinstance(data, list) else [data])]
        except (ValueError, TypeError) as error:
            return control_error(error)
        now = self._catch_up()
        numbers = [book.add(rule) for rule in rules]
        hits = sum(self._service.apply_fault_now(number, now) for number in numbers)
        return json_response({"ids": numbers, "hits_now": hits}, 201)

    async def fault(self, request: Request) -> Response:
        """DELETE one rule."""
        removed = self._store.faults.remove(request.path_params["number"])
        return json_response({"removed": removed}, 200 if removed else 404)

    async def clock(self, request: Request) -> Response:
        """GET: now and speed; POST `{"advance": s}` and/or `{"speed": x}`."""
        clock = self._store.clock
        if request.method == "POST":
            try:
                _move(clock, await _body(request))
            except (ValueError, TypeError) as error:
                return control_error(error)
            self._catch_up()
        return json_response({"now": clock.now(), "speed": clock.speed})

    async def quota(self, request: Request) -> Response:
        """POST `{"name": …, "limit": n}` (optionally `location`): a new quota limit from now on."""
        try:
            data = await _body(request)
            name, limit = str(data["name"]), int(data["limit"])
            place = data.get("location")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            return control_error(error)
        for (_, location), quota in self._store.quotas.items():
            if place is None or location == str(place).casefold():
                quota.set_limit(name, limit)
        return json_response({})

    async def state(self, request: Request) -> Response:
        """Clusters, pools and machine names by state."""
        del request
        now = self._catch_up()
        clusters = [self._cluster(cluster) for cluster in self._store.clusters.values()]
        return json_response({"now": now, "speed": self._store.clock.speed, "clusters": clusters})

    async def machines(self, request: Request) -> Response:
        """Every machine of the store, one by one: what a test holds against what a program believes."""
        del request
        self._catch_up()
        return json_response({"machines": [row for pool in self._store.pools() for row in _machines(pool)]})

    def _catch_up(self) -> float:
        now = self._store.clock.now()
        self._service.lifecycle.advance(self._store, now)
        return now

    @staticmethod
    def _cluster(cluster: Cluster) -> dict[str, Any]:
        pools = [_pool(pool) for pool in list(cluster.pools.values())]
        return {"id": cluster.spec.id, "location": cluster.spec.location, "pools": pools}


def _move(clock: EmulatedClock, wanted: object) -> None:
    if not isinstance(wanted, dict) or not wanted or set(wanted) - {"advance", "speed"}:
        raise ValueError("give 'advance' (seconds) and/or 'speed'")
    if "advance" in wanted:
        clock.advance(float(wanted["advance"]))
    if "speed" in wanted:
        clock.set_speed(float(wanted["speed"]))


def _machines(pool: Pool) -> list[dict[str, Any]]:
    with pool.lock:
        return [
            {
                "name": machine.name,
                "pool": pool.name,
                "size": machine.size.name,
                "state": machine.state.value,
                "vm_state": machine.vm_state,
                "node": machine.node.value,
                "node_name": machine.node_name,
                "tags": machine.tags or {},
            }
            for machine in pool.listed()
        ]


def _pool(pool: Pool) -> dict[str, Any]:
    states: dict[str, list[str]] = {}
    with pool.lock:
        for machine in pool.listed():
            states.setdefault(machine.state.value, []).append(machine.name)
        lost = [machine.name for machine in pool.listed() if machine.vm_state == "Deleted"]
        nodes = Counter(machine.node.value for machine in pool.listed())
        return {
            "name": pool.name,
            "mode": pool.mode,
            "state": pool.state.value,
            "count": len(pool.machines),
            "machines": states,
            "vm_deleted": lost,
            "nodes": dict(nodes),
        }


async def _body(request: Request) -> Any:
    return json.loads(await request.body())
