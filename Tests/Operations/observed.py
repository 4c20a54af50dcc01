"""A real dataplane behind the API, in namespaces: the counters that operators and tenants read, over its restarts; a device
of the host that has the tunnel's UDP port and VNI.

Before: test_operations.py. After: `heliostat serve` and `heliostat-dataplane`, and a peer namespace that sends and takes.
"""
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import unittest
from pathlib import Path

from client import Client
from server import ROOT, Server, wait_for

HERE, PEER = f"hs-oh-{os.getpid()}", f"hs-op-{os.getpid()}"


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


class RealDataplane(unittest.TestCase):
    """What counts, and what is said, with the kernel below."""

    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("network namespaces need root")
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self.addCleanup(self.leave)
        for name in (HERE, PEER):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        for name, address in (("box0", "198.18.7"), ("up0", "198.18.8")):
            ip("-n", HERE, "link", "add", name, "mtu", "2000", "type", "veth", "peer", "name", name, "mtu", "2000",
               "netns", PEER)
            for namespace, last in ((HERE, "1"), (PEER, "2")):
                ip("-n", namespace, "addr", "add", f"{address}.{last}/24", "dev", name)
                ip("-n", namespace, "link", "set", name, "up")
        self.enter(os.open(f"/run/netns/{HERE}", os.O_RDONLY))
        self.server = Server(dataplane=str(ROOT / ".build/release/heliostat-dataplane"))
        self.addCleanup(shutil.rmtree, self.server.directory, ignore_errors=True)
        self.addCleanup(self.server.stop)
        self.addCleanup(self.end_dataplane, signal.SIGTERM)
        self.server.start()
        self.client = Client(self.server)

    def enter(self, descriptor):
        """This thread and what it starts from now on."""
        self.assertEqual(self.libc.setns(descriptor, 0x40000000), 0)
        os.close(descriptor)

    def leave(self):
        self.enter(self.outside)
        for name in (HERE, PEER):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def dataplanes(self):
        """Processes of this test's dataplane: its supervisor and itself."""
        found = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                line = Path(f"/proc/{entry}/cmdline").read_bytes()
            except OSError:
                continue
            if b"heliostat-dataplane" in line and self.server.directory.encode() in line:
                found.append(int(entry))
        return found

    def end_dataplane(self, number):
        for pid in self.dataplanes():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        wait_for(lambda: not self.dataplanes(), 5)

    def ask(self, method):
        """The dataplane itself, by its socket."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(5)
            line.connect(f"{self.server.directory}/dataplane/dataplane.sock")
            line.sendall(json.dumps({"method": method}).encode() + b"\n")
            with line.makefile() as answer:
                return json.loads(answer.readline())

    def taps(self):
        """A service on a collector with a flow to it, and a mirror of the same port."""
        make = self.client.make
        make("heliostat/hosts", "host", {"name": "ids-host", "tunnel_addresses": ["198.18.8.2"]})
        monitor = make("ports", "port", {"name": "ids", "binding:host_id": "ids-host"})["id"]
        box = make("ports", "port", {"name": "box", "binding:profile": {"interface": "box0"}})["id"]
        service = make("taas/tap_services", "tap_service", {"name": "s", "port_id": monitor})
        flow = make("taas/tap_flows", "tap_flow", {
            "name": "f", "tap_service_id": service["id"], "source_port": box, "direction": "BOTH"})
        mirror = make("taas/tap_mirrors", "tap_mirror", {
            "name": "m", "port_id": box, "directions": {"IN": 101}, "remote_ip": "198.18.8.2", "mirror_type": "gre"})
        for path, name, item in (("taas/tap_services", "tap_service", service), ("taas/tap_flows", "tap_flow", flow),
                                 ("taas/tap_mirrors", "tap_mirror", mirror)):
            self.assertTrue(
                wait_for(lambda: self.get(path, name, item)["status"] == "ACTIVE", 20), self.get(path, name, item))
            # The monitor's neighbour entry is there: no copy is dropped.
            self.assertTrue(
                wait_for(lambda: self.get(path, name, item)["status_reason"] is None), self.get(path, name, item))
        return service, flow, mirror

    def get(self, path, name, item):
        return self.client.send("GET", f"{path}/{item['id']}")[1][name]

    def ping(self, count):
        subprocess.run(
            ["nsenter", f"--net=/run/netns/{PEER}", "ping", "-c", str(count), "-i", "0.02", "-W", "2", "198.18.7.1"],
            check=True, capture_output=True)

    def metrics(self):
        """Samples by name and labels, once they are of a poll after this call."""
        from prometheus_client.parser import text_string_to_metric_families

        def read():
            self.client.connection.request("GET", "/metrics", None, self.client.headers)
            text = self.client.connection.getresponse().read().decode()
            self.families = {family.name: family for family in text_string_to_metric_families(text)}
            return {
                (sample.name.removeprefix("heliostat_"), tuple(sorted(sample.labels.items()))): sample.value
                for family in self.families.values() for sample in family.samples}

        begin = time.time()
        found = wait_for(
            lambda: [samples for samples in [read()] if samples.get(("statistics_timestamp_seconds", ()), 0) > begin])
        self.assertTrue(found, "no poll of the dataplane's counters")
        return found[0]

    def test_metrics_are_the_dataplanes_ledger(self):
        self.taps()
        self.ping(20)
        # At rest the ledger does not move; what is left in rings is out within a moment.
        self.assertTrue(wait_for(lambda: self.ask("stats")["stats"]["taps"] and self.at_rest()))
        # Neighbour discovery may come between two looks: a poll counts that had none before and none after it.
        looks = []
        def is_still():
            looks[:] = [self.counters(), self.metrics(), self.counters()]
            return looks[0] == looks[2]
        self.assertTrue(wait_for(is_still, 30), looks)
        shown, counted = looks[1], looks[2]
        status = self.ask("status")["status"]
        for name, label, rows in (("tap", "tap", counted["taps"]), ("destination", "destination", counted["destinations"])):
            self.assertTrue(rows)
            self.assertTrue(any(row["frames"] for row in rows), rows)
            for row in rows:
                own = ((label, row["id"]),)
                self.assertEqual(shown[f"{name}_frames_total", own], row["frames"])
                self.assertEqual(shown[f"{name}_bytes_total", own], row["bytes"])
                self.assertEqual(shown[f"{name}_truncated_frames_total", own], row["truncated"])
                # Every reason is there, also those that never happened.
                self.assertGreater(len(row["drops"]), 10)
                reasons = {
                    dict(labels)["reason"]: value for (sample, labels), value in shown.items()
                    if sample == f"{name}_dropped_frames_total" and dict(labels)[label] == row["id"]}
                self.assertEqual(reasons, row["drops"])
                if "offered" in row:
                    self.assertEqual(shown["destination_offered_frames_total", own], row["offered"])
        strays = {
            dict(labels)["reason"]: value for (sample, labels), value in shown.items()
            if sample == "stray_dropped_frames_total"}
        self.assertEqual(strays, counted["strays"])
        places = {
            dict(labels)["place"]: value for (sample, labels), value in shown.items() if sample == "umem_chunks"}
        self.assertEqual(sum(places.values()), counted["umem"]["chunks"])
        self.assertEqual(shown["dataplane_info", (("epoch", status["epoch"]), ("version", status["version"]))], 1)
        self.assertEqual(shown["program_applied_generation", ()], status["generation"])
        self.assertEqual(shown["program_desired_generation", ()], status["generation"])
        self.assertEqual(shown["dataplane_connected", ()], 1)
        self.assertEqual([value for (name, _), value in shown.items() if name == "port_up"], [1])
        for name, family in self.families.items():
            self.assertTrue(family.documentation, name)
            last = name.split("_")[-1]
            if family.type == "counter":
                self.assertIn(last, ("frames", "bytes", "requests", "refused", "commits", "gaps"), name)

    def counters(self):
        """All that the dataplane counts, without the time."""
        return {name: value for name, value in self.ask("stats")["stats"].items() if name != "time"}

    def at_rest(self):
        one = self.counters()
        time.sleep(0.3)
        return one == self.counters()

    def test_statistics_survive_a_restart(self):
        _, flow, mirror = self.taps()

        def frames():
            """As the API shows them; None while it does not."""
            items = [self.get("taas/tap_flows", "tap_flow", flow), self.get("taas/tap_mirrors", "tap_mirror", mirror)]
            return [item["statistics"] and item["statistics"]["frames"] for item in items]

        def epoch():
            return self.client.send("GET", "heliostat/statistics")[1]["statistics"]["epoch"]

        self.ping(20)
        # The reconciler's first look at the counters may be yet to come.
        self.assertTrue(wait_for(lambda: None not in frames()), "no statistics")
        self.assertTrue(wait_for(lambda: frames()[0] >= 40 and frames()[1] >= 20 and self.at_rest()), frames())
        time.sleep(1.2)  # the poll that takes the last of them
        before, first = frames(), epoch()
        pid = self.ask("status")["status"]["pid"]
        os.kill(pid, signal.SIGKILL)
        seen = []
        self.assertTrue(wait_for(lambda: seen.append(frames()) or epoch() != first, 20), "no new epoch")
        self.assertNotEqual(self.ask("status")["status"]["pid"], pid)
        self.assertTrue(
            wait_for(lambda: self.get("taas/tap_flows", "tap_flow", flow)["status"] == "ACTIVE", 20))
        seen.append(frames())
        self.ping(10)
        self.assertTrue(wait_for(lambda: seen.append(frames()) or seen[-1][0] >= before[0] + 20), frames())
        last = before
        for values in seen:
            self.assertGreaterEqual(values[0], last[0], seen)
            self.assertGreaterEqual(values[1], last[1], seen)
            last = values
        self.assertGreaterEqual(last[1], before[1] + 10)
        # The dataplane itself began anew.
        self.assertLess(sum(tap["frames"] for tap in self.ask("stats")["stats"]["taps"]), sum(last))

    def test_a_device_with_the_same_tunnel_id_is_told_of(self):
        service, _, mirror = self.taps()

        def reason(expected):
            shown = lambda: self.get("taas/tap_services", "tap_service", service)  # noqa: E731
            found = wait_for(lambda: expected(shown()["status_reason"]), 10)
            self.assertTrue(found, shown())
            self.assertEqual(shown()["status"], "ACTIVE")
            return shown()["status_reason"]

        ip("link", "add", "vx0", "type", "vxlan", "id", str(service["tunnel_id"]), "dstport", "4789", "remote",
           "198.18.8.2")
        ip("link", "set", "vx0", "up")
        text = reason(lambda text: text)
        self.assertIn("vxlan device vx0", text)
        self.assertIn(f"VNI {service['tunnel_id']}", text)
        self.assertIsNone(self.get("taas/tap_mirrors", "tap_mirror", mirror)["status_reason"])
        log = (Path(self.server.directory) / "dataplane/log").read_text()
        lines = [line for line in log.splitlines() if "vxlan device vx0" in line]
        self.assertEqual(len(lines), 1, lines)
        ip("link", "set", "vx0", "down")
        reason(lambda text: text is None)
        ip("link", "set", "vx0", "up")
        reason(lambda text: text)
        ip("link", "del", "vx0")
        reason(lambda text: text is None)
