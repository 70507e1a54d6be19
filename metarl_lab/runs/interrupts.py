"""Ctrl-C, the notebook's stop button, and a system that ends the process: put off until nothing is half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

# SIGHUP: a terminal that is closed. Windows has neither of the last two.
_SIGNALS = [number for name in ("SIGINT", "SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None]


class Interrupts:
    """While entered, the first signal only sets ``asked``; the second raises KeyboardInterrupt, as it always did.

    Within ``whole()`` the second is put off too, and raised by nobody: what stands there must not be done by halves,
    and when it is done the first one is obeyed. Outside the main thread Python delivers no signals, and this does
    nothing.
    """

    def __init__(self, say: Callable[[str], Any] = print) -> None:
        self.asked = 0  # the signal that asked first
        self._say = say
        self._whole = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:  # nohup: a closed terminal shall not matter
                    self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, previous in self._previous.items():
            # None: a handler that was not installed from Python
            signal.signal(number, signal.SIG_DFL if previous is None else previous)

    @contextmanager
    def whole(self) -> Iterator[None]:
        """What is done in here is done whole, however often somebody asks."""
        before, self._whole = self._whole, True
        try:
            yield
        finally:
            self._whole = before

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if not self.asked:
            self.asked = number
            self._say("stopping when this iteration is done; interrupt again to undo it and stop at once")
        elif not self._whole:
            self._whole = True  # undoing is whole, too
            raise KeyboardInterrupt
