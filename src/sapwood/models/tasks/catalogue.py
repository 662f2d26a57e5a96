"""The tasks that come with Sapwood, as one tagged union."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sapwood.models.tasks.chat import Chat
from sapwood.models.tasks.classification import Classification
from sapwood.models.tasks.embedding import Embedding
from sapwood.models.tasks.multilabel import Multilabel
from sapwood.models.tasks.prompt import Prompt
from sapwood.models.tasks.ranking import Ranking
from sapwood.models.tasks.regression import Regression
from sapwood.models.tasks.relations import Relations
from sapwood.models.tasks.sequence import ToSequence
from sapwood.models.tasks.spans import Spans
from sapwood.models.tasks.tokens import Tokens

AnyTask = Annotated[
    Chat | Classification | Embedding | Multilabel | Prompt | Ranking | Regression | Relations | Spans | ToSequence | Tokens,
    Field(discriminator="kind"),
]
