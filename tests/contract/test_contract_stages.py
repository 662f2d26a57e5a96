"""Every built-in stage keeps the contract: one small chain, each stage run with all its example parameters, twice.

`base` reads samples and a hub, so only its definition is checked here; its own test runs it on a local folder."""

import csv
import json

import pytest

from sapwood import plugins
from sapwood.artifact import Bundle, Documents, Model, Tokenizer
from sapwood.store.local import LocalStore
from sapwood.testing import tiny
from sapwood.testing.stages import check_class, check_stage, make_work
from sapwood.text import rows

CHECKED = set()


def checked(name, store, inputs, workspace=None):
    CHECKED.add(name)
    return check_stage(plugins.load("stages", name), store, inputs, workspace)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return LocalStore(tmp_path_factory.mktemp("contract") / "store")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workspace")
    (folder / "tickets.txt").write_text("one ticket\n第二张工单\n", encoding="utf-8")
    with (folder / "texts.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        writer.writerows([row["text"], row["label"]] for row in tiny.tiny_examples())
    return folder


@pytest.fixture(scope="module")
def text(store, workspace, tmp_path_factory):
    """Documents and examples, through the text stages."""
    from sapwood.stages.collect import Collect

    checked("collect", store, {}, workspace)
    source = {"kind": "csv", "name": "texts", "path": "texts.csv", "text_column": "text", "label_column": "label"}
    found = Collect.model_validate({"sources": [source]}).run(make_work(store, tmp_path_factory.mktemp("scratch"), workspace))
    labelled = checked("label", store, {"documents": found.documents})
    checked("measure", store, {"documents": found.documents})
    cleaned = checked("clean", store, {"documents": labelled["examples"]})
    single = checked("dedup", store, {"documents": cleaned["kept"]})
    parts = checked("split", store, {"documents": single["kept"], "raw": labelled["examples"]})
    checked("decontaminate", store, {"documents": parts["train"], "against": [parts["test"]]})
    checked("mask", store, {"documents": found.documents})
    checked("weak_label", store, {"documents": found.documents, "labelled": parts["dev"]})
    checked("label_errors", store, {"examples": labelled["examples"]})
    paired = checked(
        "pair",
        store,
        {"documents": pages(store, tmp_path_factory, "Open it\nClose it"), "targets": pages(store, tmp_path_factory, "打开它\n关闭它")},
    )
    checked("swap", store, {"examples": paired["examples"]})
    checked("augment", store, {"train": parts["train"], "held_out": [parts["test"]]})
    checked("replay", store, {"new": parts["dev"], "old": parts["train"]})
    return {"documents": found.documents, "all": labelled["examples"], **parts}


def pages(store, tmp_path_factory, body):
    """One page of a manual, that partners find by its path."""
    folder = tmp_path_factory.mktemp("pages")
    rows.write(folder, rows.table([rows.document("manual", body, body, meta={"path": "a"}, language="en")]))
    return store.put(Documents, folder)


@pytest.fixture(scope="module")
def models(store, text, tmp_path_factory):
    """A tokenizer and models, through the training stages."""
    tokens = checked("tokenize", store, {"documents": [text["documents"]]})
    assert isinstance(tokens["tokenizer"], Tokenizer)
    checked("pack", store, {"documents": [text["documents"]], "tokenizer": tokens["tokenizer"]})
    made = checked("pretrain", store, {"documents": [text["documents"]], "tokenizer": tokens["tokenizer"]})
    checked("adapt", store, {"model": made["model"], "documents": [text["documents"]], "general": [text["all"]]})
    tuned = checked("finetune", store, {"model": made["model"], "train": text["train"], "dev": text["dev"]})
    other = store.put(Model, tiny.tiny_model(tmp_path_factory.mktemp("tiny") / "model"))
    folder = tmp_path_factory.mktemp("domain")
    rows.write(folder, rows.table(rows.document("domain", str(n), f"the thermowell of kiln {n} 热电偶套管损坏") for n in range(60)))
    checked("extend", store, {"base": other, "documents": [store.put(Documents, folder)]})
    return {"tuned": tuned["model"], "other": other}


def test_distant_keeps_the_contract(store, tmp_path):
    fact = rows.document("facts", "1", "Lyon", meta={"relation": "part of", "tail": "France", "label": "France"})
    spans = '[[0, 4, "PER"], [10, 16, "PER"]]'
    text = rows.document("texts", "1", "Lyon, in France, is old. Lyon is not Rome.", language="en", meta={"spans": spans})
    for name, row in (("facts", fact), ("texts", text)):
        (tmp_path / name).mkdir()
        rows.write(tmp_path / name, rows.table([row]))
    given = {name: store.put(Documents, tmp_path / name) for name in ("facts", "texts")}
    checked("distant", store, {"documents": given["texts"], "facts": given["facts"]})


def test_the_text_stages_keep_the_contract(text):
    assert rows.EXAMPLES.names[-1] == "label"
    assert text["train"].kind == "examples"


def test_leakage_keeps_the_contract(store, text, tmp_path):
    table = rows.read(store.open(text["all"]))
    more = rows.table([{**row, "id": f"{row['id']}{copy}"} for copy in range(2) for row in table.to_pylist()], rows.EXAMPLES)
    rows.write(tmp_path, more)
    from sapwood.artifact import Examples

    checked("leakage", store, {"raw": store.put(Examples, tmp_path)})


def test_models_are_trained_judged_packed_and_compared_by_the_contract(store, text, models):
    candidates = [models["tuned"], models["other"]]
    base = checked("baselines", store, {"train": text["train"], "dev": text["dev"], "tests": [text["test"]]})
    joined = checked("ensemble", store, {"members": [models["other"], models["other"]], "dev": text["dev"]})
    taught = {"teachers": [joined["model"]], "student": models["other"], "train": text["train"], "dev": text["dev"]}
    checked("distil", store, {**taught, "unlabelled": text["documents"]})
    chosen = checked("select", store, {"candidates": candidates, "dev": text["dev"]})
    assert chosen["model"] in candidates
    found = checked("evaluate", store, {"candidates": candidates, "examples": text["test"], "baselines": base["out"]})
    checked("score", store, {"candidates": candidates, "examples": text["test"], "train": text["train"]})
    packed = checked("compress", store, {"model": models["other"]})
    assert isinstance(packed["bundle"], Bundle)
    checked("parity", store, {"bundle": packed["bundle"], "model": models["other"], "examples": text["dev"]})
    gated = {"subject": models["tuned"], "evaluation": [found["out"]], "champion": models["other"], "parity": None}
    checked("gate", store, gated)


def test_what_compares_and_prefers_keeps_the_contract(store, text, models, tmp_path):
    verdicts = {"1": "positive", "0": "negative"}
    told = [{**row, "meta": json.dumps({"label": verdicts[row["text"][0]]})} for row in tiny.tiny_dialogues()]
    folder = tmp_path / "told"
    folder.mkdir()
    rows.write(folder, rows.table(told))
    made = checked("contrast", store, {"documents": store.put(Documents, folder)})
    checked("candidates", store, {"examples": made["examples"]})
    writer = store.put(Model, tiny.tiny_writer(tmp_path / "writer", "llama"))
    checked("prefer", store, {"model": writer, "train": made["examples"], "held_out": made["examples"]})
    checked("reinforce", store, {"model": writer, "prompts": made["examples"], "held_out": made["examples"]})
    masked = store.put(Model, tiny.tiny_model(tmp_path / "masked", labels=()))
    checked("ask", store, {"model": masked})
    labels = {"model": models["tuned"], "documents": text["documents"], "labelled": text["train"], "held_out": [text["test"]]}
    checked("self_label", store, labels)


def test_no_stage_was_left_out(text, models):
    check_class(plugins.load("stages", "base"))
    assert set(plugins.stages()) - CHECKED == {"base"}


@pytest.mark.parametrize("name", sorted(plugins.actions()))
def test_every_action_is_described_and_closed(name):
    cls = plugins.load("actions", name)
    assert cls.model_config["extra"] == "forbid"
    assert cls.__doc__
    assert all(field.description for field in cls.model_fields.values())
