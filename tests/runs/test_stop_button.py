"""The notebook's stop button, in a real kernel: the iteration ends, the cell returns, what was learned is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel

CELL = """
import sys, time
sys.path[:0] = {paths!r}
import metarl_lab as ml
from toy import bandit, toy

learner = toy()
learner.during = lambda iteration, values: (print("iteration", iteration, flush=True), time.sleep(0.2))
run = ml.train(learner, bandit(), 300, device="cpu")
print("kept", run.interrupted, run.iterations == len(run.rows) == int(learner.updates))
"""


@pytest.mark.slow
def test_the_stop_button_ends_the_cell_cleanly() -> None:
    here = Path(__file__).resolve().parents[1]
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        request = client.execute(CELL.format(paths=[str(here.parent), str(here)]))
        said, stopped = "", False
        while True:
            message = client.get_iopub_msg(timeout=240)
            content = message["content"]
            said += content.get("text", "")
            assert message["msg_type"] != "error", content
            if "iteration 3" in said and not stopped:
                manager.interrupt_kernel()
                stopped = True
            mine = message["parent_header"].get("msg_id") == request
            if mine and content.get("execution_state") == "idle":
                break
        assert "kept True True" in said and "stopping when this iteration is done" in said
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
