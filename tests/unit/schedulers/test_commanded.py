"""What drivers that run commands share: writing reasons."""

from __future__ import annotations

import pytest

from autoscale_aks.errors import SchedulerError
from autoscale_aks.schedulers.commanded import first_line, write_reasons


def write_to(refused: set[str], tried: list[str], name: str) -> bool:
    tried.append(name)
    if name in refused:
        raise SchedulerError(f"{name}: no")
    return name != "no-job"


def test_a_reason_that_is_refused_stops_no_other_and_a_name_without_a_place_is_not_told() -> None:
    tried: list[str] = []
    reasons = dict.fromkeys(("1", "2", "no-job", "3"), "QUOTA")
    assert write_reasons(reasons, lambda name, _: write_to({"2"}, tried, name)) == ("1", "3")
    assert tried == ["1", "2", "no-job", "3"]


def test_a_server_that_does_not_answer_is_not_asked_fifty_times() -> None:
    tried: list[str] = []
    names = [str(number) for number in range(50)]
    with pytest.raises(SchedulerError, match="0: no"):
        write_reasons(dict.fromkeys(names, ""), lambda name, _: write_to(set(names), tried, name))
    assert len(tried) == 3
    tried.clear()
    assert write_reasons(dict.fromkeys(names, ""), lambda name, _: write_to(set(names[1:]), tried, name)) == ("0",)
    assert len(tried) == 4


def test_nothing_to_write_is_no_failure() -> None:
    assert write_reasons({}, lambda name, _: write_to(set(), [], name)) == ()


def test_a_version_is_one_printable_line() -> None:
    assert first_line("\n  GE 8.1.9\t(x) \nusage") == "GE 8.1.9 (x)"
    assert first_line(" \n") == ""
    assert len(first_line("x" * 500)) == 80
