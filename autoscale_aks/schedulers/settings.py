"""Settings that several schedulers have, read strictly; every problem is reported at once with its path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.errors import ConfigError
from autoscale_aks.planning.reading import kind_of

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping

    from autoscale_aks.planning.reading import Reader

_MOST_SECONDS: Final = 3600
_MOST_BYTES: Final = 2**36


def read_timeout(reader: Reader, raw: Mapping[str, Any], path: str, default: float) -> float:
    """`timeout_s`: how long one program may take."""
    seconds = reader.number(raw, "timeout_s", path)
    if seconds is None:
        return default
    if not 0 < seconds <= _MOST_SECONDS:
        reader.wrong(f"{path}.timeout_s", f"expected seconds, more than 0 and at most {_MOST_SECONDS}")
    return float(seconds)


def read_output_limit(reader: Reader, raw: Mapping[str, Any], path: str, default: int) -> int:
    """`max_output_bytes`: how much one program may print."""
    limit = reader.count(raw, "max_output_bytes", path, default)
    if not 0 < limit <= _MOST_BYTES:
        reader.wrong(f"{path}.max_output_bytes", f"expected bytes, from 1 to {_MOST_BYTES}")
    return limit


def read_path(reader: Reader, raw: Mapping[str, Any], key: str, path: str, base: Path | None) -> Path | None:
    """A file or directory; relative ones start at `base`, the directory of the configuration file."""
    text = reader.optional_text(raw, key, path)
    if text is None:
        return None
    if not text.strip() or not text.isprintable():
        reader.wrong(f"{path}.{key}", "expected a path")
        return None
    return Path(text) if base is None else base / text


def read_command(reader: Reader, raw: Mapping[str, Any], key: str, path: str) -> tuple[str, ...]:
    """A program and its arguments as a list of strings (no shell reads them); empty when absent."""
    if isinstance(raw.get(key), str):
        reader.wrong(f"{path}.{key}", 'expected a list, the program first, such as ["prog", "--jobs"]')
        return ()
    parts = reader.texts(raw, key, path)
    if key in raw and (not parts or not parts[0] or any("\0" in part for part in parts)):
        reader.wrong(f"{path}.{key}", "expected the program as the first string")
    return parts


def read_object(reader: Reader, raw: Mapping[str, Any], key: str, path: str) -> Mapping[str, Any]:
    """An object with any keys; empty when absent."""
    found = raw.get(key, {})
    if hasattr(found, "items"):
        return {str(name): value for name, value in found.items()}
    reader.wrong(f"{path}.{key}", f"expected an object, found {kind_of(found)}")
    return {}


def read_word(reader: Reader, raw: Mapping[str, Any], key: str, path: str, default: str) -> str:
    """A name, such as that of a program or of a resource."""
    text = reader.text(raw, key, path, default)
    if not text.strip() or not text.isprintable():
        reader.wrong(f"{path}.{key}", f'expected a name such as "{default}"')
    return text


def read_lists(reader: Reader, raw: Mapping[str, Any], key: str, path: str) -> Mapping[str, tuple[str, ...]]:
    """An object whose values are lists of strings; a single string is a list of one."""
    objects = read_object(reader, raw, key, path)
    lists = {name: [value] if isinstance(value, str) else value for name, value in objects.items()}
    return frozendict({name: reader.texts(lists, name, f"{path}.{key}") for name in lists})


def read_texts(
    reader: Reader, raw: Mapping[str, Any], key: str, path: str, *, name: re.Pattern[str], value: re.Pattern[str]
) -> Mapping[str, str]:
    """An object of names and values as a scheduler's command takes them: numbers, words, true and false."""
    found: dict[str, str] = {}
    for word, given in read_object(reader, raw, key, path).items():
        text = str(given).lower() if isinstance(given, bool) else str(given)
        if not name.match(word):
            reader.wrong(f"{path}.{key}.{word[:60]}", "is no name of a resource")
        elif given is None or isinstance(given, dict | list) or not value.match(text):
            reader.wrong(f"{path}.{key}.{word}", 'expected a number, true, false or a word such as "15gb"')
        else:
            found[word] = text
    return frozendict(found)


def read_unknown_reasons(reader: Reader, raw: Mapping[str, Any], path: str) -> bool:
    """`unknown_reasons`: whether jobs that wait for a reason we do not know are runnable (user ask T06a)."""
    found = reader.text(raw, "unknown_reasons", path, "runnable")
    if found not in {"runnable", "waiting"}:
        reader.wrong(f"{path}.unknown_reasons", 'expected "runnable" or "waiting"')
    return found == "runnable"


def read_job_reasons(reader: Reader, raw: Mapping[str, Any], path: str) -> bool:
    """`job_reasons`: whether to write why a job waits where its user looks. Needs more rights than reading; off."""
    return reader.flag(raw, "job_reasons", path, default=False)


def finish(reader: Reader) -> None:
    """Raise ConfigError when anything was wrong."""
    if reader.problems:
        raise ConfigError(reader.problems)
