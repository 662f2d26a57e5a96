"""Tests run beside each other on every core, so each uses one thread: two programs that take every core slow each other down.

Property tests take the same examples in each run, and each begins with the generators in the same state, so that a change fails by its own
fault; `make soak` looks for new ones.
"""

import os
import random
import sys

import numpy as np
import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
settings.register_profile("fixed", derandomize=True, database=None)
settings.register_profile("searching", max_examples=500)
settings.load_profile("fixed")


@pytest.fixture(autouse=True)
def _the_same_draws_in_each_run() -> None:
    random.seed(0)
    np.random.seed(0)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)
