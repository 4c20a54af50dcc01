"""The control process under what happens to it: killed at every write, two on one store, a full disk, hostile clients.

Before: Tests/run operations. After: real processes of .build/release/heliostat on state directories of their own.
"""
import ctypes
import http.client
import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "Clients"), str(HERE)]
from cases import main, note  # noqa: E402
from client import Client, quantile, times, together  # noqa: E402
from observed import RealDataplane  # noqa: E402, F401
from server import Server, wait_for  # noqa: E402


class KillPoints(unittest.TestCase):
    """An acknowledged intent survives the kill at any write; a torn one never appears."""

    def scenario(self, server, acknowledged):
        """Six operations; after each that is acknowledged, what must be there."""
        client = Client(server)
        port = client.make("ports", "port", {"name": "p"})
        acknowledged["ports"] = {"p"}
        service = client.make("taas/tap_services", "tap_service", {"name": "s", "port_id": port["id"]})
        acknowledged["services"] = {"s": service["tunnel_id"]}
        flow = {"name": "f", "tap_service_id": service["id"], "source_port": port["id"], "direction": "BOTH"}
        client.make("taas/tap_flows", "tap_flow", flow)
        acknowledged["flows"] = {"f"}
        status, body = client.send(
            "POST", "ports", {"ports": [{"name": f"bulk{index}", "description": "x" * 250} for index in range(4)]})
        assert status == 201, body
        acknowledged["ports"] = {"p", "bulk0", "bulk1", "bulk2", "bulk3"}
        status, body = client.send("PUT", f"taas/tap_services/{service['id']}", {"tap_service": {"name": "t"}})
        assert status == 200, body
        acknowledged["services"] = {"t": service["tunnel_id"]}
        status, body = client.send("DELETE", f"taas/tap_services/{service['id']}")
        assert status == 204, body
        acknowledged.update(services={}, flows=set())

    # What may be there beside what was acknowledged: the next step of the scenario, whole.
    STEPS = [
        (set(), set(), set()), ({"p"}, set(), set()), ({"p"}, {"s"}, set()), ({"p"}, {"s"}, {"f"}),
        ({"p", "bulk0", "bulk1", "bulk2", "bulk3"}, {"s"}, {"f"}),
        ({"p", "bulk0", "bulk1", "bulk2", "bulk3"}, {"t"}, {"f"}),
        ({"p", "bulk0", "bulk1", "bulk2", "bulk3"}, set(), set()),
    ]

    def found(self, server):
        client = Client(server)

        def names(path, kind):
            status, body = client.send("GET", path)
            self.assertEqual(status, 200, body)
            return {item["name"] for item in body[kind]}

        state = (
            names("ports", "ports"), names("taas/tap_services", "tap_services"), names("taas/tap_flows", "tap_flows"))
        # A tunnel id without its service, or a service without its own, would show here.
        status, body = client.send("GET", "taas/tap_services")
        ids = [item["tunnel_id"] for item in body["tap_services"]]
        self.assertEqual(len(ids), len(set(ids)))
        return state

    def test_killed_at_every_write(self):
        place = Path(tempfile.mkdtemp(prefix="heliostat-kill-"))
        self.addCleanup(shutil.rmtree, place, ignore_errors=True)
        library = place / "killer.so"
        subprocess.run(
            ["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(HERE / "killer.c"), "-ldl"], check=True)
        points = starts = 0
        while True:
            points += 1
            directory = place / f"state{points}"
            directory.mkdir()
            environment = {"LD_PRELOAD": str(library), "HELIOSTAT_KILL_AT": str(points)}
            acknowledged = {"ports": set(), "services": {}, "flows": set()}
            server = Server(directory=str(directory), environment=environment)
            died = False
            try:
                server.start()
                self.scenario(server, acknowledged)
            except (RuntimeError, OSError, http.client.HTTPException):
                died = True
                starts += server.process.stdout.closed
            server.process.kill() if not died else None
            server.process.wait()
            self.assertEqual(server.process.returncode, -9, server.text())
            again = Server(directory=str(directory))
            with again:
                state = self.found(again)
                step = (acknowledged["ports"], set(acknowledged["services"]), acknowledged["flows"])
                index = max(i for i, known in enumerate(self.STEPS) if known == step)
                allowed = self.STEPS[index:index + 2]
                self.assertIn(state, allowed, f"kill point {points}: acknowledged {step}")
                # It works on.
                Client(again).make("ports", "port", {"name": "after"})
            shutil.rmtree(directory)
            if not died:
                break
        note(f"kill points: {points - 1}, of them {starts} while it started; every restart had all or nothing")
        self.assertGreater(points, 30)


class Processes(unittest.TestCase):
    """Several processes on one store."""

    def test_sixty_four_creates_through_two(self):
        with Server() as first, Server("--api-only", directory=first.directory) as second:
            port = Client(first).make("ports", "port", {"name": "p"})["id"]

            def create(index):
                client = Client((first, second)[index % 2])
                return client.make("taas/tap_services", "tap_service", {"name": f"s{index}", "port_id": port})

            made = together(64, create)
            self.assertEqual(len({item["tunnel_id"] for item in made}), 64)
            for server in (first, second):
                status, body = Client(server).send("GET", "taas/tap_services")
                self.assertEqual({item["id"] for item in body["tap_services"]}, {item["id"] for item in made})
        note("64 parallel creates through two processes: 64 made, 64 tunnel ids")

    def test_one_tunnel_id_through_two_is_one_services(self):
        with Server() as first, Server("--api-only", directory=first.directory) as second:
            port = Client(first).make("ports", "port", {"name": "p"})["id"]

            def create(index):
                body = {"tap_service": {"name": f"s{index}", "port_id": port, "tunnel_id": 77}}
                return Client((first, second)[index % 2]).send("POST", "taas/tap_services", body)[0]

            statuses = together(16, create)
            self.assertEqual(sorted(statuses), [201] + [409] * 15)

    def test_quota_holds_through_two(self):
        with Server() as first, Server("--api-only", directory=first.directory) as second:
            status, body = Client(first).send("PUT", "quotas/admin", {"quota": {"port": 5}})
            self.assertEqual((status, body["quota"]["port"], body["quota"]["tap_flow"]), (200, 5, -1))

            def create(index):
                return Client((first, second)[index % 2]).send("POST", "ports", {"port": {"name": f"p{index}"}})

            answers = together(16, create)
            self.assertEqual(sorted(status for status, _ in answers), [201] * 5 + [409] * 11)
            refused = next(body for status, body in answers if status == 409)["NeutronError"]
            self.assertEqual(
                (refused["type"], refused["message"]), ("OverQuota", "Quota exceeded for resources: ['port']."))

    def test_a_deleted_services_tunnel_id_is_owed(self):
        with Server() as server:
            client = Client(server)
            port = client.make("ports", "port", {"name": "p"})["id"]
            body = {"name": "s", "port_id": port, "tunnel_id": 78}
            service = client.make("taas/tap_services", "tap_service", body)
            self.assertEqual(client.send("DELETE", f"taas/tap_services/{service['id']}")[0], 204)
            # No dataplane says that it has let go.
            self.assertEqual(client.send("POST", "taas/tap_services", {"tap_service": body})[0], 409)

    def test_pool_is_configured(self):
        with Server("--tunnel-id-pool", "100-101") as server:
            client = Client(server)
            port = client.make("ports", "port", {"name": "p"})["id"]
            body = {"tap_service": {"name": "s", "port_id": port}}
            ids = [client.send("POST", "taas/tap_services", body)[1]["tap_service"]["tunnel_id"] for _ in range(2)]
            self.assertEqual(sorted(ids), [100, 101])
            status, answer = client.send("POST", "taas/tap_services", body)
            self.assertEqual((status, answer["NeutronError"]["type"]), (409, "TapServiceLimitReached"))


fill = {"name": "fill", "description": "x" * 250}


class Disk(unittest.TestCase):
    """A file that cannot grow any more is as good as a full disk: an error to the caller, and none once there is room."""

    def test_full_file_system_is_503_and_recovers(self):
        if os.geteuid() != 0:
            self.skipTest("a small file system of its own needs root")
        self.assertEqual(ctypes.CDLL(None).unshare(0x00020000), 0, "CLONE_NEWNS")
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        place = tempfile.mkdtemp(prefix="heliostat-full-")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], check=True)
        try:
            with Server(directory=place) as server:
                client = Client(server)
                client.make("ports", "port", {"name": "before"})
                filler = Path(place) / "filler"
                with open(filler, "wb", buffering=0) as file:
                    try:
                        while True:
                            file.write(b"x" * 4096)
                    except OSError:
                        pass
                status = 201
                while status == 201:
                    status, body = client.send("POST", "ports", {"ports": [fill] * 20})
                self.assertEqual((status, body["NeutronError"]["type"]), (503, "StoreUnavailable"), body)
                self.assertIn("full", body["NeutronError"]["message"])
                self.assertEqual(client.send("GET", "ports")[0], 200)
                filler.unlink()
                client.make("ports", "port", {"name": "after"})
        finally:
            subprocess.run(["umount", "-l", place], check=True)
            os.rmdir(place)

    def test_full_is_503_and_recovers(self):
        with Server() as server:
            client = Client(server)
            client.make("ports", "port", {"name": "before"})
            pid = server.process.pid
            size = max(path.stat().st_size for path in Path(server.directory).glob("heliostat.db*"))
            old = resource.prlimit(pid, resource.RLIMIT_FSIZE, (size + 20000, resource.RLIM_INFINITY))
            made, status = 0, 201
            while status == 201 and made < 100:
                status, body = client.send("POST", "ports", {"ports": [fill] * 20})
                made += 20 * (status == 201)
            self.assertEqual((status, body["NeutronError"]["type"]), (503, "StoreUnavailable"), body)
            self.assertEqual(client.last.getheader("Retry-After"), "1")
            self.assertEqual(client.send("GET", "ports")[0], 200)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, old)
            client.make("ports", "port", {"name": "after"})
            status, body = client.send("GET", "ports?fields=name")
            names = [item["name"] for item in body["ports"]]
            self.assertEqual(sorted(names), sorted(["before"] + ["fill"] * made + ["after"]))


class Hostile(unittest.TestCase):
    """One slow or hostile client does not slow others."""

    def normal(self, server):
        return quantile(times(server, 400), 0.99)

    def beside(self, server, attack):
        stop = threading.Event()
        threads = [threading.Thread(target=attack, args=(server, stop), daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        try:
            return self.normal(server)
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def open(self, server):
        connection = socket.create_connection((server.host, server.port), timeout=5)
        return connection

    def slow_writers(self, server, stop):
        connections = [self.open(server) for _ in range(50)]
        for connection in connections:
            connection.sendall(b"POST /v2.0/ports HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\nX-A: ")
        while not stop.wait(0.05):
            for connection in connections[:10]:
                connection.sendall(b"a")
        for connection in connections:
            connection.close()

    def slow_readers(self, server, stop):
        connections = []
        for _ in range(10):
            connection = self.open(server)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            request = f"GET /openapi.yaml HTTP/1.1\r\nHost: localhost\r\nX-Auth-Token: {server.token}\r\n\r\n"
            connection.sendall(request.encode() * 10)
            connections.append(connection)
        stop.wait()
        for connection in connections:
            connection.close()

    def test_slow_clients_beside_a_normal_one(self):
        with Server() as server:
            Client(server).make("ports", "port", {"name": "p"})
            times(server, 200)
            alone = self.normal(server)
            ratios = {}
            for name in ("slow_writers", "slow_readers"):
                ratios[name] = self.beside(server, getattr(self, name)) / alone
            note(f"p99 beside hostile clients, to {alone * 1000:.1f} ms alone: " + ", ".join(
                f"{name} {ratio:.1f}" for name, ratio in ratios.items()))
            for name, ratio in ratios.items():
                self.assertLess(ratio, 10, name)

    def test_a_flood_is_answered_and_others_too(self):
        with Server() as server:
            Client(server).make("ports", "port", {"name": "p"})
            stop, failures = threading.Event(), []

            def flood(_):
                client = Client(server, token="wrong")
                while not stop.is_set():
                    status, _ = client.send("GET", "ports")
                    if status not in (401, 429, 503):
                        failures.append(status)

            threads = [threading.Thread(target=flood, args=(index,)) for index in range(4)]
            for thread in threads:
                thread.start()
            try:
                times(server, 200)
            finally:
                stop.set()
                for thread in threads:
                    thread.join()
            self.assertEqual(failures, [])

    def test_a_body_that_does_not_come_ends_the_connection(self):
        with Server() as server:
            connection = self.open(server)
            connection.settimeout(40)
            connection.sendall(
                f"POST /v2.0/ports HTTP/1.1\r\nHost: localhost\r\nX-Auth-Token: {server.token}\r\n"
                "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{".encode())
            while connection.recv(4096):
                pass
            connection.close()

    def test_limits_of_a_request(self):
        with Server() as server:
            client = Client(server)
            self.assertEqual(client.send("POST", "ports", {"port": {"name": "x" * (1 << 20)}})[0], 413)
            deep = "[" * 100000
            status, _, body = server.request("POST", "/v2.0/ports", deep, token=server.token)
            self.assertEqual((status, body["NeutronError"]["type"]), (400, "MalformedRequestBody"))
            connection = self.open(server)
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"a" * 100000 + b"\r\n\r\n")
            self.assertIn(connection.recv(100).split(b" ")[1:2], ([b"431"], [b"400"], []))
            connection.close()


class Watched(unittest.TestCase):
    """What an operator's tools read."""

    def test_the_metrics_listener_needs_no_token_and_has_nothing_else(self):
        with Server("--metrics-listen", "127.0.0.1:0") as server:
            server.port = int(re.search(r"metrics http://127.0.0.1:(\d+)", server.line)[1])
            self.assertEqual(self.get(server, "/metrics")[0], 200)
            self.assertEqual(self.get(server, "/healthz")[2], "ok\n")
            self.assertEqual(self.get(server, "/v2.0/ports")[0], 404)

    def test_metrics_are_prometheus_text(self):
        from prometheus_client.parser import text_string_to_metric_families

        with Server("--metrics-listen", "127.0.0.1:0") as server:
            Client(server).make("ports", "port", {"name": "p"})
            status, headers, text = self.get(server, "/metrics", server.token)
            self.assertEqual(status, 200)
            self.assertEqual(headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
            families = {family.name: family for family in text_string_to_metric_families(text)}
            for name, family in families.items():
                self.assertTrue(name.startswith("heliostat_"), name)
                self.assertTrue(family.documentation, name)
                if family.type == "counter":
                    self.assertIn(f"# TYPE {name}_total counter\n", text)
            requests = {
                (sample.labels["method"], sample.labels["status"]): sample.value
                for sample in families["heliostat_http_requests"].samples}
            self.assertEqual(requests[("POST", "201")], 1)
            outcomes = {
                sample.labels["outcome"]: sample.value for sample in families["heliostat_store_commits"].samples}
            self.assertGreaterEqual(outcomes["written"], 2)
            for name in ("heliostat_http_request_duration_seconds", "heliostat_store_commit_duration_seconds"):
                samples = families[name].samples
                buckets = [sample.value for sample in samples if sample.name.endswith("_bucket")]
                self.assertEqual(buckets, sorted(buckets))
                count = next(sample.value for sample in samples if sample.name.endswith("_count"))
                self.assertEqual(buckets[-1], count)
            self.assertNotIn(server.token, text)
            note(f"metrics: {len(families)} families parsed by prometheus_client")

    def get(self, server, path, token=None):
        connection = http.client.HTTPConnection(server.host, server.port, timeout=20)
        connection.request("GET", path, headers={"X-Auth-Token": token} if token else {})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, dict(answer.getheaders()), text

    def test_the_main_listener_asks_for_the_token(self):
        with Server() as server:
            for path in ("/metrics", "/healthz", "/readyz"):
                self.assertEqual(self.get(server, path)[0], 401, path)
            self.assertEqual(self.get(server, "/healthz", server.token)[2], "ok\n")
            status, _, text = self.get(server, "/readyz", server.token)
            self.assertEqual(status, 503)
            self.assertIn("dataplane", text)

    def test_an_api_only_process_is_ready_by_its_store(self):
        with Server() as first, Server("--api-only", directory=first.directory) as second:
            self.assertEqual(self.get(second, "/readyz", second.token)[0], 200)

    def test_the_log_is_json_without_secrets(self):
        with Server("--log-format", "json") as server:
            client = Client(server)
            port = client.make("ports", "port", {"name": "p"})["id"]
            client.make("taas/tap_services", "tap_service", {"name": "s", "port_id": port})
            self.get(server, "/metrics", "not-the-token")
            lines = wait_for(lambda: [line for line in server.text().splitlines() if "tap_service" in line])


            for line in server.text().splitlines():
                self.assertLessEqual({"time", "level", "logger", "message"}, set(json.loads(line)), line)
            self.assertTrue(lines)
            self.assertNotIn(server.token, server.text())
            self.assertNotIn("not-the-token", server.text())


if __name__ == "__main__":
    os.environ.setdefault("LOG_LEVEL", "info")
    main("operations")
