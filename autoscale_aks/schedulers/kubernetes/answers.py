"""What the API server answers: an object, or one of the errors that mean something to us."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from autoscale_aks.errors import SchedulerError

if TYPE_CHECKING:
    from collections.abc import Mapping


class NotFoundError(SchedulerError):
    """The object, or its whole kind, is not there (404)."""


class ExistsError(SchedulerError):
    """There is an object of that name, or it was changed meanwhile (409)."""


class ExpiredError(SchedulerError):
    """A continue token is too old (410)."""


def decode(method: str, path: str, status: int, content: bytes) -> Mapping[str, Any]:
    """The object of an answer; an empty one of an empty answer. Raises SchedulerError."""
    if not 200 <= status < 300:
        raise refusal(method, path, status, content)
    found = _parsed(content) if content else {}
    if not isinstance(found, dict):
        raise SchedulerError(f"{method} {shown(path)}: the answer is no JSON object")
    return found


def refusal(method: str, path: str, status: int, content: bytes) -> SchedulerError:
    """The error that an answer is, with the server's own words."""
    found = _parsed(content)
    said = found.get("message") if isinstance(found, dict) else None
    message = f"{method} {shown(path)}: {status}: {_plain(said) if isinstance(said, str) else 'it said nothing'}"
    kind = {404: NotFoundError, 409: ExistsError, 410: ExpiredError}.get(status, SchedulerError)
    hint = {401: "; is the token valid?", 403: "; see the role in conf/kubernetes"}.get(status, "")
    return kind(message + hint)


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def shown(path: str) -> str:
    """A path without its query."""
    return path.partition("?")[0]


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text[:300])
