"""Read files in child processes with limits on memory and time, several at once, answers in the order of the questions.

A file that kills its child, or takes too long, is one failure; the next file gets a new child. The same jobs give the same answers for
any number of children, except that a job at the edge of its time limit depends on how fast the machine is. It is no sandbox: a child
may open files and sockets, as the libraries that it runs may.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import NamedTuple, TypeVar

import orjson

from sapwood.errors import SapwoodError
from sapwood.text.formats.document import Job, Limits, Parsed, read

T = TypeVar("T")
AHEAD = 4
"""Jobs in flight for each child: enough to keep it busy, few enough that answers (10 MB at most each) stay small in all."""
CPU_SIGNALS = (24, 9)  # SIGXCPU, and SIGKILL past the hard limit


class Failed(NamedTuple):
    """A job that gave no document, and why."""

    why: str


class Children:
    """A context with `count` child processes at most, started when they are needed."""

    def __init__(self, count: int, limits: Limits) -> None:
        self._limits = limits
        self._count = max(1, count)
        self._children = [_Child() for _ in range(self._count)]
        self._idle: SimpleQueue[_Child] = SimpleQueue()
        for child in self._children:
            self._idle.put(child)
        self._threads = ThreadPoolExecutor(self._count, "reader")

    def __enter__(self) -> Children:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for child in self._children:
            child.stop()
        self._threads.shutdown(wait=True)

    def answers(self, jobs: Iterable[tuple[T, Job | Failed]]) -> Iterator[tuple[T, Parsed | Failed]]:
        """(tag, answer) for each (tag, job) in their order; at most `AHEAD` times `count` jobs are taken before their turn.

        Plain text is read in this process: it runs no parser, and its size is bounded.
        """
        waiting: deque[tuple[T, Future[Parsed | Failed]]] = deque()
        for tag, job in jobs:
            waiting.append((tag, self._begun(job)))
            if len(waiting) >= AHEAD * self._count:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()

    def _begun(self, job: Job | Failed) -> Future[Parsed | Failed]:
        if isinstance(job, Job) and job.format != "text":
            return self._threads.submit(self._ask, job)
        done: Future[Parsed | Failed] = Future()
        done.set_result(job if isinstance(job, Failed) else read_here(job, self._limits))
        return done

    def _ask(self, job: Job) -> Parsed | Failed:
        child = self._idle.get()
        try:
            return child.ask(job, self._limits)
        finally:
            self._idle.put(child)


def read_here(job: Job, limits: Limits) -> Parsed | Failed:
    """Read a job in this process: for formats that no file can make expensive."""
    try:
        return read(job, limits)
    except SapwoodError as fault:
        return Failed(fault.what)
    except OSError as fault:
        return Failed(f"cannot be read: {fault.strerror or fault}")


class _Child:
    """One child process, started for the first job and again after each that ended it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def ask(self, job: Job, limits: Limits) -> Parsed | Failed:
        process = self._running()
        request = {**job._asdict(), "size": len(job.body), "limits": list(limits)}
        del request["body"]
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n" + job.body)
            process.stdin.flush()
            line = self._line(process, limits.seconds)
        except BrokenPipeError:
            line = b""
        except TimeoutError:
            self._end(0)
            return Failed(f"too slow: reading it takes more than {limits.seconds:g} seconds")
        if not line.endswith(b"\n"):
            code = self._end(5)
            if code in [-number for number in CPU_SIGNALS]:
                return Failed(f"too slow: reading it takes more than {limits.seconds:g} seconds of CPU time")
            return Failed(
                f"too costly: the reader ended with signal {-code}, as at {limits.memory >> 20} MB of memory or a fault in its library"
            )
        found = orjson.loads(line)
        return Failed(found["fault"]) if "fault" in found else Parsed(**found)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None and not self._stopped:
            command = [sys.executable, "-m", "sapwood.text.formats.child"]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if self._process is None:
            raise RuntimeError("the readers were stopped")
        return self._process

    @staticmethod
    def _line(process: subprocess.Popen[bytes], seconds: float) -> bytes:
        """One line of the answer, or what came of it before the child ended. Raises `TimeoutError`."""
        assert process.stdout is not None
        number, end = process.stdout.fileno(), time.monotonic() + seconds
        ready = select.poll()
        ready.register(number, select.POLLIN)
        pieces: list[bytes] = []
        while True:
            left = end - time.monotonic()
            if left <= 0 or not ready.poll(left * 1000):
                raise TimeoutError
            piece = os.read(number, 1 << 20)
            pieces.append(piece)
            if not piece or piece.endswith(b"\n"):
                return b"".join(pieces)

    def _end(self, patience_s: float) -> int:
        """The exit status of the child, which is killed unless it ends by itself."""
        process, self._process = self._process, None
        assert process is not None
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        return process.returncode

    def stop(self) -> None:
        """End the child, whatever it is doing; it is not started again."""
        self._stopped = True
        if self._process is not None:
            self._process.kill()
            self._process.wait()
