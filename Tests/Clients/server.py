"""A real `heliostat serve` for the tests in this folder: a state directory and a port of its own.

Before: a test. After: .build/release/heliostat, of whatever `make build` built.
"""
import http.client
import json
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
HELIOSTAT = ROOT / ".build/release/heliostat"


class Server:
    """Runs while it is used as a context; `url` is its TCP address."""

    def __init__(self, *options, directory=None, dataplane="none", environment=None):
        self.own = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="heliostat-")
        self.options = list(options)
        self.dataplane = dataplane
        self.environment = {**os.environ, **(environment or {})}
        self.process = self.log = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        if self.own:
            shutil.rmtree(self.directory, ignore_errors=True)

    def start(self, port=0):
        command = [str(HELIOSTAT), "serve", "--state-dir", self.directory, "--listen", f"127.0.0.1:{port}"]
        command += ["--dataplane", self.dataplane]
        command += ["--user", "root"] if os.geteuid() == 0 else []
        self.log = open(Path(self.directory) / "serve.log", "a+", encoding="utf-8")
        self.process = subprocess.Popen(
            command + self.options, stdout=subprocess.PIPE, stderr=self.log, text=True, env=self.environment)
        ready, _, _ = select.select([self.process.stdout], [], [], 20)
        line = self.process.stdout.readline() if ready else ""
        self.line = line
        found = re.search(r"(https?)://(\S+):(\d+)", line)
        if not found:
            self.stop()
            raise RuntimeError(f"heliostat serve said {line!r}; its log: {self.text()}")
        self.scheme, self.host, self.port = found[1], found[2], int(found[3])
        self.url = f"{self.scheme}://{self.host}:{self.port}"

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process:
            self.process.stdout.close()

    def text(self):
        """What it logged so far."""
        return (Path(self.directory) / "serve.log").read_text(encoding="utf-8")

    @property
    def token(self):
        """The administrator's."""
        return (Path(self.directory) / "token").read_text().strip()

    def command(self, *arguments, input=None):
        """Runs a command of heliostat's on the same state directory."""
        done = subprocess.run(
            [str(HELIOSTAT), *arguments, "--state-dir", self.directory], input=input, text=True, capture_output=True)
        if done.returncode:
            raise RuntimeError(f"heliostat {' '.join(arguments)}: {done.stderr}")
        return done.stdout.strip()

    def request(self, method, path, body=None, token=None, headers=None):
        """One request; gives status, headers and JSON."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=20)
        fields = dict(headers or {})
        if token is not None:
            fields["X-Auth-Token"] = token
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if body is not None:
            fields.setdefault("Content-Type", "application/json")
        connection.request(method, path, body, fields)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, dict(answer.getheaders()), json.loads(data) if data else None


def wait_for(what, seconds=10):
    """Polls until `what` gives something true, and gives that."""
    end = time.monotonic() + seconds
    while True:
        found = what()
        if found or time.monotonic() > end:
            return found
        time.sleep(0.05)
