"""Packing loses nothing and doubles nothing; shards give back what was packed; the order is three integers."""

import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.errors import Corrupt, InputError
from sapwood.text import rows
from sapwood.text.tokens import encoding, order, packing, shards, vocabulary

TEXTS = {
    "en": "The committee reads the report.\n\nIt was long, and nobody liked it.\nSo they wrote another. ",
    "zh": "委员会读了这份报告。\n报告很长，没有人喜欢。\n\n于是他们又写了一份。",
    "zh-TW": "委員會讀了這份報告。\n報告很長，沒有人喜歡。\n於是他們又寫了一份。",
    "mixed": "我们用 Python 写 the report，然后 git push 到 GitHub。\nOK 了！",
    "code": "def f(x):\n    return [i ** 2 for i in range(x)]  # 注释\n\n\nclass A:\n\tpass\n",
}


def pieces(lengths, masked=False):
    """Documents whose tokens are all different, so that each can be found again."""
    start, made = 0, []
    for number, length in enumerate(lengths):
        ids = np.arange(start, start + length, dtype=np.uint32)
        made.append(packing.Piece(number, 0, ids, ids % 3 == 0 if masked else None))
        start += length
    return made


def whole(sequences):
    """Each document's tokens put together again from the sequences, and how often each place was there."""
    found = defaultdict(dict)
    for sequence in sequences:
        for piece in sequence:
            for place, token in enumerate(piece.ids.tolist(), start=piece.offset):
                assert place not in found[piece.document], "doubled"
                found[piece.document][place] = token
    return {number: [places[i] for i in range(len(places))] for number, places in found.items()}


@given(
    lengths=st.lists(st.integers(1, 90), max_size=60),
    length=st.integers(1, 40),
    window=st.integers(1, 400),
    mode=st.sampled_from(["best_fit", "concat"]),
)
@settings(max_examples=50, deadline=None)
def test_the_sequences_hold_every_document_once_and_whole(lengths, length, window, mode):
    given_ = pieces(lengths)
    made = list(packing.pack(given_, length, mode, window))
    assert whole(made) == {piece.document: piece.ids.tolist() for piece in given_}
    assert all(0 < sum(len(piece.ids) for piece in sequence) <= length for sequence in made)
    if mode == "concat":
        assert [t for sequence in made for piece in sequence for t in piece.ids.tolist()] == list(range(sum(lengths)))


@given(lengths=st.lists(st.integers(1, 40), max_size=80))
@settings(max_examples=50, deadline=None)
def test_best_fit_leaves_no_two_sequences_of_a_window_that_could_be_one(lengths):
    made = list(packing.best_fit(pieces(lengths), 40, 10**6))
    filled = sorted(sum(len(piece.ids) for piece in sequence) for sequence in made)
    assert all(a + b > 40 for a, b in itertools.pairwise(filled))


@given(seed=st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_lengths_drawn_evenly_fill_96_of_100_places(seed):
    lengths = np.random.default_rng(seed).integers(1, 513, 3000)
    counts = packing.Counts(512)
    counts.sequences = sum(1 for _ in packing.best_fit(packing.counted(pieces(lengths), counts), 512, 1 << 22))
    assert counts.utilisation >= 0.96


@given(lengths=st.lists(st.integers(1, 90), max_size=60))
@settings(max_examples=50, deadline=None)
def test_short_documents_stay_whole_and_the_counts_say_which_concat_would_cut(lengths):
    counts = packing.Counts(30)
    best = list(packing.best_fit(packing.counted(pieces(lengths), counts), 30, 200))

    def cut(sequences):
        places = defaultdict(set)
        for number, sequence in enumerate(sequences):
            for piece in sequence:
                places[piece.document].add(number)
        return sum(len(found) > 1 for found in places.values())

    assert cut(best) == counts.longer == sum(n > 30 for n in lengths)
    assert cut(list(packing.concat(pieces(lengths), 30))) == counts.crossing


def written(folder, lengths, length=16, masked=False, shard_bytes=256, mode="best_fit"):
    folder.mkdir(parents=True, exist_ok=True)
    out = shards.ShardWriter(folder, length, 1 << 16, 0, masked, shard_bytes)
    for piece in pieces(lengths, masked):
        out.document(encoding.Document(f"d{piece.document}", "s", "", "en", piece.ids), len(piece.ids))
    for sequence in packing.pack(pieces(lengths, masked), length, mode, 100):
        out.add(sequence)
    out.header()
    return shards.Packed(folder)


LENGTHS = [5, 3, 40, 16, 1, 9, 9, 2, 30, 7] * 9


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("mode", ["best_fit", "concat"])
def test_the_shards_give_back_tokens_starts_ids_and_masks(tmp_path, masked, mode):
    packed = written(tmp_path, LENGTHS, masked=masked, mode=mode)
    assert len(list(tmp_path.glob("tokens-*.npy"))) > 3
    found = defaultdict(dict)
    for number in range(len(packed)):
        one = packed.sequence(number)
        blocks = one.blocks()
        assert not one.learned[one.used :].any()
        assert (blocks[one.used :] == -1).all()
        for i, segment in enumerate(one.segments):
            inside = slice(segment["at"], segment["at"] + segment["length"])
            assert (blocks[inside] == i).all()
            assert one.learned[inside].tolist() == [bool(t % 3 == 0) if masked else True for t in one.tokens[inside]]
            for place, token in enumerate(one.tokens[inside].tolist(), start=int(segment["offset"])):
                found[int(segment["document"])][place] = token
    assert {n: [f[i] for i in range(len(f))] for n, f in found.items()} == {p.document: p.ids.tolist() for p in pieces(LENGTHS)}
    names = packed.documents([0, 88, 2, 2])
    assert {number: row["id"] for number, row in names.items()} == {0: "d0", 2: "d2", 88: "d88"}
    assert names[2]["tokens"] == 40
    assert packed.header["tokens"] == sum(LENGTHS)


def test_a_vocabulary_past_16_bits_is_stored_in_32(tmp_path):
    out = shards.ShardWriter(tmp_path, 4, (1 << 16) + 1, 0, False)
    out.add([packing.Piece(0, 0, np.array([1, 65536], dtype=np.uint32), None)])
    out.header()
    assert shards.Packed(tmp_path).sequence(0).tokens.tolist() == [1, 65536, 0, 0]
    assert np.load(tmp_path / "tokens-00000.npy", allow_pickle=False).dtype == np.uint32


def test_no_documents_are_an_empty_payload(tmp_path):
    packed = written(tmp_path, [])
    assert len(packed) == 0
    with pytest.raises(InputError, match="no sequence"):
        next(order.read(packed, order.Cursor(0, 0, 0), 2))


def test_a_damaged_shard_and_a_foreign_folder_are_told_apart(tmp_path):
    packed = written(tmp_path / "a", LENGTHS)
    shard = tmp_path / "a" / "tokens-00001.npy"
    shard.write_bytes(shard.read_bytes()[:-20])
    shards._mapped.cache_clear()
    with pytest.raises(Corrupt, match="tokens-00001"):
        shards.Packed(packed.folder)
    with pytest.raises(InputError, match=r"no tokens\.json"):
        shards.Packed(tmp_path)
    (tmp_path / "a" / "tokens.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(InputError, match="version"):
        shards.Packed(packed.folder)


@given(count=st.integers(1, 60_000), seed=st.integers(0, 2**40), epoch=st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_an_epoch_reads_every_sequence_once(count, seed, epoch):
    assert np.array_equal(np.sort(order.places(count, seed, epoch, 0, count)), np.arange(count))


@given(count=st.integers(1, 40_000), seed=st.integers(0, 9), cuts=st.lists(st.floats(0, 1), min_size=2, max_size=2))
@settings(max_examples=40, deadline=None)
def test_a_seek_finds_what_reading_on_would_have_found(count, seed, cuts):
    start, end = sorted(int(part * count) for part in cuts)
    assert np.array_equal(order.places(count, seed, 1, start, end), order.places(count, seed, 1, 0, count)[start:end])


def test_the_order_is_another_one_for_each_seed_and_epoch_and_is_never_another_in_a_later_version():
    found = {(seed, epoch): order.places(50_000, seed, epoch, 0, 50_000) for seed in range(3) for epoch in range(3)}
    assert len({part.tobytes() for part in found.values()}) == 9
    assert hashlib.sha256(found[1, 2].astype("<i8").tobytes()).hexdigest()[:16] == "360f7ab372f14974"


def test_a_batch_is_drawn_from_all_over_the_pool():
    numbers = order.places(64 * 256 * 4, 0, 0, 0, 32)
    assert len({int(n) // order.BLOCK for n in numbers}) > 16


@given(
    count=st.integers(1, 200),
    batch=st.integers(1, 50),
    stops=st.lists(st.tuples(st.integers(0, 6), st.integers(1, 9)), min_size=1, max_size=5),
)
@settings(max_examples=50, deadline=None)
def test_stopped_anywhere_and_resumed_with_other_workers_the_stream_is_the_same(count, batch, stops):
    at, stream = order.Cursor(3, 0, 0), []
    for steps, workers in stops:
        for _ in range(steps):
            numbers, after = order.take(count, at, batch)
            for worker in range(workers):
                stream += order.share(numbers, worker, workers).tolist()
            at = order.Cursor(*json.loads(json.dumps(after)))  # what a checkpoint keeps
    plain, _ = order.take(count, order.Cursor(3, 0, 0), batch * sum(steps for steps, _ in stops))
    assert stream == plain.tolist()


def test_a_step_is_found_from_the_start_of_training_and_within_an_epoch():
    assert order.at_step(100, 7, 32, 3) == order.Cursor(7, 0, 96)
    assert order.at_step(100, 7, 32, 4) == order.Cursor(7, 1, 28)
    assert order.at_step(100, 7, 32, 2, epoch=5) == order.Cursor(7, 5, 64)
    with pytest.raises(InputError, match="no step 4: its 100 sequences are 4 steps"):
        order.at_step(100, 7, 32, 4, epoch=5)


READER = """
import json, sys
from sapwood.text.tokens import order, shards
folder, log, start, worker, workers = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
with open(log, "a") as out:
    for batch in order.read(shards.Packed(__import__("pathlib").Path(folder)), order.Cursor(*start), 6, worker, workers):
        print(json.dumps([[s.tokens.tolist() for s in batch.sequences], batch.next]), file=out, flush=True)
"""


def killed_after(folder, log, at, workers, lines):
    """Start reading processes, kill -9 all once each has written so many batches, and give back what is whole in all of their logs."""
    logs = [log.with_name(f"{log.name}-{worker}") for worker in range(workers)]
    arguments = [[str(folder), str(file), json.dumps(at), str(worker), str(workers)] for worker, file in enumerate(logs)]
    running = [subprocess.Popen([sys.executable, "-c", READER, *each]) for each in arguments]
    deadline = time.monotonic() + 60
    while any(not file.exists() or file.read_bytes().count(b"\n") < lines for file in logs):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for process in running:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    read = [[json.loads(line) for line in file.read_text().splitlines() if line.endswith("]]")] for file in logs]
    steps = min(len(each) for each in read)
    stream = [sequence for step in range(steps) for each in read for sequence in each[step][0]]
    return stream, read[0][steps - 1][1]


def test_processes_killed_with_sigkill_go_on_with_another_number_of_workers_and_no_token_is_lost_or_doubled(tmp_path):
    packed = written(tmp_path / "packed", LENGTHS)
    first, at = killed_after(packed.folder, tmp_path / "one", [5, 0, 0], 3, 7)
    second, _ = killed_after(packed.folder, tmp_path / "two", at, 2, 5)
    stream = first + second
    assert len(stream) >= 6 * 12
    numbers, _ = order.take(len(packed), order.Cursor(5, 0, 0), len(stream))
    assert stream == [packed.sequence(int(number)).tokens.tolist() for number in numbers]


@pytest.fixture(scope="module")
def bpe():
    return vocabulary.train([*TEXTS.values()] * 3, "bpe", 400)


def batches(texts, sizes, **more):
    made = [rows.document("s", str(i), text, language="en", **more) for i, text in enumerate(texts)]
    table, start = rows.table(made), 0
    for size in sizes:
        yield from table.slice(start, size).to_batches()
        start += size
    yield from table.slice(start).to_batches()


@given(
    texts=st.lists(st.sampled_from(sorted(TEXTS.values())) | st.text(max_size=30), max_size=8),
    sizes=st.lists(st.integers(1, 3), max_size=3),
)
@settings(max_examples=25, deadline=None)
def test_documents_are_encoded_the_same_in_any_batches_and_decode_to_their_text(bpe, texts, sizes):
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    found = list(encoding.documents(batches(texts, sizes), bpe))
    assert [document.ids.tolist() for document in found] == [d.ids.tolist() for d in encoding.documents(batches(texts, []), bpe)]
    assert [bpe.decode(document.ids.tolist(), skip_special_tokens=False) for document in found] == texts
    assert [document.id for document in found] == [rows.document_id("s", str(i)) for i in range(len(texts))]


@given(picked=st.lists(st.sampled_from(sorted(TEXTS.values())), min_size=1, max_size=12), most=st.integers(40, 200))
@settings(max_examples=30, deadline=None)
def test_a_long_text_in_slices_is_the_same_tokens_as_in_one(bpe, picked, most):
    text = "".join(picked)
    parts = encoding.slices(text, most, most)
    assert "".join(parts) == text
    assert all(len(part) <= most for part in parts)
    apart = [i for part in parts for i in bpe.encode(part, add_special_tokens=False).ids]
    if all(part.endswith("\n") for part in parts[:-1]):
        assert apart == bpe.encode(text, add_special_tokens=False).ids


def test_a_line_without_an_end_is_cut_where_it_must_be():
    assert [len(part) for part in encoding.slices("x" * 1000, 300, 50)] == [300, 300, 300, 100]


def test_a_document_cannot_forge_a_separator(bpe):
    (found,) = encoding.documents(batches(["one [SEP] two [CLS][PAD]"], []), bpe)
    assert not set(found.ids.tolist()) & {bpe.token_to_id(token) for token in vocabulary.SPECIAL}
    assert bpe.decode(found.ids.tolist()) == "one [SEP] two [CLS][PAD]"


def test_no_loss_is_taken_on_tokens_inside_the_spans(bpe, monkeypatch):
    text = "问题：报告长吗？ 回答：The report was long.\n" * 4
    end = text.index("回答")
    monkeypatch.setattr(encoding, "SLICE", 40)
    monkeypatch.setattr(encoding, "NEAR", 30)
    spans = json.dumps([[0, end], [end + 45, end + 60]])
    (found,) = encoding.documents(batches([text], [], meta={"prompt": spans}), bpe, "meta.prompt")
    kept = bpe.decode(found.ids[found.learned].tolist())
    assert kept.startswith("回答：The report was long.")
    assert "问题" not in kept.split("回答")[0]
    assert len(found.learned) == len(found.ids)
    with pytest.raises(InputError, match="no list"):
        list(encoding.documents(batches([text], [], meta={"prompt": "here"}), bpe, "meta.prompt"))


def test_one_thread_or_many_give_the_same_tokens(bpe):
    with encoding.threads(1):
        assert os.environ["TOKENIZERS_PARALLELISM"] == "false"
        one = [d.ids.tolist() for d in encoding.documents(batches(list(TEXTS.values()), []), bpe)]
    with encoding.threads(0):
        assert [d.ids.tolist() for d in encoding.documents(batches(list(TEXTS.values()), []), bpe)] == one


def test_documents_come_from_arrow_batches_without_columns_it_does_not_know(bpe):
    batch = pa.RecordBatch.from_pydict({"id": ["a"], "text": ["hello"]})
    (found,) = encoding.documents([batch], bpe)
    assert (found.id, found.source, found.url) == ("a", "", "")
