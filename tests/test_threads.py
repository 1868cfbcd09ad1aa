"""BLAS works on one thread for as long as the main thread's regression does, and other threads change nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from threadpoolctl import threadpool_info

from borex.threads import one_thread


def threads() -> list[int]:
    return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]


def inside(_: int) -> list[int]:
    with one_thread():
        return threads()


def test_of_several_threads_none_changes_what_is_the_processs() -> None:
    assert {*inside(0)} == {1}
    before = threads()
    if {*before} == {1}:
        pytest.skip("BLAS has one thread here")
    with ThreadPoolExecutor(2) as pool:
        assert [*pool.map(inside, range(4))] == [before] * 4
    assert threads() == before
