"""Replies: their likelihood is the model's own, preferences and rewards are learned, and a resumed policy gradient equals an uninterrupted one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sapwood.errors import InputError, Interrupted
from sapwood.models import checkpoint, replies, texts, train
from sapwood.models.card import read_card
from sapwood.models.objectives.preference import preference
from sapwood.models.objectives.reward import reinforce
from sapwood.models.replies import Writer
from sapwood.models.rewards.reward import Chrf, Json, Length, Words
from sapwood.models.sources.preferences import Preferences
from sapwood.models.sources.rollouts import Rollouts, advantages, sampled
from sapwood.models.tasks.sequence import open_writer
from sapwood.models.tasks.task import Reader, Setting
from sapwood.testing import tiny

FEW = settings(deadline=None, max_examples=5, phases=(Phase.explicit, Phase.generate), suppress_health_check=list(HealthCheck))
KINDS = ("llama", "t5")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: tiny.tiny_writer(tmp_path_factory.mktemp(kind) / "model", kind) for kind in KINDS}


def opened(folders: dict[str, Path], kind: str, template: str = "") -> tuple[Any, Writer]:
    folder = folders[kind]
    tokenizer = texts.load_tokenizer(folder)
    reader = Reader(tokenizer, texts.pad_id(tokenizer), read_card(folder), folder)
    return open_writer(folder, Setting(3, "fp32", 0.0)), replies.writer(reader, template)


def pairs(how: Writer) -> list[Any]:
    made = []
    for number, thing in enumerate(tiny.THINGS):
        language = number % 2
        prompt = tiny.OPENINGS[number % 3][language].format(thing[language])
        made.append(tuple(how.reply(prompt, told[number % 3][language]) for told in (tiny.PRAISE, tiny.BLAME)))
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_the_likelihood_of_a_reply_is_the_models_own_whatever_stands_beside_it(folders: dict[str, Path], kind: str) -> None:
    model, how = opened(folders, kind)
    given = [reply for pair in pairs(how) for reply in pair]
    found = replies.of(model, given, how, "fp32")
    for reply, value in list(zip(given, found, strict=True))[:6]:
        if how.both:
            inputs = {"input_ids": torch.from_numpy(reply.read)[None]}
            inputs["decoder_input_ids"] = torch.from_numpy(np.concatenate([[how.start], reply.written[:-1]]))[None]
            logits = model(**inputs).logits[0]
        else:
            logits = model(input_ids=torch.from_numpy(np.concatenate([reply.read, reply.written[:-1]]))[None]).logits[
                0, len(reply.read) - 1 :
            ]
        own = logits.log_softmax(-1)[torch.arange(len(reply.written)), torch.from_numpy(reply.written)].sum()
        assert float(own.detach()) == pytest.approx(value, rel=1e-5)


@FEW
@given(tokens=st.integers(1, 800))
def test_preferences_do_not_change_with_micro_batch(folders: dict[str, Path], tokens: int) -> None:
    model, how = opened(folders, "llama")
    given = pairs(how)
    before = replies.of(model, [reply for pair in given for reply in pair], how, "fp32").reshape(-1, 2) + 0.3
    found = []
    for size in (10**6, tokens):
        model.train()
        model.zero_grad(set_to_none=True)
        micro = Preferences(given, before, 9, how.both, how.start, how.fill, size).at(1, 0, 0)
        loss = train.accumulate(model, micro, preference(0.5, 0.1), "fp32")["loss"][0]
        found.append((loss, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    assert float((found[0][1] - found[1][1]).norm()) <= 1e-5 * float(found[0][1].norm())


def test_the_loss_is_that_of_the_paper(folders: dict[str, Path]) -> None:
    model, how = opened(folders, "llama")
    given = pairs(how)[:2]
    now = replies.of(model, [reply for pair in given for reply in pair], how, "fp32").reshape(-1, 2)
    before = now - np.array([[0.5, -1.0], [-2.0, 0.25]])
    [batch] = Preferences(given, before, 2, how.both, how.start, how.fill).at(1, 0, 0)
    terms = preference(0.1)(model, batch)
    margins = 0.1 * np.array([1.5, -2.25])
    assert float(terms.sum["pairs"].detach()) == pytest.approx(float(np.log1p(np.exp(-margins)).sum()), rel=1e-4)
    assert terms.logs["wins"] == (1.0, 2)


def test_of_a_long_prompt_the_beginning_goes_and_no_room_at_all_is_refused(folders: dict[str, Path]) -> None:
    _, how = opened(folders, "llama")
    tokenizer = texts.load_tokenizer(folders["llama"])
    for prompt in ("the kettle\n" * 60 + "水壶", "the kettle " * 99 + "水壶"):
        reply = how.reply(prompt, "好的", "r1")
        assert 60 < len(reply.read) + len(reply.written) <= 128
        assert tokenizer.decode(reply.read.tolist()).endswith("水 壶")
    cut = how.reply("水壶", "great " * 200)
    assert len(cut.written) == 64
    assert cut.written[-1] not in how.stops
    with pytest.raises(InputError, match="row r1: 2 tokens leave no room"):
        replace(how, most=2).reply("水壶", "好的", "r1")


def test_a_chat_template_stands_around_prompt_and_reply(folders: dict[str, Path]) -> None:
    _, how = opened(folders, "llama", "plain")
    reply = how.reply("the kettle", "great")
    tokenizer = texts.load_tokenizer(folders["llama"])
    assert "the kettle" in tokenizer.decode(reply.read.tolist())
    assert reply.written[-1] in how.stops
    assert how.text(reply.written) == "great"


def worth(number: int, reply: str) -> float:
    return Words(wanted=("happy", "love", "fair")).of(reply, {}) + 0.2 * Length(most=40).of(reply, {})


def policy(folders: dict[str, Path], home: Path, stop_at: int = 0, steps: int = 5) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Train by rewards, being stopped once after step `stop_at`; the weights and the history."""
    seen = {"steps": 0}

    def once(stop: int) -> tuple[Any, train.Progress]:
        model, how = opened(folders, "llama")
        reference, _ = opened(folders, "llama")
        asked = [how.prompt(tiny.OPENINGS[i % 3][i % 2].format(tiny.THINGS[i][i % 2]), 8) for i in range(12)]
        source = Rollouts(model, reference, asked, worth, how, rows=4, samples=4, beta=0.02, most=8)
        seen["steps"] = 0
        calls = train.Calls(advance=lambda n: seen.update(steps=seen["steps"] + int(n)), stopping=lambda: seen["steps"] + 1 > stop > 0)
        plan = train.Plan(steps=steps, lr=1e-2, log_every=1)
        return model, train.train(model, source, reinforce, plan, 7, home, calls)

    if stop_at:
        with pytest.raises(Interrupted):
            once(stop_at)
        torch.rand(5)  # the state of the generators before a resume does not matter
    model, progress = once(0)
    return {name: t.clone() for name, t in checkpoint.trained(model).items()}, vars(progress)


def test_a_resumed_policy_gradient_equals_an_uninterrupted_one_bit_for_bit(folders: dict[str, Path], tmp_path: Path) -> None:
    straight, history = policy(folders, tmp_path / "straight")
    resumed, again = policy(folders, tmp_path / "stopped", stop_at=2)
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)
    assert again == history


def test_the_reward_rises(folders: dict[str, Path], tmp_path: Path) -> None:
    _, history = policy(folders, tmp_path, steps=36)
    rewards = [point["reward"] for point in history["points"]]
    assert np.mean(rewards[-8:]) > np.mean(rewards[:8]) + 0.15


def test_what_is_drawn_depends_on_the_seed_alone(folders: dict[str, Path]) -> None:
    model, how = opened(folders, "llama")
    asked = [how.prompt("the kettle", 8)]
    drawn = []
    for seed in (1, 1, 2):
        torch.rand(3)
        drawn.append([told.text for told in sampled(model, asked, [0] * 6, how, 8, np.random.SeedSequence(seed), "fp32")])
    assert drawn[0] == drawn[1] != drawn[2]


def test_an_advantage_is_what_a_reply_is_worth_more_than_the_others_to_its_prompt() -> None:
    assert advantages(np.array([1.0, 0.0, 0.0, 5.0, 5.0, 5.0]), 3).tolist() == [1.0, -0.5, -0.5, 0.0, 0.0, 0.0]


def test_rewards_say_what_they_say() -> None:
    assert Length(least=2, most=4).of("好的亲", {}) == 1.0
    assert Length(most=10).of("x" * 15, {}) == pytest.approx(0.5)
    assert Words(wanted=("退货", "refund"), forbidden=("笨",)).of("Refund 可以", {}) == 0.5
    assert Words(wanted=("退货",), forbidden=("笨",)).of("退货，笨", {}) == 0.0
    assert Json(keys=("a",)).of('{"a": 1}', {}) == 1.0
    assert [Json(keys=("a",)).of(text, {}) for text in ("[1]", "{a}")] == [0.5, 0.0]
    assert Chrf().of("亲，好的", {"meta.target": "亲，好的"}) == pytest.approx(1.0)
    with pytest.raises(InputError, match=r"example r1: meta\.target is empty"):
        Chrf().of("x", {"id": "r1", "meta.target": ""})
