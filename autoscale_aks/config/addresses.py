"""Addresses of the clouds (aks-machine-api.md §1.4), and what an address in the configuration may be."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping


class CloudAddresses(NamedTuple):
    """Where one Azure cloud answers. The scope does not follow from the address: in usgov its host differs."""

    arm_url: str
    token_scope: str
    authority_url: str


CLOUDS: Final[Mapping[str, CloudAddresses]] = {
    "public": CloudAddresses(
        "https://management.azure.com",
        "https://management.azure.com/.default",
        "https://login.microsoftonline.com",
    ),
    "usgov": CloudAddresses(
        "https://management.usgovcloudapi.net",
        "https://management.core.usgovcloudapi.net/.default",
        "https://login.microsoftonline.us",
    ),
    "china": CloudAddresses(
        "https://management.chinacloudapi.cn",
        "https://management.chinacloudapi.cn/.default",
        "https://login.chinacloudapi.cn",
    ),
}


def fault_of_url(url: str) -> str | None:
    """What is wrong with a base address, in words; None when it can be used."""
    try:
        parts = urlsplit(url)
        host, scheme = parts.hostname, parts.scheme.lower()
        port_is_bad = parts.port == 0
    except ValueError:
        return "is no address; write https://HOST or https://HOST:PORT"
    faults = (
        (not url.isprintable() or " " in url, "has a blank or a control character in it; take it out"),
        (scheme not in {"http", "https"} or not host, "should be https://HOST or https://HOST:PORT"),
        (port_is_bad, "names the port 0; write the port the service listens on"),
        ("@" in parts.netloc, "names a user; take the part before @ out, tokens come from aks.credential"),
        (parts.query or parts.fragment, "has a part after ? or #; end it before"),
        (
            scheme == "http" and not is_loopback(url),
            "must begin with https://; plain http shows tokens to the network and is for this host only",
        ),
    )
    return next((message for found, message in faults if found), None)


def is_loopback(url: str) -> bool:
    """Whether an address is on this host: localhost, 127.0.0.0/8 or ::1."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
