"""Rounds with real TCP from src to dst through the tapped port, all offloads on. A stream of iperf3, so that super-frames
reach the mirror: its rate, the share of its bytes that arrived in copies, and the CPU of both ends and the mirror for a
gigabyte. Requests and responses of one byte (rr.c): how many in a second, and how long one takes. Beside rounds.py, which
has the generators.
"""
import json
import shutil
import subprocess
import time
from dataclasses import asdict, replace

from lab import LabError
from rounds import Accounts, settled, wait_for_work

SERVER, CLIENT = "198.51.100.2", "198.51.100.1"
# Of a stream that does not count, for a peer that goes by what it sees.
SHOWN = 5


def prepare(lab, load):
    """Addresses for src and dst; `plain`: the uplink has to be given frames as they are on a wire."""
    lab.do("src", "ip", "addr", "add", f"{CLIENT}/24", "dev", "e0")
    lab.do("dst", "ip", "addr", "add", f"{SERVER}/24", "dev", "e0")
    if load.size == "plain":
        lab.do("host", "ethtool", "-K", "uplink", "tso", "off", "gso", "off", "tx", "off")


def stream(lab, load, options):
    """Runs iperf3, and returns bytes, seconds, and the CPU time of both ends in ns."""
    if not shutil.which("iperf3"):
        raise LabError("iperf3 is not there: run `make setup`")
    client_cpu, server_cpu = (("-A", f"{options.sender_cpu},{options.mirror_cpu}") if options.sender_cpu >= 0 else ("", ""))
    server = lab.start("dst", "iperf3", "-s", "-1", "-B", SERVER, stdout=subprocess.DEVNULL)
    try:
        time.sleep(0.1)
        client = ["iperf3", "-c", SERVER, "-J", "-t", max(1, round(load.seconds)), *filter(None, (client_cpu, server_cpu))]
        done = subprocess.run(lab.inside("src", *client), stdout=subprocess.PIPE, text=True, timeout=60)
        report = json.loads(done.stdout)
        if "error" in report:
            raise LabError(f"iperf3: {report['error']}")
        end = report["end"]
        percent = end["cpu_utilization_percent"]
        seconds = end["sum_received"]["seconds"]
        cpu = (percent["host_total"] + percent["remote_total"]) / 100 * seconds * 1e9
        return end["sum_received"]["bytes"], seconds, cpu
    finally:
        lab.end(server)


def transactions(lab, load, options):
    """Runs rr.c, and returns what the client printed."""
    port = 7007
    server = lab.start("dst", lab.native / "rr", "server", SERVER, port, options.mirror_cpu, stdout=subprocess.PIPE, text=True)
    try:
        if server.stdout.readline() != "ready\n":
            raise LabError("the server of rr did not start")
        client = ["client", SERVER, port, load.seconds, options.sender_cpu]
        done = subprocess.run(lab.inside("src", lab.native / "rr", *client), stdout=subprocess.PIPE, text=True, timeout=60)
        if done.returncode != 0:
            raise LabError("the client of rr failed")
        return json.loads(done.stdout)
    finally:
        lab.end(server)


def measure_requests(lab, peer, load, options):
    """One round of requests and responses; every frame both ways passes the port, those of the client are copied."""
    lab.forward(peer.kernel_forwards)
    try:
        peer.start()
        wait_for_work(lab, peer, options)
        lab.copies.clear()
        before = Accounts(peer)
        report = transactions(lab, load, options)
        copies = settled(lab)[1]
        after = Accounts(peer)
    finally:
        peer.stop()
    return {
        "load": asdict(load), "rate": report["transactions"] / report["seconds"], "p50_us": report["p50_us"],
        "p99_us": report["p99_us"], "copies": copies["other"], "copied": copies["other"] / report["transactions"],
        "other_load": max(0, after.busy - before.busy - 2 * report["seconds"]) / (after.time - before.time),
    }


def measure(lab, peer, load, options):
    """One round of a peer; the figures of one row."""
    if load.size == "requests":
        return measure_requests(lab, peer, load, options)
    lab.forward(peer.kernel_forwards)
    try:
        peer.start()
        wait_for_work(lab, peer, options)
        if peer.learns:
            stream(lab, replace(load, seconds=SHOWN), options)
            settled(lab)
        lab.copies.clear()
        before = Accounts(peer)
        carried, seconds, ends = stream(lab, load, options)
        copies = settled(lab)[1]
        after = Accounts(peer)
    finally:
        peer.stop()
    mirror = after.mirror - before.mirror + after.softirq - before.softirq
    total = (ends + mirror) / 1e9
    return {
        "load": asdict(load), "gbps": carried * 8 / seconds / 1e9, "copies": copies["other"],
        "copied_bytes": copies["other_bytes"], "copied": copies["other_bytes"] / carried,
        "cpu_s_per_gb": total / carried * 1e9,
        "other_load": max(0, after.busy - before.busy - total) / (after.time - before.time),
    }
