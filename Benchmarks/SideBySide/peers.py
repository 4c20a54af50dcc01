"""Everything that can stand between src and dst: each makes the host forward the originals and, but for `untapped`,
deliver a VXLAN copy of every one to mon. Each has a name, what it is in one line, `start` and `stop`, and the
processes whose CPU is its own. Before it: lab.py. After it: rounds.py.

A peer that cannot run raises LabError with the reason, which is what the table shows in its place.
"""
import json
import os
import signal
import subprocess
import time
from pathlib import Path

from lab import MACS, VNI, LabError, run, stop


class Peer:
    """One way to forward and mirror; `start` and `stop` may be called again and again."""

    name = what = ""
    is_tapped = True
    kernel_forwards = True
    patience = 8.0  # seconds until the first copy has to be there
    learns = False  # goes by the traffic that it sees, and is shown some seconds of a TCP stream first
    sources = ("skb", "xdp")  # also "tcp" for what takes super-frames

    def __init__(self, lab, options):
        self.lab, self.options = lab, options
        self.processes = []

    def start(self):
        pass

    def stop(self):
        for process in reversed(self.processes):
            self.lab.end(process)
        self.processes = []

    def pids(self):
        """The processes that work for this peer."""
        return [process.pid for process in self.processes]

    def spawn(self, *command, ready=True, **options):
        """Starts a process on the mirror's CPU; waits for its line "ready"."""
        pinned = ["taskset", "-c", str(self.options.mirror_cpu)] if self.options.mirror_cpu >= 0 else []
        log = (self.lab.path / f"{self.name}.log").open("w")
        process = self.lab.start(
            "host", *pinned, *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE if ready else log, stderr=log,
            text=True, **options)
        log.close()
        self.processes.append(process)
        if ready and process.stdout.readline() != "ready\n":
            raise LabError(self.log() or f"{self.name} did not start")
        return process

    def log(self):
        lines = (self.lab.path / f"{self.name}.log").read_text(errors="replace").strip().splitlines()
        telling = [line for line in lines if "error" in line.lower()] or lines[-1:]
        return telling[0][:200] if telling else ""


class Untapped(Peer):
    name, what, is_tapped = "untapped", "bridge alone, no copies", False
    sources = ("skb", "xdp", "tcp")


class Heliostat(Peer):
    """`heliostat-dataplane --program FILE`; on a veth as uplink its engine `auto` is always the user engine."""

    name, what = "heliostat", "this tree's dataplane: tcx, ring, AF_XDP in copy mode"
    sources = ("skb", "xdp", "tcp")

    def program(self):
        return {
            "generation": 1,
            "ports": [{"id": "src", "interface": "p-src"}],
            "destinations": [{"id": "mon", "remote": "192.0.2.9", "tunnel_id": VNI}],
            "taps": [{"id": "all", "port": "src", "direction": "OUT", "destinations": ["mon"]}],
        }

    def start(self):
        binary = Path(self.options.dataplane)
        if not binary.exists():
            raise LabError(f"{binary} is not there: run `make build`")
        file = self.lab.path / "program.json"
        file.write_text(json.dumps(self.program()))
        try:
            run([binary, "--check", "--program", file])
        except LabError as error:
            reason = str(error).split("program.json: ", 1)[-1].split(";")[0]
            raise LabError(f"this version refuses its program: {reason}") from None
        self.state = self.lab.path / "state"
        self.state.mkdir(exist_ok=True)
        self.spawn(binary, "run", "--state-dir", self.state, "--program", file, ready=False)


class HeliostatKernel(Heliostat):
    """The same with the tap carried out in the kernel."""

    name, what = "heliostat kernel engine", "the same, the tap carried out by BPF in the sender's time"

    def program(self):
        program = super().program()
        program["taps"][0]["engine"] = "kernel"
        return program


class HeliostatAuto(Heliostat):
    """An uplink that is said to take super-frames whole: the kernel carries the tap once it has seen a stream of them."""

    name, what = "heliostat auto", "engine auto, uplink of kind device: the kernel carries super-frames"
    sources = ("tcp",)
    learns = True

    def program(self):
        return super().program() | {"uplinks": [{"interface": "uplink", "kind": "device"}]}


class HeliostatDevice(HeliostatAuto):
    """The user engine with an uplink that takes super-frames whole."""

    name, what = "heliostat device", "user engine, uplink of kind device: super-frames leave whole"
    learns = False

    def program(self):
        program = super().program()
        program["taps"][0]["engine"] = "user"
        return program


class HeliostatUDP(Heliostat):
    """The user engine with an uplink that takes the segments of a super-frame together."""

    name, what = "heliostat udp", "user engine, uplink of kind udp: equal neighbours leave as one super-frame of UDP"
    sources = ("tcp",)

    def program(self):
        return super().program() | {"uplinks": [{"interface": "uplink", "kind": "udp"}]}


class HeliostatLive(Heliostat):
    """The user engine with an uplink of kind live; the monitor's end receives XDP frames (by NAPI, as a NIC does)."""

    name, what = "heliostat live", "uplink of kind live: many copies at once leave as XDP frames; GRO on at mon"

    def program(self):
        return super().program() | {"uplinks": [{"interface": "uplink", "kind": "live"}]}

    def start(self):
        self.lab.do("mon", "ethtool", "-K", "e0", "gro", "on")
        super().start()

    def stop(self):
        super().stop()
        if not self.lab.receives_xdp:
            self.lab.do("mon", "ethtool", "-K", "e0", "gro", "off")


class HeliostatXDP(Heliostat):
    """The same with the port captured by a native XDP program. On a veth it has to be asked for, and GRO to be on."""

    name, what = "heliostat xdp", "the same, captured by a native XDP program"
    sources = ("xdp",)

    def program(self):
        program = super().program()
        program["ports"][0].update(capture="xdp", policy="require")
        return program


class Mirred(Peer):
    """tc's action mirred to a vxlan device; both from the kernel."""

    name, what = "tc mirred", "clsact, mirred to a vxlan device"
    sources = ("skb", "xdp", "tcp")
    classifiers = (["matchall"], ["bpf", "bytecode", "1,6 0 0 4294967295"], ["u32", "match", "u32", "0", "0"])

    def start(self):
        self.lab.do(
            "host", "ip", "link", "add", "vx", "type", "vxlan", "id", VNI, "local", "192.0.2.1", "remote", "192.0.2.9",
            "dstport", 4789, "dev", "uplink", "nolearning", "noudpcsum")
        self.lab.do("host", "ip", "link", "set", "vx", "up")
        self.lab.do("host", "tc", "qdisc", "add", "dev", "p-src", "clsact")
        for classifier in self.classifiers:
            try:
                self.lab.do(
                    "host", "tc", "filter", "add", "dev", "p-src", "ingress", "protocol", "all", "prio", "1", *classifier,
                    "action", "mirred", "egress", "mirror", "dev", "vx")
                return
            except LabError as error:
                last = error
        raise last

    def stop(self):
        self.lab.undo("host", "tc", "qdisc", "del", "dev", "p-src", "clsact")
        self.lab.undo("host", "ip", "link", "del", "vx")


class Clone(Peer):
    """clone.bpf.c: the leanest mirror that the kernel itself can do."""

    name, what = "tc-BPF clone", "bpf_clone_redirect, encapsulated by BPF at another device's egress"
    sources = ("skb", "xdp", "tcp")

    def start(self):
        try:
            self.lab.do("host", "ip", "link", "add", "enc", "mtu", 9000, "type", "dummy")
        except LabError:  # nothing is ever transmitted on it, so that any device will do
            self.lab.do("host", "ip", "link", "add", "enc", "mtu", 9000, "type", "veth", "peer", "name", "enc-end")
        self.lab.do("host", "ip", "link", "set", "enc", "up")
        self.spawn(
            self.lab.native / "clone", self.lab.native / "clone.bpf.o", "p-src", "enc", "uplink", MACS["up"], MACS["mon"], VNI)

    def stop(self):
        super().stop()
        self.lab.undo("host", "ip", "link", "del", "enc")


class Ceiling(Peer):
    """ceiling.c: our own design by hand in C."""

    name, what = "C equivalent", "Heliostat's design by hand in C, with nothing else in it"

    def start(self):
        self.spawn(
            self.lab.native / "ceiling", self.lab.native / "ceiling.bpf.o", "p-src", "uplink", MACS["up"], MACS["mon"], VNI)


class CeilingLive(Ceiling):
    """The same, where the monitor's end receives XDP frames (by NAPI, as a NIC does)."""

    name, what = "C live frames", "C equivalent whose copies leave as XDP frames where there are many at once; GRO on at mon"
    sources = ("skb",)

    def start(self):
        self.lab.do("mon", "ethtool", "-K", "e0", "gro", "on")
        self.spawn(
            self.lab.native / "ceiling", self.lab.native / "ceiling.bpf.o", "p-src", "uplink", MACS["up"], MACS["mon"], VNI,
            self.lab.native / "redirect.bpf.o")

    def stop(self):
        super().stop()
        self.lab.do("mon", "ethtool", "-K", "e0", "gro", "off")


class Broadcast(Peer):
    """broadcast.bpf.c: only where the port receives XDP frames."""

    name, what = "XDP broadcast", "devmap with BPF_F_BROADCAST, encapsulated by the devmap's program; no skb on the host"
    sources = ("xdp",)

    def start(self):
        self.spawn(
            self.lab.native / "broadcast", self.lab.native / "broadcast.bpf.o", "p-src", "p-dst", "uplink", MACS["up"],
            MACS["mon"], VNI)


KERNEL = [
    Untapped, Heliostat, HeliostatKernel, HeliostatAuto, HeliostatDevice, HeliostatUDP, HeliostatLive, HeliostatXDP, Mirred, Clone,
    Ceiling, CeilingLive, Broadcast]
