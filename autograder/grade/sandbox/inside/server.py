"""The warm parent: imports torch, transformers and the course's models once, then forks one child a submission.

It runs no student code, opens no file that a student wrote and reads nothing a child sends: a child's only connection
is the socket to the judge, which the judge made and this process passed on and closed.

Commands are JSON texts, one a packet, from the judge over the socket whose number is in `sys.argv`:
`{"do": "spawn", "limits": {…}}` with the child's socket attached, answered by `{"spawned": true}` and, once the child
has ended, by `{"ended": {…}}`; `{"do": "kill"}`. When the judge closes the socket, everything ends.
"""

from __future__ import annotations

import contextlib
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
from typing import Any

from . import confine

BUFFER = 65536
REFUSED_EXIT = 97  # the child's exit status when the confinement could not be set up


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


class Keeper:
    """A forked process that owns a child's namespaces, kills it when told to, and says how it ended."""

    def __init__(self, connection: socket.socket, limits: Mapping[str, int], rules: object | None, others: list[int]):
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
        """Kill the child and all it started (its PID namespace ends with it)."""
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


def keep(connection: socket.socket, limits: Mapping[str, int], rules: object | None, leash: int, outbox: int) -> None:
    """Run as the keeper: enter the namespaces, start the child, wait for its end or for the leash to be let go."""
    try:
        os.setsid()
        confine.new_namespaces()
    except OSError as error:
        os.write(outbox, json.dumps({"refused": str(error)}).encode())
        os._exit(REFUSED_EXIT)
    failure_in, failure_out = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(failure_in)
        try:
            confine.lock_down(limits, rules)
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
    handle = os.pidfd_open(pid)
    select.select([leash, handle], [], [])
    signal.pidfd_send_signal(handle, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    report: dict[str, Any] = (
        {"signal": os.WTERMSIG(status)} if os.WIFSIGNALED(status) else {"exit": os.WEXITSTATUS(status)}
    )
    refused = os.read(failure_in, 4000)
    if refused:
        report["refused"] = refused.decode(errors="replace")
    os.write(outbox, json.dumps(report).encode())
    os._exit(0)


def run_child(connection: socket.socket) -> None:
    """Serve the judge in the confined process."""
    from . import child

    child.main(connection)


def serve(control: socket.socket, rules: object | None) -> None:
    """Obey the judge until it closes the connection. One child lives at a time."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, BUFFER, 1)
        if not data:
            return
        command = json.loads(data)
        if command["do"] != "spawn":
            continue  # a kill that crossed the child's own end
        keeper = Keeper(socket.socket(fileno=descriptors[0]), command["limits"], rules, [control.fileno()])
        control.send(json.dumps({"spawned": keeper.pid}).encode())
        while True:
            ready, _, _ = select.select([control, keeper.inbox], [], [])
            if control in ready:
                data = control.recv(BUFFER)
                keeper.kill()
            if keeper.inbox in ready:
                break
        outcome = keeper.result()
        control.send(json.dumps({"ended": outcome}).encode())
        if not data or "lost" in outcome:  # the whole sandbox ends, and with it whatever the child has left behind
            return


def main(start: Callable[[], dict[str, Any]] | None = None) -> None:
    """Warm up, say so, and serve. Arguments: the control socket's descriptor, uid, gid, whether to load the models."""
    number, uid, gid, models = (int(text) for text in sys.argv[1:5])
    control = socket.socket(fileno=number)
    become(uid, gid)
    try:
        versions = warm_up(bool(models))
        rules = confine.build_filter()
    except BaseException as error:
        control.send(json.dumps({"failed": f"{type(error).__name__}: {error}"[:4000]}).encode())
        raise
    gc.collect()
    gc.freeze()  # the children share the parent's memory; a collection in them must not touch it
    control.send(json.dumps({"ready": versions, "seccomp": rules is not None}).encode())
    serve(control, rules)
