"""Build the book as a static site from the stored outputs: `make site`. Nothing is executed, nothing is downloaded.

Jupyter Book 1 wants a table of contents that names only pages that exist, so it is written here from the chapter
index; docs/_config.yml holds the rest. The result is site/_build/html/index.html, and it reads the same without a
network: its formulas are typeset by the MathJax that is copied beside its pages.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from chapters import ROOT, chapters

# Only these go into the book: Sphinx would otherwise walk .venv and runs/.
PAGES = ("README.md", "docs/*.md", "data/README.md", "data/published/README.md", "CONTRIBUTING.md", "CHANGELOG.md")
BESIDE = ("notebooks", "docs/_static", "docs/screenshot.png", "LICENSE", "LICENSE-PROSE")
WIDGET = "application/vnd.jupyter.widget-view+json"

# MathJax comes as a package of the site's environment, so one set-up, with its mirrors and its offline wheels, serves
# for it too. Its files are, byte for byte, the folder es5/ of npm's mathjax 3.2.2, whose integrity is
# sha512-Bt+SSVU8eBG27zChVewOicYs7Xsdt40qm4+UpHyX7k0/O9NliPc+x77k1/FEsPsjKPZGJvtRZM1vO+geW0OhGw==
MATHJAX_PACKAGE = "sphinx-mathjax-offline"
# All of TeX in one file, the fonts that it asks for, and what reads formulas aloud when a reader asks MathJax's menu.
MATHJAX_FILES = (
    "tex-chtml-full.js",
    "output/chtml/fonts/woff-v2/*.woff",
    "a11y/*.js",
    "input/mml.js",
    "sre/mathmaps/base.json",
    "sre/mathmaps/en.json",
)
MATHJAX_SHA256 = "c10ddf31e4aa49af3f93d633c7fce9986f8bd2ac75c5cb5636fbc1330aa30345"


class Unready(Exception):
    """The book cannot be built here; the message says why and what to do."""


def stage(folder: Path) -> None:
    """Copy what the book is made of to a folder of its own."""
    shutil.rmtree(folder, ignore_errors=True)
    for source in [*(ROOT / name for name in BESIDE), *pages()]:
        target = folder / source.relative_to(ROOT)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("text", ".ipynb_checkpoints", "__pycache__"))
        elif source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    (folder / "docs" / "_static").rename(folder / "_static")  # where Jupyter Book looks for style sheets
    for notebook in (folder / "notebooks").glob("*.ipynb"):
        notebook.write_text(without_widgets(notebook.read_text(encoding="utf-8")), encoding="utf-8")


def without_widgets(notebook: str) -> str:
    """The notebook with its stored pictures in place of widgets, which would ask other hosts for their scripts."""
    content = json.loads(notebook)
    content["metadata"].pop("widgets", None)
    for cell in content["cells"]:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET, None)
    return json.dumps(content)


def pages() -> list[Path]:
    """The pages beside the chapters, in their order."""
    return [path for pattern in PAGES for path in sorted(ROOT.glob(pattern))]


def contents() -> str:
    """The table of contents: the index first, then the chapters that exist, then the pages beside them."""
    parts = {"Chapters": list(chapters().values()), "The project": pages()}
    lines = ["format: jb-book", "root: notebooks/index", "parts:"]
    for caption, paths in parts.items():
        files = [f"      - file: {path.relative_to(ROOT).with_suffix('').as_posix()}" for path in paths]
        lines += [f"  - caption: {caption}", "    chapters:", *files]
    return "\n".join([*lines, ""])


def mathjax() -> dict[str, bytes]:
    """The files of MathJax that a page may ask for, by their names in its folder; checked against their digest."""
    again = "remove the folder .venv-site and run `make site` again"
    try:
        package = distribution(MATHJAX_PACKAGE)
    except PackageNotFoundError:
        raise Unready(f"MathJax is not installed ({MATHJAX_PACKAGE}): {again}, with a network.") from None
    folder = Path(str(package.locate_file(MATHJAX_PACKAGE))) / "static" / "mathjax"
    paths = sorted(path for pattern in MATHJAX_FILES for path in folder.glob(pattern))
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    if digest(files) != MATHJAX_SHA256:
        raise Unready(f"the files of MathJax in {folder} are not those that were published: {again}.")
    return files


def digest(files: dict[str, bytes]) -> str:
    """One sha256 of all names and contents."""
    whole = sha256()
    for name, content in sorted(files.items()):
        whole.update(f"{name}\0{len(content)}\0".encode() + content)
    return whole.hexdigest()


def build(out: Path) -> int:
    """Build the site in a folder; return the exit status."""
    scripts = mathjax()
    source = out / "source"
    stage(source)
    shutil.rmtree(out / "_build", ignore_errors=True)  # a page that the book no longer has must not stay
    toc = source / "_toc.yml"
    toc.write_text(contents(), encoding="utf-8")
    config = ROOT / "docs" / "_config.yml"
    command = ["jupyter-book", "build", str(source), "--config", str(config), "--toc", str(toc)]
    command[0] = str(Path(sys.executable).with_name(command[0]))
    code = subprocess.run([*command, "--path-output", str(out)]).returncode
    # After the build: Jupyter Book would call every script of _static on every page.
    for name, content in scripts.items():
        target = out / "_build" / "html" / "_static" / "mathjax" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return code


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "site", help="folder to build in (default: site/)")
    out = parser.parse_args().out.resolve()
    try:
        code = build(out)
    except Unready as reason:
        sys.exit(f"The book was not built: {reason}")
    if code == 0:
        print(f"\nThe book: {(out / '_build' / 'html' / 'index.html').as_uri()}")
    sys.exit(code)


if __name__ == "__main__":
    main()
