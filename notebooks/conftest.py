"""How strict nbval compares chapters: plain text and standard output, on a reader's state of its own.

HTML is left out: highlighting and tables differ between versions of pygments and pandas, and each HTML output has
plain text beside it that is compared. Standard error is left out: progress bars. `tools/notebooks.py check` sees to it
that no stored output has telling content in those two alone.
"""

import os
import tempfile

# A kernel inherits these: progress must neither be read from nor written to the home of whoever runs the tests.
os.environ["METARL_HOME"] = tempfile.mkdtemp(prefix="metarl-nbval-")
os.environ.setdefault("METARL_SPEED", "quick")


def pytest_collectstart(collector):
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("text/html", "stderr")
