"""Tokenizers that know every text, come out the same every time, and open as BERT-like ones."""

import hashlib
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.errors import InputError
from sapwood.text import vocabulary
from sapwood.text.domains import Rule, domain

ZH = ["我喜欢这家酒店的早餐", "这本书很好看，作者写得真好", "房间太小了，服务也不好"] * 20
EN = ["the room was clean and the breakfast was good", "a book worth reading twice"] * 20


@pytest.fixture(scope="module")
def bpe():
    return vocabulary.train(ZH + EN, "bpe", 500)


@given(text=st.text(max_size=60))
def test_byte_level_bpe_gives_every_text_back(bpe, text):
    ids = bpe.encode(text, add_special_tokens=False).ids
    if not any(token in text for token in vocabulary.SPECIAL):
        assert bpe.decode(ids, skip_special_tokens=False) == text
        assert bpe.token_to_id("[UNK]") not in ids


@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
def test_training_twice_in_two_processes_gives_the_same_bytes(kind):
    script = (
        "import sys; from sapwood.text import vocabulary as v\n"
        f"t = v.train({ZH + EN!r}, {kind!r}, 500); sys.stdout.write(t.to_str())"
    )  # fmt: skip
    made = {
        hashlib.sha256(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout).hexdigest() for _ in range(2)
    }
    assert len(made) == 1


@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
def test_the_saved_folder_opens_as_a_bert_like_tokenizer(tmp_path: Path, kind):
    from transformers import AutoTokenizer

    trained = vocabulary.train(ZH + EN, kind, 400)
    vocabulary.save(trained, tmp_path, 64)
    opened = AutoTokenizer.from_pretrained(tmp_path)
    assert (opened.model_max_length, opened.pad_token_id, opened.mask_token_id) == (64, 0, 4)
    pair = opened("酒店", "good book")
    assert pair.input_ids == trained.encode("酒店", "good book").ids
    assert opened.convert_ids_to_tokens(pair.input_ids)[0] == "[CLS]"
    assert pair.input_ids.count(opened.sep_token_id) == 2
    assert pair.token_type_ids[0] == 0
    assert pair.token_type_ids[-1] == 1


def test_fertility_counts_words_only_where_spaces_part_them(bpe):
    zh, en = sorted(
        vocabulary.fertility(bpe, [("zh", t) for t in ZH] + [("en", t) for t in EN]), key=lambda row: row.language, reverse=True
    )
    assert zh.per_word is None
    assert en.per_word is not None
    assert en.per_word >= 1
    assert zh.unknown == en.unknown == 0
    assert zh.tokens == sum(len(bpe.encode(t, add_special_tokens=False).ids) for t in ZH)
    assert zh.bytes_per_token == pytest.approx(sum(len(t.encode()) for t in ZH) / zh.tokens)


def test_wordpiece_counts_what_it_does_not_know():
    trained = vocabulary.train(EN, "wordpiece", 300)
    assert vocabulary.fertility(trained, [("zh", "酒店")])[0].unknown == 1


@given(sizes=st.dictionaries(st.sampled_from(["zh", "en", "fr", "ja"]), st.integers(1, 1000), min_size=1), most=st.integers(1, 5000))
def test_languages_share_the_budget_equally_and_use_it_up(sizes, most):
    from collections import Counter

    share = vocabulary.shares(Counter(sizes), most)
    taken = {name: share[name] * size for name, size in sizes.items()}
    assert sum(taken.values()) == pytest.approx(min(most, sum(sizes.values())))
    full = max(taken.values())
    assert all(taken[name] == pytest.approx(full) or share[name] == 1 for name in sizes)


def test_the_sample_does_not_change_with_the_order_of_texts():
    texts = [("zh" if i % 3 else "en", hashlib.sha256(str(i).encode()).hexdigest(), f"text number {i}") for i in range(600)]
    mixed = random.Random(1).sample(texts, len(texts))
    one, two = (set(vocabulary.sample(lambda given=given: given, 3000)) for given in (texts, mixed))
    assert one == two
    assert 2000 < sum(map(len, one)) < 4000


def test_no_text_is_refused():
    with pytest.raises(InputError, match="no text"):
        vocabulary.train(["", "  "])


def test_the_first_rule_that_matches_names_the_domain():
    rules = [Rule(name="book", words=("书", "Author"), at_least=2, unless=("酒店",)), Rule(name="hotel", words=("酒店", "书"))]
    assert domain("the AUTHOR of this 书", rules) == "book"
    assert domain("author, 书, 酒店", rules) == "hotel"
    assert domain("电脑", rules) == "other"


def test_the_book_rule_was_right_in_99_of_100_rows_that_were_read():
    check = json.loads((Path(__file__).parent / "book_rule_check.json").read_text())
    verdicts = list(check["verdicts"].values())
    assert (len(verdicts), verdicts.count("book"), check["right"]) == (100, 99, 99)
