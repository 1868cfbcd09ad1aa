"""One thread a process, whatever libraries there are, and no process that outlives the run."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import connection, parent_process
from threading import Thread

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def start() -> None:
    """Makes a process a worker: one thread, Ctrl-C is the parent's business, and it ends with the parent."""
    os.environ.update(dict.fromkeys(THREADS, "1"))  # for what is loaded from here on
    import scipy.linalg  # noqa: F401  its BLAS must be loaded to be limited
    from threadpoolctl import threadpool_limits

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    threadpool_limits(1)
    _limit_torch(1)


def _end_with_parent() -> None:
    """A parent that was killed says nothing to its workers, which would wait for work for ever."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


@contextmanager
def single_threaded() -> Iterator[None]:
    """Limits the libraries that are loaded, the model's too (`borex.threads` limits BLAS alone), to one thread;
    afterwards they have as many as before."""
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_limits

    before = None
    with threadpool_limits(1):
        try:
            before = _limit_torch(1)
            yield
        finally:
            if before is not None:
                _limit_torch(before)


def _limit_torch(n: int) -> int | None:
    """Its threads until now; None where it is not loaded, and it is not loaded for this."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    before: int = torch.get_num_threads()
    torch.set_num_threads(n)
    return before
