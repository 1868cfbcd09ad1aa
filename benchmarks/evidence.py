"""Writes what docs/evidence keeps of a benchmark: its table, its curves as SVG, and its means and tests as Markdown.

    python benchmarks/evidence.py benchmarks/rivals.toml OUT docs/evidence [--data FOLDER]

OUT is the folder that `borex benchmark` wrote; rows that the benchmark does not have (any more) are left out. Into
docs/evidence go NAME.csv, the rows; NAME-SCORE.svg for scores that have a curve; and NAME.md, which README.md links.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from borex.evaluation.benchmark import Config, Row, read_config, read_table
from borex.evaluation.benchmark.charts import colours_of, curves, spelled
from borex.evaluation.benchmark.inputs import read_inputs
from borex.evaluation.benchmark.report import DRAWN, seeds, versions
from borex.evaluation.benchmark.run import jobs_of
from borex.evaluation.benchmark.summary import Compared, Mean, best, comparisons, means, over
from borex.evaluation.benchmark.table import open_table

SHOWN = (*DRAWN, "pointing_game", "time_average_precision")


def markdown(config: Config, rows: list[Row], pictures: dict[str, list[str]]) -> str:
    """The page of one benchmark."""
    done = [row for row in rows if row.status == "done"]
    kinds = Counter(row.kind for row in {row.input: row for row in done}.values())
    others = Counter(row.status for row in rows if row.status != "done")
    facts = [
        f"{len(done)} rows" + "".join(f", {n} {status}" for status, n in others.items()),
        "inputs: " + ", ".join(f"{n} {kind}" for kind, n in kinds.items()),
        f"{config.steps} steps; deletion to, and insertion (baseline) from, `{config.baseline}`",
        "seeds " + seeds(config),
        ", ".join(f"{name} {version}" for name, version in versions().items()),
    ]
    lines = [f"# {config.title or config.name}", "", " ".join(config.text.split()), "", ". ".join(facts) + ".", ""]
    found, tests = means(done), comparisons(done, config)
    for model in dict.fromkeys(one.model for one in found):
        lines += [f"## {model}", "", *means_table([one for one in found if one.model == model]), ""]
        lines += [f"![{name}]({name})" for name in pictures.get(model, [])]
        lines += ["", *tests_table([one for one in tests if one.model == model])]
    return "\n".join(lines) + "\n"


def means_table(found: list[Mean]) -> list[str]:
    """The means of one model, a line for each method and budget."""
    at = {(one.budget, one.method, one.score): one for one in found}
    scores = [score for score in SHOWN if any(one.score == score for one in found)]
    lines = [
        "Means over n inputs, or as many as a cell says in brackets; the best of each number of model inputs in bold.",
        "",
    ]
    lines += [f"| method | model inputs | {' | '.join(map(spelled, scores))} | n |", "|---" * (len(scores) + 3) + "|"]
    for budget, method in sorted(dict.fromkeys(key[:2] for key in at), key=lambda key: key[0]):
        line = [at.get((budget, method, score)) for score in scores]
        n = max((one.n for one in line if one), default=0)
        cells = []
        for one in line:
            is_best = one is not None and one.mean == best(found, one.model, one.score, budget)
            value = "" if one is None else f"{one.mean:.3f}"
            cells.append((f"**{value}**" if is_best else value) + over(one.n if one else n, n))
        lines.append(f"| {method} | {budget} | {' | '.join(cells)} | {n} |")
    return lines


def tests_table(tests: list[Compared]) -> list[str]:
    """The paired comparisons of one model, a line for each pair."""
    scores = [score for score in SHOWN if any(one.score == score for one in tests)]
    at = {(one.ours, one.ours_budget, one.other, one.other_budget, one.score): one.result for one in tests}
    lines = [
        "Paired differences: median, above 0 where the first is better; p of the one-sided Wilcoxon signed-rank test,",
        "plain / with Holm's correction over all comparisons of one score; over n inputs, or as many as",
        "a cell says.", "",
        f"| | {' | '.join(map(spelled, scores))} | n |", "|---" * (len(scores) + 2) + "|",
    ]  # fmt: skip
    for pair in dict.fromkeys(key[:4] for key in at):
        results = [at.get((*pair, score)) for score in scores]
        n = max(one.n for one in results if one)
        cells = [f"{one.median:+.3f}; {one.p:.2g} / {one.p_holm:.2g}{over(one.n, n)}" if one else "" for one in results]
        lines.append(f"| {pair[0]} {pair[1]} against {pair[2]} {pair[3]} | {' | '.join(cells)} | {n} |")
    return lines if at else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("docs", type=Path)
    parser.add_argument("--data", type=Path, help="the folder of the tables of inputs, as for borex benchmark")
    options = parser.parse_args()
    config = read_config(options.config, options.data)
    names = [method.name for method in config.methods]
    keys = {job.key for job in jobs_of(config, read_inputs(config.inputs))}
    rows = [row for row in read_table(options.out / "table.csv") if row.key in keys]
    options.docs.mkdir(parents=True, exist_ok=True)
    kept = options.docs / f"{config.name}.csv"
    kept.unlink(missing_ok=True)
    with open_table(kept) as table:
        for row in rows:
            table.append(row)
    found = means(rows)
    pictures: dict[str, list[str]] = {}
    for model in dict.fromkeys(one.model for one in found):
        for score in ("insertion_blur_minus_deletion", "deletion", "average_precision"):
            mine = [one for one in found if (one.model, one.score) == (model, score)]
            ours = [one for one in mine if one.method == (config.ours or one.method)]
            several = any(n > 1 for n in Counter(one.method for one in ours).values())
            # A curve over other inputs at each budget would show the inputs.
            if several and len({one.n for one in ours}) == 1:
                name = f"{config.name}-{model}-{score}.svg"
                drawn = curves(mine, score, colours_of(names, config.ours), config.ours, legend=True)
                (options.docs / name).write_text(drawn, encoding="utf-8")
                pictures.setdefault(model, []).append(name)
    (options.docs / f"{config.name}.md").write_text(markdown(config, rows, pictures), encoding="utf-8")
    print(options.docs / f"{config.name}.md")


if __name__ == "__main__":
    main()
