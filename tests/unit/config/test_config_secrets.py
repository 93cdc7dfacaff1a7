"""A secret in the file is an error that names its key and never shows its value (user ask T32a)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from config_samples import SMALL, changed, problems
from hypothesis import given
from hypothesis import strategies as st

from autoscale_aks.config.secrecy import announces_secret, secret_kind

JWT = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
STORAGE_KEY = "q" * 86 + "=="

NAMES = ["password", "client_secret", "token", "clientSecret", "CLIENT-SECRET", "access_token", "bearer", "pwd",
         "account_key", "apiKey", "private_key", "sas_token", "connectionString", "passphrase"]  # fmt: skip
PLACES = ["", "aks/", "scheduler/", "scheduler/deep/er/", "nodearrays/htc/", "nodearrays/htc/buckets/0/",
          "nodearrays/htc/resources/", "nodearrays/htc/tags/", "logging/", "shared_resources/lic/"]  # fmt: skip
TEXTS = [
    JWT,
    f"Bearer {JWT}",
    f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={STORAGE_KEY}",
    STORAGE_KEY,
    "Endpoint=sb://x/;SharedAccessKey=abcdefgh",
    "https://a.blob.core.windows.net/c?sv=1&sig=abcdefgh12345678",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE",
    "amqp://guest:hunter2hunter2@rabbit:5672/",
    "mysql -u slurm --password=hunter2hunter2",
    "abc8Q~" + "x" * 31,
    "ghp_" + "a" * 36,
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_announces_a_secret_is_an_error_wherever_it_stands(place: str, name: str) -> None:
    found = problems(changed(place + name, "hunter2hunter2"))
    paths = [path for path, message in found if "secret" in message]
    assert len(paths) == 1
    assert name in paths[0]
    assert "hunter2" not in str(found)


@pytest.mark.parametrize("value", [12345, None, "", {"a": "hunter2"}, ["hunter2"], True])
def test_a_password_of_any_type_is_an_error_and_its_inside_is_not_shown(value: Any) -> None:
    found = problems(changed("aks/password", value))
    assert [path for path, _ in found] == ["aks.password"]
    assert "hunter2" not in str(found)
    assert "12345" not in str(found)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("place", ["aks/cluster", "aks/cloud", "aks/workers", "aks/kubernetes_url", "scheduler/type",
                                   "scheduler/squeue", "nodearrays/htc/tags/note", "ledger/path", "unknown",
                                   "idle_timeout", "aks/credential", "nodearrays/htc/resources/a"])  # fmt: skip
def test_a_text_that_is_a_secret_is_an_error_that_does_not_show_it(text: str, place: str) -> None:
    found = problems(changed(place, text))
    assert [path for path, _ in found] == [place.replace("/", ".")]
    assert "looks like" in found[0][1]
    assert_hidden(text, str(found))


@pytest.mark.parametrize("text", TEXTS)
def test_a_secret_inside_lists_or_as_a_key_is_not_shown_either(text: str) -> None:
    for document in (
        changed("scheduler/args", ["a", {"b": [text]}]),
        changed("default_resources", [{"select": {}, "name": "x", "value": text}]),
        changed("aks", {**SMALL["aks"], text: 1}),
        changed("nodearrays", {**SMALL["nodearrays"], text: {"buckets": [1]}}),
    ):
        found = problems(document)
        assert found
        assert_hidden(text, str(found))
        assert_hidden(text, str(problems(json.dumps(document, indent=1))))


def test_nothing_inside_what_a_secret_name_holds_is_looked_at_aloud() -> None:
    found = problems(changed("nodearrays/secret", {"agent_pool": "Hunter2", "buckets": "hunter2"}))
    assert [path for path, _ in found] == ["nodearrays.secret"]
    assert "unter2" not in str(found)


@pytest.mark.parametrize("text", TEXTS)
def test_a_secret_that_stands_as_a_key_is_an_error_even_where_any_key_is_taken(text: str) -> None:
    ((path, message),) = problems(changed("scheduler", {"type": "slurm", text: 1}))
    assert path == "scheduler[(hidden)]"
    assert "the key itself looks like" in message


def assert_hidden(secret: str, output: str) -> None:
    for start in range(0, len(secret) - 11, 4):
        piece = secret[start : start + 12]
        assert piece not in output, f"{piece!r} is shown"


@given(st.text(min_size=6).filter(lambda text: not text.isspace()))
def test_no_value_under_a_secret_name_is_ever_shown(value: str) -> None:
    found = problems(changed("aks/client_secret", f"<<{value}>>"))
    assert len(found) == 1
    assert f"<<{value}>>" not in found[0][1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("token_scope", "https://management.azure.com/.default"),
        ("password_file", "/etc/slurm/pw"),
        ("token_url", "https://login.example.org"),
        ("abaqus_tokens", 100),
        ("tokens", {"initial": 5}),
        ("key", "a"),
        ("sort_key", "priority"),
        ("monkey", "banana split with extra"),
        ("keyboard", "a-long-value-without-blanks"),
        ("compass", "north"),
    ],
)
def test_names_that_only_sound_like_secrets_are_taken(name: str, value: object) -> None:
    assert not announces_secret(name, value)


@pytest.mark.parametrize(
    "text",
    [
        "Standard_NC4as_T4_v3",
        "memory::4g",
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.Network/x",
        "scheduler.example/token=gpu:NoSchedule"[:17],
        "https://10.0.0.1:443/path",
        "`node.vcpu_count * 2`",
        "eyJust a word",
        "password",
    ],
)
def test_ordinary_texts_are_taken(text: str) -> None:
    assert secret_kind(text) is None
