"""Initial maps made here; any other heat map is an array."""

NAMES = ("rise",)

__all__ = ["NAMES"]
