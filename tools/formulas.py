"""Formulas that JupyterLab, GitHub and the built site all read: what a Markdown text may do with dollar signs.

The three disagree, and a text must suit the strictest of them in each point:
- JupyterLab cuts formulas out before it reads Markdown: nothing tears one, except an empty line.
- The site (MyST) reads a display formula only where a paragraph may begin: after a line of text, `$$` stays raw.
- GitHub reads Markdown first. What Markdown takes for its own (a backslash before punctuation, `_`, `*`, `<b>`, `|` in
  a table, a line that begins a list) never reaches the formula. In a line it wants both dollar signs to touch
  the formula and neither to touch a word, and no line break between them.

So a formula in a line must come whole out of a Markdown parser that knows no formulas, and a display formula must be a
paragraph of its own.
"""

from __future__ import annotations

import re

from markdown_it import MarkdownIt

# Markdown as GitHub reads it, without its formulas
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
INLINE = re.compile(r"\$([^$]*)\$")
ESCAPE = re.compile(r"\\[!-/:-@\[-`{-~]")
INSTEAD = "write \\lbrace, \\Vert, \\thinspace, \\ast, \\lt, \\mid, or leave a thin space out"


def problems(text: str) -> list[str]:
    """Return what would tear a formula of a Markdown text, in plain words; empty where nothing would."""
    found, rest = display_problems(text)
    for token in MARKDOWN.parse(rest):
        if token.type == "html_block" and "$" in token.content:
            found.append(f"formula inside HTML, after no empty line: {shortened(token.content)}")
        if token.type == "inline":
            found += inline_problems(token)
    return found


def display_problems(text: str) -> tuple[list[str], str]:
    """Return the problems of display formulas, and the text without these formulas."""
    found: list[str] = []
    lines = text.split("\n")
    code = lines_of_code(text)
    rest: list[str] = []
    opened: int | None = None
    for n, line in enumerate(lines):
        marks = n not in code and "$$" in CODE_SPAN.sub("", line)
        if marks and line != "$$":
            found.append(f"$$ is not alone on its line, at the margin: {shortened(line)}")
        elif marks and opened is None:
            opened = n
            if n > 0 and lines[n - 1].strip():
                found.append(f"no empty line before a display formula, after: {shortened(lines[n - 1])}")
        elif marks and opened is not None:
            body = lines[opened + 1 : n]
            found += body_problems(body)
            if n + 1 < len(lines) and lines[n + 1].strip():
                found.append(f"no empty line after a display formula, before: {shortened(lines[n + 1])}")
            opened = None
        # A line of a display formula, or of one that is reported already, is not looked at again.
        rest.append("" if marks or opened is not None else line)
    if opened is not None:
        found.append("a display formula is not closed by a line $$")
    return found, "\n".join(rest)


def body_problems(body: list[str]) -> list[str]:
    """What is wrong between the two lines `$$`."""
    first = shortened(" ".join(body))
    if not all(line.strip() for line in body) or not body:
        return [f"an empty line in a display formula: {first}"]
    kinds = [token.type for token in MARKDOWN.parse("\n".join(["$$", *body, "$$"]))]
    if kinds != ["paragraph_open", "inline", "paragraph_close"]:
        return [f"a line of a display formula begins like a list, a heading or a quotation: {first}"]
    return []


def inline_problems(block) -> list[str]:
    """What is wrong in one paragraph, heading, list item or cell of a table: `block` is the parser's inline token."""
    source = CODE_SPAN.sub(lambda span: "`" + "x" * (len(span[0]) - 2) + "`", block.content)
    # What Markdown leaves of the text; where it puts an element instead, a mark that is in no formula.
    left = "".join(
        child.content if child.type == "text" else "\n" if child.type == "softbreak" else "\0"
        for child in block.children
    )
    found = []
    for match in INLINE.finditer(source):
        formula, before, after = match[1], source[: match.start()][-1:], source[match.end() :][:1]
        if "\n" in formula:
            found.append(f"formula broken over two lines: {shortened(match[0])}")
        elif not formula or formula != formula.strip():
            found.append(f"space beside a dollar sign, inside the formula: {shortened(match[0])}")
        elif before.isalnum() or after.isalnum() or before == "-":
            found.append(f"formula touches a word: {before}{shortened(match[0])}{after}")
        elif match[0] not in left:
            marks = sorted(set(ESCAPE.findall(formula))) or ["_, *, < or |"]
            found.append(f"Markdown takes {' '.join(marks)} of {shortened(match[0])} for its own; {INSTEAD}")
    outside = INLINE.sub("", source)
    if "$" in outside:
        found.append(f"dollar sign without a partner (money is written USD): {shortened(source)}")
    if "\\begin{" in outside:
        found.append(f"formula without dollar signs: {shortened(outside)}")
    return found


def lines_of_code(text: str) -> set[int]:
    """Numbers, from 0, of the lines inside code blocks."""
    blocks = [token.map for token in MARKDOWN.parse(text) if token.type in ("fence", "code_block") and token.map]
    return {n for first, end in blocks for n in range(first, end)}


def shortened(text: str, most: int = 60) -> str:
    """The text on one line, cut to `most` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 3] + "..."
