"""Signals while a process is still being loaded, which takes a second or so.

Until a handler is installed, the kernel drops the signals of a container's first process, and SIGHUP kills any other.
This module must import nothing that takes time.
"""

import os
import signal


def handle_early_signals() -> None:
    """SIGTERM and SIGINT end the process with 0: nothing has been begun. SIGHUP does nothing: nothing is loaded yet.

    `stop_on_signals` and `reload_on_signal` take over once there is an event loop.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: os._exit(0))
    signal.signal(signal.SIGHUP, lambda number, frame: None)
