"""What an error makes unavailable, where and for how long, from the service's words to the back-off (§5.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from unit.reconcile.fakes import SIZE, bucket, claimed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from unit.reconcile.fakes import Site

HOUR = 3600.0
_MESSAGE = "Operation could not be completed as it results in exceeding approved {} quota. Additional details - {}"
FAMILY = _MESSAGE.format("standardDSv5Family Cores", "Current Limit: 10, Current Usage: 8.")
NO_FAMILY = _MESSAGE.format("standardDSv5Family Cores", "Current Limit: 0, Current Usage: 0.")
SPOT_QUOTA = _MESSAGE.format("LowPriorityCores", "Current Limit: 3, Current Usage: 3.")
REGION = _MESSAGE.format("Total Regional Cores", "Current Limit: 10, Current Usage: 8.")

BOTH = None
ANY = None
ROWS: list[tuple[str, str, bool, tuple[str | None, str | None, str | None, bool | None], float]] = [
    ("VMSizeNotSupported", "no", False, (ANY, SIZE, ANY, BOTH), 23 * HOUR),
    ("BadRequest", "Size X is not supported for subscription S", True, (ANY, SIZE, ANY, BOTH), 23 * HOUR),
    ("OperationNotAllowed", SPOT_QUOTA, True, (ANY, ANY, ANY, True), HOUR),
    ("OperationNotAllowed", FAMILY, False, (ANY, SIZE, ANY, False), 600.0),
    ("OperationNotAllowed", NO_FAMILY, False, (ANY, SIZE, ANY, False), HOUR),
    ("SkuNotAvailable", "no", True, (ANY, SIZE, "1", True), HOUR),
    ("SkuNotAvailable", "no", False, (ANY, SIZE, "1", False), 23 * HOUR),
    ("ZonalAllocationFailed", "no", False, (ANY, SIZE, "1", BOTH), HOUR),
    ("AllocationFailed", "no", True, (ANY, SIZE, "1", BOTH), HOUR),
    ("OverconstrainedZonalAllocationRequest", "no", True, (ANY, SIZE, "1", True), HOUR),
    ("OverconstrainedAllocationRequest", "no", False, (ANY, SIZE, "1", False), HOUR),
    # Without a mark: the bucket, for the policy's time of the kind.
    ("OperationNotAllowed", REGION, False, ("htc", SIZE, "1", False), 600.0),
    ("InvalidParameter", "no", False, ("htc", SIZE, "1", False), 300.0),
]


def zonal(*, spot: bool) -> Mapping[str, Any]:
    return {"htc": {"zones": ["1"], "spot": spot, "buckets": [bucket()]}}


def back_offs(site: Site) -> dict[tuple[str | None, str | None, str | None, bool | None], float]:
    now = site.clock.now()
    with site.ledger() as ledger:
        found = ledger.back_offs(now)
    return {(one.nodearray, one.vm_size, one.zone, one.spot): (one.until or 0.0) - now for one in found}


@pytest.mark.parametrize(("code", "message", "spot", "where", "lasts_s"), ROWS)
def test_every_row_of_the_table_is_left_alone_where_and_for_as_long_as_it_says(
    make_site: Callable[..., Site], code: str, message: str, spot: bool, where: Any, lasts_s: float
) -> None:
    site = make_site(nodearrays=zonal(spot=spot))
    site.fault(kind="client_error", code=code, message=message)
    site.scheduler.submit("work")
    site.cycle()
    assert back_offs(site) == {where: pytest.approx(lasts_s, abs=20)}


@pytest.mark.parametrize("code", ["ZonalAllocationFailed", "SkuNotAvailable"])
def test_a_machine_that_fails_after_it_was_accepted_says_the_same(make_site: Callable[..., Site], code: str) -> None:
    site = make_site(nodearrays=zonal(spot=True))
    site.fault(kind="provisioning_failure", code=code)
    site.scheduler.submit("work")
    site.cycle()
    site.boot()
    site.cycle()
    spot = None if code == "ZonalAllocationFailed" else True
    assert back_offs(site) == {(None, SIZE, "1", spot): pytest.approx(HOUR, abs=120)}


def test_what_the_site_writes_of_times_wins_over_the_table(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays=zonal(spot=False), policy={"back_off": {"zone": 70.0}})
    site.fault(kind="client_error", code="ZonalAllocationFailed", message="no")
    site.scheduler.submit("work")
    site.cycle()
    assert back_offs(site) == {(None, SIZE, "1", None): pytest.approx(70.0, abs=20)}


def test_no_node_array_asks_for_spot_machines_when_their_quota_is_spent(make_site: Callable[..., Site]) -> None:
    arrays = {
        "one": {"spot": True, "buckets": [bucket()]},
        "two": {"spot": True, "buckets": [bucket("Standard_F4s_v2")]},
        "three": {"buckets": [bucket()]},
    }
    site = make_site(nodearrays=arrays)
    site.fault(kind="client_error", code="OperationNotAllowed", message=SPOT_QUOTA, count=1)
    site.scheduler.submit("work")
    report = site.cycle()
    assert [[claim.bucket.array.name for claim in plan.claims] for plan in report.rounds] == [["one"], ["three"]]
    assert claimed(site.cycle().plan) == []
