"""What a frame costs the dataplane on its whole way, where the number does not depend on the machine: system calls of the
worker for a thousand frames, and bytes of the capture ring for one. `bench --costs` holds them against Tests/thresholds, as
Tests/costs does with the loop's instructions. Beside rounds.py, which measures what does depend on it.
"""
import ctypes
import importlib.machinery
import json
import mmap
import os
import struct
import subprocess
import types
from pathlib import Path

from lab import LabError, stop
from peers import Heliostat
from rounds import Load, family, generate, settled, wait_for_work

SCRIPT = Path(__file__).resolve().parent.parent.parent / "Tests/costs"
BPF, MAP_FD_BY_ID, ARRAY = 321, 14, 2  # bpf(2) on x86-64, and of linux/bpf.h


def judge(measured):
    """Prints each number beside its threshold; whether none is above."""
    costs = types.ModuleType("costs")
    costs.__file__ = str(SCRIPT)
    importlib.machinery.SourceFileLoader("costs", str(SCRIPT)).exec_module(costs)
    return costs.judge(measured)


class Calls:
    """calls.c on one thread."""

    def __init__(self, lab, thread):
        self.process = subprocess.Popen(
            [lab.native / "calls", lab.native / "calls.bpf.o", str(thread)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True)
        if self.process.stdout.readline() != "ready\n":
            raise LabError("the system calls cannot be counted: raw tracepoints need CONFIG_FTRACE_SYSCALLS")

    def since(self):
        """System calls since the last time, by number."""
        self.process.stdin.write("read\n")
        self.process.stdin.flush()
        return {int(number): count for number, count in json.loads(self.process.stdout.readline()).items()}

    def end(self):
        stop(self.process)


def worker_of(peer):
    """Thread id of the worker of a dataplane."""
    for pid in (pid for first in peer.pids() for pid in family(first)):
        for path in Path(f"/proc/{pid}/task").glob("*/comm"):
            if path.read_text() == "hs-worker\n":
                return int(path.parent.name)
    raise LabError("the dataplane has no thread hs-worker")


def ring_positions(peer):
    """Bytes that have ever gone into the capture rings of a dataplane, all together."""
    total = 0
    ids = set()
    for pid in (pid for first in peer.pids() for pid in family(first)):
        for path in Path(f"/proc/{pid}/fdinfo").iterdir():
            fields = dict(line.split(":\t") for line in path.read_text().splitlines() if ":\t" in line)
            # Nothing else of ours is an array of one value so large.
            if fields.get("map_type") == str(ARRAY) and int(fields["value_size"]) > 1 << 20 and fields["max_entries"] == "1":
                ids.add(int(fields["map_id"]))
    for number in ids:
        wanted = ctypes.create_string_buffer(struct.pack("IIII", number, 0, 0, 0), 120)
        descriptor = ctypes.CDLL(None, use_errno=True).syscall(BPF, MAP_FD_BY_ID, wanted, 120)
        if descriptor < 0:
            raise LabError(f"cannot open the ring {number}: {os.strerror(ctypes.get_errno())}")
        with mmap.mmap(descriptor, 4096, mmap.MAP_SHARED, mmap.PROT_READ) as page:
            total += struct.unpack_from("Q", page)[0]  # `produced` of struct hs_ring
        os.close(descriptor)
    return total


def measure(lab, options):
    """Every number by the name of its threshold."""
    peer, measured = Heliostat(lab, options), {}
    lab.forward(True)
    try:
        peer.start()
        wait_for_work(lab, peer, options)
        calls = Calls(lab, worker_of(peer))
        try:
            for name, load in (("paced", Load(rate=150_000, count=75_000)), ("flood", Load(seconds=0.5))):
                settled(lab)
                lab.copies.clear()
                calls.since()
                generate(lab, load, options.sender_cpu)
                made = calls.since()
                copies = settled(lab)[1]["frames"]
                print(f"{name}: {copies} copies, system calls by number: {made}", flush=True)
                measured[f"calls-{name}"] = sum(made.values()) / copies * 1000
        finally:
            calls.end()
        for size in (64, 1500):
            before, load = ring_positions(peer), Load(size=str(size), rate=20_000, count=2_000)
            generate(lab, load, options.sender_cpu)
            measured[f"ring-bytes-{size}"] = (ring_positions(peer) - before) / load.count
    finally:
        peer.stop()
    return measured
