"""Log lines: to standard error at the configured level, or as `conf/logging.conf` of the site says.

Every line carries the plan id of the cycle or act it belongs to, whichever thread wrote it: the program has one at a
time, and the stamp that knows it lives here, in the shell. The wiring hands out plan ids and stamps each (T28b).
Nothing that looks like a secret leaves through a line. A line that repeats itself is counted (`cli/collapse.py`).
"""

from __future__ import annotations

import atexit
import json
import logging
import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.cli.collapse import Collapse
from autoscale_aks.clock import SystemClock
from autoscale_aks.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoscale_aks.config import LoggingConfig

LINE = "%(asctime)s %(levelname)s [%(plan)s] %(name)s: %(message)s"
NO_PLAN: Final = "-"
HIDDEN: Final = "[hidden]"
_SECRETS: Final = re.compile(
    r"(?i)(?<=bearer )[A-Za-z0-9._~+/=-]{8,}"
    r"|eyJ[A-Za-z0-9_-]{17,}(?:\.[A-Za-z0-9_-]+)*"
    r"|(?<=[?&]sig=)[^&\s\"']+"
    r"|(?<=[?&]s=)[^&\s\"']{8,}"
    r"|(?<=://)[^/\s:@\"']{1,256}:[^/\s@\"']{1,256}(?=@)"
    r"|(?:(?<=password=)|(?<=client_secret=)|(?<=accountkey=)|(?<=access_token=))[^\s;&\"']+"
)


class PlanStamp(logging.Filter):
    """Puts the plan id into every line (`%(plan)s`) and hides what looks like a secret."""

    def __init__(self) -> None:
        super().__init__()
        self.plan = NO_PLAN

    def filter(self, record: logging.LogRecord) -> bool:
        """Always true: lines are marked, none is left out."""
        record.plan = self.plan
        message = record.getMessage()
        shown = without_secrets(message)
        if shown != message:
            record.msg, record.args = shown, ()
        return True


STAMP: Final = PlanStamp()
"""The one stamp of this process: a process has one cycle at a time."""


def stamped(plan_id: str) -> str:
    """From now on lines belong to this plan."""
    STAMP.plan = plan_id
    return plan_id


def without_secrets(text: str) -> str:
    """The text with tokens, signatures and passwords hidden."""
    return _SECRETS.sub(HIDDEN, text)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time` (UTC), `level`, `logger`, `plan`, `message`, and `exception` where there is one.

    In a logging.conf: `class = autoscale_aks.cli.logs.JsonFormatter`.
    """

    def __init__(self, *_: Any, **__: Any) -> None:  # fileConfig gives a format, which says nothing here
        super().__init__()

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        moment = datetime.fromtimestamp(record.created, timezone.utc)
        line: dict[str, str] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "plan": getattr(record, "plan", NO_PLAN),
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = without_secrets(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """A line of text; exceptions without what looks like a secret."""

    def formatException(self, ei: Any) -> str:  # noqa: N802  the library's name
        """The traceback, cleaned."""
        return without_secrets(super().formatException(ei))


def configure_logging(config: LoggingConfig) -> None:
    """Set logging up once for this process. Raises ConfigError for a logging file that cannot be used."""
    before = set(_handlers())
    if config.config_file is None:
        stderr = logging.StreamHandler()
        stderr.setFormatter(JsonFormatter() if config.format == "json" else TextFormatter(LINE))
        logging.basicConfig(level=config.level, handlers=[stderr])
    else:
        from logging.config import fileConfig  # noqa: PLC0415  it brings sockets and a server along

        try:
            fileConfig(config.config_file, disable_existing_loggers=False)
        except (OSError, KeyError, ValueError, RuntimeError, ImportError, AttributeError) as error:
            said = f"{config.config_file} cannot be used: {error}; see conf/logging.conf"
            raise ConfigError([Problem("logging.config_file", said)]) from error
    for handler in _handlers():
        _set_up(handler, config.collapse_s if handler not in before else 0.0)


def _set_up(handler: logging.Handler, collapse_s: float) -> None:
    """A handler marks its lines, then counts those that repeat themselves.

    Every handler, for a filter on a logger would miss the lines of its children; those of others only mark.
    """
    if STAMP not in handler.filters:
        handler.addFilter(STAMP)
    if collapse_s:
        collapse = Collapse(handler, collapse_s, SystemClock().now)
        handler.addFilter(collapse)
        atexit.register(collapse.flush)


def _handlers() -> Iterable[logging.Handler]:
    loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict))]
    return [handler for logger in loggers for handler in logger.handlers]
