"""Cases that tell what a client saw, and what another one reads afterwards."""

import json
import sys
import traceback
import urllib.error
import urllib.request

URL = sys.argv[1].rstrip("/")
PROJECT = "demo"
REGION = "us-central1"
ZONE = "us-central1-a"
CASES = []


def case(run):
    CASES.append(run)
    return run


def same(found, wanted):
    if found != wanted:
        raise AssertionError(f"{found!r} instead of {wanted!r}")


def eventually(look, wanted):
    """Some things become so only after their operation; the simulated time goes by with each look."""
    for _ in range(2000):
        found = look()
        if found == wanted:
            return
    raise AssertionError(f"{found!r} and never {wanted!r}")


def holds(text, part):
    if part not in str(text):
        raise AssertionError(f"no {part!r} in {text!r}")


def refused(kind, run):
    """The refusal with which `run` ends."""
    try:
        run()
    except kind as refusal:
        return refusal
    raise AssertionError(f"it was not refused with {kind.__name__}")


def plain(path, body=None, method=None):
    """What a client without any library reads: the status and the JSON below the API's root."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{URL}/{path}", data=data, method=method)
    request.add_header("content-type", "application/json")
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def compute(path):
    """A resource of Compute Engine as a client without any library reads it."""
    status, body = plain(f"compute/v1/projects/{PROJECT}/{path}")
    same(status, 200)
    return body


def gone(path):
    same(plain(f"compute/v1/projects/{PROJECT}/{path}")[0], 404)


def main():
    failed = 0
    for run in CASES:
        name = run.__name__
        try:
            run()
            print(f"ok {name}", flush=True)
        except Exception:
            failed += 1
            told = traceback.format_exc(limit=-3)
            print(f"FAIL {name}\n{told}", flush=True)
    print(f"{len(CASES) - failed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed else 0)
