"""The first process of a container: it starts the program, and ends all when its worker has gone.

An engine's command line can be killed, and its container goes on. So the first process, which nothing in a
container can kill, holds a connection to the worker: when that ends, it ends with all that is in the
container. Text that runs there by the image's own Python, 3.6 or newer; it needs nothing of ours.
"""

from collections.abc import Sequence

from routing.sandbox.containers.container_argv import LINK_AT

_TEXT = """\
import os, select, signal, socket, sys
if os.getpid() != 1:
    sys.exit("this is not the first process of a container; nothing was started")
try:
    import ctypes
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # nobody traces it
except Exception:
    pass
place, ports = sys.argv[1].split("|")
link = socket.socket(socket.AF_UNIX)
try:
    link.connect(place)
except OSError as error:
    sys.exit("the worker of this container is not there: %s" % error)
made = []
for port in filter(None, ports.split(",")):
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(("127.0.0.1", int(port)))
    one.listen(128)
    made.append(one)
numbers = b"".join(one.fileno().to_bytes(4, sys.byteorder) for one in made)
link.sendmsg([b"!"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)] if made else [])
for one in made:
    one.close()
def all_get(number):
    try:
        os.kill(-1, number)  # all but the first process
    except OSError:
        pass
def reaped():
    ended = []
    try:
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return ended, True
            ended.append((pid, status))
    except ChildProcessError:
        return ended, False
asked = []
def ask(*_):
    asked.append(True)
    all_get(signal.SIGTERM)
heard, wakes = os.pipe()
for end in (heard, wakes):
    os.set_blocking(end, False)
signal.set_wakeup_fd(wakes)
signal.signal(signal.SIGCHLD, lambda *_: None)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, ask)
pid = os.fork()
if not pid:
    signal.set_wakeup_fd(-1)
    for number in ("SIGCHLD", "SIGTERM", "SIGINT", "SIGHUP", "SIGPIPE", "SIGXFSZ"):
        signal.signal(getattr(signal, number), signal.SIG_DFL)
    try:
        os.execvp(sys.argv[2], sys.argv[2:])
    except OSError as error:
        print("%s cannot be run: %s" % (sys.argv[2], error.strerror), file=sys.stderr)
    os._exit(127)
os.close(0)
code, others = None, True
while code is None or asked and others:  # a shell ends sooner than what it runs; a worker kills the rest
    ready = select.select([link, heard], [], [])[0]
    if link in ready and not link.recv(64):
        code = 137
        break
    if heard in ready:
        os.read(heard, 512)
    ended, others = reaped()
    for one, status in ended:
        if one == pid:
            code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
all_get(signal.SIGKILL)
try:
    while True:
        os.wait()
except ChildProcessError:
    pass
for file, key, word in (("memory.events", "oom_kill", "memory"), ("pids.events", "max", "processes")):
    try:
        with open("/sys/fs/cgroup/" + file) as opened:
            counts = dict(line.split() for line in opened)
        if int(counts.get(key, 0)):
            link.send((word + " ").encode())
    except (OSError, ValueError):
        pass
os._exit(code)
"""


def first_process(argv: Sequence[str], *, ports: Sequence[int] = ()) -> list[str]:
    """The command that is the first process of a container, and runs `argv` in it."""
    return ["python3", "-I", "-S", "-c", _TEXT, f"{LINK_AT}|{','.join(map(str, ports))}", *argv]
