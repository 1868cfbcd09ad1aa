"""What `borex benchmark` does: runs the rows that are missing, says what the table says."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

from borex.evaluation.benchmark import Config, Row, read_config, run
from borex.evaluation.benchmark.report import check_extra, write_report
from borex.evaluation.benchmark.summary import Mean, comparisons, means, over, scores_in
from borex.evaluation.benchmark.table import LOW_IS_GOOD

SHOWN = ("insertion_blur_minus_deletion", "insertion_blur", "insertion_baseline", "deletion", "average_precision")


def benchmark(path: Path, data: Path | None, out: Path, processes: int, retry: bool, as_json: bool) -> int:
    """Runs the benchmark in a TOML file and prints the means. Returns 0, or 1 where rows failed; raises as
    `borex.evaluation.benchmark.run` does."""
    config = read_config(path, data)
    check_extra()
    rows = run(config, out, processes=processes, retry=retry, progress=sys.stderr.isatty())
    found = means(rows)
    typed = ["borex", "benchmark", str(path), *(["--data", str(data)] if data else []), "--out", str(out)]
    command = shlex.join(typed + (["--processes", str(processes)] if processes > 1 else []))
    code = int(any(row.status == "failed" for row in rows))
    page = write_report(config, rows, out, out / "report.html", command)
    files = {"table": str(out / "table.csv"), "report": str(page)}
    if as_json:
        print(json.dumps(document(config, rows, found, files), indent=2, ensure_ascii=False, allow_nan=False))
        return code
    print(text(rows, found))
    print(f"wrote {', '.join(files.values())}")
    return code


def document(config: Config, rows: list[Row], found: list[Mean], files: dict[str, str]) -> dict[str, Any]:
    """What is known of a benchmark, for JSON."""
    return {
        "name": config.name,
        "rows": {status: sum(row.status == status for row in rows) for status in ("done", "failed", "skipped")},
        "means": [vars(one) for one in found],
        "comparisons": [{**vars(one), "result": vars(one.result)} for one in comparisons(rows, config)],
        "files": files,
    }


def text(rows: list[Row], found: list[Mean]) -> str:
    """The means as a table for a terminal, one block a model, and how many rows were skipped or failed."""
    shown = [score for score in scores_in(rows) if score in SHOWN]
    wide = max((len(one.method) for one in found), default=0) + 7
    lines = []
    for model in dict.fromkeys(one.model for one in found):
        mine = {(one.method, one.budget, one.score): one for one in found if one.model == model}
        lines += [f"{model}", " " * wide + "".join(f"{_short(score):>21}" for score in shown) + "     n"]
        for method, budget in sorted(dict.fromkeys((m, b) for m, b, _ in mine), key=lambda key: (key[1], key[0])):
            cells = [mine.get((method, budget, score)) for score in shown]
            n = max(one.n for one in cells if one)
            numbers = "".join(f"{f'{one.mean:.3f}{over(one.n, n)}' if one else '':>21}" for one in cells)
            lines.append(f"{method:<{wide - 6}}{budget:>6}{numbers}{n:6}")
    low = [_short(score) for score in shown if score in LOW_IS_GOOD]
    lines += [f"means over n inputs, or (n); {' and '.join(low)}: low is good"] if low else []
    skipped = sum(row.status == "skipped" for row in rows)
    lines += (
        [f"skipped: {skipped} of {len(rows)} rows, as the model takes the input for another class"] if skipped else []
    )
    failed = [row for row in rows if row.status == "failed"]
    lines += [f"failed: {row.method} at {row.budget} on {row.input}: {row.error}" for row in failed[:5]]
    lines += [f"failed: {len(failed) - 5} more, see the table"] if len(failed) > 5 else []
    return "\n".join(lines)


def _short(score: str) -> str:
    return {"insertion_blur_minus_deletion": "ins(blur) - deletion", "insertion_baseline": "insertion(baseline)"}.get(
        score, score.replace("_", " ")
    )
