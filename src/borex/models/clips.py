"""Classifiers of clips: the embedded MotionNet, and any classifier of images, averaged over frames."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from borex.blackbox import Device, Model, Output
from borex.errors import InputError
from borex.layout import resize_media
from borex.scores import checked_scores, find_output
from borex.settings import is_whole

MOTIONNET = Path(__file__).parent / "motionnet"
GREY = 0.45  # what the network subtracts itself, of [0, 1]
FRAMES_AT_ONCE = 32  # images in one call of an image model: a batch of clips is many
LEAST = 1e-12  # probabilities below count as this: a model in float32 may say 0


def motionnet(*, threads: int | None = None) -> Model:
    """The embedded classifier of clips: MotionNet, which names the motion of the one moving object in a clip (left,
    right, up, down, grow, shrink, clockwise, counterclockwise, blink), for RGB clips `(T, H, W, 3)` in 0..255, uint8
    or floats, brought to 16 frames of 112 x 112. Its scores are logits.

    `threads`: CPU threads; None: all cores. Raises MissingExtraError without onnxruntime; when it is asked, InputError
    for floats in [0, 1].
    """
    from borex.models import onnx

    labels = (MOTIONNET / "labels.txt").read_text(encoding="utf-8").split()
    # A mean of 0 says that media is in 0..255, with the check that goes with it.
    model = onnx.wrap(
        MOTIONNET / "motionnet.onnx", mean=0, layout="NCTHW", extent=(16, 112, 112), output="logits", labels=labels,
        threads=threads,
    )  # fmt: skip
    return dataclasses.replace(model, mean=np.asarray(255 * GREY))


def frame_mean(image_model: Any, *, frames: int | None = None, output: Output = "auto") -> Model:
    """A classifier of clips `(n, T, H, W, channels)` from one of images: the mean over the frames of its logits, or of
    its log-probabilities where it gives probabilities. The scores are logits `(n, classes)` either way: their softmax
    is the geometric mean of the frames' probabilities, normalised. A single column stays one, in log-odds.

    The mean is one of logits, not of probabilities, so that each frame adds to the evidence and no frame that is sure
    outvotes the others' changes. A clip of one frame scores as its image.

    `image_model`: anything that `as_model` takes; None: the embedded EfficientNet-Lite0.
    `frames`: how many frames media is brought to, where the image model's extent is known; None: the clip's own, and
    every frame is brought to the image model's extent when it is asked (with `frames`, once before).
    `output`: what the image model's scores are; "auto": what the model says of itself, or what its first answer shows.

    Raises InputError where the image model takes clips, where `frames` does not fit, and, when it is asked, for
    probabilities that do not sum to 1 over the classes.
    """
    from borex.models import as_model

    model = as_model(image_model, output=output)
    if model.extent is not None and len(model.extent) != 2:
        raise InputError(f"the image model takes the extent {model.extent}; expected one that takes images, (H, W)")
    if frames is not None:
        if not is_whole(frames, 1):
            raise InputError(f"frames is {frames!r}; expected a whole number, at least 1")
        if model.extent is None:
            raise InputError(
                f"frames is {frames}, but the image model does not say which extent it takes; leave frames out, or say "
                "it: frame_mean(as_model(image_model, extent=(224, 224)), frames=16)"
            )
    found: list[Output] = [] if model.output == "auto" else [model.output]

    def scores(batch: np.ndarray) -> np.ndarray:
        batch = np.asarray(batch)
        if batch.ndim != 5:
            raise InputError(
                f"frame_mean takes clips (n, T, H, W, channels); got a batch of shape {batch.shape}. Explain an image "
                "with the image model itself"
            )
        images = batch.reshape(-1, *batch.shape[2:])
        at_once = min(FRAMES_AT_ONCE, model.max_batch or FRAMES_AT_ONCE)
        answers = []
        for start in range(0, len(images), at_once):
            part = images[start : start + at_once]
            if model.extent is not None and part.shape[1:3] != model.extent:
                part = resize_media(part, (len(part), *model.extent))
            answers.append(checked_scores(model.scores(part), len(part), start, isinstance(model.scores, Device)))
        every = np.concatenate(answers)
        if not found:
            found.append(find_output(every))
        logits = every if found[0] == "logits" else _log_probabilities(every)
        return np.asarray(logits.reshape(*batch.shape[:2], -1).mean(axis=1))

    extent = None if frames is None or model.extent is None else (int(frames), *model.extent)
    return Model(
        scores, extent=extent, labels=model.labels, mean=model.mean, output="logits", check_media=model.check_media
    )


def _log_probabilities(scores: np.ndarray) -> np.ndarray:
    """The logarithms `(n, classes)` of probabilities that sum to 1, or the log-odds `(n, 1)` of a single column."""
    if scores.shape[1] == 1:
        inside = np.clip(scores, LEAST, 1 - LEAST)
        return np.log(inside) - np.log1p(-inside)
    sums = scores.sum(axis=1)
    if scores.min() < -1e-6 or not np.allclose(sums, 1.0, atol=1e-2):
        raise InputError(
            f"the image model's scores lie between {scores.min():.3g} and {scores.max():.3g} and sum to "
            f"{sums.min():.3g}..{sums.max():.3g} an image; frame_mean expects probabilities that sum to 1, or logits. "
            'If they are logits, say output="logits"'
        )
    return np.log(np.maximum(scores, LEAST))
