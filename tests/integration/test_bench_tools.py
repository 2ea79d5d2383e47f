# SPDX-License-Identifier: GPL-2.0-or-later
"""The scripts that measure: `make bench` and `make bench-compare`.

Question answered: do they run against the real peers, and is what they write complete and right? Their figures mean
nothing here: the runs are far too short.
"""
import json
import os
import re
import subprocess
import sys
import types

import pytest

import lab

sys.path.insert(0, str(lab.ROOT / 'tools'))
import bench_common  # noqa: E402
import bench_compare  # noqa: E402
import bench_disk  # noqa: E402
import bench_pairs  # noqa: E402

RATIOS = {'verified_durable_vs_nginx_64', 'verified_durable_vs_nginx_256', 'verified_durable_vs_haproxy_hmac_64',
          'end_to_end_vs_haproxy_proxy_64', 'ack_p99_vs_two_fdatasync', 'handshakes_vs_nginx',
          'mtls_handshakes_vs_nginx'}
CONTROLS = {'commits_alone_p99_vs_two_fdatasync', 'flusher_p99_vs_two_fdatasync', 'nginx_p99_vs_two_fdatasync',
            'two_fdatasync_p99_vs_median'}


def script(name, *arguments):
    done = subprocess.run([sys.executable, lab.ROOT / 'tools' / name, *map(str, arguments)], capture_output=True,
                          text=True, timeout=240, check=False, env={**os.environ, 'PENSTOCK_BUILD': str(lab.BUILD)})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(os.cpu_count() < 2, reason='one CPU for the server, one for the generator')
def test_comparison_with_real_peers(tmp_path):
    """One short round against nginx and HAProxy fills every row and every ratio."""
    out = script('bench_compare.py', '--rounds', 1, '--seconds', 0.8, '--warmup', 0.1, '--flush-seconds', 0.1, '--out',
                 tmp_path / 'compare.json')
    found = json.loads((tmp_path / 'compare.json').read_text())
    assert set(found['ratios']) == RATIOS and all(value > 0 for value in found['ratios'].values()), found['ratios']
    rows = {(row['server'], row['load']): row for row in found['results']}
    acks = {(server, f'ack-{n}') for server in ('penstock', 'nginx', 'haproxy-hmac') for n in (64, 256)}
    handshakes = {(server, load) for server in ('penstock', 'nginx') for load in ('handshakes', 'mtls-handshakes')}
    assert set(rows) == acks | handshakes | {('penstock', 'end-to-end-64'), ('haproxy-proxy', 'end-to-end-64'),
                                             ('penstock', 'half-rate'), ('nginx', 'half-rate'),
                                             ('flusher', 'half-rate')}
    assert set(found['controls']) == CONTROLS and all(value > 0 for value in found['controls'].values()), found['controls']
    for row in rows.values():
        assert row['round'] == 1 and row['cipher'] == 'TLS_AES_128_GCM_SHA256', row
        for key in ('events_per_s', 'cpu_us_per_event', 'p50_ms', 'p99_ms', 'p999_ms', 'memory_bytes'):
            assert row[key] > 0, row
    for name in RATIOS | CONTROLS | {'ack-256', 'haproxy-proxy'}:
        assert name in out
    assert found['versions']['nginx'][0].isdigit() and found['versions']['haproxy'][0].isdigit(), found['versions']


@pytest.mark.skipif(os.cpu_count() < 2, reason='one CPU for the server, one for the generator')
def test_measuring_beside_nginx(tmp_path):
    """`make bench` in short: a summary with its headline."""
    script('bench_run.py', '--rounds', 1, '--seconds', 0.8, '--warmup', 0.1, '--connections', 8, '--only', 'ack', '--out',
           tmp_path / 'summary.json')
    found = json.loads((tmp_path / 'summary.json').read_text())
    assert found['ratio'] > 0 and found['events_per_s'] > 0 and len(found['results']) == 2


@pytest.mark.skipif(os.cpu_count() < 2, reason='one CPU for the server, one for the generator')
def test_builds_are_compared_in_pairs():
    """Builds and nginx in turn; what is no build is refused before anything runs."""
    out = script('bench_pairs.py', '--rounds', 2, '--seconds', 0.4, '--warmup', 0.1, '--connections', 8, 'nginx', lab.BUILD)
    assert re.search(r'^nginx +[\d. ]+$', out, re.M), out
    assert re.search(r' [+-][\d.]+ \+- [\d.]+ us +[\d.]+ \+- [\d.]+$', out, re.M), out
    with pytest.raises(AssertionError, match='no penstockd in it'):
        script('bench_pairs.py', '/nowhere')
    with pytest.raises(AssertionError, match='each build once'):
        script('bench_pairs.py', lab.BUILD, lab.BUILD)
    with pytest.raises(AssertionError, match='deliver nothing'):
        script('bench_pairs.py', '--end-to-end', 'flusher', lab.BUILD)


@pytest.mark.skipif(os.cpu_count() < 2, reason='one CPU for the server, one for the generator')
def test_builds_are_compared_at_a_rate():
    """An open loop beside both peers: what came out is the rate, and the 99th percentile is over the round's flushes."""
    out = script('bench_pairs.py', '--rate', 500, '--rounds', 1, '--seconds', 0.5, '--warmup', 0.1, 'nginx', 'flusher',
                 lab.BUILD)
    rows = {name: list(map(float, rest)) for name, *rest in
            re.findall(r'^(\S+)' + r' +([\d.]+)' * 6 + r' \(', out, re.M)}
    flush = float(re.search(r'^two flushes of the disk +([\d.]+) ms', out, re.M)[1])
    assert set(rows) == {'nginx', 'flusher', str(lab.BUILD)}, out
    for rate, cpu_us, p50, p90, p99, over_flushes in rows.values():
        assert 250 < rate < 1000, out  # late ones of the warm-up are counted, too
        assert 0 < cpu_us and 0 < p50 <= p90 <= p99, out
        # Two decimals of the one, three of the other.
        assert over_flushes == pytest.approx(p99 / flush, rel=0.001 / flush, abs=0.006 / flush + 0.01), out
    with pytest.raises(AssertionError, match='more than 0'):
        script('bench_pairs.py', '--rate', 0, 'nginx')


@pytest.mark.skipif(os.cpu_count() < 2, reason='one CPU for the server, one for the generator')
def test_idle_connections_are_held(tmp_path):
    """`make bench-scale ONLY=idle` in short: several processes hold what is wanted, and events are answered over some."""
    script('bench_scale.py', '--only', 'idle', '--connections', 300, '--share', 100, '--out', tmp_path / 'scale.json')
    found = json.loads((tmp_path / 'scale.json').read_text())['idle']
    assert [row['connections'] for row in found['levels']] == [100, 200, 300], found
    assert all(row['bytes_per_connection'] > 0 for row in found['levels']), found
    assert found['processes'] == 3 and found['sampled'] == found['answered'] == 60, found


def comparison(cost, rounds):
    """One with made-up costs: cost(server, round) for each load."""
    made = bench_compare.Comparison(None, types.SimpleNamespace(connections=[64, 256], rounds=rounds))
    servers = {'ack-64': ('penstock', 'nginx', 'haproxy-hmac'), 'ack-256': ('penstock', 'nginx', 'haproxy-hmac'),
               'end-to-end-64': ('penstock', 'haproxy-proxy'), 'handshakes': ('penstock', 'nginx'),
               'mtls-handshakes': ('penstock', 'nginx'), 'half-rate': ('penstock', 'nginx', 'flusher')}
    for number in range(1, rounds + 1):
        made.flushes.append({'round': number, 'median_ms': 0.5, 'p99_ms': 0.75, 'commits_alone_p99_ms': 1.25})
        for load, names in servers.items():
            # Odd rounds forwards, even ones backwards, as they are run.
            for name in names if number % 2 else reversed(names):
                made.rows.append({'round': number, 'server': name, 'load': load, 'p99_ms': 2.0, 'cipher': 'one',
                                  'cpu_us_per_event': cost(name, number), 'generator_cpu_share': 0.5})
    return made


def test_ratios_are_taken_within_a_round():
    """A machine that is three times as slow in one round changes no ratio."""
    made = comparison(lambda name, number: (18 if name == 'penstock' else 12) * (3 if number == 2 else 1), 3)
    ratios = made.ratios()
    assert set(ratios) == RATIOS
    assert ratios.pop('ack_p99_vs_two_fdatasync') == [4.0] * 3
    assert all(values == [1.5] * 3 for values in ratios.values()), ratios
    assert made.controls() == {'nginx_p99_vs_two_fdatasync': [4.0] * 3, 'flusher_p99_vs_two_fdatasync': [4.0] * 3,
                               'two_fdatasync_p99_vs_median': [1.5] * 3, 'commits_alone_p99_vs_two_fdatasync': [2.5] * 3}


def test_who_comes_waits_for_two_commits():
    """For what is left of the one under way, and for the next."""
    waits = bench_disk.waits_ms([1.0, 3.0, 2.0])
    assert len(waits) == pytest.approx(4 / bench_disk.ARRIVAL_MS, abs=1)
    assert waits[0] == pytest.approx(4.0) and max(waits) == pytest.approx(5.0, abs=0.03)
    assert min(waits) == pytest.approx(2.0, abs=0.03)
    assert bench_disk.percentile_99(list(range(1000))) == 990


def test_rounds_are_pairs(capsys):
    """Each 99th percentile over the flushes of its own round; a generator without CPU is named."""
    def row(p99_ms, bound=False):
        return {'ack': {'p50_ms': 0.5, 'p90_ms': 0.75, 'p99_ms': p99_ms}, 'cpu_us_per_event': 8.0, 'events_per_s': 500.0,
                'generator_bound': bound}
    found = {'one': [row(1.0), row(6.0), row(2.0)], 'other': [row(3.0), row(3.0, bound=True), row(3.0)]}
    bench_pairs.print_latency(['one', 'other'], found, [0.5, 2.0, 0.25])
    bench_pairs.print_warnings(found)
    header, one, other, flushes, warning = capsys.readouterr().out.splitlines()
    assert header.split()[:2] == ['build', 'events/s']
    assert one.split(maxsplit=6) == ['one', '500', '8.00', '0.50', '0.75', '2.00', '3.00 (2.00–8.00)']
    assert other.split(maxsplit=6)[5:] == ['3.00', '6.00 (1.50–12.00)']
    assert flushes.split('disk')[1].split() == ['0.500', 'ms', '(0.250–2.000)']
    assert warning.startswith('warning: other: in 1 of 3 rounds')


def test_doubtful_rows_are_named():
    """A generator that was the bottleneck, and servers that used different ciphers."""
    made = comparison(lambda name, number: 1, 1)
    assert made.warnings() == []
    made.rows[0]['generator_cpu_share'] = 0.99
    made.rows[1]['cipher'] = 'another'
    assert len(made.warnings()) == 2
    assert 'bottleneck' in made.warnings()[0] and 'cipher' in made.warnings()[1]


def test_median_and_range():
    assert bench_compare.spread([3.0], 1) == '3.0'
    assert bench_compare.spread([5.0, 1.0, 2.0], 1) == '2.0 (1.0–5.0)'
    rows = [{'server': 'a', 'load': 'x', 'v': n} for n in (1, 9, 2)] + [{'server': 'b', 'load': 'x', 'v': 100}]
    assert bench_common.median(rows, 'a', 'x', 'v') == 2
