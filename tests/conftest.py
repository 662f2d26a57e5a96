"""Tests run beside each other on every core, so each uses one thread: two programs that take every core slow each other down."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
