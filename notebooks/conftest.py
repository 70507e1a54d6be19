"""How strict nbval compares chapters: plain text and standard output, on a reader's state of its own.

HTML is left out: highlighting and tables differ between versions of pygments and pandas, and each HTML output has
plain text beside it that is compared. Standard error is left out: progress bars. `tools/notebooks.py check` sees to it
that no stored output has telling content in those two alone.
"""

import os
import tempfile

import nbval.kernel

# A kernel inherits these: progress must neither be read from nor written to the home of whoever runs the tests.
os.environ["METARL_HOME"] = tempfile.mkdtemp(prefix="metarl-nbval-")
os.environ.setdefault("METARL_SPEED", "quick")


def pytest_collectstart(collector):
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("text/html", "stderr")


def patiently(start, tries=3):
    """Start a kernel, again if it died before it ever answered.

    Its ports are chosen first and bound by it a moment later: of two kernels started at once, by two workers, one can
    find a port taken, and dies.
    """

    def start_again(*args, **options):
        for _ in range(tries - 1):
            try:
                return start(*args, **options)
            except RuntimeError:
                continue
        return start(*args, **options)

    return start_again


nbval.kernel.start_new_kernel = patiently(nbval.kernel.start_new_kernel)
