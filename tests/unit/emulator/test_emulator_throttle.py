"""Token buckets (§6.1, §6.2)."""

from __future__ import annotations

import pytest

from autoscale_aks.emulator.settings import BucketSpec, EmulatorSettings, ThrottleSettings
from autoscale_aks.emulator.throttle import Caller, Throttle


def arm(**more):
    small = {"arm_reads": BucketSpec(3, 1), "arm_writes": BucketSpec(2, 0.1), "arm_deletes": BucketSpec(1, 1)}
    return ThrottleSettings(**{**small, **more})


def statuses(call, count):
    return [call().status_code for _ in range(count)]


def test_arm_buckets_are_on_by_default_with_the_documented_numbers():
    """§6.1; the provider's are a guess and off."""
    throttle = EmulatorSettings().throttle
    assert throttle.arm
    assert (throttle.arm_reads, throttle.arm_writes) == (BucketSpec(250, 25), BucketSpec(200, 10))
    assert throttle.arm_deletes == BucketSpec(200, 10)
    assert not throttle.rp
    assert throttle.batch is None


def test_an_empty_arm_bucket_answers_429_wrapped_with_retry_after(emulate):
    """§6.1: and refills with emulated time."""
    aks = emulate(throttle=arm())
    assert statuses(lambda: aks.call("GET", aks.pool), 3) == [200, 200, 200]
    answer = aks.call("GET", aks.pool)
    assert answer.status_code == 429
    assert "error" in answer.json()
    assert answer.headers["Retry-After"] == "1"
    assert answer.headers["x-ms-failure-cause"] == "gateway"
    aks.advance(1)
    assert statuses(lambda: aks.call("GET", aks.pool), 2) == [200, 429]


def test_retry_after_says_how_long(emulate):
    """§6.1: one token in ten seconds."""
    aks = emulate(throttle=arm())
    statuses(lambda: aks.put("m1"), 2)
    answer = aks.put("m1")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "10")
    aks.advance(9)
    assert aks.put("m1").status_code == 429
    aks.advance(1)
    assert aks.put("m1").status_code == 200


def test_retry_after_is_in_whole_seconds_and_never_too_short(emulate):
    """§6.1: 1 / 0.3 s is 3.3 s, so four."""
    aks = emulate(throttle=arm(arm_writes=BucketSpec(1, 0.3)))
    aks.put("m1")
    assert aks.put("m1").headers["Retry-After"] == "4"
    aks.advance(4)
    assert aks.put("m1").status_code == 200


def test_retry_after_can_be_left_out(emulate):
    """§6.4: absent from the recordings."""
    aks = emulate(throttle=arm(retry_after=False))
    statuses(lambda: aks.call("GET", aks.pool), 3)
    answer = aks.call("GET", aks.pool)
    assert answer.status_code == 429
    assert "Retry-After" not in answer.headers


def test_a_throttled_write_does_nothing(emulate):
    """§6.1."""
    aks = emulate(throttle=arm())
    assert [aks.put(name).status_code for name in ("a", "b", "c")] == [200, 200, 429]
    assert aks.names() == ["a", "b"]


def test_reads_writes_and_deletes_have_buckets_of_their_own(emulate):
    """§6.1."""
    aks = emulate(throttle=arm())
    statuses(lambda: aks.put("m1"), 2)
    assert aks.put("m1").status_code == 429
    assert aks.call("GET", aks.pool).status_code == 200
    assert aks.call("DELETE", aks.cluster + "/agentPools/none").status_code == 204
    assert aks.call("DELETE", aks.cluster + "/agentPools/none").status_code == 429


@pytest.mark.parametrize(("kind", "status"), [("writes", 429), ("deletes", 202)])
def test_what_a_post_counts_as_is_a_switch(emulate, kind, status):
    """§6.1 (L)."""
    aks = emulate(throttle=arm(post_counts_as=kind))
    statuses(lambda: aks.put("m1"), 2)
    assert aks.delete("m1").status_code == status


def test_remaining_headers_count_down(emulate):
    """§6.1: subscription and subscription-global."""
    aks = emulate(throttle=arm())
    first, second = aks.call("GET", aks.pool), aks.call("GET", aks.pool)
    name = "x-ms-ratelimit-remaining-subscription-reads"
    assert (first.headers[name], second.headers[name]) == ("2", "1")
    assert first.headers["x-ms-ratelimit-remaining-subscription-global-reads"] == "44"
    assert "x-ms-ratelimit-remaining-subscription-writes" in aks.put("m1").headers


def test_the_provider_answers_throttled_bare_and_names_the_handler(emulate):
    """§6.2: all other calls share one bucket of the subscription."""
    aks = emulate(throttle=ThrottleSettings(arm=False, rp=True, rp_other=BucketSpec(2, 1)))
    assert aks.get("m1").status_code == 404
    assert aks.call("GET", aks.pool + "/machines").status_code == 200
    answer = aks.get("m1")
    assert answer.status_code == 429
    body = answer.json()
    assert body["code"] == "Throttled"
    assert body["message"] == (
        f"The MachineHandler.GET request limit has been exceeded for SubID='{aks.spec.subscription}', "
        "please retry again in 1 seconds"
    )
    assert answer.headers["Retry-After"] == "1"


def test_pool_puts_have_a_bucket_per_pool(emulate):
    """§6.2: 20, one a minute."""
    aks = emulate(throttle=ThrottleSettings(arm=False, rp=True, rp_pool_put=BucketSpec(1, 1 / 60)))

    def put(name):
        return aks.call("PUT", f"{aks.cluster}/agentPools/{name}", json={"properties": {"mode": "Machines"}})

    assert [put("a").status_code, put("a").status_code, put("b").status_code] == [201, 429, 201]
    assert put("a").headers["Retry-After"] == "60"


def test_batch_puts_are_throttled_apart_from_single_ones(emulate):
    """§6.2: a comment in telescope (M); a bucket of its own, without a documented number."""
    throttle = ThrottleSettings(arm=False, rp=True, rp_other=BucketSpec(1, 1), batch=BucketSpec(2, 0.5))
    aks = emulate(throttle=throttle)
    assert [aks.batch(name, []).status_code for name in ("a", "b", "c")] == [200, 200, 429]
    assert aks.put("d").status_code == 200
    assert aks.put("e").status_code == 429
    aks.advance(2)
    assert aks.batch("c", []).status_code == 200


def test_compute_calls_do_not_draw_on_the_provider(emulate):
    """§6.2 is about AKS."""
    aks = emulate(throttle=ThrottleSettings(arm=False, rp=True, rp_other=BucketSpec(0, 0)))
    assert aks.get("m1").status_code == 429
    assert (
        aks.call("GET", f"/subscriptions/{aks.spec.subscription}/providers/Microsoft.Compute/skus").status_code == 200
    )


def test_a_throttle_can_be_made_to_order(aks):
    """§10.9: the fault `throttle`."""
    aks.fault(kind="throttle", after_s=17, operations=["machine.get"], count=1)
    answer = aks.get("m1")
    assert (answer.status_code, answer.headers["Retry-After"], answer.json()["code"]) == (429, "17", "Throttled")
    assert aks.get("m1").status_code == 404


def test_the_bucket_of_one_region_and_kind_refills_no_further_than_its_burst():
    """§6.1, without HTTP."""
    throttle = Throttle(ThrottleSettings(arm_reads=BucketSpec(2, 1)))
    caller = Caller("sub", "eastus2")
    name = "x-ms-ratelimit-remaining-subscription-reads"
    assert throttle.take("GET", "sku.list", caller, 0)[name] == "1"
    assert throttle.take("GET", "sku.list", caller, 1000)[name] == "1"
    assert throttle.take("GET", "sku.list", Caller("sub", "westus2"), 1000)[name] == "1"
