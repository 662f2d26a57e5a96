"""Each format gives its words, its title and its language, and says by name what is wrong with a file."""

import bz2
import gzip
import lzma
import os

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from sapwood.errors import InputError
from sapwood.testing import papers
from sapwood.text import decode, evidence
from sapwood.text.formats import compressed, html
from sapwood.text.formats.children import Children, Failed
from sapwood.text.formats.document import Job, Limits, Parsed, format_of, read

HANS = "这本书介绍了如何用自己的文本训练语言模型，第一步是收集文件，然后清理文字。"
HANT = "這本書介紹了如何用自己的文字訓練語言模型，第一步是收集檔案，然後清理文字。"
JA = "この本は、自分のテキストで言語モデルを訓練する方法を説明しています。"
KO = "이 책은 자신의 글로 언어 모델을 훈련하는 방법을 설명한다."
FR = "Le café est situé près de la gare, les employés étaient aimables et la chambre était très propre."
PAGE = """<!doctype html><html lang="zh-CN"><head><title> A &amp;
 B</title><style>x</style><link rel=canonical href="http://a.example/b"></head><body><nav>menu</nav>
<header><p>tagline</p><h1>Main <b>title</b></h1></header><main><header><h2>sub</h2></header><p>One <i>two</i>
three&nbsp;four<p>中文<b>粗</b>体<br>line<pre>
def f():
    return 1
</pre>after<table><tr><td>a<td>b<tr><th>c<th></table><ul><li>i<li>j</ul></main><aside>more</aside>
<form><input><label>search</label></form><form><p>kept</p></form><footer>foot</footer><div hidden>no</div><script>1</script></body>"""
TEXT = "Main title\nsub\nOne two three four\n中文粗体\nline\ndef f():\n    return 1\nafter\na\tb\nc\ni\nj\nkept"


def parsed(format: str, body: bytes, **limits) -> Parsed:
    return read(Job(format, f"x.{format}", body=body), Limits(**limits))


def fault(format: str, body: bytes, **limits) -> str:
    with pytest.raises(InputError) as raised:
        parsed(format, body, **limits)
    return raised.value.what


def test_html_keeps_blocks_as_lines_and_drops_what_is_not_for_reading():
    assert html.read(PAGE) == html.Page("A & B", "zh-CN", TEXT, "http://a.example/b")
    assert html.read("") == html.Page("", "", "")
    assert html.read("<p>x\x02<p>y").text == "x\ny"


@given(st.text(st.sampled_from(list("<>/ab div\n&;#2p中\x02\0")), max_size=200))
def test_any_markup_gives_text_without_our_marks(markup):
    assert not html.MARKS.search(html.read(markup).text)


@pytest.mark.parametrize("declared", ["utf-8", "gb2312", "iso-8859-1", "big5"])
@pytest.mark.parametrize(("text", "encoding"), [(HANS, "utf-8"), (HANS, "gbk"), (HANT, "big5"), (JA, "cp932")])
def test_a_page_is_read_by_what_it_is_and_not_by_what_it_says(text, encoding, declared):
    page = f"<html><head><meta charset={declared}><title>{text[:6]}</title></head><body><p>{text}</body></html>"
    assert parsed("html", page.encode(encoding)) == Parsed(text, text[:6])


def test_a_claim_decides_where_the_evidence_is_silent():
    russian = "<meta charset=koi8-r><p>Эта книга объясняет, как обучить модель."
    assert parsed("html", russian.encode("koi8-r")).text == russian.partition("<p>")[2]
    assert "neither UTF-8 nor" in fault("html", russian.replace("koi8-r", "utf-8").encode("koi8-r"))


@pytest.mark.parametrize(
    ("text", "encoding", "found"),
    [(HANS, "gbk", "gb18030"), (HANT, "big5", "big5"), (JA, "shift_jis", "cp932"), (KO, "euc_kr", "cp949"), (FR, "cp1252", "cp1252")],
)
def test_old_encodings_are_told_by_everyday_characters(text, encoding, found):
    assert evidence.encoding(text.encode(encoding)) == found
    assert evidence.encoding(("plain ascii\n" + text).encode(encoding)) == found


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Эта книга объясняет, как обучить языковую модель на собственных текстах.", "cp1251"),
        ("Książka wyjaśnia, jak trenować model językowy na własnych tekstach.", "cp1250"),
        ("Kitap, kendi metinlerinizle dil modelinin nasıl eğitileceğini açıklar.", "cp1254"),
        ("café", "latin-1"),
    ],
)
def test_an_encoding_without_strong_evidence_is_not_guessed(text, encoding):
    assert evidence.encoding(text.encode(encoding)) == ""


def test_utf16_is_told_by_its_mark_and_an_encoding_can_be_forced(tmp_path):
    (tmp_path / "a").write_text(f"{HANS}\nplain 上Ċ", encoding="utf-16")
    assert decode.whole(tmp_path / "a") == f"{HANS}\nplain 上Ċ"
    (tmp_path / "b").write_text("Эта книга", encoding="cp1251")
    assert decode.whole(tmp_path / "b", forced="cp1251") == "Эта книга"
    with pytest.raises(InputError, match="not ascii text"):
        decode.encoding_of(tmp_path / "b", forced="ascii")


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60), st.integers(5, 30))
def test_a_long_line_is_found_wherever_pieces_end(tmp_path_factory, lengths, longest):
    path = tmp_path_factory.mktemp("w") / "f"
    path.write_bytes(b"\n".join(b"x" * length for length in lengths) + b"\n.")
    bad = next((number for number, length in enumerate(lengths, 1) if length > longest), None)
    kept, decode.CHUNK = decode.CHUNK, 7
    try:
        if bad is None:
            assert decode.encoding_of(path, longest) == "utf-8-sig"
        else:
            with pytest.raises(InputError, match=f"line {bad} is longer"):
                decode.encoding_of(path, longest)
    finally:
        decode.CHUNK = kept


PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstandard.ZstdCompressor().compress}


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_packed_file_reads_as_the_plain_one_in_parts_too(tmp_path, suffix):
    body = os.urandom(300_000) + b"word " * 100_000
    file = tmp_path / "x"
    file.write_bytes(PACKERS[suffix](body) + PACKERS[suffix](b"and more"))
    assert compressed.read_all(file, 10**7) == body + b"and more"
    with pytest.raises(InputError, match="too large"):
        compressed.read_all(file, 1000)
    file.write_bytes(PACKERS[suffix](body)[:-20])
    with pytest.raises(InputError, match="damaged"):
        compressed.read_all(file, 10**7)


def test_a_text_that_begins_like_a_packed_file_is_text(tmp_path):
    (tmp_path / "a").write_text("BZh9 is how bzip2 files begin")
    assert decode.whole(tmp_path / "a").startswith("BZh9")


def test_pdf_pages_come_in_order_with_title_and_count():
    found = parsed("pdf", papers.pdf(["First page", "第二页 中文"], "Manual 手册"))
    assert found == Parsed("First page\n\n第二页 中文", "Manual 手册", "", {"pages": "2"})
    assert fault("pdf", papers.pdf(["a", "b"]), pages=1).startswith("too many pages: 2")
    assert fault("pdf", papers.pdf([""])).startswith("no text")
    assert fault("pdf", b"%PDF-1.4 junk").startswith("damaged")


def test_word_documents_give_paragraphs_and_tables_in_their_order():
    body = papers.docx(["One", "第二段"], [["a", "b"], ["中", "d"]], "标题 T")
    assert parsed("docx", body) == Parsed("One\n第二段\na\tb\n中\td", "标题 T", "", {"paragraphs": "4"})
    assert fault("docx", papers.archive({"a.xml": "<a/>"})).startswith("damaged")
    assert fault("docx", b"PK nothing").startswith("damaged")
    assert fault("docx", papers.docx([""])).startswith("no text")


def test_an_epub_is_read_in_the_order_of_its_spine():
    book = papers.epub(
        {"z.xhtml": "<html><body><h1>Eins</h1></body></html>", "a.xhtml": "<html><body><p>第二</p></body></html>"}, "Buch", "de"
    )
    assert parsed("epub", book) == Parsed("Eins\n\n第二", "Buch", "de", {"parts": "2"})
    assert fault("epub", papers.archive({"x": "y"})).startswith("damaged: no member 'META-INF/container.xml'")


def test_a_name_tells_the_format_under_its_packing():
    names = {"a.TXT": "text", "b.md.gz": "text", "c.html.xz": "html", "d.pdf": "pdf", "e.gz": "", "f.doc": "", "g.csv": "", ".pdf": ""}
    assert {name: format_of(name) for name in names} == names


@pytest.fixture(scope="module")
def jobs():
    bodies = [papers.pdf([f"page {n} 第{n}页"]) for n in range(6)]
    bodies[3] = b"%PDF broken"
    return [(n, Job("pdf", str(n), body=body)) for n, body in enumerate(bodies)] + [(6, Job("text", "t", body=b"plain"))]


def test_answers_come_in_order_and_do_not_change_with_the_number_of_children(jobs):
    found = []
    for count in (1, 2):
        with Children(count, Limits()) as children:
            found.append(list(children.answers(iter(jobs))))
    assert found[0] == found[1]
    assert [tag for tag, _ in found[0]] == list(range(7))
    assert found[0][0][1] == Parsed("page 0 第0页", "", "", {"pages": "1"})
    assert isinstance(found[0][3][1], Failed)
    assert found[0][6][1] == Parsed("plain")


def test_a_child_that_is_killed_or_too_slow_costs_one_file(jobs):
    with Children(1, Limits(seconds=30)) as children:
        stream = children.answers(iter(jobs[:3] * 3))
        assert isinstance(next(stream)[1], Parsed)
        children._children[0]._process.kill()
        rest = [answer for _, answer in stream]
    failed = [answer for answer in rest if isinstance(answer, Failed)]
    assert len(failed) <= 1
    assert sum(isinstance(answer, Parsed) for answer in rest) == 8 - len(failed)
    with Children(1, Limits(seconds=0.001)) as children:
        ((_, answer),) = children.answers(iter(jobs[:1]))
    assert answer == Failed("too slow: reading it takes more than 0.001 seconds")
