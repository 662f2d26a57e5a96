"""Train the rows of an embedding that the training text uses, and only those.

A vocabulary of 250,037 rows of 384 is 96 million weights, of which 1,600 reviews touch 5,019 rows. The others get no gradient, so nothing
is lost when gradient, optimiser, clipping and checkpoints leave them out; without weight decay the two ways give the same weights. (With
decay a dense table's unused rows shrink towards 0 for no reason; here they stay.)
The whole table still reads any text: rows that do not train are looked up beside those that do. It does NOT help where the table is also
the vocabulary head, which trains every row.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PAYS = 2
"""A table is parted where it has at least that many times the rows that are used."""


class Parted(nn.Module):
    """An embedding in two parts: `weight` (used, width) trains, `rest` does not. `slot` is each id's row in `weight`, or, counted on, in `rest`."""

    slot: Tensor

    def __init__(self, whole: nn.Embedding, used: Tensor) -> None:
        super().__init__()
        words = whole.num_embeddings
        unused = torch.ones(words, dtype=torch.bool)
        unused[used] = False
        order = torch.cat([used, unused.nonzero()[:, 0]])
        slot = torch.empty(words, dtype=torch.long)
        slot[order] = torch.arange(words)
        table = whole.weight.detach()
        self.weight = nn.Parameter(table[order[: len(used)]])
        self.rest = nn.Parameter(table[order[len(used) :]], requires_grad=False)
        self.register_buffer("slot", slot.to(table.device), persistent=False)
        self.embedding_dim, self.num_embeddings = whole.embedding_dim, words
        self.padding_idx = whole.padding_idx
        """As in the whole table; its row gets no gradient."""
        padding = None if whole.padding_idx is None else int(slot[whole.padding_idx])
        self._padding = padding if padding is not None and padding < len(used) else None

    def forward(self, ids: Tensor) -> Tensor:
        place, count = self.slot[ids], len(self.weight)
        known = place < count
        if bool(known.all()):
            return F.embedding(place, self.weight, self._padding)
        trained = F.embedding(place.clamp(max=count - 1), self.weight, self._padding)
        return torch.where(known[..., None], trained, F.embedding((place - count).clamp(min=0), self.rest))

    def joined(self) -> nn.Embedding:
        """The whole table, with the trained rows back in their places."""
        table = torch.cat([self.weight.detach(), self.rest.detach()])[self.slot]
        return nn.Embedding.from_pretrained(table, freeze=False, padding_idx=self.padding_idx)


def part(model: Any, used: Any) -> bool:
    """Part the word embeddings of `model` by the token ids `used` (n,), where that pays; whether it did.

    They stay whole where they do not train, where another module shares them, and where most of their rows are used.
    """
    whole = model.get_input_embeddings()
    if type(whole) is not nn.Embedding or not whole.weight.requires_grad or whole.max_norm is not None or whole.sparse:
        return False
    sharing = sum(other is whole.weight for module in model.modules() for other in module.parameters(recurse=False))
    rows = torch.as_tensor(used, dtype=torch.long).unique()
    if sharing > 1 or len(rows) * PAYS > whole.num_embeddings:
        return False
    model.set_input_embeddings(Parted(whole, rows))
    return True


def join(model: Any) -> None:
    """Make parted embeddings whole again."""
    parted = model.get_input_embeddings()
    if isinstance(parted, Parted):
        model.set_input_embeddings(parted.joined())
