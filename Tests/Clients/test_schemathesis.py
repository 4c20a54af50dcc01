"""schemathesis against the OpenAPI document that the server gives: every phase, no server error, nothing undocumented.

Run with the python of .build/venv/schemathesis. Before: Tests/run. After: cases.py; its own report is kept in
.build/test-results.
"""
import re
import subprocess
import sys
import unittest
from pathlib import Path

import cases
from server import ROOT, Server

# Pinned: as many examples for each operation and phase, always the same ones.
EXAMPLES, SEED = 12, 20261126
PHASES = ["examples", "coverage", "fuzzing", "stateful"]
# What a network API promises; what a server may take beyond its schema (unknown queries, `"1"` for 1) is upstream's
# business and is tested against upstream's recorded answers.
CHECKS = [
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "ignored_auth", "use_after_free", "ensure_resource_availability"]


class SchemathesisTests(unittest.TestCase):
    def test_every_phase(self):
        with Server() as server:
            document = Path(server.directory) / "openapi.yaml"
            document.write_bytes(self.document(server))
            report = ROOT / ".build/test-results/schemathesis.ndjson"
            report.parent.mkdir(parents=True, exist_ok=True)
            report.unlink(missing_ok=True)
            command = [
                str(Path(sys.executable).parent / "schemathesis"), "run", str(document), "--url", server.url,
                "--header", f"X-Auth-Token: {server.token}", "--phases", ",".join(PHASES), "--checks", ",".join(CHECKS),
                "--max-examples", str(EXAMPLES), "--seed", str(SEED), "--generation-deterministic", "--no-shrink",
                # A probe says 503 while the dataplane is not there, as here: that is its answer.
                "--exclude-path", "/readyz",
                # Two threads in ast.parse at once: "AST constructor recursion depth mismatch" of CPython 3.11 (gh-106905).
                "--continue-on-failure", "--workers", "1", "--no-color",
                "--suppress-health-check", "all", "--warnings", "off", "--report-ndjson-path", str(report)]
            done = subprocess.run(
                [sys.executable, *command], capture_output=True, text=True, timeout=450, cwd=server.directory)
            log = server.text()
        (ROOT / ".build/test-results/schemathesis.txt").write_text(done.stdout + done.stderr)
        counted = re.search(r"(\d+) generated", done.stdout)
        cases.note(f"schemathesis: {counted[1] if counted else 'no'} cases, {EXAMPLES} examples an operation, "
                   f"phases {', '.join(PHASES)}")
        self.assertEqual(done.returncode, 0, done.stdout[-6000:] + done.stderr[-2000:])
        self.assertNotIn("unexpected:", log)
        self.assertTrue(counted and int(counted[1]) > 500, done.stdout[-2000:])

    def document(self, server):
        import http.client
        connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
        connection.request("GET", "/openapi.yaml", headers={"X-Auth-Token": server.token})
        answer = connection.getresponse()
        body = answer.read()
        self.assertEqual(answer.status, 200, body)
        return body


if __name__ == "__main__":
    cases.main("schemathesis")
