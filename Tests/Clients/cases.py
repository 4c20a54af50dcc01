"""How the tests in this folder report: each case is one line of JSON on standard output, which Tests/run counts.

Before: a file that calls main() with its unittest cases. After: Tests/run. `note` prints a figure for the log.
"""
import json
import sys
import time
import unittest


def say(**what):
    print(json.dumps(what), flush=True)


def note(text):
    say(note=text)


class Report(unittest.TestResult):
    def __init__(self, group):
        super().__init__()
        self.group, self.begin = group, 0.0

    def reason(self, test, error):
        """The traceback, and the end of what the server logged."""
        server = getattr(test, "server", None)
        log = f"\nserver: {server.text()[-1500:]}" if server else ""
        return self._exc_info_to_string(error, test).strip()[-2000:] + log

    def name(self, test):
        return f"{self.group}.{type(test).__name__}/{getattr(test, '_testMethodName', test)}"

    def startTest(self, test):
        super().startTest(test)
        self.begin = time.monotonic()

    def addSuccess(self, test):
        say(passed=self.name(test), seconds=time.monotonic() - self.begin)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        say(failed=self.name(test), reason=self.reason(test, error))

    def addError(self, test, error):
        super().addError(test, error)
        say(failed=self.name(test), reason=self.reason(test, error))

    def addSkip(self, test, reason):
        say(skipped=self.name(test), reason=reason)


def main(group):
    """Runs the cases of the calling script, those only whose name holds the first argument, if there is one."""
    loader = unittest.TestLoader()
    if len(sys.argv) > 1:
        loader.testNamePatterns = [f"*{sys.argv[1]}*"]
    suite = loader.loadTestsFromModule(sys.modules["__main__"])
    result = Report(group)
    suite.run(result)
    sys.exit(0 if result.wasSuccessful() else 1)
