"""An engine of containers for tests: takes the command line of one, and runs containers by bubblewrap.

Started as `python container_engine.py run|ps|image|rm …`. It has one image, `system`, which is this machine's
system. As with an engine, a container belongs to a process of the engine's own, which has neither the command
line's session nor its marker. So it goes on when the command line, and all that descends from it, is killed.
Signals are passed on. The limits of memory and processes are kept by looking.
"""

import argparse
import csv
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from routing.sandbox.system_calls import as_descriptor, system_call_filters

#: The variable by which a worker knows its agents' processes: those of an engine have none.
MARKER = "COALMINE_TURN"

IMAGE = "system"

#: What the image has of this machine.
OF_IMAGE = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/alternatives", "/etc/ld.so.cache", "/etc/passwd")

_LOOK_SECONDS = 0.05


def main(words: list[str]) -> int:
    """Do what an engine would; 125 for what it does not know."""
    match words:
        case ["ps", *_] | ["image", "inspect", *_, "system"]:
            return 0
        case ["image", "inspect", *_]:
            sys.stderr.write("no such image\n")
            return 1
        case ["rm", "--force", name]:
            for process in running(name):
                os.kill(process, signal.SIGKILL)
            return 0
        case ["run", *rest]:
            return run(rest)
        case ["shim", descriptor, *rest]:
            keep(parser().parse_args(rest), socket.socket(fileno=int(descriptor)))
            return 0
    return 125


def parser() -> argparse.ArgumentParser:
    """The options of `run` that it knows: an unknown one is an error, as with an engine."""
    made = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("--rm", "--interactive", "--read-only"):
        made.add_argument(name, action="store_true", required=True)
    for name in ("--pull", "--init", "--name", "--hostname", "--user", "--network", "--ipc", "--shm-size"):
        made.add_argument(name, required=True)
    for name in ("--log-driver", "--workdir", "--entrypoint"):
        made.add_argument(name, required=True)
    for name in ("--memory", "--memory-swap", "--pids-limit"):
        made.add_argument(name, type=int)
    made.add_argument("--userns", choices=["keep-id"])
    for name in ("--cap-drop", "--security-opt", "--env", "--mount", "--ulimit"):
        made.add_argument(name, action="append", default=[])
    made.add_argument("image")
    made.add_argument("words", nargs=argparse.REMAINDER)
    return made


def run(rest: list[str]) -> int:
    """Run a container to its end."""
    asked = parser().parse_args(rest)
    if asked.image != IMAGE:
        sys.stderr.write("no such image\n")
        return 125
    if asked.cap_drop != ["ALL"] or "no-new-privileges" not in asked.security_opt:
        sys.stderr.write("this engine runs nothing with rights\n")
        return 125
    ours, theirs = socket.socketpair()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ours.send(b"T"))
    detached([sys.executable, __file__, "shim", str(theirs.fileno()), *rest], theirs)
    return int(ours.recv(16) or 125)


def detached(argv: list[str], channel: socket.socket) -> None:
    """Start a program that does not descend from us, with another session and without our marker."""
    between = os.fork()
    if not between:
        os.setsid()
        if not os.fork():
            channel.set_inheritable(True)
            os.environ.pop(MARKER, None)
            os.execv(argv[0], argv)  # noqa: S606 - there is no shell to be had
        os._exit(0)
    os.waitpid(between, 0)
    channel.close()


def keep(asked: argparse.Namespace, command_line: socket.socket) -> None:
    """Run a container to its end, whatever becomes of its command line."""
    for limit in asked.ulimit:
        soft, _, hard = limit.removeprefix("fsize=").partition(":")
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(soft), int(hard)))
    groups = Path(tempfile.mkdtemp(prefix="coalmine-engine-"))
    (groups / "memory.events").write_text("low 0\noom_kill 0\n")
    (groups / "pids.events").write_text("max 0\n")
    heard, says = os.pipe()
    refuses = as_descriptor(system_call_filters().alone)  # engines have such a list, too
    line = [*bubblewrap(asked, groups, says), "--seccomp", str(refuses)]
    argv = [*line, "--", asked.entrypoint, *asked.words]
    process = subprocess.Popen(argv, start_new_session=True, pass_fds=[says, refuses], env={})
    os.close(says)
    os.close(refuses)
    with os.fdopen(heard) as said:
        first = int(json.load(said)["child-pid"])
    ended = threading.Event()
    watch = threading.Thread(target=watched, args=(first, asked, groups, ended))
    watch.start()
    threading.Thread(target=passed_on, args=(command_line, first), daemon=True).start()
    code = process.wait()
    ended.set()
    watch.join()
    shutil.rmtree(groups)
    with suppress(OSError):  # the command line has gone
        command_line.send(str(code).encode())


def passed_on(command_line: socket.socket, first: int) -> None:
    """Have a container's first process hear each signal to its command line."""
    with suppress(OSError):
        while command_line.recv(1):
            os.kill(first, signal.SIGTERM)


def bubblewrap(asked: argparse.Namespace, groups: Path, info: int) -> list[str]:
    """Bubblewrap's part of the command."""
    user, _, group = asked.user.partition(":")
    line = [
        str(shutil.which("bwrap")),
        "--unshare-all",
        "--unshare-user",
        "--as-pid-1",
        "--info-fd",
        str(info),
        "--clearenv",
    ]
    line += ["--uid", user, "--gid", group, "--cap-drop", "ALL", "--hostname", asked.hostname]
    line += ["--disable-userns", *(["--share-net"] if asked.network == "host" else [])]
    line += [part for at in OF_IMAGE if Path(at).exists() for part in ("--ro-bind", at, at)]
    guarded = ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs")
    line += ["--proc", "/proc", *(part for at in guarded for part in ("--ro-bind-try", at, at))]
    line += ["--dev", "/dev", "--size", asked.shm_size, "--tmpfs", "/dev/shm"]  # noqa: S108
    line += ["--ro-bind", str(groups), "/sys/fs/cgroup", "--setenv", "PATH", "/usr/local/bin:/usr/bin:/bin"]
    for row in csv.reader(asked.mount):
        fields = dict(field.partition("=")[::2] for field in row)
        if fields["type"] == "tmpfs":
            line += ["--tmpfs", fields["destination"]]
        else:
            kind = "--ro-bind" if "readonly" in fields else "--bind"
            line += [kind, fields["source"], fields["destination"]]
    for variable in asked.env:
        name, is_said, value = variable.partition("=")
        if is_said or name in os.environ:
            line += ["--setenv", name, value if is_said else os.environ[name]]
    line += ["--setenv", "container", f"engine-name={asked.name}"]
    # In an engine it is root's, and of a fixed size.
    return [*line, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", asked.workdir]


def watched(first: int, asked: argparse.Namespace, groups: Path, ended: threading.Event) -> None:
    """Keep the limits of memory and processes."""
    while not ended.wait(_LOOK_SECONDS):
        inside = children(first)
        sizes = {pid: resident(pid) for pid in inside}
        if asked.memory and sum(sizes.values()) > asked.memory:
            (groups / "memory.events").write_text("low 0\noom_kill 1\n")
            os.kill(max(sizes, key=lambda pid: sizes[pid]), signal.SIGKILL)
            return
        if asked.pids_limit and len(inside) + 1 > asked.pids_limit:
            (groups / "pids.events").write_text("max 1\n")
            os.kill(min(inside), signal.SIGKILL)
            return


def running(name: str) -> list[int]:
    """The processes that are a container's bubblewrap."""
    mark = f"engine-name={name}".encode()
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes().split(b"\0")
        except OSError:
            continue
        if mark in words:
            found.append(int(file.parent.name))
    return found


def children(pid: int) -> list[int]:
    """All that descend from a process."""
    try:
        said = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    mine = [int(word) for word in said.split()]
    return [*mine, *(below for one in mine for below in children(one))]


def resident(pid: int) -> int:
    """Bytes of a process in memory."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
