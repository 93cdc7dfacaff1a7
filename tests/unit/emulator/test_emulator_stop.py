"""The emulator ends cleanly whoever calls at that moment."""

from __future__ import annotations

import gc
import socket
import threading
from contextlib import suppress

from autoscale_aks.emulator.server import EmulatorServer

ROUNDS = 40


def test_who_calls_while_it_stops_leaves_no_connection_open_behind() -> None:
    """A socket that nobody closed is a warning once it is collected, and a warning fails a test."""
    for _ in range(ROUNDS):
        server = EmulatorServer().start()
        address = ("127.0.0.1", int(server.base_url.rpartition(":")[2]))
        called, over = threading.Event(), threading.Event()
        mine: list[socket.socket] = []

        def call(
            address: tuple[str, int] = address, mine: list[socket.socket] = mine,
            called: threading.Event = called, over: threading.Event = over,
        ) -> None:  # fmt: skip
            with suppress(OSError):
                while not over.wait(0.0002):
                    mine.append(socket.create_connection(address, 1.0))
                    if len(mine) > 30:
                        called.set()

        callers = [threading.Thread(target=call) for _ in range(3)]
        for caller in callers:
            caller.start()
        assert called.wait(10)
        server.stop()
        over.set()
        for caller in callers:
            caller.join()
        for one in mine:
            one.close()
    gc.collect()
