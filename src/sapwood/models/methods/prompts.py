"""Methods that leave every weight as it is and learn what stands before the text. PEFT's encoders, our own wiring (`models/additions`),
because PEFT's changes the shape of what a model gives and transformers' encoders take no cached keys."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Literal

from pydantic import Field

from sapwood.models.methods.method import Method, heads_only


class _Before(Method):
    """Freeze the model but for its head, and hang an addition on it."""

    learning_rate: ClassVar[float] = 5e-3

    @abstractmethod
    def addition(self, model: Any) -> Any:
        """The addition with fresh weights from torch's generator."""

    def apply(self, model: Any, precision: str, seed: int) -> Any:
        from sapwood.models import additions
        from sapwood.models.architectures import seeded

        heads_only(model)
        with seeded(seed):
            return additions.attach(model, self.addition(model))

    def finish(self, model: Any) -> Any:
        """The model with its addition: it cannot be merged, and is stored beside the weights."""
        return model.float()


class Prompt(_Before):
    """Train vectors before the text's word vectors (Lester et al. 2021), and the head."""

    kind: Literal["prompt"] = "prompt"
    tokens: int = Field(16, ge=1, le=512, description="Virtual tokens.")

    def addition(self, model: Any) -> Any:
        from peft import PromptEmbedding, PromptTuningConfig

        from sapwood.models.additions import Virtual

        words = model.get_input_embeddings()
        config = PromptTuningConfig(num_virtual_tokens=self.tokens, token_dim=words.weight.shape[1], num_transformer_submodules=1)
        made = PromptEmbedding(config, words)
        with _no_gradient():  # PEFT draws from N(0, 1), where word vectors have a spread of 0.02 to 0.05
            made.embedding.weight.mul_(words.weight.std())
        return Virtual(_indexed(made, self.tokens))


class PTuning(_Before):
    """Train vectors before the text's word vectors through a small network (P-tuning, Liu et al. 2021), and the head."""

    learning_rate: ClassVar[float] = 1e-3

    kind: Literal["p-tuning"] = "p-tuning"
    tokens: int = Field(16, ge=1, le=512, description="Virtual tokens.")
    width: int = Field(128, ge=1, description="Width of the network; it is gone after training.")

    def addition(self, model: Any) -> Any:
        from peft import PromptEncoder, PromptEncoderConfig

        from sapwood.models.additions import Virtual

        words = model.get_input_embeddings().weight
        config = PromptEncoderConfig(
            num_virtual_tokens=self.tokens, token_dim=words.shape[1], num_transformer_submodules=1, encoder_hidden_size=self.width
        )
        made = PromptEncoder(config)
        with _no_gradient():
            made.embedding.weight.mul_(words.std())
        return Virtual(_indexed(made, self.tokens))


class Prefix(_Before):
    """Train keys and values that every token of every layer sees (Li and Liang 2021), and the head."""

    learning_rate: ClassVar[float] = 1e-3

    kind: Literal["prefix"] = "prefix"
    tokens: int = Field(16, ge=1, le=512, description="Keys and values of each layer.")
    width: int = Field(0, ge=0, description="Width of a network that makes them while training, which steadies it; 0 trains them directly.")

    def refusal(self, task: str, model_type: str) -> str:
        from sapwood.models.methods.layers import unknown

        return unknown(model_type, "prefixes")

    def addition(self, model: Any) -> Any:
        from peft import PrefixEncoder, PrefixTuningConfig

        from sapwood.models.additions import Prefixes, attentions
        from sapwood.models.methods.layers import key_width

        layers = len(attentions(model))
        config = PrefixTuningConfig(
            num_virtual_tokens=self.tokens,
            token_dim=key_width(model),
            num_layers=layers,
            prefix_projection=self.width > 0,
            encoder_hidden_size=self.width or None,
        )
        made = PrefixEncoder(config)
        with _no_gradient():
            made.embedding.weight.mul_(0.02 if not self.width else 1.0)
        return Prefixes(_indexed(made, self.tokens, layers))


def _no_gradient() -> Any:
    import torch

    return torch.no_grad()


def _indexed(made: Any, tokens: int, layers: int = 0) -> Any:
    """PEFT's encoder as a module without arguments: (tokens, width), or (layers, 2, tokens, width) with `layers`."""
    import torch

    class Indexed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.made = made

        def forward(self) -> Any:
            table = self.made(torch.arange(tokens, device=self.made.embedding.weight.device)[None])[0]
            return table.unflatten(1, (layers, 2, -1)).permute(1, 2, 0, 3) if layers else table

    return Indexed()
