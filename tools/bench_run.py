#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure Penstock beside nginx: same load, same CPU, in turn, several rounds; medians of what was found.

All threads of the server on CPU 0, the generator on CPU 1. 1 KiB bodies over TLS 1.3 on keep-alive connections.
Penstock verifies an HMAC, checks for replay and answers after the commit (fdatasync); nginx answers `return 200`. CPU
time is the kernel's own accounting over all threads of the server.

Absolute figures do not hold on shared machines; ratios of one run do. Writes build/bench/summary.json.
Not a load test of a remote host: everything runs on loopback, in bounded time. More peers: bench_compare.py.
"""
import argparse
import json
import pathlib
import platform
import statistics
import subprocess

import bench_common as common
from bench_common import median, row


def measure_ack(lab, name, connections, options):
    with {'penstock': lab.penstock, 'nginx': lab.nginx}[name]() as server:
        found = lab.generator('send', server, '--connections', connections, '--warmup', options.warmup, '--duration',
                              options.seconds, '--no-retry')
    return row(name, f'ack-{connections}', found)


def measure_end_to_end(lab, connections, options):
    with lab.penstock('/end') as server:
        found = lab.generator('run', server, '--connections', connections, '--warmup', options.warmup, '--duration',
                              options.seconds)
    return row('penstock', f'end-to-end-{connections}', found)


def measure_idle(lab, connections):
    with lab.penstock() as server:
        out = subprocess.run(
            [common.BIN / 'penstock-bench', 'hold', '--target', f'https://localhost:{server.port}', '--ca',
             lab.certificates / 'ca.pem', '--pid', str(server.pid), '--connections', str(connections), '--cpu',
             str(common.GENERATOR_CPU)], capture_output=True, text=True, check=True).stdout
    return json.loads(out)


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
    parser.add_argument('--warmup', type=float, default=2)
    parser.add_argument('--out', type=pathlib.Path, default=common.ROOT / 'build' / 'bench' / 'summary.json')
    parser.add_argument('--connections', type=int, nargs='+', default=[64, 256])
    parser.add_argument('--only', choices=['ack', 'all'], default='all')
    options = parser.parse_args()
    lab = common.Lab(options.out.parent / 'lab')
    rows = []
    for number in range(options.rounds):
        for connections in options.connections:
            for server in ('penstock', 'nginx'):
                lab.say(f'round {number + 1} of {options.rounds}: {server}, {connections} connections')
                rows.append(measure_ack(lab, server, connections, options))
    summary = {'schema': 'penstock.bench-summary/v1', 'kernel': platform.release(), 'rounds': options.rounds,
               'seconds': options.seconds, 'loads': summarise(rows, options.connections)}
    if options.only == 'all':
        lab.say('end to end with a TLS target')
        rows.append(measure_end_to_end(lab, 64, options))
        summary['end_to_end'] = rows[-1]
        lab.say('memory of idle TLS connections')
        summary['idle'] = measure_idle(lab, 8000)
    # The headline, for 64 connections (or the first load that was measured).
    summary.update(summary['loads'][str(options.connections[0])])
    summary['results'] = rows
    options.out.write_text(json.dumps(summary, indent=1) + '\n')
    print_table(rows)
    for warning in common.warnings(rows):
        print(f'warning: {warning}')
    for connections, load in summary['loads'].items():
        print(f'{connections} connections: {load["cpu_us_per_event"]:.2f} us CPU per verified, durable event; nginx '
              f'return 200: {load["nginx_cpu_us_per_request"]:.2f} us; ratio {load["ratio"]:.2f}')
    if 'idle' in summary:
        print(f'idle TLS connection: {summary["idle"]["bytes_per_connection"] / 1024:.1f} KiB')
    print(f'written: {options.out}')


if __name__ == '__main__':
    main()
