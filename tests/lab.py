# SPDX-License-Identifier: GPL-2.0-or-later
"""lab — what the integration and crash tests share: a daemon with its files, real peers, signed requests.

Everything listens on loopback with free ports, lives in the test's own folder and is bounded in time.
"""
import base64
import contextlib
import hashlib
import hmac
import http.client
import http.server
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get('PENSTOCK_BUILD', ROOT / 'build' / 'release')).resolve()
# Tests look for words in the log as a person would; those of its forms choose their own (test_log.py).
os.environ.setdefault('PENSTOCK_LOG_FORMAT', 'text')
CERTIFICATES = ROOT / 'build' / 'test' / 'certificates'

GITHUB_SECRET = "It's a Secret to Everybody"
STANDARD_SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
STRIPE_SECRET = 'whsec_test_stripe_secret_verbatim'
ZEN_SECRET = 'zen-secret-zen-secret-zen-secret'
APP_SECRET = 'whsec_' + base64.b64encode(b'target-signing-key-of-32-bytes!!').decode()


def certificates():
    subprocess.run([ROOT / 'tests/lib/certificates.sh', CERTIFICATES], check=True)
    return CERTIFICATES


ports_given = set()


def free_port():
    """A port that nobody has and that was not given before: the kernel may offer the same one again."""
    while True:
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            port = probe.getsockname()[1]
        if port not in ports_given:
            ports_given.add(port)
            return port


def wait_for(what, seconds=20.0, every=0.02):
    """Calls `what` until it returns something true, and returns that."""
    until = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        if time.monotonic() > until:
            raise AssertionError(f'not within {seconds} s: {what}')
        time.sleep(every)


class Daemon:
    """A penstockd in a folder of its own."""

    def __init__(self, folder, target_url='http://127.0.0.1:1/', **settings):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.port = free_port()
        self.plain_port = free_port()
        self.metrics_port = free_port()
        self.settings = {
            'cpus': '[0]', 'target_url': target_url, 'target': '', 'endpoint': '', 'store': '', 'tls': '',
            'endpoints': '', 'targets': '', 'workers': '', 'control': '', 'more': '', 'listeners': '', **settings}
        self.process = None
        secrets = self.folder / 'secrets'
        secrets.mkdir(mode=0o700, exist_ok=True)
        for name, text in (('github', GITHUB_SECRET), ('standard', STANDARD_SECRET), ('stripe', STRIPE_SECRET),
                           ('zen', ZEN_SECRET), ('app', APP_SECRET)):
            self.secret(name, text)
        self.configure()

    def secret(self, name, text):
        path = self.folder / 'secrets' / name
        path.touch(mode=0o600)
        path.write_text(text + '\n')
        return path

    def configure(self, **settings):
        self.settings.update(settings)
        s = self.settings
        cert = certificates()
        (self.folder / 'penstock.yaml').write_text(f'''
listeners:
  - address: 127.0.0.1:{self.port}
    tls: {{ certificate: {cert}/server.pem, key: {cert}/server.key{s["tls"]} }}
  - address: 127.0.0.1:{self.plain_port}
    tls: off
{s["listeners"]}
endpoints:
  - {{ name: github, path: /github, scheme: github, secret_file: secrets/github, target: app{s["endpoint"]} }}
  - {{ name: standard, path: /standard, scheme: standard-webhooks, secret_file: secrets/standard, target: app }}
  - {{ name: stripe, path: /stripe, scheme: stripe, secret_file: secrets/stripe, target: app }}
  - {{ name: zen, path: /zen, scheme: zen, secret_file: secrets/zen, target: app }}
{s["endpoints"]}
targets:
  - {{ name: app, url: '{s["target_url"]}', secret_file: secrets/app{s["target"]} }}
{s["targets"]}
store: {{ path: store{s["store"]} }}
workers: {{ cpus: {s["cpus"]}{s["workers"]} }}
control: {{ socket: control.sock{s["control"]} }}
metrics: {{ address: 127.0.0.1:{self.metrics_port} }}
{s["more"]}
''')

    def start(self, wait=True, command=(), **popen):
        """`command`: what is to run the program."""
        with open(self.folder / 'log', 'a', encoding='utf-8') as log:
            self.process = subprocess.Popen(
                [*command, BUILD / 'penstockd', '-f', self.folder / 'penstock.yaml'], stderr=log, stdout=log, **popen)
        if wait:
            self.wait_ready()
        return self

    def log(self):
        return (self.folder / 'log').read_text(encoding='utf-8', errors='replace')

    def wait_ready(self):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f'penstockd ended with {self.process.returncode}:\n{self.log()[-3000:]}')
            with contextlib.suppress(OSError, http.client.HTTPException):
                return self.get('/readyz')[0] == 200
            return False
        wait_for(ready, 20)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, seconds=40):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(seconds)
        assert code == 0, f'penstockd ended with {code}:\n{self.log()[-3000:]}'

    def __enter__(self):
        return self.start()

    def __exit__(self, *failure):
        if self.process.poll() is None:
            if failure[0] is None:
                self.stop()
            else:
                self.kill()

    # ---- Asking it ----

    def get(self, path):
        connection = http.client.HTTPConnection('127.0.0.1', self.metrics_port, timeout=5)
        with contextlib.closing(connection):
            connection.request('GET', path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def ctl(self, *arguments, code=0):
        found = subprocess.run([BUILD / 'penstockctl', '--socket', self.folder / 'control.sock', *arguments],
                               capture_output=True, text=True, timeout=60)
        assert found.returncode == code, f'{arguments}: exit {found.returncode}\n{found.stdout}\n{found.stderr}'
        return found.stdout

    def ctl_json(self, *arguments, code=0):
        return json.loads(self.ctl('--json', *arguments, code=code))

    def audit_verify(self):
        """The closing line of `audit verify`; progress comes before it, a line each."""
        return json.loads(self.ctl('--json', 'audit', 'verify').splitlines()[-1])

    def metric(self, name, **labels):
        """The sum over all series of that name that have these labels."""
        total = 0.0
        for line in self.get('/metrics')[1].splitlines():
            if line.startswith('#') or not line.startswith(name):
                continue
            head, value = line.rsplit(' ', 1)
            if head.split('{')[0] == name and all(f'{k}="{v}"' in head for k, v in labels.items()):
                total += float(value)
        return total

    # ---- Sending to it ----

    def connect(self, tls=True):
        if not tls:
            return http.client.HTTPConnection('127.0.0.1', self.plain_port, timeout=20)
        return connect(self.port)

    def post(self, path, headers, body, connection=None, tls=True):
        own = connection is None
        connection = connection or self.connect(tls)
        try:
            return post(connection, path, headers, body)
        finally:
            if own:
                connection.close()


def connect(port):
    """Over TLS, to a server with the lab's certificate."""
    context = ssl.create_default_context(cafile=certificates() / 'ca.pem')
    return http.client.HTTPSConnection('localhost', port, timeout=20, context=context)


def post(connection, path, headers, body):
    connection.request('POST', path, body, {'Content-Type': 'application/json', **headers})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read() or b'null'), answer.headers


# ---- Signing, written anew on purpose: the tests must not share the daemon's code ----

def mac(secret, message):
    key = secret if isinstance(secret, bytes) else secret.encode()
    return hmac.new(key, message, hashlib.sha256)


def github(body, secret=GITHUB_SECRET, event='push'):
    return {'X-Hub-Signature-256': 'sha256=' + mac(secret, body).hexdigest(), 'X-GitHub-Event': event,
            'X-GitHub-Delivery': '72d3162e-cc78-11e3-81ab-4c9367dc0958'}


def standard(body, event_id, now=None, secret=STANDARD_SECRET):
    timestamp = str(int(time.time() if now is None else now))
    key = base64.b64decode(secret.removeprefix('whsec_'))
    signature = base64.b64encode(mac(key, f'{event_id}.{timestamp}.'.encode() + body).digest()).decode()
    return {'webhook-id': event_id, 'webhook-timestamp': timestamp, 'webhook-signature': f'v1,{signature}'}


def stripe(body, now=None, secret=STRIPE_SECRET):
    timestamp = str(int(time.time() if now is None else now))
    return {'Stripe-Signature': f't={timestamp},v1={mac(secret, timestamp.encode() + b"." + body).hexdigest()}'}


def zen(body, nonce, now=None, secret=ZEN_SECRET):
    timestamp = str(int(time.time() if now is None else now))
    signature = mac(secret, f'{timestamp}.{nonce}.'.encode() + body).hexdigest()
    return {'X-Zen-Signature': f't={timestamp},n={nonce},v1={signature}'}


def verify_delivery(headers, body, secret=APP_SECRET):
    """Whether a delivery bears a right and fresh Standard Webhooks signature."""
    if abs(time.time() - int(headers['webhook-timestamp'])) > 30:
        return False
    expected = standard(body, headers['webhook-id'], int(headers['webhook-timestamp']), secret)
    return expected['webhook-signature'] in headers['webhook-signature'].split()


class Target:
    """A target that remembers what it was sent. `answer` is called with the request's number and returns a status,
    or (status, headers), or None to break the connection."""

    def __init__(self, answer=lambda number: 200, tls=False):
        self.deliveries = []
        self.answer = answer
        self.lock = threading.Lock()
        target = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_POST(self):
                body = self.rfile.read(int(self.headers['Content-Length']))
                with target.lock:
                    number = len(target.deliveries)
                    target.deliveries.append((time.time(), self.path, dict(self.headers.items()), body))
                answer = target.answer(number)
                if answer is None:
                    self.close_connection = True
                    return
                status, extra = answer if isinstance(answer, tuple) else (answer, {})
                text = b'answer %d' % number
                self.send_response(status)
                for name, value in extra.items():
                    self.send_header(name, value)
                self.send_header('Content-Length', str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 512  # as many connections as come at once; five is the library's default
            daemon_threads = True

            def handle_error(self, *_):
                pass  # a connection that breaks is the daemon's business

        self.server = Server(('127.0.0.1', 0), Handler)
        self.port = self.server.server_address[1]
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificates() / 'server.pem', certificates() / 'server.key')
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f'{"https" if tls else "http"}://{"localhost" if tls else "127.0.0.1"}:{self.port}/hooks'
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def wait(self, count, seconds=20.0):
        wait_for(lambda: len(self.deliveries) >= count, seconds)
        return self.deliveries


def bench(daemon, *arguments, endpoints=('standard', 'github', 'stripe', 'zen'), json_file=None, **popen):
    """Starts penstock-bench against a daemon."""
    schemes = {'standard': 'standard-webhooks'}
    command = [BUILD / 'penstock-bench', *map(str, arguments), '--target', f'https://localhost:{daemon.port}',
               '--ca', certificates() / 'ca.pem', '--json', json_file or daemon.folder / 'ledger.json', '--quiet']
    for name in endpoints:
        command += ['--endpoint', f'/{name}:{schemes.get(name, name)}:{daemon.folder}/secrets/{name}']
    return subprocess.Popen(command, **popen)


def ledger(daemon):
    return json.loads((daemon.folder / 'ledger.json').read_text())
