#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Compare Penstock with nginx and HAProxy: the same loads, in turn, on the same CPU, rounds interleaved.

The servers, all threads on CPU 0, TLS 1.3 with the same P-256 certificate:

  penstock        verifies an HMAC, checks for replay, answers after the commit (two device flushes); for the loads
                  end-to-end also delivers to a TLS target and settles
  nginx           `return 200`
  haproxy-hmac    checks an HMAC-SHA256 of the body, returns 200, stores nothing
  haproxy-proxy   passes on to a TLS 1.3 target over connections that are kept
  flusher         (half-rate only) our own engine: receives over TLS, writes what came to a file with one write and one
                  flush while the next is gathered, answers; verifies, looks up and keeps nothing else. What is left of
                  a durable server when all that can be given up is

The loads, from penstock-bench on CPU 1, bodies of 1 KiB:

  ack-N           N connections that are kept, each waiting for its answer before it sends again
  end-to-end-N    the same, and the event arrives at a TLS target (played by the generator)
  handshakes      connect, full handshake (nothing is resumed), one request, close; 64 at a time
  mtls-handshakes the same with client certificates
  half-rate       events at half of Penstock's highest rate of this round, open loop, whatever the answers do; to nginx,
                  which writes nothing, and to the flusher at the same rate

Every figure is CPU time by the kernel's own accounting over all threads of the server (of nginx: of its worker).
Absolute figures do not hold on shared machines; ratios of one round do, so each ratio is taken within a round, and the
median over the rounds is shown with its range. Writes build/bench/compare.json. Everything runs on loopback.
"""
import argparse
import json
import pathlib
import platform
import re
import statistics
import subprocess

import bench_common as common
import bench_disk

OUT = common.ROOT / 'build' / 'bench'
HANDSHAKE_CONNECTIONS = 64


class Comparison:
    def __init__(self, lab, options):
        self.lab, self.options = lab, options
        self.rows, self.flushes = [], []
        self.round = 0

    # ---- One measurement each ----

    def measure(self, server, load, mode, *arguments):
        self.lab.say(f'round {self.round} of {self.options.rounds}: {server.name}, {load}')
        with server:
            found = self.lab.generator(mode, server, '--warmup', self.options.warmup, '--duration',
                                       self.options.seconds, *arguments)
        result = {'round': self.round, **common.row(server.name, load, found)}
        self.rows.append(result)
        return result

    def ack(self, start, connections):
        return self.measure(start(), f'ack-{connections}', 'send', '--connections', connections, '--no-retry')

    def end_to_end(self, start, connections):
        return self.measure(start(), f'end-to-end-{connections}', 'run', '--connections', connections)

    def handshakes(self, start, mtls):
        mine = ['--certificate', self.lab.certificates / 'client.pem', '--key', self.lab.certificates / 'client.key']
        return self.measure(start(mtls=mtls), 'mtls-handshakes' if mtls else 'handshakes', 'send', '--handshakes',
                            '--connections', HANDSHAKE_CONNECTIONS, '--no-retry', *(mine if mtls else []))

    def half_rate(self):
        highest = max(r['events_per_s'] for r in self.rows
                      if r['round'] == self.round and r['server'] == 'penstock' and r['load'].startswith('ack-'))
        rate = round(highest / 2, 1)
        # nginx answers the same load and writes nothing: its latency is the generator's and the machine's.
        starts = (self.lab.penstock, self.lab.nginx, self.lab.flusher)
        for start in starts if self.round % 2 else reversed(starts):
            result = self.measure(start(), 'half-rate', 'send', '--connections', max(self.options.connections),
                                  '--no-retry', '--rate', rate)
            result['rate'] = rate

    def flush(self):
        self.flushes.append({'round': self.round, **bench_disk.measure(self.lab.dir, self.options.flush_seconds)})

    # ---- Rounds ----

    def run_round(self):
        """Every other round in the opposite order, so that what drifts does not favour anybody."""
        lab, steps = self.lab, []
        acks = (lab.penstock, lab.nginx, lambda: lab.haproxy('hmac'))
        for connections in self.options.connections:
            steps += [(self.ack, start, connections) for start in acks]
        steps += [(self.end_to_end, start, self.options.connections[0])
                  for start in (lambda: lab.penstock('/end'), lambda: lab.haproxy('proxy'))]
        for mtls in (False, True):
            steps += [(self.handshakes, start, mtls) for start in
                      (lambda mtls: lab.penstock(mtls=mtls), lambda mtls: lab.nginx(mtls=mtls))]
        self.round += 1
        self.flush()
        for step, *arguments in steps if self.round % 2 else reversed(steps):
            step(*arguments)
        self.half_rate()

    def prove_peer(self):
        """HAProxy really checks: nothing forged gets in, nothing honest is refused."""
        with self.lab.haproxy('hmac') as server:
            found = self.lab.generator('send', server, '--count', 500, '--forged', 300, '--connections', 8)
        if found['acked'] != 500 or found['forged_sent'] == 0:
            raise SystemExit(f'bench-compare: haproxy refuses what is signed: {found}')

    # ---- What comes of it ----

    def per_round(self, server, load, key='cpu_us_per_event'):
        return common.of(sorted(self.rows, key=lambda r: r['round']), server, load, key)

    def cost_against(self, load, peer):
        return [ours / theirs for ours, theirs in zip(self.per_round('penstock', load), self.per_round(peer, load))
                if theirs > 0]

    def p99_against_flushes(self, server):
        return [p99 / flush['median_ms'] for p99, flush in zip(self.per_round(server, 'half-rate', 'p99_ms'), self.flushes)]

    def controls(self):
        """What of ack_p99_vs_two_fdatasync is not the server's: the same for a server that writes nothing, for one that
        does nothing but write and flush, for commits with no server at all, and for the flushes with nothing else under
        way."""
        return {'nginx_p99_vs_two_fdatasync': self.p99_against_flushes('nginx'),
                'flusher_p99_vs_two_fdatasync': self.p99_against_flushes('flusher'),
                'commits_alone_p99_vs_two_fdatasync': [flush['commits_alone_p99_ms'] / flush['median_ms']
                                                       for flush in self.flushes],
                'two_fdatasync_p99_vs_median': [flush['p99_ms'] / flush['median_ms'] for flush in self.flushes]}

    def ratios(self):
        first, *others = self.options.connections
        found = {f'verified_durable_vs_nginx_{n}': self.cost_against(f'ack-{n}', 'nginx') for n in (first, *others)}
        found[f'verified_durable_vs_haproxy_hmac_{first}'] = self.cost_against(f'ack-{first}', 'haproxy-hmac')
        found[f'end_to_end_vs_haproxy_proxy_{first}'] = self.cost_against(f'end-to-end-{first}', 'haproxy-proxy')
        found['ack_p99_vs_two_fdatasync'] = self.p99_against_flushes('penstock')
        for load in ('handshakes', 'mtls-handshakes'):
            found[f'{load.replace("-", "_")}_vs_nginx'] = self.cost_against(load, 'nginx')
        return found

    def warnings(self):
        found = common.warnings(self.rows)
        for load in dict.fromkeys(r['load'] for r in self.rows):
            ciphers = {r['cipher'] for r in self.rows if r['load'] == load}
            if len(ciphers) > 1:
                found.append(f'{load}: the servers did not agree on one cipher: {", ".join(sorted(ciphers))}')
        return found


def spread(values, digits):
    """Median and range."""
    middle = f'{statistics.median(values):.{digits}f}'
    if len(values) == 1:
        return middle
    return f'{middle} ({min(values):.{digits}f}–{max(values):.{digits}f})'


def print_table(rows):
    columns = (('events/s', 'events_per_s', 0, 1), ('CPU us/event', 'cpu_us_per_event', 2, 1),
               ('p50 ms', 'p50_ms', 2, 1), ('p99 ms', 'p99_ms', 2, 1), ('p99.9 ms', 'p999_ms', 2, 1),
               ('MiB', 'memory_bytes', 1, 1 << 20), ('generator %', 'generator_cpu_share', 0, 0.01))
    lines = [['load', 'server', *(title for title, *_ in columns)]]
    for load, server in dict.fromkeys((r['load'], r['server']) for r in rows):
        lines.append([load, server, *(spread([v / unit for v in common.of(rows, server, load, key)], digits)
                                      for _, key, digits, unit in columns)])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        print('  '.join(cell.ljust(width) if i < 2 else cell.rjust(width)
                        for i, (cell, width) in enumerate(zip(line, widths))).rstrip())


def version(*command):
    """The word with the version in it: "penstockd 1.0 (…", "nginx version: nginx/1.22.1", "HAProxy version 2.6.12 …"."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    first = (done.stdout + done.stderr).strip().split('\n')[0]
    found = re.match(r'(?:nginx version: nginx/|HAProxy version |\w+ )(\S+)', first)
    return found.group(1) if found else first


def options_parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=5, help='(default 5)')
    parser.add_argument('--seconds', type=float, default=6, help='each measurement (default 6)')
    parser.add_argument('--warmup', type=float, default=2, help='before each of them (default 2)')
    parser.add_argument('--flush-seconds', type=float, default=2, help='for the flushes of a round (default 2)')
    parser.add_argument('--connections', type=int, nargs='+', default=[64, 256],
                        help='(default 64 256); the first is also that of end-to-end')
    parser.add_argument('--out', type=pathlib.Path, default=OUT / 'compare.json')
    return parser.parse_args()


def main():
    options = options_parse()
    comparison = Comparison(common.Lab(options.out.parent / 'lab-compare', 'bench-compare'), options)
    comparison.prove_peer()
    for _ in range(options.rounds):
        comparison.run_round()
    ratios = {name: values for name, values in comparison.ratios().items() if values}
    controls = comparison.controls()
    result = {
        'schema': 'penstock.bench-compare/v1', 'kernel': platform.release(), 'cpu': common.cpu_model(),
        'versions': {'penstock': version(common.BIN / 'penstockd', '--version'), 'nginx': version('nginx', '-v'),
                     'haproxy': version('haproxy', '-v')},
        'rounds': options.rounds, 'seconds': options.seconds,
        'ratios': {name: round(statistics.median(values), 3) for name, values in ratios.items()},
        'ratio_ranges': {name: [round(min(values), 3), round(max(values), 3)] for name, values in ratios.items()},
        'controls': {name: round(statistics.median(values), 3) for name, values in controls.items()},
        'two_fdatasync': comparison.flushes, 'warnings': comparison.warnings(), 'results': comparison.rows,
    }
    options.out.write_text(json.dumps(result, indent=1) + '\n')
    print_table(comparison.rows)
    print(f'two flushes of the disk: {spread([f["median_ms"] for f in comparison.flushes], 3)} ms')
    print('ratios, Penstock to the other (CPU per event; ack_p99: time):')
    for name, values in ratios.items():
        print(f'  {name:38} {spread(values, 2)}')
    print('for comparison with ack_p99_vs_two_fdatasync:')
    for name, values in controls.items():
        print(f'  {name:38} {spread(values, 2)}')
    for warning in result['warnings']:
        print(f'warning: {warning}')
    print(f'written: {options.out}')


if __name__ == '__main__':
    main()
