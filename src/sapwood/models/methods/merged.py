"""Small methods through PEFT whose additions are merged into the weights when training ends: DoRA and IA3."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from sapwood.models.methods.method import Method, train_heads

SCALED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "electra", "camembert"), (("key", "value", "output.dense"), ("output.dense",))),
    "albert": (("key", "value", "ffn_output"), ("ffn_output",)),
    **dict.fromkeys(("llama", "mistral", "qwen2"), (("k_proj", "v_proj", "down_proj"), ("down_proj",))),
    "gpt2": (("c_attn", "mlp.c_proj"), ("mlp.c_proj",)),
    "t5": (("k", "v", "wo"), ("wo",)),
}
"""By `model_type`: the matrices that IA3 scales, and those of them that it scales before the product. After PEFT's own table."""


def wrapped(model: Any, config: Any, seed: int) -> Any:
    """PEFT's model around it, with the heads trained in full; the additions are f(seed).

    The heads train in place, not as PEFT's `modules_to_save`: IA3 cannot take those off a head of several layers (T5's).
    """
    from peft import get_peft_model

    from sapwood.models.architectures import seeded

    with seeded(seed):
        adapted = get_peft_model(model, config)
    train_heads(adapted)
    return adapted


class Dora(Method):
    """Train low-rank directions and the length of each weight column apart (Liu et al. 2024), and the heads."""

    learning_rate: ClassVar[float] = 1e-3

    kind: Literal["dora"] = "dora"
    r: int = Field(8, ge=1, le=256, description="Rank of the additions.")
    alpha: int = Field(16, ge=1, description="Scale: the addition counts alpha / r times.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout before the addition.")

    def apply(self, model: Any, precision: str, seed: int) -> Any:
        from peft import LoraConfig

        from sapwood.models.methods.layers import linear

        config = LoraConfig(
            r=self.r,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            use_dora=True,
            target_modules=linear(model),
        )
        return wrapped(model, config, seed)

    def finish(self, model: Any) -> Any:
        return model.merge_and_unload().float()


class Ia3(Method):
    """Train one factor for each key, value and inner state (Liu et al. 2022), and the heads."""

    learning_rate: ClassVar[float] = 5e-3

    kind: Literal["ia3"] = "ia3"

    def refusal(self, task: str, model_type: str) -> str:
        from sapwood.models.methods.layers import unknown

        return unknown(model_type, "the factors of ia3")

    def apply(self, model: Any, precision: str, seed: int) -> Any:
        from peft import IA3Config

        ends, before = SCALED[model.config.model_type]
        config = IA3Config(target_modules=list(ends), feedforward_modules=list(before))
        return wrapped(model, config, seed)

    def finish(self, model: Any) -> Any:
        return model.merge_and_unload().float()
