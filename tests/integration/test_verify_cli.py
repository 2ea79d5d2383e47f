# SPDX-License-Identifier: GPL-2.0-or-later
"""penstockctl verify, run as an operator runs it.

The published vectors, and for the schemes that have none signatures computed here by Python's hmac: an implementation
that shares nothing with ours.
"""

import base64
import hashlib
import hmac
import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CTL = ROOT / os.environ.get("PENSTOCK_BUILD", "build/release") / "penstockctl"
VECTORS = json.loads((ROOT / "tests/data/signature-vectors.json").read_text(encoding="utf-8"))
NOW = 1700000000

EX_OK, EX_REFUSED, EX_USAGE, EX_DATAERR, EX_NOINPUT, EX_NOPERM = 0, 1, 64, 65, 66, 77


def run(*arguments, stdin=b""):
    return subprocess.run([CTL, "verify", *map(str, arguments)], input=stdin, capture_output=True, timeout=20,
                          check=False)


@pytest.fixture(name="write")
def fixture_write(tmp_path):
    def write(name, content, mode=0o600):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)
        return path

    return write


def known_schemes():
    lines = run("--list").stdout.decode().splitlines()[1:]
    return [line.split()[0] for line in lines]


def vectors():
    supported = {"standard-webhooks", "github", "slack", "square", "sanity", "circleci", "hubspot-v3", "box", "zendesk",
                 "convoy"}
    return [vector for vector in VECTORS if vector["provider"] in supported]


def vector_arguments(vector, write):
    secrets = vector["secret"].split(" / ")
    arguments = ["--scheme", vector["provider"], "--secret-file", write("secret", secrets[0] + "\n"),
                 "--body", write("body", vector["body"]), "--method", vector["method"]]
    if len(secrets) > 1:
        arguments += ["--previous-secret-file", write("previous", secrets[1])]
    if vector["url"]:
        arguments += ["--url", vector["url"]]
    for name, value in vector["headers"].items():
        arguments += ["--header", f"{name}: {value}"]
    now = vector["now"]
    if vector["provider"] == "zendesk":
        now = 1616648967
    return arguments + (["--now", now] if now is not None else [])


@pytest.mark.parametrize("vector", vectors(), ids=lambda vector: vector["name"])
def test_vector_is_authentic(vector, write):
    result = run(*vector_arguments(vector, write), "--json")
    assert result.returncode == EX_OK, result.stderr
    report = json.loads(result.stdout)
    assert report["schema"] == "penstock.verify/v1"
    assert report["verdict"] == report["reason"] == "authentic"
    assert report["key"] == "current"
    assert report["signed_string"] == vector["signed_string"]
    assert report["skew_s"] in (0, None) or vector["provider"] == "sanity"


@pytest.mark.parametrize("vector", vectors(), ids=lambda vector: vector["name"])
def test_vector_with_another_body_is_refused(vector, write):
    changed = dict(vector, body=vector["body"] + "\n")
    result = run(*vector_arguments(changed, write), "--json")
    assert result.returncode == EX_REFUSED
    report = json.loads(result.stdout)
    assert (report["verdict"], report["reason"], report["key"]) == ("refused", "signature_mismatch", None)


def mac(key, message, digest="sha256"):
    return hmac.new(key, message, digest).digest()


def b64(data):
    return base64.b64encode(data).decode()


BODY = b'{"object":"event","id":"evt_1"}'
KEY = b"0123456789abcdef0123456789abcdef"
WHSEC = "whsec_" + b64(KEY)
TIME = str(NOW).encode()
STANDARD = "v1," + b64(mac(KEY, b"msg_1." + TIME + b"." + BODY))

# scheme, secret, headers, event id; signed here
SIGNED = [
    ("svix", WHSEC, {"svix-id": "msg_1", "svix-timestamp": NOW, "svix-signature": STANDARD}, "msg_1"),
    ("gitlab", WHSEC, {"webhook-id": "msg_1", "webhook-timestamp": NOW, "webhook-signature": STANDARD}, "msg_1"),
    ("gitlab-token", "a token", {"X-Gitlab-Token": "a token", "Idempotency-Key": "key_1"}, "key_1"),
    ("stripe", "whsec_verbatim",
     {"Stripe-Signature": f"t={NOW},v1={mac(b'whsec_verbatim', TIME + b'.' + BODY).hex()},v0=00"}, "evt_1"),
    ("shopify", "secret", {"X-Shopify-Hmac-Sha256": b64(mac(b"secret", BODY)), "X-Shopify-Webhook-Id": "w1"}, "w1"),
    ("zen", "secret",
     {"X-Zen-Signature": f"t={NOW},n=nonce-1,v1={mac(b'secret', TIME + b'.nonce-1.' + BODY).hex()}"}, "nonce-1"),
]


def signed_arguments(case, write, body=BODY):
    scheme, secret, headers, _ = case
    arguments = ["--scheme", scheme, "--secret-file", write("secret", secret), "--body", write("body", body)]
    for name, value in headers.items():
        arguments += ["--header", f"{name}: {value}"]
    return arguments


@pytest.mark.parametrize("case", SIGNED, ids=lambda case: case[0])
def test_signed_here_is_authentic(case, write):
    result = run(*signed_arguments(case, write), "--now", NOW, "--json")
    assert result.returncode == EX_OK, result.stderr
    assert json.loads(result.stdout)["event_id"] == case[3]


@pytest.mark.parametrize("case", [case for case in SIGNED if case[0] in ("svix", "gitlab", "stripe", "zen")],
                         ids=lambda case: case[0])
def test_time_window_and_tolerance(case, write):
    arguments = signed_arguments(case, write)
    for now, expected in ((NOW + 300, EX_OK), (NOW - 300, EX_OK), (NOW + 301, EX_REFUSED), (NOW - 301, EX_REFUSED)):
        result = run(*arguments, "--now", now, "--json")
        report = json.loads(result.stdout)
        assert result.returncode == expected
        assert report["skew_s"] == now - NOW
        assert report["tolerance_s"] == 300
        # The signature was right either way, and that is said.
        assert report["key"] == "current"
        assert report["reason"] == ("authentic" if expected == EX_OK else "timestamp_outside_tolerance")
    assert run(*arguments, "--now", NOW + 1000, "--tolerance", 1000).returncode == EX_OK
    assert run(*arguments, "--now", NOW + 1001, "--tolerance", 1000).returncode == EX_REFUSED
    # Without --now it is today.
    assert run(*arguments).returncode == EX_REFUSED


def test_every_scheme_is_tested_here():
    tested = {vector["provider"] for vector in vectors()} | {case[0] for case in SIGNED}
    assert tested == set(known_schemes())


def test_previous_secret_is_named(write):
    arguments = ["--scheme", "github", "--body", write("body", BODY),
                 "--secret-file", write("new", "new"), "--previous-secret-file", write("old", "old"),
                 "--header", "X-Hub-Signature-256: sha256=" + mac(b"old", BODY).hex()]
    assert json.loads(run(*arguments, "--json").stdout)["key"] == "previous"
    assert b"previous" in run(*arguments).stdout


def github(write, *more, body=BODY, secret="secret"):
    return run("--scheme", "github", "--secret-file", write("secret", secret), "--body", write("body", body), *more)


def test_reasons_name_their_header(write):
    signature = "X-Hub-Signature-256: sha256=" + mac(b"secret", BODY).hex()
    for more, reason in ((("--header", signature), "authentic"),
                         ((), "missing_header"),
                         (("--header", signature, "--header", signature), "duplicate_header"),
                         (("--header", "x-hub-signature-256: sha1=00"), "malformed_signature"),
                         (("--header", "X-Hub-Signature-256:sha256=" + "0" * 64), "signature_mismatch")):
        report = json.loads(github(write, *more, "--json").stdout)
        assert (report["reason"], report["header"]) == (reason, "X-Hub-Signature-256")


def test_body_from_standard_input_byte_for_byte(write):
    body = bytes(range(256)) * 1000
    arguments = ["--scheme", "github", "--secret-file", write("secret", "secret"), "--body", "-",
                 "--header", "X-Hub-Signature-256: sha256=" + mac(b"secret", body).hex()]
    result = run(*arguments, "--json", stdin=body)
    assert result.returncode == EX_OK
    report = json.loads(result.stdout)
    assert base64.b64decode(report["signed_string_base64"]) == body
    assert hashlib.sha256(body).digest() == hashlib.sha256(base64.b64decode(report["signed_string_base64"])).digest()
    # What goes to a terminal holds no byte that could steer it.
    shown = run(*arguments, stdin=body).stdout
    assert all(byte == 10 or 32 <= byte < 127 for byte in shown)
    # An empty body is a body.
    empty = [argument if not str(argument).startswith("X-Hub") else
             "X-Hub-Signature-256: sha256=" + mac(b"secret", b"").hex() for argument in arguments]
    assert run(*empty).returncode == EX_OK


def test_human_output_explains(write):
    result = github(write, "--header", "X-Hub-Signature-256: sha256=" + "0" * 64)
    assert result.stdout.startswith(b"refused: signature_mismatch: ")
    assert b"signed text" in result.stdout
    assert b"secret is another" in result.stdout


def test_secret_stays_secret(write):
    secret = "s3cr3t-that-nobody-may-see"
    for more in ((), ("--json",)):
        result = github(write, "--header", "X-Hub-Signature-256: sha256=" + "0" * 64, *more, secret=secret)
        assert secret.encode() not in result.stdout + result.stderr


def test_help_teaches_and_list_lists():
    result = run("--help")
    assert result.returncode == EX_OK
    assert b"--secret-file" in result.stdout and b"penstockctl verify --scheme github" in result.stdout
    result = run("--list")
    assert result.returncode == EX_OK
    assert b"standard-webhooks" in result.stdout and b"X-Hub-Signature-256" in result.stdout


@pytest.mark.parametrize("arguments", [
    (),
    ("--scheme", "github"),
    ("--scheme", "nobody"),
    ("--scheme",),
    ("--nonsense",),
    ("extra",),
    ("--scheme", "github", "--header", "no colon"),
    ("--scheme", "github", "--header", ": no name"),
    ("--scheme", "github", "--now", "tomorrow"),
    ("--scheme", "github", "--tolerance", "-1"),
    ("--scheme", "github", "--tolerance", "4294967296"),
    ("--scheme", "github", *(argument for i in range(101) for argument in ("--header", f"X-{i}: x"))),
], ids=lambda arguments: " ".join(arguments)[:30] or "none")
def test_wrong_arguments(arguments):
    result = run(*arguments)
    assert result.returncode == EX_USAGE
    assert not result.stdout
    assert b"--help" in result.stderr


def test_url_is_demanded_where_it_is_signed(write):
    arguments = ["--secret-file", write("secret", "secret"), "--body", write("body", BODY)]
    for scheme in ("square", "hubspot-v3"):
        result = run("--scheme", scheme, *arguments)
        assert result.returncode == EX_USAGE
        assert b"--url" in result.stderr


def test_unreadable_inputs(write, tmp_path):
    secret, body = write("secret", "secret"), write("body", BODY)
    github_with = ("--scheme", "github", "--secret-file")
    assert run(*github_with, tmp_path / "none", "--body", body).returncode == EX_NOINPUT
    assert run(*github_with, secret, "--body", tmp_path / "none").returncode == EX_NOINPUT
    assert run(*github_with, secret, "--body", tmp_path).returncode == EX_NOINPUT
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(16 * 1024 * 1024 + 1)
    assert run(*github_with, secret, "--body", large).returncode == EX_NOINPUT


def test_secret_files(write, tmp_path):
    body = write("body", BODY)

    def code(path, scheme="github", option="--secret-file"):
        other = [] if option == "--secret-file" else ["--secret-file", write("good", "good")]
        return run("--scheme", scheme, option, path, *other, "--body", body).returncode

    for option in ("--secret-file", "--previous-secret-file"):
        assert code(write("open", "secret", 0o644), option=option) == EX_NOPERM
        assert code(write("writable", "secret", 0o602), option=option) == EX_NOPERM
        assert code(tmp_path, option=option) == EX_NOPERM
        assert code(write("empty", ""), option=option) == EX_DATAERR
        assert code(write("dos", "secret\r\n"), option=option) == EX_DATAERR
        assert code(write("lines", "secret\nother\n"), option=option) == EX_DATAERR
        assert code(write("long", "x" * 4097), option=option) == EX_DATAERR
    assert code(write("short", "whsec_MDEy"), scheme="standard-webhooks") == EX_DATAERR
    assert code(write("good", "secret"), scheme="github") == EX_REFUSED
