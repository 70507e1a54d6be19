"""Build the book as a static site from the stored outputs: `make site`. Nothing is executed.

Jupyter Book 1 wants a table of contents that names only pages that exist, so it is written here from the chapter
index; docs/_config.yml holds the rest. The result is site/_build/html/index.html.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from chapters import ROOT, chapters

# Only these go into the book: Sphinx would otherwise walk .venv and runs/.
SOURCES = ("notebooks", "docs/screenshot.png", "README.md", "CHANGELOG.md", "CONTRIBUTING.md")


def stage(folder: Path) -> None:
    """Copy what the book is made of to a folder of its own."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in SOURCES:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("text", ".ipynb_checkpoints", "__pycache__"))
        elif source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def contents() -> str:
    """The table of contents: the index first, then the chapters that exist."""
    lines = ["format: jb-book", "root: notebooks/index", "chapters:"]
    lines += [f"  - file: notebooks/{path.stem}" for path in chapters().values()]
    return "\n".join([*lines, "  - file: README", "  - file: CONTRIBUTING", "  - file: CHANGELOG", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "site", help="folder to build in (default: site/)")
    out = parser.parse_args().out.resolve()
    source = out / "source"
    stage(source)
    toc = source / "_toc.yml"
    toc.write_text(contents(), encoding="utf-8")
    config = ROOT / "docs" / "_config.yml"
    command = ["jupyter-book", "build", str(source), "--config", str(config), "--toc", str(toc)]
    command[0] = str(Path(sys.executable).with_name(command[0]))
    code = subprocess.run([*command, "--path-output", str(out)]).returncode
    page = out / "_build" / "html" / "index.html"
    if code == 0:
        print(f"\nThe book: {page.as_uri()}")
    sys.exit(code)


if __name__ == "__main__":
    main()
