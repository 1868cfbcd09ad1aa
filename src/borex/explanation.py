"""What `refine` returns: the refined heat map, how sure it is, and everything needed to check or go on."""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from borex.errors import FileError, InputError
from borex.layout import resize
from borex.masks import spread
from borex.settings import Settings
from borex.targets import Target, TargetLike

FORMAT = 1


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
    `(n, classes)`, the windows of `paper`, where the answers to the initial and to the refined map's side of the check
    begin (-1: none), the initial map at the masks' extent."""

    settings: Settings
    coverage: np.ndarray
    scores: np.ndarray
    points: np.ndarray
    initial_at: int
    check_at: int
    initial: np.ndarray | None


@dataclass(frozen=True)
class Explanation:
    """A heat map of one input, how sure it is, and where it came from.

    `saliency`, `std`: float32 `(*extent,)` of the media, raw: in log-odds a cell for `field`, in the windows' saliency
    for `paper`. Where the check chose the initial map, `saliency` is that map, in its own units.
    `initial`: the map that was refined (zeros: flat). `trust`: posterior mean and std of the factor on the standardised
    initial map; None where it is flat or the method has none. `score`: of the untouched input. `evals`: model inputs
    used. `history`: a dictionary a round.
    """

    saliency: np.ndarray = field(repr=False)
    std: np.ndarray = field(repr=False)
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

    def at(self, media: np.ndarray, initial: np.ndarray | None) -> Explanation:
        """The same explanation at the size of the media `(*extent, channels)`; `initial`: the map as it was given."""
        extent = media.shape[:-1]
        given = self.initial if initial is None else initial
        shown = resize(given.astype(np.float32), extent, np.float32)
        grid = self.record.settings.grid
        coarse = self.record.settings.method == "field"

        def brought(values: np.ndarray) -> np.ndarray:
            if values.shape == extent:
                return values
            if coarse:
                return np.ascontiguousarray(spread(_cells(values, grid)[None], extent)[0])
            return resize(values, extent, np.float32)

        saliency = shown if self._kept_initial else brought(self.saliency)
        return replace(self, saliency=saliency, std=brought(self.std), initial=shown, media=media)

    def for_target(self, target: TargetLike | Target) -> Explanation:
        """The explanation of another class, of one class against another, or of a function of the scores, from the same
        evaluations: nothing is asked of the model. It has no rounds of its own: its history is empty."""
        from borex.replay import replay

        refiner = replay(self.record, self.target, target, self.labels)
        refiner.stop_reason = self.stop_reason
        other = refiner.result()
        if self.media is None:
            return other
        return other.at(self.media, self.initial if self.record.initial is not None else None)

    # --- pictures

    @property
    def _kept_initial(self) -> bool:
        """Whether the check chose the initial map, so that `saliency` is that map."""
        return self.check is not None and self.check.chosen == "initial"

    def overlay(self, media: np.ndarray | None = None, limits: tuple[float, float] | None = None) -> np.ndarray:
        """The media under its heat map, uint8 RGB `(*extent, 3)`; `limits`: saliency of the colours' two ends."""
        from borex.media.write import overlay

        return overlay(self._media(media), self._smooth(self.saliency), limits=limits)

    def panel(self, media: np.ndarray | None = None, max_side: int = 360) -> np.ndarray:
        """An image, its initial map unless that is flat, the refined map and its standard deviation side by side, uint8
        RGB `(H, W, 3)`; `max_side`: pixels along the longer side of each, at most. Where the check chose the initial
        map, the third says so."""
        from borex.media.write import overlay, panel, picture

        shown = picture(self._media(media), max_side)
        if shown.ndim != 3:
            raise InputError(
                f"a panel shows an image; this explains media of extent {self.saliency.shape}. Use overlay()"
            )
        # What is returned must not be called refined where it is the map that was given.
        returned = "initial map, kept" if self._kept_initial else "refined map"
        maps = {"initial map": self.initial, returned: self._smooth(self.saliency), "std": self._smooth(self.std)}
        if np.ptp(self.initial) == 0:
            del maps["initial map"]
        return panel([shown, *(overlay(shown, values) for values in maps.values())], ["input", *maps])

    def plot(self, media: np.ndarray | None = None) -> Any:
        """A matplotlib figure: input, initial map, refined map, standard deviation, history."""
        from borex.media.plots import figure

        curve = np.array([(entry["evals"], entry["change"]) for entry in self.history]).reshape(-1, 2)
        flat = float(np.ptp(self.initial)) == 0
        return figure(
            self._media(media), None if flat else self.initial, self._smooth(self.saliency), self._smooth(self.std),
            self.title(),
            curve if len(curve) > 1 else None, "change of ranking",
        )  # fmt: skip

    def title(self) -> str:
        """One line: what was explained, its score, and what it cost."""
        name = self.target.label.split(",")[0]
        return f"{name}: {self.score:.3g} ({self.evals} evaluations)"

    def summary(self) -> str:
        """A few lines of text: target, score, evaluations, why it stopped, trust, check."""
        lines = [f"{self.target.label}: score {self.score:.3f}", f"{self.evals} evaluations; {self.stop_reason}"]
        if self.trust is not None:
            lines.append(f"trust in the initial map: {self.trust[0]:.3g} ± {self.trust[1]:.2g}")
        if self.check is not None:
            lines.append(
                f"check on this input (kept - hidden): initial {self.check.initial:.3f}, refined "
                f"{self.check.refined:.3f}; the {self.check.chosen} map is returned"
            )
        return "\n".join(lines)

    def _media(self, media: np.ndarray | None) -> np.ndarray:
        media = self.media if media is None else media
        if media is None:
            raise InputError(
                "this explanation came from a Refiner and holds no media; give it: overlay(media), panel(media) or "
                "plot(media)"
            )
        return media

    def _smooth(self, values: np.ndarray) -> np.ndarray:
        """A map as pictures show it: one value a cell is interpolated, anything else stays as it is."""
        from borex.media.write import smooth

        grid = self.record.settings.grid
        at_pixels = values is self.saliency and self._kept_initial
        return values if at_pixels or self.record.settings.method != "field" else smooth(_cells(values, grid))

    def _repr_html_(self) -> str:
        import base64
        import html

        text = html.escape(self.summary()).replace("\n", "<br>")
        if self.media is None or self.saliency.ndim != 2:
            return f"<p>{text}</p>"
        from borex.media.write import png

        data = base64.b64encode(png(self.panel(max_side=320))).decode()
        return (
            f'<figure><img alt="heat map" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'
        )

    # --- files

    def save(self, path: str | PathLike[str]) -> Path:
        """Writes `.npz` (everything; `load` reads it back) or `.png` (the overlay); returns the path.

        A target that is a function is saved by name only. Raises FileError where the file cannot be written.
        """
        path = Path(path)
        if path.suffix == ".png":
            from borex.media.write import save_png

            if self.saliency.ndim != 2:
                raise InputError(
                    f"a .png shows an image; this explains media of extent {self.saliency.shape}. Save it as .npz, or "
                    "a frame of overlay() with borex.media.write.save_png"
                )
            save_png(path, self.overlay())
            return path
        if path.suffix != ".npz":
            raise FileError(f"cannot save an explanation as {path.name!r}; expected a name ending in .npz or .png")
        text = {
            "format": FORMAT, "trust": self.trust, "target": asdict(replace(self.target, function=None)),
            "score": self.score, "evals": self.evals, "stop_reason": self.stop_reason, "history": self.history,
            "check": None if self.check is None else asdict(self.check), "labels": self.labels,
            "settings": self.record.settings.to_json(), "initial_at": self.record.initial_at,
            "check_at": self.record.check_at,
        }  # fmt: skip
        arrays = {
            "saliency": self.saliency, "std": self.std, "initial": self.initial, "coverage": self.record.coverage,
            "scores": self.record.scores, "points": self.record.points,
        }  # fmt: skip
        if self.record.initial is not None:
            arrays["record_initial"] = self.record.initial
        if self.media is not None:
            arrays["media"] = self.media
        try:
            np.savez_compressed(path, json=np.array(json.dumps(text)), **arrays)  # type: ignore[arg-type]
        except OSError as error:
            raise FileError(
                f"cannot write {path}: {error.strerror or error}; choose a folder you may write to"
            ) from error
        return path

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Explanation:
        """Reads what `save` wrote as `.npz`; raises FileError where it is missing or something else."""
        try:
            # NumPy leaves a file that it opened itself open when the archive is damaged, and what is no archive it
            # advises to unpickle.
            with open(path, "rb") as file:
                if not zipfile.is_zipfile(file):
                    raise FileError(
                        f"{path} is not an explanation saved by borex, or is damaged; save() writes an .npz"
                    )
                file.seek(0)
                with np.load(file, allow_pickle=False) as stored:
                    arrays = {name: stored[name] for name in stored.files}
            if "json" not in arrays:
                raise FileError(
                    f"{path} is not an explanation saved by borex, it holds {', '.join(arrays) or 'nothing'}. A heat "
                    "map alone is read with borex.media.read.read_map"
                )
            text = json.loads(str(arrays.pop("json")))
            if text["format"] != FORMAT:
                raise FileError(f"{path} has format {text['format']}; this version reads {FORMAT}. Update borex")
            check = text["check"]
            record = Record(
                Settings.from_json(text["settings"]), arrays["coverage"], arrays["scores"], arrays["points"],
                text["initial_at"], text["check_at"], arrays.get("record_initial"),
            )  # fmt: skip
            return cls(
                saliency=arrays["saliency"], std=arrays["std"], initial=arrays["initial"],
                trust=None if text["trust"] is None else tuple(text["trust"]), target=Target(**text["target"]),
                score=text["score"], evals=text["evals"], stop_reason=text["stop_reason"],
                history=tuple(text["history"]),
                check=None if check is None else Check(**{**check, "shares": tuple(check["shares"])}),
                record=record, labels=None if text["labels"] is None else tuple(text["labels"]),
                media=arrays.get("media"),
            )  # fmt: skip
        except FileNotFoundError as error:
            raise FileError(f"there is no file {path}") from error
        except FileError:
            raise
        except Exception as error:  # damaged archives fail in zip, zlib and NumPy alike
            raise FileError(f"{path} is not an explanation saved by borex ({type(error).__name__}: {error})") from error


def _cells(values: np.ndarray, grid: tuple[int, ...]) -> np.ndarray:
    """The values `(*grid)` of cells from a map that has one value in each of them."""
    return values[np.ix_(*(_middles(size, cells) for size, cells in zip(values.shape, grid, strict=True)))]


def _middles(size: int, cells: int) -> np.ndarray:
    """A pixel that surely belongs to each cell of an axis."""
    return np.minimum(((np.arange(cells) + 0.5) * size / cells).astype(int), size - 1)
