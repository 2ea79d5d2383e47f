# SPDX-License-Identifier: GPL-2.0-or-later
"""peers — the other ends that the integration tests put beside the daemon: curl, raw sockets, openssl, nginx,
haproxy, and a target whose every byte the test decides.

Not a test. What the daemon itself needs (its folder, its configuration, signing) is in tests/lab.py.
"""
import collections
import contextlib
import ctypes
import functools
import json
import os
import pathlib
import pwd
import shutil
import socket
import ssl
import subprocess
import threading

import pytest

import lab


def needs(program):
    """A mark that skips a test on a host without that program."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f'{program} is not installed')


# ---- curl -----------------------------------------------------------------------------------------------------------

Answer = collections.namedtuple('Answer', 'status headers json raw')


def curl(daemon, path, *options, headers=None, body=None, tls=True, code=0):
    """One request by curl; `code` is its exit code. The answer's names are in lower case."""
    head, payload = daemon.folder / 'curl.head', daemon.folder / 'curl.body'
    base = f'https://localhost:{daemon.port}' if tls else f'http://127.0.0.1:{daemon.plain_port}'
    command = ['curl', '-sS', '--max-time', '30', '--cacert', lab.certificates() / 'ca.pem', '-D', head, '-o', payload]
    for name, value in (headers or {}).items():
        command += ['-H', f'{name}: {value}']
    if body is not None:
        (daemon.folder / 'curl.request').write_bytes(body)
        command += ['--data-binary', f'@{daemon.folder}/curl.request', '-H', 'Content-Type: application/json']
    for file in (head, payload):
        file.unlink(missing_ok=True)
    done = subprocess.run([*command, *options, base + path], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, f'curl exits with {done.returncode}: {done.stderr}'
    return read_answer(head, payload)


def read_answer(head, payload):
    """The last answer that curl has stored (those before it are interim ones)."""
    if not head.exists() or not head.read_text():
        return None
    lines = head.read_text().strip().split('\n\n')[-1].splitlines()
    fields = {name.lower(): value for name, value in (line.split(': ', 1) for line in lines[1:])}
    raw = payload.read_bytes() if payload.exists() else b''
    value = json.loads(raw) if raw and 'json' in fields.get('content-type', '') else None
    return Answer(int(lines[0].split()[1]), fields, value, raw)


# ---- Raw sockets ----------------------------------------------------------------------------------------------------

def request(path, headers, body=b'', method='POST', version='HTTP/1.1', host='localhost'):
    """A request's bytes, with a Content-Length unless there is one or a coding."""
    lines = [f'{method} {path} {version}', f'Host: {host}'] if host is not None else [f'{method} {path} {version}']
    names = {name.lower() for name in headers}
    if not names & {'content-length', 'transfer-encoding'} and (body or method == 'POST'):
        lines.append(f'Content-Length: {len(body)}')
    lines += [f'{name}: {value}' for name, value in headers.items()]
    return '\r\n'.join(lines).encode() + b'\r\n\r\n' + body


@functools.lru_cache(None)
def trusting_context():
    """Trusts our test authority. One for all: making one takes longer than a handshake."""
    return ssl.create_default_context(cafile=lab.certificates() / 'ca.pem')


class Wire:
    """A connection on which the test writes every byte itself, and that reads whole answers."""

    def __init__(self, daemon, tls=True, timeout=20, context=None):
        port = daemon.port if tls else daemon.plain_port
        self.open(socket.create_connection(('127.0.0.1', port), timeout), tls, context)

    @classmethod
    def over(cls, connected, tls=True):
        """On a socket that is connected already."""
        wire = cls.__new__(cls)
        wire.open(connected, tls)
        return wire

    def open(self, connected, tls, context=None):
        self.socket = connected
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = (context or trusting_context()).wrap_socket(self.socket, server_hostname='localhost')
        self.buffer = b''

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def send_and_read(self, data, count):
        """Sends as long as it is taken, reads an answer when it is not, and the rest at the end. In one thread: Python's
        TLS sockets are not for two at a time."""
        answers = []
        timeout = self.socket.gettimeout()
        while len(answers) < count:
            self.socket.setblocking(False)
            try:
                if data:
                    data = data[self.socket.send(data[:16000]):]
                    continue
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError, BlockingIOError):
                pass
            finally:
                self.socket.settimeout(timeout)
            answers.append(self.answer())
        return answers

    def more(self):
        """Reads on; false at the end."""
        try:
            data = self.socket.recv(65536)
        except (ConnectionError, ssl.SSLEOFError):
            data = b''
        self.buffer += data
        return bool(data)

    def answer(self):
        """The next answer, or None when the connection ends before it."""
        while b'\r\n\r\n' not in self.buffer:
            if not self.more():
                assert not self.buffer, f'half an answer: {self.buffer!r}'
                return None
        head, _, rest = self.buffer.partition(b'\r\n\r\n')
        lines = head.decode().split('\r\n')
        fields = {name.lower(): value for name, value in (line.split(': ', 1) for line in lines[1:])}
        size = int(fields.get('content-length', 0))
        while len(rest) < size:
            assert self.more(), 'the connection ends inside an answer'
            rest = self.buffer.partition(b'\r\n\r\n')[2]
        self.buffer = rest[size:]
        value = json.loads(rest[:size]) if 'json' in fields.get('content-type', '') else None
        return Answer(int(lines[0].split()[1]), fields, value, rest[:size])

    def ends(self):
        """Whether the other side closes, and says nothing more before."""
        try:
            return not self.more() and not self.buffer
        except TimeoutError:
            return False


def exchange(daemon, data, tls=True):
    """Sends the bytes on a connection of their own; all answers until it ends or waits for more."""
    answers = []
    with Wire(daemon, tls) as wire:
        wire.send(data)
        while (answer := wire.answer()) is not None:
            answers.append(answer)
    return answers


def exchange_one(daemon, data, tls=False):
    """Sends the bytes on a connection of their own; the first answer."""
    with Wire(daemon, tls) as wire:
        wire.send(data)
        return wire.answer()


# ---- openssl --------------------------------------------------------------------------------------------------------

def s_client(daemon, *options, send=b'', name='localhost'):
    """openssl s_client against the daemon: exit code, and all it says."""
    command = ['openssl', 's_client', '-connect', f'127.0.0.1:{daemon.port}', '-CAfile', lab.certificates() / 'ca.pem']
    command += ['-servername', name] if name else ['-noservername']
    done = subprocess.run([*command, *options], input=send, capture_output=True, timeout=30, check=False)
    return done.returncode, (done.stdout + done.stderr).decode(errors='replace')


# ---- Servers that deliveries go to ----------------------------------------------------------------------------------

class Server:
    """A server program in the foreground, until the with statement ends."""

    def __init__(self, command, port, log):
        self.command, self.port, self.log = command, port, log
        self.process = None

    def __enter__(self):
        with open(self.log, 'ab') as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        lab.wait_for(self.listens, 10)
        return self

    def listens(self):
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(OSError):
            socket.create_connection(('127.0.0.1', self.port), 1).close()
            return True
        return False

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Nginx(Server):
    """nginx with TLS that answers every request itself; `rows()` is what it wrote down, a dict a request."""

    FIELDS = ('status', 'request', 'connection', 'connection_requests', 'ssl_protocol', 'ssl_session_reused',
              'request_length', 'http_host', 'http_webhook_id', 'http_webhook_timestamp', 'http_webhook_signature',
              'http_x_zen_delivery_idempotency_key', 'http_penstock_attempt', 'http_x_github_event', 'http_user_agent',
              'content_type')

    def __init__(self, folder, location='return 200 "taken\\n";', certificate='server', more=''):
        folder = pathlib.Path(folder)
        folder.mkdir(exist_ok=True)
        self.access = folder / 'access.log'
        certificates = lab.certificates()
        user = f'user {pwd.getpwuid(0).pw_name};' if is_root() else ''
        port = lab.free_port()
        form = ','.join(f'"{name}":"${name}"' for name in self.FIELDS)
        (folder / 'nginx.conf').write_text(f'''
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 256; }}
http {{
  log_format all escape=json '{{{form}}}';
  access_log {self.access} all;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  {more}
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_certificate {certificates}/{certificate}.pem;
    ssl_certificate_key {certificates}/{certificate}.key;
    location / {{ {location} }}
  }}
}}
''')
        super().__init__(['nginx', '-p', folder, '-c', folder / 'nginx.conf', '-e', folder / 'error.log'], port,
                         folder / 'out.log')
        self.url = f'https://localhost:{port}/hooks'

    def rows(self, count=0):
        """What was logged, once there are as many requests as that."""
        def read():
            text = self.access.read_text() if self.access.exists() else ''
            rows = [json.loads(line) for line in text.splitlines() if line.endswith('}')]
            return rows if len(rows) >= count else None
        return lab.wait_for(read) if count else read()


class Haproxy(Server):
    """haproxy that answers every request itself over plain HTTP; `rows()` is its log, a dict a request."""

    FIELDS = ('host', 'webhook-id', 'webhook-timestamp', 'webhook-signature', 'x-zen-delivery-idempotency-key')

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        folder.mkdir(exist_ok=True)
        port = lab.free_port()
        captures = '\n'.join(f'  http-request capture req.fhdr({name}) len 128' for name in self.FIELDS)
        form = ','.join(f'"{name}":"%[capture.req.hdr({i})]"' for i, name in enumerate(self.FIELDS))
        (folder / 'haproxy.cfg').write_text(f'''
global
  maxconn 256
defaults
  mode http
  timeout client 30s
  timeout connect 5s
  timeout server 30s
frontend hooks
  bind 127.0.0.1:{port}
  log stdout format raw local0
{captures}
  log-format '{{{form},"port":%cp,"status":%ST,"method":"%HM","path":"%HP"}}'
  http-request return status 200 content-type text/plain string taken
''')
        super().__init__(['haproxy', '-db', '-f', folder / 'haproxy.cfg'], port, folder / 'haproxy.log')
        self.url = f'http://127.0.0.1:{port}/hooks'

    def rows(self, count=0):
        """What was logged, once there are as many requests as that; our own look at the port left out."""
        def read():
            rows = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith('{')]
            rows = [row for row in rows if row['method'] == 'POST']
            return rows if len(rows) >= count else None
        return lab.wait_for(read) if count else read()


class Script:
    """A target that calls `answer(socket, number)` for each request it has read; whatever that does is the answer.
    It goes on with the connection when `answer` returns true. `seen`: (connection's number, head, body)."""

    def __init__(self, answer, backlog=64):
        self.answer = answer
        self.seen = []
        self.connections = 0
        self.lock = threading.Lock()
        self.listener = socket.create_server(('127.0.0.1', 0), backlog=backlog)
        self.port = self.listener.getsockname()[1]
        self.url = f'http://127.0.0.1:{self.port}/hooks'
        self.thread = threading.Thread(target=self.accept, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                number = self.connections
            threading.Thread(target=self.serve, args=(connection, number), daemon=True).start()

    def serve(self, connection, connection_number):
        with contextlib.suppress(OSError), connection:
            connection.settimeout(60)
            buffer = b''
            while True:
                while b'\r\n\r\n' not in buffer:
                    data = connection.recv(65536)
                    if not data:
                        return
                    buffer += data
                head, _, buffer = buffer.partition(b'\r\n\r\n')
                size = int(next(line for line in head.lower().split(b'\r\n') if line.startswith(b'content-length:'))
                           .split(b':')[1])
                while len(buffer) < size:
                    buffer += connection.recv(65536)
                with self.lock:
                    number = len(self.seen)
                    self.seen.append((connection_number, head, buffer[:size]))
                buffer = buffer[size:]
                if not self.answer(connection, number):
                    return

    def wait(self, count, seconds=20):
        lab.wait_for(lambda: len(self.seen) >= count, seconds)
        return self.seen


OK = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'


def answer_ok(connection, _number):
    """The answer of a Script that is pleased."""
    connection.sendall(OK)
    return True


def reset(connection):
    """Ends a connection with a reset instead of a FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\x01\0\0\0\0\0\0\0')
    connection.close()


# ---- Questions about an event ---------------------------------------------------------------------------------------

def deliveries(daemon, event):
    """target → its delivery, from `events show`."""
    return {one['target']: one for one in daemon.ctl_json('events', 'show', event)['deliveries']}


def delivery_state(daemon, event, target='app'):
    return deliveries(daemon, event)[target]['state']


def wait_state(daemon, event, state, target='app', seconds=20):
    """Waits until that delivery is in that state; its attempts."""
    lab.wait_for(lambda: delivery_state(daemon, event, target) == state, seconds)
    return attempts(daemon, event, target)


def attempts(daemon, event, target='app'):
    """The attempts of one delivery, oldest first."""
    return deliveries(daemon, event)[target]['attempts']


def totals(daemon):
    """The committed figures of `status`."""
    return daemon.ctl_json('status')['totals']


def settled(daemon, seconds=20):
    """Waits until nothing is outstanding; the totals."""
    return lab.wait_for(lambda: (found := totals(daemon))['deliveries_outstanding'] == 0 and found, seconds)


def is_root():
    return pathlib.Path('/proc/self/status').read_text().split('Uid:')[1].split()[1] == '0'


# ---- Events and their ways ------------------------------------------------------------------------------------------

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
WAIT_ALL = 0x40000000


def ptrace(request, thread):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    return libc.ptrace(request, thread, None, None) == 0


def thread_stop(daemon, name):
    """Has the daemon's thread of that name stand still, needs root; returns its number. All from one thread of ours."""
    for entry in pathlib.Path(f'/proc/{daemon.process.pid}/task').iterdir():
        if (entry / 'comm').read_text().strip() == name:
            thread = int(entry.name)
    assert ptrace(PTRACE_SEIZE, thread), os.strerror(ctypes.get_errno())
    assert ptrace(PTRACE_INTERRUPT, thread)
    os.waitpid(thread, WAIT_ALL)
    return thread


def thread_go(thread):
    """False when it has gone."""
    return ptrace(PTRACE_DETACH, thread)


def thread_reap(thread):
    """One that stood still when its process executed a program: the kernel waits until we have seen its end."""
    while os.WIFSTOPPED(os.waitpid(thread, WAIT_ALL)[1]):
        pass


def retry(attempts=5, base='50ms', longest='100ms'):
    """A target's setting."""
    return f', retry: {{ attempts: {attempts}, base: {base}, max: {longest} }}'


def target_line(name, url, more=''):
    """A configuration line for one more target."""
    return f"  - {{ name: {name}, url: '{url}'{more} }}\n"


def endpoint_line(name, targets, scheme='github', more=''):
    """A configuration line for one more endpoint, with the secret of the lab's one of that scheme."""
    secret = 'standard' if scheme == 'standard-webhooks' else scheme
    return (f'  - {{ name: {name}, path: /{name}, scheme: {scheme}, secret_file: secrets/{secret}, '
            f'targets: [{", ".join(targets)}]{more} }}\n')


def send(daemon, body, path='/github', connection=None, **headers):
    """One new event by GitHub; its id."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, answer, _ = daemon.post(path, {**lab.github(body), **headers}, body, connection, tls=False)
    assert (status, answer['status']) == (200, 'accepted'), answer
    return answer['id']


def flood(daemon, path, count, scheme='github', connections=32):
    """Many events at once from penstock-bench; its ledger."""
    secret = daemon.folder / 'secrets' / ('standard' if scheme == 'standard-webhooks' else scheme)
    subprocess.run([lab.BUILD / 'penstock-bench', 'send', '--target', f'https://localhost:{daemon.port}',
                    '--ca', lab.certificates() / 'ca.pem', '--endpoint', f'{path}:{scheme}:{secret}',
                    '--count', str(count), '--connections', str(connections),
                    '--quiet', '--json', daemon.folder / 'ledger.json'], check=True, timeout=120)
    found = lab.ledger(daemon)
    assert found['acked'] == count, found
    return found


def load(daemon, sink, *arguments, **more):
    """Starts `penstock-bench run` with its sink, over TLS and checking signatures, at that port."""
    certificates = lab.certificates()
    return lab.bench(daemon, 'run', '--listen', f'127.0.0.1:{sink}', '--sink-certificate', certificates / 'server.pem',
                     '--sink-key', certificates / 'server.key', '--sink-secret', daemon.folder / 'secrets/app',
                     *arguments, **more)


def headers_of(head):
    """The header fields of a Script's request, names in lower case."""
    lines = head.decode().split('\r\n')[1:]
    return {name.lower(): value for name, value in (line.split(': ', 1) for line in lines)}
