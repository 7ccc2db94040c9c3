"""The warm parent: imports torch, transformers and the course's models once, then forks one child a submission.

It runs no student code, opens no file that a student wrote and reads nothing a child sends: a child's only connection
is the socket to the judge, which the judge made and this process passed on and closed.

Commands are JSON texts, one a packet, from the judge over the socket whose number is in `sys.argv`:
`{"do": "spawn", "limits": {…}}` with the child's socket attached, answered by `{"spawned": true}` and, once the child
has ended, by `{"ended": {…}}`; `{"do": "kill"}`. When the judge closes the socket, everything ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from . import confine, counting

BUFFER = 65536
HUGE, MADV_COLLAPSE = 1 << 21, 25
REFUSED_EXIT = 97  # the child's exit status when the confinement could not be set up
Keep = Callable[[socket.socket, Mapping[str, int], Any, int, int], None]  # what `keep` takes


def become(uid: int, gid: int) -> None:
    """Leave the root user, if the sandbox was started by root, for an ordinary id."""
    if os.geteuid() == 0 and uid:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    confine.stay_inspectable()


def warm_up(models: bool) -> dict[str, Any]:
    """Import what every submission needs, so that a fork has it already; return the versions."""
    import numpy as np
    import torch

    torch.set_num_threads(1)
    versions = {
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
    import safetensors.torch  # noqa: F401
    import transformers

    from . import child, values  # noqa: F401

    versions["transformers"] = transformers.__version__
    import helpers

    for module in pkgutil.walk_packages(helpers.__path__, "helpers.", onerror=lambda name: None):
        if not module.name.startswith("helpers.assets"):
            with contextlib.suppress(Exception):  # one that cannot be imported is missed by whoever needs it
                importlib.import_module(module.name)
    if models:
        from helpers import models as loaders

        policy, _ = loaders.load_policy("tiny", device="cpu")
        loaders.load_reward_model("tiny", device="cpu")
        with torch.no_grad():
            policy(torch.zeros(1, 4, dtype=torch.long))
    return versions


def use_huge_pages() -> None:
    """Have the kernel put this process's own memory into pages of 2 MB, as far as it can and knows how to (Linux 6.1).

    A fork copies a table of all pages, twice for each child: with 350 MB in pages of 4 kB that takes longer than many a
    submission's calls. What a child writes to is copied in pages of 4 kB all the same.
    """
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        place, mode, _, _, _, *name = line.split()
        if mode == "rw-p" and name in ([], ["[heap]"]):
            start, end = (int(text, 16) for text in place.split("-"))
            first, last = -(-start // HUGE) * HUGE, end // HUGE * HUGE
            if first < last:  # where it cannot be had, the pages stay as they are
                confine.LIBC.madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), MADV_COLLAPSE)


class Keeper:
    """A forked process that owns a child's walls, kills it when told to, and says how it ended."""

    def __init__(
        self, connection: socket.socket, limits: Mapping[str, int], rules: object, others: list[int], keep: Keep
    ):
        self.inbox, outbox = os.pipe()
        leash, self.leash = os.pipe()  # closing our end tells the keeper to kill the child
        self.pid = os.fork()
        if self.pid == 0:
            try:
                for fd in (*others, self.inbox, self.leash):
                    os.close(fd)
                keep(connection, limits, rules, leash, outbox)
            except BaseException:
                traceback.print_exc()
            os._exit(REFUSED_EXIT)
        os.close(outbox)
        os.close(leash)
        connection.close()

    def kill(self) -> None:
        """Kill the child and all it started."""
        if self.leash >= 0:
            os.close(self.leash)
            self.leash = -1

    def result(self) -> dict[str, Any]:
        """Wait for the end and return how the child ended and what it used."""
        with os.fdopen(self.inbox, "rb") as inbox:
            report = inbox.read(BUFFER)
        _, _, usage = os.wait4(self.pid, 0)
        self.kill()
        outcome = json.loads(report) if report else {"lost": "the keeper of the sandbox died"}
        return outcome | {"cpu_seconds": usage.ru_utime + usage.ru_stime, "memory": usage.ru_maxrss * 1024}


def keep(connection: socket.socket, limits: Mapping[str, int], rules: object, leash: int, outbox: int) -> None:
    """Run as the keeper: enter the namespaces, start the child, wait for its end or for the leash to be let go.

    With a limit `together` (bytes; 0 where a control group keeps it) it also counts what all processes of the child take.
    When the child ends, its PID namespace and all processes in it end too.
    """
    trusted = {1, os.getppid(), os.getpid()}  # bubblewrap's own, the warm parent and this one
    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)  # the child covers the path
    try:
        os.setsid()
        confine.new_namespaces()
    except OSError as error:
        os.write(outbox, json.dumps({"refused": str(error)}).encode())
        os._exit(REFUSED_EXIT)
    most = limits["together"]
    pid, failure = start_child(connection, lambda: confine.lock_down(limits, rules))
    report = watch(pid, leash, lambda: counting.exceeds(proc, counting.all_but(proc, trusted), most), most > 0)
    tell(outbox, report, failure)


def start_child(connection: socket.socket, confined: Callable[[], None]) -> tuple[int, int]:
    """Fork the child; it confines itself and serves the judge.

    Returns:
        Its process number, and a descriptor from which to read why it could not be confined (nothing, if it could).
    """
    failure_in, failure_out = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(failure_in)
        try:
            confined()
        except BaseException as error:
            os.write(failure_out, repr(error).encode()[:4000])
            os._exit(REFUSED_EXIT)
        fd = connection.detach()
        os.dup2(fd, 3)
        for number in range(3):
            os.dup2(os.open("/dev/null", os.O_RDWR), number)
        os.closerange(4, 65536)
        run_child(socket.socket(fileno=3))
        os._exit(0)
    os.close(failure_out)
    connection.close()
    return pid, failure_in


def watch(pid: int, leash: int, exceeds: Callable[[], bool], counted: bool) -> dict[str, Any]:
    """Wait for the child's end, or end it: when the leash is let go, or, if that is counted, when it takes too much."""
    handle = os.pidfd_open(pid)
    starved = False
    while not starved and not select.select([leash, handle], [], [], counting.TICK if counted else None)[0]:
        starved = exceeds()
    signal.pidfd_send_signal(handle, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    how = {"signal": os.WTERMSIG(status)} if os.WIFSIGNALED(status) else {"exit": os.WEXITSTATUS(status)}
    return how | {"starved": starved}


def tell(outbox: int, report: dict[str, Any], failure: int) -> None:
    """Report to the warm parent how the child ended, and end."""
    if refused := os.read(failure, 4000):
        report["refused"] = refused.decode(errors="replace")
    os.write(outbox, json.dumps(report).encode())
    os._exit(0)


def run_child(connection: socket.socket) -> None:
    """Serve the judge in the confined process."""
    from . import child

    child.main(connection)


def serve(control: socket.socket, rules: object, keeping: Keep) -> None:
    """Obey the judge until it closes the connection. One child lives at a time."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, BUFFER, 1)
        if not data:
            return
        command = json.loads(data)
        if command["do"] != "spawn":
            continue  # a kill that crossed the child's own end
        keeper = Keeper(socket.socket(fileno=descriptors[0]), command["limits"], rules, [control.fileno()], keeping)
        control.send(json.dumps({"spawned": keeper.pid}).encode())
        heard: list[socket.socket | int] = [control, keeper.inbox]
        while True:
            ready, _, _ = select.select(heard, [], [])
            if control in ready:
                data = control.recv(BUFFER)
                keeper.kill()
            if keeper.inbox in ready:
                break
        outcome = keeper.result()
        control.send(json.dumps({"ended": outcome}).encode())
        if not data or "lost" in outcome:  # the whole sandbox ends, and with it whatever the child has left behind
            return


def main(keeping: Keep = keep, make_rules: Callable[[], object] = confine.build_filter) -> None:
    """Warm up, say so, and serve. Arguments: the control socket's descriptor, uid, gid, whether to load the models.

    Args:
        keeping: runs as the keeper of a child.
        make_rules: makes the seccomp filter; None for none.
    """
    number, uid, gid, models = (int(text) for text in sys.argv[1:5])
    control = socket.socket(fileno=number)
    become(uid, gid)
    try:
        versions = warm_up(bool(models))
        rules = make_rules()
    except BaseException as error:
        control.send(json.dumps({"failed": f"{type(error).__name__}: {error}"[:4000]}).encode())
        raise
    gc.collect()
    gc.freeze()  # the children share the parent's memory; a collection in them must not touch it
    use_huge_pages()
    control.send(json.dumps({"ready": versions, "seccomp": rules is not None}).encode())
    serve(control, rules, keeping)
