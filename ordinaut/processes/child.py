"""`python -m ordinaut.processes.child`: executes operations that its parent sends, one at a time.

Its arguments are the id of the parent, the module with the table OPERATIONS (functions from bytes to bytes), and the
niceness.

A request is the length of its content and the CPU time that it may use in microseconds, four bytes each, a byte for the
operation, and the content. An answer is the length of its content in four bytes, a byte that is 1 if the operation
raised, and the content, which is then the traceback. A timer of the kernel ends the process if an operation uses more
CPU time, also while native code holds the interpreter. The process ends with its parent.
"""

import ctypes
import importlib
import os
import resource
import signal
import struct
import sys
import traceback

REQUEST_HEADER = struct.Struct(">IIB")
ANSWER_HEADER = struct.Struct(">I?")
READY = b"+"
"""The first byte from the process; its start does not count towards the deadline of an operation."""
ADDRESS_SPACE_BYTES = 1024 * 1024 * 1024
PR_SET_PDEATHSIG = 1


def main() -> None:
    """Answers requests from standard input on standard output until it is closed."""
    parent = int(sys.argv[1])
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before it could be followed
        return
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    os.nice(int(sys.argv[3]))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # which ends the process
    operations = importlib.import_module(sys.argv[2]).OPERATIONS
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    answers.write(READY)
    answers.flush()
    while len(header := requests.read(REQUEST_HEADER.size)) == REQUEST_HEADER.size:
        size, cpu_us, operation = REQUEST_HEADER.unpack(header)
        request = requests.read(size)
        signal.setitimer(signal.ITIMER_PROF, cpu_us / 1_000_000)
        try:
            content, failed = operations[operation](request), False
        except Exception:  # noqa: BLE001 - the parent raises it
            content, failed = traceback.format_exc().encode(), True
        signal.setitimer(signal.ITIMER_PROF, 0)
        answers.write(ANSWER_HEADER.pack(len(content), failed) + content)
        answers.flush()


if __name__ == "__main__":
    main()
