"""Rows in four forms, with chosen columns, filtered in the constraint language."""

from __future__ import annotations

import csv
import io
import json
import sys
from fractions import Fraction
from typing import Any

import click
import pytest
from click.testing import CliRunner
from rich.cells import cell_len

from autoscale_aks.cli.rows import (
    FORMATS,
    Column,
    Listing,
    RowChoice,
    chosen_columns,
    print_rows,
    read_choice,
    row_options,
)
from autoscale_aks.cli.terminal import printable
from autoscale_aks.errors import InputError
from autoscale_aks.units import parse_size

LISTING = Listing(
    verb="nodes",
    title="Nodes",
    nothing="There is no node.",
    columns=(
        Column(name="name", meaning="its name"),
        Column(name="state", meaning="its state"),
        Column(name="cores", meaning="vCPUs", is_number=True),
        Column(name="memory", meaning="GiB", is_number=True),
        Column(name="jobs", meaning="on it", is_default=False),
        Column(name="spot", meaning="whether", is_default=False),
        Column(name="placement_group", meaning="its group", is_default=False),
        Column(
            name="price", meaning="an hour", is_number=True, is_default=False, show=lambda value: f"${float(value):.2f}"
        ),
    ),
)
SMALL = {"name": "a-1", "state": "ready", "cores": 4, "memory": parse_size("8g"), "jobs": ("1", "2"), "spot": False,
         "placement_group": None, "price": Fraction(1, 4)}  # fmt: skip
LARGE = {"name": "b-2", "state": "booting", "cores": 64, "memory": parse_size("256g"), "jobs": (), "spot": True,
         "placement_group": "pg0", "price": None}  # fmt: skip
ROWS: list[dict[str, Any]] = [SMALL, LARGE]


def printed(capsys: pytest.CaptureFixture[str], form: str, *columns: str, rows: Any = ROWS, **choice: Any) -> str:
    print_rows(LISTING, rows, read_choice(LISTING, form, columns, choice.pop("filters", ())), **choice)
    return capsys.readouterr().out


def passing(*filters: str) -> list[str]:
    found = read_choice(LISTING, "json", [], filters).row_filter
    assert found is not None
    return [row["name"] for row in ROWS if found.passes(row)]


def test_a_table_has_the_default_columns_with_numbers_at_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "table").splitlines() == [
        "Nodes",
        "name  state    cores  memory",
        "a-1   ready        4      8g",
        "b-2   booting     64    256g",
    ]


def test_json_is_a_list_of_objects_with_every_column_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(printed(capsys, "json"))
    assert [list(row) for row in found] == [list(LISTING.names)] * 2
    assert found[0] == {"name": "a-1", "state": "ready", "cores": 4, "memory": "size::8g", "jobs": ["1", "2"],
                        "spot": False, "placement_group": None, "price": 0.25}  # fmt: skip


def test_csv_is_read_back_by_a_csv_reader(capsys: pytest.CaptureFixture[str]) -> None:
    awkward = {**SMALL, "name": 'a "quoted", name\nin two lines'}
    found = list(csv.DictReader(io.StringIO(printed(capsys, "csv", rows=[awkward]))))
    assert found == [{"name": awkward["name"], "state": "ready", "cores": "4", "memory": "size::8g", "jobs": "1 2",
                      "spot": "false", "placement_group": "", "price": "0.25"}]  # fmt: skip


def test_markdown_keeps_its_columns_whatever_a_cell_holds(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "markdown", "name,price", rows=[{**SMALL, "name": "x | y\nz"}])
    assert out.splitlines() == ["| name | price |", "| --- | ---: |", "| x \\| y\\\\nz | $0.25 |"]


@pytest.mark.parametrize(("form", "empty"), [("table", "There is no node."), ("json", "[]"), ("csv", "name"),
                                             ("markdown", "| name |\n| --- |")])  # fmt: skip
def test_no_rows_are_said_in_every_form(form: str, empty: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, form, "name", rows=[]).rstrip() == empty


def test_columns_stand_in_the_order_asked_for_and_may_be_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "csv", "state,name").splitlines()[0] == "state,name"
    assert printed(capsys, "csv", "state", "name,state").splitlines()[0] == "state,name"
    assert printed(capsys, "markdown", "all").splitlines()[0].count("|") == len(LISTING.columns) + 1


def test_the_configuration_says_what_people_see_and_not_what_programs_read(capsys: pytest.CaptureFixture[str]) -> None:
    defaults = {"nodes": ["spot", "name"], "jobs": ["nonsense"]}
    assert printed(capsys, "table", defaults=defaults).splitlines()[1] == "spot   name"
    assert printed(capsys, "table", "state", defaults=defaults).splitlines()[1] == "state"
    assert list(json.loads(printed(capsys, "json", defaults=defaults))[0]) == list(LISTING.names)


def test_a_column_there_is_not_is_an_error_naming_those_there_are() -> None:
    with pytest.raises(InputError, match=r'--columns: "stat": .* did you mean "state"\? known are name, state'):
        read_choice(LISTING, "table", ["name,stat"], [])
    choice = RowChoice(form="table", columns=None)
    with pytest.raises(InputError, match=r"default_columns\.nodes\[1\]: \"nme\""):
        chosen_columns(LISTING, choice, {"nodes": ["name", "nme"]})


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ("state=ready", ["a-1"]),
        ("state=boot*,none", ["b-2"]),
        ('{"state": ["ready", "booting"]}', ["a-1", "b-2"]),
        ('{"cores": 5}', ["b-2"]),
        ("cores=4", ["a-1", "b-2"]),
        ("node.cores=4", ["a-1"]),
        ('{"memory": "memory::9g"}', ["b-2"]),
        ('{"node.memory": "memory::8g"}', ["a-1"]),
        ('{"not": {"cores": 5}}', ["a-1"]),
        ('{"or": [{"name": "a-*"}, {"cores": 64}]}', ["a-1", "b-2"]),
        ('{"xor": [{"cores": 4}, {"state": "booting"}]}', ["a-1"]),
        ('[{"cores": 4}, {"spot": true}]', ["b-2"]),
        ("spot=false", ["a-1"]),
        ("placement_group=null", ["a-1"]),
        ('{"in-a-placement-group": true}', ["b-2"]),
        ("jobs=2", ["a-1"]),
        ("price=0.2", ["a-1"]),
        ('{"state": 4}', []),
        ("cores=many", []),
        ('{"never": "not today"}', []),
    ],
)
def test_a_filter_means_of_a_row_what_it_means_of_a_node(asked: str, names: list[str]) -> None:
    assert passing(asked) == names


def test_several_filters_must_all_hold(capsys: pytest.CaptureFixture[str]) -> None:
    assert passing("cores=4", "state=booting") == ["b-2"]
    assert passing("cores=5", "state=ready") == []
    assert printed(capsys, "table", filters=["cores=5", "state=ready"]) == "None of 2 rows passes the filter.\n"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("stat=ready", r'--filter stat: .* did you mean "state"\?'),
        ('{"or": [{"cpus": 3}]}', r"--filter cpus: there is no such column"),
        ('{"exclusive": true}', r"--filter exclusive: cannot be asked of a row"),
        ('{"node.hostname": "x"}', r"--filter node.hostname: cannot be asked of a row"),
        ('{"node.cores": "memory::4x"}', r"--filter node.cores: .*suffix"),
        ('{"cores": -1}', r"--filter cores: -1 is negative"),
        ("ready", r"--filter: expected a constraint, as name=VALUE"),
        ('{"cores"', r"--filter: this is not JSON"),
    ],
)
def test_a_filter_that_cannot_be_asked_is_bad_input_with_its_place(asked: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_choice(LISTING, "table", [], [asked])


@pytest.mark.parametrize("width", [30, 40, 80])
def test_no_line_is_wider_than_the_screen_and_nothing_is_lost(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autoscale_aks.cli.rows.screen_width", lambda: width)
    text = "日本語の名前-" * 9 + " with many words after it, one by one"
    out = printed(capsys, "table", rows=[{**SMALL, "state": text}, LARGE])
    assert max(cell_len(line) for line in out.splitlines()) <= width
    assert sum(out.count(letter) for letter in "日本語") == sum(text.count(letter) for letter in "日本語")


def test_a_blank_that_keeps_a_line_together_is_a_blank() -> None:
    assert printable("2026-11-22\u00a019:00:50") == "2026-11-22\u00a019:00:50"


def test_control_characters_of_a_name_do_not_reach_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "table", rows=[{**SMALL, "name": "\x1b[2J\u202egnp\n"}])
    assert out.isascii()
    assert "\x1b" not in out
    assert "\\x1b[2J\\u202egnp\\n" in out


def test_escape_codes_are_for_terminals_that_want_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "\x1b" not in printed(capsys, "table")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert printed(capsys, "table").startswith("\x1b[1mNodes\x1b[0m\n")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in printed(capsys, "table")


def test_a_verb_gets_the_three_options_and_bad_ones_stop_it_before_it_begins() -> None:
    begun = []

    @click.command()
    @row_options(LISTING)
    @click.option("--more")
    def verb(choice: RowChoice, more: str) -> None:
        begun.append(more)
        print_rows(LISTING, ROWS, choice)

    done = CliRunner().invoke(verb, ["--format", "csv", "--columns", "name", "--filter", "cores=5", "--more", "x"])
    assert (done.output, begun) == ("name\nb-2\n", ["x"])
    wrong = CliRunner().invoke(verb, ["--columns", "nme"])
    assert isinstance(wrong.exception, InputError)
    assert begun == ["x"]
    assert all(one in CliRunner().invoke(verb, ["--help"]).output for one in FORMATS)
