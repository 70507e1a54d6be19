"""Write the tables of docs/results.md and the one of README.md from data/results: `python tools/results_page.py`.

A table stands in its page between two comments, `<!-- name: begin -->` and `<!-- name: end -->`, which no reader sees;
the prose around them is written by hand. `--check` changes nothing and fails when a page is not what data/ says; a test
does the same.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import results_tables as tables

ROOT = Path(__file__).resolve().parent.parent
Table = Callable[[], str]
PAGES: dict[str, dict[str, Table]] = {
    "README.md": {"reach": tables.reach},
    "docs/results.md": {
        "bandits": tables.bandits,
        "trials": tables.trials,
        "wang": tables.wang,
        "tabular": tables.tabular,
        "navigation": tables.navigation,
        "gradient": tables.gradient,
        "off_policy": tables.off_policy,
        "discounts": tables.discounts,
        "rules": tables.rules,
        "models": tables.models,
        "drift": tables.drift,
        "selection": tables.selection,
        "averages": tables.averages,
        "contrast": tables.contrast,
        "speed": tables.speed,
    },
}


def render(text: str, parts: Mapping[str, Table]) -> str:
    """The page with each table between its markers made anew.

    Raises
    ------
    ValueError
        When a table's two markers do not each stand in the page exactly once.
    """
    for name, make in parts.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise ValueError(f"the page must hold {begin} and {end} once each: put them where the table belongs")
        head, rest = text.split(begin)
        text = f"{head}{begin}\n{make()}\n{end}{rest.split(end)[1]}"
    return text


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Write the tables of docs/results.md and README.md from data/results.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when a page is stale")
    check = parser.parse_args().check
    stale = False
    for name, parts in PAGES.items():
        page = ROOT / name
        old = page.read_text(encoding="utf-8")
        new = render(old, parts)
        if new == old:
            continue
        stale = True
        print(f"{name}: {'tables are stale; run python tools/results_page.py' if check else 'tables updated'}")
        if not check:
            page.write_text(new, encoding="utf-8")
    sys.exit(check and stale)


if __name__ == "__main__":
    main()
