"""Bearer tokens: what a source of them does, and the two simplest.

A source hands out a token that is good for at least a minute, from a cache under a lock. After a 401 the caller says
*which* token was refused, so that sixty workers that see the same 401 cause one refresh and not sixty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from autoscale_aks.errors import AuthError

if TYPE_CHECKING:
    from pathlib import Path

MARGIN_S: Final = 60.0
"""A token with less life than this is renewed before use (aks-machine-api.md §1.3)."""


class TokenSource(Protocol):
    """Thread-safe."""

    def token(self) -> str:
        """A token to use now; empty where none is sent. Raises AuthError when none can be had."""
        ...

    def invalidate(self, refused: str) -> None:
        """The service answered 401 to `refused`; drop it unless a newer one is here already."""
        ...


class NoToken:
    """For servers that know us by our certificate, or take anybody."""

    def token(self) -> str:
        """Nothing is sent."""
        return ""

    def invalidate(self, refused: str) -> None:
        """There is nothing to drop."""


class FileTokenSource:
    """A token in a file that somebody else keeps fresh, such as a pod's service account token. Read on every use."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __repr__(self) -> str:
        return f"FileTokenSource({str(self._path)!r})"

    def token(self) -> str:
        """The file's present content."""
        try:
            text = self._path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise AuthError(f"no token in {self._path}: {first_line(error)}") from error
        if not is_token(text):
            raise AuthError(f"{self._path} does not hold a token")
        return text

    def invalidate(self, refused: str) -> None:
        """Nothing is cached."""


def is_token(found: object) -> bool:
    """Whether it is something that a header can carry."""
    return isinstance(found, str) and found.isascii() and found != "" and not any(map(str.isspace, found))


def first_line(error: BaseException) -> str:
    """The first words of an error, on one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
