"""What looks like a secret: names that announce one, and texts that are one (user ask T32a).

A secret in `autoscale.json` is an error: the file is copied, mailed and read by many. Nothing here, and nothing that
uses it, ever prints the value.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from autoscale_aks.config.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoscale_aks.config.findings import Document, Path

_ANNOUNCING: Final = (
    "password", "passwd", "passphrase", "secret", "privatekey", "accesskey", "accountkey", "apikey", "sharedkey",
    "storagekey", "subscriptionkey", "encryptionkey", "signingkey", "mungekey", "jwtkey", "sshkey", "clientkey",
    "authkey", "masterkey", "primarykey", "secondarykey", "connectionstring", "sastoken", "accesstoken", "authtoken",
    "bearertoken", "refreshtoken",
)  # fmt: skip
_ANNOUNCING_ALONE: Final = frozenset({"pwd", "pat", "jwt", "token", "bearer"})
_POINTING: Final = frozenset(
    {"file", "path", "dir", "directory", "env", "scope", "url", "uri", "endpoint", "name", "timeout", "audience"}
)
"""Last words of names that say where a secret is, not what it is: `token_scope`, `password_file`."""
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_KEY_LENGTH: Final = 16

_TEXTS: Final[tuple[tuple[str, re.Pattern[str]], ...]] = (
    ("a token (JWT)", re.compile(r"eyJ[A-Za-z0-9_-]{17,}")),
    ("a private key", re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY")),
    (
        "a password, key or token in a setting",
        re.compile(
            r"(?i)(?:account_?key|shared_?access_?(?:key|signature)|pass(?:word|wd)|\bpwd|client_?secret|api[-_]?key"
            r"|access_?token|\btoken|\bsecret)\s{0,5}=\s{0,5}[^\s:]"
        ),
    ),
    ("a signed address (SAS)", re.compile(r"[?&]sig=[^&\s]{8}")),
    ("an address with a password", re.compile(r"://[^/\s:@]{1,256}:[^/\s@]{1,256}@")),
    ("a bearer token", re.compile(r"(?i)\bbearer\s{1,5}[A-Za-z0-9._~+/-]{16,}")),
    ("an application's secret", re.compile(r"[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31}")),
    ("a storage key", re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{86}==")),
    ("an access token", re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{30}|github_pat_[A-Za-z0-9_]{30})")),
)

_REMEDY: Final = (
    "secrets do not belong in this file: take it out, change it if it was real, and use a managed or workload "
    "identity (aks.credential)"
)


def secret_kind(text: str) -> str | None:
    """What secret a text looks like, in words; None when it looks like none."""
    return next((kind for kind, pattern in _TEXTS if pattern.search(text)), None)


def announces_secret(name: str, value: Document) -> bool:
    """Whether a key's name says that its value is a secret.

    Names that end in "token" or "key" do so only with a text: licence tokens are counted in numbers.
    """
    words = [word.lower() for word in _WORD.findall(name[:256])]
    if not words or words[-1] in _POINTING:
        return False
    joined = "".join(words)
    if joined in _ANNOUNCING_ALONE or any(word in joined for word in _ANNOUNCING):
        return True
    if not isinstance(value, str):
        return False
    if words[-1] in {"token", "tokens"}:
        return bool(value)
    return words[-1] in {"key", "keys"} and len(value) >= _KEY_LENGTH and not re.search(r"\s", value)


def find_secrets(value: Document, path: Path = ()) -> Iterator[Finding]:
    """Every key that announces a secret and every text that looks like one, wherever it stands."""
    if isinstance(value, dict):
        for key, child in value.items():
            if kind := secret_kind(key):
                yield Finding((*path, key), f"the key itself looks like {kind}; {_REMEDY}")
            elif announces_secret(key, child):
                yield Finding((*path, key), f"the key's name announces a secret; {_REMEDY}")
            else:
                yield from find_secrets(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from find_secrets(child, (*path, index))
    elif isinstance(value, str) and (kind := secret_kind(value)):
        yield Finding(path, f"the value looks like {kind}; {_REMEDY}")
