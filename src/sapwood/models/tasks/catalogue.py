"""The tasks that come with Sapwood, as one tagged union."""

from __future__ import annotations

from sapwood.models.tasks.classification import Classification

AnyTask = Classification
