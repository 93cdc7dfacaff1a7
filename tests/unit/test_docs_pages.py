"""The pages under docs/ are whole: they build without a warning, and what they name exists."""

from __future__ import annotations

import logging
import re
import shlex
from pathlib import Path

import click
import pytest

from autoscale_aks.cli.main import cli
from autoscale_aks.model.reason import LimitKind, ReasonCode

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "conf" / "README.md"])
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(azaks [^`\n]+)`")
STANDS_FOR_MORE = re.compile(r"[A-Z]{3,}|…|\||\[|<")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def commands(page: Path) -> list[str]:
    """Every `azaks` command a page shows, in its console blocks and in its sentences."""
    text = page.read_text(encoding="utf-8")
    shown = [
        line[2:]
        for block in CONSOLE.findall(text)
        for line in block.splitlines()
        if line.startswith("$ azaks ")
    ]  # fmt: skip
    return [*shown, *INLINE.findall(text)]


def build_site(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    monkeypatch.chdir(ROOT)
    from mkdocs.commands.build import build  # noqa: PLC0415  it looks at the environment as it is imported
    from mkdocs.config import load_config  # noqa: PLC0415

    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(directory)))


def test_the_site_builds_without_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="mkdocs"):
        build_site(tmp_path / "site", monkeypatch)
    assert [record.getMessage() for record in caplog.records if record.name.startswith("mkdocs")] == []
    made = {path.relative_to(tmp_path / "site").with_suffix(".md") for path in (tmp_path / "site").rglob("*.html")}
    assert {page.relative_to(ROOT / "docs") for page in (ROOT / "docs").rglob("*.md")} <= made


def test_no_page_of_the_site_loads_anything_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build_site(tmp_path / "site", monkeypatch)
    loaded = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^\"'> ]+")
    for page in (tmp_path / "site").rglob("*.html"):
        assert loaded.findall(page.read_text(encoding="utf-8")) == [], page.name


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=name_of)
def test_every_command_a_page_shows_has_its_verb_and_its_options(page: Path) -> None:
    for shown in commands(page):
        words = shlex.split(re.sub(r"\s+[#&].*|\s*[|<>].*", "", shown))[1:]
        parse(cli, words, shown)


def parse(group: click.Command, words: list[str], shown: str, above: click.Context | None = None) -> None:
    """Fail unless the words are verbs and options that there are; what stands for something else ends the look."""
    context = click.Context(group, info_name="azaks", parent=above, **group.context_settings)
    known = {name for parameter in group.get_params(context) for name in (*parameter.opts, *parameter.secondary_opts)}
    for index, word in enumerate(words):
        if word.startswith("-") and word != "-":
            assert word.split("=")[0] in known, f"{shown}: there is no {word}"
        elif isinstance(group, click.Group) and not STANDS_FOR_MORE.search(word):
            inner = group.get_command(context, word)
            assert inner is not None, f"{shown}: there is no {word}"
            parse(inner, words[index + 1 :], shown, context)
            return


def test_every_reason_has_its_section_and_every_limit_its_line() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    assert re.findall(r"^### ([A-Z_]+)$", page, re.MULTILINE) == [code.value for code in ReasonCode]
    lines = page.split("### LIMIT\n")[1].split("\n## ")[0]
    named = {kind.strip() for row in re.findall(r"^\| ([^|]+) \|", lines, re.MULTILINE) for kind in row.split(",")}
    assert {kind.value for kind in LimitKind if not kind.is_quota} <= named


def test_every_status_the_program_documents_stands_on_the_page_of_troubles() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    from autoscale_aks.cli import main  # noqa: PLC0415

    documented = re.findall(r"^(\d+) ", main.__doc__ or "", re.MULTILINE)
    assert documented
    assert [status for status in documented if f"| {status} |" not in page] == []
