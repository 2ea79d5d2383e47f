# SPDX-License-Identifier: GPL-2.0-or-later
"""bench_common — what the measuring scripts share: a laboratory with certificates and secrets, servers that start on
one CPU and stop again, the generator on the other, and rows of what was found.

Everything runs on loopback with free ports, in a folder that is made anew. Not for the tests: those have tests/lab.py.
"""
import base64
import contextlib
import json
import os
import pathlib
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = ROOT / os.environ.get('PENSTOCK_BUILD', 'build/release')
SERVER_CPU, GENERATOR_CPU = 0, 1
# The generator was the bottleneck when it used this much of its CPU.
GENERATOR_SHARE_MAX = 0.95

PENSTOCK = '''listeners:
  - address: 127.0.0.1:{port}
    tls: {{ certificate: certificates/server.pem, key: certificates/server.key{mtls} }}
endpoints:
  - {{ name: ack, path: /ack, scheme: github, secret_file: secrets/github, targets: [] }}
  - {{ name: end, path: /end, scheme: github, secret_file: secrets/github, target: sink }}
targets:
  - {{ name: sink, url: 'https://localhost:{sink}/hooks', secret_file: secrets/app, ca_file: certificates/ca.pem }}
store: {{ path: store }}
workers: {{ cpus: [{cpu}] }}
control: {{ socket: control.sock }}
'''

# The peers are held to the cipher that Penstock and the generator agree on.
NGINX = '''daemon off;
worker_processes 1;
error_log {dir}/nginx.log error;
pid {dir}/nginx.pid;
events {{ worker_connections 4096; use epoll; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  keepalive_timeout 300s;
  client_body_temp_path {dir}/nginx-body;
  server {{
    listen 127.0.0.1:{port} ssl backlog=4096;
    ssl_certificate {dir}/certificates/server.pem;
    ssl_certificate_key {dir}/certificates/server.key;
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
    {mtls}
    location / {{ return 200 'ok'; }}
  }}
}}
'''

# hmac: checks the body's HMAC as GitHub signs it, stores nothing. proxy: passes on, on connections that are kept.
HAPROXY = '''global
  nbthread 1
  maxconn 4096
  log stderr local0 emerg
  ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
  ssl-default-server-ciphersuites TLS_AES_128_GCM_SHA256
defaults
  mode http
  timeout client 300s
  timeout server 300s
  timeout connect 5s
  timeout http-request 30s
  option http-keep-alive
frontend hmac
  bind 127.0.0.1:{port} ssl crt {dir}/haproxy.pem ssl-min-ver TLSv1.3 alpn http/1.1 backlog 4096
  http-request wait-for-body time 10s
  http-request set-var(txn.expected) req.body,hmac(sha256,{key}),hex,lower
  http-request set-var(txn.given) req.hdr(x-hub-signature-256),field(2,=)
  http-request deny deny_status 401 unless {{ var(txn.expected),secure_memcmp(txn.given) }}
  http-request return status 200 content-type text/plain string ok
frontend proxy
  bind 127.0.0.1:{proxy_port} ssl crt {dir}/haproxy.pem ssl-min-ver TLSv1.3 alpn http/1.1 backlog 4096
  default_backend sink
backend sink
  http-reuse always
  server sink 127.0.0.1:{sink} ssl verify required ca-file {dir}/certificates/ca.pem verifyhost localhost sni str(localhost) ssl-min-ver TLSv1.3 alpn http/1.1
'''


class Server:
    """A server that runs: `process` is to be stopped, `pid` is to be measured."""

    def __init__(self, name, process, pid, port, path):
        self.name, self.process, self.pid, self.port, self.path = name, process, pid, port, path

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


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


class Lab:
    """A folder with all that servers and generator need."""

    def __init__(self, folder, name='bench'):
        if os.cpu_count() < 2:
            sys.exit(f'{name}: two CPUs are needed, one for the server and one for the generator')
        self.name, self.dir = name, pathlib.Path(folder).resolve()
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir(parents=True)
        self.certificates = self.dir / 'certificates'
        subprocess.run([ROOT / 'tests/lib/certificates.sh', self.certificates], check=True)
        self.sink_port = free_port()
        self.github_secret = os.urandom(20).hex()
        (self.dir / 'secrets').mkdir(mode=0o700)
        self.secret('github', self.github_secret)
        self.secret('app', 'whsec_' + base64.b64encode(os.urandom(32)).decode())
        pem = self.dir / 'haproxy.pem'
        pem.touch(mode=0o600)
        pem.write_text((self.certificates / 'server.pem').read_text() + (self.certificates / 'server.key').read_text())

    def secret(self, name, text):
        path = self.dir / 'secrets' / name
        path.touch(mode=0o600)
        path.write_text(text + '\n')

    def say(self, text):
        print(f'{self.name}: {text}', flush=True)

    def spawn(self, name, *command):
        """All of a server's threads share one CPU, whatever it thinks of pinning."""
        with open(self.dir / f'{name}.log', 'ab') as log:
            return subprocess.Popen(['taskset', '-c', str(SERVER_CPU), *map(str, command)], stderr=log, stdout=log)

    def wait_ready(self, name, process, ready):
        for _ in range(400):
            if process.poll() is not None:
                break
            found = ready()
            if found:
                return found
            time.sleep(0.05)
        process.kill()
        sys.exit(f'{self.name}: {name} does not start, see {self.dir}/{name}.log')

    def penstock(self, path='/ack', mtls=False, build=None):
        build = (build or BIN).resolve()
        port = free_port()
        shutil.rmtree(self.dir / 'store', ignore_errors=True)
        (self.dir / 'penstock.yaml').write_text(PENSTOCK.format(
            port=port, sink=self.sink_port, cpu=SERVER_CPU,
            mtls=', client_certificate: required, client_ca: certificates/ca.pem' if mtls else ''))
        process = self.spawn('penstockd', build / 'penstockd', '-f', self.dir / 'penstock.yaml')
        status = [build / 'penstockctl', '--socket', self.dir / 'control.sock', 'status']
        self.wait_ready('penstockd', process,
                        lambda: subprocess.run(status, capture_output=True, check=False).returncode == 0)
        return Server('penstock', process, process.pid, port, path)

    def nginx(self, mtls=False):
        port = free_port()
        (self.dir / 'nginx.conf').write_text(NGINX.format(
            dir=self.dir, port=port,
            mtls=f'ssl_verify_client on; ssl_client_certificate {self.certificates}/ca.pem;' if mtls else ''))
        process = self.spawn('nginx', 'nginx', '-c', self.dir / 'nginx.conf', '-p', self.dir)
        children = pathlib.Path(f'/proc/{process.pid}/task/{process.pid}/children')

        def worker():
            if not listens(port):
                return 0
            found = children.read_text().split()
            return int(found[0]) if found else 0
        return Server('nginx', process, self.wait_ready('nginx', process, worker), port, '/')

    def haproxy(self, kind):
        ports = {'hmac': free_port(), 'proxy': free_port()}
        (self.dir / 'haproxy.cfg').write_text(HAPROXY.format(
            dir=self.dir, port=ports['hmac'], proxy_port=ports['proxy'], sink=self.sink_port,
            key=base64.b64encode(self.github_secret.encode()).decode()))
        process = self.spawn('haproxy', 'haproxy', '-db', '-f', self.dir / 'haproxy.cfg')
        self.wait_ready('haproxy', process, lambda: listens(ports[kind]))
        return Server(f'haproxy-{kind}', process, process.pid, ports[kind], '/')

    def flusher(self):
        """Answers what it has received over TLS when that is written and flushed, and does nothing else with it."""
        port, ready = free_port(), self.dir / 'flusher.ready'
        ready.unlink(missing_ok=True)
        process = self.spawn('flusher', BIN / 'penstock-bench', 'sink', '--listen', f'127.0.0.1:{port}',
                             '--sink-certificate', self.certificates / 'server.pem', '--sink-key',
                             self.certificates / 'server.key', '--keep', self.dir, '--ready-file', ready, '--quiet')
        self.wait_ready('flusher', process, ready.exists)
        return Server('flusher', process, process.pid, port, '/')

    def generator_command(self, mode, server, *arguments):
        command = [BIN / 'penstock-bench', mode, '--target', f'https://localhost:{server.port}', '--ca',
                   self.certificates / 'ca.pem', '--endpoint', f'{server.path}:github:{self.dir}/secrets/github',
                   '--pid', server.pid, '--cpu', GENERATOR_CPU, '--json', self.dir / 'out.json', '--quiet', *arguments]
        if mode == 'run':
            command += ['--listen', f'127.0.0.1:{self.sink_port}', '--sink-certificate',
                        self.certificates / 'server.pem', '--sink-key', self.certificates / 'server.key']
        return list(map(str, command))

    def generator(self, mode, server, *arguments):
        code = subprocess.run(self.generator_command(mode, server, *arguments), check=False).returncode
        if code != 0:
            server.stop()
            sys.exit(f'{self.name}: penstock-bench ended with exit code {code} against {server.name}')
        return json.loads((self.dir / 'out.json').read_text())


def cpu_model():
    for line in pathlib.Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines():
        if line.startswith('model name'):
            return line.split(':', 1)[1].strip()
    return platform.machine()


def listens(port):
    with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', port), 1):
        return True
    return False


def row(server, load, found):
    """What one run found, the same columns for every server."""
    result = {
        'server': server, 'load': load, 'connections': found['connections'],
        'events_per_s': found['events_per_s'], 'cpu_us_per_event': found['cpu_us_per_event'],
        'p50_ms': found['ack']['p50_ms'], 'p99_ms': found['ack']['p99_ms'], 'p999_ms': found['ack']['p999_ms'],
        'memory_bytes': found['daemon_anonymous_bytes'], 'generator_cpu_share': found['bench_cpu_share'],
        'cipher': found['tls']['cipher'],
    }
    if found['end_to_end']['count'] > 0:
        result['end_to_end_p50_ms'] = found['end_to_end']['p50_ms']
        result['end_to_end_p99_ms'] = found['end_to_end']['p99_ms']
    return result


def of(rows, server, load, key):
    return [r[key] for r in rows if r['server'] == server and r['load'] == load]


def median(rows, server, load, key):
    return statistics.median(of(rows, server, load, key))


def warnings(rows):
    """What makes a row doubtful, in sentences."""
    return [f'{r["server"]} {r["load"]}: the generator used {100 * r["generator_cpu_share"]:.0f} % of its CPU and was '
            'the bottleneck; throughput and latency are its own' for r in rows
            if r['generator_cpu_share'] >= GENERATOR_SHARE_MAX]
