"""What `qconf -s…` prints → queues, parallel environments, host groups, complexes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

if TYPE_CHECKING:
    from collections.abc import Mapping

_OVERRIDE: Final = re.compile(r"\[[^\]=]*=([^\]]*)\]")
_OVERRIDES: Final = re.compile(r",?\s*\[[^\]]*\]")
_COMPLEX_FIELDS: Final = 8


@dataclass(frozen=True, slots=True)
class Complex:
    """One line of `qconf -sc`: how a resource is compared and whether it is used up."""

    name: str
    type: str
    """INT, DOUBLE, MEMORY, TIME, BOOL, STRING, CSTRING, RESTRING or HOST."""
    relop: str
    consumable: str
    """NO; YES (a slot's), JOB (once a job) or HOST (once a host)."""

    @property
    def is_amount(self) -> bool:
        """Whether jobs use it up."""
        return self.consumable != "NO" and self.type != "BOOL"

    @property
    def is_exclusive(self) -> bool:
        """Whether asking for it means to be alone on the host."""
        return self.relop == "EXCL"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFacts:
    """A cluster queue."""

    name: str
    hostlist: tuple[str, ...]
    environments: frozenset[str] = frozenset()
    is_batch: bool = True
    seq_no: int = 0
    limits: Mapping[str, str] = field(default_factory=frozendict)
    """h_rt, h_vmem and so on, the most generous of all its hosts."""


_LIMITS: Final = (
    "s_rt", "h_rt", "s_cpu", "h_cpu", "s_fsize", "h_fsize", "s_data", "h_data", "s_stack", "h_stack", "s_core",
    "h_core", "s_rss", "h_rss", "s_vmem", "h_vmem",
)  # fmt: skip


def parse_objects(text: str) -> list[dict[str, str]]:
    """Objects as `name value` lines; a blank line ends one, and a backslash goes on in the next line."""
    found: list[dict[str, str]] = []
    for block in re.split(r"\n[ \t]*\n", text.replace("\\\n", " ")):
        pairs: dict[str, str] = {}
        for line in block.split("\n"):
            name, _, value = line.strip().partition(" ")
            if name and not name.startswith(("#", "{", "}")):
                pairs.setdefault(name, re.sub(r",\s+", ",", value.strip()))
        if pairs:
            found.append(pairs)
    return found


def parse_queues(text: str) -> Mapping[str, QueueFacts]:
    """`qconf -sq '*'`."""
    queues: dict[str, QueueFacts] = {}
    for pairs in parse_objects(text):
        name = pairs.get("qname", "")
        if not name:
            continue
        queues[name] = QueueFacts(
            name=name,
            hostlist=_words(pairs.get("hostlist", "")),
            environments=frozenset(_every_word(pairs.get("pe_list", ""))),
            is_batch="BATCH" in pairs.get("qtype", "BATCH"),
            seq_no=int(seq) if (seq := _plain(pairs.get("seq_no", "0"))).isdigit() else 0,
            limits=frozendict({limit: _plain(pairs[limit]) for limit in _LIMITS if limit in pairs}),
        )
    return frozendict(queues)


def parse_rules(text: str) -> Mapping[str, str]:
    """`qconf -sp NAME`, one after the other → parallel environment → allocation rule."""
    objects = parse_objects(text)
    return frozendict({pairs["pe_name"]: pairs.get("allocation_rule", "") for pairs in objects if "pe_name" in pairs})


def parse_groups(text: str) -> Mapping[str, tuple[str, ...]]:
    """`qconf -shgrp NAME`, one after the other → host group → its hosts and groups."""
    objects = parse_objects(text)
    return frozendict(
        {pairs["group_name"]: _words(pairs.get("hostlist", "")) for pairs in objects if "group_name" in pairs}
    )


def parse_complexes(text: str) -> Mapping[str, Complex]:
    """`qconf -sc`: by name, and by shortcut where no complex has that name."""
    found: dict[str, Complex] = {}
    shortcuts: dict[str, Complex] = {}
    for line in text.split("\n"):
        words = line.split()
        if len(words) >= _COMPLEX_FIELDS and not words[0].startswith("#"):
            made = Complex(words[0], words[2].upper(), words[3].upper(), words[5].upper())
            found[made.name] = made
            shortcuts.setdefault(words[1], made)
    return frozendict({**shortcuts, **found})


def parse_names(text: str) -> tuple[str, ...]:
    """A list of names, one a line: `qconf -spl`, `-shgrpl`."""
    return tuple(line.strip() for line in text.split("\n") if line.strip() and " " not in line.strip())


def split_values(text: str) -> dict[str, str]:
    """`mem_free=16G,slot_type=hpc` → its parts; NONE is none."""
    parts = (part.partition("=") for part in re.split(r"[,\s]+", text))
    return {name: value for name, equals, value in parts if equals and name}


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in re.split(r"[,\s]+", text) if word and word != "NONE")


def _every_word(text: str) -> tuple[str, ...]:
    """The words of a value and of its overrides for some hosts: `smp mpi,[@htc=smp]`."""
    inner = " ".join(_OVERRIDE.findall(text))
    return _words(f"{_OVERRIDES.sub(' ', text)} {inner}")


def _plain(text: str) -> str:
    """A value without what it is on some hosts."""
    return _OVERRIDES.sub("", text).strip().strip(",")
