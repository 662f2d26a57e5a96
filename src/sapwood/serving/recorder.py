"""Writing the response log beside the event loop: one thread, and one transaction for all that waits (group commit).

An answer leaves the gateway only when it is on record, so a commit (an fsync) is on its way; shared by all requests that
wait, it costs each little. When the log cannot be written the request fails: an answer without a record cannot be traced.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future

from sapwood.watching.log import Response, ResponseLog

logger = logging.getLogger(__name__)
Kept = list[Response]
MOST = 1024


class Recorder:
    """A thread that appends to `log`. `keep` may be called from any thread."""

    def __init__(self, log: ResponseLog) -> None:
        self.log = log
        self.failed_at = float("-inf")
        self._queue: queue.SimpleQueue[tuple[Sequence[Response], Future[Kept]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    def keep(self, answers: Sequence[Response]) -> Future[Kept]:
        """Store them; the future holds what was stored (masked), or the fault."""
        future: Future[Kept] = Future()
        self._queue.put((answers, future))
        return future

    def healthy(self) -> bool:
        """False for 5 s after a write that failed."""
        return time.monotonic() - self.failed_at > 5

    def close(self, wait_s: float = 5.0) -> bool:
        """Write what waits and stop. False when that took longer than `wait_s`."""
        self._queue.put(None)
        self._thread.join(wait_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        going = True
        while going:
            group = [self._queue.get()]
            while len(group) < MOST and not self._queue.empty():
                group.append(self._queue.get())
            going = None not in group
            self._write([item for item in group if item is not None])

    def _write(self, group: list[tuple[Sequence[Response], Future[Kept]]]) -> None:
        group = [(answers, future) for answers, future in group if future.set_running_or_notify_cancel()]
        try:
            stored = self.log.append([answer for answers, _ in group for answer in answers])
        except Exception as fault:  # every fault means: not on record; each waiting request must hear of it
            self.failed_at = time.monotonic()
            logger.error("the response log could not be written: %s", fault)
            for _, future in group:
                future.set_exception(fault)
            return
        at = 0
        for answers, future in group:
            future.set_result(stored[at : at + len(answers)])
            at += len(answers)
