"""A child process that reads hostile formats: `python -m sapwood.text.formats.child`. Limits are set on the process, not hoped for.

It answers requests on standard input one after the other: a JSON line with the fields of a `Job`, the limits and the number of bytes of
the body, then the body. The answer is one JSON line. It ends when its input does, so it outlives its parent by one job at most, and
that by the limit of CPU seconds.
"""

from __future__ import annotations

import json
import os
import resource
import signal
from typing import IO, Any

import orjson

from sapwood.errors import SapwoodError
from sapwood.text.formats.document import Job, Limits, read


def answer(job: Job, limits: Limits) -> dict[str, Any]:
    """The parsed document as a mapping, or {"fault": why}."""
    try:
        return {**read(job, limits)._asdict()}
    except SapwoodError as fault:
        return {"fault": fault.what}
    except MemoryError:
        return {"fault": f"too costly: reading it needs more than {limits.memory >> 20} MB of memory"}
    except RecursionError:
        return {"fault": "nested too deep: the reader's recursion limit was reached"}
    except Exception as fault:  # what a parser raises on damaged input is its own affair; one file, one failure
        return {"fault": f"damaged: {type(fault).__name__}: {str(fault)[:300]}"}


def confine(limits: Limits) -> None:
    """Address space and CPU time of this process for the job to come."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime + limits.seconds) + 2
    for kind, value in ((resource.RLIMIT_AS, limits.memory), (resource.RLIMIT_CPU, seconds)):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer until the input ends."""
    while line := requests.readline():
        request = json.loads(line)
        body = requests.read(request.pop("size"))
        limits = Limits(*request.pop("limits"))
        confine(limits)
        answers.write(orjson.dumps(answer(Job(**request, body=body), limits)) + b"\n")
        answers.flush()


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):  # a library that prints must not write into the answers
        os.dup2(null, number)
    serve(requests, answers)


if __name__ == "__main__":
    main()
