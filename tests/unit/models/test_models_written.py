"""Models that write: what is trained, packed rows, templates, and answers that do not depend on their batch."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.errors import InputError
from sapwood.models import conversation, generate, texts, train
from sapwood.models.card import read_card
from sapwood.models.objectives.written import token_losses, written
from sapwood.models.sources.packed import Packed, pack
from sapwood.models.tasks.chat import Chat
from sapwood.models.tasks.sequence import ToSequence
from sapwood.models.tasks.task import Reader, Setting
from sapwood.testing import tiny

KINDS = ("t5", "llama", "gpt2", "qwen2")
DECODERS = KINDS[1:]
SETTING = Setting(3, "fp32", 0.0)
SYSTEM = {"role": "system", "content": "this lamp"}
TALKS = [
    [{"role": "user", "content": "the kettle broke"}, {"role": "assistant", "content": "I am happy"}],
    [{"role": "user", "content": "水壶坏了"}, {"role": "assistant", "content": "我很生气"}, {"role": "user", "content": "好"}, {"role": "assistant", "content": "价格公道"}],
    [SYSTEM, {"role": "user", "content": "the train is poor"}, {"role": "assistant", "content": "It works very well"}],
    [{"role": "user", "content": "a fair price"}, {"role": "assistant", "content": "质量优秀"}],
    [{"role": "user", "content": "房间"}, {"role": "assistant", "content": "A great choice, I love it!"}],
]  # fmt: skip
CHATS = [{"id": str(i), "meta.messages": json.dumps(talk, ensure_ascii=False)} for i, talk in enumerate(TALKS)]
PAIRS = [
    {"id": str(i), "text": text, "meta.target": target}
    for i, (text, target) in enumerate(
        [("the kettle works", "水壶好用"), ("this lamp", "这盏灯"), ("the delivery broke at once", "快递"), ("我很满意", "I am happy"), ("好", "well")]
    )
]  # fmt: skip


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Reader]:
    made: dict[str, Reader] = {}

    def of(kind: str) -> Reader:
        if kind not in made:
            folder = tiny.tiny_writer(tmp_path_factory.mktemp(kind), kind)
            tokenizer = texts.load_tokenizer(folder)
            made[kind] = Reader(tokenizer, texts.pad_id(tokenizer), read_card(folder), folder)
        return made[kind]

    return of


def opened(task: Any, reader: Reader) -> Any:
    return task.open(reader.folder, reader.card, SETTING).train()


def gradients(model: Any, micro: list[Any]) -> tuple[float, torch.Tensor]:
    model.zero_grad(set_to_none=True)
    loss = train.accumulate(model, micro, written(0.1), "fp32")["loss"][0]
    return loss, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def same(one: tuple[float, torch.Tensor], other: tuple[float, torch.Tensor]) -> bool:
    return abs(one[0] - other[0]) <= 1e-5 * abs(one[0]) and float((one[1] - other[1]).norm()) <= 1e-5 * float(one[1].norm())


@pytest.mark.parametrize("kind", DECODERS)
@settings(max_examples=4, deadline=None)
@given(width=st.integers(1, 200), tokens=st.integers(1, 400))
def test_chat_does_not_change_with_packing_micro_batch_or_width(
    reader: Callable[[str], Reader], kind: str, width: int, tokens: int
) -> None:
    task = Chat(template="plain")
    source = task.source(reader(kind), CHATS, 5)
    assert isinstance(source, Packed)
    model = opened(task, reader(kind))
    longest = max(source.lengths)
    cut = replace(source, width=max(width, longest), tokens_per_batch=tokens)
    alone = replace(source, packed=False, tokens_per_batch=1)
    assert same(gradients(model, alone.at(1, 0, 0)), gradients(model, cut.at(1, 0, 0)))


@pytest.mark.parametrize("kind", DECODERS)
def test_packed_equals_unpacked_token_by_token(reader: Callable[[str], Reader], kind: str) -> None:
    task = Chat(template="plain")
    model, source = opened(task, reader(kind)).eval(), task._packed(reader(kind), CHATS, 5)
    [(packed, order)] = source.cut(np.arange(5))
    alone = {
        numbers[0]: token_losses(model, batch)[0] for batch, numbers in replace(source, packed=False, tokens_per_batch=1).cut(np.arange(5))
    }
    assert torch.allclose(token_losses(model, packed)[0], torch.cat([alone[i] for i in order]), rtol=1e-5, atol=1e-6)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=20), st.integers(30, 60))
def test_packing_keeps_each_example_once_and_within_the_width(lengths: list[int], width: int) -> None:
    bins = pack(range(len(lengths)), lengths, width)
    assert sorted(i for one in bins for i in one) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in one) <= width for one in bins)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=4, deadline=None)
@given(tokens=st.integers(1, 200), multiple=st.sampled_from([1, 8]))
def test_sequences_do_not_change_with_micro_batch_or_padding(
    reader: Callable[[str], Reader], kind: str, tokens: int, multiple: int
) -> None:
    task = ToSequence(most=16)
    source: Any = task.source(reader(kind), PAIRS, 5)
    changed = {"tokens_per_batch": tokens} | ({"multiple": multiple} if kind == "t5" else {})
    model = opened(task, reader(kind))
    assert same(gradients(model, source.at(1, 0, 0)), gradients(model, replace(source, **changed).at(1, 0, 0)))


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_that_of_transformers_and_counts_the_target_only(reader: Callable[[str], Reader], kind: str) -> None:
    task = ToSequence(packed=False, most=16)
    source: Any = task.source(reader(kind), PAIRS[:1], 1)
    model, [batch] = opened(task, reader(kind)), source.at(1, 0, 0)
    target = reader(kind).tokenizer.encode(PAIRS[0]["meta.target"], add_special_tokens=False).ids
    assert batch.targets["tokens"].tolist() == [*target, 3]
    inputs = {name: value for name, value in batch.inputs.items() if name != "decoder_input_ids"}
    labels = torch.full_like(batch.inputs.get("decoder_input_ids", batch.inputs["input_ids"]), -100)
    shift = 0 if kind == "t5" else 1
    labels.view(-1)[batch.targets["positions"] + shift] = batch.targets["tokens"]
    terms = written()(model, batch)
    assert float(terms.sum["token"]) / terms.count["token"] == pytest.approx(float(model(**inputs, labels=labels).loss.detach()), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("beams", [1, 3])
def test_answers_do_not_depend_on_what_is_answered_beside_them(reader: Callable[[str], Reader], kind: str, beams: int) -> None:
    task = ToSequence(most=6, beams=beams)
    model = opened(task, reader(kind)).eval()
    together = task.answers(model, reader(kind), PAIRS, "fp32")
    assert together == [task.answers(model, reader(kind), [row], "fp32")[0] for row in PAIRS]
    assert len(together) == len(PAIRS)


def test_an_answer_ends_before_the_first_id_that_ends_one() -> None:
    assert generate.cut(np.array([5, 6, 3, 7, 0]), (3, 9)).tolist() == [5, 6]


@pytest.mark.parametrize("kind", ["t5", "llama"])
def test_a_few_pairs_are_learned_and_written(reader: Callable[[str], Reader], tmp_path: Path, kind: str) -> None:
    task = ToSequence(most=12)
    model = opened(task, reader(kind))
    source = task.source(reader(kind), PAIRS, 5)
    plan = train.Plan(steps=60, lr=2e-2, log_every=40)
    train.train(model, source, task.objective(), plan, 1, tmp_path)
    measured = task.measured(PAIRS, task.answers(model.eval(), reader(kind), PAIRS, "fp32"), ())
    assert measured.values()["chrf"] > 0.8


def test_only_answers_and_what_ends_them_are_trained(reader: Callable[[str], Reader]) -> None:
    talk = conversation.conversation(reader("llama").folder, reader("llama").tokenizer, "plain")
    ids, marks = talk.encoded(TALKS[1])
    trained = talk.tokenizer.decode(ids[marks].tolist(), skip_special_tokens=False)
    assert trained == "我 很 生 气 [SEP] 价 格 公 道 [SEP]"
    assert talk.stops == (3,)
    assert marks[-1]


def test_the_prompt_is_what_training_had_before_the_last_answer(reader: Callable[[str], Reader]) -> None:
    talk = conversation.conversation(reader("llama").folder, reader("llama").tokenizer, "plain")
    for told in TALKS:
        ids, _ = talk.encoded(told)
        prompt = talk.prompt(told)
        assert ids[: len(prompt)].tolist() == prompt.tolist()
        assert talk.answer(ids[len(prompt) :]).replace(" ", "") in told[-1]["content"].lower().replace(" ", "")


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ messages.__class__.__mro__ }}", "the chat template fails"),
        ("{% for m in messages", "is not valid"),
        ("{{ raise_exception('no system') }}", "refuses these messages: no system"),
        ("{{ messages | length }}{% for m in messages %}{{ m['content'] }}{% endfor %}", "otherwise when more follows"),
    ],
)
def test_a_template_that_cannot_be_used_is_said(reader: Callable[[str], Reader], template: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        conversation.conversation(reader("llama").folder, reader("llama").tokenizer, template).encoded(TALKS[0], "7")


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ("no json", "row 9: the messages are not JSON"),
        ('[{"role": "robot", "content": ""}]', "row 9: each message needs a role"),
        ('[{"role": "user", "content": "hi"}]', "row 9: no message is the assistant's"),
    ],
)
def test_a_conversation_that_cannot_be_read_names_its_row(messages: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        conversation.messages(messages, "9")


def test_a_conversation_too_long_for_the_model_is_refused_with_its_row(reader: Callable[[str], Reader]) -> None:
    long = [{"id": "5", "meta.messages": json.dumps([*TALKS[0], {"role": "assistant", "content": "well " * 200}])}]
    with pytest.raises(InputError, match=r"row 5 has \d+ tokens, the model takes 128"):
        Chat(template="plain").source(reader("llama"), long, 1)


def test_without_a_template_the_names_of_ours_are_told(reader: Callable[[str], Reader]) -> None:
    with pytest.raises(InputError, match="no chat template") as caught:
        Chat().source(reader("llama"), CHATS, 1)
    assert "chatml or plain" in caught.value.next_step


def test_chat_answers_hold_the_loss_of_their_own_tokens_and_the_text(reader: Callable[[str], Reader]) -> None:
    task = Chat(template="plain", most=4)
    model = opened(task, reader("llama")).eval()
    found = task.answers(model, reader("llama"), CHATS, "fp32")
    alone = [task.answers(model, reader("llama"), [row], "fp32")[0] for row in CHATS]
    assert [one["text"] for one in found] == [one["text"] for one in alone]
    assert [one["loss"] for one in found] == pytest.approx([one["loss"] for one in alone], rel=1e-5)
    scores = task.measured(CHATS, found, ()).values()
    assert scores["loss"] == pytest.approx(sum(one["loss"] for one in found) / sum(one["tokens"] for one in found))
    assert scores["perplexity"] == pytest.approx(np.exp(scores["loss"]))
    assert set(task.measured(CHATS, ["I am happy"] * 5, ()).scores) == {"chrf", "rouge1", "rouge2", "rougeL", "exact"}


def test_the_template_travels_with_the_model(reader: Callable[[str], Reader], tmp_path: Path) -> None:
    task = Chat(template="chatml")
    task.keep(reader("llama").folder, tmp_path)  # type: ignore[arg-type]
    assert conversation.template_of(tmp_path) == conversation.TEMPLATES["chatml"]
    (tmp_path / conversation.FILE).unlink()
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}), encoding="utf-8")
    assert conversation.template_of(tmp_path) == "{{ messages }}"
