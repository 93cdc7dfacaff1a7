"""The page's text, without a browser: what is in it, what cannot be, and how large it is."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache

import pytest
from jinja2 import UndefinedError
from report_scenes import AT, HOSTILE, Scene, big_scene, full_scene, lives

from autoscale_aks.cli.demand_output import page_assets
from autoscale_aks.model.job import Job, JobShape
from autoscale_aks.planning.planner import plan
from autoscale_aks.reports import page_jobs
from autoscale_aks.reports.page import headline, render_page
from autoscale_aks.reports.timeline import draw_timeline


def page_of(scene: Scene, **more: object) -> str:
    return render_page(scene.report(), scene.plan, page_assets(), **more)  # type: ignore[arg-type]


@cache
def full_page() -> str:
    return page_of(full_scene(), subject="<b>ours</b>", timeline=draw_timeline(lives(), AT - 86_400, AT))


def embedded(page: str) -> dict[str, object]:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def test_the_page_needs_nothing_from_anywhere() -> None:
    page = full_page()
    assert (
        re.findall(r"https?://|//[a-z]|@import|url\(|<link|<iframe|<img|<object|\bsrc=(?!x)", without_jobs(page)) == []
    )
    assert "default-src 'none'" in page


def without_jobs(page: str) -> str:
    """The page without what jobs are called and without remarks of the script."""
    for name in HOSTILE:
        page = page.replace(
            name.replace("<", "&lt;").replace(">", "&gt;").replace("'", "&#39;").replace('"', "&#34;"), ""
        )
    return re.sub(r'id="data">.*?</script>', "", page, flags=re.DOTALL)


def test_what_jobs_and_clusters_are_called_stays_text() -> None:
    page = full_page()
    assert page.count("<script") == 2
    assert page.count("</script>") == 2
    for tag in ("<img", "<b>ours", "<svg onload", "\x1b", "\u202e"):
        assert tag not in page, tag
    assert "{{ 7 * 7 }}" in str(embedded(page)["names"]).split("\n")


def test_the_list_has_every_waiting_job_with_its_reason() -> None:
    scene = full_scene()
    data = embedded(full_page())
    report = scene.report()
    names = str(data["names"]).split("\n")
    assert len(names) == report.waiting_jobs
    assert sum(data["slots"]) == report.waiting_slots  # type: ignore[call-overload]
    for row in report.waits:
        for index in row.members[:3]:
            name = scene.plan.jobs[index].name
            if name in names:
                reason = data["reasons"][data["group"][names.index(name)]]  # type: ignore[index]
                assert reason["code"] == row.code


def test_a_list_that_would_be_too_large_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_jobs, "MOST_BYTES", 300)
    page = page_of(full_scene())
    listed = len(str(embedded(page)["names"]).split("\n"))
    assert 0 < listed < 72
    assert f"The list holds the first {listed} of 72 jobs" in page


def test_ten_thousand_nodes_and_a_hundred_thousand_jobs_are_a_page_of_less_than_five_megabytes() -> None:
    page = page_of(big_scene())
    assert len(page.encode()) < 5_000_000


def test_long_names_of_jobs_do_not_make_the_page_larger_than_that() -> None:
    full = full_scene()
    held = JobShape(constraints=({"ncpus": 1},))
    jobs = tuple(Job(name=f"{number}-{'x' * 700}", shape=held, runnable=False) for number in range(8_000))
    snapshot = replace(full.snapshot, jobs=jobs)
    page = page_of(Scene(snapshot, full.policy, plan(snapshot, full.policy)))
    assert len(page.encode()) < 5_000_000
    assert "The list holds the first" in page


def test_an_empty_cluster_has_a_page_too() -> None:
    full = full_scene()
    empty = replace(full.snapshot, jobs=(), nodes=())
    page = page_of(Scene(empty, full.policy, plan(empty, full.policy)))
    for words in ("Nothing to start.", "Nothing to stop.", "No job waits without a place.", "No machine is remembered"):
        assert words in page
    assert "Nothing to do now" in page


def test_every_part_that_is_listed_is_there() -> None:
    page = full_page()
    targets = re.findall(r'<li><a href="#([a-z]+)">', page)
    assert len(targets) >= 10
    for target in targets:
        assert f'<section id="{target}"' in page


def test_the_headline_says_the_plan_in_a_sentence() -> None:
    report = full_scene().report()
    assert headline(report) == (
        "124 machines would start at $52.32 an hour; 5 machines would stop; 72 jobs wait for something else."
    )


def test_a_template_that_names_what_is_not_there_is_an_error() -> None:
    scene = full_scene()
    assets = {**page_assets(), "page.html.j2": "{{ nobody }}"}
    with pytest.raises(UndefinedError):
        render_page(scene.report(), scene.plan, assets)
