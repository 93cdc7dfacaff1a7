"""Every verb that lists something prints well-formed CSV and Markdown with the columns that `azaks columns` names."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING, Final

import pytest
from unit.cli.office import Office, work
from unit.reconcile.fakes import bucket, emulator_settings
from unit.reconcile.site_fixture import scratch

from autoscale_aks.cli.columns import WITH_ROWS, listings
from autoscale_aks.cli.limits import MISSING
from autoscale_aks.cli.main import DONE, IN_PART, main
from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.settings import ClusterSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoscale_aks.cli.rows import Listing

LISTED: Final[dict[str, tuple[str, ...]]] = {
    "jobs": ("jobs",),
    "nodes": ("nodes",),
    "buckets": ("buckets",),
    "limits": ("limits",),
    "sizes": ("sizes", "list"),
    "history": ("history", "MACHINE"),
    "pool": ("pool", "list"),
    "machines": ("machines", "list"),
    "protect": ("protect", "--list"),
    "doctor": ("doctor",),
    "simulate": ("simulate", "WORKLOAD"),
}
NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]\d+)?|size::\d+\w+")
CELLS: Final = re.compile(r"(?<!\\) \| ")


@pytest.fixture(scope="module")
def busy() -> Iterator[Office]:
    """A site with machines, one of them protected with an awkward reason, and a queue that waits for quota."""
    settings = emulator_settings(clusters=(ClusterSpec(pools=("htc",)),), start_time=None)
    with EmulatorServer(settings) as emulator, scratch() as directory:
        office = Office(directory, emulator)
        office.configure(nodearrays={"htc": {"buckets": [bucket(price=0.25)]}})
        (counters,) = emulator.state.quotas.values()
        counters.set_limit("standardDSv5Family", 16)
        office.queue(work("a", iterations=2))
        assert main(["autoscale", "-c", office.config, "-q"]) == DONE
        reason = 'kept | by "hand", until noon'
        assert main(["protect", "-c", office.config, office.machines()[0], "--reason", reason]) == DONE
        office.queue(work("a", iterations=300))
        jobs = [{"duration": 600, "constraints": [{"ncpus": 4}]}]
        office.write("workload.json", {"jobs": jobs})
        yield office


def printed(office: Office, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], *more: str) -> str:
    stand_for = {"MACHINE": office.machines()[0], "WORKLOAD": str(office.directory / "workload.json")}
    capsys.readouterr()
    status = main([*(stand_for.get(word, word) for word in words), "-c", office.config, *more])
    out, err = capsys.readouterr()
    assert status in ({DONE, IN_PART} if words == ("doctor",) else {DONE}), err
    return out


def csv_rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text), strict=True))


def markdown_rows(text: str) -> list[list[str]]:
    """The cells of a table whose every line is one."""
    lines = text.splitlines()
    assert [line for line in lines if not (line.startswith("| ") and line.endswith(" |"))] == []
    return [CELLS.split(line[2:-2]) for line in lines]


def headings(listing: Listing) -> list[str]:
    return [column.title or column.name.replace("_", " ") for column in listing.columns]


def cases() -> list[tuple[tuple[str, ...], Listing]]:
    known = listings()
    return [*((words, known[verb]) for verb, words in LISTED.items()), (("limits", "--missing"), MISSING)]


def test_no_verb_with_rows_is_forgotten_here() -> None:
    assert set(LISTED) == set(WITH_ROWS)


@pytest.mark.parametrize(("words", "listing"), cases(), ids=lambda one: " ".join(one) if type(one) is tuple else "")
def test_csv_is_the_documented_columns_and_as_many_fields_in_every_row(
    busy: Office, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], listing: Listing
) -> None:
    head, *rows = csv_rows(printed(busy, capsys, words, "--format", "csv"))
    assert head == list(listing.names)
    assert rows
    assert {len(row) for row in rows} == {len(head)}
    numbers = [at for at, column in enumerate(listing.columns) if column.is_number]
    assert [row[at] for row in rows for at in numbers if row[at] and not NUMBER.fullmatch(row[at])] == []


@pytest.mark.parametrize(("words", "listing"), cases(), ids=lambda one: " ".join(one) if type(one) is tuple else "")
def test_markdown_is_one_table_of_the_documented_columns_whose_numbers_have_no_commas(
    busy: Office, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], listing: Listing
) -> None:
    head, rule, *rows = markdown_rows(printed(busy, capsys, words, "--format", "markdown", "--columns", "all"))
    assert head == headings(listing)
    assert rule == ["---:" if column.is_number else "---" for column in listing.columns]
    assert rows
    assert {len(row) for row in rows} == {len(head)}
    numbers = [at for at, column in enumerate(listing.columns) if column.is_number]
    assert [row[at] for row in rows for at in numbers if "," in row[at]] == []


def test_csv_and_json_tell_the_same_rows(busy: Office, capsys: pytest.CaptureFixture[str]) -> None:
    rows = csv_rows(printed(busy, capsys, ("protect", "--list"), "--format", "csv", "--columns", "name,reason"))
    found = json.loads(printed(busy, capsys, ("protect", "--list"), "--format", "json"))
    assert rows[1:] == [[row["name"], row["reason"]] for row in found]
    assert rows[1][1] == 'kept | by "hand", until noon'


@pytest.mark.parametrize("form", ["csv", "markdown"])
def test_a_size_of_thousands_of_gib_is_a_plain_number(capsys: pytest.CaptureFixture[str], form: str) -> None:
    asked = ["sizes", "list", "--match", "M416", "--columns", "size,memory_gib", "--format", form]
    capsys.readouterr()
    assert main(asked) == DONE
    out = capsys.readouterr().out
    rows = csv_rows(out)[1:] if form == "csv" else markdown_rows(out)[2:]
    assert dict(rows)["Standard_M416-208ms_v2"] == "11400"
    assert main(["sizes", "list", "--match", "M416"]) == DONE
    assert "11,400" in capsys.readouterr().out, "people at a terminal read it grouped"
