"""OpenPBS runs this inside its server: periodic and job events (queuejob, modifyjob, movejob, runjob, jobobit ...).

    qmgr -c 'create hook azaks event="queuejob,modifyjob,periodic", freq=60, user=pbsadmin, alarm=5, order=999'
    qmgr -c 'import hook azaks application/x-python default openpbs_hook.py'
    qmgr -c 'import hook azaks application/x-config default wake.json'

Its settings are the imported JSON (see wake.py); `runner` is needed there, because the server's own interpreter
cannot start anything: ["/usr/bin/python3", "-IS", "/opt/azaks/hooks/wake.py", "--config", "/etc/azaks/wake.json"].

It wakes the autoscaler and accepts the event, always: nothing that goes wrong here may refuse a job or hold the server
up. It sets no timer and changes no signal of the server.
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


def event_name(pbs, event):
    """`queuejob` for pbs.QUEUEJOB, and so on; the number where the name is not known."""
    for name in ("QUEUEJOB", "MODIFYJOB", "MOVEJOB", "RUNJOB", "JOBOBIT", "POSTQUEUEJOB", "RESV_END", "PERIODIC",
                 "HOOK_EVENT_QUEUEJOB", "HOOK_EVENT_PERIODIC"):
        if getattr(pbs, name, None) == event.type:
            return name.replace("HOOK_EVENT_", "").lower()
    return "pbs-%s" % plain(event.type)


def job_of(event):
    """The job's id, where the event has a job that has one."""
    job = getattr(event, "job", None)
    found = getattr(job, "id", None)
    return "" if found is None else str(found)[:60]


def main(pbs):
    try:
        event = pbs.event()
    except Exception:  # nothing can be accepted then, and a hook that simply ends accepts
        return
    try:
        path = getattr(pbs, "hook_config_filename", None) or os.environ.get("PBS_HOOK_CONFIG_FILE", "")
        settings = read_settings(path)
        detail = job_of(event)
        done = wake(settings, event_name(pbs, event), detail)
        if settings.get("problem") or done.startswith("no cycle"):
            pbs.logmsg(pbs.LOG_WARNING, "azaks: %s" % (settings.get("problem") or done))
    except Exception as error:  # whatever it is: the event is accepted
        try:
            pbs.logmsg(pbs.LOG_WARNING, "azaks: the autoscaler was not woken: %s" % type(error).__name__)
        except Exception:
            pass
    event.accept()


try:
    import pbs as _pbs
except ImportError:
    _pbs = None
if _pbs is not None:
    main(_pbs)
