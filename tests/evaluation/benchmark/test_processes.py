"""Several processes make what one makes, and what is killed leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from borex.errors import ModelError
from borex.evaluation.benchmark import read_config, read_table, run
from tests.evaluation.benchmark.parts import method, run_in, write_config, write_inputs

ROOT = Path(__file__).parents[3]


def test_processes_make_the_same_table(few: Path) -> None:
    alone = run_in(few)
    together = run(read_config(few / "few.toml"), few / "together", processes=2)
    assert [(row.key, row.scores, row.evals) for row in together] == [(row.key, row.scores, row.evals) for row in alone]


@pytest.mark.parametrize("processes", [1, 2])
def test_every_process_works_on_one_thread(few: Path, processes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from threadpoolctl import threadpool_limits

    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with threadpool_limits(2):
            rows = run_in(few, method("threads"), {"budgets": "[5]"}, processes=processes)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    for row in rows:
        said = json.loads(row.facts)
        assert (said["blas"], said["torch"]) == (1, 1)
        assert said["told"] == (["", "", ""] if processes == 1 else ["1", "1", "1"])


def test_a_process_that_dies_is_said_and_loses_nothing(few: Path) -> None:
    (few / "dying.py").write_text("import os\ndef die(task):\n    os._exit(3)\n")
    rows = method("noise") + '[[methods]]\nname = "dying"\nrun = "dying:die"\n'
    with pytest.raises(ModelError, match="a process of the benchmark died"):
        run_in(few, rows, {"budgets": "[5]"}, processes=2)
    assert all(row.method == "noise" for row in read_table(few / "out" / "table.csv"))


def test_a_run_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    write_inputs(tmp_path, 30)
    log, table = tmp_path / "log", tmp_path / "out" / "table.csv"
    config = write_config(tmp_path, method("perfect", pause=0.05, log=str(log)), budgets="[10]")
    command = [sys.executable, "-m", "borex.apps.cli", "benchmark", str(config), "--out", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not table.exists() or table.read_bytes().count(b"\n") < 5:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    before = table.read_bytes()
    made = before.count(b"\n") - 1
    assert 4 <= made < 30
    assert before.endswith(b"\n")  # each line is one write
    with table.open("ab") as file:  # as if the last one had broken off
        file.write(b'p29,even,bright,perfect,10,0,done,0.12,"')
    done = subprocess.run([*command, "--json"], env=environment, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout)["rows"] == {"done": 30, "failed": 0, "skipped": 0}
    after = table.read_bytes()
    assert after.startswith(before)
    lines = after.decode().splitlines()
    assert len(lines) == 31
    assert len({line.split(",")[0] for line in lines[1:]}) == 30
    assert log.read_text().count("x") <= 31  # the one that was being made is made again
    assert len(read_table(table)) == 30


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="a process cannot be killed so")
def test_no_process_outlives_a_run_that_is_killed(tmp_path: Path) -> None:
    write_inputs(tmp_path, 4)
    (tmp_path / "slow.py").write_text(
        "import os, time\nfrom pathlib import Path\ndef slow(task):\n"
        "    Path(__file__).with_name(f'{os.getpid()}.worker').touch()\n    time.sleep(600)\n"
    )
    config = write_config(tmp_path, '[[methods]]\nname = "slow"\nrun = "slow:slow"\n', budgets="[10]")
    command = [sys.executable, "-m", "borex.apps.cli", "benchmark", str(config), "--out", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}

    def waited_for(is_so: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + 60
        while not is_so() and time.monotonic() < deadline:
            time.sleep(0.02)
        return is_so()

    with subprocess.Popen([*command, "--processes", "2"], env=environment, stdout=subprocess.DEVNULL) as process:
        started = waited_for(lambda: len(list(tmp_path.glob("*.worker"))) == 2)
        process.kill()
    assert started
    workers = [int(path.stem) for path in tmp_path.glob("*.worker")]
    try:
        assert waited_for(lambda: not any(map(is_alive, workers)))
    finally:
        for worker in filter(is_alive, workers):
            os.kill(worker, signal.SIGKILL)


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{process}/stat")  # where nobody waits for a process that ended, it stays as a zombie
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
