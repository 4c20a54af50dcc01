"""The lab of one benchmark run: namespaces src, host, dst and mon with names of their own, and what is in them.

    src e0 --- p-src [ host: bridge0 ] p-dst --- e0 dst        originals
                     [ host          ] uplink -- e0 mon        copies, VXLAN from 192.0.2.1 to 192.0.2.9

`p-src` is the tapped port, the host's end of src's veth. Nothing outside these namespaces is touched, and everything
goes with them, also after a failure. Before it: `bench`. After it: peers.py and rounds.py.
"""
import json
import os
import subprocess
import tempfile
from pathlib import Path

VNI = 77
MACS = {"src": "02:00:00:00:01:01", "dst": "02:00:00:00:01:02", "up": "02:00:00:00:02:01", "mon": "02:00:00:00:02:09"}
# Of the ports, and of the uplink, which has room for the outer header.
MTU, WIDE = 1500, 1600
QUIET = ["net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"]
BRIDGE_QUIET = ["bridge-nf-call-iptables", "bridge-nf-call-ip6tables", "bridge-nf-call-arptables"]


class LabError(Exception):
    """Something that could not be set up or run, in words for the person who reads the table."""


def run(command, **options):
    """Runs a command to its end; an error carries what it printed."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode != 0:
        raise LabError(f"`{' '.join(str(word) for word in command)}` ended with {done.returncode}: {done.stdout.strip()[-300:]}")
    return done.stdout


class Lab:
    """The namespaces; `with Lab() as lab` makes them and takes them away."""

    def __init__(self, native):
        self.native = Path(native)
        self.prefix = f"hsbench{os.getpid()}"
        self.processes = []
        self.directory = None
        self.receives_xdp = False

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="heliostat-bench-")
        self.path = Path(self.directory.name)
        try:
            self.make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            stop(process)
        for name in ("src", "host", "dst", "mon"):
            subprocess.run(["ip", "netns", "del", self.name(name)], stderr=subprocess.DEVNULL)
        self.directory.cleanup()

    def name(self, namespace):
        return f"{self.prefix}-{namespace}"

    def inside(self, namespace, *command):
        """The command, to be run in one of the namespaces."""
        return ["nsenter", f"--net=/run/netns/{self.name(namespace)}", "--"] + [str(word) for word in command]

    def do(self, namespace, *command):
        return run(self.inside(namespace, *command))

    def undo(self, namespace, *command):
        """Takes something away that may not be there."""
        subprocess.run(self.inside(namespace, *command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start(self, namespace, *command, **options):
        """Starts a process that lives until `stop`, or until the lab goes."""
        process = subprocess.Popen(self.inside(namespace, *command), **options)
        self.processes.append(process)
        return process

    def end(self, process):
        stop(process)
        self.processes.remove(process)

    def make(self):
        for namespace in ("src", "host", "dst", "mon"):
            run(["ip", "netns", "add", self.name(namespace)])
            self.do(namespace, "sysctl", "-qw", *QUIET)
            self.do(namespace, "ip", "link", "set", "lo", "up")
        for device, peer in (("p-src", "src"), ("p-dst", "dst"), ("uplink", "mon")):
            queues, mtu = ["numtxqueues", "1", "numrxqueues", "1"], WIDE if device == "uplink" else MTU
            self.do(
                "host", "ip", "link", "add", device, "mtu", mtu, *queues, "type", "veth", "peer", "name", "e0", "mtu", mtu,
                "address", MACS[peer], *queues, "netns", self.name(peer))
            self.do(peer, "ip", "link", "set", "e0", "up")
        self.do("host", "ip", "link", "set", "uplink", "address", MACS["up"])
        self.do("mon", "ip", "addr", "add", "192.0.2.9/24", "dev", "e0")
        self.do("host", "ip", "link", "add", "bridge0", "type", "bridge")
        for name in BRIDGE_QUIET:
            if Path(f"/proc/sys/net/bridge/{name}").exists():
                self.do("host", "sysctl", "-qw", f"net.bridge.{name}=0")
        for device in ("p-src", "p-dst", "uplink", "bridge0"):
            self.do("host", "ip", "link", "set", device, "up")
        self.address()
        self.forward(True)
        self.originals = Sink(self, "dst")
        self.copies = Sink(self, "mon", VNI)

    def address(self):
        """The uplink's address and its neighbour, which a peer may have taken away."""
        self.do("host", "ip", "addr", "replace", "192.0.2.1/24", "dev", "uplink")
        self.do("host", "ip", "link", "set", "uplink", "up")
        self.do("host", "ip", "neigh", "replace", "192.0.2.9", "lladdr", MACS["mon"], "nud", "permanent", "dev", "uplink")

    def receive_xdp(self):
        """Receiving ends take XDP frames, by NAPI: without it a veth has no room for them (drivers/net/veth.c)."""
        self.receives_xdp = True
        for namespace, device in (("host", "p-src"), ("dst", "e0"), ("mon", "e0")):
            self.do(namespace, "ethtool", "-K", device, "gro", "on")

    def forward(self, on):
        """Whether the kernel's bridge carries the originals; where it does not, the peer does."""
        for device, address in (("p-src", MACS["src"]), ("p-dst", MACS["dst"])):
            self.do("host", "ip", "link", "set", device, *(["master", "bridge0"] if on else ["nomaster"]))
            if on:
                self.do("host", "bridge", "fdb", "replace", address, "dev", device, "master", "static")


class Sink:
    """sink.c in a namespace: counts and drops what arrives."""

    def __init__(self, lab, namespace, *vni):
        self.process = lab.start(
            namespace, lab.native / "sink", lab.native / "sink.bpf.o", "e0", *vni, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise LabError("the sink could not be attached: tcx needs Linux 6.6 or later")

    def ask(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def read(self):
        return self.ask("read")

    def clear(self):
        return self.ask("clear")

    def latency(self):
        """Frames by bucket of 100 ns."""
        return {int(bucket): count for bucket, count in self.ask("latency").items()}


def stop(process, patience=5):
    """Ends a process: end of input, then SIGTERM, then SIGKILL."""
    if process.stdin:
        try:
            process.stdin.close()
        except OSError:
            pass
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()
