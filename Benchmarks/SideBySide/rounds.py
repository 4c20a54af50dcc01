"""One round: a peer is started, seen to work, warmed up, loaded by the generator for a moment, and stopped; what was
sent, what arrived, and the CPU time of everybody involved. Before it: peers.py. After it: report.py.

CPU is the scheduler's own count (/proc/PID/task/TID/schedstat, ns) of the generator, the peer's threads and
ksoftirqd; softirqs that run in somebody's time are in that somebody's count. Other load of the machine is not in it,
and is reported beside it.
"""
import json
import os
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from lab import MACS, LabError


# The sink's last bucket of 100 ns: everything above.
BEYOND = 1023


@dataclass(frozen=True)
class Load:
    """What the generator does in a round."""

    size: str = "64"
    flows: int = 16
    seconds: float = 2.0
    rate: int = 0
    count: int = 0
    senders: int = 1
    source: str = "skb"  # "xdp": live frames, from one sender as fast as it can; "tcp": a stream (tcp.py)


def generate(lab, load, cpu):
    """Runs one generator for each sender to its end, and returns what they printed, summed."""
    processes = []
    for number in range(load.senders):
        command = [lab.native / "generate", "e0", MACS["dst"], load.size, load.flows, load.count, load.seconds, load.rate]
        if load.source == "xdp":
            command = [lab.native / "live", lab.native / "live.bpf.o", "e0", MACS["dst"], load.size, load.flows, load.seconds]
        command.append(cpu if load.senders == 1 else number)
        processes.append(subprocess.Popen(lab.inside("src", *command), stdout=subprocess.PIPE, text=True))
    reports = []
    for process in processes:
        output = process.communicate()[0]
        if process.returncode != 0:
            raise LabError("the generator failed")
        reports.append(json.loads(output))
    return {
        "sent": sum(report["sent"] for report in reports),
        "seconds": max(report["seconds"] for report in reports),
        "cpu_ns": sum(report["cpu_ns"] for report in reports),
    }


def threads(pid):
    """CPU time in ns that the threads of a process have had."""
    total = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            total += int(path.read_text().split()[0])
        except (OSError, IndexError):
            pass
    return total


def family(pid):
    """The process and what it has started: nsenter and taskset replace themselves, servers may fork."""
    found = [pid]
    for known in found:
        try:
            for path in Path(f"/proc/{known}/task").glob("*/children"):
                found += [int(child) for child in path.read_text().split()]
        except OSError:
            pass
    return found


def softirq_threads():
    found = []
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text().startswith("ksoftirqd/"):
                found.append(int(path.parent.name))
        except OSError:
            pass
    return found


KSOFTIRQD = softirq_threads()


class Accounts:
    """CPU times at one moment."""

    def __init__(self, peer):
        self.mirror = sum(threads(pid) for first in peer.pids() for pid in family(first))
        self.softirq = sum(threads(pid) for pid in KSOFTIRQD)
        fields = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        self.busy = (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")
        self.time = time.monotonic()


def settled(lab, patience=5.0):
    """Waits until no counter moves any more, and returns the counters."""
    end = time.monotonic() + patience
    last = None
    while time.monotonic() < end:
        now = (lab.originals.read(), lab.copies.read())
        if now == last:
            break
        last = now
        time.sleep(0.04)
    return last


def wait_for_work(lab, peer, options):
    """Sends single frames until one arrives, and a copy of it if the peer makes copies."""
    end = time.monotonic() + peer.patience
    probe = Load(count=2, rate=1000)
    while time.monotonic() < end:
        lab.originals.clear()
        lab.copies.clear()
        generate(lab, probe, options.sender_cpu)
        time.sleep(0.02)
        if lab.originals.read()["frames"] == 2 and (lab.copies.read()["frames"] == 2 or not peer.is_tapped):
            return
        if any(process.poll() is not None for process in peer.processes):
            raise LabError(f"it ended by itself: {peer.log()}")
    seen = lab.originals.read(), lab.copies.read()
    raise LabError(
        f"after {peer.patience:.0f} s {seen[0]['frames']} of 2 originals and {seen[1]['frames']} of 2 copies arrived"
        f" ({seen[1]['bad']} wrong ones); {peer.log()}")


def measure(lab, peer, load, options):
    """One round of a peer; the figures of one row."""
    lab.forward(peer.kernel_forwards)
    try:
        peer.start()
        wait_for_work(lab, peer, options)
        if not load.rate:
            generate(lab, Load(load.size, load.flows, seconds=0.15, source=load.source), options.sender_cpu)
        settled(lab)
        lab.originals.clear()
        lab.copies.clear()
        before = Accounts(peer)
        report = generate(lab, load, options.sender_cpu)
        in_time = lab.copies.read()["frames"]
        originals, copies = settled(lab)
        after = Accounts(peer)
        return figures(load, report, in_time, originals, copies, before, after, lab.originals.latency())
    finally:
        peer.stop()


def figures(load, report, in_time, originals, copies, before, after, latency):
    sent, seconds = report["sent"], report["seconds"]
    cpu = {
        "sender": report["cpu_ns"] / 1e3,
        "mirror": (after.mirror - before.mirror) / 1e3,
        "softirq": (after.softirq - before.softirq) / 1e3,
    }
    total = sum(cpu.values())
    other = after.busy - before.busy - total / 1e6
    row = {
        "load": asdict(load), "sent": sent, "seconds": seconds, "originals": originals["frames"], "copies": copies["frames"],
        "wrong": originals["bad"] + copies["bad"], "sums_agree": originals["sequences"] == copies["sequences"],
        "offered_mpps": sent / seconds / 1e6, "original_mpps": originals["frames"] / seconds / 1e6,
        "copy_mpps": in_time / seconds / 1e6, "originals_lost": sent - originals["frames"],
        "copies_lost": sent - copies["frames"], "cpu_us": cpu,
        "sender_us_per_frame": cpu["sender"] / sent, "other_load": max(0, other) / (after.time - before.time),
    }
    row["cpu_us_per_pair"] = total / copies["frames"] if copies["frames"] else None
    row["cpu_us_per_original"] = total / originals["frames"] if originals["frames"] else None
    if latency:
        row["p50_us"], row["p99_us"] = quantile(latency, 0.5), quantile(latency, 0.99)
    return row


def quantile(buckets, share):
    """In µs, the upper end of the bucket; of the last one, which has none, where it begins."""
    wanted, so_far = share * sum(buckets.values()), 0
    for bucket in sorted(buckets):
        so_far += buckets[bucket]
        if so_far >= wanted:
            return min(bucket + 1, BEYOND) / 10
    return None
