"""Every stored chapter meets the rules of DESIGN section 5; nothing is executed here (nbval does that)."""

import importlib.util

import nbval.kernel
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


def test_a_kernel_that_dies_at_its_start_is_started_again_but_not_for_ever(monkeypatch):
    for name in ("METARL_HOME", "METARL_SPEED"):  # which the module sets for the kernels of nbval
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(nbval.kernel, "start_new_kernel", nbval.kernel.start_new_kernel)
    spec = importlib.util.spec_from_file_location("chapter_conftest", tool.BOOKS / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    starts = []

    def start(deaths):
        starts.append(deaths)
        if len(starts) <= deaths:
            raise RuntimeError("Kernel died before replying to kernel_info")
        return "kernel"

    assert module.patiently(start)(2) == "kernel" and len(starts) == 3
    starts.clear()
    with pytest.raises(RuntimeError, match="died"):
        module.patiently(start)(99)
