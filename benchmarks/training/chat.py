"""Part (c): LoRA (r = 16, queries and values) of SmolLM2-135M on English questions and answers, ours against TRL's SFTTrainer with packing.

Same conversations, same template, 4 rows of up to 512 tokens a step, bf16, AdamW with the same betas, epsilon, rates and clipping, no dropout, the
loss on every token of a conversation but its first (TRL's default). `trl` packs best-fit into rows of 512 and is otherwise as it comes (it keeps activations
of layer borders and makes the rest again); `trl-keeping` has that switched off. `full` is ours with every weight trained, on the same batches:
for its memory. A unit is a token. The loss is fp32 on conversations that nobody trained on.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from training import Clock, Runs, equal_quality, memory_ratio, speed_ratio

TOOLS = ("ours", "trl", "trl-keeping", "full")
ROWS, WIDTH, HELD_OUT = 4, 512, 24
RANK, ALPHA = 16, 32
RATE, DECAY, BETAS, EPSILON, CLIP = 1e-3, 0.0, (0.9, 0.999), 1e-8, 1.0
PAD = 2
SENTENCES = 6
"""Sentences of a lead that an answer holds at most."""


def steps(quick: bool, tool: str) -> int:
    return 5 if quick or tool == "full" else 12


def prepare(folder: Path, quick: bool) -> None:
    """The model's folder, and the conversations: questions made of the titles of Wikipedia's vital articles, answered by their leads."""
    if (folder / "chats.json").is_file():
        return
    from sapwood.models import gguf
    from sapwood.samples.fetch import fetch

    (folder / "model").mkdir(exist_ok=True)
    gguf.convert(fetch("smollm2", print) / gguf.FILE, folder / "model")
    leads = json.loads(next(fetch("wiki-leads-en", print).glob("*.json")).read_text(encoding="utf-8"))
    chats = [_chat(entry["title"], entry["extract"]) for _, entry in sorted(leads.items())]
    order = np.random.default_rng(0).permutation(len(chats))[: HELD_OUT + 600]
    (folder / "chats.json").write_text(json.dumps([chats[i] for i in order]), encoding="utf-8")


def _chat(title: str, lead: str) -> list[dict[str, str]]:
    answer = ". ".join(lead.replace("\n", " ").split(". ")[:SENTENCES])
    return [{"role": "user", "content": f"Tell me about {title}."}, {"role": "assistant", "content": answer}]


def opened(folder: Path) -> tuple[list[Any], list[Any]]:
    """(conversations to train on, held out)."""
    chats = json.loads((folder / "chats.json").read_text(encoding="utf-8"))
    return chats[HELD_OUT:], chats[:HELD_OUT]


def encoded(folder: Path, chats: list[Any]) -> list[np.ndarray[Any, Any]]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    rows = tokenizer.apply_chat_template(chats, tokenize=True, return_dict=True)["input_ids"]
    return [np.asarray(row[:WIDTH], dtype=np.int64) for row in rows]


def work(folder: Path, tool: str, seed: int, quick: bool) -> dict[str, Any]:
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    train, held_out = opened(folder)
    clock, count = Clock(), steps(quick, tool)
    run = peer if tool.startswith("trl") else ours
    model, curve = run(folder, train, clock, seed, count, tool)
    loss = None if tool == "full" else round(evaluated(model, encoded(folder, held_out)), 4)
    return {**clock.told(), "curve": curve, "loss": loss}


class Rows:
    """A step's `ROWS` packed rows, one a micro-batch: a source of Sapwood's loop."""

    ahead = True

    def __init__(self, examples: list[np.ndarray[Any, Any]]) -> None:
        from sapwood.models.sources.packed import Packed, pack

        self.packed = Packed([(ids, np.ones(len(ids), dtype=bool)) for ids in examples], 1, PAD, True, WIDTH, WIDTH)
        self.bins = pack(list(range(len(examples))), self.packed.lengths, WIDTH)

    def steps(self, seed: int, epoch: int) -> int:
        return len(self.bins) // ROWS

    def at(self, seed: int, epoch: int, index: int) -> list[Any]:
        order = np.random.default_rng([seed, epoch]).permutation(len(self.bins))[index * ROWS : (index + 1) * ROWS]
        return [batch for number in order for batch, _ in self.packed.cut(np.asarray(self.bins[number]))]


def ours(folder: Path, chats: list[Any], clock: Clock, seed: int, count: int, tool: str) -> tuple[Any, Any]:
    """Sapwood's loop with method `lora`, or `full`."""
    import tempfile

    from sapwood.models import train
    from sapwood.models.methods.full import Full
    from sapwood.models.methods.lora import Lora
    from sapwood.models.objectives.written import written
    from sapwood.models.optimisers import AdamW
    from sapwood.models.schedules import Linear
    from sapwood.models.tasks.sequence import open_writer
    from sapwood.models.tasks.task import Setting

    method: Any = Full() if tool == "full" else Lora(r=RANK, alpha=ALPHA, targets="attention")
    source = Rows(encoded(folder, chats))
    model = method.apply(open_writer(folder / "model", Setting(seed, "bf16", 0.0)), "bf16", seed)
    tokens = [sum(batch.trained["token"] for batch in source.at(seed, 0, index)) for index in range(count)]
    curve: list[list[float]] = []

    def log(step: float, loss: float, **_: float) -> None:
        clock.step(tokens[int(step) - 1])
        curve.append([int(step), round(loss, 4)])

    optimiser = AdamW(weight_decay=DECAY, beta1=BETAS[0], beta2=BETAS[1], eps=EPSILON)
    plan = train.Plan(steps=count, lr=RATE, optimiser=optimiser, schedule=Linear(warmup=0.1), clip=CLIP, precision="bf16", log_every=1)
    with tempfile.TemporaryDirectory() as home:
        train.train(model, source, written(), plan, seed, Path(home), train.Calls(log=log))
    return model, curve


def peer(folder: Path, chats: list[Any], clock: Clock, seed: int, count: int, tool: str) -> tuple[Any, Any]:
    """TRL's SFTTrainer, which saves nothing."""
    import tempfile

    from datasets import Dataset
    from peft import LoraConfig
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    curve: list[list[float]] = []
    seen: list[int] = []

    class Timed(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.step(seen[clock.steps])

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
            if "loss" in logs:
                curve.append([state.global_step, round(logs["loss"], 4)])

    lora = LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    with tempfile.TemporaryDirectory() as home:
        arguments = SFTConfig(
            home, per_device_train_batch_size=ROWS, max_steps=count, learning_rate=RATE, weight_decay=DECAY, adam_beta1=BETAS[0],
            adam_beta2=BETAS[1], adam_epsilon=EPSILON, max_grad_norm=CLIP, warmup_steps=round(0.1 * count), lr_scheduler_type="linear",
            logging_steps=1, save_strategy="no", report_to=[], seed=seed, data_seed=seed, use_cpu=True, disable_tqdm=True, bf16=True,
            packing=True, max_length=WIDTH, gradient_checkpointing=tool == "trl", dataset_num_proc=None,
        )  # fmt: skip
        rows = Dataset.from_list([{"messages": chat} for chat in chats])
        trainer = SFTTrainer(str(folder / "model"), args=arguments, train_dataset=rows, peft_config=lora, callbacks=[Timed()])
        collate = trainer.data_collator

        def counted(features: list[dict[str, Any]]) -> Any:
            batch = collate(features)
            seen.append(int((batch["labels"] != -100).sum()))
            return batch

        trainer.data_collator = counted
        trainer.train()
    return trainer.model, curve


def evaluated(model: Any, rows: list[np.ndarray[Any, Any]]) -> float:
    """Mean loss of the tokens of the held-out conversations, one conversation at a time; products in bf16, as trained, losses in fp32."""
    import torch
    from torch.nn import functional as F

    model.eval()
    total, count = 0.0, 0
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        for row in rows:
            ids = torch.from_numpy(row)[None]
            logits = model(input_ids=ids, use_cache=False).logits[0, :-1].float()
            total, count = total + float(F.cross_entropy(logits, ids[0, 1:], reduction="sum")), count + len(row) - 1
    return total / count


def ratios(runs: Runs) -> dict[str, float | None]:
    """Against TRL as it comes; `_keeping` against TRL when it keeps activations, which is faster and larger."""
    return {
        "lora_vs_trl": speed_ratio(runs, "trl"),
        "lora_vs_trl_keeping": speed_ratio(runs, "trl-keeping"),
        "lora_memory_vs_trl": memory_ratio(runs, "trl"),
        "lora_memory_vs_trl_keeping": memory_ratio(runs, "trl-keeping"),
        "lora_memory_vs_full": memory_ratio(runs, "full"),
        "lora_equal_quality": equal_quality(runs, "trl"),
    }
