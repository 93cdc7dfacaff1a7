#!/usr/bin/env python3
"""Prepare OpenPBS for azaks, or take that back: run it as a PBS manager (root) on the server's host.

    install.py [--dry-run] [--undo] [--manager azaks@HOST] [--hooks DIR] [--settings wake.json]

It makes what is missing and touches nothing else, so it may be run again at any time:

| step | what |
| --- | --- |
| resources | slot_type, group_id, ungrouped, ccnodeid, vm_size, disk and ngpus, where no resource has that name |
| sched_config | those that jobs ask for, added to the `resources:` line; a copy stays beside the file |
| manager | `--manager`, who may make and delete nodes |
| hook | the hook `azaks` with its script and settings, for job and periodic events |

What was made is kept in `--state`, and `--undo` takes away that and nothing else. Status 0: done; 1: done in part, and
what is left is said; 2: nothing could be done. Standard library only, Python 3.6.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys

RESOURCES = (
    ("slot_type", "string", "h", True),
    ("group_id", "string", "h", True),
    ("ungrouped", "boolean", "h", True),
    ("vm_size", "string", "h", True),
    ("disk", "size", "h", True),
    ("ngpus", "long", "hn", True),
    ("ccnodeid", "string", "h", False),
)
"""Name, type, flag, and whether the scheduler has to look at it."""

HOOK = "azaks"
HOOK_ATTRIBUTES = (
    ("type", "site"),
    ("event", "queuejob,modifyjob,periodic"),
    ("freq", "60"),
    ("user", "pbsadmin"),
    ("alarm", "5"),
    ("order", "999"),
    ("fail_action", "none"),
)
RESOURCES_LINE = re.compile(r'(?m)^([ \t]*resources[ \t]*:[ \t]*")([^"\n]*)(".*)$')


class RefusedError(Exception):
    """PBS did not take a directive; its words."""


class Site:
    """The commands of one server, and what was made on it."""

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

    def ask(self, directive):
        """What qmgr prints. Raises RefusedError."""
        command = [self.arguments.qmgr, "-c", directive]
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
            raise RefusedError("%s: %s" % (" ".join(command[:1]), error)) from None
        if done.returncode:
            raise RefusedError(" | ".join((done.stderr or done.stdout).split("\n")).strip(" |") or "it said nothing")
        return done.stdout

    def change(self, directive):
        """Do it, or say it with --dry-run. Raises RefusedError."""
        print("qmgr -c '%s'" % directive)
        if not self.arguments.dry_run:
            self.ask(directive)

    def attempt(self, what, directive):
        """Whether it was done; a refusal is told of at the end."""
        try:
            self.change(directive)
        except RefusedError as error:
            self.problems.append("%s: %s" % (what, error))
            return False
        return True

    def remember(self, key, value):
        """Keep what was made, at once: a run that dies half way can be undone."""
        self.made[key] = value
        if not self.made[key]:
            del self.made[key]
        if self.arguments.dry_run:
            return
        os.makedirs(os.path.dirname(self.arguments.state) or ".", exist_ok=True)
        partial = self.arguments.state + ".new"
        with open(partial, "w") as stream:
            json.dump(self.made, stream, indent=1, sort_keys=True)
            stream.write("\n")
        os.replace(partial, self.arguments.state)


def objects_in(text, kind):
    """`list` output: name -> attributes. A value may go on in lines that begin with a tab."""
    found, attributes = {}, None
    last = ""
    for line in text.split("\n"):
        head = re.match(r"%s (\S+)$" % kind, line)
        pair = re.match(r" +(\w[\w.]*) = (.*)$", line)
        if head:
            attributes = found.setdefault(head.group(1), {})
        elif pair and attributes is not None:
            last = pair.group(1)
            attributes[last] = pair.group(2).strip()
        elif line.startswith("\t") and attributes:
            attributes[last] += line.strip()
    return found


def words(text):
    return [word for word in re.split(r"[,\s]+", text) if word]


# -- resources


def add_resources(site):
    known = objects_in(site.ask("list resource"), "Resource")
    made = list(site.made.get("resources", []))
    for name, kind, flag, _ in RESOURCES:
        there = known.get(name)
        if there is not None:
            if (there.get("type"), there.get("flag", "")) != (kind, flag):
                shown = "type %s, flag %s" % (there.get("type", "?"), there.get("flag") or "none")
                print("resource %s is there already and stays as it is: %s" % (name, shown))
            continue
        if site.attempt("resource %s" % name, "create resource %s type = %s, flag = %s" % (name, kind, flag)):
            made.append(name)
            site.remember("resources", made)


def remove_resources(site):
    left = list(site.made.get("resources", []))
    known = objects_in(site.ask("list resource"), "Resource")
    for name in list(left):
        if name not in known or site.attempt("resource %s" % name, "delete resource %s" % name):
            left.remove(name)
            site.remember("resources", left)


# -- the scheduler's file


def sched_config(site):
    """Where it is; None where the scheduler does not say."""
    if site.arguments.sched_config:
        return site.arguments.sched_config
    for attributes in objects_in(site.ask("list sched"), "Sched").values():
        if "sched_priv" in attributes:
            return os.path.join(attributes["sched_priv"], "sched_config")
    return None


def rewrite(site, change):
    """Change the names of the `resources:` line; the names before and after."""
    path = sched_config(site)
    if path is None:
        site.problems.append("sched_config: the scheduler does not say where it is; give --sched-config")
        return [], []
    try:
        with open(path) as stream:
            text = stream.read()
    except OSError as error:
        site.problems.append("%s: %s" % (path, error.strerror))
        return [], []
    match = RESOURCES_LINE.search(text)
    if match is None:
        site.problems.append('%s: has no line resources: "…"; without it PBS looks at no such resource' % path)
        return [], []
    before = words(match.group(2))
    after = change(before)
    if after != before:
        print('%s: resources: "%s"' % (path, ", ".join(after)))
        if not site.arguments.dry_run:
            shutil.copy2(path, path + ".azaks-before")
            line = match.group(1) + ", ".join(after) + match.group(3)
            # Written in place: the file keeps its owner and mode, which PBS insists on.
            with open(path, "r+") as stream:
                stream.write(text[: match.start()] + line + text[match.end() :])
                stream.truncate()
        print("then: kill -HUP $(cat %s/sched.lock)" % os.path.dirname(path))
    return before, after


def add_to_sched_config(site):
    wanted = [name for name, _, _, looked_at in RESOURCES if looked_at]
    before, after = rewrite(site, lambda names: names + [name for name in wanted if name not in names])
    added = [name for name in after if name not in before]
    if added:
        site.remember("sched_config", site.made.get("sched_config", []) + added)


def remove_from_sched_config(site):
    ours = site.made.get("sched_config", [])
    if ours:
        before, _ = rewrite(site, lambda names: [name for name in names if name not in ours])
        if before:
            site.remember("sched_config", [])


# -- the manager


def add_manager(site):
    who = site.arguments.manager
    if not who:
        return
    servers = objects_in(site.ask("list server"), "Server")
    if any(who in words(attributes.get("managers", "")) for attributes in servers.values()):
        return
    if site.attempt("manager %s" % who, "set server managers += %s" % who):
        site.remember("managers", site.made.get("managers", []) + [who])


def remove_managers(site):
    left = list(site.made.get("managers", []))
    for who in list(left):
        if site.attempt("manager %s" % who, "set server managers -= %s" % who):
            left.remove(who)
            site.remember("managers", left)


# -- the hook


def add_hook(site):
    hooks = site.arguments.hooks
    script, settings = os.path.join(hooks, "openpbs_hook.py"), site.arguments.settings
    for path in (script, settings):
        if not os.path.isfile(path):
            site.problems.append("hook: %s is not there; see docs/hooks.md" % path)
            return
    found = objects_in(site.ask("list hook"), "Hook").get(HOOK)
    if found is None:
        if not site.attempt("hook", "create hook %s" % HOOK):
            return
        site.remember("hook", [HOOK])
    there = found or {}
    changed = False
    for name, value in HOOK_ATTRIBUTES:
        if sorted(words(there.get(name, ""))) != sorted(words(value)):
            quoted = '"%s"' % value if "," in value else value
            changed = site.attempt("hook", "set hook %s %s = %s" % (HOOK, name, quoted)) or changed
    for kind, path in (("application/x-python", script), ("application/x-config", settings)):
        if not found or exported(site, kind) != content(path):
            changed = site.attempt("hook", "import hook %s %s default %s" % (HOOK, kind, path)) or changed
    if changed or there.get("enabled", "").lower() != "true":
        site.attempt("hook", "set hook %s enabled = true" % HOOK)


def exported(site, kind):
    try:
        return site.ask("export hook %s %s default" % (HOOK, kind)).strip()
    except RefusedError:
        return None


def content(path):
    with open(path) as stream:
        return stream.read().strip()


def remove_hook(site):
    if not site.made.get("hook"):
        return
    there = HOOK in objects_in(site.ask("list hook"), "Hook")
    if not there or site.attempt("hook", "delete hook %s" % HOOK):
        site.remember("hook", [])


def main():
    parser = argparse.ArgumentParser(description="Prepare OpenPBS for azaks, or take that back.")
    parser.add_argument("--undo", action="store_true", help="take away what this script made")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    parser.add_argument("--qmgr", default="/opt/pbs/bin/qmgr")
    parser.add_argument("--sched-config", help="default: where `qmgr -c 'list sched'` says")
    parser.add_argument("--manager", help="who runs azaks, such as azaks@HOST; default: nobody is made a manager")
    parser.add_argument("--hooks", default="/opt/azaks/hooks", help="where openpbs_hook.py is")
    parser.add_argument("--settings", default="/etc/azaks/wake.json", help="the hook's settings")
    parser.add_argument("--no-hook", action="store_true", help="leave the hook out")
    parser.add_argument("--state", default="/var/lib/azaks/openpbs-install.json", help="what this script made")
    site = Site(parser.parse_args())
    if site.arguments.undo:
        steps = [remove_hook, remove_managers, remove_from_sched_config, remove_resources]
    else:
        steps = [add_resources, add_to_sched_config, add_manager]
        if not site.arguments.no_hook:
            steps.append(add_hook)
    try:
        site.ask("list server")
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
    print("OpenPBS is as azaks needs it" if not site.arguments.undo else "what was made is gone")
    return 0


if __name__ == "__main__":
    sys.exit(main())
