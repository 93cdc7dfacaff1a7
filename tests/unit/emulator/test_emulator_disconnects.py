"""A client that is killed in the middle of a request is no trouble of the emulator's."""

from __future__ import annotations

import logging
import socket
import time
from urllib.parse import urlsplit

import pytest


@pytest.mark.parametrize("path", ["/agentPools/pool1/machines/m1", None])
def test_a_client_that_goes_away_is_one_quiet_line(aks, path, caplog):
    """One line of level DEBUG, no traceback, no status in the journal; the next request is answered."""
    caplog.set_level(logging.DEBUG)
    target = "/_emulator/faults" if path is None else f"{aks.spec.id}{path}?api-version=2025-06-02-preview"
    address = urlsplit(aks.server.base_url)
    with socket.create_connection((address.hostname, address.port)) as half:
        head = f"{'POST' if path is None else 'PUT'} {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n"
        half.sendall(f'{head}Content-Length: 5000\r\n\r\n{{"properties":'.encode())
    until = time.monotonic() + 20
    while not said(caplog):
        assert time.monotonic() < until, "the emulator does not see that the client went away"
        assert aks.call("GET", aks.cluster).status_code == 200
    assert [record.levelname for record in said(caplog)] == ["DEBUG"]
    assert [record for record in caplog.records if record.exc_info or record.levelno >= logging.WARNING] == []
    assert [entry.status for entry in aks.server.journal.entries() if entry.method == "PUT"] == [None] * (
        path is not None
    )


def said(caplog):
    return [record for record in caplog.records if "the client went away" in record.getMessage()]
