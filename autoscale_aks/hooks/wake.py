#!/usr/bin/python3 -IS
"""Wake the autoscaler: for cron, for any scheduler's event, and as the runner that the other hooks start.

    wake.py [--config FILE] [--event NAME] [DETAIL ...]

The settings are a JSON file, by default `wake.json` beside this file:

| key | meaning |
| --- | --- |
| socket | where the resident loop listens (`wake_socket` in autoscale.json); /run/azaks/wake.sock |
| command | what one cycle is, as a list: ["/opt/azaks/bin/azaks", "autoscale", "-c", "/etc/azaks/autoscale.json"] |
| state_dir | a directory that only we may write: lock and marker of the detached cycle; /run/azaks |
| runner | what starts this file, as a list, for the hooks that live elsewhere: ["/usr/bin/python3", "-IS", ".../wake.py"] |
| user | whom `command` runs as when the hook is root |
| log | our own log; a line an event |
| cycle_log | what cycles print; default: thrown away |
| spool | a directory for a file an event, which the cycle reads and removes; or a file for one JSON object a line |
| min_interval_s | least seconds from one detached cycle's start to the next (10) |
| settle_s | the next one waits until no event has come for so long (2), `longest_wait_s` (60) at most |
| cycle_timeout_s | a cycle that takes longer is asked to end (900), and `patience_s` (10) later made to |
| deadline_s | the hook itself is gone after so many seconds, whatever happens (2) |
| state_mode | permission bits that others may have on state_dir, as a number (0) |

A hook never fails: its exit status is 0 whatever happened, because a scheduler holds jobs up otherwise.
"""

# --- core: the same text in every hook, because each of them is one file on its own -------------------------------
# Standard library only, Python 3.6. It never blocks, and never writes what the environment holds.

import errno
import fcntl
import os
import signal
import sys
import time

DEFAULT_SOCKET = "/run/azaks/wake.sock"
DEFAULT_STATE = "/run/azaks"
LOG_LIMIT = 1 << 20
SPOOL_LIMIT = 16 << 20
SPOOL_FILES = 10000
DETAIL_LIMIT = 1 << 19
MESSAGE_LIMIT = 8192


def read_settings(path):
    """The settings of a JSON file as a dictionary; what cannot be read counts as empty, with why under `problem`."""
    import json
    try:
        with open(path, "rb") as stream:
            found = json.loads(stream.read(1 << 16).decode("utf-8"))
    except (OSError, ValueError) as error:
        return {"problem": "%s: %s" % (path, getattr(error, "strerror", None) or "no JSON")}
    return found if isinstance(found, dict) else {"problem": "%s: no object" % path}


def wake(settings, event, detail="", runner=None):
    """Wake the resident loop; where none listens, start one detached cycle. Returns what was done, in a word.

    `detail` (a host list, a job id) is a hint for the loop; a cycle looks at the scheduler itself.
    """
    spool(settings, event, detail)
    done = tell(settings.get("socket", DEFAULT_SOCKET), event, detail)
    if done == "nobody":
        done = start(settings, runner)
    log(settings, "%s: %s %s" % (done, event, detail[:200]))
    return done


def tell(path, event, detail):
    """One datagram, without waiting: `told`, `full` (it is behind and will look anyway), `nobody`."""
    import _socket
    text = '{"event":"%s","detail":"%s"}' % (plain(event), plain(detail))
    sender = None
    try:
        sender = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
        sender.setblocking(False)
        sender.sendto(text[:MESSAGE_LIMIT].encode("ascii", "replace"), path)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS):
            return "full"
        return "nobody"
    finally:
        if sender is not None:
            sender.close()
    return "told"


def plain(text):
    """Text that needs no escapes in JSON and is no longer than a datagram should be."""
    kept = [char for char in str(text)[: MESSAGE_LIMIT // 2] if " " <= char <= "~" and char not in '"\\']
    return "".join(kept)


def start(settings, runner):
    """One cycle at a time in the background: `running` (it will look once more), `started`, `no cycle`.

    The marker says that something happened; whoever holds the lock runs a cycle after removing the marker. So every
    event is followed by a cycle, and a burst of them by two at most.
    """
    state = settings.get("state_dir", DEFAULT_STATE)
    try:
        if os.stat(state).st_mode & 0o022 & ~settings.get("state_mode", 0):
            return "no cycle (others may write %s)" % state
        marker = os.open(os.path.join(state, "wake.again"), os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
        os.utime(marker)
        os.close(marker)
        lock = os.open(os.path.join(state, "wake.lock"), os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        return "no cycle (%s: %s)" % (state, error.strerror)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return "running"
    try:
        detach(list(runner or settings.get("runner") or ()) + ["--lock-fd", str(lock)], lock)
    except (OSError, ValueError) as error:
        return "no cycle (%s)" % error
    finally:
        os.close(lock)
    return "started"


def detach(command, keep):
    """Run a program that outlives us: twice forked, own session, nothing open but `keep`, no signal blocked."""
    if not command or not command[0]:
        raise ValueError("no runner is configured")
    if os.path.isabs(command[0]) and not os.access(command[0], os.X_OK):
        raise ValueError("%s cannot be run" % command[0])
    child = os.fork()
    if child:
        try:
            os.waitpid(child, 0)
        except OSError:  # a server that reaps all children by itself
            pass
        return
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        for number in range(1, signal.NSIG):
            try:
                signal.signal(number, signal.SIG_DFL)
            except (OSError, ValueError, RuntimeError):
                pass
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.chdir("/")
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            if number != keep:
                os.dup2(null, number)
        close_others(keep)
        os.set_inheritable(keep, True)
        os.execvp(command[0], command)
    finally:
        os._exit(127)


def close_others(keep):
    """Close everything beyond standard error but one descriptor."""
    try:
        numbers = [int(name) for name in os.listdir("/proc/self/fd")]
    except (OSError, ValueError):
        numbers = range(3, 1024)
    for number in numbers:
        if number > 2 and number != keep:
            try:
                os.close(number)
            except OSError:
                pass


def open_standard():
    """Slurm starts its programs with descriptors 0 to 2 closed: what we open must not become one of them."""
    while True:
        number = os.open(os.devnull, os.O_RDWR)
        if number > 2:
            os.close(number)
            return


def append(path, text, limit):
    """Add a line to a file that is put aside once it is large. One write, so that lines never mix."""
    number = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK, 0o640)
    try:
        if os.fstat(number).st_size > limit:
            os.rename(path, path + ".1")
        os.write(number, text.encode("utf-8", "replace"))
    finally:
        os.close(number)


def log(settings, text):
    """A line in our own log, if it is configured."""
    path = settings.get("log")
    if not path:
        return
    line = "".join(char if char >= " " else " " for char in text[:400])
    try:
        append(path, "%s %d %s\n" % (time.strftime("%Y-%m-%dT%H:%M:%S"), os.getpid(), line), LOG_LIMIT)
    except OSError:
        pass


def spool(settings, event, detail):
    """Keep the event for the next cycle: in a file of its own where `spool` is a directory, else as a line of it."""
    path = settings.get("spool")
    if not path:
        return
    import json
    try:
        line = json.dumps({"time": time.time(), "event": event, "detail": detail[:DETAIL_LIMIT]}) + "\n"
        if os.path.isdir(path):
            keep(path, event, line)
        else:
            append(path, line, SPOOL_LIMIT)
    except (OSError, ValueError, TypeError) as error:
        log(settings, "the event was not kept: %s" % (getattr(error, "strerror", None) or type(error).__name__))


def keep(directory, event, line):
    """A file that is there as a whole or not at all; names sort by time. Whoever has acted on it removes it."""
    if len(os.listdir(directory)) >= SPOOL_FILES:
        raise OSError(errno.ENOSPC, "the spool holds %d files: no cycle takes them" % SPOOL_FILES)
    name = "%017d-%d-%s.json" % (time.time() * 1000000, os.getpid(), plain(event).replace("/", "-"))
    part = os.path.join(directory, "." + name)
    number = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o640)
    try:
        with os.fdopen(number, "wb") as stream:
            stream.write(line.encode("utf-8", "replace"))
        os.rename(part, os.path.join(directory, name))
    except OSError:
        os.unlink(part)
        raise


def set_deadline(seconds):
    """However slow a disk is: we are gone after this time, and successfully so."""
    signal.signal(signal.SIGALRM, lambda number, frame: os._exit(0))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
    signal.setitimer(signal.ITIMER_REAL, seconds)


# --- end of the core ----------------------------------------------------------------------------------------------


def run_cycles(settings, lock):
    """Cycles until nothing has happened since the last one began. We hold the lock as descriptor `lock`."""
    again = os.path.join(settings.get("state_dir", DEFAULT_STATE), "wake.again")
    refused = 0
    while True:
        while remove(again):
            began = time.monotonic()
            status = run_cycle(settings)
            log(settings, "cycle: %s after %.1f s" % (status, time.monotonic() - began))
            if status == 4 and refused < 3:  # another run was at it and may have looked before this event
                refused += 1
                os.close(os.open(again, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o600))
            rest(settings, again, began)
        fcntl.flock(lock, fcntl.LOCK_UN)
        # An event between the last look and the unlocking found the lock held and left its marker to us.
        if not os.path.exists(again):
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return


def rest(settings, again, began):
    """Wait out the interval, and then a burst: until no event has come for a while, however long it takes to arrive.

    An event may take `settle_s` after the one before it and be of the same burst, the second one too.
    """
    settle, interval = settings.get("settle_s", 2), settings.get("min_interval_s", 10)
    while time.monotonic() - began < interval:
        time.sleep(0.05)
    while time.monotonic() - began < settings.get("longest_wait_s", 60):
        try:
            quiet = time.time() - os.stat(again).st_mtime
        except OSError:  # nothing has happened since
            quiet = time.monotonic() - began
        if quiet > settle:
            return
        time.sleep(0.05)


def remove(path):
    """Whether the file was there."""
    try:
        os.unlink(path)
    except OSError:
        return False
    return True


def run_cycle(settings):
    """One cycle to its end: its exit status, or a word when there is none."""
    command = settings.get("command")
    if not isinstance(command, list) or not command or not all(isinstance(part, str) for part in command):
        return "no command is configured"
    child = os.fork()
    if not child:
        become(settings, command)
    deadline = time.monotonic() + settings.get("cycle_timeout_s", 900)
    end = signal.SIGTERM
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.WEXITSTATUS(status) if os.WIFEXITED(status) else "signal %d" % os.WTERMSIG(status)
        if time.monotonic() > deadline:
            os.killpg(child, end)
            end = signal.SIGKILL
            deadline += settings.get("patience_s", 10)
        time.sleep(0.02)


def become(settings, command):
    """In the child: its own group, its own output, its own user, then the command."""
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        if settings.get("cycle_log"):
            flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_NOFOLLOW
            output = os.open(settings["cycle_log"], flags, 0o640)
            os.dup2(output, 1)
            os.dup2(output, 2)
        if settings.get("user") and os.getuid() == 0:
            import pwd
            entry = pwd.getpwnam(settings["user"])
            os.initgroups(entry.pw_name, entry.pw_gid)
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
        close_others(-1)
        os.execvp(command[0], command)
    finally:
        os._exit(127)


def option(arguments, name):
    """Take `--name value` out of the arguments; None when it is not there."""
    if name not in arguments[:-1]:
        return None
    index = arguments.index(name)
    value = arguments[index + 1]
    del arguments[index : index + 2]
    return value


def main(arguments):
    open_standard()
    here = os.path.abspath(__file__)
    config = option(arguments, "--config") or os.path.join(os.path.dirname(here), "wake.json")
    settings = read_settings(config)
    lock = option(arguments, "--lock-fd")
    if lock is not None:
        run_cycles(settings, int(lock))
        return
    set_deadline(float(settings.get("deadline_s", 2)))
    event = option(arguments, "--event") or "wake"
    runner = settings.get("runner") or [sys.executable or "/usr/bin/python3", "-IS", here]
    wake(settings, event, " ".join(arguments), list(runner) + ["--config", config])


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Exception as error:  # a hook that fails would hold the scheduler up
        log(read_settings(os.path.join(os.path.dirname(os.path.abspath(__file__)), "wake.json")),
            "failed: %s" % type(error).__name__)
    os._exit(0)
