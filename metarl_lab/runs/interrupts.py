"""Ctrl-C and the notebook's stop button, put off to a moment when nothing is half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any


class Interrupts:
    """While entered, the first SIGINT only sets ``asked``; the second raises KeyboardInterrupt, as it always did.

    Outside the main thread Python delivers no signals, and this does nothing.
    """

    def __init__(self, say: Callable[[str], Any] = print) -> None:
        self.asked = False
        self._say = say
        self._previous: Any = None
        self._main = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Interrupts:
        if self._main:
            self._previous = signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._main:
            # None: a handler that was not installed from Python
            signal.signal(signal.SIGINT, signal.SIG_DFL if self._previous is None else self._previous)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        self._say("stopping when this iteration is done; interrupt again to undo it and stop at once")
