"""From documents to packed tokens, through the stage and the command that asks what a step read."""

import json
import subprocess
import sys

import pytest

from sapwood import report
from sapwood.artifact import Documents, Model, Tokenizer, file_sha256
from sapwood.errors import InputError
from sapwood.stages.pack import Pack
from sapwood.store.local import LocalStore
from sapwood.testing import tiny
from sapwood.testing.stages import check_stage, make_work
from sapwood.text import rows
from sapwood.text.tokens import order, shards


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("pack")
    store = LocalStore(root / "store")
    (root / "documents").mkdir()
    table = [dict(row, url=f"https://example.org/{row['id'][:6]}", meta='{"prompt": "[[0, 4]]"}') for row in tiny.tiny_corpus()]
    table.append(rows.document("tiny", "empty", "", language="en"))
    rows.write(root / "documents", rows.table(table))
    return {
        "root": root,
        "store": store,
        "documents": store.put(Documents, root / "documents"),
        "tokenizer": store.put(Tokenizer, tiny.tiny_tokenizer(root / "tokenizer")),
    }


def run(made, tmp_path, **parameters):
    out = Pack(**parameters).run(make_work(made["store"], tmp_path), [made["documents"]], made["tokenizer"])
    return shards.Packed(made["store"].open(out.tokens)), report.read(made["store"].open(out.report)), out


def test_the_stage_keeps_the_contract(made):
    check_stage(Pack, made["store"], {"documents": [made["documents"]], "tokenizer": made["tokenizer"]})


def test_a_model_carries_a_tokenizer_too(made, tmp_path):
    model = made["store"].put(Model, tiny.tiny_tokenizer(tmp_path / "model"))
    out = Pack(length=64).run(make_work(made["store"], tmp_path), [made["documents"]], model)
    assert len(shards.Packed(made["store"].open(out.tokens))) > 10


def test_the_sequences_are_the_documents_in_tokens_with_their_end(made, tmp_path):
    from sapwood.models.texts import load_tokenizer

    words = load_tokenizer(made["store"].open(made["tokenizer"]))
    packed, _, _ = run(made, tmp_path, length=64)
    texts = {row["id"]: row["text"] for row in tiny.tiny_corpus()}
    seen = []
    for number in range(len(packed)):
        one = packed.sequence(number)
        names = packed.documents(one.segments["document"].tolist())
        for segment in one.segments:
            ids = one.tokens[segment["at"] : segment["at"] + segment["length"]].tolist()
            name = names[int(segment["document"])]["id"]
            assert ids == [*words.encode(texts[name], add_special_tokens=False).ids, words.token_to_id("[SEP]")]
            seen.append(name)
    assert sorted(seen) == sorted(texts)
    assert packed.header["tokenizer"] == file_sha256(made["store"].open(made["tokenizer"]) / "tokenizer.json")


def test_the_report_counts_tokens_documents_cuts_and_both_ways_of_packing(made, tmp_path):
    packed, told, _ = run(made, tmp_path, length=64)
    data = told["data"]
    assert (data["documents"], data["empty"], data["cut"]) == (72, 1, 0)
    assert data["tokens"] == packed.header["tokens"] == sum(part["tokens"] for part in data["languages"].values())
    assert data["languages"]["zh"]["documents"] == data["languages"]["en"]["documents"] == 36
    assert data["concat"]["cut"] > 10
    assert data["utilisation"] == data["tokens"] / (64 * len(packed)) > 0.8
    assert told["blocks"][0]["title"] == "Packing"
    assert told["blocks"][-1]["rows"][0][0] == max(row[0] for row in told["blocks"][-1]["rows"])
    concat, told, _ = run(made, tmp_path, length=64, mode="concat")
    assert told["data"]["cut"] == data["concat"]["cut"]
    assert len(concat) == data["concat"]["sequences"]


def test_the_result_does_not_change_with_the_shards_that_the_documents_are_in(made, tmp_path):
    table = rows.read(made["store"].open(made["documents"]))
    parts = []
    for number, part in enumerate((table.slice(0, 11), table.slice(11))):
        (tmp_path / str(number)).mkdir()
        rows.write(tmp_path / str(number), part)
        parts.append(made["store"].put(Documents, tmp_path / str(number)))
    out = Pack(length=48).run(make_work(made["store"], tmp_path), parts, made["tokenizer"])
    assert out.tokens == run(made, tmp_path, length=48)[2].tokens


def test_the_start_gets_no_loss_the_end_does_and_spans_do_not(made, tmp_path):
    packed, _, _ = run(made, tmp_path, length=64, start="[CLS]", unlearned="meta.prompt")
    one = packed.sequence(0)
    first = one.segments[0]
    inside = one.learned[: first["length"]]
    assert one.tokens[0] == 2
    assert inside[0] == inside[1] == False  # noqa: E712 - numpy
    assert inside[-1] == True  # noqa: E712 - numpy


@pytest.mark.parametrize(
    ("parameters", "words"),
    [({"end": "<end>"}, "no token '<end>'"), ({"start": "<s>"}, "no token '<s>'"), ({"unlearned": "prompt"}, "no field 'prompt'")],
)
def test_what_is_not_there_is_named(made, tmp_path, parameters, words):
    with pytest.raises(InputError, match=words):
        run(made, tmp_path, **parameters)


STEP = """
import typer
from sapwood.cli.step import step
typer.run(step)
"""


def test_the_command_says_which_documents_were_in_a_step(made, tmp_path):
    packed, _, out = run(made, tmp_path, length=64)
    arguments = [out.tokens.short, "--step", "12", "--batch", "4", "--seed", "3", "--store", str(made["root"] / "store"), "--json"]
    done = subprocess.run([sys.executable, "-c", STEP, *arguments], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    numbers, _ = order.take(len(packed), order.at_step(len(packed), 3, 4, 12), 4)
    assert told["sequences"] == numbers.tolist()
    wanted = {name["id"] for n in numbers for name in packed.documents(packed.sequence(int(n)).segments["document"].tolist()).values()}
    assert {row["id"] for row in told["documents"]} == wanted
    assert all(row["url"].startswith("https://example.org/") and row["source"] == "tiny" for row in told["documents"])
    plain = subprocess.run([sys.executable, "-c", STEP, *arguments[:-1]], capture_output=True, text=True, check=True)
    assert next(iter(wanted)) in plain.stdout
