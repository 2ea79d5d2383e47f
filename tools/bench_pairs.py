#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Tell whether a change made an event cheaper, or an answer earlier: builds of Penstock (and nginx) in turn, in pairs.

One start of a server differs from the next by 0.3 us an event, whatever the code. So each round runs every build once,
in an order that turns, and what counts is the mean of the rounds' differences to the first build with its standard
error: fourteen rounds of two seconds show 0.1 to 0.2 us, three do not.

With --rate, an open loop, what counts is when answers come: percentiles, and the 99th over what two flushes of the
disk take, measured before each round. `flusher` stands for penstock-bench's kept sink, as in bench_compare.py.

The generator is the first build's for all, so that only the daemon differs. Writes nothing but its table.

  cp -a build/release build/before; ... change, make all ...
  tools/bench_pairs.py build/before build/release
  tools/bench_pairs.py --rounds 8 nginx build/release          # the ratio to nginx
  tools/bench_pairs.py --rate 20000 nginx flusher build/before build/release
"""
import argparse
import math
import pathlib
import statistics
import sys

import bench_common as common
import bench_disk

# What stands beside the builds, by name.
PEERS = ('nginx', 'flusher')
FLUSH_SECONDS = 0.5


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('builds', nargs='+', metavar='BUILD', help='a folder with penstockd in it, nginx or flusher')
    parser.add_argument('--rounds', type=int, default=14, help='(default 14)')
    parser.add_argument('--seconds', type=float, default=2, help='each measurement (default 2)')
    parser.add_argument('--warmup', type=float, default=1, help='before each of them (default 1)')
    parser.add_argument('--connections', type=int, help='(default 64, with --rate 256)')
    parser.add_argument('--rate', type=float, help='events a second, whatever the answers do')
    parser.add_argument('--end-to-end', action='store_true', help='with a TLS target (builds only)')
    options = parser.parse_args()
    if options.end_to_end and set(PEERS) & set(options.builds):
        parser.error('nginx and flusher deliver nothing: leave them out or --end-to-end')
    if len(set(options.builds)) < len(options.builds):
        parser.error('each build once; to compare one with itself, copy it')
    for build in options.builds:
        if build not in PEERS and not (pathlib.Path(build) / 'penstockd').exists():
            parser.error(f'{build}: no penstockd in it (make all builds build/release)')
    if options.rate is not None and options.rate <= 0:
        parser.error('--rate: events a second, more than 0')
    options.connections = options.connections or (256 if options.rate else 64)
    return options


def start(lab, build, path):
    if build in PEERS:
        return getattr(lab, build)()
    return lab.penstock(path, build=pathlib.Path(build))


def measure(lab, build, options):
    mode, path, more = ('run', '/end', []) if options.end_to_end else ('send', '/ack', ['--no-retry'])
    if options.rate:
        more += ['--rate', options.rate]
    with start(lab, build, path) as server:
        return lab.generator(mode, server, '--connections', options.connections, '--warmup', options.warmup,
                             '--duration', options.seconds, *more)


def standard_error(values):
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def print_cost(builds, found):
    first = builds[0]
    print(f'{"build":24} {"events/s":>9} {"CPU us":>7} {"p50 ms":>7} {"p99 ms":>7}   {"difference":>16}   ratio')
    for build in builds:
        rows = found[build]
        cost = [r['cpu_us_per_event'] for r in rows]
        line = (f'{build:24} {statistics.median(r["events_per_s"] for r in rows):9.0f} {statistics.median(cost):7.2f} '
                f'{statistics.median(r["ack"]["p50_ms"] for r in rows):7.2f} '
                f'{statistics.median(r["ack"]["p99_ms"] for r in rows):7.2f}')
        if build != first:
            pairs = list(zip(cost, (r['cpu_us_per_event'] for r in found[first])))
            differences = [ours - theirs for ours, theirs in pairs]
            ratios = [ours / theirs for ours, theirs in pairs]
            line += (f'   {statistics.mean(differences):+6.2f} +- {standard_error(differences):.2f} us'
                     f'   {statistics.mean(ratios):.3f} +- {standard_error(ratios):.3f}')
        print(line)


def print_latency(builds, found, flushes_ms):
    """When answers came, and the 99th percentile over two flushes of the same round."""
    print(f'{"build":24} {"events/s":>9} {"CPU us":>7} {"p50 ms":>7} {"p90 ms":>7} {"p99 ms":>7}   p99 / two flushes')
    for build in builds:
        middle = {key: statistics.median(r['ack'][key] for r in found[build]) for key in ('p50_ms', 'p90_ms', 'p99_ms')}
        ratios = [r['ack']['p99_ms'] / flush for r, flush in zip(found[build], flushes_ms)]
        print(f'{build:24} {statistics.median(r["events_per_s"] for r in found[build]):9.0f} '
              f'{statistics.median(r["cpu_us_per_event"] for r in found[build]):7.2f} '
              f'{middle["p50_ms"]:7.2f} {middle["p90_ms"]:7.2f} {middle["p99_ms"]:7.2f}   '
              f'{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})')
    print(f'two flushes of the disk  {statistics.median(flushes_ms):.3f} ms '
          f'({min(flushes_ms):.3f}–{max(flushes_ms):.3f})')


def print_warnings(found):
    for build, rows in found.items():
        bound = sum(r['generator_bound'] for r in rows)
        if bound > 0:
            print(f'warning: {build}: in {bound} of {len(rows)} rounds the generator had no CPU left; '
                  'throughput and latency are its own')


def main():
    options = arguments()
    builds = options.builds
    lab = common.Lab(common.ROOT / 'build' / 'bench' / 'lab-pairs', 'bench-pairs')
    generators = [pathlib.Path(b) for b in builds if b not in PEERS]
    common.BIN = (generators or [common.BIN])[0].resolve()
    found, flushes_ms = {build: [] for build in builds}, []
    for number in range(options.rounds):
        if options.rate:
            flushes_ms.append(statistics.median(bench_disk.two_flushes_ms(lab.dir, FLUSH_SECONDS)))
        turn = number % len(builds)
        for build in builds[turn:] + builds[:turn]:
            result = measure(lab, build, options)
            found[build].append(result)
            if sys.stderr.isatty():
                print(f'\rround {number + 1} of {options.rounds}: {build} {result["cpu_us_per_event"]:.2f} us, p99 '
                      f'{result["ack"]["p99_ms"]:.2f} ms', end='\033[K', file=sys.stderr)
    if sys.stderr.isatty():
        print('\r\033[K', end='', file=sys.stderr)
    if options.rate:
        print_latency(builds, found, flushes_ms)
    else:
        print_cost(builds, found)
    print_warnings(found)


if __name__ == '__main__':
    main()
