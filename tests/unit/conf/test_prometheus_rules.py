"""conf/prometheus is true for the real promtool: rules are read, each alert fires on its trouble, the page is clean."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from unit.reconcile.site_fixture import make_site, site

from autoscale_aks.cli.metering import metered
from autoscale_aks.reconcile import run_cycle

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.reconcile.fakes import Site

__all__ = ["make_site", "site"]

ROOT = Path(__file__).parents[3]
RULES = ROOT / "conf" / "prometheus" / "alerts.yaml"
STORIES = ROOT / "tests" / "fixtures" / "prometheus" / "alerts_test.yaml"
PROMTOOL = shutil.which("promtool")
real = pytest.mark.skipif(
    PROMTOOL is None,
    reason="NO PROMTOOL HERE: rules are read, but no alert is fired (it comes with Debian's prometheus; .ci/run)",
)


def promtool(*arguments: str, stdin: bytes = b"") -> str:
    """What it prints; fails unless it is content."""
    done = subprocess.run([str(PROMTOOL), *arguments], input=stdin, capture_output=True, timeout=60, check=False)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


def alerts() -> set[str]:
    return {rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}


def looks(*, firing: bool) -> set[str]:
    """The alerts that a story looks at when they fire, or when they do not."""
    stories: list[dict[str, Any]] = yaml.safe_load(STORIES.read_text())["tests"]
    return {
        look["alertname"]
        for story in stories
        for look in story["alert_rule_test"]
        if bool(look.get("exp_alerts")) is firing
    }


def test_every_alert_has_a_story_in_which_it_fires_and_one_in_which_it_is_silent() -> None:
    assert looks(firing=True) == alerts() == looks(firing=False)


@real
def test_prometheus_reads_the_rules() -> None:
    assert f"{len(alerts())} rules found" in promtool("check", "rules", str(RULES))


@real
def test_each_alert_fires_on_the_trouble_it_is_for(tmp_path: Path) -> None:
    for path in (RULES, STORIES):
        shutil.copy(path, tmp_path)
    assert "SUCCESS" in promtool("test", "rules", str(tmp_path / STORIES.name))


@real
def test_the_page_of_a_cycle_is_as_prometheus_wants_it(make_site: Callable[..., Site]) -> None:
    watched = make_site(metrics={"textfile": "azaks.prom"})
    watched.scheduler.submit("work", iterations=3)
    with watched.world() as world, metered(world) as done:
        done(run_cycle(world))
    assert promtool("check", "metrics", stdin=(watched.directory / "azaks.prom").read_bytes()) == ""
