"""`python -m ordinaut.processes.child`: executes operations that its parent sends, one at a time.

Its arguments are the id of the parent, the module with the table OPERATIONS (functions from bytes to bytes), and the
niceness.

A message is its length in four bytes, one byte and its content. The byte of a request is the operation, that of an
answer 0, or 1 for an operation that raised; its content is then the traceback. The process ends with its parent.
"""

import ctypes
import importlib
import os
import resource
import signal
import sys
import traceback
from typing import BinaryIO

HEADER_BYTES = 5
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
    operations = importlib.import_module(sys.argv[2]).OPERATIONS
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    answers.write(READY)
    answers.flush()
    while (header := requests.read(HEADER_BYTES)) and len(header) == HEADER_BYTES:
        size, operation = int.from_bytes(header[:4], "big"), header[4]
        try:
            content, failed = operations[operation](requests.read(size)), 0
        except Exception:  # noqa: BLE001 - the parent raises it
            content, failed = traceback.format_exc().encode(), 1
        _write(answers, failed, content)


def _write(answers: BinaryIO, kind: int, content: bytes) -> None:
    answers.write(len(content).to_bytes(4, "big") + bytes([kind]) + content)
    answers.flush()


if __name__ == "__main__":
    main()
