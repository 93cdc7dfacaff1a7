"""What every request passes: journal, header cap, token, version, throttle, faults, latency (§10.1, §10.9).

Order for a request: header cap → bearer → api-version → rights → throttle → faults before the work → way there →
work → way back → faults after the work. Latency is the way there and back, half each; what the work takes is
within it. A request refused on the way costs no latency.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import struct
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from autoscale_aks.emulator import problems, rights
from autoscale_aks.emulator.answers import encode
from autoscale_aks.emulator.draws import draw, guid
from autoscale_aks.emulator.faults import FaultRule, Target
from autoscale_aks.emulator.problems import RefusalError
from autoscale_aks.emulator.throttle import Caller, Throttle
from autoscale_aks.emulator.wire import BATCH_HEADER, Batch, glance_machine_names, read_batch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from autoscale_aks.emulator.journal import Entry, Journal
    from autoscale_aks.emulator.service import Service
    from autoscale_aks.emulator.store import Cluster, Pool

log = logging.getLogger(__name__)

ENTRY = "emulator.entry"
CONTROL_PREFIX = "/_emulator"
_VERSION = re.compile(r"^\d{4}-\d{2}-\d{2}(-preview)?$")
_SKIP = re.compile(r"^\d{1,9}$")
_BEARER = re.compile(r"^bearer\s+\S", re.IGNORECASE)


@dataclass(slots=True)
class Call:
    """One request on its way to a handler."""

    service: Service
    request: Request
    operation: str
    realm: str
    body: bytes
    now: float
    entry: Entry
    latency_s: float = 0.0  # drawn for this request, of wall time
    arrived_at: float = 0.0  # by the event loop's clock
    turn: int = 1  # how often this method and path were asked, this time included
    batch: Batch | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """`api-version`, or empty."""
        return self.request.query_params.get("api-version", "")

    def param(self, name: str) -> str:
        """A path parameter, or empty."""
        return str(self.request.path_params.get(name, ""))

    def cluster(self, *, parent: bool = True) -> Cluster:
        """The cluster of the URL; 404 when absent."""
        return self.service.store.find_cluster(
            self.param("subscription"), self.param("group"), self.param("cluster"), parent=parent
        )

    def pool(self) -> Pool:
        """The pool of the URL; 404 when absent."""
        return self.cluster().find_pool(self.param("pool"))

    @property
    def origin(self) -> str:
        """`http://host:port` as the caller wrote it; links we hand out stay there."""
        return f"{self.request.url.scheme}://{self.request.headers.get('host', self.request.url.netloc)}"


def json_response(data: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON response from a value or from ready bytes."""
    body = data if isinstance(data, bytes) else encode(data)
    return Response(body, status, headers, media_type="application/json; charset=utf-8")


def refusal_response(refusal: RefusalError) -> Response:
    """A refusal as HTTP."""
    body: object = refusal.body() if refusal.raw is None else refusal.raw.encode()
    return json_response(body, refusal.status, refusal.headers)


class DroppedConnection(Response):
    """No answer at all: the connection is reset."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Break the connection, then wait until the server has noticed."""
        del send
        transport: asyncio.Transport = scope["state"]["transport"]
        if not transport.is_closing():  # the client may have been faster
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        while (await receive())["type"] != "http.disconnect":
            pass


class Pauses:
    """Wall-clock waiting that ends at once when the server stops."""

    def __init__(self) -> None:
        self.released = False
        self._waiting: set[asyncio.Future[None]] = set()

    async def wait(self, seconds: float) -> None:
        """Sleep, unless released earlier."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        handle = loop.call_later(seconds, _finish, future)
        self._waiting.add(future)
        try:
            await future
        finally:
            handle.cancel()
            self._waiting.discard(future)

    def release(self) -> None:
        """End every pause. Call it on the loop."""
        self.released = True
        for future in tuple(self._waiting):
            _finish(future)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class FrontDoor:
    """Outermost: writes the journal and refuses headers over the cap (§4.5)."""

    def __init__(self, app: ASGIApp, service: Service, journal: Journal) -> None:
        self._app = app
        self._service = service
        self._journal = journal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry. A client that goes away before its request is whole has no answer, and is no trouble of ours."""
        try:
            await self._serve(scope, receive, send)
        except ClientDisconnect:
            log.debug("%s %s: the client went away", scope["method"], scope["path"])

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(CONTROL_PREFIX):
            await self._app(scope, receive, send)
            return
        entry = self._journal.open(scope["method"], scope["path"], self._service.store.clock.now())
        scope[ENTRY] = entry
        started = time.perf_counter()

        async def record(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry.status = message["status"]
            await send(message)

        try:
            app = self._refusal(scope) or self._app
            await app(scope, receive, record)
        except ClientDisconnect:
            entry.status = None  # the framework wrote a 500 to nobody
            raise
        finally:
            self._journal.close(entry, (time.perf_counter() - started) * 1000)

    def _refusal(self, scope: Scope) -> Response | None:
        settings = self._service.store.settings
        size = len(scope["raw_path"]) + len(scope["query_string"]) + len(scope["method"]) + 12
        size += sum(len(name) + len(value) + 4 for name, value in scope["headers"])
        if size <= settings.header_cap_bytes:
            return None
        text = "Request Header Or Cookie Too Large" if settings.header_cap_status == 400 else "Header fields too large"
        return Response(f"<html><body>{text}</body></html>", settings.header_cap_status, media_type="text/html")


class Gate:
    """Takes a routed request through the checks to its handler and back."""

    def __init__(self, service: Service, pauses: Pauses) -> None:
        self._service = service
        self._settings = service.store.settings
        self._throttle = Throttle(self._settings.throttle)
        self._pauses = pauses
        self._turns: Counter[tuple[str, str]] = Counter()
        self._tokens_seen: dict[str, float] = {}

    def endpoint(
        self, operation: str, realm: str, handler: Callable[[Call], Response]
    ) -> Callable[[Request], Awaitable[Response]]:
        """A Starlette endpoint for one row of the route table."""

        async def endpoint(request: Request) -> Response:
            call = await self._open(request, operation, realm)
            try:
                response = await self._pass(call, handler)
            except RefusalError as refusal:
                response = refusal_response(refusal)
            for name, value in call.headers.items():
                response.headers[name] = value
            return response

        return endpoint

    async def _open(self, request: Request, operation: str, realm: str) -> Call:
        body = await request.body()
        entry: Entry = request.scope[ENTRY]
        now = self._service.store.clock.now()
        self._turns[entry.method, entry.path] += 1
        turn = self._turns[entry.method, entry.path]
        call = Call(self._service, request, operation, realm, body, now, entry, turn)
        if realm in ("arm", "compute"):
            call.headers.update(self._settings.more_headers)
            for kind in ("request", "correlation-request", "routing-request"):
                call.headers[f"x-ms-{kind}-id"] = guid(self._settings.seed, kind, entry.number)
        entry.operation, entry.pool = operation, call.param("pool")
        return call

    async def _pass(self, call: Call, handler: Callable[[Call], Response]) -> Response:
        self._check_caller(call)
        self._read_batch(call)
        call.entry.operation = call.operation
        self._spend(call)
        before = self._fault(call, "reset_before", "error_before", "throttle")
        if before is not None:
            return self._faulty(call, before)
        await self._way_there(call)
        if self._pauses.released:
            return DroppedConnection()
        call.now = self._service.store.clock.now()
        self._service.lifecycle.advance(self._service.store, call.now)
        try:
            response = handler(call)
        except RefusalError as refusal:
            response = refusal_response(refusal)
        late = self._fault(call, "slow_after")
        if late is not None:
            await self._pauses.wait(late.after_s)
        after = self._fault(call, "reset_after", "error_after")
        await self._way_back(call)
        return response if after is None else self._faulty(call, after)

    def _check_caller(self, call: Call) -> None:
        header = call.request.headers.get("authorization", "")
        if call.realm != "retail" and self._settings.require_bearer and not _BEARER.match(header):
            if call.realm == "kubernetes":
                status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Unauthorized"}
                raw = encode({**status, "message": "Unauthorized", "code": 401}).decode()
                raise RefusalError(401, "Unauthorized", "Unauthorized", raw=raw)
            raise problems.no_token(wrapped=self._settings.gateway_wrapped)
        self._check_token_age(call, header)
        if call.realm in ("arm", "compute"):
            if not call.version:
                raise problems.missing_api_version(wrapped=self._settings.gateway_wrapped)
            if not _VERSION.match(call.version):
                raise problems.bad_api_version(call.version)
            rights.check(self._settings.actions, call.operation, call.request.url.path)

    def _check_token_age(self, call: Call, header: str) -> None:
        """A bearer is good for so long after it was first seen; Kubernetes and prices never look."""
        lifetime_s = self._settings.token_lifetime_s
        if lifetime_s is None or call.realm not in ("arm", "compute"):
            return
        if call.now - self._tokens_seen.setdefault(header, call.now) >= lifetime_s:
            raise problems.expired_token()

    def _read_batch(self, call: Call) -> None:
        """Names the request is about, and its batch header when the cluster knows batches (§4.1)."""
        name = call.param("machine")
        call.entry.names = (name,) if name else ()
        if call.operation == "machine.delete":
            call.entry.names = glance_machine_names(call.body)
        header = call.request.headers.get(BATCH_HEADER)
        if call.operation != "machine.put" or header is None:
            return
        unsupported = self._settings.batch_mode == "unsupported"
        try:
            batch = read_batch(header)
        except RefusalError:
            if unsupported:
                return
            raise
        call.entry.batch, call.entry.ignored_entries = batch.form(name), batch.ignored
        if not unsupported:
            call.batch, call.operation = batch, "machine.batch_put"
            call.entry.names = batch.names(name)

    def _spend(self, call: Call) -> None:
        if call.realm not in ("arm", "compute"):
            return
        headers = self._throttle.take(call.request.method, call.operation, self._caller(call), call.now)
        call.headers.update(headers)

    def _caller(self, call: Call) -> Caller:
        clusters = self._service.store.clusters.values()
        name = call.param("cluster").casefold()
        places = [each.spec.location for each in clusters if each.spec.name.casefold() == name]
        location = call.param("location") or (places[0] if places else "")
        return Caller(call.param("subscription").casefold(), location.casefold(), name, call.param("pool").casefold())

    def _fault(self, call: Call, *kinds: str) -> FaultRule | None:
        faults = self._service.store.faults
        if not len(faults):
            return None
        target = Target(
            names=call.entry.names,
            pool=call.param("pool"),
            operation=call.operation,
            page=self._page(call),
            chance_key=(call.request.method, call.entry.path, call.turn),
        )
        rule = faults.hit(kinds, target)
        if rule is not None:
            call.entry.fault = rule.kind
        return rule

    def _page(self, call: Call) -> int:
        """Which page of a list of machines is asked for; 0 for anything else."""
        if call.operation != "machine.list":
            return 0
        token = call.request.query_params.get("skipToken", "0")
        return 1 + (int(token) // self._settings.page_size if _SKIP.match(token) else 0)

    def _faulty(self, call: Call, rule: FaultRule) -> Response:
        if rule.kind.startswith("reset"):
            return DroppedConnection()
        if rule.kind == "throttle":
            return refusal_response(self._throttle.refusal(rule.after_s, self._caller(call), call.operation))
        code = rule.code or ("InternalServerError" if rule.status >= 500 else "BadRequest")
        return refusal_response(RefusalError(rule.status, code, rule.message or "Injected fault.", raw=rule.body))

    async def _way_there(self, call: Call) -> None:
        """Half the latency; a slow service (fault `slow`) takes its time before the work."""
        settings = self._settings
        seconds = settings.latency_s
        if settings.latency_spread_s:
            seconds += settings.latency_spread_s * (
                2 * draw(settings.seed, "latency", call.request.method, call.entry.path, call.turn) - 1
            )
        slow: FaultRule | None = self._fault(call, "slow")
        slow_s = 0.0 if slow is None else slow.after_s
        call.latency_s = max(seconds, 0.0) + slow_s
        call.arrived_at = asyncio.get_running_loop().time()
        if call.latency_s > 0:
            await self._pauses.wait(max(seconds, 0.0) / 2 + slow_s)

    async def _way_back(self, call: Call) -> None:
        """What is left of the latency after the work."""
        left_s = call.arrived_at + call.latency_s - asyncio.get_running_loop().time()
        if call.latency_s > 0 and left_s > 0 and not self._pauses.released:
            await self._pauses.wait(left_s)


def control_error(error: Exception) -> Response:
    """400 of the control endpoints."""
    data: dict[str, Any] = {"error": {"code": "BadControlRequest", "message": str(error)}}
    return json_response(data, 400)
