"""What `sapwood train preview` shows is what is trained, for each kind of training step."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sapwood import recipe as recipes
from sapwood.artifact import Examples, Model, Tokenizer
from sapwood.cli.train import told
from sapwood.errors import InputError
from sapwood.runs import preview
from sapwood.store.local import LocalStore
from sapwood.testing import tiny
from sapwood.text import rows

RECIPE = """
sapwood: 1
name: look
seed: 3
inputs: {bert: model, llama: model, t5: model, train: examples, words: tokenizer}
stages:
  grow: {stage: pretrain, documents: [train], tokenizer: words, max_tokens: 64, steps: 2, batch_tokens: 256, held_out: 0.2, architecture: {kind: bert, layers: 1, width: 16, heads: 2}}
  class: {stage: finetune, model: bert, train: train, epochs: 1}
  talk: {stage: finetune, model: llama, train: train, task: {kind: chat, template: plain}, method: {kind: full}}
  write: {stage: finetune, model: t5, train: train, task: {kind: sequence, most: 12}}
"""
TALK = [{"role": "user", "content": "这盏灯"}, {"role": "assistant", "content": "I am happy"}]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LocalStore, dict[str, Any]]:
    root = tmp_path_factory.mktemp("preview")
    store = LocalStore(root / "store")
    meta = {"messages": json.dumps(TALK, ensure_ascii=False), "target": "非常好用"}
    made = [{**row, "meta": json.dumps({**meta, "n": str(i)}, ensure_ascii=False)} for i, row in enumerate(tiny.tiny_examples())]
    (root / "rows").mkdir()
    rows.write(root / "rows", rows.table(made, rows.EXAMPLES))
    given = {
        "train": store.put(Examples, root / "rows"),
        "bert": store.put(Model, tiny.tiny_model(root / "bert", labels=())),
        "llama": store.put(Model, tiny.tiny_writer(root / "llama", "llama")),
        "words": store.put(Tokenizer, tiny.tiny_tokenizer(root / "words")),
        "t5": store.put(Model, tiny.tiny_writer(root / "t5", "t5")),
    }
    (root / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    return root, store, given


def look(world: tuple[Path, LocalStore, dict[str, Any]], step: str, number: int = 0, find: str = "") -> Any:
    root, store, given = world
    return preview.example(recipes.read(root / "recipe.yaml"), store, given, step, number, find)


def test_a_packed_conversation_is_shown_by_itself_with_its_answer_counted(world: Any) -> None:
    for number in (0, 3, 35):
        one = look(world, "talk", number)
        tokens = one.parts["input_ids"]
        assert [t.position for t in tokens] == list(range(len(tokens)))
        assert one.read == "user [UNK] 这 盏 灯 [SEP] assistant [UNK] i am happy [SEP]"
        assert one.said == "i am happy [SEP]"
        assert one.trained == 4
        assert one.step_units == {"token": 4 * 32}
    assert [t.text for t in tokens if t.target] == ["[UNK]", "i", "am", "happy"]


def test_a_classifier_s_example_has_its_class_and_no_padding(world: Any) -> None:
    one = look(world, "class", find="酒店房间")
    assert one.targets["label"] in tiny.LABELS
    assert one.trained == 0
    assert "[PAD]" not in one.read
    assert one.read.startswith("[CLS]")


def test_pre_training_shows_the_true_words_under_the_masks(world: Any) -> None:
    one = look(world, "grow")
    counted = [t for t in one.parts["input_ids"] if t.target]
    assert counted
    assert one.trained == len(counted)
    assert one.trained < sum(one.step_units.values())
    assert all(t.target is not None for t in one.parts["input_ids"] if t.text == "[MASK]")
    assert {t.segment for t in one.parts["input_ids"]} == {0, 1}


def test_an_encoder_decoder_shows_both_sides(world: Any) -> None:
    one = look(world, "write")
    assert [t.target for t in one.parts["decoder_input_ids"]] == ["非", "常", "好", "用", "[SEP]"]
    assert one.parts["decoder_input_ids"][0].text == "[PAD]"
    assert all(t.target is None for t in one.parts["input_ids"])
    assert any("must say here" in line for line in told(one))


@pytest.mark.parametrize(
    ("step", "number", "find", "said"),
    [
        ("tlak", 0, "", "Did you mean talk"),
        ("talk", 99, "", "talk has no example 99"),
        ("talk", 0, "absent words", "has no example that holds 'absent words'"),
    ],
)
def test_what_cannot_be_shown_is_said(world: Any, step: str, number: int, find: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        look(world, step, number, find)


def test_nothing_is_trained_or_stored(world: Any) -> None:
    before = world[1].artifacts()
    look(world, "talk")
    assert world[1].artifacts() == before
    assert list(world[1].layout.tmp.glob("preview-*")) == []


def test_the_command_runs_as_a_process(world: Any) -> None:
    root, store, given = world
    inputs = [part for name, one in given.items() for part in ("--input", f"{name}={one.digest}")]
    command = [sys.executable, "-m", "sapwood.cli.main", "train", "preview", str(root / "recipe.yaml"), "write", "--store", str(store.root)]
    done = subprocess.run([*command, *inputs, "--example", "2", "--json"], capture_output=True, text=True, timeout=300, check=False)
    assert json.loads(done.stdout)["said"].replace(" ", "") == "非常好用[SEP]", done.stderr


def test_parts_of_a_character_are_shown_as_their_bytes() -> None:
    from tokenizers import Tokenizer as Words
    from tokenizers import decoders, models, pre_tokenizers, trainers

    from sapwood.models.preview import shown

    words = Words(models.BPE())
    words.pre_tokenizer, words.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    words.train_from_iterator(["good 酒"], trainers.BpeTrainer(vocab_size=256, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    assert [shown(words, i) for i in words.encode("酒").ids] == ["<E9>", "<85>", "<92>"]
    assert [shown(words, i) for i in words.encode("go").ids] == ["g", "o"]


def test_a_vocabulary_that_names_its_bytes_is_shown_by_these_names() -> None:
    from tokenizers import Tokenizer as Words
    from tokenizers import decoders, models

    from sapwood.models.preview import shown

    words = Words(models.BPE({"<0xE9>": 0, "<0x85>": 1, "<0x92>": 2}, [], byte_fallback=True))
    words.decoder = decoders.ByteFallback()
    assert [shown(words, i) for i in words.encode("酒").ids] == ["<0xE9>", "<0x85>", "<0x92>"]
