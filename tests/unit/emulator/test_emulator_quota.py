"""vCPU quota moves with the machines (§9.2) and fails them with compute's sentence (§5.3)."""

from __future__ import annotations

import pytest

from autoscale_aks.emulator.settings import QuotaSettings

FAMILY = "standardDSv5Family"


def entries(*names):
    return [{"machineName": name} for name in names]


def failure(aks, name):
    return aks.properties(name)["status"]["provisioningError"]


def test_usages_rise_with_a_put_and_fall_when_the_machine_is_gone(aks):
    """§9.2: on demand counts in family and region, Spot only in lowPriorityCores."""
    aks.batch("a", entries("a", "b"), size="Standard_D8s_v5")
    aks.put("s", size="Standard_D4s_v5", priority="Spot")
    assert (aks.usage(FAMILY), aks.usage("cores"), aks.usage("lowPriorityCores")) == (16, 16, 4)
    aks.delete("a", "s")
    assert aks.usage("cores") == 16
    aks.advance(300)
    assert (aks.usage(FAMILY), aks.usage("cores"), aks.usage("lowPriorityCores")) == (8, 8, 0)


def test_over_the_family_quota_fails_later_with_the_sentence(emulate):
    """§5.3: family key glued to `Cores quota`; the machine was accepted with 200."""
    aks = emulate(quota=QuotaSettings(limits={"standarddsv5family": 20}, used_by_others={FAMILY: 10}))
    assert aks.batch("a", entries("a", "b"), size="Standard_D8s_v5").status_code == 200
    aks.advance(300)
    assert (aks.state("a"), aks.state("b")) == ("Succeeded", "Failed")
    error = failure(aks, "b")
    assert error["code"] == "QuotaExceeded"
    assert error["details"] == [
        {
            "code": "OperationNotAllowed",
            "message": "Operation could not be completed as it results in exceeding approved standardDSv5Family "
            "Cores quota. Additional details - Deployment Model: Resource Manager, Location: eastus2, "
            "Current Limit: 20, Current Usage: 18, Additional Required: 8, (Minimum) New Limit Required: 26.",
        }
    ]
    assert aks.usage(FAMILY) == 18


@pytest.mark.parametrize(
    ("quota", "priority", "token"),
    [
        (QuotaSettings(regional=6), "Regular", "exceeding approved Total Regional Cores quota"),
        (QuotaSettings(spot=6), "Spot", "exceeding approved LowPriorityCores quota"),
    ],
)
def test_region_and_spot_have_their_own_sentence(emulate, quota, priority, token):
    """§5.3 rows 1 and 8."""
    aks = emulate(quota=quota)
    aks.batch("a", entries("a", "b"), size="Standard_D4s_v5", priority=priority)
    aks.advance(300)
    assert aks.state("a") == "Succeeded"
    assert token in failure(aks, "b")["details"][0]["message"]


def test_spot_does_not_need_family_quota(emulate):
    """§9.2 (M)."""
    aks = emulate(quota=QuotaSettings(limits={FAMILY: 0, "cores": 0}))
    aks.put("s", priority="Spot")
    aks.put("r")
    aks.advance(300)
    assert (aks.state("s"), aks.state("r")) == ("Succeeded", "Failed")
    assert "Current Limit: 0," in failure(aks, "r")["details"][0]["message"]


def test_a_smaller_size_still_fits(emulate):
    """§5.3: why the mark is short; smaller sizes of the family are tried."""
    aks = emulate(quota=QuotaSettings(family=10))
    aks.put("big", size="Standard_D16s_v5")
    aks.put("small", size="Standard_D8s_v5")
    aks.advance(300)
    assert (aks.state("big"), aks.state("small")) == ("Failed", "Succeeded")


def test_failed_machines_hold_no_quota_and_free_it_only_once(emulate):
    """§10.8."""
    aks = emulate(quota=QuotaSettings(family=2))
    aks.batch("a", entries("a", "b"))
    aks.advance(300)
    aks.delete("b")
    aks.advance(300)
    assert aks.usage(FAMILY) == 2
    aks.delete("a")
    aks.advance(300)
    assert aks.usage(FAMILY) == 0
    aks.put("c")
    aks.advance(300)
    assert aks.state("c") == "Succeeded"


def test_the_numbers_may_lag(emulate):
    """§9.2: so a create can still fail."""
    aks = emulate(quota=QuotaSettings(lag_s=120))
    assert aks.usage("cores") == 0
    aks.put("a")
    assert aks.usage("cores") == 0
    aks.advance(121)
    assert aks.usage("cores") == 2


def test_quota_can_be_left_unenforced(emulate):
    """Switch."""
    aks = emulate(quota=QuotaSettings(family=0, enforced=False))
    aks.put("a")
    aks.advance(300)
    assert aks.state("a") == "Succeeded"


def test_a_limit_can_be_raised_while_running(emulate):
    """The operator's quota request was granted."""
    aks = emulate(quota=QuotaSettings(family=0))
    url = f"{aks.server.base_url}/_emulator/quota"
    assert aks.session.post(url, json={"name": FAMILY, "limit": 8, "location": "eastus2"}, timeout=5).ok
    aks.put("a")
    aks.advance(300)
    assert aks.state("a") == "Succeeded"
    assert aks.session.post(url, json={"limit": 8}, timeout=5).status_code == 400


def test_usages_have_the_documented_shape(aks):
    """§9.2."""
    url = f"/subscriptions/{aks.spec.subscription}/providers/Microsoft.Compute/locations/EASTUS2/usages"
    rows = aks.call("GET", url).json()["value"]
    row = next(row for row in rows if row["name"]["value"] == FAMILY)
    assert row == {
        "unit": "Count",
        "currentValue": 0,
        "limit": 100_000,
        "name": {"value": FAMILY, "localizedValue": "standardDSv5 Family vCPUs"},
    }
    assert aks.call("GET", url.replace("EASTUS2", "mars")).status_code == 400
