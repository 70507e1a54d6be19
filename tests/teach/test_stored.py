"""Stored results: what peek shows is what was computed; csv fields of any size are read back."""

import numpy as np
import pytest

from metarl_lab.teach.stored import stored_or_run


def arrays():
    grid = np.arange(30_000.0).reshape(3, -1, 5)  # one field of more than csv's default limit of 131,072 characters
    grid[0, 0, 0] = np.nan
    return {"grid": grid, "one": np.float64(-2.5)}


def refuse():
    raise AssertionError("peek must not compute")


def test_peek_reads_what_a_run_stored(tmp_path, monkeypatch):
    (tmp_path / "data" / "results").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("METARL_STORE", "01_t")
    stored_or_run("quick", "02_test", arrays)
    computed = stored_or_run("quick", "01_test", arrays)
    shown = stored_or_run("peek", "01_test", refuse)
    assert [f.name for f in (tmp_path / "data" / "results").iterdir()] == ["01_test.csv"]
    assert shown.keys() == computed.keys()
    for key in computed:
        np.testing.assert_allclose(shown[key], computed[key], rtol=1e-5)
        assert shown[key].shape == computed[key].shape


def test_quick_stores_nothing_unless_asked_and_peek_says_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "data" / "results").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("METARL_STORE", raising=False)
    stored_or_run("quick", "01_test", arrays)
    assert not list((tmp_path / "data" / "results").iterdir())
    with pytest.raises(ValueError, match="choose the speed 'quick' or 'full'"):
        stored_or_run("peek", "01_test", refuse)
