"""Benchmarks: inputs x models x methods x budgets x seeds, into one table that only grows."""

from borex.evaluation.benchmark.config import Config, InputSet, MethodSpec, ModelSpec, read_config
from borex.evaluation.benchmark.methods import Found, Task
from borex.evaluation.benchmark.run import map_path, run
from borex.evaluation.benchmark.table import Row, read_table

__all__ = [
    "Config",
    "Found",
    "InputSet",
    "MethodSpec",
    "ModelSpec",
    "Row",
    "Task",
    "map_path",
    "read_config",
    "read_table",
    "run",
]
