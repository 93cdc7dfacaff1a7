"""From a bucket's deficit to waves of equal chunks (batching.md B1–B3, B6)."""

from __future__ import annotations

import pytest
from builders import array, f2, f4, job, scenario, solve
from checker import check

from autoscale_aks.planning.batching import wave_shapes


@pytest.mark.parametrize(
    ("count", "shapes"),
    [(1000, ((20, 50),)), (96, ((2, 48),)), (97, ((1, 50), (1, 47))), (53, ((1, 50), (1, 3))), (0, ()), (-3, ()),
     (1, ((1, 1),)),
     (50, ((1, 50),)), (51, ((1, 50), (1, 1))), (100, ((2, 50),)), (149, ((2, 50), (1, 49)))],
)  # fmt: skip
def test_b3_fewest_puts_then_fewest_waves_then_equal_chunks(count: int, shapes: tuple[tuple[int, int], ...]) -> None:
    assert wave_shapes(count) == shapes


@pytest.mark.parametrize("cap", [0, -1, 51])
def test_b2_a_put_holds_1_to_50(cap: int) -> None:
    with pytest.raises(ValueError, match="1 to 50"):
        wave_shapes(10, cap)


def test_b1_chunks_are_contiguous_slices_in_order() -> None:
    raw = scenario(job("a", {"ncpus": 4}, iterations=96), arrays=[array("htc", f4(max_count=100))])
    answer = solve(raw)
    assert check(raw, answer) == []
    (wave,) = answer["waves"]
    assert (wave["workers"], wave["per_worker"], answer["puts"]) == (2, 48, 2)
    assert wave["chunks"] == [
        [f"htc-{number}" for number in range(1, 49)],
        [f"htc-{number}" for number in range(49, 97)],
    ]


def test_b5_a_lower_cap_makes_smaller_chunks() -> None:
    raw = scenario(job("a", {"ncpus": 4}, iterations=10), policy={"machines_per_put": 4})
    answer = solve(raw)
    assert check(raw, answer) == []
    assert [(wave["workers"], wave["per_worker"]) for wave in answer["waves"]] == [(2, 4), (1, 2)]


def test_each_bucket_has_waves_of_its_own_even_where_their_names_look_alike() -> None:
    arrays = [array("htc", f4(zone="1"), f4(placement_groups=["z1"]), f2())]
    jobs = [job("a", {"ncpus": 4, "node.zone": "1"}), job("b", {"ncpus": 4, "node.placement_group": "z1"}),
            job("c", {"ncpus": 1, "node.vm_size": "Standard_F2"})]  # fmt: skip
    raw = scenario(*jobs, arrays=arrays)
    answer = solve(raw)
    assert check(raw, answer) == []
    assert [wave["chunks"] for wave in answer["waves"]] == [[["htc-1"]], [["htc-2"]], [["htc-3"]]]
