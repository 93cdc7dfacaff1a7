"""Addresses that a token may be sent to."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine."""
    host = (urlsplit(url).hostname or "").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_url(field: str, url: str) -> None:
    """Raise ValueError for a base address that is none, or that would send a token in clear."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{field} {url!r} is not an http(s) URL")
    if parts.username or parts.password:
        raise ValueError(f"{field} must not carry credentials")
    if parts.scheme == "http" and not is_loopback(url):
        raise ValueError(f"{field} {url!r} would send tokens in clear; http is for loopback only")
