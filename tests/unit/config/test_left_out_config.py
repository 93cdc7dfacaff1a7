"""Which mistakes take out a bucket or a node array, and which the whole file (user ask T29c); comments beside them."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from unit.config.config_samples import GONE, SMALL, changed

from autoscale_aks.config import parse_config, parse_usable
from autoscale_aks.errors import ConfigError

GOOD = parse_config(json.dumps(SMALL))
SECOND = {"vm_size": "Standard_D8s_v5", "vcpu_count": 8, "memory_gb": 32}


def usable(document: dict[str, Any]) -> Any:
    return parse_usable(json.dumps(document, indent=1))


def two_buckets(path: str, value: Any = GONE) -> dict[str, Any]:
    base = copy.deepcopy(SMALL)
    base["nodearrays"]["htc"]["buckets"].append(dict(SECOND))
    return changed(path, value, base)


def test_a_good_file_leaves_out_nothing() -> None:
    assert parse_usable(json.dumps(SMALL)) == GOOD
    assert GOOD.left_out.problems == ()


@pytest.mark.parametrize(
    ("path", "value"),
    [("vcpu_count", 0), ("vm_size", GONE), ("memory_gb", "much"), ("vm_size", ""), ("max_cout", 3),
     ("pcpu_count", 400), ("vm_capabilities/x", "memory::4x")],
)  # fmt: skip
def test_a_mistake_in_a_bucket_takes_out_that_bucket_alone(path: str, value: Any) -> None:
    found = usable(two_buckets(f"nodearrays/htc/buckets/0/{path}", value))
    assert [one.vm_size for one in found.nodearrays["htc"].array.offerings] == ["Standard_D8s_v5"]
    assert found.nodearrays["hpc"] == GOOD.nodearrays["hpc"]
    assert (found.left_out.of_buckets, found.left_out.nodearrays) == ({"htc"}, frozenset())
    assert [one.path for one in found.left_out.problems] == [f"nodearrays.htc.buckets[0].{path.replace('/', '.')}"]
    assert "(line " in found.left_out.problems[0].message
    assert found.nodearrays["htc"].array.enabled


def test_an_entry_that_is_no_object_or_stands_twice_is_left_out() -> None:
    found = usable(changed("nodearrays/htc/buckets", [SECOND, "Standard_F4", SECOND]))
    assert [one.vm_size for one in found.nodearrays["htc"].array.offerings] == ["Standard_D8s_v5"]
    assert len(found.left_out.problems) == 2


def test_a_node_array_whose_only_bucket_is_bad_stays_with_none() -> None:
    found = usable(changed("nodearrays/htc/buckets/0/vcpu_count", -1))
    assert found.nodearrays["htc"].array.offerings == ()
    assert found.agent_pools == GOOD.agent_pools, "its pool is still looked at"


@pytest.mark.parametrize(
    ("key", "value"),
    [("max_count", "many"), ("priority", "high"), ("node_labels", {"kubernetes.io/x": "y"}), ("os_sku", "Windows2022"),
     ("max_pods", 0), ("headroom", [{"constraints": {"ncpus": -1}}]), ("min_nodes", -1),
     ("resources", {"x": "memory::4x"})],
)  # fmt: skip
def test_a_mistake_in_what_new_machines_are_like_makes_the_node_array_not_enabled(key: str, value: Any) -> None:
    document = changed(f"nodearrays/htc/{key}", value)
    found = usable(changed("nodearrays/htc/min_nodes", 2, document) if key != "min_nodes" else document)
    array = found.nodearrays["htc"]
    assert (array.array.enabled, array.array.min_nodes, array.headroom) == (False, 0, ())
    assert array.array.offerings == GOOD.nodearrays["htc"].array.offerings, "its machines are known as before"
    assert found.left_out.nodearrays == {"htc"}


@pytest.mark.parametrize(
    ("path", "value"),
    [("nodearrays/htc/agent_pool", "Bad Pool"), ("nodearrays/htc/agent_poool", "x"), ("nodearrays/htc/location", 3),
     ("nodearrays/htc/spot", "yes"), ("nodearrays/htc/zones", "1"), ("nodearrays/htc/placement_groups", [3]),
     ("nodearrays/htc/buckets", {}), ("nodearrays/htc", []), ("nodearrays/Not OK", {"buckets": []}),
     ("idle_timeout", "soon"), ("aks/cluser", "x"), ("aks/owner", GONE), ("default_resources", 3)],
)  # fmt: skip
def test_a_mistake_in_whose_machines_are_ours_or_anywhere_else_refuses_the_file(path: str, value: Any) -> None:
    document = changed(path, value)
    with pytest.raises(ConfigError) as lenient:
        usable(document)
    with pytest.raises(ConfigError) as strict:
        parse_config(json.dumps(document, indent=1))
    assert lenient.value.problems == strict.value.problems


def test_a_small_mistake_beside_a_great_one_refuses_the_file_with_both() -> None:
    with pytest.raises(ConfigError) as error:
        usable(changed("idle_timeout", "soon", changed("nodearrays/htc/buckets/0/vcpu_count", 0)))
    assert {one.path for one in error.value.problems} == {"idle_timeout", "nodearrays.htc.buckets[0].vcpu_count"}


def test_a_secret_is_never_left_out_silently() -> None:
    with pytest.raises(ConfigError) as error:
        usable(two_buckets("nodearrays/htc/buckets/0/client_secret", "hunter2hunter2"))
    assert "hunter2" not in str(error.value)


def test_comments_and_the_schemas_address_mean_nothing() -> None:
    document = copy.deepcopy(SMALL)
    document |= {"$comment": ["two", "lines"], "$schema": "autoscale.schema.json"}
    document["nodearrays"]["htc"]["$comment"] = "many"
    document["nodearrays"]["htc"]["buckets"][0]["$comment"] = "small"
    document["scheduler"]["$comment"] = "fast"
    assert parse_config(json.dumps(document)) == GOOD


@pytest.mark.parametrize("comment", [3, {"a": "b"}, ["a", 3], None])
def test_a_comment_that_is_no_text_is_an_unknown_key(comment: Any) -> None:
    with pytest.raises(ConfigError, match=r"comment"):
        parse_config(json.dumps({**SMALL, "$comment": comment}))


def test_a_secret_in_a_comment_is_found() -> None:
    with pytest.raises(ConfigError) as error:
        parse_config(json.dumps({**SMALL, "$comment": "password=hunter2hunter2"}))
    assert "hunter2" not in str(error.value)


def test_lines_are_right_beside_comments() -> None:
    text = json.dumps({"$comment": "first", **changed("nodearrays/htc/buckets/0/vcpu_count", 0)}, indent=1)
    line = next(number for number, one in enumerate(text.splitlines(), 1) if '"vcpu_count": 0' in one)
    with pytest.raises(ConfigError, match=rf"\(line {line}\)"):
        parse_config(text)


def test_default_columns_are_read_in_order_and_their_mistakes_have_paths() -> None:
    found = parse_config(json.dumps({**SMALL, "default_columns": {"nodes": ["state", "name"]}}))
    assert dict(found.default_columns) == {"nodes": ("state", "name")}
    for wrong, path in (
        ({"nodes": []}, r"default_columns\.nodes"),
        ({"nodes": ["a", "a"]}, r"default_columns\.nodes\[1\]"),
        ({"nodes": "name"}, r"default_columns\.nodes"),
        ({"nodes": [3]}, r"default_columns\.nodes\[0\]"),
        (["name"], r"default_columns"),
    ):
        with pytest.raises(ConfigError, match=path):
            parse_config(json.dumps({**SMALL, "default_columns": wrong}))
    with pytest.raises(ConfigError, match="default_columns"):
        parse_config(json.dumps({**SMALL, "output_columns": {}}))
