"""How metrics leave the program: as a file for node_exporter, or over HTTP with a health page beside them.

=============  ==========================================================================================
`/metrics`     Prometheus text
`/healthz`     200 while cycles follow each other, 503 when the last one is too long ago; JSON with its age
=============  ==========================================================================================
"""

from __future__ import annotations

import json
import logging
import os
import socket
import tempfile
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

from autoscale_aks.errors import ConfigError, Problem
from autoscale_aks.loop.metrics import COUNTER, PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from autoscale_aks.clock import Clock
    from autoscale_aks.loop.metrics import Meter

log: Final = logging.getLogger(__name__)
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_PATIENCE_S: Final = 5.0
"""How long a client may take over its request."""


class _Collector:
    """A meter as prometheus_client reads it."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        for metric, values in self._meter.series():
            family = CounterMetricFamily if metric.kind == COUNTER else GaugeMetricFamily
            made = family(f"{PREFIX}{metric.name}", metric.text, labels=metric.labels)
            for labels, value in values.items():
                made.add_metric(labels, value)
            yield made


def render_metrics(meter: Meter) -> bytes:
    """All metrics as Prometheus text, from a registry of our own: nothing of the process is added."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(meter))
    return generate_latest(registry)


def write_textfile(path: Path, page: bytes) -> None:
    """Replace the file at once: a reader sees the old page or the new one. Readable by all. Raises OSError."""
    descriptor, unfinished = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(page)
        place = Path(unfinished)
        place.chmod(0o644)
        place.replace(path)
    except OSError:
        Path(unfinished).unlink(missing_ok=True)
        raise


@final
@dataclass(slots=True)
class Pulse:
    """Whether cycles follow each other. Times are seconds."""

    clock: Clock
    limit_s: float
    last: float
    """When the last cycle ended, or the program began."""
    cycles: int = 0

    def beat(self) -> None:
        """A cycle ended, well or not: the loop lives."""
        self.last, self.cycles = self.clock.now(), self.cycles + 1

    @property
    def age_s(self) -> float:
        """How long ago the last cycle ended; a clock that was set back makes it 0."""
        return max(self.clock.now() - self.last, 0.0)

    @property
    def is_well(self) -> bool:
        """Whether the last cycle is recent enough."""
        return self.age_s <= self.limit_s

    def to_json(self) -> dict[str, Any]:
        """What `/healthz` answers."""
        return {
            "status": "ok" if self.is_well else "stalled",
            "last_cycle_age_s": round(self.age_s, 1),
            "limit_s": self.limit_s,
            "cycles": self.cycles,
        }


@final
class MetricsServer:
    """`/metrics` and `/healthz` on one address, from threads of its own; a context manager.

    Raises ConfigError when it cannot listen there. Knows no secret, changes nothing, and answers GET and HEAD only.
    """

    def __init__(self, listen: tuple[str, int], page: Callable[[], bytes], pulse: Pulse) -> None:
        answers: dict[str, Callable[[], tuple[int, str, bytes]]] = {
            "/metrics": lambda: (200, CONTENT_TYPE, page()),
            "/healthz": lambda: _health(pulse),
        }
        try:
            self._server = _Server(listen, _handler(answers))
        except OSError as error:
            where = f"{listen[0]}:{listen[1]}"
            message = f"{where} cannot be listened on: {error.strerror or error}; give another address"
            raise ConfigError([Problem("metrics.listen", message)]) from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def __enter__(self) -> MetricsServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _health(pulse: Pulse) -> tuple[int, str, bytes]:
    return 200 if pulse.is_well else 503, "application/json", json.dumps(pulse.to_json()).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listen: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in listen[0] else socket.AF_INET
        super().__init__(listen, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        log.debug("a client of the metrics page went away")


def _handler(answers: dict[str, Callable[[], tuple[int, str, bytes]]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _PATIENCE_S
        server_version, sys_version = "azaks", ""

        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def _answer(self, *, body: bool) -> None:
            found = answers.get(self.path.partition("?")[0])
            status, kind, content = found() if found else (404, "text/plain", b"/metrics or /healthz\n")
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            log.debug(format, *args)

    return Handler
