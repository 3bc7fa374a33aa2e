"Workers of a killed program end by themselves."

import os
import signal
import subprocess
import sys
import time

SLEEPER = """
import os, time
from posegen.system.processes import in_processes
def sleep(seconds):
    time.sleep(seconds)
    return os.getpid()
results = in_processes(sleep, [(0.01,)] * 1000, 2)
print(*(next(results) for _ in range(20)), flush=True)
time.sleep(600)
"""


def test_workers_end_with_a_killed_parent(tmp_path):
    program = subprocess.Popen(
        [sys.executable, "-c", SLEEPER], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    workers = {int(number) for number in program.stdout.readline().split()}
    assert workers and program.pid not in workers and all(map(alive, workers))
    program.kill()
    program.wait()
    ends = time.monotonic() + 30
    while any(map(alive, workers)) and time.monotonic() < ends:
        time.sleep(0.2)
    left = [worker for worker in workers if alive(worker)]
    for worker in left:
        os.kill(worker, signal.SIGKILL)
    assert not left


def test_where_the_system_has_no_semaphores_this_process_does_the_work():
    "As in some containers, of which joblib finds out when it is loaded."
    program = SLEEPER.split("print(")[0] + "print({*results} == {os.getpid()})"
    done = subprocess.run(
        [sys.executable, "-c", program.replace("1000", "5")],
        env={**os.environ, "JOBLIB_MULTIPROCESSING": "0"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "True", done.stderr


def alive(process: int) -> bool:
    "Whether a process runs; one that ended and waits to be asked for its status (Z) does not."
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
