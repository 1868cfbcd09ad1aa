"""Files to arrays: photos as uint8 RGB, heat maps as floats."""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from borex.errors import FileError

MAP_KEYS = ("saliency", "map")  # where an .npz of several arrays keeps its heat map


def read_image(path: str | os.PathLike[str], ground: str = "white") -> np.ndarray:
    """The picture in a file as uint8 `(H, W, 3)`, RGB, the way a viewer shows it.

    Any format that Pillow reads. Its EXIF orientation is applied, transparency is laid on a colour, `ground`, 16-bit
    greyscale is brought to 8 bits, greyscale, palettes and CMYK become RGB (colour profiles are not applied); of an
    animation it is the first frame. Raises FileError for a file that is missing, a folder, unreadable, no picture,
    damaged, or larger than `PIL.Image.MAX_IMAGE_PIXELS`.
    """
    image = _opened(path)
    if image.mode.startswith("I") or image.mode == "F":
        grey = np.rint(_levels(image, path) * 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    return np.array(_opaque(image, ground))


def read_map(path: str | os.PathLike[str], keys: Sequence[str] = MAP_KEYS, what: str = "heat map") -> np.ndarray:
    """The heat map, or `what` else it is, in a file, as floats: raw values of an .npy or .npz, in [0, 1] from a
    greyscale picture.

    An .npz must hold one array, or one named as one of `keys`, "saliency" or "map" (a saved Explanation does). A
    picture is greyscale of 8 or 16 bits, 0 where it is transparent; one in colour raises FileError, for colours do not
    tell values. Pickled objects are never loaded.
    """
    path = checked_path(path)
    try:
        with path.open("rb") as file:
            start = file.read(6)
    except OSError as error:
        raise unreadable(path, error) from error
    if start.startswith((b"\x93NUMPY", b"PK")):
        return _loaded(path, keys)
    image = _opened(path)
    if image.mode.startswith("I") or image.mode == "F":
        return _levels(image, path)
    rgb = np.asarray(_opaque(image, "black"))
    if (rgb != rgb[..., :1]).any():
        raise FileError(
            f"{path} is a picture in colour; expected a {what}: a greyscale picture, an .npy or .npz. The values "
            "cannot be told from colours; save them themselves, for example with numpy.save"
        )
    return rgb[..., 0] / 255.0


def checked_path(path: str | os.PathLike[str]) -> Path:
    """The path of a file that is there and holds something; raises FileError otherwise."""
    path = Path(path)
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # a value: no name may hold a null character
        near = "" if os.path.isdir(path.parent) else f" (and no folder {path.parent})"
        raise FileError(f"there is no file {path}{near}") from error
    except OSError as error:
        raise unreadable(path, error) from error
    if stat.S_ISDIR(found.st_mode):
        raise FileError(f"{path} is a folder; expected a file")
    if not stat.S_ISREG(found.st_mode):
        raise FileError(f"{path} is a pipe or a device, which cannot be read; give a file")
    if found.st_size == 0:
        raise FileError(f"{path} is empty (0 bytes); get it or write it once more")
    return path


def unreadable(path: str | os.PathLike[str], error: OSError) -> FileError:
    """The error to raise where the system refuses a path."""
    what = "its permissions" if isinstance(error, PermissionError) else "the path"
    return FileError(f"cannot read {path}: {error.strerror}. Check {what}")


def checksum(paths: Sequence[Path]) -> int:
    """The CRC-32 of the bytes of files, one after the other; raises OSError where one cannot be read."""
    found = 0
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(2**20):
                found = crc32(block, found)
    return found


def _opened(path: str | os.PathLike[str]) -> Image.Image:
    """A picture, decoded and turned upright; FileError whatever is wrong with the file."""
    path = checked_path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # damaged EXIF data, where the picture itself is whole
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return ImageOps.exif_transpose(image)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = Image.MAX_IMAGE_PIXELS or 0
        raise FileError(
            f"{path} decodes to more than {limit / 1e6:.0f} million pixels, the limit against decompression bombs. "
            "Make it smaller; if you trust the file, set PIL.Image.MAX_IMAGE_PIXELS higher first"
        ) from error
    except UnidentifiedImageError as error:
        raise FileError(
            f"{path} is no picture that Pillow can read; expected a PNG, JPEG, WebP, TIFF, BMP, GIF or the like"
        ) from error
    except PermissionError as error:
        raise unreadable(path, error) from error
    except Exception as error:  # damaged files fail in the decoders in every way there is
        raise FileError(f"{path} is damaged or incomplete: {error}. Get it or write it once more") from error


def _opaque(image: Image.Image, ground: str) -> Image.Image:
    """A picture in RGB, what is transparent in it laid on a colour."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, ground), image)
    return image.convert("RGB")


def _levels(image: Image.Image, path: str | os.PathLike[str]) -> np.ndarray:
    """Grey levels in [0, 1], float64 `(H, W)`, of a picture with more than 8 bits."""
    values = np.asarray(image).astype(np.float64)
    top = 1.0 if image.mode == "F" else 65535.0
    if not (values.min() >= 0 and values.max() <= top):
        raise FileError(
            f"{path} holds values between {values.min():.6g} and {values.max():.6g} (mode {image.mode!r}); expected "
            f"greyscale of 8 or 16 bits, or floats in [0, 1]. Give its values as an array instead, or as .npy"
        )
    return values / top


def _loaded(path: Path, keys: Sequence[str]) -> np.ndarray:
    try:
        with path.open("rb") as file:
            loaded: Any = np.load(file, allow_pickle=False)
            if not isinstance(loaded, np.ndarray):
                names = list(loaded.files)
                named = [name for name in keys if name in names] or (names if len(names) == 1 else [])
                if not named:
                    raise FileError(
                        f"{path} holds {len(names)} arrays ({', '.join(names) or 'none'}); expected a single one, or "
                        f"one named {' or '.join(repr(key) for key in keys)}"
                    )
                loaded = loaded[named[0]]
    except FileError:
        raise
    except Exception as error:  # damaged archives fail in zip, zlib and NumPy alike
        raise FileError(
            f"{path} holds no array that can be read without pickle, or is damaged: {error}. Write it with "
            "numpy.save or numpy.savez, from an array of floats"
        ) from error
    if loaded.dtype.kind not in "fiub":
        raise FileError(f"{path} holds {loaded.dtype} values; expected a heat map of real numbers")
    floats: np.ndarray = loaded.astype(np.promote_types(loaded.dtype, np.float32), copy=False)
    return floats
