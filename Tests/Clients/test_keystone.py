"""A real Keystone as the judge of tokens: roles, access rules, the cache, a new service token, and an outage.

Run with the python of .build/venv/clients; Keystone itself runs on .build/venv/keystone. Before: Tests/run.
"""
import http.client
import json
import os
import socket
import sys
import tempfile
import time
import unittest
from pathlib import Path

import cases
import osc
from keystone_server import PASSWORD, KeystoneServer
from server import ROOT, Server

PYTHON = ROOT / ".build/venv/keystone/bin/python"
DOMAIN = {"id": "default"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Identity:
    """The few calls that fill a Keystone."""

    def __init__(self, port):
        self.port = port
        self.admin = self.login("admin", PASSWORD, "admin")

    def call(self, method, path, body=None, token=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Content-Type": "application/json", **({"X-Auth-Token": token} if token else {})}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        data = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {data}")
        return answer.getheader("X-Subject-Token"), json.loads(data) if data else None

    def login(self, user, password, project):
        return self.call("POST", "/v3/auth/tokens", {"auth": {
            "identity": {
                "methods": ["password"],
                "password": {"user": {"name": user, "password": password, "domain": DOMAIN}}},
            "scope": {"project": {"name": project, "domain": DOMAIN}}}})[0]

    def make(self, kind, **values):
        return self.call("POST", f"/v3/{kind}s", {kind: values}, self.admin)[1][kind]["id"]

    def role(self, name):
        found = self.call("GET", f"/v3/roles?name={name}", token=self.admin)[1]["roles"]
        return found[0]["id"] if found else self.make("role", name=name)

    def grant(self, user, project, role):
        self.call("PUT", f"/v3/projects/{project}/users/{user}/roles/{self.role(role)}", token=self.admin)


class KeystoneTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.port = free_port()
        cls.keystone = KeystoneServer(PYTHON, cls.port)
        cls.enterClassContext(cls.keystone)
        cls.identity = Identity(cls.port)
        cls.projects = {name: cls.identity.make("project", name=name) for name in ("service", "demo", "other")}
        cls.users = {}
        for user, project, role in (
                ("heliostat", "service", "admin"), ("ada", "demo", "member"), ("rea", "demo", "reader"),
                ("bob", "other", "member")):
            cls.users[user] = cls.identity.make("user", name=user, password=f"pw-{user}")
            cls.identity.grant(cls.users[user], cls.projects[project], role)
        service = cls.identity.make("service", type="network", name="neutron")
        secret = Path(tempfile.mkstemp(prefix="heliostat-password-")[1])
        cls.addClassCleanup(os.unlink, secret)
        secret.write_text("pw-heliostat\n")
        cls.server = Server(
            "--keystone-url", cls.keystone.url, "--keystone-password-file", str(secret), "--keystone-cache", "4")
        cls.enterClassContext(cls.server)
        cls.identity.make(
            "endpoint", service_id=service, interface="public", url=cls.server.url, region="RegionOne")

    def cloud(self, user, project):
        return osc.Cloud(
            "--os-auth-url", f"{self.keystone.url}/v3", "--os-username", user, "--os-password", f"pw-{user}",
            "--os-project-name", project, "--os-user-domain-name", "Default", "--os-project-domain-name", "Default",
            "--os-identity-api-version", "3")

    def token(self, user, project):
        return self.identity.login(user, f"pw-{user}", project)

    def status(self, token, path="/v2.0/taas/tap_services", method="GET", body=None):
        return self.server.request(method, path, body, token=token)[0]

    def test_a_the_client_with_keystone(self):
        ada, bob = self.cloud("ada", "demo"), self.cloud("bob", "other")
        status, _, body = self.server.request(
            "POST", "/v2.0/ports", {"port": {"name": "p"}}, token=self.token("ada", "demo"))
        self.assertEqual((status, body.get("port", {}).get("project_id")), (201, self.projects["demo"]))
        made = ada.json("tap", "service", "create", "--name", "s", "--port", "p")
        self.assertEqual(made["project_id"], self.projects["demo"])
        self.assertEqual(bob.json("tap", "service", "list"), [])
        ada("tap", "service", "delete", "s")

    def test_b_roles(self):
        reader, admin = self.token("rea", "demo"), self.identity.admin
        body = {"tap_service": {"port_id": "00000000-0000-4000-8000-000000000000"}}
        self.assertEqual(self.status(reader), 200)
        self.assertEqual(self.status(reader, method="POST", body=body), 403)
        self.assertEqual(self.status(reader, "/v2.0/heliostat/hosts", "POST", {"host": {"name": "h"}}), 403)
        self.assertEqual(self.status(admin, "/v2.0/heliostat/hosts"), 200)

    def test_c_tokens_that_are_none(self):
        for token in (None, "notused", "gAAAAA" + "x" * 180, "a" * 9000):
            status, headers, body = self.server.request("GET", "/v2.0/ports", token=token)
            self.assertEqual(status, 401, body)
            self.assertIn(self.keystone.url, headers["WWW-Authenticate"])
        # The administrator's own token is good without any Keystone, and the built-in endpoint is not there.
        self.assertEqual(self.status(self.server.token), 200)
        self.assertEqual(self.server.request("GET", "/identity", token=self.server.token)[0], 404)

    def test_d_access_rules(self):
        ada = self.users["ada"]
        own = self.identity.login("ada", "pw-ada", "demo")
        _, made = self.identity.call("POST", f"/v3/users/{ada}/application_credentials", {"application_credential": {
            "name": "lists", "secret": "s3cret", "access_rules": [
                {"service": "network", "method": "GET", "path": "/v2.0/taas/*"},
                {"service": "compute", "method": "GET", "path": "/v2.0/ports"}]}}, own)
        restricted, _ = self.identity.call("POST", "/v3/auth/tokens", {"auth": {"identity": {
            "methods": ["application_credential"],
            "application_credential": {"id": made["application_credential"]["id"], "secret": "s3cret"}}}})
        self.assertEqual(self.status(restricted, "/v2.0/taas/tap_flows"), 200)
        for method, path in (("GET", "/v2.0/ports"), ("GET", "/v2.0/taas/tap_flows/x"), ("DELETE", "/v2.0/taas/tap_flows")):
            self.assertEqual(self.status(restricted, path, method), 401, (method, path))

    def test_e_a_revoked_token_ends_with_the_cache(self):
        token = self.token("ada", "demo")
        self.assertEqual(self.status(token), 200)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(
            "DELETE", "/v3/auth/tokens", headers={"X-Auth-Token": self.identity.admin, "X-Subject-Token": token})
        self.assertEqual(connection.getresponse().status, 204)
        self.assertEqual(self.status(token), 200)
        end = time.monotonic() + 15
        while self.status(token) == 200 and time.monotonic() < end:
            time.sleep(0.2)
        self.assertEqual(self.status(token), 401)

    def test_f_a_new_service_token(self):
        """New fernet keys make every old token worthless, the service user's too: 401 to our question, and a new one."""
        keys = Path(self.keystone.directory) / "fernet"
        for key in keys.iterdir():
            key.unlink()
        self.keystone.stop()
        self.keystone.manage("fernet_setup", "--keystone-user", str(os.geteuid()), "--keystone-group", str(os.getegid()))
        self.keystone.start()
        self.assertEqual(self.status(self.token("bob", "other")), 200)

    def test_g_an_outage(self):
        known, unknown = self.token("ada", "demo"), self.token("bob", "other")
        self.assertEqual(self.status(known), 200)
        self.keystone.stop()
        try:
            self.assertEqual(self.status(known), 200)
            self.assertEqual(self.status(unknown), 503)
            self.assertEqual(self.status(self.server.token), 200)
        finally:
            self.keystone.start()
        self.assertEqual(self.status(unknown), 200)

    def test_h_no_secret_is_logged(self):
        text = self.server.text()
        for secret in ("pw-heliostat", self.identity.admin, self.server.token):
            self.assertNotIn(secret, text)


if __name__ == "__main__":
    if not PYTHON.exists():
        sys.exit(f"{PYTHON} is not there: run Tests/Clients/environment keystone")
    cases.main("keystone")
