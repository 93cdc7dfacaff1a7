"""Machines of what a mistake took out of the configuration stay as they are (user ask T29c). Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoscale_aks.config import Config
    from autoscale_aks.model.node import Node


def spare(nodes: Iterable[Node], config: Config) -> tuple[Node, ...]:
    """The nodes, with those protected that nobody can judge until the configuration is mended.

    These are all of a node array that is left out, and of one that lacks a bucket those that no other bucket of it
    explains. They run what they run; no path deletes them.
    """
    out = config.left_out
    if not out.problems:
        return tuple(nodes)
    explained = {
        (array.name, offering.vm_size, offering.zone)
        for array in config.arrays
        if array.name not in out.nodearrays
        for offering in array.offerings
    }
    concerned = out.nodearrays | out.of_buckets
    return tuple(
        replace(node, keep_alive=True)
        if node.nodearray in concerned and (node.nodearray, node.vm_size, node.zone) not in explained
        else node
        for node in nodes
    )


def spared_notices(nodes: Iterable[Node], config: Config) -> tuple[str, ...]:
    """What was left out and why, and how many machines stay for it."""
    problems = config.left_out.problems
    if not problems:
        return ()
    names = config.left_out.nodearrays | config.left_out.of_buckets
    kept = sum(node.keep_alive and node.nodearray in names for node in nodes)
    stay = f"; {kept:,} of its machines stay until that is mended" if kept else ""
    return tuple(f"left out of the configuration: {problem}{stay}" for problem in problems)
