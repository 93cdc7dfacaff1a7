"""Tokens, clouds and endpoints (aks-machine-api.md §1)."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from aks_fakes import EPOCH, FakeClock
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError

from autoscale_aks.access.addresses import is_loopback
from autoscale_aks.access.tokens import FileTokenSource
from autoscale_aks.cloud.aks.auth import (
    AzureTokenSource,
    CredentialKind,
    StaticTokenSource,
    azure_credentials,
)
from autoscale_aks.cloud.aks.endpoints import (
    CLOUDS,
    AksEndpoints,
    check_machine_name,
    check_pool_name,
    find_cloud,
)
from autoscale_aks.config import addresses
from autoscale_aks.errors import AuthError

if TYPE_CHECKING:
    from pathlib import Path

SCOPE = "https://management.azure.com/.default"


class FakeCredential:
    """Makes secret-1, secret-2, … that live `life_s`; raises what is in `errors` first."""

    def __init__(self, clock: FakeClock, life_s: float = 3600, errors: list[Exception] | None = None) -> None:
        self.clock, self.life_s, self.errors = clock, life_s, errors or []
        self.asked = 0

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        assert scopes == (SCOPE,)
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return AccessToken(f"secret-{self.asked}", int(self.clock.now() + self.life_s))


def source_of(clock: FakeClock, credential: FakeCredential) -> AzureTokenSource:
    return AzureTokenSource(SCOPE, lambda: credential, effects=clock.effects())


def test_a_token_is_kept_until_a_minute_before_its_end() -> None:
    clock = FakeClock()
    credential = FakeCredential(clock)
    source = source_of(clock, credential)
    assert [source.token(), source.token()] == ["secret-1", "secret-1"]
    clock.time = EPOCH + 3540
    assert source.token() == "secret-1"
    clock.time = EPOCH + 3541
    assert source.token() == "secret-2"


def test_many_workers_cause_one_request() -> None:
    clock = FakeClock()
    credential = FakeCredential(clock)
    source = source_of(clock, credential)
    threads = [threading.Thread(target=source.token) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert credential.asked == 1


def test_many_refusals_of_one_token_cause_one_refresh_and_a_new_credential() -> None:
    clock, made = FakeClock(), []

    def factory() -> FakeCredential:
        made.append(FakeCredential(clock))
        made[-1].asked = len(made) * 10
        return made[-1]

    source = AzureTokenSource(SCOPE, factory, effects=clock.effects())
    refused = source.token()
    for _ in range(20):
        source.invalidate(refused)
        assert source.token() == "secret-21"
    assert len(made) == 2


def test_a_renewal_that_fails_uses_the_old_token_to_its_end(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    credential = FakeCredential(clock)
    source = source_of(clock, credential)
    source.token()
    credential.errors = [ServiceRequestError("no network")] * 2
    clock.time = EPOCH + 3590
    assert source.token() == "secret-1"
    assert "no network" in caplog.text
    clock.time = EPOCH + 3601
    with pytest.raises(AuthError, match="no network"):
        source.token()


@pytest.mark.parametrize("error", [ClientAuthenticationError("not logged in\nlong story"), ValueError("tenant")])
def test_no_token_is_an_auth_error_with_one_line(error: Exception) -> None:
    clock = FakeClock()
    with pytest.raises(AuthError, match="no token for") as raised:
        source_of(clock, FakeCredential(clock, errors=[error])).token()
    assert "\n" not in str(raised.value)


def test_a_chain_leaves_out_what_is_not_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    chain = azure_credentials(authority="login.microsoftonline.us")()
    assert [type(link).__name__ for link in chain.credentials] == [  # type: ignore[attr-defined]
        "ManagedIdentityCredential",
        "AzureCliCredential",
    ]
    with pytest.raises(AuthError, match="workload_identity"):
        azure_credentials([CredentialKind.WORKLOAD_IDENTITY])()


def test_workload_identity_is_used_where_it_is_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AZURE_TENANT_ID", "tenant")
    monkeypatch.setenv("AZURE_CLIENT_ID", "client")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))
    chain = azure_credentials([CredentialKind.WORKLOAD_IDENTITY], authority="login.microsoftonline.us")()
    assert [type(link).__name__ for link in chain.credentials] == ["WorkloadIdentityCredential"]  # type: ignore[attr-defined]


def test_importing_the_client_does_not_import_azure_identity() -> None:
    rooms = "autoscale_aks.cloud.aks.client, autoscale_aks.cloud.aks.auth"
    code = f"import sys, {rooms}; print('azure.identity' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"


def test_the_client_and_the_emulator_do_not_know_each_other() -> None:
    code = "import sys, autoscale_aks.cloud.aks.client; print([n for n in sys.modules if 'emulator' in n])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http://localhost/", "http://[::1]:9", "http://a.localhost", "http://127.9.9.9"]
)
def test_a_fixed_token_is_for_this_machine(url: str) -> None:
    assert is_loopback(url)
    assert StaticTokenSource("secret", endpoint=url).token() == "secret"


@pytest.mark.parametrize(
    "url",
    [
        "https://management.azure.com",
        "http://10.0.0.1",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://evil.example/127.0.0.1",
        "http://0.0.0.0",
        "localhost",
        "",
    ],
)
def test_a_fixed_token_goes_nowhere_else(url: str) -> None:
    with pytest.raises(AuthError, match="emulator"):
        StaticTokenSource("secret", endpoint=url)


def test_a_token_file_is_read_anew_each_time(tmp_path: Path) -> None:
    path = tmp_path / "token"
    source = FileTokenSource(path)
    with pytest.raises(AuthError):
        source.token()
    path.write_text("secret-1\n")
    assert source.token() == "secret-1"
    path.write_text("secret-2")
    source.invalidate("secret-1")
    assert source.token() == "secret-2"
    for bad in ("", "two words", "line\nbreak"):
        path.write_text(bad)
        with pytest.raises(AuthError, match="does not hold"):
            source.token()
    path.write_bytes(b"\xff")
    with pytest.raises(AuthError):
        source.token()


def test_nothing_shows_a_token_in_reprs_or_logs(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.DEBUG)
    clock = FakeClock()
    azure = source_of(clock, FakeCredential(clock))
    azure.token()
    azure.invalidate("secret-1")
    azure.token()
    path = tmp_path / "token"
    path.write_text("secret-9")
    shown = repr((azure, StaticTokenSource("secret-7", endpoint="http://localhost"), FileTokenSource(path)))
    assert "secret" not in shown
    assert "secret" not in caplog.text


def test_clouds_keep_endpoint_and_scope_apart() -> None:
    gov = find_cloud("usgov")
    assert gov.arm_url == "https://management.usgovcloudapi.net"
    assert gov.scope == "https://management.core.usgovcloudapi.net/.default"
    assert gov.authority == "login.microsoftonline.us"
    assert {cloud.name for cloud in CLOUDS} == {"public", "usgov", "china"}
    with pytest.raises(ValueError, match="usgov"):
        find_cloud("mars")


def test_the_two_tables_of_cloud_addresses_say_the_same() -> None:
    ours = {cloud.name: (cloud.arm_url, cloud.scope, f"https://{cloud.authority}") for cloud in CLOUDS}
    assert ours == {
        name: (known.arm_url, known.token_scope, known.authority_url) for name, known in addresses.CLOUDS.items()
    }


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8", "http://localhost", "http://[::1]", "http://127.0.0.1.example", "http://10.0.0.1", "", "x"],
)
def test_the_two_readings_of_loopback_agree(url: str) -> None:
    assert addresses.is_loopback(url) == is_loopback(url)


def endpoints(**fields: Any) -> AksEndpoints:
    given = {
        "arm_url": "https://management.azure.com/",
        "scope": SCOPE,
        "subscription": "sub",
        "resource_group": "rg.(1)",
        "cluster": "cl",
        **fields,
    }
    return AksEndpoints(**given)


def test_urls_are_the_contracts() -> None:
    base = (
        "https://management.azure.com/subscriptions/sub/resourceGroups/rg.%281%29/providers"
        "/Microsoft.ContainerService/managedClusters/cl/agentPools/pool1"
    )
    made = endpoints()
    assert made.pools_url() == f"{base.removesuffix('/pool1')}?api-version=2024-06-02-preview"
    assert made.pool_url("pool1") == f"{base}?api-version=2024-06-02-preview"
    assert made.machines_url("pool1") == f"{base}/machines?api-version=2025-06-02-preview"
    assert made.machine_url("pool1", "m1") == f"{base}/machines/m1?api-version=2025-06-02-preview"
    assert made.delete_url("pool1") == f"{base}/deleteMachines?api-version=2025-06-02-preview"
    assert made.machines_url("pool1", expand_vm_state=True).endswith(
        "?api-version=2025-06-02-preview&$expand=properties.status.vmState"
    )


def test_api_versions_are_settings() -> None:
    made = endpoints(pool_api_version="2025-07-01", machine_api_version="2026-08-02-preview")
    assert made.pool_url("p").endswith("2025-07-01")
    assert made.machine_url("p", "m").endswith("2026-08-02-preview")


@pytest.mark.parametrize(
    "fields",
    [
        {"arm_url": "http://management.azure.com"},
        {"arm_url": "ftp://x"},
        {"arm_url": "management.azure.com"},
        {"arm_url": "https://user:pass@management.azure.com"},
        {"kubernetes_url": "http://10.0.0.1"},
        {"subscription": "a/b"},
        {"subscription": ""},
        {"resource_group": "a/../b"},
        {"resource_group": "rg (1)"},
        {"cluster": "-bad"},
        {"cluster": "a?b"},
    ],
)
def test_endpoints_that_would_leak_or_lie_are_refused(fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"http|credentials|cannot be"):
        endpoints(**fields)


@pytest.mark.parametrize("name", ["a", "a1", "a-1", "np-001", "a" * 34, "a" + "-" * 32 + "z"])
def test_machine_names_that_become_node_names(name: str) -> None:
    check_machine_name(name)


@pytest.mark.parametrize("name", ["", "1a", "-a", "a-", "A", "a_b", "a.b", "a" * 35, "a\n", "ä", "a b"])
def test_machine_names_that_do_not(name: str) -> None:
    with pytest.raises(ValueError, match="machine name"):
        check_machine_name(name)


@pytest.mark.parametrize("pool", ["", "1a", "a-b", "A", "a" * 13, "a\n"])
def test_pool_names_that_cannot_be(pool: str) -> None:
    check_pool_name("a" * 12)
    with pytest.raises(ValueError, match="pool name"):
        check_pool_name(pool)
