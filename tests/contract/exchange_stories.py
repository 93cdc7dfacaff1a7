"""Recorded exchanges: reading the files, filling them in, holding an answer against them.

What stands in the files is explained in tests/contract/README.md. Nothing here knows the client or the emulator.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parent / "exchanges"
EXPAND: Final = "properties.status.vmState"
ABSENT: Final = "<absent>"

_TOKENS: Final = {
    "<guid>": (r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "0d7c6c0e-0000-4000-8000-000000000001"),
    "<time>": (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "2026-05-20T21:39:36Z"),
    "<8 digits>": (r"\d{8}", "71327483"),
    "<number>": (r"\d+", "7"),
    "<url>": (r"https?://\S+", "https://arm.example/operations/1?t=1"),
    "<text>": (r"[\s\S]+", "some text"),
    "<ip>": (r"\d+\.\d+\.\d+\.\d+", "10.224.0.4"),
    "…": (r"[\s\S]*", " "),
}
_SPLIT: Final = re.compile("(" + "|".join(map(re.escape, _TOKENS)) + ")")

_APIS: Final = {
    "pool": {"api-version": "2024-06-02-preview"},
    "machine": {"api-version": "2025-06-02-preview"},
    "list": {"api-version": "2025-06-02-preview", "$expand": EXPAND},
}

Json = Any
Variables = dict[str, str]


@dataclass(frozen=True)
class Exchange:
    """One request and the answer to it."""

    section: str
    request: dict[str, Any]
    response: dict[str, Any]
    after_s: float = 0.0
    """How long after the one before; a real service is asked until it answers so, or much longer has passed."""
    meanwhile: tuple[dict[str, Any], ...] = ()
    """Requests of somebody else right before: the service must get them, the client does not know of them."""


@dataclass(frozen=True)
class Story:
    """Exchanges in their order, what makes the client send them and what it reads in the answers."""

    file: str
    name: str
    confidence: str
    exchanges: tuple[Exchange, ...]
    client: dict[str, Any] | None = None
    no_client: str = ""
    """Why the client never does this."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Switches of the emulator."""
    faults: tuple[dict[str, Any], ...] = ()
    given: tuple[dict[str, Any], ...] = ()
    """Requests that come before the story."""
    only_emulated: str = ""
    """Why a real cluster cannot be made to answer so."""
    new_pool: bool = False
    """The story makes its own pool; otherwise one exists."""

    @property
    def id(self) -> str:
        return f"{self.file}: {self.name}"


def load_stories() -> list[Story]:
    """Every story of every file."""
    return [_story(path.stem, data) for path in sorted(FOLDER.glob("*.json")) for data in read_file(path)["stories"]]


def read_file(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data


def _story(file: str, data: dict[str, Any]) -> Story:
    exchanges = tuple(exchange for each in data["exchanges"] for exchange in _exchanges(each))
    lists = {key: tuple(data[key]) for key in ("faults",) if key in data}
    given = tuple(_request(each) for each in data.get("given", ()))
    return Story(file, **{**data, **lists, "given": given, "exchanges": exchanges})


def _exchanges(data: dict[str, Any]) -> list[Exchange]:
    """One exchange, or as many as `times`; for `lists`, the page with these machines and, if any, the empty one."""
    taken = {"lists", "request", "response", "meanwhile", "times"}
    rest = {key: value for key, value in data.items() if key not in taken}
    rest["meanwhile"] = tuple(_request(each) for each in data.get("meanwhile", ()))
    if "lists" not in data:
        exchange = Exchange(request=_request(data["request"]), response=data["response"], **rest)
        return [exchange] * data.get("times", 1)
    request = _request({"method": "GET", "path": "{pool}/machines", "api": "list"})
    items = data["lists"]
    if not items:
        return [Exchange(request=request, response={"status": 200, "body": {"value": [], "nextLink": ABSENT}}, **rest)]
    page = {"value": items, "nextLink": next_link(len(items))}
    last = {"status": 200, "body": {"value": [], "nextLink": ABSENT}}
    return [
        Exchange(request=request, response={"status": 200, "body": page}, **rest),
        Exchange("§7.4", {"method": "GET", "follow": "nextLink"}, last),
    ]


def next_link(skip: int) -> dict[str, str]:
    """A link as §7.4 has seen it."""
    query = f"%24skipToken={skip}&api-version={_APIS['list']['api-version']}&skipToken={skip}&%24expand={EXPAND}"
    return {
        "$sample": "{arm}{pool}/machines?" + query,
        "$match": "{arm}…%24skipToken=<number>…skipToken=<number>…",
    }


def _request(data: dict[str, Any]) -> dict[str, Any]:
    """A request as it is sent: `api` stands for the query of that kind of call (§1.1, §1.2)."""
    query = {**_APIS.get(data.get("api", ""), {}), **data.get("query", {})}
    return {**{key: value for key, value in data.items() if key != "api"}, **({"query": query} if query else {})}


def fill(value: Json, variables: Variables) -> Json:
    """The value with `{name}` of every variable replaced, keys too."""
    if isinstance(value, str):
        for name, text in variables.items():
            value = value.replace("{" + name + "}", text)
        return value
    if isinstance(value, list):
        return [fill(item, variables) for item in value]
    if isinstance(value, dict):
        return {fill(key, variables): fill(item, variables) for key, item in value.items()}
    return value


def sample(value: Json) -> Json:
    """A value that matches: what a scripted service answers."""
    if isinstance(value, str):
        return _SPLIT.sub(lambda match: _TOKENS[match[0]][1], value)
    if isinstance(value, list):
        return [sample(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$sample" in value:
        return value["$sample"]
    if "$json" in value:
        return json.dumps(sample(value["$json"]), separators=(",", ":"))
    return {key: sample(item) for key, item in value.items() if item != ABSENT}


def differences(expected: Json, actual: Json, at: str = "") -> list[str]:
    """Where an answer is not what was recorded. More keys than recorded are no difference; more items are."""
    where = at or "the answer"
    if isinstance(expected, dict) and "$match" in expected:
        return differences(expected["$match"], actual, at)
    if isinstance(expected, dict) and "$json" in expected:
        try:
            return differences(expected["$json"], json.loads(actual), f"{at} (as JSON)")
        except (TypeError, ValueError):
            return [f"{where} is no JSON text: {actual!r}"]
    if isinstance(expected, dict) and "$has" in expected:
        found = actual if isinstance(actual, list) else []
        lacking = [one for one in expected["$has"] if not any(not differences(one, other) for other in found)]
        return [f"{where}: no item like {one!r}" for one in lacking]
    if isinstance(expected, dict):
        return _object_differences(expected, actual, at)
    if isinstance(expected, list):
        if not isinstance(actual, list) or len(actual) != len(expected):
            return [f"{where}: {len(expected)} items expected, not {actual!r}"]
        pairs = enumerate(zip(expected, actual, strict=True))
        return [found for index, (one, other) in pairs for found in differences(one, other, f"{at}[{index}]")]
    if isinstance(expected, str) and isinstance(actual, str):
        return [] if matches(expected, actual) else [f"{where}: {expected!r} expected, not {actual!r}"]
    same = type(expected) is type(actual) and expected == actual
    return [] if same else [f"{where}: {expected!r} expected, not {actual!r}"]


def _object_differences(expected: dict[str, Any], actual: Json, at: str) -> list[str]:
    if not expected and actual:
        return [f"{at or 'the answer'}: nothing expected, not {actual!r}"]
    if not isinstance(actual, dict):
        return [f"{at or 'the answer'}: an object expected, not {actual!r}"]
    found = []
    for key, value in expected.items():
        path = f"{at}.{key}" if at else key
        if value == ABSENT:
            found += [f"{path} must not be there"] if key in actual else []
        elif key not in actual:
            found.append(f"{path} is missing")
        else:
            found += differences(value, actual[key], path)
    return found


def matches(pattern: str, text: str) -> bool:
    """Whether a text is as recorded, tokens such as `<guid>` and `…` standing for what differs each time."""
    parts = (_TOKENS[part][0] if part in _TOKENS else re.escape(part) for part in _SPLIT.split(pattern))
    return re.fullmatch("".join(parts), text) is not None


def header_text(value: Json) -> str:
    """A header's value; an object is sent as compact JSON."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
