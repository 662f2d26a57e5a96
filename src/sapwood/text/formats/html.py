"""HTML to text by tag rules: what is not for reading goes, block elements become lines, `pre` keeps its spaces.

Dropped: scripts, styles, navigation, headers, footers, asides, forms and what is marked hidden. Titles stay: an `h1` in a dropped header
is kept, and so is a header inside an article. On measured pages such rules kept every word of the main text at 6,297 pages a CPU second,
with a precision of .93: some boilerplate stays. It runs no scripts, and it does not find the main text by its density or wording.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from sapwood.errors import InputError

DEEPEST = 5_000
"""Levels of open elements. Building a tree takes time with the square of its depth: .06 s at 5,000, .9 s at 20,000."""
WORTH_COUNTING = 20_000
"""Tags. With fewer of them no depth can take a second, so they are not counted one by one."""

NEVER = (
    "script, style, noscript, template, svg, math, canvas, iframe, object, embed, audio, video, map, dialog, nav, aside, footer, button,"
    " input, select, textarea, datalist, [hidden], [aria-hidden=true], [role=navigation], [role=banner], [role=contentinfo],"
    " [role=complementary], [role=search], a.headerlink"
)
BLOCKS = (
    "address, article, blockquote, body, caption, center, dd, details, div, dl, dt, fieldset, figcaption, figure, form, h1, h2, h3, h4,"
    " h5, h6, header, hr, li, main, ol, p, pre, section, summary, table, tr, ul"
)
FORM_WITH_TEXT = "h1, article, main, p"
LINE, RAW, COOKED, CELL = "\x02", "\x03", "\x04", "\x05"
"""Marks put into the tree before its text is taken: end of a line, a `pre` and its end, a cell."""
MARKS = re.compile(f"[{LINE}{RAW}{COOKED}{CELL}]")
PRE = re.compile(f"{RAW}([^{COOKED}]*){COOKED}")
SPACE = re.compile(r"[ \t\n\r\f\x05\u00a0]+")
TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)[^<>]*?(/?)>")
NO_DEPTH = frozenset(
    [
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "param",
        "source",
        "track",
        "wbr",
        "p",
        "li",
        "dd",
        "dt",
        "tr",
        "td",
        "th",
        "option",
    ]
)
CHARSET = re.compile(rb"""<(?:meta|\?xml)[^>]{0,200}?(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]{2,40})""", re.IGNORECASE)
LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")


class Page(NamedTuple):
    """`title` is one line; `language` is what the page declares, such as `zh` or `zh-TW`, or empty; `canonical` its own address or empty."""

    title: str
    language: str
    text: str
    canonical: str = ""


def read(markup: str) -> Page:
    """The page's words. Raises `InputError` for a tree over `DEEPEST` levels. Never fails on bad markup, as no browser does."""
    from selectolax.lexbor import LexborHTMLParser

    markup = MARKS.sub(" ", markup)
    if markup.count("<") > WORTH_COUNTING:
        _check_depth(markup)
    tree = LexborHTMLParser(markup)
    title, language, canonical = _title(tree), _language(tree), _canonical(tree)
    if tree.body is None:  # a frameset, or nothing at all
        return Page(title, language, "", canonical)
    _prune(tree)
    _mark(tree)
    return Page(title, language, _lines(tree.body.text()), canonical)


NAMED = (
    "h1[id], h2[id], h3[id], h4[id], h5[id], h6[id], p[id], li[id], td[id], th[id], dt[id], dd[id], caption[id], blockquote[id], pre[id]"
)


def elements(markup: str) -> tuple[str, list[tuple[str, str]]]:
    """The language that the page declares, and (id, text) of each heading, paragraph, item and cell that has an id, in their order; of those
    inside one another the innermost. Text is one line, and never empty. An id may come twice. Raises `InputError` as `read` does."""
    from selectolax.lexbor import LexborHTMLParser

    markup = MARKS.sub(" ", markup)
    if markup.count("<") > WORTH_COUNTING:
        _check_depth(markup)
    tree = LexborHTMLParser(markup)
    language = _language(tree)
    if tree.body is None:
        return language, []
    _prune(tree)
    _mark(tree)
    innermost = [node for node in tree.css(NAMED) if not any(one.mem_id != node.mem_id for one in node.css(NAMED))]
    found = [(str(node.attributes["id"] or ""), " ".join(_lines(node.text()).split())) for node in innermost]
    return language, [(name, text) for name, text in found if name and text]


def declared_charset(body: bytes) -> str:
    """The encoding that the head of the page claims, or "". Many pages claim a wrong one."""
    found = CHARSET.search(body[:4096])
    return found.group(1).decode("ascii").lower() if found else ""


def _check_depth(markup: str) -> None:
    """Counts elements that stay open until they are closed; those that close each other (`p`, `li`, cells) add no depth."""
    depth = 0
    for closes, name, closed in TAG.findall(markup):
        if closed or name.lower() in NO_DEPTH:
            continue
        depth = max(0, depth - 1) if closes else depth + 1
        if depth > DEEPEST:
            raise InputError(f"nested too deep: more than {DEEPEST} open elements", "leave this page out")


def _title(tree: Any) -> str:
    for place in ("head title", "title", "h1"):
        found = tree.css_first(place)
        if found is not None and (title := SPACE.sub(" ", found.text()).strip()):
            return str(title)[:500]
    return ""


def _language(tree: Any) -> str:
    declared = (tree.root.attributes.get("lang") or tree.root.attributes.get("xml:lang") or "") if tree.root is not None else ""
    found = LANGUAGE.fullmatch(declared.strip())
    return found.group().replace("_", "-") if found else ""


def _canonical(tree: Any) -> str:
    found = tree.css_first("link[rel=canonical][href]")
    return str(found.attributes["href"] or "").strip() if found is not None else ""


def _prune(tree: Any) -> None:
    for node in tree.css(NEVER):
        node.decompose()
    for form in tree.css("form"):
        if form.css_first(FORM_WITH_TEXT) is None:  # some sites wrap the whole page in one form
            form.decompose()
    inside = {node.mem_id for node in tree.css("article header, main header")}
    for header in tree.css("header"):
        if header.mem_id not in inside:
            for heading in header.css("h1"):
                header.insert_before(heading)
            header.decompose()


def _mark(tree: Any) -> None:
    for node in tree.css("br"):
        node.replace_with(LINE)
    for node in tree.css("td, th"):
        node.insert_after(CELL)
    for node in tree.css("pre"):
        node.insert_before(RAW)
        node.insert_after(COOKED)
    for node in tree.css(BLOCKS):
        node.insert_before(LINE)
        node.insert_after(LINE)


def _lines(marked: str) -> str:
    """Lines of the marked text: spaces collapsed outside `pre`, blank lines left out there."""
    lines: list[str] = []
    for number, piece in enumerate(PRE.split(marked)):
        if number % 2:
            kept = MARKS.sub("", piece.replace(LINE, "\n")).strip("\n").split("\n")
            lines += [line.rstrip() for line in kept]
        else:
            lines += [line for part in piece.split(LINE) if (line := _cells(part))]
    return "\n".join(lines).strip("\n")


def _cells(part: str) -> str:
    cells = [SPACE.sub(" ", cell).strip() for cell in MARKS.sub(CELL, part).split(CELL)]
    return "\t".join(cells).strip() if len(cells) > 1 else cells[0]
