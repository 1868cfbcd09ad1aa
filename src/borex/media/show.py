"""An explanation as pictures: panels, figures, films, what a notebook shows, and files of them."""

from __future__ import annotations

import base64
import html as markup
import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from borex.errors import InputError, MissingExtraError
from borex.explanation import Explanation
from borex.media import film, write
from borex.media.write import Limits, display_limits, grown, overlay, picture, png, save_png

LEAST_SIDE = 160  # pixels along the longer side of a picture in a panel


def limits(found: Explanation) -> Limits | None:
    """The saliency at the two ends of the colours; None for a flat map. The refined map of `field` is signed, and its
    colours diverge, where a cell lies two standard deviations below 0 or further below than any lies above: other cells
    below 0 are noise."""
    is_signed, saliency = None, found.saliency
    if found.record.settings.method == "field" and not found.kept_initial:
        is_signed = bool((saliency < -2 * found.std).any() or -saliency.min() > saliency.max())
    low, high = display_limits(found.smooth(saliency), is_signed)
    return (low, high) if low < high else None


def panel(found: Explanation, media: np.ndarray, max_side: int) -> np.ndarray:
    """What `Explanation.panel` returns."""
    if found.profile_std is not None:
        return film.strip(media, **_moving(found, media))
    shown = grown(picture(media, max_side), LEAST_SIDE)
    returned = f"{_returned(found)}: nothing stands out" if found.nothing_stands_out else _returned(found)
    maps = {"initial map": found.initial, returned: found.smooth(found.saliency), "std": found.smooth(found.std)}
    if np.ptp(found.initial) == 0:
        del maps["initial map"]
    # Each has colours from end to end of its own: how unsure the map is shows in the numbers alone.
    titles = [f"{name}, {values.min():.2g} to {values.max():.2g}" for name, values in maps.items()]
    pictures = [
        overlay(shown, values, limits=limits(found) if name == returned else None) for name, values in maps.items()
    ]
    return write.panel([shown, *pictures], ["input", *titles])


def _returned(found: Explanation) -> str:
    """What to call the map: it is not refined where it is the one that was given."""
    return "initial map, kept" if found.kept_initial else "refined map"


def plot(found: Explanation, media: np.ndarray) -> Any:
    """What `Explanation.plot` returns."""
    from borex.media.plots import clip_figure, figure

    entries = [(entry["evals"], entry["change"]) for entry in found.history if "change" in entry]  # none of `paper`
    curve = np.array(entries).reshape(-1, 2)[1:]  # nothing comes before the first, from which it could have changed
    history = (curve if len(curve) > 1 else None, "change of ranking")
    initial = None if float(np.ptp(found.initial)) == 0 else found.initial
    maps = (initial, found.smooth(found.saliency), found.smooth(found.std))
    if found.profile_std is None:
        return figure(media, *maps, found.title(), *history, returned=_returned(found), limits=limits(found))
    seconds = _seconds(found, media)
    profile = found.time_profile()
    return clip_figure(
        media, *maps, found.title(), profile, seconds, *history, returned=_returned(found), limits=limits(found)
    )


def frames(found: Explanation) -> tuple[np.ndarray, float]:
    """The film of a clip's explanation, uint8 `(T, H, W, 3)`, and the frames a second to play it with."""
    media = found.media
    if media is None or found.profile_std is None:
        raise InputError(
            f"a film shows a clip; this explanation is of extent {found.saliency.shape} and holds "
            + ("no media: give it, explanation.at(media, None)" if media is None else "an image: save it as .png")
        )
    fps = None if found.excerpt is None else found.excerpt.fps
    return film.film(media, **_moving(found, media)), film.playing_rate(fps)


def _seconds(found: Explanation, media: np.ndarray) -> tuple[float, ...] | None:
    """When each frame of the media appears in its file; None where that is not known, as of media of other frames."""
    known = None if found.excerpt is None else found.excerpt.seconds
    return known if known is not None and len(known) == len(media) else None


def _moving(found: Explanation, media: np.ndarray) -> dict[str, Any]:
    return {
        "saliency": found.smooth(found.saliency), "profile": found.time_profile(), "title": found.title(),
        "seconds": _seconds(found, media), "limits": limits(found),
    }  # fmt: skip


def save(found: Explanation, path: Path) -> None:
    """Writes the picture or film that the name of a file asks for."""
    if path.suffix.lower() == ".png":
        save_png(path, found.overlay() if found.profile_std is None else found.panel())
        return
    from borex.media.video import write_clip

    write_clip(path, *frames(found))


def html(found: Explanation) -> str:
    """What a notebook shows: the panel of an image, the film of a clip, with the summary below."""
    text = markup.escape(found.summary()).replace("\n", "<br>")
    if found.media is None or found.saliency.ndim not in (2, 3):
        return f"<p>{text}</p>"
    if found.profile_std is None:
        seen = f'<img alt="heat map" src="{_data("image/png", png(found.panel(max_side=320)))}">'
    else:
        kind, encoded = _playing(*frames(found))
        source = _data(kind, encoded)
        seen = f'<img alt="heat map" src="{source}">'
        if kind.startswith("video"):
            seen = f'<video controls autoplay loop muted playsinline src="{source}"></video>'
    return f"<figure>{seen}<figcaption>{text}</figcaption></figure>"


def _data(kind: str, encoded: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(encoded).decode()}"


def _playing(shown: np.ndarray, fps: float) -> tuple[str, bytes]:
    """A film as the bytes of an MP4, or without PyAV of a GIF."""
    from borex.media.video import write_clip

    try:
        with tempfile.TemporaryDirectory() as folder:
            return "video/mp4", write_clip(Path(folder) / "film.mp4", shown, fps).read_bytes()
    except MissingExtraError:
        encoded = io.BytesIO()
        first, *others = [Image.fromarray(frame) for frame in shown]
        first.save(encoded, "GIF", save_all=True, append_images=others, duration=round(1000 / fps), loop=0)
        return "image/gif", encoded.getvalue()
