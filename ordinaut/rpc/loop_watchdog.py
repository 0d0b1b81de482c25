"""Ends a process whose event loop does not turn while it uses the CPU.

A regular expression or a validator in native code can hold the interpreter for ever, and then no Python code of the
process can end it. So the loop re-arms a timer of the kernel that counts CPU time of the process. If the loop does not
turn for three seconds of CPU time, the timer's signal writes the stacks of all threads to standard error, and its
default action ends the process; a supervisor starts it anew. A stopped process and a slow machine use no CPU time.
"""

import asyncio
import faulthandler
import signal
from collections.abc import Callable

CPU_SECONDS = 3.0
REARM_SECONDS = 0.25


def watch_loop(loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
    """Begins to watch the loop of the main thread; returns the function that ends the watch."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # an ignored signal is inherited from the parent process
    faulthandler.register(signal.SIGPROF, all_threads=True, chain=True)
    handle: asyncio.TimerHandle

    def rearm() -> None:
        nonlocal handle
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        handle = loop.call_later(REARM_SECONDS, rearm)

    def stop() -> None:
        handle.cancel()
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.unregister(signal.SIGPROF)

    rearm()
    return stop
