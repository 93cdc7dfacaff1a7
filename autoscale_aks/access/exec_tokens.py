"""Tokens from a program, as kubeconfig files name one (`kubelogin`): the ExecCredential protocol of Kubernetes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.access.tokens import MARGIN_S, is_token
from autoscale_aks.errors import AuthError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TIMEOUT_S: Final = 60.0
_DECIMALS: Final = re.compile(r"\.\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecCommand:
    """The program, what it is given besides this process's environment, and how it is had where it is missing."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=frozendict, repr=False)
    api_version: str = "client.authentication.k8s.io/v1"
    hint: str = ""


class ExecTokenSource:
    """Runs the program when there is no token, when less than a minute of it is left, and after a 401."""

    def __init__(
        self, command: ExecCommand, *, now: Callable[[], float] = time.time, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._command = command
        self._now = now
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._token = ""
        self._expires_at: float | None = None

    def __repr__(self) -> str:
        return f"ExecTokenSource({self._command.arguments[0]!r})"

    def token(self) -> str:
        """The cached token, or what the program says. Raises AuthError when it says none."""
        with self._lock:
            if not self._token or (self._expires_at is not None and self._expires_at - self._now() < MARGIN_S):
                self._renew()
            return self._token

    def invalidate(self, refused: str) -> None:
        """Drop the refused token unless a newer one is here already."""
        with self._lock:
            if self._token == refused:
                self._token = ""

    def _renew(self) -> None:
        program = self._command.arguments[0]
        status = _status(self._run(program))
        token, expires = status.get("token"), status.get("expirationTimestamp")
        if not isinstance(token, str) or not is_token(token):
            raise AuthError(f"{program} printed no ExecCredential with a token")
        self._token = token
        self._expires_at = _moment(expires) if isinstance(expires, str) else None

    def _run(self, program: str) -> bytes:
        """What the program prints. Its standard error is shown only by its first line, its output never."""
        request = {"apiVersion": self._command.api_version, "kind": "ExecCredential", "spec": {"interactive": False}}
        try:
            done = subprocess.run(  # noqa: S603  the site's own kubeconfig names it; no shell reads it
                self._command.arguments,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self._timeout_s,
                env={**os.environ, **self._command.environment, "KUBERNETES_EXEC_INFO": json.dumps(request)},
                check=False,
            )
        except FileNotFoundError as error:
            hint = f"; {_clean(self._command.hint)}" if self._command.hint else ""
            raise AuthError(f"{program}, which the kubeconfig names for tokens, is not installed{hint}") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise AuthError(f"{program} gave no token: {type(error).__name__}") from error
        if done.returncode:
            first = (done.stderr.decode("utf-8", "replace").strip().splitlines() or [""])[0]
            raise AuthError(f"{program} ended with status {done.returncode}: {_clean(first)}")
        return done.stdout


def _status(printed: bytes) -> dict[str, object]:
    """`status` of an ExecCredential; empty where it is none."""
    try:
        found = json.loads(printed)
    except (ValueError, RecursionError):
        return {}
    status = found.get("status") if isinstance(found, dict) else None
    return status if isinstance(status, dict) else {}


def _moment(text: str) -> float | None:
    """RFC 3339 in seconds since the epoch, decimals left away; None when it is something else."""
    try:
        moment = datetime.fromisoformat(_DECIMALS.sub("", text).replace("Z", "+00:00"))
        return moment.timestamp() if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _clean(text: str) -> str:
    return "".join(one if one.isprintable() else " " for one in text[:300])
