"""
Ties between processes: a child never outlives its parent.

Linux keeps the promise (`PR_SET_PDEATHSIG`), so it holds even when the parent is ended
by `kill -9` and can tell nobody. Elsewhere these functions do nothing. Starting and
watching processes is the supervisor's business, not this module's.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import sys
from signal import Signals

_PR_SET_PDEATHSIG = 1  # from linux/prctl.h


def die_with_parent(sig: Signals = signal.SIGKILL) -> None:
    """
    Ask the kernel to send this process `sig` when its parent ends.

    For processes that a library starts for us (a web server's workers), called first
    thing in what they import. A parent already gone ends this process at once.
    """
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, sig.value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    # It may have ended just before we asked; then no signal will come.
    if os.getppid() != parent:
        os.kill(os.getpid(), sig)


def tied(command: list[str], sig: Signals = signal.SIGKILL) -> list[str]:
    """
    Return the command so changed that its process gets `sig` when its parent ends.

    The tie is to the *thread* that starts it: start children from the main thread.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return command
    return [setpriv, "--pdeathsig", sig.name.removeprefix("SIG"), *command]
