#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Tell whether a change made an event cheaper: builds of Penstock (and nginx) measured in turn, compared in pairs.

One start of a server differs from the next by 0.3 us an event, whatever the code. So each round runs every build once,
in an order that turns, and what counts is the mean of the rounds' differences to the first build with its standard
error: fourteen rounds of two seconds show 0.1 to 0.2 us, three do not.

The generator is the first build's for all, so that only the daemon differs. Writes nothing but its table.

  cp -a build/release build/before; ... change, make all ...
  tools/bench_pairs.py build/before build/release
  tools/bench_pairs.py --rounds 8 nginx build/release          # the ratio to nginx
"""
import argparse
import math
import pathlib
import statistics
import sys

import bench_common as common


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('builds', nargs='+', metavar='BUILD', help='a folder with penstockd in it, or nginx')
    parser.add_argument('--rounds', type=int, default=14)
    parser.add_argument('--seconds', type=float, default=2)
    parser.add_argument('--warmup', type=float, default=1)
    parser.add_argument('--connections', type=int, default=64)
    parser.add_argument('--end-to-end', action='store_true', help='with a TLS target (not with nginx)')
    options = parser.parse_args()
    if options.end_to_end and 'nginx' in options.builds:
        parser.error('nginx delivers nothing: leave it out or --end-to-end')
    if len(set(options.builds)) < len(options.builds):
        parser.error('each build once; to compare one with itself, copy it')
    for build in options.builds:
        if build != 'nginx' and not (pathlib.Path(build) / 'penstockd').exists():
            parser.error(f'{build}: no penstockd in it (make all builds build/release)')
    return options


def measure(lab, build, options):
    if build == 'nginx':
        server = lab.nginx()
    else:
        server = lab.penstock('/end' if options.end_to_end else '/ack', build=pathlib.Path(build))
    with server:
        return lab.generator('run' if options.end_to_end else 'send', server, '--connections', options.connections,
                             '--warmup', options.warmup, '--duration', options.seconds,
                             *([] if options.end_to_end else ['--no-retry']))


def standard_error(values):
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def print_table(builds, found):
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


def main():
    options = arguments()
    builds = options.builds
    lab = common.Lab(common.ROOT / 'build' / 'bench' / 'lab-pairs', 'bench-pairs')
    generators = [pathlib.Path(b) for b in builds if b != 'nginx']
    common.BIN = (generators or [common.BIN])[0].resolve()
    found = {build: [] for build in builds}
    for number in range(options.rounds):
        turn = number % len(builds)
        for build in builds[turn:] + builds[:turn]:
            result = measure(lab, build, options)
            found[build].append(result)
            if sys.stderr.isatty():
                print(f'\rround {number + 1} of {options.rounds}: {build} {result["cpu_us_per_event"]:.2f} us',
                      end='\033[K', file=sys.stderr)
    if sys.stderr.isatty():
        print('\r\033[K', end='', file=sys.stderr)
    print_table(builds, found)


if __name__ == '__main__':
    main()
