"""Real copies, asked for by the unmodified client: a tapped veth, a monitor that ends VXLAN with the kernel's device.

Needs root; the kernel's own counters are the witness.
"""
import os
import shutil
import signal
import subprocess
import unittest
from pathlib import Path

import osc
from server import ROOT, Server, wait_for

BOX, MONITOR = f"hs-box-{os.getpid()}", f"hs-mon-{os.getpid()}"
INSIDE, OUTSIDE = f"hsb{os.getpid() % 100000}", f"hsm{os.getpid() % 100000}"
VNI = 5001


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
        ip("-n", MONITOR, "link", "add", "vxlan0", "type", "vxlan", "id", str(VNI), "local", "198.18.8.9", "dstport", "4789")
        ip("-n", MONITOR, "link", "set", "vxlan0", "up")

    def clean(self):
        for name in (BOX, MONITOR):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def received(self):
        return int(inside(MONITOR, "cat", "/proc/net/dev").split("vxlan0:")[1].split()[1])

    def test_a_flow_carries_frames(self):
        """What the README shows: service, flow, ping, copies, and none after the flow is deleted."""
        with Server(dataplane=str(ROOT / ".build/release/heliostat-dataplane")) as server:
            self.addCleanup(self.stop_dataplane, server.directory)
            cloud = osc.admin_token(server)

            def make(path, name, values):
                status, _, body = server.request("POST", f"/v2.0/{path}", {name: values}, token=server.token)
                self.assertEqual(status, 201, body)
                return body[name]
            make("heliostat/hosts", "host", {"name": "ids-host", "tunnel_addresses": ["198.18.8.9"]})
            port = make("ports", "port", {"name": "ids", "binding:host_id": "ids-host"})
            make("ports", "port", {"name": "box", "binding:profile": {"interface": INSIDE}})
            make("taas/tap_services", "tap_service", {"name": "ids", "port_id": port["id"], "tunnel_id": VNI})
            cloud("tap", "flow", "create", "--name", "box-both", "--port", "box", "--tap-service", "ids",
                  "--direction", "both")
            shown = wait_for(
                lambda: [row for row in [cloud.json("tap", "flow", "show", "box-both")] if row["status"] == "ACTIVE"], 20)
            self.assertTrue(shown, f"never ACTIVE: {cloud('tap', 'flow', 'show', 'box-both')}")
            before = self.received()
            inside(BOX, "ping", "-c", "10", "-i", "0.05", "-W", "2", "198.18.7.1")
            self.assertTrue(wait_for(lambda: self.received() - before >= 20), f"{self.received() - before} of 20 copies")
            cloud("tap", "flow", "delete", "box-both")
            gone = wait_for(lambda: server.request("GET", "/v2.0/taas/tap_flows", token=server.token)[2]["tap_flows"] == [])
            self.assertTrue(gone)
            before = self.received()
            inside(BOX, "ping", "-c", "5", "-i", "0.05", "-W", "2", "198.18.7.1")
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
