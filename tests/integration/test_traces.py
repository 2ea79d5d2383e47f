# SPDX-License-Identifier: GPL-2.0-or-later
"""Traces, from the sender's traceparent to the target's, and what a collector is told of them.

Question answered: does a trace go through the daemon whole, in the form OTLP has, without ever being in the way?
"""
import contextlib
import http.server
import json
import re
import threading
import time

import pytest

import lab
import peers

TRACE, PARENT = '0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331'
SAMPLED, UNSAMPLED = f'00-{TRACE}-{PARENT}-01', f'00-{TRACE}-{PARENT}-00'


class Collector:
    """Takes OTLP over HTTP, and is as strict about it as the specification."""

    def __init__(self, status=200, delay=0.0):
        collector = self
        self.spans, self.bodies, self.faults, self.status, self.delay = [], [], [], status, delay

        class Handler(http.server.BaseHTTPRequestHandler):
            """One request to the collector."""

            def do_POST(self):
                body = self.rfile.read(int(self.headers['Content-Length']))
                try:
                    assert self.path == '/v1/traces' and self.headers['Content-Type'] == 'application/json'
                    spans = list(collector.read(json.loads(body)))
                except (AssertionError, KeyError, ValueError, TypeError) as fault:
                    collector.faults.append(f'{fault!r}: {body!r}')
                    spans = []
                time.sleep(collector.delay)
                if collector.status == 200:
                    collector.spans += spans
                    collector.bodies.append(body)
                self.send_response(collector.status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.endpoint = f'http://127.0.0.1:{self.server.server_port}'
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def attributes(found):
        """Key → value, of the type it says."""
        values = {}
        for one in found:
            (kind, value), = one['value'].items()
            assert kind in ('stringValue', 'intValue') and isinstance(value, str), one
            assert one['key'] not in values, one
            values[one['key']] = int(value) if kind == 'intValue' else value
        return values

    @classmethod
    def read(cls, body):
        """Every span of a body, with what belongs to it."""
        for resource in body['resourceSpans']:
            about = cls.attributes(resource['resource']['attributes'])
            assert about['service.name'] == 'penstock' and about['service.version']
            for scope in resource['scopeSpans']:
                assert scope['scope']['name'] == 'penstock' and scope['spans']
                for span in scope['spans']:
                    assert re.fullmatch('[0-9a-f]{32}', span['traceId']) and int(span['traceId'], 16) > 0
                    assert re.fullmatch('[0-9a-f]{16}', span['spanId']) and int(span['spanId'], 16) > 0
                    assert re.fullmatch('[0-9a-f]{16}', span.get('parentSpanId', '0' * 16))
                    start, end = int(span['startTimeUnixNano']), int(span['endTimeUnixNano'])
                    assert abs(start / 1e9 - time.time()) < 600 and 0 <= end - start < 60e9
                    assert span['kind'] in (2, 3) and set(span['status']) <= {'code'}
                    yield {**span, 'attributes': cls.attributes(span['attributes'])}

    def wait(self, count, seconds=20):
        """That many spans, or more."""
        lab.wait_for(lambda: len(self.spans) >= count, seconds)
        assert not self.faults, self.faults
        return self.spans

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(name='collector')
def fixture_collector():
    collector = Collector()
    yield collector
    collector.close()


@contextlib.contextmanager
def daemon_with(tmp_path, endpoint, ratio='0', answer=None, **settings):
    """A daemon that sends traces there, and its target."""
    with lab.Target(answer) if answer else lab.Target() as target:
        more = f"telemetry: {{ otlp: {{ endpoint: '{endpoint}', sample_ratio: {ratio} }} }}" if endpoint else ''
        with lab.Daemon(tmp_path / 'd', target.url + '/very/secret', more=more, **settings) as daemon:
            yield daemon, target


def arrived(target, count=1):
    """The headers of a delivery by lower-case name."""
    return {name.lower(): value for name, value in target.wait(count)[count - 1][2].items()}


def by_kind(spans):
    return ([span for span in spans if span['kind'] == 2], [span for span in spans if span['kind'] == 3])


def test_a_trace_goes_through(tmp_path, collector):
    """Sender, daemon and target are in one trace, each the parent of the next; nothing secret is in a span."""
    with daemon_with(tmp_path, collector.endpoint) as (daemon, target):
        event = peers.send(daemon, b'{"card":"4111"}', traceparent=SAMPLED, tracestate='vendor=1,other=2')
        headers = arrived(target)
        (server,), (client,) = by_kind(collector.wait(2))
        assert server['traceId'] == client['traceId'] == TRACE
        assert server['parentSpanId'] == PARENT and client['parentSpanId'] == server['spanId']
        assert headers['traceparent'] == f'00-{TRACE}-{client["spanId"]}-01'
        assert headers['tracestate'] == 'vendor=1,other=2'
        assert server['name'] == 'receive github' and client['name'] == 'deliver app'
        assert server['status'] == client['status'] == {}
        assert server['attributes'] == {
            'http.request.method': 'POST', 'url.scheme': 'http', 'url.path': '/github',
            'http.response.status_code': 200, 'penstock.endpoint': 'github', 'penstock.event_id': event}
        assert client['attributes'] == {
            'http.request.method': 'POST', 'url.scheme': 'http', 'server.address': '127.0.0.1',
            'server.port': target.port, 'http.response.status_code': 200, 'penstock.target': 'app',
            'penstock.attempt': 1, 'penstock.outcome': 'delivered', 'penstock.event_id': event}
        lab.wait_for(lambda: daemon.metric('penstock_trace_spans_exported_total') == 2)
        assert daemon.metric('penstock_trace_spans_total') == 2
        text = b''.join(collector.bodies).decode()
        for secret in ('very/secret', '4111', lab.GITHUB_SECRET, lab.APP_SECRET):
            assert secret not in text


@pytest.mark.parametrize('parent', [
    UNSAMPLED, SAMPLED.upper(), 'ff' + SAMPLED[2:], SAMPLED + '-x', f'00-{TRACE}-{"0" * 16}-01', '', SAMPLED[:-1]])
def test_what_is_not_sampled_leaves_no_span(tmp_path, collector, parent):
    """The sender's no is passed on; what is no traceparent is not, and with a ratio of 0 no trace begins."""
    with daemon_with(tmp_path, collector.endpoint) as (daemon, target):
        peers.send(daemon, b'first', traceparent=parent, tracestate='vendor=1')
        headers = arrived(target)
        assert headers.get('traceparent') == (UNSAMPLED if parent == UNSAMPLED else None)
        assert headers.get('tracestate') == ('vendor=1' if parent == UNSAMPLED else None)
        peers.send(daemon, b'second', traceparent=SAMPLED)
        assert {span['attributes']['penstock.event_id'] for span in collector.wait(2)} != {None}
        time.sleep(0.6)
        assert len(collector.spans) == 2 and daemon.metric('penstock_trace_spans_total') == 2


def test_a_part_of_the_events_begins_a_trace(tmp_path, collector):
    """With a ratio, events without a traceparent are sampled; each has a trace of its own."""
    with daemon_with(tmp_path, collector.endpoint, ratio='0.5') as (daemon, target):
        for number in range(60):
            peers.send(daemon, b'%d' % number)
        target.wait(60)
        lab.wait_for(lambda: daemon.metric('penstock_trace_spans_exported_total') ==
                     daemon.metric('penstock_trace_spans_total') > 0)
        servers, clients = by_kind(collector.spans)
        assert 10 < len(servers) < 50 and len(servers) == len(clients)
        assert all('parentSpanId' not in span for span in servers)
        assert len({span['traceId'] for span in servers}) == len(servers)
        parents = {span['traceId']: span['spanId'] for span in servers}
        sent = [f'00-{span["traceId"]}-{span["spanId"]}-01' for span in clients]
        assert all(parents[span['traceId']] == span['parentSpanId'] for span in clients)
        told = [headers.get('traceparent') for _, _, headers, _ in target.deliveries]
        assert sorted(filter(None, told)) == sorted(sent)


def test_failed_attempts_are_errors(tmp_path, collector):
    """Each attempt is a span; an answer's status, or what went wrong before one, is its error. Over a restart too."""
    answers = iter([500, 200])
    with daemon_with(tmp_path, collector.endpoint, answer=lambda _: next(answers),
                     target=peers.retry(3, '1500ms', '1500ms'),
                     targets=peers.target_line('nobody', 'http://127.0.0.1:1/', peers.retry(1)),
                     endpoints=peers.endpoint_line('lost', ['nobody'])) as (daemon, target):
        peers.send(daemon, b'again', traceparent=SAMPLED)
        target.wait(1)
        collector.wait(2)
        daemon.stop()
        daemon.start()
        target.wait(2)
        servers, clients = by_kind(collector.wait(3))
        assert [(span['status'], span['attributes'].get('error.type'), span['attributes']['penstock.outcome'],
                 span['attributes'].get('http.request.resend_count')) for span in clients] == [
                     ({'code': 2}, '500', 'retry', None), ({}, None, 'delivered', 1)]
        assert {span['parentSpanId'] for span in clients} == {servers[0]['spanId']}
        peers.send(daemon, b'lost', '/lost', traceparent=SAMPLED)
        lost = by_kind(collector.wait(5))[1][-1]
        assert lost['attributes']['error.type'] == 'connect' and lost['attributes']['penstock.outcome'] == 'dead'
        assert lost['status'] == {'code': 2} and 'http.response.status_code' not in lost['attributes']


def test_a_collector_that_is_not_there_is_in_nobodys_way(tmp_path):
    """Refusing, answering 503, or not answering: events are delivered, spans are lost and counted, and it is said."""
    for number, (collector, said) in enumerate(((None, 'no connection'), (Collector(503), 'its answer is not 2xx'),
                                                (Collector(200, 10), 'it takes too long'))):
        endpoint = collector.endpoint if collector else f'http://127.0.0.1:{lab.free_port()}'
        folder = tmp_path / str(number)
        folder.mkdir()
        with daemon_with(folder, endpoint, ratio='1') as (daemon, target):
            started = time.monotonic()
            for event in range(20):
                peers.send(daemon, b'%d' % event)
            target.wait(20)
            assert time.monotonic() - started < 5
            lab.wait_for(lambda: daemon.metric('penstock_trace_spans_dropped_total') >= 20)
            assert daemon.log().count('does not take traces') == 1 and said in daemon.log()
            assert daemon.metric('penstock_trace_spans_exported_total') == 0
            if collector and collector.status == 503:
                collector.status = 200
                peers.send(daemon, b'again')
                collector.wait(1)
                lab.wait_for(lambda: 'takes traces again' in daemon.log())
        if collector:
            collector.close()


def test_what_is_left_is_sent_at_the_end(tmp_path, collector):
    """A daemon that stops has told of every span."""
    with daemon_with(tmp_path, collector.endpoint, ratio='1') as (daemon, target):
        for number in range(20):
            peers.send(daemon, b'%d' % number)
        target.wait(20)
        peers.settled(daemon)
        daemon.stop()
        assert len(collector.spans) == 40 and not collector.faults


def test_without_telemetry_nothing_is_added(tmp_path):
    """No traceparent goes out, whatever came in."""
    with daemon_with(tmp_path, None) as (daemon, target):
        peers.send(daemon, b'plain', traceparent=SAMPLED, tracestate='vendor=1')
        assert not {'traceparent', 'tracestate'} & set(arrived(target))
        assert daemon.metric('penstock_trace_spans_total') == 0
