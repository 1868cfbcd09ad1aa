"""`method="paper"`: BOREx as published (Kikuchi, Uchida, Waga, Suenaga, ACCV 2022, arXiv 2210.17130).

Bayesian optimisation over square windows: a GP on what each window does to the score, given a heat map as prior mean;
the next window is the one with the largest `mean + 10 std`; the refined map averages the posterior over windows.

The paper is about images of 224 x 224 pixels. What goes beyond is ours:

- Any number of axes: the last two are space and share a half-width, every axis before them (time) has a half-length of
  its own. A window is `(y, x, r)` in an image and `(t, y, x, r, half-length)` in a clip.
- Other sizes: space is measured in units of `min(H, W) / 224` pixels, an earlier axis in units of its length / 224.
  Half-widths, length scales, their bounds and the jitter are all in these units, so at 224 they are the paper's.
- Half-lengths are 1/8, 1/4 and 1/2 of their axis. A coordinate with a single value is left out of the GP, so a clip
  of one frame gives what its image gives.
- Where every pixel as a centre would make more than `MAX_CANDIDATES` windows, centres are thinned evenly in space.
- The standard deviation of the map, which the paper does not have.
"""

from __future__ import annotations

from itertools import combinations_with_replacement, product

import numpy as np

from borex.errors import InputError
from borex.masks import boxes
from borex.windows import WindowGP, along_axes, box_means, fit_length_scales, lag_weights, matern32, outer_sum

HALF_WIDTHS = (30, 45, 60, 75)  # pixels at 224 x 224
HALF_LENGTHS = (1 / 8, 1 / 4, 1 / 2)  # of the axis
PRIOR_SIZE = 0.1  # mean absolute value of the prior mean
# Of a centre and of a half-width or half-length, in units (pixels at 224 x 224).
START_SCALES, LOWEST_SCALE, HIGHEST_SCALE = (12.0, 10.0), 1.0, 20.0
JITTER = (1.0, 0.5)
MAX_CANDIDATES = 2**18
# Acquisitions closer than this are equal and the first window wins, so that rounding never decides.
TIE = 1e-9
# All candidates are compared in float32, those this close to the best once more in float64.
SCREEN = 1e-3
# The map needs one array of the extent for each observation; more than this is done in slabs.
SLAB_BYTES = 64 * 2**20


def candidate_axes(extent: tuple[int, ...]) -> tuple[list[np.ndarray], np.ndarray]:
    """The values of every coordinate of a window, in pixels or frames, and the stride of each axis's centres.

    The coordinates: a centre for each axis of the extent, the half-width in space, a half-length for each axis before
    the last two. The candidates are all combinations, in C order.
    """
    *early, height, width = extent
    side = min(height, width)
    shapes = [np.unique(np.maximum(np.rint(np.multiply(HALF_WIDTHS, side / 224)), 1).astype(int))]
    shapes += [np.unique(np.maximum(np.rint(np.multiply(HALF_LENGTHS, size)), 1).astype(int)) for size in early]
    stride, others = 1, np.prod([*early, *map(len, shapes)])
    while stride < side and others * -(-height // stride) * -(-width // stride) > MAX_CANDIDATES:
        stride += 1
    space = [np.arange((stride - 1) // 2, size, stride) for size in (height, width)]
    return [*map(np.arange, early), *space, *shapes], np.array([1] * len(early) + [stride, stride])


def half_sizes(shape: np.ndarray) -> np.ndarray:
    """How far a window reaches along each axis, from its shape: the half-width, then the half-lengths."""
    return np.concatenate([shape[1:], shape[[0, 0]]])


class Published:
    """The published method, driven from outside: `ask` for two masks, `tell` their scores, then `posterior`.

    Its state is the record `windows`, `points`, `scores`; give it to `observe` of a new object to replay a run exactly.
    """

    def __init__(
        self,
        extent: tuple[int, ...],
        initial: np.ndarray,
        rng: np.random.Generator,
        *,
        gain: float = 10.0,
        exploration: float = 10.0,
        noise: float = 0.01,
    ) -> None:
        """`extent`: at least two axes, the last two are space. `initial`: the heat map `(*extent,)`, finite, any scale;
        all zeros is allowed and means no prior knowledge. `rng`: draws the jitter, and nothing else.

        `gain`: of the saliency `tanh(gain d / 2)`; 0 takes the score difference `d` itself. `exploration`: how many
        standard deviations are added to the mean. `noise`: variance of the observed saliency, > 0.
        Raises InputError where the shapes do not fit.
        """
        self.extent = tuple(int(size) for size in extent)
        if len(self.extent) < 2 or min(self.extent) < 1:
            raise InputError(f"the extent is {extent}; expected (H, W), (T, H, W) or more axes, each at least 1")
        prior = np.asarray(initial, dtype=np.float64)
        if prior.shape != self.extent:
            raise InputError(f"the initial map has shape {prior.shape}; expected the extent {self.extent}")
        size = np.abs(prior).mean()
        self._prior = prior * (PRIOR_SIZE / size) if size > 0 else prior
        self._rng, self._gain, self._exploration, self._noise = rng, gain, exploration, noise

        self._axes, self._strides = candidate_axes(self.extent)
        n_centres, early = len(self.extent), np.divide(self.extent[:-2], 224)
        space = min(self.extent[-2:]) / 224
        units = np.concatenate([early, [space, space, space], early])
        is_shape = (np.arange(len(units)) >= n_centres).astype(int)
        self._start, self._jitter = units * np.take(START_SCALES, is_shape), units * np.take(JITTER, is_shape)
        self._bounds = units * LOWEST_SCALE, units * HIGHEST_SCALE
        self._free = np.array([len(values) > 1 for values in self._axes])
        self._centre_prior = self._prior[np.ix_(*self._axes[:n_centres])]

        self.windows = np.empty((0, len(units)), dtype=int)  # asked: centre, half-width, half-lengths
        self.points = np.empty((0, len(units)))  # what the GP was told instead: jittered
        self.scores = np.empty((0, 2))  # kept, hidden
        self._asked: np.ndarray | None = None
        self._fitted: WindowGP | None = None

    def ask(self) -> np.ndarray:
        """Bool masks `(2, *extent)`, 1 = kept: only the next window kept, only the next window hidden.

        The window is the candidate with the largest `mean + exploration * std`; ties go to the first, so the first
        round asks for the smallest window at the arg-max pixel of the initial map. Asking again gives the same masks.
        """
        if self._asked is None:
            gp, n = self._gp(), len(self.extent)
            prior = np.expand_dims(self._centre_prior, tuple(range(n, len(self._axes))))
            coarse = self._acquisition(prior, *gp.on_grid(self._axes, np.float32))
            at = np.nonzero(coarse >= coarse.max() - SCREEN)
            likely = np.stack([values[i] for values, i in zip(self._axes, at, strict=True)], axis=1)
            exact = self._acquisition(self._prior[tuple(likely[:, :n].T)], *gp.predict(likely))
            self._asked = likely[np.argmax(exact >= exact.max() - TIE)]
        n = len(self.extent)
        half = half_sizes(self._asked[n:])
        kept = boxes((self._asked[:n] - half)[None], (self._asked[:n] + half)[None], self.extent)
        return np.concatenate([kept, ~kept])

    def _acquisition(self, prior: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
        mean = prior + mean
        return mean + self._exploration * std

    def tell(self, scores: np.ndarray) -> None:
        """Takes the target's probabilities `(2,)` under the masks last asked for: kept, hidden."""
        if self._asked is None:
            raise InputError("tell came before ask; ask for masks first, each answer is told once")
        self.observe(self._asked[None], np.asarray(scores, dtype=np.float64)[None])

    def observe(self, windows: np.ndarray, scores: np.ndarray, points: np.ndarray | None = None) -> None:
        """Adds windows `(n, k)` and their scores `(n, 2)`, kept and hidden, to the record.

        `points` `(n, k)`: the jittered windows of an earlier record; None draws the jitter as `tell` does.
        """
        windows, scores = np.asarray(windows), np.asarray(scores, dtype=np.float64)
        k, n_centres = len(self._axes), len(self.extent)
        if windows.ndim != 2 or windows.shape[1] != k or scores.shape != (len(windows), 2):
            raise InputError(f"windows {windows.shape} and scores {scores.shape}; expected (n, {k}) and (n, 2)")
        if ((windows[:, :n_centres] < 0) | (windows[:, :n_centres] >= self.extent)).any():
            raise InputError(f"a window's centre lies outside the extent {self.extent}")
        if points is None:
            points = windows.astype(np.float64)
            points[:, self._free] += self._rng.normal(size=(len(windows), self._free.sum())) * self._jitter[self._free]
        elif np.shape(points) != windows.shape:
            raise InputError(f"points {np.shape(points)}; expected one for each of the windows {windows.shape}")
        # In one statement: an interrupt comes before it or after it.
        vars(self).update(
            windows=np.concatenate([self.windows, windows]), points=np.concatenate([self.points, points]),
            scores=np.concatenate([self.scores, scores]), _asked=None, _fitted=None,
        )  # fmt: skip

    def posterior(self) -> tuple[np.ndarray, np.ndarray]:
        """The saliency map and its standard deviation, each `(*extent,)` float64, in units of the windows' saliency.

        A pixel's saliency is the average, over all half-widths and half-lengths, of the posterior mean over the
        windows of that shape whose centre is at most that far from the pixel along every axis: a `(2r + 1)^2` box, cut
        at the border, where the average is over the centres that exist. The standard deviation is that of this
        average under the posterior, not an average of standard deviations, which would be several times too large.
        """
        slabs = min(self.extent[0], 1 + self._prior.nbytes * len(self.points) // SLAB_BYTES)
        parts = [self._map(rows) for rows in np.array_split(np.arange(self.extent[0]), slabs)]
        mean, std = (np.concatenate(part) for part in zip(*parts, strict=True))
        return mean, std

    def profile(self) -> tuple[np.ndarray, np.ndarray]:
        """The mean of the map over the last two axes, which are space, and its standard deviation under the posterior,
        each `(*extent[:-2],)` float64, in units of the windows' saliency."""
        mean, std = self._map(np.arange(self.extent[0]), over_space=True)
        return mean[..., 0, 0], std[..., 0, 0]

    def _map(self, rows: np.ndarray, over_space: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the map at the given positions of the first axis; `over_space`: of its mean
        over the last two axes, of size 1 then.

        The map is linear in the windows' saliency, hence Gaussian: its covariances with the observations are averages
        of the kernel's columns, its prior variance is a double average of the kernel over lags between centres.
        """
        gp, n = self._gp(), len(self.extent)
        centres, shapes = self._axes[:n], np.array(list(product(*self._axes[n:])))
        averages = []
        for shape in shapes:
            # A radius below the stride could leave a pixel without a centre; this matters for absurd extents only.
            radii = np.maximum(half_sizes(shape), self._strides - 1)
            matrices = [box_means(*axis) for axis in zip(self.extent, centres, radii, strict=True)]
            matrices = [matrices[0][rows], *matrices[1:]]
            if over_space:
                matrices[-2:] = [matrix.mean(axis=0, keepdims=True) for matrix in matrices[-2:]]
            averages.append(matrices)

        mean = sum(along_axes(self._centre_prior[None], matrices)[0] for matrices in averages) / len(shapes)
        columns = [gp.squares(axis, positions) for axis, positions in enumerate(centres)]
        seen = np.zeros((len(self.points), *mean.shape))
        for shape, matrices in zip(shapes, averages, strict=True):
            offset = sum(gp.squares(n + i, shape[i : i + 1]) for i in range(len(shape)))
            kernel = matern32(outer_sum(columns) + offset).reshape(len(seen), *self._centre_prior.shape)
            seen += along_axes(kernel / len(shapes), matrices)

        lags = [
            3.0 * (np.arange(len(at)) * (stride / scale))[None] ** 2
            for at, stride, scale in zip(centres, self._strides, gp.length_scales[:n], strict=True)
        ]
        variance = np.zeros(mean.shape)
        for i, j in combinations_with_replacement(range(len(shapes)), 2):
            offset = 3.0 * (((shapes[i] - shapes[j]) / gp.length_scales[n:]) ** 2).sum()
            kernel = matern32(outer_sum(lags) + offset).reshape(1, *self._centre_prior.shape)
            weights = [lag_weights(*both) for both in zip(averages[i], averages[j], strict=True)]
            variance += along_axes(kernel, weights)[0] * ((1 if i == j else 2) / len(shapes) ** 2)

        mean = mean + np.tensordot(gp.weights, seen, axes=1)
        variance -= (np.tensordot(gp.whiten, seen, axes=1) ** 2).sum(axis=0)
        return mean, np.sqrt(np.maximum(variance, 0.0))

    def _gp(self) -> WindowGP:
        """The GP given everything told so far; its length scales are fitted afresh, from the paper's start."""
        if self._fitted is None:
            centres = tuple(self.windows[:, : len(self.extent)].T)
            difference = self.scores[:, 0] - self.scores[:, 1]
            saliency = np.tanh(self._gain * difference / 2) if self._gain else difference
            residual, free = saliency - self._prior[centres], self._free
            scales = np.where(free, self._start, np.inf)
            if len(residual) and free.any():
                bounds = self._bounds[0][free], self._bounds[1][free]
                scales[free] = fit_length_scales(self.points[:, free], residual, self._start[free], bounds, self._noise)
            self._fitted = WindowGP.given(self.points, residual, scales, self._noise)
        return self._fitted
