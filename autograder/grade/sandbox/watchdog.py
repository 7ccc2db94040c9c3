"""Bound a sandbox's memory where control groups are not writable: look now and then, and kill what takes too much."""

from __future__ import annotations

import contextlib
import threading

import psutil

INTERVAL = 0.2


class Watchdog:
    """A thread that adds up what the processes below a sandbox's parent use.

    A forked process shares the warm parent's memory, so what counts is what each has beyond that.
    """

    def __init__(self, pid: int, limit: int) -> None:
        self.pid = pid
        self.limit = limit
        self.fired = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="memory watchdog")
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(INTERVAL):
            with contextlib.suppress(psutil.Error):
                self._look()

    def _look(self) -> None:
        below = sorted(psutil.Process(self.pid).children(recursive=True), key=lambda process: process.create_time())
        students = [process for process in below if process.name() != "bwrap"][2:]  # after the parent and the keeper
        used = []
        for process in students:
            with contextlib.suppress(psutil.Error):
                memory = process.memory_info()
                used.append((memory.rss - memory.shared, process))
        if sum(size for size, _ in used) > self.limit:
            self.fired = True
            for _, process in used:
                with contextlib.suppress(psutil.Error):
                    process.kill()

    def take(self) -> bool:
        """Whether it has killed since the last question."""
        fired, self.fired = self.fired, False
        return fired

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(timeout=5)
