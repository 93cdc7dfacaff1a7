"""The report's page in a real Chromium: right figures, no complaint, for eyes, keyboard, screen reader and paper."""

from __future__ import annotations

import io
import json
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from unit.reports.report_scenes import AT, Scene, big_scene, full_scene, lives

from autoscale_aks.cli.demand_output import page_assets
from autoscale_aks.reports.changes import compare
from autoscale_aks.reports.demand import render_demand
from autoscale_aks.reports.document import demand_text
from autoscale_aks.reports.page import render_page
from autoscale_aks.reports.timeline import draw_timeline

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: the page is not tested")

from axe_core_python.selenium import Axe  # noqa: E402
from e2e.browser_rig import CHROMIUM, DRIVER, Browser, started_browser  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.wait import WebDriverWait  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver.remote.webelement import WebElement

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="NO CHROMIUM: the page is not tested (apt install chromium chromium-driver)"
    ),
]

PARTS = (
    "What would help", "What changed", "Would start", "Demand against limits", "Limits", "Nodes, and what fills them",
    "Would stop", "Under way", "Waiting jobs by reason", "Machines over time", "Notes and sources",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started_browser() as started:
        yield started


@pytest.fixture(scope="module")
def scene() -> Scene:
    return full_scene()


@pytest.fixture(scope="module")
def document(scene: Scene) -> dict[str, Any]:
    return json.loads(demand_text(render_demand(scene.report(), scene.plan)))


@pytest.fixture(scope="module")
def page(scene: Scene, document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages") / "demand.html"
    before = {**document, "waiting": [], "starts": []}
    path.write_text(
        render_page(
            scene.report(notices=("a note",)),
            scene.plan,
            page_assets(),
            subject="prod & <b>bold</b>",
            changes=compare(before, document),
            timeline=draw_timeline(lives(), AT - 86_400, AT),
        ),
        encoding="utf-8",
    )
    return path


@pytest.fixture
def shown(browser: Browser, page: Path) -> Browser:
    browser.media()
    browser.width(None)
    browser.open(page)
    return browser


def table(browser: Browser, section: str) -> list[list[str]]:
    """The body of a part's first table, as text."""
    return browser.run(
        "return [...document.querySelector(`#${arguments[0]} table`).tBodies[0].rows]"
        ".map(row => [...row.cells].map(cell => cell.textContent.trim()))",
        section,
    )


def number(text: str) -> float:
    return float(text.replace(",", ""))


def test_nothing_complains_and_nothing_that_a_job_is_called_runs(shown: Browser) -> None:
    assert shown.complaints() == []
    assert shown.run("return window.broken") is None
    assert shown.run("return document.querySelector('h1').textContent") == "prod & <b>bold</b>"
    assert shown.run("return performance.getEntriesByType('resource').map(one => one.name)") == []


def test_every_figure_is_that_of_the_json_document(shown: Browser, document: dict[str, Any]) -> None:
    summary = document["summary"]
    for name in ("machines", "stopping", "waiting_jobs", "placed_slots", "ready_nodes"):
        assert (
            number(shown.run("return document.querySelector(`[data-figure=${arguments[0]}]`).textContent", name))
            == (summary[name])
        ), name
    rows = table(shown, "starts")[:-1]
    assert [(row[0], number(row[1]), number(row[3]), number(row[4])) for row in rows] == [
        (one["bucket"], one["machines"], one["puts"], pytest.approx(one["price_per_hour"], abs=0.005))
        for one in document["starts"]
    ]
    assert [(row[0], number(row[1])) for row in table(shown, "stops")] == [
        (one["bucket"], one["machines"]) for one in document["stops"]
    ]
    assert [(row[0], number(row[1]), number(row[2])) for row in table(shown, "waits")] == [
        (one["code"], one["jobs"], one["slots"]) for one in document["waiting"]
    ]
    assert {(row[0], number(row[2]), number(row[3]), number(row[4])) for row in table(shown, "limits")} == {
        (f"{one['kind']} {one['name']}".removesuffix(" cluster"), one["used"], one["added"], one["missing"])
        for one in document["limits"]
        if one["used"] or one["added"] or one["missing"]
    }
    assert [(row[0], *map(number, row[2:5])) for row in table(shown, "demand")] == [
        (one["bucket"], one["there"], one["new"], one["beyond"]) for one in document["demand"]
    ]


def test_the_picture_of_the_nodes_has_a_cell_a_node(shown: Browser, document: dict[str, Any]) -> None:
    cells = shown.run("return [...document.querySelectorAll('.cells')].map(box => box.children.length)")
    assert cells == [one["nodes"] for one in document["fleet"]]
    assert shown.run("return document.querySelectorAll('.cells i.new').length") == document["summary"]["machines"]


def test_the_list_of_jobs_is_searched_filtered_sorted_and_turned(shown: Browser, document: dict[str, Any]) -> None:
    def said() -> str:
        return shown.run("return document.getElementById('found').textContent")

    def names() -> list[str]:
        return shown.run("return [...document.querySelectorAll('#list tbody th')].map(one => one.textContent)")

    driver = shown.driver
    waiting = [one["name"] for one in document["jobs"] if one["status"] != "success"]
    assert said() == f"{len(waiting)} of {len(waiting)} jobs"
    assert names() == [name for name in waiting[:25] if "\x1b" not in name]
    driver.find_element(By.ID, "after").click()
    assert names() == waiting[25:50]
    driver.find_element(By.ID, "q").send_keys("SWEEP-1")
    WebDriverWait(driver, 5).until(lambda _: said().startswith("11 of"))
    assert names() == [name for name in waiting if "sweep-1" in name]
    driver.find_element(By.CSS_SELECTOR, "#list button[data-column='0']").click()
    assert names()[:3] == ["sweep-1", "sweep-10", "sweep-11"]
    driver.find_element(By.CSS_SELECTOR, "#list button[data-column='0']").click()
    assert names()[:3] == ["sweep-19", "sweep-18", "sweep-17"]
    assert shown.run("return document.querySelector('#list th').getAttribute('aria-sort')") == "descending"
    shown.run("const s = document.getElementById('reason'); s.selectedIndex = 1; s.dispatchEvent(new Event('change'))")
    assert said() == f"0 of {len(waiting)} jobs"


def test_the_keyboard_reaches_everything_in_order_and_shows_where_it_is(shown: Browser) -> None:
    driver = shown.driver
    seen: list[str] = []
    for _ in range(60):
        ActionChains(driver).send_keys(Keys.TAB).perform()
        element: WebElement = driver.switch_to.active_element
        name = element.get_attribute("id") or element.text or element.tag_name
        if name in seen or element.tag_name == "body":
            break
        seen.append(name)
        assert shown.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid", name
    links = shown.run("return document.querySelectorAll('nav a').length")
    assert seen[0] == "Skip to the report"
    assert len([name for name in seen[1 : links + 1] if name]) == links
    wanted = ["q", "reason", "Job", "Slots", "Queue", "User", "Reason", "after", "The figures as a table"]
    assert [name for name in seen if name in wanted] == wanted
    driver.get(driver.current_url.split("#")[0])
    ActionChains(driver).send_keys(Keys.TAB, Keys.ENTER).perform()
    assert driver.current_url.endswith("#main")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_for_those_who_cannot_see_or_see_badly(shown: Browser, scheme: str) -> None:
    shown.media(scheme)
    found = Axe().run(shown.driver)
    told = [f"{one['id']}: {[node['target'] for node in one['nodes']][:5]}" for one in found["violations"]]
    assert told == []
    assert len(found["passes"]) > 15
    assert "color-contrast" in {one["id"] for one in found["passes"]}


def test_dark_and_light_are_different_pages_for_the_eye(shown: Browser) -> None:
    ground = "return getComputedStyle(document.body).backgroundColor"
    shown.media("light")
    light = shown.run(ground)
    shown.media("dark")
    assert shown.run(ground) != light


@pytest.mark.parametrize("pixels", [320, 360, 768, 1280])
def test_no_width_needs_scrolling_sideways(shown: Browser, pixels: int) -> None:
    shown.width(pixels)
    shown.open(Path(shown.driver.current_url.split("#")[0].removeprefix("file://")))
    wide, there = shown.run("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert (wide, there) == (pixels, pixels)
    hidden = shown.run(
        "return [...document.querySelectorAll('main *')].filter("
        "one => !one.closest('[hidden], thead, caption, .hidden')"
        " && one.getBoundingClientRect().right > innerWidth + 1)"
        ".map(one => one.tagName + '.' + one.className)"
    )
    assert hidden == []


def test_paper_has_every_part_and_no_controls(shown: Browser) -> None:
    pypdf = pytest.importorskip("pypdf")
    read = pypdf.PdfReader(io.BytesIO(shown.printed()))
    text = unicodedata.normalize("NFKC", " ".join(sheet.extract_text() for sheet in read.pages))
    words = " ".join(text.split())
    assert [part for part in PARTS if part not in words] == []
    assert "Find a job" not in words
    assert "raise standardDSv5Family in westus2 by 344 cores" in words


def test_ten_thousand_nodes_and_a_hundred_thousand_jobs_open_and_answer(browser: Browser, tmp_path: Path) -> None:
    scene = big_scene()
    report = scene.report()
    path = tmp_path / "big.html"
    path.write_text(render_page(report, scene.plan, page_assets()), encoding="utf-8")
    assert path.stat().st_size < 5_000_000
    browser.media()
    browser.width(None)
    browser.open(path)
    assert browser.complaints() == []
    assert browser.run("return document.getElementById('found').textContent") == (
        f"{report.waiting_jobs:,} of {report.waiting_jobs:,} jobs"
    )
    nodes = sum(row.nodes for row in report.fleet)
    heads = browser.run("return [...document.querySelectorAll('.bucket h3 small')].map(one => one.textContent)")
    assert sum(number(head.split()[0]) for head in heads) == nodes
    browser.run("document.querySelector('#list button').click()")
    assert browser.run("return document.querySelectorAll('#list tbody tr').length") == 25
