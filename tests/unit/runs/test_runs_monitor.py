"""Progress tells the rate of this run, also where a training goes on from a checkpoint."""

from __future__ import annotations

import io

import pytest

from sapwood.runs import monitor


def test_what_was_done_before_is_no_part_of_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"now": 100.0}
    monkeypatch.setattr(monitor.time, "monotonic", lambda: clock["now"])
    out = io.StringIO()
    meter = monitor._PlainMeter("fine-tune", 1000, "steps", out)
    meter.advance(400)  # the checkpoint's steps
    for _ in range(20):
        clock["now"] += 1
        meter.advance(2)
    assert out.getvalue().splitlines()[-1] == "    fine-tune: 440/1,000 steps, 2.0/s, 280 s left"
