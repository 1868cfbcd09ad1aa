"""A Cholesky factor that grows: rows are appended in blocks, and nothing that is there is copied or computed again."""

from __future__ import annotations

import numpy as np

BLOCK = 64  # rows at most: larger blocks are cut, so that nearly all of the work is products of large matrices


class GrowingCholesky:
    """The lower triangular `L` with `L L' = A` of a symmetric positive definite `A` that is given a few rows at a time.

    Golub & Van Loan 2013, section 4.2.9 (block Cholesky by rows). It holds half of `A`: 4 n^2 bytes.
    """

    def __init__(self) -> None:
        # For each block of rows what is left of its corner, and the corner's inverse: a small triangle is inverted once
        # and multiplied often. They are all that there is, so that an interrupt leaves whole blocks.
        self._blocks: list[tuple[np.ndarray, np.ndarray]] = []

    def __len__(self) -> int:
        return sum(len(inverse) for _, inverse in self._blocks)

    @property
    def half_log_det(self) -> float:
        """Half the logarithm of the determinant of `A`."""
        return float(-sum(np.log(np.diag(inverse)).sum() for _, inverse in self._blocks))

    def append(self, columns: np.ndarray) -> None:
        """Adds the last rows of `A`: `columns` `(n + new, new)` is its last columns, where `n` is the size so far.

        Raises numpy.linalg.LinAlgError where `A` is not positive definite.
        """
        old, new = len(self), columns.shape[1]
        for start in range(0, new, BLOCK):
            stop = min(start + BLOCK, new)
            above = self.forward(columns[: old + start, start:stop])
            corner = np.linalg.cholesky(columns[old + start : old + stop, start:stop] - above.T @ above)
            self._blocks.append((np.ascontiguousarray(above.T), np.tril(np.linalg.inv(corner))))

    def forward(self, right: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
        """`L^-1 right` for `right` `(n,)` or `(n, columns)`. `known`: the first rows of it, from when `L` had as many
        rows; they are not computed again."""
        solved = np.empty(right.shape)
        done = 0 if known is None else len(known)
        if known is not None:
            solved[:done] = known
        at = 0
        for left, inverse in self._blocks:
            stop = at + len(inverse)
            if stop > done:
                solved[at:stop] = inverse @ (right[at:stop] - left @ solved[:at])
            at = stop
        return solved

    def backward(self, right: np.ndarray) -> np.ndarray:
        """`L'^-1 right` for `right` `(n,)` or `(n, columns)`."""
        solved = np.array(right, dtype=np.float64)
        at = len(self)
        for left, inverse in reversed(self._blocks):
            start = at - len(inverse)
            solved[start:at] = inverse.T @ solved[start:at]
            solved[:start] -= left.T @ solved[start:at]
            at = start
        return solved
