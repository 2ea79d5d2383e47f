#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure Penstock beside nginx: same load, same CPU, in turn, several rounds; medians of what was found.

One worker (and its store writer) pinned to CPU 0, the generator to CPU 1. 1 KiB bodies over TLS 1.3 on keep-alive
connections. Penstock verifies an HMAC, checks for replay and answers after the commit (fdatasync); nginx answers
`return 200`. CPU time is the kernel's own accounting over all threads of the server.

Absolute figures do not hold on shared machines; ratios of one run do. Writes build/bench/summary.json.
Not a load test of a remote host: everything runs on loopback, in bounded time.
"""
import argparse
import json
import os
import pathlib
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = ROOT / os.environ.get('PENSTOCK_BUILD', 'build/release')
DIR = ROOT / 'build' / 'bench'
SERVER_CPU, GENERATOR_CPU = 0, 1
PENSTOCK_PORT, NGINX_PORT, SINK_PORT, METRICS_PORT = 18543, 18545, 18544, 18564

CONFIG = '''listeners:
  - address: 127.0.0.1:{port}
    tls: {{ certificate: certificates/server.pem, key: certificates/server.key }}
endpoints:
  - {{ name: ack, path: /ack, scheme: github, secret_file: secrets/github, targets: [] }}
  - {{ name: end, path: /end, scheme: github, secret_file: secrets/github, target: sink }}
targets:
  - {{ name: sink, url: 'https://localhost:{sink}/hooks', secret_file: secrets/app, ca_file: certificates/ca.pem }}
store: {{ path: {store} }}
workers: {{ cpus: [{cpu}] }}
control: {{ socket: control.sock }}
metrics: {{ address: 127.0.0.1:{metrics} }}
'''

NGINX = '''daemon off;
worker_processes 1;
worker_cpu_affinity 01;
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
    location / {{ return 200 'ok'; }}
  }}
}}
'''


def say(text):
    print(f'bench: {text}', flush=True)


def secrets():
    folder = DIR / 'secrets'
    folder.mkdir(mode=0o700)
    for name, text in (('github', os.urandom(20).hex()), ('app', None)):
        path = folder / name
        if text is None:
            import base64
            text = 'whsec_' + base64.b64encode(os.urandom(32)).decode()
        path.touch(mode=0o600)
        path.write_text(text + '\n')


def prepare():
    shutil.rmtree(DIR, ignore_errors=True)
    DIR.mkdir(parents=True)
    subprocess.run([ROOT / 'tests/lib/certificates.sh', DIR / 'certificates'], check=True)
    secrets()
    (DIR / 'nginx.conf').write_text(NGINX.format(dir=DIR, port=NGINX_PORT))


def penstock_start():
    shutil.rmtree(DIR / 'store', ignore_errors=True)
    (DIR / 'penstock.yaml').write_text(CONFIG.format(
        port=PENSTOCK_PORT, sink=SINK_PORT, store=DIR / 'store', cpu=SERVER_CPU, metrics=METRICS_PORT))
    process = subprocess.Popen([BIN / 'penstockd', '-f', DIR / 'penstock.yaml'],
                               stderr=open(DIR / 'penstockd.log', 'a'))
    ctl = [BIN / 'penstockctl', '--socket', DIR / 'control.sock', 'status']
    for _ in range(200):
        if subprocess.run(ctl, capture_output=True).returncode == 0:
            return process, process.pid
        if process.poll() is not None:
            break
        time.sleep(0.05)
    sys.exit(f'bench: penstockd does not start, see {DIR}/penstockd.log')


def nginx_start():
    process = subprocess.Popen(['nginx', '-c', DIR / 'nginx.conf', '-p', DIR], stderr=subprocess.DEVNULL)
    for _ in range(100):
        out = subprocess.run(['pgrep', '-P', str(process.pid)], capture_output=True, text=True).stdout.split()
        if out:
            time.sleep(0.2)
            return process, int(out[0])
        time.sleep(0.05)
    sys.exit(f'bench: nginx does not start, see {DIR}/nginx.log')


def stop(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def generator(mode, port, pid, path, extra):
    out = DIR / 'out.json'
    command = [BIN / 'penstock-bench', mode, '--target', f'https://localhost:{port}',
               '--ca', DIR / 'certificates/ca.pem', '--endpoint', f'{path}:github:{DIR}/secrets/github',
               '--pid', str(pid), '--cpu', str(GENERATOR_CPU), '--json', out, '--quiet', *map(str, extra)]
    code = subprocess.run(command).returncode
    if code != 0:
        sys.exit(f'bench: penstock-bench ended with exit code {code}')
    return json.loads(out.read_text())


def row(server, load, found):
    return {
        'server': server, 'load': load, 'connections': found['connections'],
        'events_per_s': found['events_per_s'], 'cpu_us_per_event': found['cpu_us_per_event'],
        'p50_ms': found['ack']['p50_ms'], 'p99_ms': found['ack']['p99_ms'], 'p999_ms': found['ack']['p999_ms'],
        'memory_bytes': found['daemon_anonymous_bytes'], 'generator_cpu_share': found['bench_cpu_share'],
    }


def measure_ack(server, connections, seconds):
    start, port, path = {'penstock': (penstock_start, PENSTOCK_PORT, '/ack'),
                         'nginx': (nginx_start, NGINX_PORT, '/')}[server]
    process, pid = start()
    found = generator('send', port, pid, path, [
        '--connections', connections, '--warmup', 2, '--duration', seconds, '--no-retry'])
    stop(process)
    return row(server, f'ack-{connections}', found)


def measure_end_to_end(connections, seconds):
    process, pid = penstock_start()
    found = generator('run', PENSTOCK_PORT, pid, '/end', [
        '--connections', connections, '--warmup', 2, '--duration', seconds, '--listen', f'127.0.0.1:{SINK_PORT}',
        '--sink-certificate', DIR / 'certificates/server.pem', '--sink-key', DIR / 'certificates/server.key'])
    stop(process)
    result = row('penstock', f'end-to-end-{connections}', found)
    result['end_to_end_p50_ms'] = found['end_to_end']['p50_ms']
    result['end_to_end_p99_ms'] = found['end_to_end']['p99_ms']
    return result


def measure_idle(connections):
    process, pid = penstock_start()
    out = subprocess.run([BIN / 'penstock-bench', 'hold', '--target', f'https://localhost:{PENSTOCK_PORT}',
                          '--ca', DIR / 'certificates/ca.pem', '--pid', str(pid), '--connections', str(connections),
                          '--cpu', str(GENERATOR_CPU)], capture_output=True, text=True, check=True).stdout
    stop(process)
    return json.loads(out)


def median(rows, server, load, key):
    return statistics.median(r[key] for r in rows if r['server'] == server and r['load'] == load)


def summarise(rows, loads):
    summary = {}
    for connections in loads:
        load = f'ack-{connections}'
        ours = [r['cpu_us_per_event'] for r in rows if r['server'] == 'penstock' and r['load'] == load]
        theirs = [r['cpu_us_per_event'] for r in rows if r['server'] == 'nginx' and r['load'] == load]
        summary[str(connections)] = {
            'events_per_s': median(rows, 'penstock', load, 'events_per_s'),
            'cpu_us_per_event': median(rows, 'penstock', load, 'cpu_us_per_event'),
            'ack_p50_ms': median(rows, 'penstock', load, 'p50_ms'),
            'ack_p99_ms': median(rows, 'penstock', load, 'p99_ms'),
            'ack_p999_ms': median(rows, 'penstock', load, 'p999_ms'),
            'nginx_requests_per_s': median(rows, 'nginx', load, 'events_per_s'),
            'nginx_cpu_us_per_request': median(rows, 'nginx', load, 'cpu_us_per_event'),
            # Of each round, then the median: the machine's mood is the same in one round.
            'ratio': statistics.median(a / b for a, b in zip(ours, theirs)),
        }
    return summary


def print_table(rows):
    print(f'{"server":10} {"load":16} {"events/s":>10} {"CPU us":>8} {"p50 ms":>8} {"p99 ms":>8} {"p99.9":>8} '
          f'{"generator":>10}')
    for r in rows:
        print(f'{r["server"]:10} {r["load"]:16} {r["events_per_s"]:10.0f} {r["cpu_us_per_event"]:8.2f} '
              f'{r["p50_ms"]:8.2f} {r["p99_ms"]:8.2f} {r["p999_ms"]:8.2f} {100 * r["generator_cpu_share"]:9.0f}%')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--seconds', type=float, default=6)
    parser.add_argument('--connections', type=int, nargs='+', default=[64, 256])
    parser.add_argument('--only', choices=['ack', 'all'], default='all')
    options = parser.parse_args()
    if os.cpu_count() < 2:
        sys.exit('bench: two CPUs are needed, one for the server and one for the generator')
    prepare()
    rows = []
    for number in range(options.rounds):
        for connections in options.connections:
            for server in ('penstock', 'nginx'):
                say(f'round {number + 1} of {options.rounds}: {server}, {connections} connections')
                rows.append(measure_ack(server, connections, options.seconds))
    summary = {'schema': 'penstock.bench-summary/v1', 'kernel': platform.release(), 'rounds': options.rounds,
               'seconds': options.seconds, 'loads': summarise(rows, options.connections)}
    if options.only == 'all':
        say('end to end with a TLS target')
        rows.append(measure_end_to_end(64, options.seconds))
        summary['end_to_end'] = rows[-1]
        say('memory of idle TLS connections')
        summary['idle'] = measure_idle(2000)
    # The headline, for 64 connections (or the first load that was measured).
    summary.update(summary['loads'][str(options.connections[0])])
    summary['results'] = rows
    (DIR / 'summary.json').write_text(json.dumps(summary, indent=1) + '\n')
    print_table(rows)
    for connections, load in summary['loads'].items():
        print(f'{connections} connections: {load["cpu_us_per_event"]:.2f} us CPU per verified, durable event; nginx '
              f'return 200: {load["nginx_cpu_us_per_request"]:.2f} us; ratio {load["ratio"]:.2f}')
    if 'idle' in summary:
        print(f'idle TLS connection: {summary["idle"]["bytes_per_connection"] / 1024:.1f} KiB')
    print(f'written: {(DIR / "summary.json").relative_to(ROOT)}')


if __name__ == '__main__':
    main()
