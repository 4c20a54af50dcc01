"""Real copies, asked for by the unmodified client: a tapped veth, a monitor that ends VXLAN with the kernel's device.

Every step is the client's but making the collector's host known, which OpenStack has no word for.

Needs root; the kernel's own counters are the witness.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import unittest
from pathlib import Path

import osc
from server import ROOT, Server, wait_for

BOX, MONITOR = f"hs-box-{os.getpid()}", f"hs-mon-{os.getpid()}"
INSIDE, OUTSIDE = f"hsb{os.getpid() % 100000}", f"hsm{os.getpid() % 100000}"

# Counts ICMP echoes and replies inside GRE frames by key (RFC 2890), until 20 have come or five seconds have passed.
COUNT_KEYS = """
import collections, json, socket, struct, time
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
print("listening", flush=True)
counts, end = collections.Counter(), time.monotonic() + 5
while sum(counts.values()) < 20 and time.monotonic() < end:
    wire.settimeout(max(0.01, end - time.monotonic()))
    try:
        frame = wire.recv(65536)
    except TimeoutError:
        break
    if frame[12:14] != bytes([8, 0]) or frame[23] != 47:
        continue
    flags, kind = struct.unpack("!HH", frame[34:38])
    inner = frame[42:]
    if kind == 0x6558 and flags & 0x2000 and inner[12:14] == bytes([8, 0]) and inner[23] == 1:
        counts[struct.unpack("!I", frame[38:42])[0]] += 1
print(json.dumps(counts))
"""


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


def inside(namespace, *command):
    return subprocess.run(
        ["nsenter", f"--net=/run/netns/{namespace}", *command], check=True, capture_output=True, text=True).stdout


class CopiesTests(unittest.TestCase):
    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("network namespaces need root")
        self.addCleanup(self.clean)
        ip("netns", "add", BOX)
        ip("netns", "add", MONITOR)
        ip("link", "add", INSIDE, "type", "veth", "peer", "name", "eth0", "netns", BOX)
        ip("addr", "add", "198.18.7.1/24", "dev", INSIDE)
        ip("link", "set", INSIDE, "up")
        ip("-n", BOX, "addr", "add", "198.18.7.2/24", "dev", "eth0")
        ip("-n", BOX, "link", "set", "eth0", "up")
        ip("link", "add", OUTSIDE, "mtu", "9200", "type", "veth", "peer", "name", "eth0", "mtu", "9200", "netns", MONITOR)
        ip("addr", "add", "198.18.8.1/24", "dev", OUTSIDE)
        ip("link", "set", OUTSIDE, "up")
        ip("-n", MONITOR, "addr", "add", "198.18.8.9/24", "dev", "eth0")
        ip("-n", MONITOR, "link", "set", "eth0", "up")

    def monitor(self, name, kind, *options):
        """A tunnel's end at the monitor, the kernel's own."""
        ip("-n", MONITOR, "link", "add", name, "type", kind, *options)
        ip("-n", MONITOR, "link", "set", name, "up")

    def clean(self):
        """The links by name: with a namespace they go only a while later."""
        for name in (INSIDE, OUTSIDE):
            subprocess.run(["ip", "link", "del", name], check=False, capture_output=True)
        for name in (BOX, MONITOR):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def received(self):
        return int(inside(MONITOR, "cat", "/proc/net/dev").split("vxlan0:")[1].split()[1])

    def lab(self, server):
        """A client, a network, the tapped port `box`, and the collector's port `ids`."""
        self.addCleanup(self.stop_dataplane, server.directory)
        cloud = osc.admin_token(server)
        status, _, body = server.request(
            "POST", "/v2.0/heliostat/hosts", {"host": {"name": "ids-host", "tunnel_addresses": ["198.18.8.9"]}},
            token=server.token)
        self.assertEqual(status, 201, body)
        hosts = server.request("GET", "/v2.0/heliostat/hosts", token=server.token)[2]["hosts"]
        here = next(host["name"] for host in hosts if host["heliostat"])
        cloud("network", "create", "lab")
        cloud("port", "create", "--network", "lab", "--host", "ids-host", "ids")
        cloud("port", "create", "--network", "lab", "--host", here, "--binding-profile", f"interface={INSIDE}", "box")
        return cloud

    def ping(self, count):
        inside(BOX, "ping", "-c", str(count), "-i", "0.05", "-W", "2", "198.18.7.1")

    def test_a_mirror_carries_frames(self):
        """GRE with a key for each direction, counted at the monitor as it comes off the wire."""
        with Server(dataplane=str(ROOT / ".build/release/heliostat-dataplane")) as server:
            cloud = self.lab(server)
            cloud("tap", "mirror", "create", "--name", "m", "--port", "box", "--directions", "IN=101", "--directions",
                  "OUT=102", "--remote-ip", "198.18.8.9", "--mirror-type", "gre")
            ready = wait_for(lambda: INSIDE in server.command("status", "--json") and server.request(
                "GET", "/v2.0/taas/tap_mirrors", token=server.token)[2]["tap_mirrors"][0].get("status") == "ACTIVE", 20)
            self.assertTrue(ready, server.command("status", "--json"))
            witness = subprocess.Popen(
                ["nsenter", f"--net=/run/netns/{MONITOR}", sys.executable, "-c", COUNT_KEYS],
                stdout=subprocess.PIPE, text=True)
            self.assertEqual(witness.stdout.readline(), "listening\n")
            self.ping(10)
            counts = json.loads(witness.communicate(timeout=20)[0])
            self.assertEqual(counts, {"101": 10, "102": 10})
            cloud("tap", "mirror", "delete", "m")

    def test_a_flow_carries_frames(self):
        """What the README shows: service, flow, ping, copies, and none after the flow is deleted."""
        with Server(dataplane=str(ROOT / ".build/release/heliostat-dataplane")) as server:
            cloud = self.lab(server)
            cloud("tap", "service", "create", "--name", "ids", "--port", "ids")
            # The client knows no tunnel id; the monitor's device takes the one that the service was given.
            service = server.request("GET", "/v2.0/taas/tap_services?name=ids", token=server.token)[2]["tap_services"][0]
            self.monitor("vxlan0", "vxlan", "id", str(service["tunnel_id"]), "local", "198.18.8.9", "dstport", "4789")
            cloud("tap", "flow", "create", "--name", "box-both", "--port", "box", "--tap-service", "ids",
                  "--direction", "both")
            shown = wait_for(
                lambda: [row for row in [cloud.json("tap", "flow", "show", "box-both")] if row["status"] == "ACTIVE"], 20)
            self.assertTrue(shown, f"never ACTIVE: {cloud('tap', 'flow', 'show', 'box-both')}")
            before = self.received()
            self.ping(10)
            self.assertTrue(wait_for(lambda: self.received() - before >= 20), f"{self.received() - before} of 20 copies")
            cloud("tap", "flow", "delete", "box-both")
            gone = wait_for(lambda: server.request("GET", "/v2.0/taas/tap_flows", token=server.token)[2]["tap_flows"] == [])
            self.assertTrue(gone)
            before = self.received()
            self.ping(5)
            self.assertEqual(self.received() - before, 0)

    def stop_dataplane(self, directory):
        """The dataplane outlives `serve`: it is ended by the process ids that its locks' holders have."""
        for pid in [entry for entry in os.listdir("/proc") if entry.isdigit()]:
            try:
                line = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if b"heliostat-dataplane" in line and directory.encode() in line:
                try:
                    os.kill(int(pid), signal.SIGTERM)
                except ProcessLookupError:
                    pass
        wait_for(lambda: not (Path(directory) / "dataplane/dataplane.sock").exists(), 5)
        shutil.rmtree(directory, ignore_errors=True)
