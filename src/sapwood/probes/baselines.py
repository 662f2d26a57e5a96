"""What every classifier must beat, fitted on the same rows: the majority, TF-IDF with logistic regression, and a small network.

`fit(train, dev, classes, seed, tick) -> predict(texts) -> (n, classes) probabilities`. All three read text as *units*: one
Chinese, Japanese kana or South-East Asian character, one run of other letters and digits, or one mark. So n-grams of units are
character n-grams of Chinese and word n-grams of English, in the same text if need be.

Not covered: a search over hyper-parameters (logistic regression tries four strengths on dev; the network has fixed sizes),
pre-trained vectors, and bit-equal network weights on another CPU type or thread count.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from sapwood.metrics.classification import Floats, Ints, log_loss, macro_f1, tally

UNITS = re.compile(r"[⺀-⻿぀-ヿ㐀-䶿一-鿿豈-﫿฀-໿က-႟ក-៿\U00020000-\U0003ffff]"
                   r"|[^\W⺀-⻿぀-ヿ㐀-䶿一-鿿豈-﫿฀-໿က-႟ក-៿\U00020000-\U0003ffff]+|[^\w\s]")
