"""What a job asks in vain is said in words that lead on."""

from __future__ import annotations

from typing import Any

import pytest
from builders import array, f4, job, scenario, solve


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"node.hostname": "htc-002"}, "asks node.hostname htc-002, which no new machine has (htc/Standard_F4)"),
        ({"ncpus": 8}, "asks ncpus 8, largest offers 4 (htc/Standard_F4)"),
        ({"rack": "r1"}, "asks rack r1, which no new machine has (htc/Standard_F4)"),
        ({"node.vm_size": "Standard_X"}, "asks node.vm_size Standard_X, nearest offers Standard_F4 (htc/Standard_F4)"),
    ],
)
def test_a_miss_names_what_is_asked_and_what_there_is(asked: dict[str, Any], said: str) -> None:
    answer = solve(scenario(job("a", asked), arrays=[array("htc", f4())]))
    assert answer["jobs"][0]["reason"]["message"] == said
