"""Where bearer tokens for Azure come from: azure-identity, or a fixed text for an emulator on this machine.

What a source does stands in `access.tokens`, with those that need no Azure.
"""

from __future__ import annotations

import enum
import logging
import threading
from typing import TYPE_CHECKING, Final

from autoscale_aks.access.addresses import is_loopback
from autoscale_aks.access.tokens import MARGIN_S, first_line
from autoscale_aks.cloud.aks.effects import Effects
from autoscale_aks.errors import AuthError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from azure.core.credentials import AccessToken, TokenCredential

    CredentialFactory = Callable[[], TokenCredential]

log = logging.getLogger(__name__)

KUBERNETES_SCOPE: Final = "6dae42f8-4368-4678-94ff-3960e28e3630/.default"
"""Scope of every AKS cluster's Kubernetes API when Entra ID guards it; the same in all clouds."""


class NoTokens:
    """For services that anybody may ask: nothing is sent (§9.3)."""

    def token(self) -> str:
        """No token."""
        return ""

    def invalidate(self, refused: str) -> None:
        """There is nothing to drop."""


class CredentialKind(enum.Enum):
    """The links a credential chain can be made of."""

    WORKLOAD_IDENTITY = "workload_identity"
    MANAGED_IDENTITY = "managed_identity"
    AZURE_CLI = "azure_cli"


DEFAULT_CHAIN: Final = (CredentialKind.WORKLOAD_IDENTITY, CredentialKind.MANAGED_IDENTITY, CredentialKind.AZURE_CLI)


class AzureTokenSource:
    """Tokens for one scope from azure-identity."""

    def __init__(self, scope: str, factory: CredentialFactory, *, effects: Effects | None = None) -> None:
        self._scope = scope
        self._factory = factory
        self._now = (effects or Effects()).now
        self._lock = threading.Lock()
        self._credential: TokenCredential | None = None
        self._cached: AccessToken | None = None

    def __repr__(self) -> str:
        return f"AzureTokenSource(scope={self._scope!r})"

    def token(self) -> str:
        """The cached token, renewed when less than a minute of it is left."""
        with self._lock:
            if self._cached is None or self._cached.expires_on - self._now() < MARGIN_S:
                self._renew()
            if self._cached is None:
                raise AuthError(f"no token for {self._scope}")
            return self._cached.token

    def invalidate(self, refused: str) -> None:
        """Drop the refused token, and the credential with it: azure-identity has a cache of its own."""
        with self._lock:
            if self._cached is not None and self._cached.token == refused:
                self._cached = None
                self._credential = None

    def _renew(self) -> None:
        from azure.core.exceptions import AzureError  # noqa: PLC0415  a slow import, and emulators never need it

        try:
            if self._credential is None:
                self._credential = self._factory()
            self._cached = self._credential.get_token(self._scope)
        except (AzureError, ValueError) as error:
            if self._cached is None or self._cached.expires_on <= self._now():
                raise AuthError(f"no token for {self._scope}: {first_line(error)}") from error
            log.warning("token for %s not renewed, using it to its end: %s", self._scope, first_line(error))


class StaticTokenSource:
    """A fixed token for an emulator. Raises AuthError for any endpoint that is not on this machine."""

    def __init__(self, token: str, *, endpoint: str) -> None:
        if not is_loopback(endpoint):
            raise AuthError(f"a fixed token is for an emulator on this machine, not for {endpoint}")
        self._token = token

    def __repr__(self) -> str:
        return "StaticTokenSource(...)"

    def token(self) -> str:
        """The fixed token."""
        return self._token

    def invalidate(self, refused: str) -> None:
        """There is no other token to be had."""


def azure_credentials(
    chain: Sequence[CredentialKind] = DEFAULT_CHAIN, *, authority: str | None = None, client_id: str | None = None
) -> CredentialFactory:
    """What makes an azure-identity credential that tries `chain` in order; nothing is imported before it is called.

    `client_id` picks one of several identities. A link that its environment does not offer is left out.
    """

    def make() -> TokenCredential:
        from azure.identity import ChainedTokenCredential  # noqa: PLC0415  a slow import

        links = [link for kind in chain if (link := _link(kind, authority, client_id)) is not None]
        if not links:
            raise AuthError(f"none of {', '.join(kind.value for kind in chain)} is configured here")
        return ChainedTokenCredential(*links)

    return make


def _link(kind: CredentialKind, authority: str | None, client_id: str | None) -> TokenCredential | None:
    from azure import identity  # noqa: PLC0415  a slow import

    if kind is CredentialKind.AZURE_CLI:
        return identity.AzureCliCredential()
    if kind is CredentialKind.MANAGED_IDENTITY:
        return identity.ManagedIdentityCredential(client_id=client_id)
    options = {"client_id": client_id, "authority": authority}
    try:
        return identity.WorkloadIdentityCredential(**{key: value for key, value in options.items() if value})
    except ValueError as error:
        log.debug("%s is not available: %s", kind.value, first_line(error))
        return None
