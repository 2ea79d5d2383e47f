# SPDX-License-Identifier: GPL-2.0-or-later
"""What Prometheus reads: both exposition formats, as strictly as their specifications say; and what is made of it,
alerts and dashboard.

Question answered: does whoever scrapes the daemon get what he asked for, well formed, and do alerts ask for that?
"""
import contextlib
import http.client
import json
import re
import subprocess

import pytest

import lab
import peers

PACKAGING = lab.ROOT / 'packaging/monitoring'
OPENMETRICS = 'application/openmetrics-text'
# What Prometheus 2.42 sends.
PROMETHEUS = (f'{OPENMETRICS};version=1.0.0,{OPENMETRICS};version=0.0.1;q=0.75,'
              'text/plain;version=0.0.4;q=0.5,*/*;q=0.1')


@pytest.fixture(scope='module', name='daemon')
def fixture_daemon(tmp_path_factory):
    """A daemon with a delivered event, a dead one and one that waits for its next try."""
    with lab.Target() as good, lab.Target(lambda _: 500) as bad:
        lines = peers.target_line('dying', bad.url, peers.retry(2)) + peers.target_line(
            'waiting', bad.url, peers.retry(9, '60s', '60s'))
        endpoints = peers.endpoint_line('dying', ['dying']) + peers.endpoint_line('waiting', ['waiting'])
        with lab.Daemon(tmp_path_factory.mktemp('monitoring') / 'd', good.url, targets=lines, endpoints=endpoints,
                        cpus='[0, 1]') as daemon:
            daemon.events = [peers.send(daemon, b'good'), peers.send(daemon, b'dead', '/dying'),
                             peers.send(daemon, b'waiting', '/waiting')]
            peers.wait_state(daemon, daemon.events[0], 'delivered', 'app')
            peers.wait_state(daemon, daemon.events[1], 'dead', 'dying')
            peers.wait_state(daemon, daemon.events[2], 'retry', 'waiting')
            yield daemon


def scrape(daemon, accept):
    """Content type and text."""
    connection = http.client.HTTPConnection('127.0.0.1', daemon.metrics_port, timeout=5)
    with contextlib.closing(connection):
        connection.request('GET', '/metrics', headers={'Accept': accept} if accept else {})
        answer = connection.getresponse()
        assert answer.status == 200
        return answer.getheader('Content-Type'), answer.read().decode()


def promtool(*arguments, stdin=None):
    return subprocess.run(['promtool', *arguments], input=stdin, capture_output=True, text=True, timeout=20, check=False)


# ---- Formats ---------------------------------------------------------------------------------------------------------

def test_the_client_chooses_the_format(daemon):
    """Text unless OpenMetrics is asked for by name."""
    for accept in (None, '*/*', 'text/plain', f'{OPENMETRICS};q=0.1, text/plain'):
        kind, text = scrape(daemon, accept)
        assert kind == 'text/plain; version=0.0.4; charset=utf-8'
        assert '# EOF' not in text and 'evt_' not in text
    for accept in (PROMETHEUS, OPENMETRICS):
        kind, text = scrape(daemon, accept)
        assert kind == 'application/openmetrics-text; version=1.0.0; charset=utf-8'
        assert text.endswith('\n# EOF\n')


@peers.needs('promtool')
def test_promtool_is_pleased(daemon):
    """Names, units, types and help are as Prometheus wants them."""
    done = promtool('check', 'metrics', stdin=scrape(daemon, None)[1])
    assert done.returncode == 0 and done.stderr == '', done.stderr


SAMPLE = re.compile(r'(?P<name>[a-z_]+)(\{(?P<labels>[a-z_]+="(?:[^"\\]|\\.)*")\})? (?P<value>[0-9.]+)'
                    r'( # \{(?P<exemplar>[a-z_]+="[^"]*")\} (?P<seen>[0-9.]+) (?P<time>[0-9.]+))?')
SUFFIXES = {'counter': ['_total'], 'gauge': [''], 'histogram': ['_bucket', '_sum', '_count']}


def openmetrics(text):
    """Families with their type, and samples with their exemplars; every line is as the specification has it."""
    families, samples, seen, family = {}, [], set(), None
    lines = text.split('\n')
    assert lines[-2:] == ['# EOF', ''] and '' not in lines[:-1]
    for line in lines[:-2]:
        if line.startswith('# '):
            _, word, name, rest = line.split(' ', 3)
            if word == 'HELP':
                assert name not in families, f'a family comes twice: {name}'
                family, families[name] = name, None
            assert name == family and word in ('HELP', 'TYPE', 'UNIT'), line
            if word == 'TYPE':
                families[name] = rest
            if word == 'UNIT':
                assert name.endswith('_' + rest) and rest in ('seconds', 'bytes'), line
            continue
        found = SAMPLE.fullmatch(line)
        assert found, line
        assert found['name'] in [family + suffix for suffix in SUFFIXES[families[family]]], line
        assert (found['name'], found['labels']) not in seen, line
        seen.add((found['name'], found['labels']))
        assert not found['exemplar'] or found['name'].endswith('_bucket'), line
        samples.append(found)
    assert None not in families.values()
    return families, samples


def test_openmetrics_is_well_formed(daemon):
    """Every line, family and suffix; the same families as in text."""
    families, samples = openmetrics(scrape(daemon, OPENMETRICS)[1])
    assert len(families) > 60 and len(samples) > len(families)
    for line in scrape(daemon, None)[1].splitlines():
        if line.startswith('# TYPE '):
            _, _, name, kind = line.split(' ')
            assert families[name.removesuffix('_total') if kind == 'counter' else name] == kind


def test_exemplars_name_events_that_exist(daemon):
    """Each histogram leads to an event that is in its bucket, and `events show` knows it."""
    named = set()
    for sample in openmetrics(scrape(daemon, OPENMETRICS)[1])[1]:
        if not sample['exemplar']:
            continue
        label, event = sample['exemplar'].split('=')
        assert label == 'event_id' and event.strip('"') in daemon.events
        assert float(sample['seen']) <= float(sample['labels'].split('"')[1].replace('+Inf', 'inf'))
        assert abs(float(sample['time']) - lab.time.time()) < 600
        daemon.ctl('events', 'show', event.strip('"'))
        named.add(sample['name'])
    assert named == {f'penstock_{name}_bucket' for name in (
        'ack_duration_seconds', 'commit_duration_seconds', 'queue_dwell_seconds', 'attempt_duration_seconds')}


def test_dwell_is_of_first_attempts(daemon):
    """A retry's wait is not the queue's: three deliveries, four attempts or more."""
    assert daemon.metric('penstock_queue_dwell_seconds_count') == 3
    assert daemon.metric('penstock_attempt_duration_seconds_count') >= 4


# ---- What is made of them --------------------------------------------------------------------------------------------

def dashboard():
    return json.loads((PACKAGING / 'penstock-dashboard.json').read_text(encoding='utf-8'))


def queries(found):
    """Every expression of the dashboard, with what Grafana would put in."""
    for one in [*found['annotations']['list'], *(target for panel in found['panels']
                                                 for target in panel.get('targets', []))]:
        yield one['expr'].replace('$__rate_interval', '5m').replace('$instance', '.*')


def rules():
    """The expressions of the alerts, without a YAML library."""
    text = (PACKAGING / 'penstock.rules.yml').read_text(encoding='utf-8')
    return re.findall(r'^        expr: (?:>-\n)?((?:.+|\n          .+)+?)(?=\n        (?:for|labels):)', text, re.M)


def test_series_of_alerts_and_dashboard_exist(daemon):
    """Each name is a family of the daemon, with the suffixes and labels of its type."""
    series = {}
    for line in scrape(daemon, None)[1].splitlines():
        if not line.startswith('#'):
            name, labels = re.match(r'([a-z_]+)(?:\{(.*)\})? ', line).groups()
            series.setdefault(name, set()).update(re.findall(r'([a-z_]+)="', labels or ''))
    expressions = [*rules(), *queries(dashboard())]
    assert len(rules()) == (PACKAGING / 'penstock.rules.yml').read_text(encoding='utf-8').count('- alert: ') >= 20
    used = set()
    for expression in expressions:
        names = re.findall(r'\b(penstock_[a-z_]+)', expression)
        assert names or expression.startswith('up{'), expression
        assert set(names) <= series.keys(), expression
        for by in re.findall(r'by \(([a-z, ]+)\)', expression):
            for label in set(by.split(', ')) - {'instance'}:
                assert all(label in series[name] for name in names), (label, expression)
        used.update(names)
    assert len(used) > 40


def test_the_dashboard_is_whole():
    """Numbers are there once, panels do not overlap, and each says what it shows and what it asks."""
    found = dashboard()
    numbers = [panel['id'] for panel in found['panels']]
    assert len(set(numbers)) == len(numbers) > 20
    taken = set()
    for panel in found['panels']:
        place = panel['gridPos']
        cells = {(x, y) for x in range(place['x'], place['x'] + place['w'])
                 for y in range(place['y'], place['y'] + place['h'])}
        assert not cells & taken and place['x'] + place['w'] <= 24, panel['title']
        taken |= cells
        assert panel['title']
        if panel['type'] != 'row':
            assert panel['description'] and panel['targets'], panel['title']
    assert {one['name'] for one in found['templating']['list']} == {'datasource', 'instance'}


@peers.needs('promtool')
def test_promtool_reads_the_dashboard(tmp_path):
    """Every query is PromQL: as the rules of a file made for that."""
    rows = [f'      - record: query:{number}\n        expr: {json.dumps(expression)}\n'
            for number, expression in enumerate(queries(dashboard()))]
    file = tmp_path / 'queries.yml'
    file.write_text('groups:\n  - name: dashboard\n    rules:\n' + ''.join(rows), encoding='utf-8')
    done = promtool('check', 'rules', str(file))
    assert done.returncode == 0 and f'{len(rows)} rules found' in done.stdout, done.stdout + done.stderr


@peers.needs('promtool')
def test_alerts_ring_when_they_should():
    """Syntax, and what they do with made-up series; each says what it is about and what to do."""
    file = PACKAGING / 'penstock.rules.yml'
    done = promtool('check', 'rules', str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    text = file.read_text(encoding='utf-8')
    alerts = text.split('- alert: ')[1:]
    for alert in alerts:
        assert re.search(r'severity: (page|ticket)', alert) and 'summary: ' in alert and 'action: ' in alert, alert
    done = promtool('test', 'rules', str(lab.ROOT / 'tests/data/monitoring-rules-test.yml'))
    assert done.returncode == 0, done.stdout + done.stderr
