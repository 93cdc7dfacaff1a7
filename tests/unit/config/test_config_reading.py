"""Files that are not a configuration at all give a ConfigError with a place, never a traceback."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from config_samples import SMALL, changed, problems, problems_of_text

from autoscale_aks.config import load_config, parse_config
from autoscale_aks.config.locating import line_numbers
from autoscale_aks.errors import ConfigError


def refused(path: object) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path)  # type: ignore[arg-type]
    (problem,) = caught.value.problems
    assert problem.path == str(path)
    return problem.message


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ('{"a": 1,}', "line 1, column", "comma"),
        ('{\n "a": 1\n "b": 2}', "line 3, column 2", "expected a comma"),
        ('{"a" 1}', "line 1, column 6", "expected a colon"),
        ("{'a': 1}", "line 1, column 2", "double quotes"),
        ('{"a": 1', "line 1, column 8", "ends too early"),
        ('{"a": "b', "line 1, column 7", "is not closed"),
        ('{"a": "b\nc"}', "line 1, column 9", "end of its line"),
        ('{"a": "\\x"}', "line 1, column 8", "backslash"),
        ('{"a": nope}', "line 1, column 7", "expected a value"),
        ("{} {}", "line 1, column 4", "does not belong"),
        ('{\n// why\n"a": 1}', "line 2, column 1", "no comments"),
        ('{"a": 1} # why', "line 1, column 10", "no comments"),
        ("[" * 33 + "]" * 33, "line 1", "nested more than 32"),
        ("[" * 500_000, "line 1", "nested more than 32"),
        ('{"a":' * 500_00, "line 1", "nested more than 32"),
        ("", "", "is empty"),
        (" \n\t", "", "is empty"),
        ("\ufeff{}", "", "byte order mark"),
        ("[1]" + " " * 1024 * 1024, "", "longer than 1024 KiB"),
        ("]", "line 1, column 1", "expected a value"),
    ],
)
def test_what_is_not_json_says_where_and_what(text: str, place: str, says: str) -> None:
    ((path, message),) = problems_of_text(text)
    assert path == "autoscale.json"
    assert message.startswith(place)
    assert says in message


@pytest.mark.parametrize("number", ["9" * 4301, "-" + "9" * 4301, "1e999999999", "1e99999999999999999999", "1e61",
                                    "0." + "1" * 5000, "NaN", "Infinity", "-Infinity"])  # fmt: skip
def test_numbers_out_of_all_bounds_are_named_by_their_path(number: str) -> None:
    text = json.dumps(changed("policy/max_creates_per_cycle", "@")).replace('"@"', number)
    ((path, message),) = problems_of_text(text)
    assert path == "policy.max_creates_per_cycle"
    assert "range" in message or "not a number" in message


@pytest.mark.parametrize("value", ["[]", "3", '"x"', "null", "true", "NaN", "{}"])
def test_another_top_than_an_object_is_one_clear_problem(value: str) -> None:
    found = problems_of_text(value)
    assert found
    assert value == "{}" or [path for path, _ in found] == [""]


def test_keys_written_twice_are_named_at_every_depth() -> None:
    text = json.dumps(SMALL).replace('"vcpu_count": 4,', '"vcpu_count": 4, "vcpu_count": 5,')
    text = text.replace('"owner": "az1"', '"owner": "az1", "owner": "az1"')
    assert [path for path, _ in problems_of_text(text)] == ["aks.owner", "nodearrays.htc.buckets[0].vcpu_count"]


def test_half_a_character_is_refused_and_can_be_printed() -> None:
    found = problems(changed("nodearrays/htc/resources", {"a": "\ud800", "\udfff": 1}))
    assert len(found) == 3  # half a character in a value and in a name, and the name is no resource's
    for path, message in found:
        f"{path}: {message}".encode()


@pytest.mark.parametrize("key", ["\x1b[2J", "\n", 'a"b', "é", "x" * 5000])
def test_paths_of_odd_keys_stay_on_one_printable_line(key: str) -> None:
    (path, message), *_ = problems(changed("aks", {**SMALL["aks"], key: 1}))
    assert f"{path}{message}".isprintable()
    assert len(path) < 300


def test_a_directory_a_missing_file_and_a_strange_name_are_refused(tmp_path: Path) -> None:
    assert "is a directory" in refused(tmp_path)
    assert "no such file" in refused(tmp_path / "none.json")
    assert "cannot be read" in refused(tmp_path / "x" / ("n" * 5000))
    assert "cannot be read" in refused("a\0b")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "autoscale.json"
    path.write_text("{}")
    path.chmod(0o000)
    assert "may not be read" in refused(path)


def test_permission_denied_is_refused_for_every_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_args: object, **_kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert "may not be read" in refused(tmp_path / "autoscale.json")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{\n"a": "\xff"}', "line 2 is not UTF-8"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        ('{"a": 1}'.encode("utf-16"), "UTF-16"),
        (b"", "is empty"),
        (b"\x00\x01", "line 1, column 1"),
        (b" " * (1024 * 1024 + 1), "longer than"),
        (b"\xc3" * (1024 * 1024 + 1), "longer than"),
    ],
)
def test_bytes_that_are_no_text_are_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "autoscale.json"
    path.write_bytes(content)
    assert says in refused(path)


def test_a_file_everyone_may_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "autoscale.json"
    path.write_text(json.dumps(SMALL))
    path.chmod(0o640)
    load_config(path)
    path.chmod(0o646)
    assert "chmod o-w" in refused(path)


def test_an_endless_file_is_not_read_to_its_end() -> None:
    if not Path("/dev/zero").exists():
        pytest.skip("no /dev/zero here")
    assert "longer than" in refused("/dev/zero")


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    path = tmp_path / "autoscale.json"
    path.write_text(json.dumps(SMALL))
    assert load_config(path).ledger.path == tmp_path / "ledger.sqlite"
    assert parse_config(json.dumps(changed("ledger/path", "/var/x"))).ledger.path == Path("/var/x")


def test_every_value_has_the_line_it_stands_on() -> None:
    text = '{"a": [1,\n {"b":\n "x,]}\\""}\n, [\n[2]]],\n"c": {}, "d": "}"\n}'
    assert line_numbers(text) == {
        (): 1, ("a",): 1, ("a", 0): 1, ("a", 1): 2, ("a", 1, "b"): 2, ("a", 2): 4, ("a", 2, 0): 5, ("a", 2, 0, 0): 5,
        ("c",): 6, ("d",): 6,
    }  # fmt: skip


def test_a_flood_of_unknown_keys_is_answered_in_time() -> None:
    found = problems(changed("aks", {**SMALL["aks"], **{f"k{index}" * 6: 1 for index in range(20_000)}}))
    assert len(found) == 1001


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
def test_the_error_of_a_broken_file_does_not_hold_its_text() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config('{"password": "hunter2" oops}')
    error: BaseException | None = caught.value
    assert error is not None
    assert error.__suppress_context__
    assert "hunter2" not in str(error)
