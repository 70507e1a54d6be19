"""Every stored chapter meets the rules of DESIGN section 5; nothing is executed here (nbval does that)."""

import pytest

import notebooks as tool
from metarl_lab.teach.exercises import every

TEXTS = tool.chapters([])


@pytest.mark.parametrize("text", TEXTS, ids=[t.stem for t in TEXTS])
def test_chapter(text):
    problems = tool.check(text, every("EXERCISES"))
    assert not problems, "\n".join([f"{text.stem}:", *problems])


def test_no_notebook_without_a_text():
    books = sorted(tool.BOOKS.glob("[0-9][0-9]_*.ipynb"))
    assert [b.stem for b in books if b.stem not in {t.stem for t in TEXTS}] == []
