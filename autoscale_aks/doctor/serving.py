"""Checks of how the program is watched: metrics in a file or on a port, and the loop's own word of its health."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Final

from autoscale_aks.reports.doctor import fail, ok, skipped, warn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from autoscale_aks.doctor.site import Site
    from autoscale_aks.reports.doctor import Finding

_OLD_FILE_S: Final = 900.0
_PATIENCE_S: Final = 3.0


def check_metrics(site: Site) -> Iterator[Finding]:
    """Whether what was configured is there, and what the resident loop says of itself."""
    metrics = site.config.metrics
    if metrics.textfile is None and metrics.listen is None:
        yield skipped("metrics", "neither metrics.textfile nor metrics.listen is set")
    if metrics.textfile is not None:
        yield _textfile(metrics.textfile, site.now)
    if metrics.listen is not None:
        yield _health(*metrics.listen)


def _textfile(path: Path, now: float) -> Finding:
    if not path.parent.is_dir():
        return fail("metrics", f"{path.parent} is not there", "make that directory, writable for this user")
    try:
        age = now - path.stat().st_mtime
    except OSError:
        return skipped("metrics", f"{path} is written after the first cycle")
    if age > _OLD_FILE_S:
        return warn("metrics", f"{path} is {age:,.0f} s old", "see that cron or azaks run still starts cycles")
    return ok("metrics", f"{path} is {max(0.0, age):,.0f} s old")


def _health(host: str, port: int) -> Finding:
    """`/healthz` of the loop that should be running."""
    connection = http.client.HTTPConnection(host or "127.0.0.1", port, timeout=_PATIENCE_S)
    where = f"http://{host or '127.0.0.1'}:{port}/healthz"
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        said = " ".join(answer.read(300).decode("utf-8", "replace").split())
    except (OSError, http.client.HTTPException) as error:
        return warn("metrics", f"{where} does not answer: {error}", "azaks run serves it while it runs; is it started?")
    finally:
        connection.close()
    if answer.status == http.client.OK:
        return ok("metrics", f"{where}: {said}")
    return warn(
        "metrics", f"{where} answers {answer.status}: {said}", "see the loop's own log: its last cycle is too old"
    )
