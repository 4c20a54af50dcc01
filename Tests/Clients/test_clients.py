"""The real clients from PyPI against a real `heliostat serve`: python-openstackclient and openstacksdk, unmodified.

Run with the python of .build/venv/clients. Before: Tests/run. After: cases.py.
"""
import subprocess
import sys
import unittest
import uuid

import openstack as sdk

import cases
import osc
from access import AccessTests, TLSTests  # noqa: F401  (their cases are run with those below)
from copies import CopiesTests  # noqa: F401
from server import HELIOSTAT, Server

PASSWORD = "correct horse battery staple"


class Walk:
    """Every tap command, by name and by id; a subclass says how one logs in."""

    server = cloud = token = project = None

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def port(self, name):
        """An unbound port, made as any client would."""
        status, _, body = self.server.request("POST", "/v2.0/ports", {"port": {"name": name}}, token=self.token)
        self.assertEqual(status, 201, body)
        return body["port"]["id"]

    def names(self, *command):
        return {row["Name"] for row in self.cloud.json(*command)}

    def refused(self, *command):
        with self.assertRaises(osc.Failed) as failed:
            self.cloud(*command)
        return str(failed.exception)

    def walk(self, kind, create):
        """create, list, show, update, delete of one kind; `create` has the arguments beside the name."""
        command = ["tap", kind]
        made = self.cloud.json(*command, "create", "--name", f"{kind}1", "--description", "d1", *create())
        other = self.cloud.json(*command, "create", "--name", f"{kind}2", *create())
        third = self.cloud.json(*command, "create", "--name", f"{kind}3", *create())
        self.assertEqual((made["name"], made["description"]), (f"{kind}1", "d1"))
        self.assertEqual(made["project_id"], self.project)
        self.assertEqual(self.names(*command, "list"), {f"{kind}1", f"{kind}2", f"{kind}3"})
        for reference in (made["id"], f"{kind}1"):
            self.assertEqual(self.cloud.json(*command, "show", reference)["id"], made["id"])
        changed = self.cloud.object(*command, "update", f"{kind}1", "--name", f"{kind}1b", "--description", "new")
        self.assertEqual((changed["id"], changed["name"], changed["description"]), (made["id"], f"{kind}1b", "new"))
        changed = self.cloud.object(*command, "update", made["id"], "--name", f"{kind}1")
        self.assertEqual((changed["name"], changed["description"]), (f"{kind}1", "new"))
        self.cloud(*command, "delete", f"{kind}1", other["id"])
        self.assertEqual(self.names(*command, "list"), {f"{kind}3"})
        self.assertIn("No Tap", self.refused(*command, "show", f"{kind}1"))
        self.refused(*command, "delete", f"{kind}1")
        return third["id"]

    def test_tap_service_and_flow(self):
        port, source = self.port("monitor"), self.port("source")
        service = self.walk("service", lambda: ["--port", "monitor"])
        self.assertEqual(self.cloud.json("tap", "service", "show", service)["port_id"], port)
        flow = self.walk("flow", lambda: ["--port", "source", "--tap-service", "service3", "--direction", "both"])
        shown = self.cloud.json("tap", "flow", "show", flow)
        self.assertEqual((shown["source_port"], shown["direction"], shown["tap_service_id"]), (source, "BOTH", service))
        self.cloud(
            "tap", "flow", "create", "--name", "by-id", "--port", source, "--tap-service", service, "--direction", "IN")
        self.cloud("tap", "flow", "delete", "by-id", "flow3")
        self.cloud("tap", "service", "delete", "service3")

    def test_tap_mirror(self):
        self.port("mirrored")
        ids = iter(range(101, 200))

        def create():
            return ["--port", "mirrored", "--directions", f"IN={next(ids)}", "--directions", f"OUT={next(ids)}",
                    "--remote-ip", "198.51.100.9", "--mirror-type", "gre"]
        mirror = self.walk("mirror", create)
        shown = self.cloud.json("tap", "mirror", "show", mirror)
        self.assertEqual((shown["remote_ip"], shown["mirror_type"]), ("198.51.100.9", "gre"))
        self.assertEqual({type(value) for value in shown["directions"].values()}, {str})
        self.cloud("tap", "mirror", "delete", mirror)

    def test_extensions(self):
        aliases = {row["Alias"] for row in self.cloud.json("extension", "list", "--network")}
        self.assertLessEqual({"taas", "heliostat-hosts"}, aliases)
        self.assertEqual(self.cloud.json("extension", "show", "taas")["alias"], "taas")


class NoAuthTests(Walk, unittest.TestCase):
    """--os-auth-type none"""

    @classmethod
    def setUpClass(cls):
        cls.server = Server("--auth", "none", "--auth-project", "demo").__enter__()
        cls.cloud, cls.project = osc.no_auth(cls.server), "demo"

    def test_it_says_how_open_it_is(self):
        self.assertIn("--auth none: whoever reaches", self.server.text())


class AdminTokenTests(Walk, unittest.TestCase):
    """--os-auth-type admin_token"""

    @classmethod
    def setUpClass(cls):
        cls.server = Server().__enter__()
        cls.token, cls.project = cls.server.token, "admin"
        cls.cloud = osc.admin_token(cls.server)

    def test_another_token_is_none(self):
        bad = osc.Cloud(
            "--os-auth-type", "admin_token", "--os-endpoint", self.server.url, "--os-token", "notused")
        with self.assertRaises(osc.Failed) as failed:
            bad("tap", "service", "list")
        self.assertIn("401", str(failed.exception))


class PasswordTests(Walk, unittest.TestCase):
    """Users of the built-in identity service."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server().__enter__()
        for user, project, role in (
                ("ada", "demo", "member"), ("root", "admin", "admin"), ("bob", "other", "member"),
                ("rea", "demo", "reader")):
            cls.server.command("user", "add", user, "--project", project, "--role", role, input=PASSWORD + "\n")
        users = {user["name"]: user for user in __import__("json").loads(cls.server.command("user", "list", "--json"))}
        cls.project = users["ada"]["project_id"]
        cls.cloud = osc.password(cls.server, "ada", PASSWORD, "demo")
        cls.token = cls.login("ada", "demo")

    @classmethod
    def login(cls, user, project):
        domain = {"name": "Default"}
        status, headers, body = cls.server.request("POST", "/identity/v3/auth/tokens", {"auth": {
            "identity": {
                "methods": ["password"],
                "password": {"user": {"name": user, "domain": domain, "password": PASSWORD}}},
            "scope": {"project": {"name": project, "domain": domain}}}})
        assert status == 201, body
        return headers["X-Subject-Token"]

    def test_it_is_a_keystone(self):
        issued = self.cloud.json("token", "issue")
        self.assertEqual(issued["project_id"], self.project)
        kinds = {row["Type"] for row in self.cloud.json("catalog", "list")}
        self.assertEqual(kinds, {"network", "identity"})
        root = osc.password(self.server, "root", PASSWORD, "admin")
        self.assertEqual({row["Name"] for row in root.json("project", "list")}, {"admin", "demo", "other"})
        self.assertEqual(root.json("project", "show", "demo")["id"], self.project)
        # auth_url without a version: GET /identity decides.
        bare = osc.Cloud(*[word.removesuffix("/v3") for word in self.cloud.options])
        self.assertEqual(bare.json("tap", "service", "list"), [])
        status, _, _ = self.server.request("GET", "/identity")
        self.assertEqual(status, 300)

    def test_an_administrator_acts_for_a_project(self):
        root = osc.password(self.server, "root", PASSWORD, "admin")
        port = self.port("for-demo")
        made = root.json("tap", "service", "create", "--name", "as-demo", "--port", port, "--project", "demo")
        self.assertEqual(made["project_id"], self.project)
        self.assertEqual(self.cloud.json("tap", "service", "show", "as-demo")["id"], made["id"])
        root("tap", "service", "delete", "as-demo")

    def test_other_projects_see_nothing(self):
        port = self.port("mine")
        self.cloud("tap", "service", "create", "--name", "mine", "--port", port)
        bob = osc.password(self.server, "bob", PASSWORD, "other")
        self.assertEqual(bob.json("tap", "service", "list"), [])
        with self.assertRaises(osc.Failed):
            bob("tap", "service", "show", "mine")
        with self.assertRaises(osc.Failed) as failed:
            bob("tap", "service", "create", "--name", "theirs", "--port", port)
        self.assertIn("No Port found", str(failed.exception))
        reader = osc.password(self.server, "rea", PASSWORD, "demo")
        with self.assertRaises(osc.Failed) as failed:
            reader("tap", "service", "create", "--name", "x", "--port", port)
        self.assertIn("disallowed by policy", str(failed.exception))
        self.cloud("tap", "service", "delete", "mine")

    def test_a_wrong_password_is_refused(self):
        bad = osc.password(self.server, "ada", "wrong", "demo")
        with self.assertRaises(osc.Failed) as failed:
            bad("tap", "service", "list")
        self.assertIn("401", str(failed.exception))
        self.assertNotIn("wrong", self.server.text())

    def test_the_console_script(self):
        """The program itself, as the README starts it."""
        script = __import__("pathlib").Path(sys.executable).parent / "openstack"
        done = subprocess.run(
            [sys.executable, str(script), *self.cloud.options, "tap", "service", "list"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_no_secret_is_logged(self):
        text = self.server.text()
        self.assertIn("gave a token to a user", text)
        for secret in (PASSWORD, self.token, self.server.token):
            self.assertNotIn(secret, text)


class SDKTests(unittest.TestCase):
    """openstacksdk with a password."""

    def setUp(self):
        self.server = Server().__enter__()
        self.addCleanup(self.server.__exit__, None, None, None)
        self.server.command("user", "add", "ada", "--project", "demo", input=PASSWORD + "\n")
        self.cloud = sdk.connect(
            auth_url=f"{self.server.url}/identity/v3", username="ada", password=PASSWORD, project_name="demo",
            user_domain_name="Default", project_domain_name="Default", region_name="RegionOne")
        self.addCleanup(self.cloud.close)

    def port(self, name):
        _, _, body = self.server.request(
            "POST", "/v2.0/ports", {"port": {"name": name}}, token=self.cloud.session.get_token())
        return body["port"]["id"]

    def test_services_and_flows(self):
        network = self.cloud.network
        port, source = self.port("monitor"), self.port("source")
        services = [network.create_tap_service(name=f"s{n}", port_id=port) for n in range(5)]
        self.assertEqual([s.status for s in services], ["DOWN"] * 5)
        found = network.find_tap_service("s3", ignore_missing=False)
        self.assertEqual(network.get_tap_service(services[3].id).id, found.id)
        self.assertIsNone(network.find_tap_service("none such"))
        self.assertEqual(len(list(network.tap_services())), 5)
        self.assertEqual(len(list(network.tap_services(limit=2))), 5)
        self.assertEqual([s.name for s in network.tap_services(name="s1")], ["s1"])
        self.assertEqual(len(list(network.tap_services(port_id=port))), 5)
        self.assertEqual(len(list(network.tap_services(status="ACTIVE"))), 0)
        flow = network.create_tap_flow(name="f", tap_service_id=found.id, source_port=source, direction="IN")
        self.assertEqual((flow.direction, flow.vlan_filter), ("IN", None))
        self.assertEqual(network.update_tap_flow(flow, description="d").description, "d")
        self.assertEqual(network.update_tap_service(found, name="s3b").name, "s3b")
        network.delete_tap_flow(flow, ignore_missing=False)
        for service in services:
            network.delete_tap_service(service.id, ignore_missing=False)
        network.delete_tap_service(str(uuid.uuid4()))
        self.assertEqual(list(network.tap_services()), [])

    def test_mirrors(self):
        network = self.cloud.network
        port = self.port("mirrored")
        mirror = network.create_tap_mirror(
            name="m", port_id=port, directions={"IN": 101, "OUT": "102"}, remote_ip="198.51.100.9",
            mirror_type="erspanv1")
        self.assertEqual(mirror.directions, {"IN": 101, "OUT": "102"})
        self.assertEqual(network.find_tap_mirror("m").id, mirror.id)
        self.assertEqual(network.update_tap_mirror(mirror, name="m2").name, "m2")
        self.assertEqual([m.name for m in network.tap_mirrors()], ["m2"])
        network.delete_tap_mirror(mirror, ignore_missing=False)


if __name__ == "__main__":
    if not HELIOSTAT.exists():
        sys.exit(f"{HELIOSTAT} is not there: run `make build`")
    cases.main("clients")
