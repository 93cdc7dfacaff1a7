"""The keys of `{"type": "celery", …}`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast
from urllib.parse import urlsplit

from frozendict import deepfreeze, frozendict

from autoscale_aks.errors import ConstraintError
from autoscale_aks.matching.parse import parse_constraint
from autoscale_aks.planning.reading import Reader
from autoscale_aks.schedulers.settings import finish, read_object, read_path, read_timeout

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MachineIs: TypeAlias = Literal["host", "name"]
_KEYS: Final = (
    "type", "broker_url", "broker_url_env", "broker_password_file", "transport_options", "queues", "slot_resource",
    "core_resource", "machine_is", "timeout_s", "reply_s", "peek", "capture_dir",
)  # fmt: skip
_QUEUE_KEYS: Final = ("nodearrays", "constraints", "tasks", "priority", "min_cores", "min_slots", "warm_slots")
_MOST_SLOTS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """How one queue is served.

    ============  ====================================================================================
    key           meaning
    ============  ====================================================================================
    nodearrays    node arrays whose machines run workers of this queue, in order of preference;
                  default: the one of the same name
    constraints   what one task asks of a node beside a slot, such as {"mem": "memory::4g"}
    tasks         task name → constraints of its own instead
    priority      queues with a higher one are served first (0)
    min_cores     cores that are kept, busy or not (0)
    min_slots     the same in slots; the larger counts (0)
    warm_slots    slots that are kept free beyond what waits (0)
    ============  ====================================================================================
    """

    name: str
    nodearrays: tuple[str, ...]
    constraints: Mapping[str, Any] = field(default_factory=frozendict)
    tasks: Mapping[str, Mapping[str, Any]] = field(default_factory=frozendict)
    priority: float = 0.0
    min_cores: int = 0
    min_slots: int = 0
    warm_slots: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CelerySettings:
    """Which broker is asked, and what a task takes.

    ====================  ============================================================================
    key                   meaning
    ====================  ============================================================================
    broker_url            the broker, without a password
    broker_url_env        or the environment variable that holds all of it (CELERY_BROKER_URL)
    broker_password_file  a file that holds the password alone
    transport_options     the application's broker_transport_options (priority_steps, sep, …)
    queues                queue → how it is served (see QueueSettings); queues that are missing are not
    slot_resource         resource a task takes one of (slots); a node to come has as many as vCPUs unless
                          default_resources says otherwise, a live one its workers' concurrency
    core_resource         resource that min_cores counts (ncpus)
    machine_is            what of the worker name WORKER@HOST is the machine: "host" (default) or "name"
    timeout_s             seconds one look may take (30)
    reply_s               seconds workers have to answer (1)
    peek                  waiting messages of a queue that are looked into, for their task, its ETA and whether it
                          has expired (1000); Redis only
    capture_dir           answer from captured files instead; nothing is changed
    ====================  ============================================================================
    """

    queues: Mapping[str, QueueSettings]
    broker_url: str | None = None
    broker_url_env: str = "CELERY_BROKER_URL"
    broker_password_file: Path | None = None
    transport_options: Mapping[str, Any] = field(default_factory=frozendict)
    slot_resource: str = "slots"
    core_resource: str = "ncpus"
    machine_is: MachineIs = "host"
    timeout_s: float = 30.0
    reply_s: float = 1.0
    peek: int = 1000
    capture_dir: Path | None = None


def read_settings(raw: Mapping[str, Any], *, path: str = "scheduler", base: Path | None = None) -> CelerySettings:
    """Raises ConfigError with every problem at once."""
    reader = Reader()
    reader.keys(raw, path, _KEYS)
    queues = {
        name: _queue(reader, item, name, f"{path}.queues.{name}")
        for name, item in read_object(reader, raw, "queues", path).items()
    }
    if not queues:
        reader.wrong(f"{path}.queues", 'expected at least one queue, such as {"celery": {"nodearrays": ["htc"]}}')
    url = reader.optional_text(raw, "broker_url", path)
    if url is not None and (not urlsplit(url).scheme or urlsplit(url).password):
        reader.wrong(f"{path}.broker_url", "expected redis://HOST:6379/0 or amqp://…, without a password")
    machine_is = reader.text(raw, "machine_is", path, "host")
    if machine_is not in {"host", "name"}:
        reader.wrong(f"{path}.machine_is", 'expected "host" or "name"')
    reply = reader.number(raw, "reply_s", path, 1)
    settings = CelerySettings(
        queues=frozendict(queues),
        broker_url=url,
        broker_url_env=reader.text(raw, "broker_url_env", path, "CELERY_BROKER_URL"),
        broker_password_file=read_path(reader, raw, "broker_password_file", path, base),
        transport_options=frozendict(read_object(reader, raw, "transport_options", path)),
        slot_resource=_resource(reader, raw, "slot_resource", path, "slots"),
        core_resource=_resource(reader, raw, "core_resource", path, "ncpus"),
        machine_is=cast("MachineIs", machine_is),
        timeout_s=read_timeout(reader, raw, path, 30.0),
        reply_s=float(reply or 0),
        peek=reader.count(raw, "peek", path, 1000, most=100_000),
        capture_dir=read_path(reader, raw, "capture_dir", path, base),
    )
    if not 0 < settings.reply_s <= settings.timeout_s:
        reader.wrong(f"{path}.reply_s", "expected seconds, more than 0 and at most timeout_s")
    finish(reader)
    return settings


def _queue(reader: Reader, raw: Any, name: str, path: str) -> QueueSettings:
    entry = reader.keys(raw, path, _QUEUE_KEYS)
    tasks = read_object(reader, entry, "tasks", path)
    return QueueSettings(
        name=name,
        nodearrays=reader.texts(entry, "nodearrays", path) or (name,),
        constraints=_constraint(reader, entry.get("constraints", {}), f"{path}.constraints"),
        tasks=frozendict({task: _constraint(reader, item, f"{path}.tasks.{task}") for task, item in tasks.items()}),
        priority=float(reader.number(entry, "priority", path, 0) or 0),
        min_cores=reader.count(entry, "min_cores", path, 0, most=_MOST_SLOTS),
        min_slots=reader.count(entry, "min_slots", path, 0, most=_MOST_SLOTS),
        warm_slots=reader.count(entry, "warm_slots", path, 0, most=_MOST_SLOTS),
    )


def _constraint(reader: Reader, raw: Any, path: str) -> Mapping[str, Any]:
    """A constraint object, parsed once here so that a mistake is found at the start."""
    try:
        parse_constraint(raw, path)
    except ConstraintError as error:
        reader.problems.extend(error.problems)
        return frozendict()
    frozen: Mapping[str, Any] = deepfreeze(raw)
    return frozen


def _resource(reader: Reader, raw: Mapping[str, Any], key: str, path: str, default: str) -> str:
    text = reader.text(raw, key, path, default)
    if not text.strip() or text.startswith("node."):
        reader.wrong(f"{path}.{key}", f'expected the name of a resource such as "{default}"')
    return text
