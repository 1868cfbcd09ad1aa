"""One thread for the small matrices.

The matrices of the regression are small; threads only slow them, and BLAS threads that wait for work hold the very
cores that the model's own threads need (measured: the model itself ran 1.7 times slower beside them on two cores).

The number of BLAS threads is the process's. It is set from the main thread alone: of several of the caller's threads
each would put back what it had found, and the last one what another had set.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from threading import current_thread, main_thread
from typing import Any


@lru_cache(maxsize=1)
def _controller() -> Any:
    import scipy.linalg  # noqa: F401  each brings a BLAS of its own; both must be loaded to be seen
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def one_thread() -> AbstractContextManager[Any]:
    """A context in which BLAS runs on one thread; whatever was set before is restored. Outside of the main thread a
    context that changes nothing."""
    if current_thread() is not main_thread():
        return nullcontext()
    return _controller().limit(limits=1, user_api="blas")
