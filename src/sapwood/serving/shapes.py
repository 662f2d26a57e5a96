"""The bodies of the gateway's requests and answers, as OpenAPI shows them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag

from sapwood.watching.feedback import Score

MOST = 256

Text = Annotated[str, StringConstraints(min_length=1)]
Texts = Annotated[list[Text], Field(min_length=1, max_length=MOST)]


def _one_or_many(value: Any) -> str:
    return "many" if isinstance(value, list) else "one"


Inputs = Annotated[Annotated[Text, Tag("one")] | Annotated[Texts, Tag("many")], Discriminator(_one_or_many)]
Scores = Annotated[
    Annotated[Score, Tag("one")] | Annotated[Annotated[list[Score], Field(min_length=1, max_length=MOST)], Tag("many")],
    Discriminator(_one_or_many),
]
TAGS = frozenset({"body", "one", "many"})
"""Parts of an error's place that name our unions, not the client's fields."""


class PredictIn(BaseModel):
    """Body of `POST /predict`."""

    model_config = ConfigDict(extra="forbid")
    inputs: Inputs = Field(description="One text, or a list of up to 256.")
    raw_scores: bool = Field(False, description="Give natural logarithms of the probabilities: the logits less a constant of each input.")
    truncate: bool = Field(False, description="Cut an input that is too long. Without it such an input is refused.")


class LabelOut(BaseModel):
    """One label of an answer."""

    score: float = Field(description="Probability, or its logarithm with raw_scores.")
    label: str


class FeedbackOut(BaseModel):
    """A stored feedback record."""

    model_config = ConfigDict(protected_namespaces=())
    id: str
    name: str
    data_type: str
    value: float | None
    string_value: str | None
    explanation: str
    source_type: str
    source_id: str
    response_id: str | None
    correction: str | None
    model_version: int | None
    created_at: float
    trusted: bool
    quarantine: str
    consumed_by: str


class ModelOut(BaseModel):
    """One entry of `GET /v1/models`. `root` is the bundle digest, `parent` the model digest it was made from."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "sapwood"
    root: str
    parent: str
    max_model_len: int


class ModelsOut(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelOut]
