"""Running the emulator: in a thread for tests and demos, or blocking for a command line.

::

    with EmulatorServer(EmulatorSettings(speed=0)) as emulator:
        requests.get(emulator.base_url + "/_emulator/state")
        emulator.clock.advance(60)
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from autoscale_aks.emulator.clock import EmulatedClock
from autoscale_aks.emulator.gate import Pauses
from autoscale_aks.emulator.journal import Journal
from autoscale_aks.emulator.routes import create_app
from autoscale_aks.emulator.service import Service
from autoscale_aks.emulator.settings import EmulatorSettings
from autoscale_aks.emulator.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_START_TIMEOUT_S = 10.0
_STOP_TIMEOUT_S = 2.0
_STOP_ROUND_S = 0.01
_BACKLOG = 2048


class EmulatorStartError(OSError):
    """The server did not come up."""


class _Protocol(H11Protocol):
    """Hands the transport to the application, which may have to break it (fault `reset_*`)."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class _Uvicorn(uvicorn.Server):
    """uvicorn that stops at once and says when it is ready."""

    def __init__(self, config: uvicorn.Config, pauses: Pauses, on_ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._pauses = pauses
        self._on_ready = on_ready
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then tell."""
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await super().startup(sockets)
        self._on_ready()

    async def main_loop(self) -> None:
        """Tick ten times a second, as uvicorn does, but wake up when told to stop."""
        counter = 0
        while not await self.on_tick(counter) and self._stop is not None:
            counter += 1
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stop.wait(), 0.1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, end every pause, break every connection."""
        loop = asyncio.get_running_loop()
        for sock in sockets or ():
            loop.remove_reader(sock)
        await asyncio.sleep(0)  # asyncio drops, unclosed, what it accepted but has not yet attached to a closed server
        for server in self.servers:
            server.close()
        for sock in sockets or ():
            sock.close()
        self._pauses.release()
        until = time.monotonic() + _STOP_TIMEOUT_S
        while time.monotonic() < until:
            for connection in tuple(self.server_state.connections):
                transport: Any = connection.transport
                transport.abort()
            await asyncio.sleep(0)
            # what was accepted just before is a task of its own until it is a connection
            others = asyncio.all_tasks() - {asyncio.current_task()}
            if not others and not self.server_state.connections:
                break
            if others:
                await asyncio.wait(others, timeout=_STOP_ROUND_S)
        await asyncio.sleep(0)

    def stop(self) -> None:
        """Ask it to stop, from any thread."""
        self.should_exit = True
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._stop.set)


class EmulatorServer:
    """The emulator on a loopback port, in a daemon thread; a context manager.

    `port=0` takes a free port. `state` is the store, `journal` the requests, `clock` the emulated time
    (advance it by hand, or pass one of your own with any `wall` source).
    """

    def __init__(
        self,
        settings: EmulatorSettings | None = None,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        clock: EmulatedClock | None = None,
    ) -> None:
        self.settings = EmulatorSettings() if settings is None else settings
        self.clock = clock or EmulatedClock(start=self.settings.start_time, speed=self.settings.speed)
        self.state = Store(self.settings, self.clock)
        self.journal = Journal(self.settings.request_log_size)
        self._address = (host, port)
        self._pauses = Pauses()
        self._service = Service(self.state)
        self._server: _Uvicorn | None = None
        self._thread: threading.Thread | None = None

    @property
    def base_url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        host, port = self._address
        return f"http://{host}:{port}"

    def catch_up(self) -> float:
        """Let everything happen that is due by now, without a request; returns emulated now."""
        now = self.clock.now()
        self._service.lifecycle.advance(self.state, now)
        return now

    def start(self) -> EmulatorServer:
        """Start serving; returns when requests are answered."""
        ready = threading.Event()
        self._pauses.released = False
        listener = self._listen()
        server = self._make(ready.set)
        self._server = server
        self._thread = threading.Thread(target=server.run, args=([listener],), name="emulator", daemon=True)
        self._thread.start()
        if not ready.wait(_START_TIMEOUT_S):
            self.stop()
            raise EmulatorStartError(f"the emulator did not start on {self.base_url}")
        return self

    def stop(self) -> None:
        """Stop serving; open requests are broken off. The state stays readable."""
        if self._server is not None:
            self._server.stop()
        if self._thread is not None:
            self._thread.join()
        self._server = self._thread = None

    def run(self, on_ready: Callable[[EmulatorServer], object] | None = None) -> None:
        """Serve in this thread until SIGINT or SIGTERM, or `stop()` from another thread."""
        listener = self._listen()
        self._server = self._make(lambda: on_ready(self) if on_ready is not None else None)
        with contextlib.suppress(KeyboardInterrupt):
            self._server.run([listener])

    def _listen(self) -> socket.socket:
        host, port = self._address
        # The protocol is named because asyncio switches Nagle's delay off only where it is.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            listener.close()
            raise
        self._address = (host, listener.getsockname()[1])
        return listener

    def _make(self, on_ready: Callable[[], object]) -> _Uvicorn:
        config = uvicorn.Config(
            create_app(self._service, self.journal, self._pauses),
            http=_Protocol,
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=_BACKLOG,
            timeout_keep_alive=75,
            h11_max_incomplete_event_size=1_048_576 + 2 * self.settings.header_cap_bytes,
        )
        return _Uvicorn(config, self._pauses, on_ready)

    def __enter__(self) -> EmulatorServer:  # noqa: PYI034 - `Self` came with Python 3.11
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def serve(
    settings: EmulatorSettings | None = None,
    host: str = "127.0.0.1",
    port: int = 8800,
    on_ready: Callable[[EmulatorServer], object] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM. `on_ready` gets the running server once it answers.

    Give `settings`, and nothing else is read: no files, no environment. SIGINT returns normally.
    """
    EmulatorServer(settings, port, host=host).run(on_ready)
