"""Tokenizers from documents: trained, compared, and extended with a model's embeddings."""

import json

import pytest
from tokenizers import Tokenizer as Words

from sapwood import report
from sapwood.artifact import Documents, Model, Tokenizer, file_sha256
from sapwood.errors import InputError
from sapwood.models.card import read_card
from sapwood.stage import inputs, outputs
from sapwood.stages.extend import Extend
from sapwood.stages.tokenize import Tokenize
from sapwood.store.local import LocalStore
from sapwood.testing import tiny
from sapwood.testing.stages import check_stage, make_work
from sapwood.text import rows

TW = "我們去年看了這本書，真的很好看。"
CODE = "def main(argv):\n    return argv[0]  # 返回"
MIXED = "我们用 Python 写 the report，然后 git push。"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("tokenize")
    store = LocalStore(root / "store")
    more = [
        rows.document(name, f"{name}/{n}", f"{text} {n}", language=language)
        for name, language, text in (("tw", "zh-TW", TW), ("code", "", CODE), ("mixed", "zh", MIXED))
        for n in range(30)
    ]
    (root / "documents").mkdir()
    rows.write(root / "documents", rows.table([*tiny.tiny_corpus(), *more]))
    return {
        "store": store,
        "documents": [store.put(Documents, root / "documents")],
        "tokenizer": store.put(Tokenizer, tiny.tiny_tokenizer(root / "tokenizer")),
    }


def test_tokenize_keeps_the_contract(made):
    check_stage(Tokenize, made["store"], {"documents": made["documents"], "others": [made["tokenizer"]]})


def test_extend_keeps_the_contract(made, tmp_path):
    base = made["store"].put(Model, tiny.tiny_model(tmp_path / "model"))
    check_stage(Extend, made["store"], {"documents": made["documents"], "base": base})


def test_a_tokenizer_is_extended_alone_and_has_no_name(made, tmp_path):
    work = make_work(made["store"], tmp_path)
    out = Extend(pieces=30, min_frequency=5).run(work, made["tokenizer"], made["documents"])
    assert isinstance(out.extended, Tokenizer)
    assert sorted(path.name for path in work.path(out.extended).iterdir()) == ["tokenizer.json", "tokenizer_config.json"]
    with pytest.raises(InputError, match="name is for a model"):
        Extend(name="wider").run(work, made["tokenizer"], made["documents"])


def test_the_ports_are_what_recipes_wire():
    assert inputs(Tokenize)["documents"].many
    assert inputs(Tokenize)["others"].optional
    assert list(outputs(Tokenize)) == ["tokenizer", "report"]
    assert [kind.kind for kind in inputs(Extend)["base"].kinds] == ["model", "tokenizer"]
    assert inputs(Extend)["base"].same == outputs(Extend)["extended"].same == "Grown"


def test_the_report_stands_a_tokenizer_beside_others_on_the_same_texts(made, tmp_path):
    work = make_work(made["store"], tmp_path)
    out = Tokenize(vocab_size=600).run(work, made["documents"], [made["tokenizer"]])
    told = report.read(work.path(out.report))
    ours, (theirs,) = told["data"]["fertility"], told["data"]["others"].values()
    assert sorted(ours) == sorted(theirs) == ["en", "other", "zh", "zh-TW"]
    for language in ours:
        assert ours[language]["characters"] == theirs[language]["characters"]
        assert (ours[language]["unknown"], ours[language]["exact"]) == (0, 1)
    assert theirs["zh-TW"]["unknown"] > 0
    assert len(told["blocks"][0]["rows"]) == 8
    assert sum(part["trained_on"] for part in told["data"]["sample"].values()) > 1000
    assert json.loads((work.path(out.tokenizer) / "tokenizer_config.json").read_text())["model_max_length"] == 512


def test_a_vocabulary_that_the_text_does_not_fill_is_said(made, tmp_path):
    work = make_work(made["store"], tmp_path)
    out = Tokenize(vocab_size=9000).run(work, made["documents"])
    told = report.read(work.path(out.report))
    assert told["data"]["vocab_size"] < 9000
    assert "(9000 were asked for; this text makes no more)" in told["summary"]


def test_a_limit_that_unigram_does_not_have_is_refused():
    with pytest.raises(ValueError, match="min_frequency is not for unigram"):
        Tokenize(kind="unigram", min_frequency=3)


def test_a_model_is_extended_with_its_embeddings_and_its_card_names_both(made, tmp_path):
    work = make_work(made["store"], tmp_path / "scratch")
    base = made["store"].put(Model, tiny.tiny_model(tmp_path / "model"))
    out = Extend(pieces=30, min_frequency=5, name="wider").run(work, base, made["documents"])
    assert isinstance(out.extended, Model)
    folder, old = work.path(out.extended), work.path(base)
    card = read_card(folder)
    assert (card.name, card.base, card.method) == ("wider", base.digest, "extend")
    assert card.tokenizer == file_sha256(folder / "tokenizer.json") != read_card(old).tokenizer
    assert card.labels == tiny.LABELS
    before, after = (Words.from_file(str(place / "tokenizer.json")) for place in (old, folder))
    data = report.read(work.path(out.report))["data"]
    assert after.get_vocab_size() == before.get_vocab_size() + data["pieces"]
    assert json.loads((folder / "config.json").read_text())["vocab_size"] == after.get_vocab_size()
    assert data["fertility"]["after"]["zh-TW"]["unknown"] < data["fertility"]["before"]["zh-TW"]["unknown"]
    from sapwood.models.extending import opened

    assert opened(folder).get_input_embeddings().weight.shape[0] == after.get_vocab_size()


def test_text_that_holds_nothing_new_is_said(made, tmp_path):
    with pytest.raises(InputError, match="no new piece is there 1000000 times"):
        Extend(min_frequency=1_000_000).run(make_work(made["store"], tmp_path), made["tokenizer"], made["documents"])
