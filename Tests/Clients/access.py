"""Who is let in over TCP: TLS and its renewal, Host and Content-Type, static tokens, policy files, back-off, the audit.

Its cases are run with those of test_clients.py.
"""
import http.client
import json
import os
import signal
import ssl
import subprocess
import tempfile
import unittest
from pathlib import Path

import osc
from server import HELIOSTAT, Server, wait_for

PASSWORD = "correct horse battery staple"


def certificate(directory, name):
    """A certificate for 127.0.0.1 that is its own authority."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
         "-keyout", f"{directory}/key.pem", "-out", f"{directory}/cert.pem"], check=True, capture_output=True)
    os.chmod(f"{directory}/key.pem", 0o600)


def subject(server, **limits):
    """Common name of the certificate that the server shows, checked against the file as it is now."""
    context = ssl.create_default_context(cafile=f"{server.tls}/cert.pem")
    for name, value in limits.items():
        setattr(context, name, value)
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context, timeout=10)
    try:
        connection.request("GET", "/v2.0/ports", headers={"X-Auth-Token": server.token})
        answer = connection.getresponse()
        found = dict(field[0] for field in connection.sock.getpeercert()["subject"])["commonName"]
        answer.read()
        return answer.status, found, connection.sock.version()
    finally:
        connection.close()


class TLSTests(unittest.TestCase):
    def setUp(self):
        self.tls = tempfile.mkdtemp(prefix="heliostat-tls-")
        self.addCleanup(subprocess.run, ["rm", "-rf", self.tls])
        certificate(self.tls, "first")
        self.options = ["--tls-certificate", f"{self.tls}/cert.pem", "--tls-key", f"{self.tls}/key.pem"]

    def test_https_and_a_new_certificate(self):
        with Server(*self.options) as server:
            server.tls = self.tls
            self.assertEqual(server.scheme, "https")
            status, name, version = subject(server)
            self.assertEqual((status, name), (200, "first"))
            self.assertIn(version, ("TLSv1.2", "TLSv1.3"))
            certificate(self.tls, "second")
            server.process.send_signal(signal.SIGHUP)
            self.assertTrue(wait_for(lambda: "SIGHUP: certificate" in server.text()), server.text())
            self.assertEqual(subject(server)[:2], (200, "second"))
            # A key that does not fit leaves the old certificate in use.
            (Path(self.tls) / "key.pem").write_text("nonsense")
            server.process.send_signal(signal.SIGHUP)
            self.assertTrue(wait_for(lambda: "what was in use stays" in server.text()), server.text())
            self.assertEqual(subject(server)[:2], (200, "second"))

    def test_the_client_over_https(self):
        """The catalog's addresses are https too."""
        with Server(*self.options) as server:
            server.command("user", "add", "ada", "--project", "demo", input=PASSWORD + "\n")
            cloud = osc.password(server, "ada", PASSWORD, "demo")
            self.assertEqual(cloud.json("--os-cacert", f"{self.tls}/cert.pem", "tap", "service", "list"), [])
            with self.assertRaises(osc.Failed):
                cloud("tap", "service", "list")

    def test_old_versions_are_refused(self):
        with Server(*self.options) as server:
            for version, expected in (("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)):
                done = subprocess.run(
                    ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", version, "-cipher",
                     "ALL:@SECLEVEL=0"], input=b"", capture_output=True, timeout=20)
                shown = b"BEGIN CERTIFICATE" in done.stdout
                self.assertEqual(shown, expected, f"{version}: {done.stdout[-300:]} {done.stderr[-300:]}")

    def test_the_command_line_checks_the_certificate(self):
        with Server(*self.options) as server:
            command = [str(HELIOSTAT), "port", "list", "--json", "--api", server.url, "--token", server.token]
            done = subprocess.run(command, capture_output=True, text=True)
            self.assertEqual(done.returncode, 1)
            done = subprocess.run(
                command + ["--cacert", f"{self.tls}/cert.pem"], capture_output=True, text=True)
            self.assertEqual((done.returncode, json.loads(done.stdout)), (0, []), done.stderr)

    def test_a_key_that_others_read_is_refused(self):
        os.chmod(f"{self.tls}/key.pem", 0o644)
        with self.assertRaises(RuntimeError) as failed:
            Server(*self.options).__enter__()
        self.assertIn("can be read by others; chmod 600", str(failed.exception))


class AccessTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.audit = tempfile.mkdtemp(prefix="heliostat-audit-")
        cls.addClassCleanup(subprocess.run, ["rm", "-rf", cls.audit])
        cls.server = Server("--audit-log", f"{cls.audit}/audit.log")
        cls.enterClassContext(cls.server)

    def lines(self):
        return [json.loads(line) for line in (Path(self.audit) / "audit.log").read_text().splitlines()]

    def test_names_and_types(self):
        server, body = self.server, b'{"port": {"name": "x"}}'
        for headers, expected in (
                ({"Host": "evil.example"}, 400), ({"Content-Type": "text/plain"}, 415), ({"Content-Type": ""}, 415),
                ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
                ({"Content-Type": "application/json; charset=utf-8"}, 201), ({"Host": f"localhost:{server.port}"}, 201)):
            status, _, answer = server.request("POST", "/v2.0/ports", body, server.token, headers)
            self.assertEqual(status, expected, (headers, answer))
        self.assertEqual(server.request("GET", "/")[0], 200)
        self.assertEqual(server.request("GET", "/v2.0/ports")[0], 401)

    def test_static_tokens(self):
        server = self.server
        token = server.command("token", "add", "ci", "--project", "ci-project", "--role", "reader")
        status, _, body = server.request("GET", "/v2.0/ports", token=token)
        self.assertEqual((status, body), (200, {"ports": []}))
        self.assertEqual(server.request("POST", "/v2.0/ports", {"port": {}}, token)[0], 403)
        file = Path(server.directory) / "accounts.json"
        self.assertEqual(file.stat().st_mode & 0o777, 0o600)
        self.assertNotIn(token, file.read_text())
        with self.assertRaises(RuntimeError):
            server.command("token", "add", "ci", "--project", "ci-project")
        server.command("token", "delete", "ci")
        self.assertEqual(server.request("GET", "/v2.0/ports", token=token)[0], 401)

    def login(self, user, password, **more):
        return self.server.request("POST", "/v3/auth/tokens", {"auth": {"identity": {
            "methods": ["password"],
            "password": {"user": {"name": user, "domain": {"id": "default"}, "password": password}}}, **more}})

    def test_tokens_end(self):
        server = self.server
        server.command("user", "add", "eve", "--project", "eves", input=PASSWORD + "\n")
        status, headers, body = self.login("eve", PASSWORD)
        self.assertEqual((status, body["token"]["project"]["name"]), (201, "eves"))
        token = headers["X-Subject-Token"]
        own = {"X-Subject-Token": token}
        self.assertEqual(server.request("GET", "/v3/auth/tokens", token=token, headers=own)[2], body)
        _, again, _ = server.request("POST", "/v3/auth/tokens", {"auth": {"identity": {
            "methods": ["token"], "token": {"id": token}}}})
        self.assertEqual(server.request("DELETE", "/v3/auth/tokens", token=token, headers=own)[0], 204)
        self.assertEqual(server.request("GET", "/v2.0/ports", token=token)[0], 401)
        self.assertEqual(server.request("GET", "/v2.0/ports", token=again["X-Subject-Token"])[0], 200)
        server.command("user", "delete", "eve")
        self.assertEqual(server.request("GET", "/v2.0/ports", token=again["X-Subject-Token"])[0], 401)
        self.assertEqual(self.login("eve", PASSWORD)[0], 401)

    def test_guessing_gets_slow(self):
        self.server.command("user", "add", "guessed", "--project", "p", input=PASSWORD + "\n")
        answers = [self.login("guessed", f"guess {n}")[0] for n in range(7)]
        self.assertEqual(answers[:5], [401] * 5)
        self.assertIn(429, answers[5:])
        self.assertIn(self.login("guessed", PASSWORD)[0], (429, 201))

    def test_accounts_that_others_read_are_refused(self):
        with Server() as server:
            server.command("user", "add", "u", "--project", "p", input=PASSWORD + "\n")
            server.stop()
            os.chmod(Path(server.directory) / "accounts.json", 0o640)
            with self.assertRaises(RuntimeError) as failed:
                server.start()
            self.assertIn("can be read or written by others; chmod 600", str(failed.exception))

    def test_a_policy_file(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write('# readers may tap\n"taps": "role:reader and project_id:%(project_id)s"\n'
                       '"create_tap_service": "rule:admin_only or rule:taps"\n"create_port": rule:taps\n')
            file.flush()
            with Server("--policy", file.name) as server:
                token = server.command("token", "add", "t", "--project", "p", "--role", "reader")
                status, _, body = server.request("POST", "/v2.0/ports", {"port": {}}, token)
                self.assertEqual(status, 201, body)
                service = {"tap_service": {"port_id": body["port"]["id"]}}
                self.assertEqual(server.request("POST", "/v2.0/taas/tap_services", service, token)[0], 201)
        for text, reason in (
                ('"create_tap_servise": "@"', "has a rule 'create_tap_servise' that nothing asks for"),
                ('"create_port": "role:member nad role:x"', "rule 'create_port' is wrong at character 13"),
                ('"create_port": "rule:nobody"', "refers to rule 'nobody', which there is not"),
                ('"a": "rule:b"\n"b": "rule:a"', "refers to itself by a -> b -> a"), ("create_port", "line 1: write")):
            with tempfile.NamedTemporaryFile("w") as file:
                file.write(text)
                file.flush()
                with self.assertRaises(RuntimeError) as failed:
                    Server("--policy", file.name).__enter__()
                self.assertIn(reason, str(failed.exception))

    def test_the_audit(self):
        server = self.server
        port = server.request("POST", "/v2.0/ports", {"port": {}}, server.token)[2]["port"]["id"]
        source = server.request("POST", "/v2.0/ports", {"port": {}}, server.token)[2]["port"]["id"]
        service = server.request(
            "POST", "/v2.0/taas/tap_services", {"tap_service": {"port_id": port}}, server.token)[2]["tap_service"]["id"]
        _, headers, body = server.request(
            "POST", "/v2.0/taas/tap_flows", {"tap_flow": {
                "tap_service_id": service, "source_port": source, "direction": "IN"}}, server.token)
        flow = body["tap_flow"]["id"]
        server.request("PUT", f"/v2.0/taas/tap_flows/{flow}", {"tap_flow": {"name": "n"}}, server.token)
        server.request("DELETE", f"/v2.0/ports/{port}", token=server.token)
        events = {line["event"]: line for line in self.lines()}
        made = events[f"created tap_flow {flow}"]
        self.assertEqual(made["port"], source)
        self.assertIn(f"port_id={port}", made["to"])
        self.assertEqual(made["request"], headers["x-openstack-request-id"])
        self.assertEqual((made["user"], made["project"], made["address"]), ("administrator", "admin", "127.0.0.1"))
        for event in (f"created tap_service {service}", f"changed tap_flow {flow}", f"deleted tap_flow {flow}",
                      f"deleted tap_service {service}"):
            self.assertIn(event, events)
        text = (Path(self.audit) / "audit.log").read_text()
        self.assertNotIn(server.token, text + server.text())
        # Log rotation.
        os.rename(f"{self.audit}/audit.log", f"{self.audit}/audit.log.1")
        server.process.send_signal(signal.SIGHUP)
        self.assertTrue(wait_for(lambda: (Path(self.audit) / "audit.log").exists()))
