from hypothesis import given, settings
from hypothesis import strategies as st

from sapwood.text.quality.boilerplate import Boilerplate, find, remove

OPTIONS = Boilerplate(min_documents=3, min_share=0.5)


def found(documents, options=OPTIONS):
    return find(options, lambda: [([text for text, _ in documents], [source for _, source in documents])])


def test_a_line_goes_only_from_the_source_that_repeats_it():
    pages = [(f"首页 | 关于\n正文{place}", "web") for place in range(4)] + [("首页 | 关于\n另一篇", "book")]
    lines = found(pages)
    assert lines.counted == (("web", "首页 | 关于", 4),)
    left = [text for text, _ in remove([text for text, _ in pages], [source for _, source in pages], lines, OPTIONS)]
    assert left == ["正文0", "正文1", "正文2", "正文3", "首页 | 关于\n另一篇"]


def test_a_line_twice_in_one_document_counts_once():
    assert not found([("same\nsame\nsame\nsame", "web"), ("other", "web"), ("third", "web")]).hashes


def test_long_lines_and_rare_ones_stay():
    long = "word " * 100
    assert not found([(long, "web")] * 9).hashes
    assert not found([("menu", "web")] * 3 + [(f"text {place}", "web") for place in range(9)]).hashes


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(alphabet="ab\n ", max_size=8), st.sampled_from(["x", "y"])), max_size=20), st.integers(0, 20))
def test_batches_do_not_matter(documents, cut):
    parts = [([text for text, _ in part], [source for _, source in part]) for part in (documents[:cut], documents[cut:])]
    assert find(OPTIONS, lambda: parts) == found(documents)
