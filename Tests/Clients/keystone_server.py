"""A real Keystone from PyPI: SQLite, fernet tokens, its own WSGI application on a port of loopback.

As a script (`keystone_server.py PORT`) it serves; as a module it makes one and starts it. Run with the python of
.build/venv/keystone.
"""
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

PASSWORD = "keystone-password-of-the-test"
CONFIGURATION = """
[database]
connection = sqlite:///{directory}/keystone.db
[token]
provider = fernet
expiration = 3600
[fernet_tokens]
key_repository = {directory}/fernet
[fernet_receipts]
key_repository = {directory}/receipts
[credential]
key_repository = {directory}/credential
[cache]
enabled = false
"""


class KeystoneServer:
    """Runs while it is used as a context; `url` ends without /v3."""

    def __init__(self, python, port):
        self.python, self.port = str(python), port
        self.directory = tempfile.mkdtemp(prefix="heliostat-keystone-")
        self.url = f"http://127.0.0.1:{port}"
        self.process = None
        self.configuration = Path(self.directory) / "keystone.conf"
        self.log = Path(self.directory) / "log"

    def __enter__(self):
        self.configuration.write_text(CONFIGURATION.format(directory=self.directory))
        for name in ("fernet", "receipts", "credential"):
            os.mkdir(f"{self.directory}/{name}", 0o700)
        self.manage("db_sync")
        for what in ("fernet_setup", "receipt_setup", "credential_setup"):
            self.manage(what, "--keystone-user", str(os.geteuid()), "--keystone-group", str(os.getegid()))
        self.manage(
            "bootstrap", "--bootstrap-password", PASSWORD, "--bootstrap-public-url", f"{self.url}/v3",
            "--bootstrap-region-id", "RegionOne")
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        subprocess.run(["rm", "-rf", self.directory], check=False)

    def manage(self, *arguments):
        command = [self.python, str(Path(self.python).parent / "keystone-manage")]
        done = subprocess.run(
            command + ["--config-file", str(self.configuration), *arguments], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"keystone-manage {arguments[0]}: {done.stderr[-2000:]}")

    def start(self):
        environment = {**os.environ, "OS_KEYSTONE_CONFIG_FILES": str(self.configuration)}
        with open(self.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [self.python, __file__, str(self.port)], stdout=log, stderr=log, env=environment)
        end = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/v3", timeout=2).read()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"Keystone did not start: {self.log.read_text()[-3000:]}") from None
                time.sleep(0.2)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process = None


def serve(port):
    from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

    from keystone.server.wsgi import initialize_public_application

    sys.argv = sys.argv[:1]
    application = initialize_public_application()
    WSGIServer.allow_reuse_address = True
    WSGIRequestHandler.protocol_version = "HTTP/1.0"
    server = WSGIServer(("127.0.0.1", port), WSGIRequestHandler)
    server.set_app(application)
    server.serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
