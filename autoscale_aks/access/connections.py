"""Pools of connections: which certificate authority, which certificate of ours, which proxy.

Proxies (`HTTPS_PROXY`, `NO_PROXY` …) and certificate authorities come from the environment as they do for other
programs of a host, unless a route says otherwise; never a proxy for this machine. No cookies, no .netrc.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from autoscale_aks.access.addresses import is_loopback

_CA_VARIABLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Where a site names its own certificate authorities, as other programs of its hosts read them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How a server is reached where it is not as the environment says."""

    ca: str | None = None
    """File or directory of certificate authorities."""
    client_cert: tuple[str, str] | None = None
    """Files of our own certificate and its key."""
    proxy: str | None = None
    is_plain: bool = False
    """Without TLS, to this machine: no authorities are read for it, and no connection with TLS shares its pools."""


DIRECT: Final = Route()


def resolved(route: Route, url: str) -> Route:
    """The route to a URL with what the environment adds: equal routes may share their connections."""
    parts = urlsplit(url)
    ca = route.ca or next((os.environ[name] for name in _CA_VARIABLES if os.environ.get(name)), None)
    proxy = route.proxy or proxy_of(parts.scheme, parts.hostname or "", url)
    is_plain = parts.scheme == "http" and proxy is None
    return Route(ca=ca, client_cert=route.client_cert, proxy=proxy, is_plain=is_plain)


def make_pools(route: Route, *, connections: int) -> urllib3.PoolManager:
    """Pools for a resolved route, with one TLS context for all: reading the authorities takes longer than a handshake.

    Raises OSError (of which ssl.SSLError is one) and urllib3's HTTPError for files that are not there or none.
    """
    if route.is_plain:
        return urllib3.PoolManager(num_pools=4, maxsize=connections)
    ca = route.ca or _packaged_authorities()
    is_folder = os.path.isdir(ca)  # noqa: PTH112  asked once a host
    context = ssl.create_default_context(cafile=None if is_folder else ca, capath=ca if is_folder else None)
    if route.client_cert is not None:
        context.load_cert_chain(*route.client_cert)
    if route.proxy is None:
        return urllib3.PoolManager(num_pools=4, maxsize=connections, ssl_context=context)
    address, secret = split_credentials(route.proxy)
    headers = urllib3.make_headers(proxy_basic_auth=secret) if secret else None
    return urllib3.ProxyManager(address, num_pools=4, maxsize=connections, proxy_headers=headers, ssl_context=context)


def _packaged_authorities() -> str:
    import certifi  # noqa: PLC0415  a site that names its own, and an emulator, need none

    return certifi.where()


def proxy_of(scheme: str, host: str, url: str) -> str | None:
    """The proxy that the environment names for a host; never one for this machine."""
    proxies = getproxies()
    if is_loopback(url) or proxy_bypass(host) or _is_in_networks(host, proxies.get("no", "")):
        return None
    proxy = proxies.get(scheme) or proxies.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy or None


def _is_in_networks(host: str, no_proxy: str) -> bool:
    """Whether `NO_PROXY` names a network that an address lies in (`10.0.0.0/8`)."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    for item in no_proxy.split(","):
        try:
            if "/" in item and address in ipaddress.ip_network(item.strip(), strict=False):
                return True
        except ValueError:  # a name with a slash in it is no network
            continue
    return False


def split_credentials(proxy: str) -> tuple[str, str]:
    """A proxy's address without the `user:password` in it, and that."""
    scheme, _, rest = proxy.partition("://")
    secret, at, host = rest.rpartition("@")
    return (f"{scheme}://{host}", unquote(secret)) if at else (proxy, "")
