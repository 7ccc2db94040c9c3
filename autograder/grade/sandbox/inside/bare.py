"""A child without the sandbox (`--trust`): limits on time and memory, nothing else."""

from __future__ import annotations

import json
import resource
import socket
import sys

from . import child, confine


def main(number: int) -> None:
    """Set the limits that make sense without namespaces, and serve."""
    import torch

    torch.set_num_threads(1)
    limits = json.loads(sys.argv[2])
    if sys.platform.startswith("linux"):
        most = confine.address_space() + limits["memory"] + (2 << 30)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (limits["cpu_seconds"], limits["cpu_seconds"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    child.main(socket.socket(fileno=number))
