"""The control plane on the wire, and a dataplane at rest. `heliostat serve` in the lab's host: from POST of a tap flow to the
first copy that arrives at mon, while frames pass; thousands of flows until the dataplane captures for all of them, asked for
one after the other and found in the store at a start. Beside rounds.py, which measures frames.
"""
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from lab import MACS, VNI, LabError
from peers import Heliostat
from rounds import Accounts, family, threads

PORTS = 250
CLIENTS = 4


class Connection(http.client.HTTPConnection):
    """HTTP over the socket in the state directory, which works from any network namespace."""

    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Control:
    """`heliostat serve` and the dataplane that it starts."""

    def __init__(self, lab, options):
        self.lab, self.state = lab, lab.path / "serve"
        self.dataplane = Path(options.dataplane)
        self.program = self.dataplane.with_name("heliostat")
        self.process = None

    def start(self):
        if not self.program.exists():
            raise LabError(f"{self.program} is not there: run `make build`")
        self.state.mkdir(exist_ok=True)
        log = (self.lab.path / "serve.log").open("a")
        self.process = self.lab.start(
            "host", self.program, "serve", "--state-dir", self.state, "--listen", "127.0.0.1:0", "--dataplane", self.dataplane,
            "--user", "root", "--host", "lab", "--tunnel-address", "192.0.2.1", stdout=subprocess.PIPE, stderr=log, text=True)
        log.close()
        if "serving" not in self.process.stdout.readline():
            raise LabError("heliostat serve did not start: " + (self.lab.path / "serve.log").read_text()[-300:])
        self.token = (self.state / "token").read_text().strip()
        self.connection = Connection(self.state / "api.sock")

    def stop(self):
        if self.process:
            self.lab.end(self.process)
            self.process = None
        for pid in self.dataplanes():
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
        wait(lambda: not self.dataplanes(), 10, "the dataplane did not end")

    def dataplanes(self):
        """Processes that serve has started: the dataplane and its supervisor."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = path.read_bytes()
            except OSError:
                continue
            if b"heliostat-dataplane" in line and str(self.state).encode() in line:
                found.append(int(path.parent.name))
        return found

    def send(self, method, path, body=None, connection=None):
        connection = connection or self.connection
        headers = {"X-Auth-Token": self.token, "Content-Type": "application/json"}
        for last in (False, True):
            try:
                connection.request(method, "/v2.0/" + path, json.dumps(body) if body else None, headers)
                answer = connection.getresponse()
                break
            except (ConnectionError, http.client.RemoteDisconnected):
                connection.close()  # the server has ended one that nobody used
                if last:
                    raise
        data = answer.read()
        if answer.status >= 300:
            raise LabError(f"{method} {path}: {answer.status} {data[:200]!r}")
        return json.loads(data) if data else None

    def make(self, path, name, values, connection=None):
        return self.send("POST", path, {name: values}, connection)[name]["id"]

    def service(self):
        """A tap service whose collector is mon."""
        self.make("heliostat/hosts", "host", {"name": "mon", "tunnel_addresses": ["192.0.2.9"], "heliostat": False})
        port = self.make("ports", "port", {"name": "ids", "binding:host_id": "mon"})
        return self.make("taas/tap_services", "tap_service", {"name": "ids", "port_id": port, "tunnel_id": VNI})

    def port(self, interface):
        values = {"name": interface, "binding:host_id": "lab", "binding:profile": {"interface": interface}}
        return self.make("ports", "port", values)

    def flow(self, service, port, name, connection=None):
        values = {"name": name, "tap_service_id": service, "source_port": port, "direction": "OUT"}
        return self.make("taas/tap_flows", "tap_flow", values, connection)

    def active(self):
        """Taps that the dataplane captures for."""
        with socket.socket(socket.AF_UNIX) as line:
            try:
                line.settimeout(20)
                line.connect(f"{self.state}/dataplane/dataplane.sock")
                line.sendall(b'{"method": "status"}\n')
                status = json.loads(line.makefile().readline())["status"]
            except (OSError, ValueError, KeyError):
                return 0
        return sum(tap["state"] == "active" for tap in status["taps"])

    def acknowledged(self):
        """Flows that the API shows as ACTIVE."""
        return len(self.send("GET", "taas/tap_flows?status=ACTIVE&fields=id")["tap_flows"])


def wait(what, patience, error):
    """Seconds until `what` is true."""
    begin = time.monotonic()
    while not what():
        if time.monotonic() - begin > patience:
            raise LabError(error)
        time.sleep(0.001)
    return time.monotonic() - begin


def quantile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


def first_copies(lab, control, count):
    """Seconds from each POST of a tap flow to its first copy at mon; frames pass all the time, 5,000 a second."""
    service, port, times = control.service(), control.port("p-src"), []
    generator = lab.start(
        "src", lab.native / "generate", "e0", MACS["dst"], 64, 16, 0, 3600, 5_000, -1, stdout=subprocess.DEVNULL)
    try:
        for number in range(count + 3):
            lab.copies.clear()
            begin = time.monotonic()
            flow = control.flow(service, port, f"first{number}")
            wait(lambda: lab.copies.read()["frames"], 10, "no copy within 10 s of the POST")
            times.append(time.monotonic() - begin)
            wait(lambda: control.send("GET", f"taas/tap_flows/{flow}")["tap_flow"]["status"] == "ACTIVE", 10, "not ACTIVE")
            control.send("DELETE", f"taas/tap_flows/{flow}")
            wait(lambda: control.active() == 0, 10, "the tap did not end")
            time.sleep(0.02)
    finally:
        lab.end(generator)
    return service, times[3:]


def many(lab, control, service, count):
    """Seconds in which `count` flows were taken, from the last answer to all active, and from a start with them in the store."""
    names = [f"m{number}" for number in range(PORTS)]
    file = lab.path / "links"
    file.write_text(
        "".join(f"link add {one} type veth peer name {other}\n" for one, other in zip(names[::2], names[1::2]))
        + "".join(f"link set {name} up\n" for name in names))
    lab.do("host", "ip", "-batch", file)
    ports = [control.port(name) for name in names]
    errors = []

    def post(first):
        connection = Connection(control.state / "api.sock")
        try:
            for number in range(first, count, CLIENTS):
                control.flow(service, ports[number % PORTS], f"flow{number}", connection)
        except (LabError, OSError) as error:
            errors.append(error)

    begin = time.monotonic()
    clients = [threading.Thread(target=post, args=(first,)) for first in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    if errors:
        raise LabError(str(errors[0]))
    posted = time.monotonic() - begin
    converged = wait(lambda: control.active() == count, 60, "the flows are not all captured after 60 s")
    acknowledged = converged + wait(lambda: control.acknowledged() == count, 60, "the flows are not all ACTIVE after 60 s")
    control.stop()
    for file in (control.state / "dataplane").glob("program.json*"):
        file.unlink()
    begin = time.monotonic()
    control.start()
    wait(lambda: control.active() == count, 60, "after a start the flows are not all captured after 60 s")
    return posted, converged, acknowledged, time.monotonic() - begin


def resident(pid):
    """MiB in memory: all, and without UMEM and the rings, which are mapped from the kernel or are one area of 32 MiB."""
    total = rest = size = 0
    name = ""
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if found := re.match(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+\s*(.*)", line):
            name = found[1]
        elif line.startswith("Size:"):
            size = int(line.split()[1])
        elif line.startswith("Rss:"):
            pages = int(line.split()[1])
            total += pages
            is_ring = name.startswith(("anon_inode:bpf", "anon_inode:[bpf", "socket:"))
            rest += 0 if is_ring or (not name and size == 32768) else pages
    return total / 1024, rest / 1024


def idle(lab, options, seconds=5):
    """Share of one core and MiB of a dataplane with a tap, while no frame comes."""
    peer = Heliostat(lab, options)
    try:
        peer.start()
        time.sleep(1)
        before, begin = Accounts(peer).mirror, time.monotonic()
        time.sleep(seconds)
        used = (Accounts(peer).mirror - before) / 1e9 / (time.monotonic() - begin)
        pids = [pid for first in peer.pids() for pid in family(first)]
        return used, *resident(max(pids, key=threads))
    finally:
        peer.stop()


def measure(lab, options, count=100, flows=5000):
    """Rows of what was measured: words, value, floor."""
    if options.short:
        count = 50
    control, rows = Control(lab, options), []
    used, total, rest = idle(lab, options)
    rows.append(["idle dataplane, share of one core", f"{used:.2%}", "2 %"])
    rows.append(["idle dataplane, resident", f"{total:.0f} MiB", ""])
    rows.append(["of it without UMEM and rings", f"{rest:.1f} MiB", "64 MiB"])
    try:
        control.start()
        service, times = first_copies(lab, control, count)
        milliseconds = [1000 * one for one in times]
        rows.append([f"POST to first copy, p50 of {count}", f"{quantile(milliseconds, 0.5):.1f} ms", ""])
        rows.append([f"POST to first copy, p99 of {count}", f"{quantile(milliseconds, 0.99):.1f} ms", "100 ms"])
        posted, converged, acknowledged, started = many(lab, control, service, flows)
        rows.append([f"{flows} flows over {PORTS} ports, POST by {CLIENTS} clients", f"{posted:.1f} s, {flows / posted:.0f} a second", ""])
        rows.append(["from the last answer to all captured", f"{converged:.2f} s", "5 s"])
        rows.append(["from the last answer to all ACTIVE", f"{acknowledged:.2f} s", "5 s"])
        rows.append(["from the start of serve with them in its store to all captured", f"{started:.2f} s", "5 s"])
    finally:
        control.stop()
    return rows
