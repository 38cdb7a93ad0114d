"""Named points at which a test may kill the process, to prove that nothing is lost.

A crash point costs one dictionary look-up and does nothing unless the process was started with
`ALBUFERA_CRASH_AT=<name>` (or `<name>:<n>` for the n-th passage). Then the process dies as by
`kill -9`: no handlers, no flushing, no clean-up.
"""

import os
import signal

ENVIRONMENT_VARIABLE = "ALBUFERA_CRASH_AT"

_passages: dict[str, int] = {}


def crash_point(name: str) -> None:
    """Die here, as by kill -9, when the environment names this point; otherwise do nothing."""
    wanted = os.environ.get(ENVIRONMENT_VARIABLE)
    if not wanted:
        return
    point, _, ordinal = wanted.partition(":")
    if point != name:
        return
    _passages[name] = _passages.get(name, 0) + 1
    if _passages[name] >= int(ordinal or "1"):
        os.kill(os.getpid(), signal.SIGKILL)
