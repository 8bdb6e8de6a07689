"""The lessons' programs: each algorithm's loop once, and the worlds that it runs in."""

import sys
from types import TracebackType


def _stop_kindly(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Say that Ctrl-C was heard, in the place of a traceback, wherever it finds a program: in its imports, too."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    print("\nStopped. 已停止。", file=sys.stderr)


sys.excepthook = _stop_kindly
