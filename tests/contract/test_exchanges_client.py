"""The client must send each recorded request, and read each recorded answer into the recorded value.

The service here is a script over real HTTP that knows nothing but the file; no line of the emulator has a part in it.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from contract.contract_target import variables_of
from contract.exchange_stories import ABSENT, Exchange, Story, differences, fill, load_stories, matches, sample

from autoscale_aks import errors
from autoscale_aks.cloud.aks.auth import StaticTokenSource
from autoscale_aks.cloud.aks.client import AksClient, ClientSettings
from autoscale_aks.cloud.aks.effects import Effects
from autoscale_aks.cloud.aks.endpoints import AksEndpoints
from autoscale_aks.cloud.aks.wire import HeaderForm, HeaderLimits
from autoscale_aks.model.launch import LaunchRequest, MachineSpec, MachineTemplate

if TYPE_CHECKING:
    from collections.abc import Iterator

STORIES = [story for story in load_stories() if story.client is not None]
OUR_HEADERS = ("BatchPutMachine", "If-Match", "If-None-Match")
"""Headers of which a request must have exactly those recorded."""
EPOCH = 1_790_000_000.0


class Script(ThreadingHTTPServer):
    """Answers the exchanges of a story in their order and notes every request that is not the recorded one."""

    daemon_threads = True

    def __init__(self, story: Story) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.variables = variables_of("sub-1", "rg-1", "cl-1", arm=self.url, pool_name="np1", location="eastus2",
                                      size="Standard_D4s_v5", m="m")  # fmt: skip
        self.left = list(story.exchanges)
        self.links: dict[str, str] = {}
        self.problems: list[str] = []
        self.lock = threading.Lock()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The recorded answer to the next recorded request, if it is this one."""
        with self.lock:
            if not self.left:
                self.problems.append(f"one request too many: {request['method']} {request['target']}")
                return {"status": 599}
            exchange = self.left.pop(0)
            self.problems += self.wrong(exchange, request)
            response: dict[str, Any] = sample(fill(exchange.response, self.variables))
            body = response.get("body")
            if isinstance(body, dict) and "nextLink" in body:
                body["nextLink"] = fill(body["nextLink"], self.variables)
                self.links["nextLink"] = body["nextLink"]
            return response

    def wrong(self, exchange: Exchange, request: dict[str, Any]) -> list[str]:
        """Where a request is not the recorded one."""
        expected = fill(exchange.request, self.variables)
        path, query = expected.get("path", ""), expected.get("query", {})
        if "follow" in expected:
            parts = urlsplit(self.links[expected["follow"]])
            path, query = parts.path, dict(parse_qsl(parts.query))
        recorded = {
            "method": expected["method"],
            "path": path,
            "query": query,
            "headers": expected.get("headers", {}),
            "body": expected.get("body"),
        }
        sent = {key: request[key] for key in recorded}
        found = [
            f"{key}: {recorded[key]!r} expected, not {sent[key]!r}" for key in recorded if recorded[key] != sent[key]
        ]
        if not expected.get("no_token") and not request["token"].startswith("Bearer "):
            found.append("no bearer token")
        if not request["id"]:
            found.append("no x-ms-client-request-id")
        return [f"{exchange.section}: {text}" for text in found]


class Handler(BaseHTTPRequestHandler):
    """One connection of the client."""

    protocol_version = "HTTP/1.1"
    server: Script

    def handle_one(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = urlsplit(self.path)
        header = {name: self.headers[name] for name in OUR_HEADERS if name in self.headers}
        if "BatchPutMachine" in header:
            header["BatchPutMachine"] = json.loads(header["BatchPutMachine"])
        response = self.server.answer(
            {
                "method": self.command,
                "target": self.path,
                "path": unquote(parts.path),
                "query": dict(parse_qsl(parts.query)),
                "headers": header,
                "body": json.loads(body) if body else None,
                "token": self.headers.get("Authorization", ""),
                "id": self.headers.get("x-ms-client-request-id", ""),
            }
        )
        payload = response.get("text", "").encode() if "body" not in response else json.dumps(response["body"]).encode()
        self.send_response(response["status"])
        self.send_header("Content-Length", str(len(payload)))
        self.send_header("Content-Type", "text/html" if "text" in response else "application/json; charset=utf-8")
        for name, value in response.get("headers", {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_PUT = do_POST = do_DELETE = handle_one  # noqa: N815  names of the standard library

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


class Waits:
    """A clock that only the client's sleeps move."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.slept_s = 0.0

    def now(self) -> float:
        return EPOCH + self.slept_s

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept_s += seconds


@contextmanager
def scripted(story: Story) -> Iterator[tuple[Script, AksClient, Waits]]:
    """A script that is being served, and a client of it."""
    wanted = story.client or {}
    with Script(story) as script:
        thread = threading.Thread(target=script.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        waits = Waits()
        endpoints = AksEndpoints(
            arm_url=script.url,
            scope="script/.default",
            subscription="sub-1",
            resource_group=wanted.get("resource_group", "rg-1"),
            cluster=wanted.get("cluster", "cl-1"),
            kubernetes_url=script.url,
        )
        tokens = StaticTokenSource(wanted.get("token", "t"), endpoint=script.url)
        client = AksClient(
            endpoints,
            tokens,
            kubernetes_tokens=tokens,
            settings=ClientSettings(header=HeaderLimits(form=HeaderForm(wanted.get("form", "all")))),
            effects=Effects(now=waits.now, sleep=waits.sleep, random=lambda: 0.0),
        )
        try:
            with client:
                yield script, client, waits
        finally:
            script.shutdown()
            thread.join()


def carry_out(client: AksClient, wanted: dict[str, Any]) -> Any:
    """The call a story names, and what came of it as JSON."""
    pool = wanted.get("pool", "np1")
    call = wanted["call"]
    if call == "create_machines":
        template = MachineTemplate(
            pool=pool,
            **{"vm_size": "Standard_D4s_v5", **wanted.get("template", {}),
               "node_taints": tuple(wanted.get("template", {}).get("node_taints", ()))},
        )  # fmt: skip
        machines = tuple(MachineSpec(**machine) for machine in wanted["machines"])
        chunks = client.create_machines([LaunchRequest(chunk_id="chunk_0", template=template, machines=machines)])
        return [as_json(outcome) for chunk in chunks for outcome in chunk.outcomes]
    if call == "delete_machines":
        outcome = client.delete_machines(pool, wanted["names"])
        return {"accepted": list(outcome.accepted), "refused": [as_json(each) for each in outcome.refused]}
    if call == "list_nodes":
        return [as_json(node) for node in client.list_nodes([pool])]
    if call == "list_machines":
        listing = client.list_machines(pool)
        return {**as_json(listing), "machines": [as_json(machine) for machine in listing.machines]}
    return as_json(getattr(client, call)(pool))


def as_json(value: Any) -> Any:
    """Fields and properties of a value, in JSON's types."""
    if not dataclasses.is_dataclass(value):
        return value
    names = [field.name for field in dataclasses.fields(value)]
    names += [name for name, found in vars(type(value)).items() if isinstance(found, property)]
    return {name: plain(getattr(value, name)) for name in names}


def plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    return dict(value) if hasattr(value, "keys") else value


@pytest.mark.parametrize("story", STORIES, ids=[story.id for story in STORIES])
def test_the_client_sends_and_reads_as_recorded(story: Story) -> None:
    with scripted(story) as (script, client, waits):
        wanted = fill(story.client, script.variables)
        assert isinstance(wanted, dict)
        if "raises" in wanted:
            with pytest.raises(getattr(errors, wanted["raises"])) as caught:
                carry_out(client, wanted)
            assert matches(wanted["says"], str(caught.value)), str(caught.value)
        else:
            assert differences(wanted["gives"], carry_out(client, wanted)) == []
        assert script.problems == []
        assert script.left == [], "requests that were not sent"
        if "waits_s" in wanted:
            assert waits.slept_s == wanted["waits_s"]
        if "batch_honoured" in wanted:
            assert client.batch_honoured is wanted["batch_honoured"]


@pytest.mark.parametrize(
    "change",
    [
        {"method": "POST"},
        {"path": "{pool}/machines/other"},
        {"query": {"api-version": "2020-01-01"}},
        {"headers": {}},
        {"headers": {"BatchPutMachine": {"batchMachines": []}}},
        {"body": {"properties": {"hardware": {"vmSize": "other"}}}},
    ],
    ids=["method", "path", "version", "no header", "another header", "body"],
)
def test_a_request_that_is_not_the_recorded_one_is_noticed(change: dict[str, Any]) -> None:
    """Each part of a request counts: this suite can fail."""
    story = next(story for story in STORIES if story.name == "the smallest machine that works")
    exchanges = [
        dataclasses.replace(each, request={**each.request, **change}) if each.request["method"] == "PUT" else each
        for each in story.exchanges
    ]
    with scripted(dataclasses.replace(story, exchanges=tuple(exchanges))) as (script, client, _):
        carry_out(client, fill(story.client, script.variables))
        assert len(script.problems) == 1


def test_a_client_that_asks_too_often_or_too_seldom_is_noticed() -> None:
    story = next(story for story in STORIES if story.name == "the smallest machine that works")
    exchanges = story.exchanges
    with scripted(dataclasses.replace(story, exchanges=exchanges[:-1])) as (script, client, _):
        carry_out(client, fill(story.client, script.variables))
        assert script.problems
    with scripted(dataclasses.replace(story, exchanges=(*exchanges, exchanges[-1]))) as (script, client, _):
        carry_out(client, fill(story.client, script.variables))
        assert len(script.left) == 1
        assert ABSENT not in json.dumps(sample([each.response for each in exchanges]))
