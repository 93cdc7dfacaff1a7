"""From the configuration to the Kubernetes API, in each of the three ways."""

from __future__ import annotations

import base64
import gc
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from unit.reconcile.fakes import config_document

from autoscale_aks.cli.main import BAD_INPUT, main
from autoscale_aks.cli.wiring import build_client, with_emulator
from autoscale_aks.config import parse_config
from autoscale_aks.errors import CloudError

if TYPE_CHECKING:
    from autoscale_aks.config import Config

URL = "http://127.0.0.1:1"


def configured(directory: Path, **aks: Any) -> Config:
    document = config_document(URL)
    del document["aks"]["kubernetes_url"]
    document["aks"] |= aks
    return parse_config(json.dumps(document), str(directory / "autoscale.json"))


def kubeconfig(directory: Path) -> str:
    authority = base64.b64encode(b"a certificate").decode()
    document = {
        "current-context": "c",
        "contexts": [{"name": name, "context": {"cluster": name, "user": "u"}} for name in ("c", "d")],
        "clusters": [
            {"name": name, "cluster": {"server": f"https://{name}.example", "certificate-authority-data": authority}}
            for name in ("c", "d")
        ],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    (directory / "kubeconfig").write_text(json.dumps(document))
    return "kubeconfig"


def test_a_kubeconfigs_authority_lives_as_long_as_the_client(tmp_path: Path) -> None:
    config = configured(tmp_path, kubernetes_config_file=kubeconfig(tmp_path))
    client = build_client(config, None)
    assert client.endpoints.kubernetes_url == "https://c.example"
    stored = Path(client.endpoints.kubernetes_route.ca or "")
    assert stored.read_text() == "a certificate"
    client.close()
    del client
    gc.collect()
    assert not stored.exists()


def test_another_context_can_be_chosen(tmp_path: Path) -> None:
    config = configured(tmp_path, kubernetes_config_file=kubeconfig(tmp_path), kubernetes_context="d")
    with build_client(config, None) as client:
        assert client.endpoints.kubernetes_url == "https://d.example"
    assert config.aks.reads_nodes


def test_an_address_of_its_own_and_none_at_all(tmp_path: Path) -> None:
    with build_client(configured(tmp_path, kubernetes_url=f"{URL}/"), None) as client:
        assert client.endpoints.kubernetes_url == URL
    config = configured(tmp_path)
    assert not config.aks.reads_nodes
    with build_client(config, None) as client, pytest.raises(CloudError, match="no Kubernetes API"):
        client.list_nodes(["htc"])


def test_an_emulator_takes_the_place_of_all_three(tmp_path: Path) -> None:
    for aks in ({"kubernetes_in_cluster": True}, {"kubernetes_config_file": "nowhere"}):
        config = with_emulator(configured(tmp_path, **aks), URL)
        assert (config.aks.kubernetes_url, config.aks.kubernetes_config_file, config.aks.kubernetes_in_cluster) == (
            URL,
            None,
            False,
        )


def test_a_pods_account_outside_a_pod_is_status_2_with_a_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    document = config_document(URL)
    del document["aks"]["kubernetes_url"]
    document["aks"]["kubernetes_in_cluster"] = True
    path = tmp_path / "autoscale.json"
    path.write_text(json.dumps(document))
    assert main(["machines", "list", "-c", str(path)]) == BAD_INPUT
    error = capsys.readouterr().err
    assert error.startswith("error: aks.kubernetes_in_cluster: is true, but this is no pod")
    assert "kubernetes_config_file or a kubernetes_url instead" in error
