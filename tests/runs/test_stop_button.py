"""The notebook's stop button, in a real kernel: the iteration ends, the loop stops, what was learned is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

LOOP = """
import sys, time
sys.path[:0] = {paths!r}
import metarl_lab as ml
from toy import bandit, toy

learners, runs = {{}}, {{}}
for name in ("first", "second", "third"):
    learner = learners[name] = toy()
    if name == "second":
        learner.during = lambda iteration, values: (print("iteration", iteration, flush=True), time.sleep(0.2))
    runs[name] = ml.train(learner, bandit(), 300 if name == "second" else 3, device="cpu", progress=False)
"""
NEXT = "print('finished', list(runs), 'begun', list(learners), 'kept', int(learners['second'].updates))"


def execute(client: Any, source: str, stop: Any = None) -> tuple[str, dict[str, Any] | None]:
    """What a cell printed and its error, if any; `stop` is called once, when it has printed "iteration 3"."""
    request, said, error = client.execute(source), "", None
    while True:
        message = client.get_iopub_msg(timeout=240)
        content = message["content"]
        said += content.get("text", "")
        if message["msg_type"] == "error":
            error = content
        if stop is not None and "iteration 3" in said:
            stop()
            stop = None
        if message["parent_header"].get("msg_id") == request and content.get("execution_state") == "idle":
            return said, error


@pytest.mark.slow
def test_the_stop_button_stops_a_loop_of_trainings_and_the_next_cell_sees_what_was_kept() -> None:
    here = Path(__file__).resolve().parents[1]
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        said, error = execute(client, LOOP.format(paths=[str(here.parent), str(here)]), manager.interrupt_kernel)
        assert error is not None and error["ename"] == "Interrupted", said
        assert "of 300 iterations; the learner keeps what it learned" in error["evalue"]
        assert "stopping when this iteration is done" in said
        after = int(error["evalue"].split("stopped after ")[1].split()[0])
        said, error = execute(client, NEXT)
        assert error is None and after >= 3
        assert said.strip() == f"finished ['first'] begun ['first', 'second'] kept {after}"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
