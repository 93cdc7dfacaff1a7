"""Every line belongs to its plan and none tells a secret (user asks T28b, T32a)."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from unit.cli.office import run
from unit.reconcile.site_fixture import make_site, site

from autoscale_aks.cli import logs
from autoscale_aks.cli.collapse import Collapse
from autoscale_aks.cli.logs import HIDDEN, LINE, STAMP, JsonFormatter, TextFormatter, configure_logging, stamped
from autoscale_aks.cli.main import UNAVAILABLE
from autoscale_aks.config import LoggingConfig
from autoscale_aks.errors import ConfigError, SchedulerError
from autoscale_aks.reconcile import run_cycle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unit.cli.office import Office
    from unit.reconcile.fakes import Site

__all__ = ["make_site", "site"]

CONF = Path(__file__).parents[3] / "conf" / "logging.conf"


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers:
        for one in handler.filters:
            if isinstance(one, Collapse):
                one.flush()
        if handler not in handlers:
            handler.close()
        handler.removeFilter(STAMP)
    root.handlers[:], STAMP.plan = handlers, logs.NO_PLAN
    root.setLevel(level)


class Lines(logging.Handler):
    """Keeps what a formatter makes of the lines."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(formatter)
        self.addFilter(STAMP)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def listening(formatter: logging.Formatter) -> Lines:
    handler = Lines(formatter)
    logging.getLogger("autoscale_aks").addHandler(handler)
    logging.getLogger("autoscale_aks").setLevel(logging.DEBUG)
    return handler


@pytest.fixture
def json_lines() -> Iterator[Lines]:
    handler = listening(JsonFormatter())
    yield handler
    logging.getLogger("autoscale_aks").removeHandler(handler)
    logging.getLogger("autoscale_aks").setLevel(logging.NOTSET)


def test_one_plan_id_goes_through_scheduler_cloud_and_ledger_lines(site: Site, json_lines: Lines) -> None:
    site.scheduler.submit("work")
    plan_id = site.cycle().plan_id
    lines = [json.loads(line) for line in json_lines.lines]
    of_plan = {line["logger"] for line in lines if line["plan"] == plan_id}
    assert {"autoscale_aks.scheduler", "autoscale_aks.ledger.store", "autoscale_aks.cloud.aks.caller"} <= of_plan
    begun = next(index for index, line in enumerate(lines) if line["plan"] == plan_id)
    assert all(line["plan"] == plan_id for line in lines[begun:])
    with site.ledger() as ledger:
        assert ledger.cycles()[0].plan_id == plan_id


def test_two_cycles_have_two_plans(site: Site, json_lines: Lines) -> None:
    plans = [site.cycle().plan_id for _ in range(2)]
    assert [
        plan for plan in dict.fromkeys(json.loads(line)["plan"] for line in json_lines.lines) if plan in plans
    ] == plans


def test_a_failing_scheduler_is_told_of_with_the_plan(site: Site, json_lines: Lines) -> None:
    site.scheduler.failing["read"] = "slurmctld is away"
    with site.world() as world, pytest.raises(SchedulerError):
        run_cycle(world)
    told = [json.loads(line) for line in json_lines.lines if "slurmctld is away" in line]
    assert {line["level"] for line in told} >= {"WARNING"}
    assert told[0]["plan"] != logs.NO_PLAN


def test_lines_from_other_threads_have_the_plan_too(json_lines: Lines) -> None:
    stamped("abc123")
    thread = threading.Thread(target=logging.getLogger("autoscale_aks.worker").info, args=("sent",))
    thread.start()
    thread.join()
    assert json.loads(json_lines.lines[-1])["plan"] == "abc123"


SECRETS = [
    ("Authorization: Bearer abcdefghijklmnop123456", "abcdefghijklmnop123456"),
    ("token eyJhbGciOiJSUzI1NiIsInR5cCI6.eyJzdWIi.c2ln", "eyJhbGciOiJSUzI1NiIsInR5cCI6"),
    ("GET https://x.blob/azure?se=1&sig=Zm9vYmFyYmF6 done", "Zm9vYmFyYmF6"),
    ("redis://celery:hunter22@broker:6379/0", "hunter22"),
    ("client_secret=very-secret-value;", "very-secret-value"),
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter(LINE)])
def test_a_secret_never_reaches_a_line(formatter: logging.Formatter, text: str, secret: str) -> None:
    handler = listening(formatter)
    log = logging.getLogger("autoscale_aks.leak")
    try:
        log.warning(text)
        log.warning("as an argument: %s", text)
        try:
            int(text)
        except ValueError:
            log.exception("as an exception")
    finally:
        logging.getLogger("autoscale_aks").removeHandler(handler)
    assert len(handler.lines) == 3
    assert not [line for line in handler.lines if secret in line]
    assert HIDDEN in handler.lines[0]


def test_json_lines_are_one_object_each_with_the_time_in_utc(json_lines: Lines) -> None:
    logging.getLogger("autoscale_aks.x").info("two\nlines and a %s", "ü")
    (line,) = json_lines.lines
    assert "\n" not in line
    found = json.loads(line)
    assert found["message"] == "two\nlines and a ü"
    assert found["time"].endswith("Z")
    assert list(found) == ["time", "level", "logger", "plan", "message"]


def test_the_shipped_file_works_rotates_and_marks_its_lines(tmp_path: Path) -> None:
    text = CONF.read_text().replace("/var/log/azaks", str(tmp_path)).replace("10485760, 10", "2000, 3")
    for formatter in ("line", "json"):
        place = tmp_path / f"{formatter}.conf"
        place.write_text(text.replace("level = DEBUG\nformatter = line", f"level = DEBUG\nformatter = {formatter}"))
        configure_logging(LoggingConfig(config_file=place))
        stamped("feed0000beef")
        for number in range(100):
            logging.getLogger("autoscale_aks.cycle").info("line %d", number)
        last = (tmp_path / "azaks.log").read_text().splitlines()[-1]
        assert "feed0000beef" in last
        assert "line 99" in last
        if formatter == "json":
            assert json.loads(last)["plan"] == "feed0000beef"
    assert {path.name for path in tmp_path.glob("azaks.log*")} == {"azaks.log", *(f"azaks.log.{n}" for n in (1, 2, 3))}


def test_a_logging_file_that_cannot_be_used_is_bad_configuration(tmp_path: Path) -> None:
    place = tmp_path / "logging.conf"
    place.write_text("[loggers]\nkeys = nobody\n")
    with pytest.raises(ConfigError, match="cannot be used"):
        configure_logging(LoggingConfig(config_file=place))


@pytest.mark.parametrize(("collapse_s", "written"), [(600.0, 1), (0.0, 50)])
def test_a_line_that_repeats_itself_is_counted_unless_that_is_switched_off(
    tmp_path: Path, collapse_s: float, written: int
) -> None:
    place = tmp_path / "logging.conf"
    place.write_text(CONF.read_text().replace("/var/log/azaks/azaks.log", str(tmp_path / "azaks.log")))
    configure_logging(LoggingConfig(config_file=place, collapse_s=collapse_s))
    for _ in range(50):
        logging.getLogger("autoscale_aks.cycle").info("away")
    assert (tmp_path / "azaks.log").read_text().count("away") == written


def test_who_looks_is_told_once_that_the_scheduler_is_away(office: Office) -> None:
    office.configure(scheduler={"type": "command", "jobs": ["there-is-no-such-program"]})
    done = run("demand", "-c", office.config)
    assert done.returncode == UNAVAILABLE
    assert done.stderr.count("there-is-no-such-program") == 1
    assert done.stderr.startswith("error: ")
