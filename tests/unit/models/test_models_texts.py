"""Text to batches: one path for training and serving."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.errors import InputError
from sapwood.models import card, masking, pairs, texts
from sapwood.models.sources import source
from sapwood.testing import tiny


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> object:
    return texts.load_tokenizer(tiny.tiny_tokenizer(tmp_path_factory.mktemp("tokenizer")))


def test_a_text_is_cut_to_max_tokens_and_keeps_its_special_tokens(tokenizer) -> None:
    short, long = texts.encode(tokenizer, ["喜欢", "I love this lamp " * 50], "query: ", max_tokens=16)
    assert len(long) == 16
    assert (long[0], long[-1], short[-1]) == (2, 3, 3)
    assert texts.count(tokenizer, ["I love this lamp " * 50])[0] == 202
    with pytest.raises(InputError, match="leaves no room"):
        texts.encode(tokenizer, ["x"], max_tokens=2)


def test_a_lone_surrogate_is_read_as_a_question_mark(tokenizer) -> None:
    assert texts.encode(tokenizer, ["\ud800"])[0].tolist() == texts.encode(tokenizer, ["?"])[0].tolist()


def test_a_folder_without_a_tokenizer_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no tokenizer\.json"):
        texts.load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match="not a tokenizer file"):
        texts.load_tokenizer(tmp_path)


@settings(deadline=None)
@given(st.lists(st.integers(1, 50), max_size=60), st.integers(1, 200))
def test_batches_hold_every_row_once_within_the_budget(lengths: list[int], budget: int) -> None:
    cuts = texts.batches(lengths, budget)
    assert sorted(np.concatenate(cuts).tolist() if cuts else []) == list(range(len(lengths)))
    for cut in cuts:
        assert len(cut) == 1 or max(lengths[i] for i in cut) * len(cut) <= budget


@settings(deadline=None)
@given(st.lists(st.integers(1, 50), max_size=60), st.integers(0, 100))
def test_batches_hold_no_more_padding_than_they_may(lengths: list[int], padding: int) -> None:
    cuts = texts.batches(lengths, 10_000, padding=padding)
    assert sorted(np.concatenate(cuts).tolist() if cuts else []) == list(range(len(lengths)))
    for cut in cuts:
        assert max(lengths[i] for i in cut) * len(cut) - sum(lengths[i] for i in cut) <= padding


def test_batches_that_are_cut_have_few_numbers_of_rows() -> None:
    """Each new shape costs the CPU's bf16 products new machine code."""
    lengths = np.random.default_rng(0).integers(6, 128, 20_000)
    rows = {len(cut) for step in np.split(lengths, 400) for cut in texts.batches(step, 2048, padding=512)[:-1]}
    assert rows <= {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48}
    assert [texts.few(n) for n in (1, 5, 7, 11, 12, 31, 100)] == [1, 4, 6, 8, 12, 24, 96]


@settings(deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=400), st.integers(1, 12), st.integers(0, 3))
def test_steps_of_mingled_lengths_hold_every_row_once(lengths: list[int], rows: int, seed: int) -> None:
    steps = source.mingled(tuple(lengths), rows, seed, 0)
    assert sorted(np.concatenate(steps).tolist()) == list(range(len(lengths)))
    assert len(steps) == -(-len(lengths) // rows)
    assert max(len(step) for step in steps) <= rows


@pytest.mark.parametrize("rows", [63, 64])
def test_a_step_mingles_lengths_and_its_micro_batches_do_not(rows: int) -> None:
    lengths = tuple(np.random.default_rng(0).integers(6, 128, 2048).tolist())
    whole, parts = (order(lengths, rows, 1, 0) for order in (source.by_length, source.mingled))
    spread = [np.mean([np.std([lengths[i] for i in step]) for step in steps]) for steps in (whole, parts)]
    assert spread[0] < 3 < 20 < spread[1]
    filled = [sum(max(lengths[i] for i in step[cut]) * len(cut) for cut in _cuts(lengths, step)) for step in parts]
    assert sum(filled) < 1.25 * sum(lengths)


def _cuts(lengths: tuple[int, ...], step: np.ndarray) -> list[np.ndarray]:
    return texts.batches([lengths[i] for i in step], 8192, padding=source.PADDING)


def test_padding_fills_the_right_and_masks_it() -> None:
    ids, mask = texts.pad([np.array([5, 6, 7]), np.array([8])], fill=9, multiple=4)
    assert ids.tolist() == [[5, 6, 7, 9], [8, 9, 9, 9]]
    assert mask.tolist() == [[1, 1, 1, 0], [1, 0, 0, 0]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("我来了。你好吗？他说：“走！”然后走了", ["我来了。", "你好吗？", "他说：“走！”", "然后走了"]),
        ("It cost 3.50 dollars. Really?! Yes (truly).", ["It cost 3.50 dollars.", "Really?!", "Yes (truly)."]),
        ("房间很大，服务很好", ["房间很大，", "服务很好"]),
        ("title\nbody", ["title", "body"]),
        ("  ", []),
    ],
)
def test_sentences_of_both_languages(text: str, expected: list[str]) -> None:
    assert pairs.sentences(text) == expected


def test_pairs_are_a_function_of_seed_epoch_and_index_and_half_follow(tokenizer) -> None:
    corpus = pairs.corpus(tokenizer, [row["text"] for row in tiny.tiny_corpus()] + ["one"], 48)
    assert corpus.left_out == 1
    assert sum(stop - first for _, first, stop in corpus.windows) >= len(corpus.starts) - 1
    made = [pairs.pair(corpus, i % len(corpus.windows), masking.generator(1, i, i)) for i in range(800)]
    again = [pairs.pair(corpus, i % len(corpus.windows), masking.generator(1, i, i)) for i in range(800)]
    assert all(one.a.tolist() == two.a.tolist() and one.b.tolist() == two.b.tolist() for one, two in zip(made, again, strict=True))
    assert 0.45 < np.mean([pair.follows for pair in made]) < 0.55
    assert all(len(pair.a) > 0 and len(pair.b) > 0 and len(pair.a) + len(pair.b) <= 45 for pair in made)
    true, false = (np.mean([len(p.b) for p in made if p.follows == side]) for side in (True, False))
    assert abs(true - false) < 0.35 * true, "the length of B must not give the answer away"


def test_masking_takes_its_share_and_spares_special_tokens() -> None:
    ids = np.full(2000, 30)
    special = np.arange(2000) % 10 == 0
    corrupted, chosen = masking.mask(ids, special, 0.15, 4, 100, masking.generator(1, 2, 3))
    assert len(chosen) == 270
    assert not special[chosen].any()
    assert np.mean(corrupted[chosen] == 4) == pytest.approx(0.8, abs=0.08)
    assert np.mean(corrupted[chosen] == 30) == pytest.approx(0.1, abs=0.06)
    assert (corrupted[~np.isin(np.arange(2000), chosen)] == 30).all()


def test_a_card_is_read_as_it_was_written_and_a_bad_one_is_refused(tmp_path: Path) -> None:
    wanted = card.Card(name="评论", task="classification", labels=("差", "好"), max_tokens=64, prefix="query: ")
    card.write_card(tmp_path, wanted)
    assert card.read_card(tmp_path) == wanted
    (tmp_path / card.FILE).write_text('{"task": "poetry"}')
    with pytest.raises(InputError):
        card.read_card(tmp_path)
    with pytest.raises(InputError, match="not a Sapwood model"):
        card.read_card(tmp_path / "nowhere")
