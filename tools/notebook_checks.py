"""What a stored chapter must be: one function per rule, each returning a list of problems in plain words.

The rule for results. nbval compares each cell's plain text and streams, and skips pictures, HTML and widget ids. So a
cell is *verified* if it was executed and every output has telling plain text. Numbers that training gave differ between
machines: `result(...)` and `claim(...)` print each of them beside what was expected of it, and nbval leaves out the
number alone (tests/notebooks/sanitize.cfg); `show_table(...)` shows a table of them, with claims in the same cell.
A cell that cannot be compared at all carries the tags `nbval-ignore-output` and `machine`: what this reader's machine
or progress is, no result, at most three a chapter. There is no other ignored cell.
"""

from __future__ import annotations

import ast
import re
from html.parser import HTMLParser
from typing import Any

from formulas import problems as formula_problems

HEADINGS = (
    "What you will be able to do",
    "The question",
    "Exercises",
    "Break it",
    "Summary",
    "What to read",
    "What comes next",
)
MOST_BYTES = 1_000_000
WIDTH = 88  # characters of a line of code: a reader's column is narrow
WIDGET = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
PICTURES = {"image/png", "image/jpeg", "image/svg+xml", "text/html", WIDGET}
IGNORE = "nbval-ignore-output"
SCAFFOLDING = "hide-input"  # Jupyter Book's word for a collapsed cell
BOXES = ("algorithm", "worked-example", "document")
KNOWN_TAGS = {IGNORE, "machine", "raises-exception", "result-no", "remove-input", SCAFFOLDING, *BOXES}
BARE_REPR = re.compile(r"^<.*>$|^\w+\(children=|^\[<matplotlib", re.DOTALL)


def tags(cell: Any) -> list[str]:
    return list(cell.metadata.get("tags", []))


def code_cells(nb: Any) -> list[tuple[int, Any]]:
    """Return (number, cell) of the code cells that hold code; numbers count all cells from 1."""
    return [(n, c) for n, c in enumerate(nb.cells, 1) if c.cell_type == "code" and c.source.strip()]


def pairing(nb: Any, text: Any) -> list[str]:
    """Text and notebook agree: same cells, same sources, same tags, the same cells collapsed."""
    kept, wanted = ([(c.cell_type, c.source.strip(), tags(c), collapsed(c)) for c in book.cells] for book in (nb, text))
    if len(kept) != len(wanted):
        return [f"notebook has {len(kept)} cells, text has {len(wanted)}: run `make notebooks`"]
    return [
        f"cell {n} differs from the text: run `make notebooks`"
        for n, (a, b) in enumerate(zip(kept, wanted), 1)
        if a != b
    ]


def collapsed(cell: Any) -> bool:
    """Whether JupyterLab shows only a bar in place of the cell's code."""
    return bool(cell.metadata.get("jupyter", {}).get("source_hidden"))


def sizes(nb: Any, size: int) -> list[str]:
    """The file's size, and the width of lines of code. Words are measured (tools/chapters.py count), not limited."""
    found = [f"{size:,} bytes; at most {MOST_BYTES:,}"] if size > MOST_BYTES else []
    for n, cell in code_cells(nb):
        wide = [k for k, line in enumerate(cell.source.splitlines(), 1) if len(line) > WIDTH]
        if wide:
            found.append(f"cell {n}: line {', '.join(map(str, wide))} wider than {WIDTH} characters")
    return found


def scaffolding(nb: Any) -> list[str]:
    """A collapsed cell stands under text whose last words are a sentence: what the cell prepares."""
    found = []
    for n, cell in enumerate(nb.cells, 1):
        if SCAFFOLDING not in tags(cell):
            continue
        if cell.cell_type != "code" or not collapsed(cell):
            found.append(f"cell {n} is tagged {SCAFFOLDING} and is not a collapsed cell of code: run `make notebooks`")
        above = nb.cells[n - 2] if n > 1 else None
        said = above.source.rstrip().removesuffix("</div>").rstrip() if above is not None else ""
        if above is None or above.cell_type != "markdown" or not re.search(r"[.:?!)]\W*$", said):
            found.append(f"cell {n} is collapsed, and no sentence above it says what it prepares")
    return found


def boxes(nb: Any) -> list[str]:
    """An algorithm box has a bold title with its source, and numbered steps; every box is a cell of text."""
    found = []
    for n, cell in enumerate(nb.cells, 1):
        kinds = [tag for tag in tags(cell) if tag in BOXES]
        if not kinds:
            continue
        if cell.cell_type != "markdown" or len(kinds) > 1:
            found.append(f"cell {n}: a box is one cell of text with one of the tags {', '.join(BOXES)}")
        elif not re.search(r"^\*\*\S", cell.source, re.MULTILINE):
            found.append(f"cell {n}: a box begins with a title in bold")
        elif kinds == ["algorithm"] and len(re.findall(r"^\d+\. ", cell.source, re.MULTILINE)) < 2:
            found.append(f"cell {n}: an algorithm box has numbered steps, two or more")
    return found


def measure(nb: Any) -> dict[str, float]:
    """Words of prose, open lines of code, comments among them, the longest open cell: a measure, not a limit."""
    open_cells = [c.source for _, c in code_cells(nb) if not {SCAFFOLDING, "remove-input"} & set(tags(c))]
    lines = [[line.strip() for line in source.splitlines() if line.strip()] for source in open_cells]
    code = [[line for line in cell if not line.startswith("#")] for cell in lines]
    comments = sum(line.startswith("#") or "  # " in line for cell in lines for line in cell)
    count = sum(map(len, code))
    words = word_count(nb)
    return {
        "words": words,
        "lines": count,
        "words a line": words / max(count, 1),
        "comments a line": comments / max(count, 1),
        "longest cell": max(map(len, code), default=0),
    }


def word_count(nb: Any) -> int:
    """Count the words of prose: markdown without code, formulas, HTML tags and link targets."""
    prose = "\n".join(c.source for c in nb.cells if c.cell_type == "markdown")
    for noise in (r"```.*?```", r"\$\$.*?\$\$", r"\$[^$\n]+\$", r"`[^`\n]*`", r"<[^>]+>", r"\]\([^)]*\)"):
        prose = re.sub(noise, " ", prose, flags=re.DOTALL)
    return len(re.findall(r"[A-Za-z0-9\u00C0-\u024F][\w'’-]*|[\u4e00-\u9fff]+", prose))


def headings(nb: Any, number: str) -> list[str]:
    """Title, times, and the headings that every chapter has."""
    lines = [line for c in nb.cells if c.cell_type == "markdown" for line in c.source.splitlines()]
    titles = [line.lstrip("# ").lower() for line in lines if re.match(r"#{1,4} ", line)]
    found = [f"no heading '{want}'" for want in HEADINGS if not any(t.startswith(want.lower()) for t in titles)]
    first = nb.cells[0].source if nb.cells else ""
    if not first.startswith(f"# {number} "):
        found.append(f"the first cell does not start with the title '# {number} ...'")
    if not re.search(r"Reading time:\W* ?\d+ min", first) or not re.search(r"Run time:\W* ?\d+ s", first):
        found.append("the first cell does not state 'Reading time: N min' and 'Run time: N s'")
    return found


def verified(nb: Any) -> list[str]:
    """Every result is verified, by the rule at the top of this file."""
    found, machine = [], 0
    for n, cell in code_cells(nb):
        mine = set(tags(cell))
        if "NBVAL_" in cell.source or "nbval-skip" in mine:
            found.append(f"cell {n}: use the tags {IGNORE} and machine, not nbval's other marks")
        if unknown := mine - KNOWN_TAGS:
            found.append(f"cell {n} has unknown tags {sorted(unknown)}; known: {sorted(KNOWN_TAGS)}")
        if cell.execution_count is None:
            found.append(f"cell {n} was not executed, so nbval would not look at it")
        if (IGNORE in mine) != ("machine" in mine):
            found.append(f"cell {n} is an unverified result: {IGNORE} and machine go together, for what is no result")
        machine += "machine" in mine
        if calls(cell, "show_table") and not (calls(cell, "result") or calls(cell, "claim")):
            found.append(
                f"cell {n} shows a table of which nothing is claimed: add claim(...) or result(...) to the cell"
            )
        if IGNORE not in mine:
            found += telling(n, cell)
    return found + ([f"{machine} cells tagged machine; at most 3"] if machine > 3 else [])


def calls(cell: Any, name: str) -> bool:
    """Whether the cell really calls `name(...)`."""
    try:
        tree = ast.parse(cell.source)
    except SyntaxError:
        return False
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return any(getattr(f, "id", getattr(f, "attr", None)) == name for f in called)


def telling(n: int, cell: Any) -> list[str]:
    """Outputs that nbval compares have plain text that says something, and no result says no."""
    found = []
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stderr":
            found.append(f"cell {n} wrote to stderr: {output.text.strip()[:80]!r}")
        text = output.get("text", "") or output.get("data", {}).get("text/plain", "")
        if output.output_type in ("display_data", "execute_result") and (
            not text.strip() or BARE_REPR.match(text.strip())
        ):
            found.append(
                f"cell {n} has an output whose plain text is {text.strip()[:50]!r}: nbval would compare nothing"
            )
        if re.search(r"( at |<.* )0x[0-9a-f]{6,}|/tmp/|/home/|/root/|/work/", text):
            found.append(f"cell {n} prints an address or an absolute path, which differs between machines")
        if re.search(r"\(expected .*: no\)$", text, re.MULTILINE) and "result-no" not in tags(cell):
            found.append(f"cell {n}: a result says no; mend the claim, or tag the cell result-no if that is the point")
    return found


def raising(nb: Any) -> list[str]:
    """A cell tagged raises-exception has an error output, and no other cell has."""
    found = []
    for n, cell in code_cells(nb):
        errors = [o for o in cell.outputs if o.output_type == "error"]
        if "raises-exception" in tags(cell) and not errors:
            found.append(f"cell {n} is tagged raises-exception and does not raise")
        if errors and "raises-exception" not in tags(cell):
            found.append(f"cell {n} raised {errors[0].ename}")
    return found


def formulas(nb: Any) -> list[str]:
    """Every formula of the text is read by JupyterLab, by GitHub and by the site (tools/formulas.py says why)."""
    texts = [(n, cell.source) for n, cell in enumerate(nb.cells, 1) if cell.cell_type == "markdown"]
    return [f"cell {n}: {problem}" for n, text in texts for problem in formula_problems(text)]


class _Alts(HTMLParser):
    """Collects the alt texts of <img> and of <svg> (aria-label); None where there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.alts: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("img", "svg"):
            self.alts.append(dict(attrs).get("alt" if tag == "img" else "aria-label"))


def alts(page: str) -> list[str | None]:
    parser = _Alts()
    parser.feed(page)
    return parser.alts


def alt_text(nb: Any) -> list[str]:
    """Every picture in an output or in the text has alt text of four words or more."""
    found = []
    for n, cell in enumerate(nb.cells, 1):
        texts = alts(cell.source) if cell.cell_type == "markdown" else []
        if cell.cell_type == "markdown":
            texts += re.findall(r"!\[([^\]]*)\]\(", cell.source)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            texts += alts(data.get("text/html", ""))
            texts += [output.metadata.get(kind, {}).get("alt") for kind in ("image/png", "image/jpeg") if kind in data]
            texts += [None] if "image/svg+xml" in data and not any(alts(data["image/svg+xml"])) else []
        if any(len((text or "").split()) < 4 for text in texts):
            found.append(f"cell {n} shows a picture without alt text (four words or more)")
    return found


def widget_pictures(nb: Any) -> list[str]:
    """Every widget has its state in the file, and a picture of itself for readers without widgets."""
    state = nb.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    found = []
    for n, cell in code_cells(nb):
        for output in cell.outputs:
            data = output.get("data", {})
            if WIDGET not in data:
                continue
            if data[WIDGET]["model_id"] not in state:
                found.append(f"cell {n}: the widget's state is not stored in the file")
            if len(data.get("text/html", "")) < 40:
                found.append(f"cell {n}: a bare widget; show it with Explorer or quiz, which store a picture too")
    return found


def names(nb: Any, number: str, defined: dict[str, Any] | None = None) -> list[str]:
    """`hint`, `solution`, and what hints and solutions call `math`, `np` or `torch`, are imported in the chapter."""
    source = "\n".join(cell.source for _, cell in code_cells(nb))
    found = []
    for name, line in (("math", r"import math$"), ("np", r"import numpy as np$"), ("torch", r"import torch$")):
        users = [
            i
            for i, exercise in (defined or {}).items()
            if i.startswith(number) and re.search(rf"\b{name}\.", "\n".join((*exercise.hints, exercise.solution)))
        ]
        if users and not re.search(rf"^{line}", source, re.MULTILINE):
            found.append(f"the hints of {', '.join(users)} use {name}, which the chapter does not import")
    if re.search(r"^check\(", source, re.MULTILINE):
        for name in ("hint", "solution"):  # which a reader calls in a cell of their own
            if not re.search(rf"^from metarl_lab\.teach import .*\b{name}\b", source, re.MULTILINE):
                found.append(f"{name} is not imported; a reader of the exercises calls it")
    return found


def exercises(nb: Any, number: str, defined: dict[str, Any] | None = None) -> list[str]:
    """At least three of the chapter's exercises are checked in the notebook, and they exist."""
    asked = {i for _, c in code_cells(nb) for i in re.findall(r"""\bcheck\(\s*["'](\d\d\.\d+)["']""", c.source)}
    own = {i for i in asked if i.startswith(number + ".")}
    found = [f"{len(own)} exercises of the chapter are checked; at least 3"] if len(own) < 3 else []
    if defined is not None:
        found += [f"exercise {i} is not defined in metarl_lab/chapters" for i in sorted(asked - set(defined))]
        found += [
            f"exercise {i} is defined and not in the chapter"
            for i in sorted(defined)
            if i[:2] == number and i not in asked
        ]
    return found
