"""Link the chapters that exist in notebooks/index.md and in the README's map.

The titles live in those pages' own table rows (`| 05 | MAML: ... |`); this only turns a title into a link where
notebooks/NN_name.ipynb exists, and back where it does not. `--check` changes nothing and fails when a page is stale.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("notebooks/index.md", "README.md")
# number, then the title, linked or not, then the rest of the row
ROW = re.compile(r"^\| (\d\d) \| (?:\[(?P<linked>[^\]]+)\]\([^)]*\)|(?P<plain>[^|\[]+?)) \|(?P<rest>.*)$")


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
    """The page's text with each chapter row linked as it should be now."""
    existing = chapters(root)

    def row(line: str) -> str:
        match = ROW.match(line)
        if match is None:
            return line
        number, title = match[1], match["linked"] or match["plain"]
        if number in existing:
            # Pages are at the top or beside the chapters, so a link never has to climb.
            title = f"[{title}]({existing[number].relative_to(page.parent).as_posix()})"
        return f"| {number} | {title} |{match['rest']}"

    return "\n".join(row(line) for line in page.read_text(encoding="utf-8").split("\n"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when a page is stale")
    check = parser.parse_args().check
    stale = False
    for name in PAGES:
        page = ROOT / name
        text = linked(page)
        if text == page.read_text(encoding="utf-8"):
            continue
        stale = True
        print(
            f"{name}: {'chapter links are stale; run python tools/chapters.py' if check else 'chapter links updated'}"
        )
        if not check:
            page.write_text(text, encoding="utf-8")
    sys.exit(check and stale)


if __name__ == "__main__":
    main()
