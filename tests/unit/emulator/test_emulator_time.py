"""Clock, progress and determinism (§7.1, §10)."""

from __future__ import annotations

import pytest

from autoscale_aks.emulator.clock import EmulatedClock, timestamp
from autoscale_aks.emulator.draws import Delay, draw, guid
from autoscale_aks.emulator.settings import Timing


class Wall:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def entries(*names):
    return [{"machineName": name} for name in names]


def ready(aks):
    return [
        node
        for node in aks.nodes()
        if any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"])
    ]


def test_emulated_time_runs_at_its_speed_and_never_goes_back():
    """`speed` is emulated seconds per wall second."""
    wall = Wall()
    clock = EmulatedClock(start=1000.0, speed=60.0, wall=wall)
    wall.now += 2
    assert clock.now() == 1120.0
    clock.set_speed(0)
    wall.now += 5
    assert clock.now() == 1120.0
    assert clock.advance(30) == 1150.0
    for wrong in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="must be a finite number"):
            clock.advance(wrong)
        with pytest.raises(ValueError, match="must be a finite number"):
            clock.set_speed(wrong)


def test_the_clock_endpoint_moves_time_and_changes_the_speed(emulate):
    """`POST /_emulator/clock`."""
    aks = emulate(start_time=1_000_000.0)
    url = f"{aks.server.base_url}/_emulator/clock"
    assert aks.session.get(url, timeout=5).json() == {"now": 1_000_000.0, "speed": 0.0}
    assert aks.session.post(url, json={"advance": 5}, timeout=5).json()["now"] == 1_000_005.0
    assert aks.session.post(url, json={"speed": 1000}, timeout=5).json()["speed"] == 1000
    assert aks.session.get(url, timeout=5).json()["now"] > 1_000_005.0
    for wrong in ({}, {"advance": -1}, {"advance": "x"}, {"hurry": 1}, []):
        assert aks.session.post(url, json=wrong, timeout=5).status_code == 400


def test_real_time_moves_machines_when_it_is_fast_enough(emulate):
    """§7.1 at a speed: some minutes in a moment."""
    aks = emulate(speed=100_000.0)
    aks.put("m1")
    for _ in range(500):
        if ready(aks):
            break
    assert aks.state("m1") == "Succeeded"


def test_a_node_registers_and_gets_ready_some_tens_of_seconds_later(aks):
    """§7.1: Succeeded is not Ready."""
    aks.put("m1")
    aks.advance(69)
    assert aks.state("m1") == "Succeeded"
    assert ready(aks) == []
    aks.advance(60)
    assert len(ready(aks)) == 1


def test_at_once_everything_is_there_on_the_next_read(emulate):
    """House habit 7; the PUT itself still says Creating."""
    aks = emulate(progress="at_once")
    assert aks.put("m1").json()["properties"]["provisioningState"] == "Creating"
    assert aks.state("m1") == "Succeeded"
    assert len(ready(aks)) == 1
    aks.delete("m1")
    assert aks.get("m1").status_code == 404


def test_by_reads_a_resource_moves_on_after_being_read(emulate):
    """House habit 7: two reads show the old state, the third the new one."""
    aks = emulate(progress="by_reads", reads_per_step=2)
    aks.batch("m1", entries("m1", "m2"))
    aks.advance(100_000)
    assert [aks.state("m1") for _ in range(3)] == ["Creating", "Creating", "Succeeded"]
    assert aks.state("m2") == "Creating"
    assert [len(aks.nodes()) for _ in range(3)] == [0, 0, 1]
    assert [len(ready(aks)) for _ in range(3)] == [0, 0, 1]
    aks.delete("m1")
    assert [aks.get("m1").status_code for _ in range(3)] == [200, 200, 404]


def test_by_reads_a_list_reads_every_machine_on_the_page(emulate):
    """House habit 7; a vanished machine is not on the page."""
    aks = emulate(progress="by_reads", reads_per_step=1, trailing_empty_page=False)
    aks.batch("m1", entries("m1", "m2"))

    def states():
        return [m["properties"]["provisioningState"] for m in aks.walk()]

    assert states() == ["Creating", "Creating"]
    assert states() == ["Succeeded", "Succeeded"]
    aks.delete("m1")
    assert states() == ["Deleting", "Succeeded"]
    assert states() == ["Succeeded"]


def test_by_reads_pools_and_operations_move_too(emulate):
    """§6.4: reading the operation reads what it works on."""
    aks = emulate(progress="by_reads", reads_per_step=1)
    url = f"{aks.cluster}/agentPools/pool2"
    operation = aks.call("PUT", url, json={"properties": {"mode": "Machines"}}).headers["Azure-AsyncOperation"]
    assert [aks.call("GET", operation).json()["status"] for _ in range(2)] == ["InProgress", "Succeeded"]


def test_delays_differ_between_machines_but_not_between_runs_or_orders(emulate):
    """§10: drawn by name from the seed."""

    def succeeded(names, seed):
        aks = emulate(seed=seed, timing=Timing(machine_create=Delay(50, 10)))
        aks.batch(names[0], entries(*names))
        aks.advance(50)
        return sorted(m["name"] for m in aks.walk() if m["properties"]["provisioningState"] == "Succeeded")

    names = [f"m{i}" for i in range(30)]
    first = succeeded(names, 7)
    assert 5 < len(first) < 25
    assert succeeded(names[::-1], 7) == first
    assert succeeded(names, 8) != first


def test_two_runs_with_one_seed_and_start_give_the_same_bytes(emulate):
    """§10: eTags, node names, timestamps, everything."""

    def run():
        aks = emulate(start_time=1_700_000_000.0)
        aks.batch("a", entries("a", "b"))
        aks.advance(100)
        return [{**m, "id": ""} for m in aks.walk()], aks.nodes()

    assert run() == run()


@pytest.mark.parametrize("shape", ["fixed", "uniform", "normal", "lognormal"])
def test_delays_have_the_middle_they_name_and_a_floor(shape):
    """`Delay`: a point of the distribution for a chance."""
    delay = Delay(40.0, 10.0, shape, 5.0)
    assert delay.at(0.5) == pytest.approx(40.0)
    assert delay.at(1e-12) >= 5.0
    assert delay.at(0.9) >= delay.at(0.1)


def test_draws_are_even_and_guids_look_like_guids():
    """`draw` is a uniform number made of names."""
    values = [draw(1, "x", i) for i in range(2000)]
    assert 0.47 < sum(values) / len(values) < 0.53
    assert len(set(values)) == 2000
    parts = guid(1, "x").split("-")
    assert [len(part) for part in parts] == [8, 4, 4, 4, 12]
    assert parts[2].startswith("4")


def test_timestamps_are_rfc_3339():
    """§2.5."""
    assert timestamp(0) == "1970-01-01T00:00:00Z"
