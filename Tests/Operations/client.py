"""One client of a real `heliostat serve`: a connection that is kept, and the answers that it got.

Before: the tests in this folder. After: Tests/Clients/server.py, which starts the process.
"""
import http.client
import json
import threading
import time


class Client:
    def __init__(self, server, token=None, timeout=20):
        self.connection = http.client.HTTPConnection(server.host, server.port, timeout=timeout)
        self.headers = {"X-Auth-Token": token or server.token, "Content-Type": "application/json"}

    def send(self, method, path, body=None):
        """Status and JSON; an OSError or HTTPException where the server is gone."""
        self.connection.request(method, "/v2.0/" + path, json.dumps(body) if body is not None else None, self.headers)
        answer = self.connection.getresponse()
        data = answer.read()
        self.last = answer
        return answer.status, json.loads(data) if data else None

    def make(self, path, name, values):
        status, body = self.send("POST", path, {name: values})
        assert status == 201, (status, body)
        return body[name]


def quantile(values, fraction):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * fraction))]


def times(server, count, path="ports?limit=1"):
    """Seconds of each of `count` requests, one after the other."""
    client, result = Client(server), []
    for _ in range(count):
        begin = time.monotonic()
        status, body = client.send("GET", path)
        result.append(time.monotonic() - begin)
        assert status == 200, (status, body)
    return result


def together(count, work):
    """Runs work(0) ... work(count - 1) in threads that begin at once; gives results, or raises what one raised."""
    barrier, results, errors = threading.Barrier(count), [None] * count, []

    def run(index):
        try:
            barrier.wait()
            results[index] = work(index)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results
