"""Ask: give a model a task that it can do without training."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from sapwood.artifact import Model
from sapwood.models.tasks.chat import Chat
from sapwood.models.tasks.embedding import Embedding
from sapwood.models.tasks.prompt import Prompt
from sapwood.models.tasks.sequence import ToSequence
from sapwood.stage import Estimate, Json, Stage, Work


class Ask(Stage):
    """Say what a model is asked, without training it: vectors of texts as they come (embedding), classes as words in a blank (prompt), or
    answers (chat, sequence).

    So a model can be scored before it is tuned. The weights stay as they are; tasks that need a new head cannot be asked, they must be taught.
    """

    carries: ClassVar[tuple[str, ...] | None] = ("model",)
    examples: ClassVar[tuple[dict[str, Json], ...]] = (
        {"task": {"kind": "prompt", "template": "{text} {blank}", "words": {"negative": "angry", "positive": "happy"}}},
        {"task": {"kind": "embedding"}, "name": "vectors", "prefix": "query: "},
    )

    name: str = Field("", description="Name of the model; empty keeps its own.")
    task: Annotated[Chat | Embedding | Prompt | ToSequence, Field(discriminator="kind")] = Field(description="What it is asked.")
    prefix: str | None = Field(None, description="Put before every text; by default the model's own.")

    def estimate(self, bytes_in: int) -> Estimate:
        return Estimate(10, 1_500_000_000, 500_000_000)

    def run(self, work: Work, model: Model) -> Model:
        from sapwood.models import architectures
        from sapwood.models.card import read_card
        from sapwood.models.tasks.task import Setting

        base = work.path(model)
        start = read_card(base)
        new: dict[str, Any] = {"name": self.name or start.name, "base": model.digest, "method": "ask", "task": self.task.kind}
        new |= {"labels": self.task.labels([]), "asks": self.task.model_dump(mode="json")}
        card = start.model_copy(update={**new, "prefix": start.prefix if self.prefix is None else self.prefix})
        folder = work.new("model")
        architectures.save_model(folder, self.task.open(base, card, Setting(0, "fp32")), base, card)
        self.task.keep(base, folder)
        return work.put(Model, folder)
