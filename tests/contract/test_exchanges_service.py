"""The service must answer each recorded request as recorded: the emulator, or a real cluster (README.md here).

The requests leave from here as they stand in the files; no line of the client has a part in it.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from contract import contract_target
from contract.contract_target import PATIENCE_S, emulated, read_environment, real
from contract.exchange_stories import ABSENT, Exchange, Story, differences, fill, header_text, load_stories

if TYPE_CHECKING:
    import requests
    from contract.contract_target import Target

STORIES = load_stories()


@pytest.mark.parametrize("story", STORIES, ids=[story.id for story in STORIES])
def test_the_service_answers_as_recorded(story: Story) -> None:
    cluster = read_environment(os.environ)
    if cluster is None:
        with emulated(story.settings, story.faults, new_pool=story.new_pool) as target:
            play(story, target)
        return
    if story.only_emulated:
        pytest.skip(f"not on a real cluster: {story.only_emulated}")
    with real(cluster, new_pool=story.new_pool) as target:
        play(story, target)


def play(story: Story, target: Target) -> None:
    """Send the story's requests in order and hold each answer against the record."""
    for request in story.given:
        assert target.send(outgoing(request)).ok, "what the story begins with is not there"
    links: dict[str, str] = {}
    for number, exchange in enumerate(story.exchanges, 1):
        for request in exchange.meanwhile:
            assert target.send(outgoing(request)).ok
        target.wait(exchange.after_s)
        answer, found = ask(exchange, target, links)
        assert found == [], f"exchange {number} ({exchange.section}), HTTP {answer.status_code}: {answer.text[:500]}"
        links.update({name.lower(): value for name, value in answer.headers.items()})
        if is_json(answer) and isinstance(answer.json().get("nextLink"), str):
            links["nextLink"] = answer.json()["nextLink"]


def ask(exchange: Exchange, target: Target, links: dict[str, str]) -> tuple[requests.Response, list[str]]:
    """One request; a real service that was to be given time is asked again while it answers otherwise."""
    request = outgoing(exchange.request)
    if "follow" in request:
        request = {**request, "path": links[request["follow"]]}
    deadline = time.monotonic() + (PATIENCE_S if exchange.after_s and target.emulator is None else 0.0)
    while True:
        answer = target.send(request)
        found = compare(exchange, answer, target)
        if not found or time.monotonic() >= deadline:
            return answer, found
        contract_target.pause()


def outgoing(request: dict[str, Any]) -> dict[str, Any]:
    headers = {name: header_text(value) for name, value in request.get("headers", {}).items()}
    return {**request, "headers": headers}


def compare(exchange: Exchange, answer: requests.Response, target: Target) -> list[str]:
    """Where the answer is not as recorded: status, the headers named, the body."""
    expected = fill(exchange.response, target.variables)
    found = differences(expected["status"], answer.status_code, "status")
    headers = {name.lower(): value for name, value in answer.headers.items()}
    for name, value in expected.get("headers", {}).items():
        found += differences({name: value}, headers, "headers")
    if "text" in expected:
        found += differences(expected["text"], answer.text, "body")
    if "body" in expected:
        found += differences(expected["body"], ours(answer.json(), target) if is_json(answer) else None)
    return found


def ours(body: Any, target: Target) -> Any:
    """A list without the machines of other runs on the same real pool."""
    if target.emulator is not None or not isinstance(body, dict) or not isinstance(body.get("value"), list):
        return body
    prefix = target.variables["m"]
    return {**body, "value": [item for item in body["value"] if item["name"].startswith(prefix)]}


def is_json(answer: requests.Response) -> bool:
    return "json" in answer.headers.get("content-type", "") and answer.text.startswith("{")


def test_a_record_that_the_service_does_not_keep_is_noticed() -> None:
    """Each kind of difference, on the emulator: this suite can fail."""
    story = next(story for story in STORIES if story.name == "the smallest machine that works")
    put = next(exchange for exchange in story.exchanges if exchange.request["method"] == "PUT")
    with emulated({}, (), new_pool=False) as target:
        answer = target.send(outgoing(put.request))
        assert compare(put, answer, target) == []
        for wrong in (
            {"status": 201},
            {"status": 200, "headers": {"retry-after": "<number>"}},
            {"status": 200, "headers": {"azure-asyncoperation": ABSENT}},
            {"status": 200, "body": {"name": "another"}},
            {"status": 200, "body": {"properties": {"status": ABSENT}}},
            {"status": 200, "body": {"properties": {"nothing": "<text>"}}},
            {"status": 200, "text": "<html>"},
        ):
            assert len(compare(Exchange("§3", put.request, wrong), answer, target)) == 1, wrong
