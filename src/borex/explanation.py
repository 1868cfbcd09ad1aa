"""What `refine` returns: the refined heat map, how sure it is, and everything needed to check or go on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from borex.blackbox import Output
from borex.errors import FileError, InputError
from borex.layout import channels_last, middles, resize, to_channels_last
from borex.masks import spread
from borex.settings import Settings
from borex.targets import Target, TargetLike


@dataclass(frozen=True)
class Check:
    """What the never-worse check measured on this input: for each map the mean over `shares` of (score with only its
    top share kept) - (score with it hidden). `chosen`: the map that was better, which is the one returned."""

    shares: tuple[float, ...]
    initial: float
    refined: float
    chosen: str

    @property
    def gain(self) -> float:
        """How much better the refined map did, in score units."""
        return self.refined - self.initial


@dataclass(frozen=True)
class Record:
    """Everything that was asked and answered: the seen share of each cell `(n, *grid)`, the scores of every class
    `(n, classes)`, which baseline hid `(n,)`, the windows of `paper`, the numbers of the answers to the initial and to
    the refined map's side of the check (fewer than all where it was cut short), the initial map at the masks' extent,
    how much the baselines change each cell `(*grid)` and what the cells look like `(*grid, k)` (None: not known)."""

    settings: Settings
    coverage: np.ndarray
    scores: np.ndarray
    fills: np.ndarray
    points: np.ndarray
    initial_side: np.ndarray
    check_side: np.ndarray
    initial: np.ndarray | None
    change: np.ndarray | None
    appearance: np.ndarray | None


@dataclass(frozen=True)
class Excerpt:
    """Which part of a longer recording was explained: its `source`, the `seconds` at which each frame of the media
    appears in it, `(T,)`, and the frames a second `fps` at which they play as fast as it does."""

    source: str
    seconds: tuple[float, ...]
    fps: float


@dataclass(frozen=True, eq=False)  # arrays have no one answer to ==
class Explanation:
    """A heat map of one input, how sure it is, and where it came from.

    `saliency`, `std`: float32 `(*extent,)` of the media, raw: in log-odds a cell for `field`, in the windows' saliency
    for `paper`. Where the check chose the initial map, `saliency` is that map, in its own units.
    `profile_std`: float32, of the means of the refined map over the last two axes (`time_profile`); None where there
    are no others. `initial`: the map that was refined (zeros: flat). `trust`: posterior mean and std of the factor on
    the standardised initial map; None where it is flat or the method has none. `score`: of the untouched input.
    `evals`: model inputs used. `history`: a dictionary a round. `media`: the very array that was
    given, not a copy. `excerpt`: of media from a video file.
    """

    saliency: np.ndarray = field(repr=False)
    std: np.ndarray = field(repr=False)
    profile_std: np.ndarray | None = field(repr=False)
    initial: np.ndarray = field(repr=False)
    trust: tuple[float, float] | None
    target: Target
    score: float
    evals: int
    stop_reason: str
    history: tuple[dict[str, float], ...] = field(repr=False)
    check: Check | None
    record: Record = field(repr=False)
    labels: tuple[str, ...] | None = field(default=None, repr=False)
    media: np.ndarray | None = field(default=None, repr=False)
    excerpt: Excerpt | None = None

    def at(
        self, media: Any, initial: np.ndarray | None, excerpt: Excerpt | None = None, *, layout: str = "auto"
    ) -> Explanation:
        """The same explanation at the size of the media, in any `layout` that `borex.refine` takes; `initial`: the map
        as it was given; `excerpt`: where the media is from. Along an axis that has fewer pixels or frames than the map
        has cells each gets their mean, and for the standard deviation that of theirs, which is the most that it can
        be."""
        media = self._media(media, layout)
        extent = media.shape[:-1]
        given = self.initial if initial is None else initial
        # A flat map is one value seen everywhere: of a large clip it would be an array as large as all others.
        shown = np.zeros((), np.float32) if np.ptp(given) == given.flat[0] == 0 else given
        shown = resize(shown.astype(np.float32), extent, np.float32) if shown.ndim else np.broadcast_to(shown, extent)
        coarse = self.record.settings.method == "field"

        def brought(values: np.ndarray) -> np.ndarray:
            axes = values.ndim
            if values.shape == extent[:axes]:
                return values
            if coarse:
                cells = _cells(values, self.record.settings.grid[:axes])
                cells = resize(cells, tuple(map(min, cells.shape, extent)))
                return np.ascontiguousarray(spread(cells[None], extent[:axes])[0])
            return resize(values, extent[:axes], np.float32)

        saliency = shown if self.kept_initial else brought(self.saliency)
        return replace(
            self, saliency=saliency, std=brought(self.std), initial=shown, media=media, excerpt=excerpt,
            profile_std=None if self.profile_std is None else brought(self.profile_std),
        )  # fmt: skip

    def time_profile(self) -> tuple[np.ndarray, np.ndarray]:
        """The saliency of each frame of a clip, the mean over its pixels, and its standard deviation, float32 `(T,)`
        each, in the unit of `saliency`.

        The standard deviation is that of the mean under the posterior, with the covariances between all cells of the
        frame. Where the check chose the initial map, the mean is that map's, and the standard deviation still the
        refined map's. Raises InputError for an image.
        """
        if self.profile_std is None:
            raise InputError(
                f"a time profile is of a clip; this explains media of extent {self.saliency.shape}, without a time axis"
            )
        return self.saliency.mean(axis=(-2, -1)), self.profile_std

    def for_target(self, target: TargetLike | Target, output: Output | None = None) -> Explanation:
        """The explanation of another class, of one class against another, or of a function of the scores, from the same
        evaluations: nothing is asked of the model. It has no rounds of its own: its history is empty. `output`: what
        the scores are, where that did not matter to what was explained and cannot be told from them."""
        from borex.replay import replay

        refiner = replay(self.record, self.target, target, self.labels, output)
        refiner.stop_reason = refiner.stop_reason or self.stop_reason
        other = refiner.result()
        if self.media is None:
            return other
        initial = self.initial if self.record.initial is not None else None
        return other.at(self.media, initial, self.excerpt, layout=channels_last(self.media.ndim))

    # --- pictures, made in borex.media

    @property
    def kept_initial(self) -> bool:
        """Whether the check chose the initial map, so that `saliency` is that map."""
        return self.check is not None and self.check.chosen == "initial"

    def overlay(self, media: np.ndarray | None = None, limits: tuple[float, float] | None = None) -> np.ndarray:
        """The media under its heat map, uint8 RGB `(*extent, 3)`; `limits`: saliency of the colours' two ends."""
        from borex.media import show, write

        limits = show.limits(self) if limits is None else limits
        return write.overlay(self._media(media), self.smooth(self.saliency), limits=limits)

    def panel(self, media: np.ndarray | None = None, max_side: int = 360) -> np.ndarray:
        """Uint8 RGB `(H, W, 3)`. Of an image: it, its initial map unless that is flat, the refined map and its standard
        deviation side by side; `max_side`: pixels along the longer side of each, at most. Where the check chose the
        initial map, the third says so. Of a clip: a strip of its frames, with and without the map, and the profile."""
        from borex.media.show import panel

        return panel(self, self._media(media), max_side)

    def plot(self, media: np.ndarray | None = None) -> Any:
        """A matplotlib figure: input, initial map, refined map, standard deviation, history; of a clip a film strip of
        these with the time profile under it."""
        from borex.media.show import plot

        return plot(self, self._media(media))

    def title(self) -> str:
        """One line: what was explained, its score, what it cost, and whether nothing stands out."""
        # A label is often several names; of two classes, one against the other, each has its own.
        name = " against ".join(part.split(",")[0] for part in self.target.label.split(" against "))
        line = f"{name}: {self.score:.3g} ({self.evals} evaluations)"
        return f"{line}; nothing stands out" if self.nothing_stands_out else line

    def summary(self) -> str:
        """A few lines of text: target, score, evaluations, why it stopped, trust, check, whether nothing stands out,
        and of a clip which frames of it the model was shown."""
        lines = [f"{self.target.label}: score {self.score:.3f}", f"{self.evals} evaluations; {self.stop_reason}"]
        if self.trust is not None:
            lines.append(f"trust in the initial map: {self.trust[0]:.3g} ± {self.trust[1]:.2g}")
        if self.check is not None:
            lines.append(
                f"check on this input (kept - hidden): initial {self.check.initial:.3f}, refined "
                f"{self.check.refined:.3f}; the {self.check.chosen} map is returned"
            )
        if self.nothing_stands_out:
            lines.append("nothing stands out: no cell is two standard deviations from 0")
        return "\n".join([*lines, *self._shown_lines()])

    @property
    def nothing_stands_out(self) -> bool:
        """Whether no cell of a refined map is two standard deviations from 0; False for other maps, and flat ones."""
        is_refined = self.record.settings.method == "field" and not self.kept_initial
        return is_refined and np.ptp(self.saliency) > 0 and bool((np.abs(self.saliency) < 2 * self.std).all())

    def shown_frames(self) -> np.ndarray:
        """Which frames of the clip the model was shown, integers in the order it saw them; some come several times
        where it takes more than there are. Raises InputError for an image."""
        if self.profile_std is None:
            raise InputError(f"the extent is {self.saliency.shape}, without a time axis; an image has no frames")
        return middles(len(self.saliency), self.record.settings.extent[0])

    def _shown_lines(self) -> list[str]:
        if self.profile_std is None:
            return []
        at, n = self.shown_frames(), len(self.saliency)
        which = f"{len(at)} of {n} frames" if len(at) < n else f"all {n} frames" if n > 1 else "the one frame"
        which += f", as {len(at)}" if len(at) > n else ""
        if self.excerpt is None:
            return [f"the model was shown {which}"]
        seconds = [self.excerpt.seconds[i] for i in (at[0], at[-1])]
        return [f"the model was shown {which} of {self.excerpt.source}, from {seconds[0]:.2f} s to {seconds[1]:.2f} s"]

    def _media(self, media: np.ndarray | None, layout: str = "auto") -> np.ndarray:
        media = self.media if media is None else media
        if media is None:
            raise InputError(
                "this explanation came from a Refiner and holds no media; give it: overlay(media), panel(media) or "
                "plot(media)"
            )
        n, last = self.saliency.ndim, channels_last(self.saliency.ndim + 1)
        is_held = media is self.media or (isinstance(media, np.ndarray) and layout == last)  # as it is: no copy
        if not is_held:
            is_known = layout == "auto" and np.ndim(media) == n + 1 and np.shape(media)[:n] == self.saliency.shape
            media = to_channels_last(media, last if is_known and n <= 3 else layout)
        if media.ndim - 1 != n:
            raise InputError(
                f"the media has extent {media.shape[:-1]}, but what was explained {self.saliency.shape}; expected "
                "the media that was explained"
            )
        return media

    def smooth(self, values: np.ndarray) -> np.ndarray:
        """One of the maps as pictures show it: one value a cell is interpolated, anything else stays as it is."""
        from borex.media.write import smooth

        grid = self.record.settings.grid
        at_pixels = values is self.saliency and self.kept_initial
        return values if at_pixels or self.record.settings.method != "field" else smooth(_cells(values, grid))

    def _repr_html_(self) -> str:
        from borex.media.show import html

        return html(self)

    # --- files

    def save(self, path: str | PathLike[str]) -> Path:
        """Writes `.npz` (everything; `load` reads it back), `.png` (the overlay; of a clip a film strip), and of a clip
        `.mp4` or `.gif` (it, the overlay and the time profile, playing); returns the path.

        A target that is a function is saved by name only. Raises FileError where the file cannot be written.
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix == ".npz":
            from borex.storage import save_npz

            save_npz(path, self)
        elif suffix in (".png", ".mp4", ".gif"):
            from borex.media.show import save

            save(self, path)
        else:
            raise FileError(
                f"cannot save an explanation as {path.name!r}; expected a name ending in .npz or .png, or of a clip "
                ".mp4 or .gif"
            )
        return path

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Explanation:
        """Reads what `save` wrote as `.npz`; raises FileError where it is missing or something else."""
        from borex.storage import load_npz

        return load_npz(path)


def _cells(values: np.ndarray, grid: tuple[int, ...]) -> np.ndarray:
    """The values `(*grid)` of cells from a map that has one value in each of them."""
    return values[np.ix_(*(middles(size, cells) for size, cells in zip(values.shape, grid, strict=True)))]
