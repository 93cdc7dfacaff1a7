"""Asking a real broker and real workers, with celery and kombu (the extra `celery`). Bounded in time.

Workers are asked by broadcast. `inspect` waits its whole time for answers that may still come; so `ping` waits it
out once, and every further question ends as soon as those that answered it have answered.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

from autoscale_aks.errors import ConfigError, Problem, SchedulerError
from autoscale_aks.schedulers.celery.records import INSPECTED, CeleryLook, QueueLook, read_messages, read_workers
from autoscale_aks.schedulers.commanded import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from autoscale_aks.schedulers.celery.settings import CelerySettings

_PIDBOX: Final = "celery.pidbox"
_CLOSED: Final = "azaks.closed"
"""Redis hash: worker → the queues that we took from it."""
_PRIORITY_STEPS: Final = (0, 3, 6, 9)
_SEPARATOR: Final = "\x06\x16"
_UNKNOWN: Final = object()
_MISSING: Final = "celery is not installed here: pip install autoscale_aks[celery]"


class Broker:
    """One broker and its workers. Raises SchedulerError when the broker does not answer."""

    def __init__(self, settings: CelerySettings, url: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        try:
            import celery  # noqa: PLC0415  an extra, and slow to import
        except ImportError as error:
            raise ConfigError([Problem("scheduler.type", _MISSING)]) from error
        self._settings = settings
        self._monotonic = monotonic
        self._deadline = 0.0
        self._client: Any = _UNKNOWN
        self._app = celery.Celery("azaks", broker=url, set_as_current=False)
        options = {"socket_timeout": settings.timeout_s, "socket_connect_timeout": min(5.0, settings.timeout_s)}
        if not url.startswith("redis"):
            options = {}
        self._app.conf.update(
            broker_transport_options={**options, **settings.transport_options},
            broker_connection_timeout=min(5.0, settings.timeout_s),
            broker_connection_retry=False,
        )

    def look(self) -> CeleryLook:
        """Lengths first, workers' tasks last: a task that is fetched meanwhile is seen on its worker."""
        problems: list[Problem] = []
        with _translated():
            self._begin()
            with self._app.connection_for_read() as connection:
                connection.ensure_connection(max_retries=1, timeout=min(5.0, self._settings.timeout_s))
                names = self._ping()
                queues = {name: self._queue(connection, name, problems) for name in self._settings.queues}
                before = self._unacknowledged()
                workers = read_workers({what: self._ask(what, names) for what in INSPECTED}, problems)
                after = self._unacknowledged()
                known = self._known_workers(connection)
        held = None if before is None or after is None else min(before, after)
        return CeleryLook(
            workers=workers,
            queues=queues,
            silent=tuple(sorted(known - set(workers))),
            unacknowledged=held,
            problems=tuple(problems),
        )

    def cancel(self, queues: Mapping[str, Sequence[str]]) -> None:
        """Take these queues from workers, and remember which they were where the broker can."""
        with _translated():
            self._begin()
            client = self._redis()
            for worker, names in queues.items():
                if client is not None and names:
                    client.hset(_CLOSED, worker, "\n".join(names))
                for name in names:
                    self._control("cancel_consumer", [worker], {"queue": name})

    def cancelled(self, workers: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The queues that were taken from these workers, as far as the broker remembers."""
        with _translated():
            client = self._redis()
            found = {} if client is None else {worker: client.hget(_CLOSED, worker) for worker in workers}
        return {worker: tuple(_text(value).split("\n")) for worker, value in found.items() if value}

    def give_back(self, queues: Mapping[str, Sequence[str]]) -> None:
        """Let workers take from these queues again."""
        with _translated():
            self._begin()
            for worker, names in queues.items():
                for name in names:
                    self._control("add_consumer", [worker], {"queue": name})
            self.forget(queues)

    def stop(self, workers: Sequence[str]) -> None:
        """Tell workers to end when they have finished what they do, and forget those that are gone already."""
        with _translated():
            self._begin()
            if workers:
                self._app.control.shutdown(destination=list(workers))
            self.forget(workers)

    def forget_mailboxes(self, workers: Sequence[str]) -> None:
        """Remove what is left of workers whose machines are gone: the broker would count them as silent for ever."""
        import kombu  # noqa: PLC0415  comes with the extra

        with _translated(), self._app.connection_for_write() as connection:
            exchange = kombu.Exchange(_PIDBOX, type="fanout", durable=False)
            for worker in workers:
                name = f"{worker}.{_PIDBOX}"
                queue = kombu.Queue(name, exchange=exchange, durable=False, auto_delete=True)(connection.channel())
                queue.declare()
                queue.delete()
            self.forget(workers)

    def version(self) -> str:
        """Celery's version, and the broker's: Redis is asked, AMQP tells it when a connection is made."""
        import celery  # noqa: PLC0415  an extra, and slow to import

        with _translated():
            client = self._redis()
            if client is not None:
                return _named(celery.__version__, "redis", client.info("server").get("redis_version"))
            with self._app.connection_for_read() as connection:
                connection.ensure_connection(max_retries=1, timeout=min(5.0, self._settings.timeout_s))
                told = getattr(connection.connection, "server_properties", None) or {}
                return _named(celery.__version__, told.get("product"), told.get("version"))

    def forget(self, workers: Iterable[str]) -> None:
        """Forget what was taken from workers."""
        client, names = self._redis(), list(workers)
        if client is not None and names:
            client.hdel(_CLOSED, *names)

    def _begin(self) -> None:
        self._deadline = self._monotonic() + self._settings.timeout_s

    def _left(self) -> float:
        left = self._deadline - self._monotonic()
        if left <= 0:
            raise SchedulerError(f"Celery: no answer within {self._settings.timeout_s:g} s (scheduler.timeout_s)")
        return left

    def _ping(self) -> list[str]:
        answers = self._app.control.ping(timeout=min(self._settings.reply_s, self._left()))
        return sorted({name for answer in answers or () for name in answer})

    def _ask(self, what: str, names: list[str]) -> dict[str, Any]:
        if not names:
            return {}
        arguments = {"safe": True} if what == "active" else {}
        answers = self._app.control.broadcast(
            what,
            arguments=arguments,
            destination=names,
            reply=True,
            timeout=min(3 * self._settings.reply_s, self._left()),
            limit=len(names),
        )
        return {name: value for answer in answers or () for name, value in answer.items()}

    def _control(self, command: str, workers: list[str], arguments: dict[str, Any]) -> None:
        self._app.control.broadcast(
            command,
            arguments=arguments,
            destination=workers,
            reply=True,
            timeout=min(3 * self._settings.reply_s, self._left()),
            limit=len(workers),
        )

    def _queue(self, connection: Any, name: str, problems: list[Problem]) -> QueueLook:
        """Its length by a passive declare, which every broker knows; a missing queue holds nothing."""
        self._left()
        channel = connection.channel()
        try:
            waiting = int(channel.queue_declare(queue=name, passive=True).message_count)
        except (*connection.channel_errors, *connection.connection_errors) as error:
            if "404" in str(error) or "NOT_FOUND" in str(error) or "not found" in str(error).lower():
                return QueueLook(waiting=0)
            raise
        finally:
            channel.close()
        client = self._redis()
        raw = [] if client is None or not waiting else self._peek(client, name)
        return QueueLook(waiting=waiting, messages=read_messages(raw, name, problems))

    def _peek(self, client: Any, name: str) -> list[Any]:
        """The messages that are next, of a queue and its priority lists (a Redis list is taken from its end)."""
        options = self._settings.transport_options
        steps = options.get("priority_steps", _PRIORITY_STEPS)
        separator = options.get("sep", _SEPARATOR)
        found: list[Any] = []
        for step in steps:
            left = self._settings.peek - len(found)
            if left > 0:
                key = f"{name}{separator}{step}" if step else name
                found.extend(client.lrange(key, -left, -1))
        return found

    def _unacknowledged(self) -> int | None:
        client = self._redis()
        if client is None:
            return None
        return int(client.hlen(self._settings.transport_options.get("unacked_key", "unacked")))

    def _known_workers(self, connection: Any) -> set[str]:
        """Workers whose mailbox the broker knows. Only brokers that kombu emulates keep such a table."""
        if self._redis() is None:
            return set()
        suffix = f".{_PIDBOX}"
        with connection.channel() as channel:
            try:
                table = channel.get_table(_PIDBOX)
            except (*connection.channel_errors, KeyError):
                return set()
        return {queue.removesuffix(suffix) for _, _, queue in table if queue.endswith(suffix)}

    def _redis(self) -> Any:
        """The Redis client of the broker; None for other brokers."""
        if self._client is _UNKNOWN:
            self._client = getattr(self._app.connection_for_read().default_channel, "client", None)
        return self._client


class _translated:  # noqa: N801 - a context manager, used as a word
    """Whatever celery, kombu or redis raise becomes a SchedulerError without the broker's password."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, SchedulerError) or not isinstance(error, Exception):
            return
        words = " ".join(str(error).split())[:200]
        raise SchedulerError(f"Celery's broker: {type(error).__name__}: {_without_password(words)}") from error


def _without_password(text: str) -> str:
    return re.sub(r"://[^@\s]*@", "://…@", text)


def _named(celery: str, product: Any, version: Any) -> str:
    """`5.4.0 on redis 7.0.15`; without what is not told."""
    told = " ".join(one_line(_text(part), 40) for part in (product, version) if part)
    return f"{celery} on {told}" if told else celery


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def broker_url(settings: CelerySettings, environment: Mapping[str, str]) -> str:
    """The broker's address with its password. Raises ConfigError."""
    url = settings.broker_url or environment.get(settings.broker_url_env)
    if not url:
        hint = f"give scheduler.broker_url, or the variable {settings.broker_url_env}"
        raise ConfigError([Problem("scheduler.broker_url", f"no broker is named: {hint}")])
    if settings.broker_password_file is None:
        return url
    try:
        password = settings.broker_password_file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        message = f"{settings.broker_password_file}: {why}"
        raise ConfigError([Problem("scheduler.broker_password_file", message)]) from error
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    who = f"{quote(parts.username or '', safe='')}:{quote(password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{who}@{host}"))
