"""Attacks on the machine, as shell lines that print `reached` when they reach something, by what that is.

Each reaches it without a sandbox, if this user has the rights: else it would prove nothing.
"""

import os
import platform
from pathlib import Path

CONNECT = "python3 -c 'import socket; socket.socket({family}).connect({address})' && echo reached"

#: The number of the call `keyctl`, by the machine's kind.
KEYCTL = {"x86_64": 250, "aarch64": 219}[platform.machine()]

#: Devices of which a machine has some.
DEVICES = "/dev/sd* /dev/vd* /dev/nvme* /dev/mem /dev/kmsg"

#: A setting of the kernel, to which its own value is written.
KERNEL_SETTING = "/proc/sys/kernel/panic_on_oops"

READS = {
    "a secret in the home": 'cat "$HOME/.ssh/id" && echo reached',
    "a secret by its full path": 'cat "{secret}" && echo reached',
    "another tree": 'ls "{work}/shop/fedcba9876543210" && echo reached',
    "the log of its turn": 'cat "{work}/.coalmine/turns/{job}/1/turn.log" && echo reached',
    "our git directories": 'ls "{work}/shop/.coalmine" && echo reached',
    "the worker's environment": "head -c1 /proc/{pid}/environ && echo reached",
    "the worker's memory": (
        'python3 -c \'f = open("/proc/{pid}/mem", "rb", 0); f.seek({at}); '
        'f.read(6) == b"secret" or exit(1)\''
        " && echo reached"
    ),
    "the worker's files through its processes": "ls -l /proc/{pid}/root/ && echo reached",
    "processes of others": "kill -0 {pid} && echo reached; ls /proc/{pid} && echo reached",
    "a socket of the store": CONNECT.format(family=1, address='"{socket}"'),
    "the shadow file": "head -c1 /etc/shadow && echo reached",
    "devices": f"for d in {DEVICES}; do test -e $d && echo reached; done",
    "kernel settings": f"f={KERNEL_SETTING}; v=$(cat $f); echo $v > $f && echo reached",
}

#: What listens or lies on this machine for its own users, and how a shell line looks for it.
OF_THE_MACHINE = {
    "a socket without a path": CONNECT.format(family=1, address='"\\0{abstract}"'),
    "an agent of keys, a bus, an engine": (
        "for s in /var/run/docker.sock /run/dbus/system_bus_socket {folder}/agent.sock; do "
        "test -e $s && echo reached; done; "
        'test -n "$SSH_AUTH_SOCK$DBUS_SESSION_BUS_ADDRESS$DOCKER_HOST" && echo reached'
    ),
    "the keys of the worker's session": (
        f"python3 -c 'import ctypes as c; c.CDLL(None).syscall({KEYCTL}, 0, -3, 0) > 0 or exit(1)'"
        " && echo reached"
    ),
    "memory that is shared by name": "ls /dev/shm | grep {shared} && echo reached",
    "memory that is shared by number": "grep -q {memory} /proc/sysvipc/shm && echo reached",
    "a terminal": (
        'python3 -c \'import os; os.write(os.open("{terminal}", os.O_WRONLY | os.O_NOCTTY), b"x")\''
        " && echo reached"
    ),
}

#: What another agent of this machine has for itself while it runs.
OF_ANOTHER_AGENT = {
    "its environment": "cat /proc/[0-9]*/environ | tr '\\0' '\\n' | grep -q '^THE_KEY=' && echo reached",
    "its home": 'cat "{work}/.coalmine/own/{other}/1/home/login" && echo reached',
    "its sessions": 'cat "{work}/.coalmine/sessions/{other}/login" && echo reached',
    "its tree": 'cat "{tree}/ready" && echo reached',
}

WRITES = {
    "the system": "touch /usr/bin/mine && echo reached",
    "the root": "touch /mine && echo reached",
    "the folder of devices, which is in memory": "touch /dev/mine && echo reached",
    "its prompt": 'echo x > "{prompt}" && echo reached',
    "a program on its PATH": "touch {bin}/mine && echo reached",
    "a mount": "mount -t tmpfs none /usr && echo reached; mount -o remount,rw / && echo reached",
    "another namespace": "unshare -Ur true && echo reached",
    "rights by a file of another user": (
        "cp /bin/sh s; chmod 6755 s; grep -q 'NoNewPrivs:.1' /proc/self/status || echo reached; rm s; "
        "grep -q 'CapEff:.0*$' /proc/self/status || echo reached; mknod d b 8 0 && echo reached; rm -f d"
    ),
    "hooks that the worker's git would run": "git config --system core.hooksPath /mine && echo reached",
    "other rights": "su -c true </dev/null && echo reached; chroot / true && echo reached",
}

#: Of writes that would change this machine: what needs the same rights, and changes nothing.
HARMLESS = {
    "the system": "test -w /usr/bin && echo reached",
    "the root": "test -w / && echo reached",
    "the folder of devices, which is in memory": "test -w /dev && echo reached",
    "a mount": "unshare -m mount -t tmpfs none /mnt && echo reached",
    "hooks that the worker's git would run": "test -w /etc && echo reached",
}

#: Writes that any user can do without a sandbox.
FOR_ALL = ("its prompt", "a program on its PATH", "rights by a file of another user")


def is_open(what: str) -> bool:
    """Whether this user reaches an aim without a sandbox: the machine has it, and leaves it to him."""
    root = os.geteuid() == 0
    match what:
        case "the shadow file":
            return os.access("/etc/shadow", os.R_OK)
        case "kernel settings":
            return os.access(KERNEL_SETTING, os.W_OK)
        case "devices":
            return any(found for one in DEVICES.split() for found in Path("/dev").glob(Path(one).name))
        case "the worker's memory":  # a kernel may keep it from children of the same user
            return root
        case _:
            return root or what in {*READS, *FOR_ALL}
