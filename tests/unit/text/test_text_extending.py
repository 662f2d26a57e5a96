"""A tokenizer that learns new pieces and forgets none."""

import itertools
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

from sapwood.errors import InputError
from sapwood.text.tokens import extending, vocabulary
from sapwood.text.tokens.fertility import fertility

EN = ["the room was clean and the breakfast was good", "a book worth reading twice", "nobody came to the door"] * 10
ZH = ["我喜欢这家酒店的早餐", "这本书很好看，作者写得真好", "房间太小了，服务也不好"] * 10
TW = ["我喜歡這家酒店的早餐，房間很乾淨"] * 10
CODE = ["def main(argv):\n    return argv[0]  # 返回"] * 10
NEW = ZH + TW + CODE


def unigram_with_words():
    """As XLM-R: no bytes, spaces as a mark, a mask token past the vocabulary's end."""
    pieces = [("<unk>", 0.0), ("▁", -2.0), *((letter, -5.0 - i / 10) for i, letter in enumerate("abcdefghijklmnopqrstuvwxyz的店"))]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=False))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([AddedToken("<mask>", special=True)])
    return tokenizer


def bpe_with_tokens_past_its_end():
    tokenizer = vocabulary.train(EN, "bpe", 300)
    tokenizer.add_special_tokens(["<|user|>", "<|end|>"])
    return tokenizer


def bpe_that_does_not_cut():
    """As Llama 2: a mark for spaces, bytes for what is unknown, no pre-tokenizer."""
    vocab = {piece: i for i, piece in enumerate(["<unk>", *(f"<0x{b:02X}>" for b in range(256)), "▁", *"abcdefghijklmnopqrstuvwxyz"])}
    tokenizer = Tokenizer(models.BPE(vocab, [], unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(content=" ", left=1)]
    )
    return tokenizer


OLD = {
    "bpe": lambda: vocabulary.train(EN, "bpe", 300),
    "bpe, tokens past its end": bpe_with_tokens_past_its_end,
    "bpe, no cuts": bpe_that_does_not_cut,
    "wordpiece": lambda: vocabulary.train(EN, "wordpiece", 300),
    "unigram of bytes": lambda: vocabulary.train(EN, "unigram", 300),
    "unigram of letters": unigram_with_words,
}


@pytest.fixture(scope="module", params=sorted(OLD))
def both(request):
    old = OLD[request.param]()
    return old, extending.extend(old, NEW, 160, 5)


def test_every_old_id_stays_and_new_ones_follow(both):
    old, made = both
    before = old.get_vocab()
    assert {piece: made.tokenizer.token_to_id(piece) for piece in before} == before
    first = max(before.values()) + 1
    assert made.ids == list(range(first, first + len(made.pieces)))
    assert [made.tokenizer.token_to_id(piece) for piece in made.pieces] == made.ids
    assert len(made.pieces) > 20
    again = Tokenizer.from_str(made.tokenizer.to_str())
    assert again.get_vocab() == made.tokenizer.get_vocab()


def test_new_text_needs_fewer_tokens_or_is_known_now_and_old_text_needs_no_more(both):
    old, made = both
    before, after = (fertility(each, [("old", text) for text in EN] + [("new", text) for text in NEW]) for each in (old, made.tokenizer))
    (new, known), (less, now) = before, after
    assert now.tokens <= known.tokens
    assert less.unknown <= new.unknown
    assert less.tokens < new.tokens or less.unknown < new.unknown
    assert any(number in made.ids for text in ZH for number in made.tokenizer.encode(text).ids)


def test_a_new_piece_is_its_parts(both):
    old, made = both
    joined = 0
    for piece, parts in zip(made.pieces, made.parts, strict=True):
        assert all(0 <= part < min(made.ids) for part in parts)
        if "".join(old.id_to_token(part).removeprefix("##") for part in parts) == piece.removeprefix("##"):
            joined += 1
        else:
            assert not parts or any(letter not in old.get_vocab() for letter in piece)
    assert joined > 5


def test_text_decodes_to_what_it_did(both):
    old, made = both
    for text in EN + NEW:
        ids = old.encode(text, add_special_tokens=False).ids
        assert made.tokenizer.decode(ids) == old.decode(ids), "ids that were written before still mean the same"
        if extending.unknown_id(old) not in ids:
            assert made.tokenizer.decode(made.tokenizer.encode(text, add_special_tokens=False).ids) == old.decode(ids)


def test_special_tokens_are_cut_out_as_before(both):
    old, made = both
    added = [token.content for token in old.get_added_tokens_decoder().values()]
    for token in added:
        assert made.tokenizer.token_to_id(token) == old.token_to_id(token)
        assert made.tokenizer.token_to_id(token) in made.tokenizer.encode(f"a{token}b").ids
    assert old.num_special_tokens_to_add(True) == made.tokenizer.num_special_tokens_to_add(True)


def test_the_same_texts_in_another_order_give_the_same_tokenizer():
    old = OLD["bpe"]()
    assert extending.extend(old, NEW, 60, 5).tokenizer.to_str() == extending.extend(old, NEW[::-1], 60, 5).tokenizer.to_str()


def test_frequent_letters_that_were_unknown_become_known():
    old = OLD["wordpiece"]()
    made = extending.extend(old, ZH, 100, 5)
    before, after = (fertility(each, [("zh", text) for text in ZH])[0] for each in (old, made.tokenizer))
    assert (before.unknown, after.unknown, after.alike) == (1, 0, 1)


@given(words=st.dictionaries(st.lists(st.integers(0, 3), min_size=2, max_size=9).map(tuple), st.integers(1, 5), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_merges_are_those_of_counting_all_pairs_anew_each_time(words):
    tokenizer = Tokenizer(models.BPE({letter: i for i, letter in enumerate("abcd")}, []))
    found = [(merge.left, merge.right, merge.times) for merge in extending._merges(dict(words), tokenizer, 6, 2)]
    names, state, wanted = dict(enumerate("abcd")), dict(words), []
    while len(wanted) < 6:
        pairs = Counter()
        for ids, n in state.items():
            for pair in itertools.pairwise(ids):
                pairs[pair] += n
        left = {pair: n for pair, n in pairs.items() if n >= 2 and names[pair[0]] + names[pair[1]] not in names.values()}
        if not left:
            break
        pair = min(left, key=lambda pair: (-left[pair], pair))
        wanted.append((*pair, left[pair]))
        names[len(names)] = names[pair[0]] + names[pair[1]]
        joined = Counter()
        for ids, n in state.items():
            made, at = [], 0
            while at < len(ids):
                hit = ids[at : at + 2] == pair
                made.append(len(names) - 1 if hit else ids[at])
                at += 1 + hit
            joined[tuple(made)] += n
        state = joined
    assert found == wanted


def test_no_piece_joins_letters_and_punctuation_where_the_tokenizer_does_not_part_them():
    made = extending.extend(unigram_with_words(), ["这家店的，很好看。 a room (old), हिन्दी"] * 20, 60, 5)
    joined = [piece for piece in made.pieces if len(piece) > 1]
    assert joined
    assert not [piece for piece in joined if any(mark in piece for mark in "，。(),") and any(letter.isalpha() for letter in piece)]
    assert any(len(piece) > 3 and piece.endswith("दी") for piece in joined), "marks are part of a word"


def test_what_cannot_be_extended_is_said():
    with pytest.raises(InputError, match="WordLevel"):
        extending.extend(Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]")), EN, 5)


def test_transformers_opens_it_with_the_same_ids(tmp_path):
    from transformers import AutoTokenizer

    made = extending.extend(OLD["bpe"](), NEW, 60, 5)
    vocabulary.save(made.tokenizer, tmp_path, 64)
    opened = AutoTokenizer.from_pretrained(tmp_path)
    for text in EN[:3] + NEW:
        assert opened(text).input_ids == made.tokenizer.encode(text).ids
