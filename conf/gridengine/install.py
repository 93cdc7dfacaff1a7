#!/usr/bin/env python3
"""Prepare Grid Engine for azaks, or take that back: run it as a manager on an administrative host.

    install.py [--dry-run] [--undo] [--hostgroup @htc ...] [--manager azaks] [--qconf PATH]

It makes what is missing and touches nothing else, so it may be run again at any time:

| step | what |
| --- | --- |
| complexes | slot_type, placement_group, gpu and exclusive, where no complex has that name |
| host groups | `--hostgroup`, empty, which the join settings of autoscale.json add hosts to |
| manager | `--manager`, who may make and delete hosts |

Two things it looks at and leaves to you, because they change what jobs get: whether `mem_free` is a consumable, and
whether the scheduler tells its reasons (schedd_job_info). What was made is kept in `--state`, and `--undo` takes away
that and nothing else. Status 0: done; 1: done in part, and what is left is said; 2: nothing could be done. Standard
library only, Python 3.6.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

COMPLEXES = {
    "slot_type": "slot_type RESTRING == YES NO NONE 0",
    "placement_group": "pg RESTRING == YES NO NONE 0",
    "gpu": "gpu INT <= YES YES 0 0",
    "exclusive": "excl BOOL EXCL YES YES 0 1000",
}
"""Name -> shortcut, type, relation, requestable, consumable, default, urgency."""

NOTHING = re.compile(r"no host group list defined|no managers", re.IGNORECASE)


class RefusedError(Exception):
    """qconf did not do it; its words."""


class Site:
    """The commands of one cell, and what was made in it."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.problems = []
        try:
            with open(arguments.state) as stream:
                self.made = json.load(stream)
        except FileNotFoundError:
            self.made = {}
        except ValueError:
            sys.exit("%s: no JSON; what this script made is no longer known" % arguments.state)

    def ask(self, *arguments):
        """What qconf prints. Raises RefusedError."""
        command = [self.arguments.qconf] + list(arguments)
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                timeout=60,
                check=False,
                universal_newlines=True,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RefusedError("%s: %s" % (command[0], error)) from None
        said = " | ".join((done.stderr or done.stdout).strip().split("\n"))
        if done.returncode:
            if NOTHING.search(said):
                return ""
            raise RefusedError(said or "it said nothing")
        return done.stdout

    def attempt(self, what, *arguments):
        """Whether it was done; a refusal is told of at the end. With --dry-run it is only said."""
        print("qconf " + " ".join(arguments))
        if self.arguments.dry_run:
            return True
        try:
            self.ask(*arguments)
        except RefusedError as error:
            self.problems.append("%s: %s" % (what, error))
            return False
        return True

    def attempt_file(self, what, option, text):
        """The same with a file that qconf reads."""
        with tempfile.NamedTemporaryFile("w", prefix="azaks-", suffix=".qconf") as stream:
            stream.write(text)
            stream.flush()
            return self.attempt(what, option, stream.name)

    def remember(self, key, values):
        """Keep what was made, at once: a run that dies half way can be undone."""
        self.made[key] = values
        if not values:
            del self.made[key]
        if self.arguments.dry_run:
            return
        os.makedirs(os.path.dirname(self.arguments.state) or ".", exist_ok=True)
        partial = self.arguments.state + ".new"
        with open(partial, "w") as stream:
            json.dump(self.made, stream, indent=1, sort_keys=True)
            stream.write("\n")
        os.replace(partial, self.arguments.state)


def complexes_in(text):
    """`qconf -sc`: name -> its line."""
    lines = (line for line in text.split("\n") if line.strip() and not line.startswith("#"))
    return {line.split()[0]: line for line in lines}


def add_complexes(site):
    known = complexes_in(site.ask("-sc"))
    missing = [name for name in COMPLEXES if name not in known]
    for name, line in COMPLEXES.items():
        if name in known and known[name].split()[2:6] != line.split()[1:5]:
            print("complex %s is there already and stays as it is: %s" % (name, " ".join(known[name].split()[1:])))
    if missing:
        lines = list(known.values()) + ["%s %s" % (name, COMPLEXES[name]) for name in missing]
        if site.attempt_file("complexes %s" % ", ".join(missing), "-Mc", "\n".join(lines) + "\n"):
            site.remember("complexes", site.made.get("complexes", []) + missing)
    if known.get("mem_free", "").split()[5:6] == ["NO"]:
        print("mem_free is no consumable: jobs do not share a host's memory out (`qconf -mc`, YES in its 6th column)")


def remove_complexes(site):
    ours = site.made.get("complexes", [])
    known = complexes_in(site.ask("-sc"))
    left = [line for name, line in known.items() if name not in ours]
    if not ours or len(left) == len(known):
        site.made.pop("complexes", None)
    elif site.attempt_file("complexes %s" % ", ".join(ours), "-Mc", "\n".join(left) + "\n"):
        site.remember("complexes", [])


def add_hostgroups(site):
    known = site.ask("-shgrpl").split()
    for name in site.arguments.hostgroup:
        if name not in known and site.attempt_file(
            "host group %s" % name, "-Ahgrp", "group_name %s\nhostlist NONE\n" % name
        ):
            site.remember("hostgroups", site.made.get("hostgroups", []) + [name])


def remove_hostgroups(site):
    known = site.ask("-shgrpl").split()
    for name in site.made.get("hostgroups", []):
        if name not in known or site.attempt("host group %s" % name, "-dhgrp", name):
            site.remember("hostgroups", [one for one in site.made["hostgroups"] if one != name])


def add_manager(site):
    who = site.arguments.manager
    if who and who not in site.ask("-sm").split() and site.attempt("manager %s" % who, "-am", who):
        site.remember("managers", site.made.get("managers", []) + [who])


def remove_managers(site):
    for who in site.made.get("managers", []):
        if site.attempt("manager %s" % who, "-dm", who):
            site.remember("managers", [one for one in site.made["managers"] if one != who])


def look_at_reasons(site):
    if not re.search(r"^schedd_job_info +true", site.ask("-ssconf"), re.MULTILINE):
        print("the scheduler does not tell its reasons: `qconf -msconf`, schedd_job_info true")


def main():
    parser = argparse.ArgumentParser(description="Prepare Grid Engine for azaks, or take that back.")
    parser.add_argument("--undo", action="store_true", help="take away what this script made")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    parser.add_argument("--qconf", default="qconf")
    parser.add_argument("--hostgroup", action="append", default=[], help="@htc and so on, as autoscale.json names them")
    parser.add_argument("--manager", help="who runs azaks; default: nobody is made a manager")
    parser.add_argument("--state", default="/var/lib/azaks/gridengine-install.json", help="what this script made")
    site = Site(parser.parse_args())
    steps = [add_complexes, add_hostgroups, add_manager, look_at_reasons]
    if site.arguments.undo:
        steps = [remove_managers, remove_hostgroups, remove_complexes]
    try:
        site.ask("-sc")
    except RefusedError as error:
        print(error, file=sys.stderr)
        return 2
    for step in steps:
        try:
            step(site)
        except (RefusedError, OSError) as error:
            site.problems.append("%s: %s" % (step.__name__.replace("_", " "), error))
    for problem in site.problems:
        print(problem, file=sys.stderr)
    if site.problems:
        return 1
    print("Grid Engine is as azaks needs it" if not site.arguments.undo else "what was made is gone")
    return 0


if __name__ == "__main__":
    sys.exit(main())
