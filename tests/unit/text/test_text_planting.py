import numpy as np
import pytest

from sapwood.text.near import paragraphs, planting, proving
from sapwood.text.near.overlaps import Pairs
from sapwood.text.near.planting import Text


def texts(count):
    """Texts of 80 units that share nothing; every other one Chinese."""
    chance = np.random.default_rng(1)
    words = [f"w{number}" for number in range(5000)]
    found = []
    for number in range(count):
        if number % 2:
            found.append(Text(str(number), "zh", "，".join(map(chr, chance.integers(0x4E00, 0x9FA0, 80).tolist()))))
        else:
            found.append(Text(str(number), "en", " ".join(words[place] for place in chance.integers(0, 5000, 80).tolist())))
    return found


def test_the_same_seed_plants_the_same_copies_in_every_language():
    copies = list(planting.plant(texts(60), 40, 3))
    assert copies == list(planting.plant(texts(60), 40, 3))
    assert copies != list(planting.plant(texts(60), 40, 4))
    assert [copy.language for copy in copies].count("zh") == 20
    assert len({copy.source for copy in copies}) == 40


def test_the_similarity_told_is_that_of_the_texts():
    some = texts(60)
    sources = {text.id: text.text for text in some}
    copies = list(planting.plant(some, 40, 3))
    assert all(copy.jaccard == planting.jaccard(copy.text, sources[copy.source]) for copy in copies)
    assert {copy.jaccard == 1.0 for copy in copies} == {True, False}
    assert all(0.2 < copy.jaccard <= 1 for copy in copies)


def test_texts_that_are_too_short_carry_no_copies():
    assert list(planting.plant([Text("1", "en", "too short")], 5, 0)) == []


def test_jaccard_by_plain_sets():
    assert planting.jaccard("a b c d e f", "A, B! C d e　f") == 1
    assert planting.jaccard("一二三四五六", "一二三四五七") == pytest.approx(1 / 3)
    assert planting.jaccard("a b c d", "a b c d") == 0


def test_every_planted_copy_is_found_and_every_finding_is_right(tmp_path):
    some = texts(200)
    copies = list(planting.plant(some, 120, 0))
    ids = [text.id for text in some] + [copy.id for copy in copies]
    bodies = [text.text for text in some] + [copy.text for copy in copies]
    languages = [text.language for text in some] + [copy.language for copy in copies]
    found = proving.find(bodies, tmp_path)
    scores = proving.recall(found.links, proving.truth_of(((c.id, c.source, c.jaccard) for c in copies), ids), languages)
    assert {name: (score.recall, score.taken) for name, score in scores.items()} == {"en": (1.0, 0), "zh": (1.0, 0)}
    assert scores["zh"].planted > 40
    assert proving.precision(found.links, bodies) == 1.0
    assert found.cpu_s > 0


def test_precision_counts_links_between_unlike_texts():
    links = Pairs(np.array([0, 0]), np.array([1, 2]), np.zeros(2))
    assert proving.precision(links, ["a b c d e f g", "A B C D E F G", "something else"]) == 0.5


@pytest.mark.parametrize("text", ["", "one", "a\nb\n\nc\n\n \n d\n", "第一段\n第二段\n", "\n\nx"])
def test_paragraphs_and_gaps_joined_are_the_text(text):
    assert "".join(paragraph + gap for paragraph, gap in paragraphs.split(text)) == text


def test_lines_are_paragraphs_only_where_there_are_no_blank_lines():
    assert [part for part, _ in paragraphs.split("a\nb\n\nc")] == ["a\nb", "c"]
    assert [part for part, _ in paragraphs.split("第一段\n第二段")] == ["第一段", "第二段"]


def test_short_paragraphs_stay_however_often_they_come():
    found = paragraphs.Paragraphs(5)
    batch = ["Contents\n\none two three four five", "Contents\n\nONE two, three four five!\n\nmore"]
    found.add(batch)
    assert [(part.text, part.paragraphs) for part in found.thin(batch)] == [(batch[0], 0), ("Contents\n\nmore", 1)]
