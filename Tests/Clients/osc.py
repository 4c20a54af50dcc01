"""The unmodified OpenStack command line client, run as its console script runs it.

Each command is a fork of a process that has imported the client already: what costs a second and a half is done once.
"""
import io
import json
import os
import sys
import tempfile

from openstackclient import shell


class Failed(Exception):
    """A command that ended with something else than 0; its text is what it said."""


def openstack(*arguments, environment=None):
    """Runs `openstack ARGUMENTS` and gives its standard output."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as error:
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            status = 70
            try:
                for name in [name for name in os.environ if name.startswith("OS_")]:
                    del os.environ[name]
                os.environ.update(environment or {})
                os.dup2(out.fileno(), 1)
                os.dup2(error.fileno(), 2)
                sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), write_through=True)
                sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb", closefd=False), write_through=True)
                status = shell.main(list(arguments)) or 0
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 1
            finally:
                try:
                    sys.stdout.flush()
                    sys.stderr.flush()
                finally:
                    os._exit(status)
        _, status = os.waitpid(pid, 0)
        out.seek(0)
        error.seek(0)
        text, complaint = out.read(), error.read()
        if status != 0:
            raise Failed(f"openstack {' '.join(arguments)}: status {os.waitstatus_to_exitcode(status)}: {complaint}{text}")
        return text


class Cloud:
    """A server, and how to log in there."""

    def __init__(self, *options):
        self.options = options

    def __call__(self, *arguments):
        return openstack(*self.options, *arguments)

    def json(self, *arguments):
        return json.loads(self(*arguments, "-f", "json"))

    def object(self, *arguments):
        """One object by the API's names: `tap flow update` alone prints it under titles (`ID`, `Tap Service ID`)."""
        return {name.lower().replace(" ", "_"): value for name, value in self.json(*arguments).items()}


def no_auth(server):
    return Cloud("--os-auth-type", "none", "--os-endpoint", server.url)


def admin_token(server):
    return Cloud("--os-auth-type", "admin_token", "--os-endpoint", server.url, "--os-token", server.token)


def password(server, user, secret, project, base=None):
    return Cloud(
        "--os-auth-url", f"{base or server.url}/identity/v3", "--os-username", user, "--os-password", secret,
        "--os-project-name", project, "--os-user-domain-name", "Default", "--os-project-domain-name", "Default",
        "--os-identity-api-version", "3")
