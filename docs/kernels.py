"""Kernels that begin with the slow imports done: one process imports them once, and forks for each notebook.

A kernel of Jupyter starts Python anew, and most chapters then import torch, which takes longer than their cells. Here a
notebook gets a fork of a process that has imported the packages below, and nothing of this project.
"""

import atexit
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import EntryPoint
from typing import Any

import psutil
from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner

IMPORTED = (
    "ipykernel.kernelapp",
    "torch",
    "matplotlib.figure",  # not pyplot: it asks at its import whether it is in a notebook
    "matplotlib.backends.backend_agg",
    "h5py",
    "scipy.stats",
    "skimage.metrics",
    "fastcore.test",
    "nbdev.showdoc",
)


INLINE = "module://matplotlib_inline.backend_inline"  # as a kernel sets it before matplotlib is imported


def serve() -> None:
    "Fork a kernel for each line of the standard input, and write its process number."
    for name in IMPORTED:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, lambda *_: bury())
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if not child:
            return become_kernel(**order)
        os.setpgid(child, child)  # a group of its own, before anybody may send it a signal
        print(child, flush=True)


def bury() -> None:
    "Forget the kernels that have ended."
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:  # none is left
        pass


def become_kernel(arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    "What a new kernel would do, with the imports done."
    from ipykernel.kernelapp import IPKernelApp

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)  # the pipes belong to the process that forks
    os.dup2(2, 1)
    ends_with = f"--IPKernelApp.parent_handle={os.getppid()}"
    IPKernelApp.launch_instance(argv=[*arguments, ends_with])
    atexit.unregister(IPKernelApp.instance().close)  # waits a second and more for what nobody reads
    atexit._run_exitfuncs()
    os._exit(0)


@cache
def forking(owner: int) -> subprocess.Popen:
    "The process that forks for the process `owner`; it ends with it."
    return subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | dict(MPLBACKEND=INLINE),
    )


class Fork(psutil.Process):
    "As much of `subprocess.Popen` as a provisioner wants of its kernel; never another process with its number."

    stdin = stdout = stderr = None

    def poll(self) -> int | None:
        try:
            return None if self.is_running() and self.status() != psutil.STATUS_ZOMBIE else 0
        except psutil.NoSuchProcess:
            return 0

    def send_signal(self, number: int) -> None:
        "To the kernel and to what it has started."
        if self.poll() is None:
            os.killpg(self.pid, number)


class ForkedProvisioner(LocalProvisioner):
    "Forks where others start a process."

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> dict[str, Any]:
        arguments = cmd[cmd.index("ipykernel_launcher") + 1 :]
        order = dict(arguments=arguments, folder=str(kwargs["cwd"]), environment=dict(kwargs["env"]))
        server = forking(os.getpid())
        print(json.dumps(order), file=server.stdin, flush=True)
        self.pid = int(server.stdout.readline())
        self.process = Fork(self.pid)
        return self.connection_info


@contextmanager
def forked_kernels() -> Iterator[None]:
    "The kernels that this process starts meanwhile are forks."
    factory = KernelProvisionerFactory.instance()
    factory.provisioners["forked"] = EntryPoint(
        "forked", "docs.kernels:ForkedProvisioner", factory.GROUP_NAME
    )
    before, factory.default_provisioner_name = factory.default_provisioner_name, "forked"
    try:
        yield
    finally:
        factory.default_provisioner_name = before


if __name__ == "__main__":
    del sys.path[0]  # this folder
    serve()
