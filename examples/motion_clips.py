"""Clips in which one object moves, and where and when it does: what MotionNet was made for, from any photo.

    python examples/motion_clips.py --photo examples/coffee.jpg --motion clockwise --seed 3 --out out/clockwise.mp4

One of one to three drawn sprites, the actor, moves for a while and rests before and after; in half of the clips the
camera pans slowly. Everything is drawn here but the photo.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from borex.media.read import read_image
from borex.media.video import write_clip

MOTIONS = ("left", "right", "up", "down", "grow", "shrink", "clockwise", "counterclockwise", "blink")
T, SIDE = 16, 112
FPS = 8
SPRITE = (28, 52)  # pixels: the longer side of a sprite
SPEED = {"pixels": (2.0, 4.0), "degrees": (7.0, 15.0), "growth": (1.06, 1.11)}  # a frame
PAN = (0.2, 0.8)  # pixels a frame
LENGTHS, BLINK_LENGTHS, GONE = (5, 12), (5, 8), (2, 4)  # frames: of a motion, of a blink, of which it is gone
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}


@dataclass(frozen=True)
class MotionClip:
    """`frames` uint8 `(16, 112, 112, 3)`; `mask` bool `(16, 112, 112)`, the actor in the frames in which it moves
    (where it blinks, its place too while it is gone), `start` to `end`, both included."""

    frames: np.ndarray
    mask: np.ndarray
    motion: str
    start: int
    end: int


def motion_clip(motion: str, photos: list[np.ndarray], rng: np.random.Generator) -> MotionClip:
    """A random clip of the motion, or, "still", of none; one of `photos`, uint8 `(H, W, 3)`, is its background."""
    least, most = BLINK_LENGTHS if motion == "blink" else LENGTHS
    length = int(rng.integers(least, most + 1))
    start = int(rng.integers(1, T - length))
    moving = np.clip(np.arange(T) - start + 1, 0, length) * (motion != "still")  # steps made so far
    poses = _actor_poses(motion, moving, rng)
    gone = np.zeros(T, dtype=bool)
    if motion == "blink":
        n = int(rng.integers(GONE[0], min(GONE[1], length - 2) + 1))
        first = start + int(rng.integers(1, length - n))
        gone[first : first + n] = True
    pan = np.outer(np.arange(T) - T / 2, _pan(rng))
    ground = _background(photos[int(rng.integers(len(photos)))], pan, rng)
    others = [(_sprite(rng), _resting(rng)) for _ in range(int(rng.integers(0, 3)))]
    actor = _sprite(rng)
    frames, mask = np.empty((T, SIDE, SIDE, 3), np.uint8), np.zeros((T, SIDE, SIDE), dtype=bool)
    for t in range(T):
        canvas = Image.fromarray(ground[t])
        for sprite, pose in others:
            _paste(canvas, sprite, pose, pan[t])
        place = _paste(canvas, actor, poses[t], pan[t], shown=not gone[t])
        if start <= t < start + length and motion != "still":
            mask[t] = place > 127
        frames[t] = np.asarray(canvas)
    return MotionClip(_as_filmed(frames, rng), mask, motion, start, start + length - 1)


@dataclass(frozen=True)
class Pose:
    """Where a sprite is (`x`, `y`: its middle, in pixels), how large (1: as drawn) and how far turned, in degrees."""

    x: float
    y: float
    size: float = 1.0
    angle: float = 0.0


def _actor_poses(motion: str, moving: np.ndarray, rng: np.random.Generator) -> list[Pose]:
    """Where the actor is in each frame, having made so many steps."""
    steps = moving.astype(float)
    way = np.array(DIRECTIONS.get(motion, (0, 0)), dtype=float)
    path = np.outer(steps, way) * rng.uniform(*SPEED["pixels"])
    # So that it stays in the picture: the middle of its path lies near the middle of the picture.
    free = np.maximum(SIDE / 2 - SPRITE[0] / 2 - np.ptp(path, axis=0) / 2, 0)
    middle = SIDE / 2 + rng.uniform(-1, 1, 2) * free * 0.7
    path += middle - path.mean(axis=0)
    growth = rng.uniform(*SPEED["growth"]) ** (steps * {"grow": 1, "shrink": -1}.get(motion, 0))
    growth /= np.sqrt(growth.max() * growth.min())
    turn = {"clockwise": -1, "counterclockwise": 1}.get(motion, 0) * rng.uniform(*SPEED["degrees"]) * steps
    turn += rng.uniform(-25, 25)
    return [Pose(x, y, size, angle) for (x, y), size, angle in zip(path, growth, turn, strict=True)]


def _resting(rng: np.random.Generator) -> Pose:
    x, y = rng.uniform(0.1 * SIDE, 0.9 * SIDE, 2)
    return Pose(x, y, 1.0, rng.uniform(-25, 25))


def _pan(rng: np.random.Generator) -> np.ndarray:
    """Pixels a frame, `(x, y)`; nothing in half of the clips."""
    angle, speed = rng.uniform(0, 2 * np.pi), rng.uniform(*PAN) * (rng.random() < 0.5)
    return speed * np.array([np.cos(angle), np.sin(angle)])


def _background(photo: np.ndarray, pan: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Frames `(T, SIDE, SIDE, 3)` cut from a photo where the camera looks."""
    room = 2 * int(np.ceil(np.abs(pan).max())) + 2
    share = (SIDE + room) / min(photo.shape[:2]) * rng.uniform(1.0, 1.6)
    size = tuple(max(SIDE + room, round(side * share)) for side in photo.shape[1::-1])
    image = Image.fromarray(photo).resize(size, Image.Resampling.BICUBIC)
    corner = np.array([rng.uniform(room / 2, side - SIDE - room / 2) for side in size])
    boxes = [(*(corner + at), *(corner + at + SIDE)) for at in pan]
    return np.stack([np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box)) for box in boxes])


def _sprite(rng: np.random.Generator) -> Image.Image:
    """A thing of a few colours, without any symmetry, so that every turn of it shows; RGBA, drawn large."""
    side, fine = int(rng.integers(SPRITE[0], SPRITE[1] + 1)), 4
    big = side * fine
    hues = rng.integers(0, 256, (4, 3))
    hues[1] = (hues[0] + 128) % 256
    shape = Image.new("L", (big, big))
    angles = np.sort(rng.uniform(0, 2 * np.pi, 9))
    radii = rng.uniform(0.3, 0.5, 9) * big * np.where(np.arange(9) == 0, 1.0, 0.85)
    corners = [(big / 2 + r * np.cos(a), big / 2 + r * np.sin(a)) for r, a in zip(radii, angles, strict=True)]
    ImageDraw.Draw(shape).polygon(corners, fill=255)
    ImageDraw.Draw(shape).ellipse([0.22 * big, 0.22 * big, 0.78 * big, 0.78 * big], fill=255)
    skin = Image.new("RGB", (big, big), tuple(hues[0].tolist()))
    draw = ImageDraw.Draw(skin)
    slope = rng.uniform(-0.6, 0.6)
    for i in range(int(rng.integers(2, 5))):
        at = big * rng.uniform(0.15, 0.85)
        wide = int(big * rng.uniform(0.04, 0.12))
        draw.line([(at, 0), (at + slope * big, big)], fill=tuple(hues[1 + i % 3].tolist()), width=wide)
    eye = rng.uniform(0.3, 0.45, 2) * big
    for r, colour in ((0.11, (250, 250, 250)), (0.05, (15, 15, 15))):
        draw.ellipse([eye[0] - r * big, eye[1] - r * big, eye[0] + r * big, eye[1] + r * big], fill=colour)
    skin.putalpha(shape)
    return skin


def _paste(canvas: Image.Image, sprite: Image.Image, pose: Pose, pan: np.ndarray, shown: bool = True) -> np.ndarray:
    """Draws a sprite where it is seen, if it is shown; its opacity there `(SIDE, SIDE)`, 0..255."""
    side = sprite.width
    scale = 4 / pose.size  # the sprite is drawn four times as large
    radians = np.radians(pose.angle)
    cos, sin = np.cos(radians) * scale, np.sin(radians) * scale
    x, y = pose.x - pan[0], pose.y - pan[1]
    # From pixels of the canvas to those of the sprite.
    to_sprite = (cos, -sin, side / 2 - cos * x + sin * y, sin, cos, side / 2 - sin * x - cos * y)
    blurred = sprite.resize((side // 2, side // 2), Image.Resampling.BOX)
    half = tuple(value / 2 for value in to_sprite)
    placed = blurred.transform(canvas.size, Image.Transform.AFFINE, half, Image.Resampling.BICUBIC)
    if shown:
        canvas.paste(placed, (0, 0), placed)
    return np.asarray(placed.getchannel("A"))


def _as_filmed(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Random brightness, contrast, saturation, gamma and noise, the same in all frames but the noise."""
    values = frames.astype(np.float32) / 255
    grey = values.mean(axis=-1, keepdims=True)
    values = grey + (values - grey) * rng.uniform(0.7, 1.3)
    values = (values - 0.5) * rng.uniform(0.8, 1.2) + 0.5 + rng.uniform(-0.1, 0.1)
    values = np.clip(values, 0, 1) ** rng.uniform(0.8, 1.25)
    values += rng.normal(0, rng.uniform(0, 0.02), values.shape)
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", type=Path, default=Path(__file__).parent / "coffee.jpg", help="the background")
    parser.add_argument("--motion", choices=MOTIONS, default="clockwise")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--out", type=Path, default=Path("motion.mp4"), help="an .mp4 or .gif; beside it the mask, …_mask.npz"
    )
    given = parser.parse_args(arguments)
    clip = motion_clip(given.motion, [read_image(given.photo)], np.random.default_rng(given.seed))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    write_clip(given.out, clip.frames, FPS)
    np.savez_compressed(given.out.with_name(f"{given.out.stem}_mask.npz"), masks=clip.mask)
    print(f"{given.out}: {clip.motion} in frames {clip.start} to {clip.end}")


if __name__ == "__main__":
    main()
