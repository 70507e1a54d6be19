"""The chapters as a whole: start one, link those that exist, measure how much each explains.

    python tools/chapters.py new 20 games "Game AI"    start chapter 20: text, folder, test, and its line in the index
    python tools/chapters.py links [--check]           link the chapters that exist in the index and in the README
    python tools/chapters.py count [NN ...]            words of prose for each open line of code, and what goes with it

The titles live in notebooks/index.md alone, in its tables' rows (`| 05 | MAML: ... |`): a title is a link where
notebooks/NN_name.ipynb exists. README's table of parts is written from them, between its markers. `--check` changes
nothing and fails when a page is stale.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATTERN = Path(__file__).resolve().parent / "new_chapter"
INDEX, README = "notebooks/index.md", "README.md"
# number, then the title, linked or not, then the rest of the row
ROW = re.compile(r"^\| (\d\d) \| (?:\[(?P<linked>[^\]]+)\]\([^)]*\)|(?P<plain>[^|\[]+?)) \|(?P<rest>.*)$")
BEGIN, END = "<!-- chapters: begin -->", "<!-- chapters: end -->"
# What a new chapter is made of: pattern -> place. Nothing else is touched but the index.
PLACES = {
    "text.py": "notebooks/text/{stem}.py",
    "exercises.py": "metarl_lab/chapters/ch{stem}/exercises.py",
    "figures.py": "metarl_lab/chapters/ch{stem}/figures.py",
    "widget.py": "metarl_lab/chapters/ch{stem}/widget.py",
    "test.py": "tests/chapters/test_ch{stem}.py",
}


def chapters(root: Path = ROOT) -> dict[str, Path]:
    """Number -> executed chapter, for those that exist."""
    found = sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    numbers = [path.name[:2] for path in found]
    twice = {number for number in numbers if numbers.count(number) > 1}
    if twice:
        raise SystemExit(f"more than one chapter has the number {', '.join(sorted(twice))}: a number names one chapter")
    return dict(zip(numbers, found))


def titles(page: Path) -> dict[str, str]:
    """Number -> title, for every chapter that the page lists, written or not."""
    rows = (ROW.match(line) for line in page.read_text(encoding="utf-8").splitlines())
    return {row[1]: row["linked"] or row["plain"] for row in rows if row}


def linked(page: Path, root: Path = ROOT) -> str:
    """The index's text with each chapter row linked as it should be now."""
    existing = chapters(root)

    def row(line: str) -> str:
        match = ROW.match(line)
        if match is None:
            return line
        number, title = match[1], match["linked"] or match["plain"]
        if number in existing:
            title = f"[{title}]({existing[number].name})"
        return f"| {number} | {title} |{match['rest']}"

    return "\n".join(row(line) for line in page.read_text(encoding="utf-8").split("\n"))


def parts(index: Path) -> dict[str, dict[str, str]]:
    """Heading of a part -> {number: title} of its chapters, in the index's order."""
    found: dict[str, dict[str, str]] = {}
    heading = ""
    for line in index.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ").strip()
        elif row := ROW.match(line):
            found.setdefault(heading, {})[row[1]] = row["linked"] or row["plain"]
    return found


def short(title: str) -> str:
    """What a title is about: what stands before its first colon."""
    return title.split(":")[0]


def table_of_parts(root: Path = ROOT) -> str:
    """README's table: a row a part, its chapters by number and short title, linked where they exist."""
    existing = chapters(root)
    lines = ["| Part | Chapters |", "|---|---|"]
    for heading, rows in parts(root / INDEX).items():
        names = [
            f"[{number} {short(title)}](notebooks/{existing[number].name})"
            if number in existing
            else f"{number} {short(title)}"
            for number, title in rows.items()
        ]
        lines.append(f"| {heading} | {' · '.join(names)} |")
    return "\n".join(lines)


def readme(root: Path = ROOT) -> str:
    """README's text with the table of parts as it should be now."""
    text = (root / README).read_text(encoding="utf-8")
    if BEGIN not in text:
        return text
    before, rest = text.split(BEGIN, 1)
    return f"{before}{BEGIN}\n{table_of_parts(root)}\n{END}{rest.split(END, 1)[1]}"


def link(check: bool) -> bool:
    """Bring both pages up to date, or with `check` only say which is not; whether one was stale."""
    stale = False
    for name, text in ((INDEX, linked(ROOT / INDEX)), (README, readme())):
        if text == (ROOT / name).read_text(encoding="utf-8"):
            continue
        stale = True
        print(f"{name}: {'chapter links are stale; run python tools/chapters.py links' if check else 'links updated'}")
        if not check:
            (ROOT / name).write_text(text, encoding="utf-8")
    return stale


def new(number: str, name: str, title: str, root: Path = ROOT) -> list[Path]:
    """Write the files of a new chapter and its line in the index; return the files. Nothing that exists is touched.

    Raises ValueError, before anything is written, for a number that is taken, a name that is no module's name, or a
    title that a table or a file could not hold.
    """
    if not re.fullmatch(r"\d\d", number):
        raise ValueError(f"number {number!r}: give two digits, such as 20")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"name {name!r}: give small letters, digits and underscores, such as games")
    if not title.strip() or re.search(r"[|\[\]\n]", title):
        raise ValueError(f"title {title!r}: give words without |, [ and ], such as 'Game AI'")
    stem = f"{number}_{name}"
    taken = [
        path
        for pattern in ("notebooks/text/{n}_*.py", "metarl_lab/chapters/ch{n}_*", "tests/chapters/test_ch{n}_*.py")
        for path in root.glob(pattern.format(n=number))
    ]
    if taken:
        raise ValueError(f"chapter {number} exists: {taken[0].relative_to(root)}; choose another number")
    index = root / INDEX
    if number not in titles(index):
        raise ValueError(
            f"{INDEX} has no row for {number}; add `| {number} | {title} |` to the part that it belongs to"
        )
    written = []
    for pattern, place in PLACES.items():
        path = root / place.format(stem=stem)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = (PATTERN / pattern).read_text(encoding="utf-8")
        text = text.replace("chNN_name", f"ch{stem}").replace("NN", number).replace("TITLE", title)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    package = root / f"metarl_lab/chapters/ch{stem}/__init__.py"
    package.write_text(f'"""Chapter {number}, {title}."""\n', encoding="utf-8")
    rows = index.read_text(encoding="utf-8").split("\n")
    rows = [f"| {number} | {title} |" if (row := ROW.match(line)) and row[1] == number else line for line in rows]
    index.write_text("\n".join(rows), encoding="utf-8")
    return [*written, package, index]


def count(numbers: list[str]) -> str:
    """A table of how much each chapter explains; a measure, not a limit. D2L has about 18 words a line of code."""
    import nbformat
    import notebook_checks as rules

    wanted = {number.zfill(2) for number in numbers}
    if unknown := wanted - set(chapters()):
        raise ValueError(f"no chapter {', '.join(sorted(unknown))}; there are {', '.join(chapters())}")
    lines = ["chapter                             words   open lines   words a line   comments a line   longest cell"]
    for number, path in chapters().items():
        if wanted and number not in wanted:
            continue
        m = rules.measure(nbformat.read(path, as_version=4))
        lines.append(
            f"{path.stem:32} {m['words']:8,.0f} {m['lines']:12,.0f} {m['words a line']:14.1f} "
            f"{m['comments a line']:17.2f} {m['longest cell']:14.0f}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    starting = commands.add_parser("new", help="start a chapter")
    starting.add_argument("number", help="two digits, such as 20")
    starting.add_argument("name", help="name of its files, such as games")
    starting.add_argument("title", help='such as "Game AI"')
    linking = commands.add_parser("links", help="link the chapters that exist")
    linking.add_argument("--check", action="store_true", help="change nothing; exit 1 when a page is stale")
    counting = commands.add_parser("count", help="measure how much each chapter explains")
    counting.add_argument("numbers", nargs="*", metavar="NN")
    given = parser.parse_args()
    try:
        if given.command == "links":
            sys.exit(link(given.check) and given.check)
        if given.command == "count":
            print(count(given.numbers))
            return
        written = new(given.number, given.name, given.title)
    except ValueError as error:
        parser.error(str(error))
    print("\n".join(f"wrote {path.relative_to(ROOT)}" for path in written))
    print(f"Next: write {written[0].relative_to(ROOT)}, then  make notebooks ARGS={given.number}")


if __name__ == "__main__":
    main()
