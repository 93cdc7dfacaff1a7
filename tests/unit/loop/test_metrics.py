"""Metrics have bounded labels, go on over processes, and dashboard, alerts and docs name only what there is (T28)."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from unit.reconcile.fakes import SIZE, Site, bucket
from unit.reconcile.site_fixture import make_site, site

from autoscale_aks.cli.metering import Metering, metered
from autoscale_aks.cli.run import _metered
from autoscale_aks.errors import ConfigError, SchedulerError
from autoscale_aks.loop.exposition import MetricsServer, Pulse, render_metrics, write_textfile
from autoscale_aks.loop.metrics import METRICS, PREFIX, Meter
from autoscale_aks.model.launch import FaultKind
from autoscale_aks.model.reason import ReasonCode
from autoscale_aks.reconcile import run_cycle
from autoscale_aks.reports.stage_counts import STAGES

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["make_site", "site"]

ROOT = Path(__file__).parents[3]
NAMES = {f"{PREFIX}{metric.name}" for metric in METRICS}


def samples(page: bytes) -> dict[tuple[str, tuple[str, ...]], float]:
    """The page as a Prometheus server reads it."""
    return {
        (sample.name, tuple(sorted(sample.labels.values()))): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def metered_cycle(site: Site) -> dict[tuple[str, tuple[str, ...]], float]:
    """One cycle as cron runs it, and what node_exporter then reads."""
    with site.world() as world, metered(world) as done:
        done(run_cycle(world))
    return samples((site.directory / "azaks.prom").read_bytes())


@pytest.fixture
def watched(make_site: Callable[..., Site]) -> Site:
    return make_site(
        metrics={"textfile": "azaks.prom"},
        nodearrays={"htc": {"buckets": [bucket(SIZE, price=0.25)]}},
        limits={"cluster_max_nodes": 2},
    )


def test_a_cron_run_leaves_its_figures_and_counters_go_on_with_the_next_one(watched: Site) -> None:
    watched.scheduler.submit("work", iterations=3)
    first = metered_cycle(watched)
    assert first["azaks_creates_total", ("accepted", "none")] == 2
    assert first["azaks_waiting_slots", ("LIMIT",)] == 1
    assert first["azaks_cycles_total", ("ok",)] == 1
    assert first["azaks_puts_total", ()] == 1
    watched.boot()
    second = metered_cycle(watched)
    assert second["azaks_creates_total", ("accepted", "none")] == 2
    assert second["azaks_cycles_total", ("ok",)] == 2
    assert second["azaks_machines", ("htc", "idle")] == 2
    assert second["azaks_price_per_hour", ("htc",)] == 0.5
    assert second["azaks_last_success_timestamp_seconds", ()] == pytest.approx(watched.clock.now(), abs=5)
    assert second["azaks_waiting_oldest_timestamp_seconds", ("LIMIT",)] <= watched.clock.now() - 60


def test_refusals_are_counted_by_kind_and_failed_cycles_as_such(watched: Site) -> None:
    watched.fault(kind="client_error", code="SkuNotAvailable", names=("site-htc-1",))
    watched.scheduler.submit("work")
    page = metered_cycle(watched)
    assert (
        page["azaks_creates_total", ("capacity", "rejected")] + page["azaks_creates_total", ("rejected", "validation")]
        == 1
    )
    assert page["azaks_back_offs", ("CAPACITY_BACKOFF",)] == 0, "what this cycle taught is in force from the next on"
    assert metered_cycle(watched)["azaks_back_offs", ("CAPACITY_BACKOFF",)] == 1
    watched.scheduler.failing["read"] = "away"
    with pytest.raises(SchedulerError):
        metered_cycle(watched)
    failed = samples((watched.directory / "azaks.prom").read_bytes())
    assert failed["azaks_cycles_total", ("failed",)] == 1
    assert failed["azaks_last_success_timestamp_seconds", ()] < watched.clock.now() + 1


def test_a_textfile_that_cannot_be_written_costs_no_cycle(make_site: Callable[..., Site], caplog: Any) -> None:
    site = make_site(metrics={"textfile": "nowhere/azaks.prom"})
    with site.world() as world, metered(world) as done:
        done(run_cycle(world))
    assert "cannot be written" in caplog.text


def test_a_textfile_is_replaced_at_once_and_readable(tmp_path: Path) -> None:
    place = tmp_path / "azaks.prom"
    write_textfile(place, b"old\n")
    with place.open("rb") as reader:
        write_textfile(place, b"new\n")
        assert reader.read() == b"old\n", "a reader has the old page, whole"
    assert place.read_bytes() == b"new\n"
    assert place.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["azaks.prom"]


def test_every_metric_is_shown_with_its_kind_and_none_of_the_process_is_added() -> None:
    families = list(text_string_to_metric_families(render_metrics(Meter()).decode()))
    shown = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    assert shown == NAMES
    for metric in METRICS:
        (family,) = [one for one in families if one.documentation == metric.text]
        assert f"{PREFIX}{metric.name}".removesuffix("_total") == family.name
        assert family.type == metric.kind


def test_labels_are_bounded_whatever_a_site_has(make_site: Callable[..., Site]) -> None:
    arrays = {f"array{number}": {"buckets": [bucket()]} for number in range(100)}
    site = make_site(nodearrays=arrays, metrics={"textfile": "azaks.prom"})
    for number in range(200):
        site.scheduler.submit(f"job{number}")
    page = metered_cycle(site)
    assert len(page) < 2000
    closed = {*STAGES, *(code.value for code in ReasonCode), *(kind.value for kind in FaultKind)}
    labels = {label for (_, values) in page for label in values} - closed
    assert not [label for label in labels if label.startswith(("job", "site-"))]


def test_counters_that_cannot_be_read_begin_anew() -> None:
    meter = Meter()
    for text in ("nonsense", "[]", '{"cycles_total": 5}', '{"puts_total": [[["x"], 1]]}', '{"gone": [[[], 1]]}', None):
        meter.restore(text)
    assert meter.values["puts_total"] == {(): 0.0}
    meter.restore('{"puts_total": [[[], 7]]}')
    assert meter.values["puts_total"] == {(): 7.0}


def ask(port: int, path: str, method: str = "GET") -> tuple[int, bytes, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read(), answer.headers["Content-Type"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), ""


def test_the_pages_answer_gets_and_health_follows_the_cycles(site: Site) -> None:
    pulse = Pulse(clock=site.clock, limit_s=100.0, last=site.clock.now())
    with MetricsServer(("127.0.0.1", 0), lambda: b"page\n", pulse) as server:
        assert ask(server.port, "/metrics")[:2] == (200, b"page\n")
        assert ask(server.port, "/metrics")[2].startswith("text/plain; version=0.0.4")
        assert ask(server.port, "/metrics", "HEAD")[1] == b""
        assert ask(server.port, "/etc/passwd")[0] == 404
        assert ask(server.port, "/metrics", "POST")[0] == 501
        assert json.loads(ask(server.port, "/healthz")[1])["status"] == "ok"
        site.advance(101)
        status, body, _ = ask(server.port, "/healthz")
        assert (status, json.loads(body)["status"]) == (503, "stalled")
        pulse.beat()
        assert ask(server.port, "/healthz")[0] == 200


def test_an_address_that_is_taken_is_bad_configuration(site: Site) -> None:
    pulse = Pulse(clock=site.clock, limit_s=1.0, last=0.0)
    with MetricsServer(("127.0.0.1", 0), lambda: b"", pulse) as server, pytest.raises(ConfigError, match="listen"):
        MetricsServer(("127.0.0.1", server.port), lambda: b"", pulse)


def test_nothing_listens_unless_it_is_asked_to(site: Site) -> None:
    after = _metered(site.config, site.clock, 30.0, None)  # type: ignore[arg-type]
    after(None, None, 1.0)


def test_a_cycle_without_its_ledger_is_a_failed_one_and_a_sign_of_life(watched: Site) -> None:
    pulse = Pulse(clock=watched.clock, limit_s=10.0, last=watched.clock.now())
    metering = Metering(watched.config, watched.clock, pulse)
    watched.advance(60)
    metering.after(None, None, 2.5)
    assert pulse.is_well
    assert samples(metering.page)["azaks_cycles_total", ("failed",)] == 1


# What is shipped


def named(expression: str) -> set[str]:
    return set(re.findall(r"\bazaks_\w+", expression))


def test_the_docs_list_exactly_the_metrics_there_are() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(azaks_\w+)` \| (\w+) \| (.*?) \| (.*?) \|$", page, re.MULTILINE)
    assert [(name, kind, re.findall(r"`(\w+)`", labels), text) for name, kind, labels, text in rows] == [
        (f"{PREFIX}{metric.name}", metric.kind, list(metric.labels), metric.text) for metric in METRICS
    ]
    assert named(page) <= NAMES


def test_every_query_of_the_dashboard_asks_for_metrics_there_are() -> None:
    board = json.loads((ROOT / "conf" / "grafana" / "azaks.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert all(named(query) for query in queries)
    asked = set().union(*map(named, queries))
    assert asked <= NAMES
    left_out = {"azaks_build_info", "azaks_last_cycle_timestamp_seconds", "azaks_ledger_updated_timestamp_seconds",
                "azaks_waiting_jobs"}  # fmt: skip
    assert asked == NAMES - left_out, "what is measured is shown"
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(set(places)) == len(places) == len({panel["id"] for panel in board["panels"]})


def test_labels_in_queries_and_rules_are_labels_of_their_metric() -> None:
    by_name = {f"{PREFIX}{metric.name}": set(metric.labels) for metric in METRICS}
    board = (ROOT / "conf" / "grafana" / "azaks.json").read_text()
    rules = (ROOT / "conf" / "prometheus" / "alerts.yaml").read_text()
    for name, inside in re.findall(r"(azaks_\w+)\{([^}]*)\}", board + rules):
        assert set(re.findall(r"(\w+)\s*[=!]~?", inside.replace('\\"', '"'))) <= by_name[name], name
    for labels, name in re.findall(r"by \(([\w, ]+)\) \((?:increase\()?(azaks_\w+)", board + rules):
        assert {label.strip() for label in labels.split(",")} <= by_name[name], name


def test_every_alert_asks_for_metrics_there_are_and_says_what_to_do() -> None:
    document = yaml.safe_load((ROOT / "conf" / "prometheus" / "alerts.yaml").read_text())
    rules = [rule for group in document["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules) >= 8
    for rule in rules:
        assert named(rule["expr"]), rule["alert"]
        assert named(rule["expr"]) <= NAMES, rule["alert"]
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["action"]
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        reasons = re.search(r'reason!~"([A-Z_|]+)"', rule["expr"])
        if reasons:
            assert set(reasons[1].split("|")) <= {code.value for code in ReasonCode}
