"""Part (a): masked-LM pre-training of a BERT of 6 layers x 512, ours against transformers' Trainer.

Same texts (English and Chinese, 6 to 128 tokens, 89 on average), each once: Trainer's grouping by length begins with the longest, so a run
that ended within its first pass would have read half as much again. Same start weights (f(seed)), 64 texts a step, same number of steps,
AdamW with the same betas, epsilon, decay, clipping and rates (falling evenly from the first step, since the two count a rise
differently), no dropout. `trainer-default` is the Trainer as it comes: fp32, texts in any order, padded to the longest of their batch by
the default collator for masked words. `trainer-best` adds bf16, grouping by length and padding to multiples of 8. A unit is a token
without its padding. The evaluation loss is fp32 over the same masked texts for all.

Ceiling share = useful FLOPs a second / what bf16 products hold: the median over the timed steps, each beside the products of the second
before and the second after it in the same process, since what a shared machine holds can double within a minute. Useful FLOPs are those of
model products for tokens that are no padding, 2 a multiply-add, 3 times the forward pass:
    3 x 2 x (tokens x layers x 12 x width^2 + 2 x layers x width x sum of length^2 + masked x (width^2 + width x vocabulary)).
What share a machine lets anyone reach differs (a processor with fast matrix tiles waits for everything else), so `plain-causal` is a yardstick:
a loop of plain torch, a GPT-2 of 6 layers x 768 in bf16, 8 x 256 tokens a step, no padding, counted in the same way. `mlm_share_vs_plain_causal`
is the median share of ours over its median.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from training import Clock, Runs, corpus, equal_quality, speed_ratio

TOOLS = ("ours", "trainer-default", "trainer-best", "plain-causal")
ROWS, LAYERS, WIDTH, HEADS = 64, 6, 512, 8
RATE, DECAY, BETAS, EPSILON, CLIP = 5e-4, 0.01, (0.9, 0.98), 1e-6, 1.0
MASKED = 0.15


def steps(quick: bool) -> int:
    return 4 if quick else 12


def prepare(folder: Path, quick: bool) -> None:
    corpus.prepare(folder)


def fresh(seed: int) -> Any:
    """The start model: f(seed)."""
    import torch
    from transformers import BertConfig, BertForMaskedLM

    shape = {"num_hidden_layers": LAYERS, "hidden_size": WIDTH, "num_attention_heads": HEADS, "intermediate_size": 4 * WIDTH}
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    torch.manual_seed(seed)
    return BertForMaskedLM(BertConfig(vocab_size=corpus.VOCABULARY, max_position_embeddings=corpus.LONGEST, **shape, **still))


def work(folder: Path, tool: str, seed: int, quick: bool) -> dict[str, Any]:
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    if tool == "plain-causal":
        return plain(seed, steps(quick))
    rows, model, clock = corpus.opened(folder), fresh(seed), Clock()
    rows = rows._replace(train=rows.train[: ROWS * steps(quick)])
    train = ours if tool == "ours" else peer
    found = train(rows, model, clock, seed, steps(quick), tool, folder)
    return {**clock.told(), "loss": round(evaluated(rows, model), 4), **found}


def windows(rows: list[np.ndarray[Any, Any]], per_step: int) -> Any:
    """Our source of batches over the texts."""
    from sapwood.models.sources.documents import MaskedWindows, Windows
    from sapwood.models.sources.masked import SpecialTokens

    bare = [row[1:-1] for row in rows]
    starts = np.concatenate([[0], np.cumsum([len(row) for row in bare])])
    special = SpecialTokens(cls=2, sep=3, mask=4, pad=0, vocab=corpus.VOCABULARY)
    return MaskedWindows(Windows(np.concatenate(bare), starts, len(bare), 0), special, per_step, MASKED)


def ours(rows: corpus.Rows, model: Any, clock: Clock, seed: int, count: int, tool: str, folder: Path) -> dict[str, Any]:
    """Sapwood's loop. Its one early checkpoint falls into the steps before the clock starts."""
    import tempfile

    from sapwood.models import architectures, train
    from sapwood.models.objectives.masked import masked_words
    from sapwood.models.optimisers import AdamW
    from sapwood.models.schedules import Linear

    model.config._attn_implementation = architectures.attention("bf16")
    source, losses, tops = windows(rows.train, ROWS), [], [ceiling()]
    tokens, flops = zip(*(measured(source.at(seed, 0, index)) for index in range(count)), strict=True)

    def log(step: float, loss: float, **_: float) -> None:
        clock.step(tokens[int(step) - 1])
        losses.append([int(step), round(loss, 4)])
        tops.append(ceiling())
        clock.pause()

    optimiser = AdamW(weight_decay=DECAY, beta1=BETAS[0], beta2=BETAS[1], eps=EPSILON)
    plan = train.Plan(steps=count, lr=RATE, optimiser=optimiser, schedule=Linear(warmup=0.0), clip=CLIP, precision="bf16", log_every=1)
    with tempfile.TemporaryDirectory() as home:
        train.train(model, source, masked_words, plan, seed, Path(home), train.Calls(log=log))
    return {"curve": losses, **share(flops, clock, tops)}


def measured(step: list[Any]) -> tuple[int, float]:
    """(tokens without padding, useful FLOPs) of one step."""
    lengths = [int(n) for batch in step for n in batch.inputs["attention_mask"].sum(1)]
    return sum(lengths), useful(lengths, sum(batch.trained["mlm"] for batch in step))


def useful(lengths: list[int], masked: int) -> float:
    """Useful FLOPs of one step, forward and backward: the formula above."""
    tokens, squares = sum(lengths), sum(n * n for n in lengths)
    layers = tokens * LAYERS * 12 * WIDTH**2 + 2 * LAYERS * WIDTH * squares
    return 6.0 * (layers + masked * (WIDTH**2 + WIDTH * corpus.VOCABULARY))


def share(flops: Sequence[float], clock: Clock, tops: Sequence[float]) -> dict[str, Any]:
    """Of the ceiling, from the FLOPs of each step and the ceilings around them (one more): the median of the timed steps."""
    count = len(clock.times)
    speeds = [done / seconds for done, (_, seconds, _) in zip(flops[-count:], clock.times, strict=True)]
    around = [(before + after) / 2 for before, after in pairwise(tops[-count - 1 :])]
    shares = [speed / top for speed, top in zip(speeds, around, strict=True)]
    return {
        "gflops": round(statistics.median(speeds) / 1e9, 1),
        "ceiling_gflops": [round(top / 1e9) for top in tops],
        "ceiling_shares": [round(one, 3) for one in shares],
        "ceiling_share": round(statistics.median(shares), 3),
    }


def ceiling() -> float:
    """FLOPs a second that bf16 products hold here: of squares and of the model's own shapes, the best median over a quarter of a second each.

    Not the best single call: on a shared machine that was up to 1.5 times what any shape held.
    """
    import torch

    best = 0.0
    for m, k, n in ((1024, 1024, 1024), (2048, 2048, 2048), (4096, WIDTH, 4 * WIDTH), (4096, 4 * WIDTH, WIDTH)):
        a, b = torch.randn(m, k).bfloat16(), torch.randn(k, n).bfloat16()
        out = torch.empty(m, n, dtype=torch.bfloat16)
        taken, until = [], time.perf_counter() + 0.25
        while (began := time.perf_counter()) < until:
            torch.mm(a, b, out=out)
            taken.append(time.perf_counter() - began)
        best = max(best, 2 * m * k * n / statistics.median(taken))
    return best


def plain(seed: int, count: int) -> dict[str, Any]:
    """The yardstick: what share of the ceiling a plain loop reaches here with long, even batches."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    layers, width, vocabulary, batch, length = 6, 768, 8000, 8, 256
    torch.manual_seed(seed)
    still = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "bos_token_id": 0, "eos_token_id": 0}
    model = GPT2LMHeadModel(GPT2Config(vocab_size=vocabulary, n_layer=layers, n_embd=width, n_head=12, n_positions=length, **still))
    optimiser, clock, tops = torch.optim.AdamW(model.parameters(), lr=RATE, fused=True), Clock(), [ceiling()]
    curve = []
    for step in range(count):
        ids = torch.randint(0, vocabulary, (batch, length))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        clock.step(batch * length)
        curve.append([step + 1, round(float(loss), 4)])
        tops.append(ceiling())
        clock.pause()
    tokens = batch * length
    flops = 6.0 * (tokens * layers * 12 * width**2 + 2 * layers * width * batch * length**2 + tokens * width * vocabulary)
    return {**clock.told(), "curve": curve, "loss": None, **share([flops] * count, clock, tops)}


def peer(rows: corpus.Rows, model: Any, clock: Clock, seed: int, count: int, tool: str, folder: Path) -> dict[str, Any]:
    """transformers' Trainer. The collator draws the masks; both loops skip nothing and save nothing."""
    import tempfile

    from transformers import AutoTokenizer, DataCollatorForLanguageModeling, Trainer, TrainerCallback, TrainingArguments

    best = tool == "trainer-best"
    tokenizer = AutoTokenizer.from_pretrained(rows.tokenizer)
    collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=MASKED, pad_to_multiple_of=8 if best else None, seed=seed)
    seen: list[int] = []

    def collate(features: list[dict[str, Any]]) -> Any:
        batch = collator(features)
        seen.append(int(batch["attention_mask"].sum()))
        return batch

    losses: list[list[float]] = []

    class Timed(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.step(seen[clock.steps])

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
            if "loss" in logs:
                losses.append([state.global_step, round(logs["loss"], 4)])
            clock.pause()

    options = {"bf16": True, "train_sampling_strategy": "group_by_length", "length_column_name": "length"} if best else {}
    with tempfile.TemporaryDirectory() as home:
        arguments = TrainingArguments(
            home, per_device_train_batch_size=ROWS, max_steps=count, learning_rate=RATE, weight_decay=DECAY, adam_beta1=BETAS[0],
            adam_beta2=BETAS[1], adam_epsilon=EPSILON, max_grad_norm=CLIP, lr_scheduler_type="linear",
            logging_steps=1, save_strategy="no", report_to=[], seed=seed, data_seed=seed, use_cpu=True, disable_tqdm=True, **options,
        )  # fmt: skip
        Trainer(model=model, args=arguments, train_dataset=_Listed(rows.train), data_collator=collate, callbacks=[Timed()]).train()
    return {"curve": losses}


class _Listed:
    """The texts as the Trainer wants them."""

    def __init__(self, rows: list[np.ndarray[Any, Any]]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        ids = self.rows[index].tolist()
        return {"input_ids": ids, "attention_mask": [1] * len(ids), "length": len(ids)}


def evaluated(rows: corpus.Rows, model: Any) -> float:
    """Mean fp32 loss of the masked tokens of the held-out texts, with masks of seed 0."""
    import torch

    from sapwood.models.objectives.masked import masked_words

    source, total, count = windows(rows.held_out, ROWS), 0.0, 0
    model.eval()
    with torch.inference_mode():
        for index in range(source.steps(0, 0)):
            for batch in source.at(0, 0, index):
                terms = masked_words(model, batch)
                total, count = total + float(terms.sum["mlm"]), count + terms.count["mlm"]
    return total / count


def ratios(runs: Runs) -> dict[str, float | None]:
    share, plain_share = (statistics.median(run["ceiling_share"] for run in runs[tool]) for tool in ("ours", "plain-causal"))
    return {
        "mlm_vs_trainer_default": speed_ratio(runs, "trainer-default"),
        "mlm_vs_trainer_best": speed_ratio(runs, "trainer-best"),
        "mlm_ceiling_share": share,
        "plain_causal_ceiling_share": plain_share,
        "mlm_share_vs_plain_causal": round(share / plain_share, 3),
        "mlm_equal_quality": all(equal_quality(runs, peer) for peer in TOOLS[1:3]),
    }
