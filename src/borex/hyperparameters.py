"""What the field's answers decide about it, besides the saliency itself."""

from __future__ import annotations

from dataclasses import dataclass

# Standard deviation of an intercept's prior, in standard deviations of the answers: it is meant to say nothing.
WIDE = 5.0


@dataclass(frozen=True)
class Hyperparameters:
    """Of the field, for answers divided by their standard deviation.

    `amplitude`: std in a cell of each of the two parts of `u`, > 0. `contrast`: std of `d` over that of `u`, ≥ 0.
    `fills`: the same of `e_k`; says nothing where one baseline hides always. `lengths`: one length scale for each axis
    before the last two, in cells, then one for space, in sides of a square with a cell's area. `noise`: std of the
    noise of (little seen, little hidden). `overlap`: std of the noise that masks share as far as they overlap. `trust`:
    std of the prior of beta.
    """

    amplitude: float
    contrast: float
    fills: float
    lengths: tuple[float, ...]
    noise: tuple[float, float]
    overlap: float
    trust: float
