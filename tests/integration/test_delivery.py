# SPDX-License-Identifier: GPL-2.0-or-later
"""Deliveries to real servers and to targets that misbehave.

Question answered: does a target get each event, signed and complete, over warm connections, whatever it answered first?
"""
import contextlib
import email.utils
import socket
import ssl
import threading
import time

import pytest

import lab
import peers

APP_CA = f', ca_file: {lab.CERTIFICATES}/ca.pem'


def check_signature(row, body):
    """A server's log row has a right signature over that body, made at that time."""
    expected = lab.standard(body, row['id'], int(row['timestamp']), lab.APP_SECRET)
    assert row['signature'] == expected['webhook-signature']
    assert abs(int(row['timestamp']) - time.time()) < 30


# ---- Real servers ---------------------------------------------------------------------------------------------------

@peers.needs('nginx')
def test_nginx_over_tls(tmp_path):
    """nginx as an https target gets every event once, signed, over TLS 1.3 and one connection for events in a row."""
    with peers.Nginx(tmp_path / 'nginx') as nginx, lab.Daemon(tmp_path / 'd', nginx.url, target=APP_CA) as daemon:
        bodies = {}
        for number in range(30):
            body = b'{"nginx":%d}' % number
            bodies[peers.send(daemon, body)] = body
            nginx.rows(number + 1)
        rows = nginx.rows(30)
        assert [row['http_webhook_id'] for row in rows] == list(bodies)
        for row in rows:
            check_signature({'id': row['http_webhook_id'], 'timestamp': row['http_webhook_timestamp'],
                             'signature': row['http_webhook_signature']}, bodies[row['http_webhook_id']])
            assert row['http_x_zen_delivery_idempotency_key'] == row['http_webhook_id']
            assert (row['request'], row['http_penstock_attempt']) == ('POST /hooks HTTP/1.1', '1')
            assert (row['content_type'], row['http_x_github_event']) == ('application/json', 'push')
            assert (row['ssl_protocol'], row['http_host']) == ('TLSv1.3', f'localhost:{nginx.port}')
        assert {row['connection'] for row in rows} == {rows[0]['connection']}
        assert rows[-1]['connection_requests'] == '30'
        assert daemon.metric('penstock_target_connections_total') == 1
        assert daemon.metric('penstock_target_connections_reused_total') == 29


@peers.needs('haproxy')
def test_haproxy_over_http(tmp_path):
    """haproxy as an http target gets every event once, signed, over one connection for events in a row."""
    with peers.Haproxy(tmp_path / 'haproxy') as haproxy, lab.Daemon(tmp_path / 'd', haproxy.url) as daemon:
        bodies = {}
        for number in range(30):
            body = b'{"haproxy":%d}' % number
            bodies[peers.send(daemon, body)] = body
            haproxy.rows(number + 1)
        rows = haproxy.rows(30)
        assert [row['webhook-id'] for row in rows] == list(bodies)
        for row in rows:
            check_signature({name: row[f'webhook-{name}'] for name in ('id', 'timestamp', 'signature')},
                            bodies[row['webhook-id']])
            assert row['x-zen-delivery-idempotency-key'] == row['webhook-id']
        assert len({row['port'] for row in rows}) == 1


@peers.needs('nginx')
def test_connections_that_the_target_closes(tmp_path):
    """A target that closes its warm connections (here after five requests) costs no attempt."""
    with peers.Nginx(tmp_path / 'nginx', more='keepalive_requests 5;') as nginx:
        with lab.Daemon(tmp_path / 'd', nginx.url, target=APP_CA + peers.retry(1)) as daemon:
            for number in range(33):
                peers.send(daemon, {'closes': number})
                nginx.rows(number + 1)
            assert {row['http_penstock_attempt'] for row in nginx.rows()} == {'1'}
            assert len({row['connection'] for row in nginx.rows()}) == 7
            assert peers.settled(daemon)['deliveries_delivered'] == 33


def test_target_that_closes_without_saying_so(tmp_path):
    """A connection closed right after each answer, without Connection: close, costs no event its attempt."""
    def answer(connection, _number):
        connection.sendall(peers.OK)
        return False
    with peers.Script(answer) as script, lab.Daemon(tmp_path / 'd', script.url, target=peers.retry(1)) as daemon:
        connection = daemon.connect(tls=False)
        for number in range(100):
            peers.send(daemon, {'silent': number}, connection=connection)
        assert peers.settled(daemon)['deliveries_delivered'] == 100
        assert len(script.seen) == 100


@peers.needs('nginx')
def test_target_that_wants_a_client_certificate(tmp_path):
    """nginx that demands a client certificate is shown the target's own, and refuses without."""
    certificates = lab.certificates()
    strict = f'ssl_verify_client on; ssl_client_certificate {certificates}/ca.pem;'
    client = f', client_certificate: {certificates}/client.pem, client_key: {certificates}/client.key'
    with peers.Nginx(tmp_path / 'nginx', more=strict) as nginx:
        with lab.Daemon(tmp_path / 'd', nginx.url, target=APP_CA + peers.retry(60)) as daemon:
            event = peers.send(daemon, {'mtls': 1})
            lab.wait_for(lambda: len(peers.attempts(daemon, event)) >= 2)
            assert {attempt['outcome'] for attempt in peers.attempts(daemon, event)} == {'retry'}
            daemon.configure(target=APP_CA + peers.retry(60) + client)
            daemon.ctl('reload')
            peers.wait_state(daemon, event, 'delivered')


# ---- What an attempt bears ------------------------------------------------------------------------------------------

def test_each_attempt_is_signed_anew(tmp_path):
    """500, 500, 200: three attempts with a fresh, right signature each, one id and one idempotency key."""
    with lab.Target(lambda number: 200 if number == 2 else 500) as target:
        with lab.Daemon(tmp_path / 'd', target.url, target=peers.retry(5, '1s', '2s')) as daemon:
            event = peers.send(daemon, {'fresh': 1})
            target.wait(3)
            for number, (when, path, headers, body) in enumerate(target.deliveries):
                assert path == '/hooks' and body == b'{"fresh": 1}'
                assert lab.verify_delivery(headers, body)
                assert -1 <= when - int(headers['webhook-timestamp']) < 3
                assert headers['X-Zen-Delivery-Idempotency-Key'] == headers['webhook-id'] == event
                assert headers['Penstock-Attempt'] == str(number + 1)
            found = peers.wait_state(daemon, event, 'delivered')
            assert [(one['number'], one['outcome'], one['status']) for one in found] == [
                (1, 'retry', 500), (2, 'retry', 500), (3, 'delivered', 200)]
            assert [one['excerpt'] for one in found] == ['answer 0', 'answer 1', 'answer 2']
            assert 'answer 0' in daemon.ctl('attempts', event) and '500' in daemon.ctl('attempts', event)
            times = [when for when, *_ in target.deliveries]
            assert 0.5 <= times[1] - times[0] < 4 and 1 <= times[2] - times[1] < 5


def test_signature_with_two_secrets(tmp_path):
    """While a target's secret is changed each delivery bears two signatures, of which each alone is right."""
    old = 'whsec_' + 'b2xkLW9sZC1vbGQtb2xkLW9sZC1vbGQtb2xkLW9sZCE='
    with lab.Target() as target:
        daemon = lab.Daemon(tmp_path / 'd', target.url, target=', previous_secret_file: secrets/app-old')
        daemon.secret('app-old', old)
        with daemon:
            peers.send(daemon, {'two': 1})
            _, _, headers, body = target.wait(1)[0]
            assert len(headers['webhook-signature'].split()) == 2
            assert lab.verify_delivery(headers, body) and lab.verify_delivery(headers, body, old)


def test_what_goes_along_and_what_does_not(tmp_path):
    """Content type, correlation id and the provider's event headers go to the target; its signature does not."""
    with peers.Script(peers.answer_ok) as script:
        with lab.Daemon(tmp_path / 'd', script.url) as daemon:
            body = b'<xml/>'
            sent = {**lab.github(body), 'Content-Type': 'text/xml; charset=utf-8', 'X-Correlation-Id': 'corr-7',
                    'Cookie': 'secret=1', 'Authorization': 'Bearer secret', 'X-Forwarded-For': '192.0.2.1'}
            assert daemon.post('/github', sent, body)[0] == 200
            found = peers.headers_of(script.wait(1)[0][1])
            assert found['content-type'] == 'text/xml; charset=utf-8' and found['x-correlation-id'] == 'corr-7'
            assert found['x-github-delivery'] == sent['X-GitHub-Delivery'] and found['x-github-event'] == 'push'
            assert found['user-agent'].startswith('Penstock/') and found['content-length'] == '6'
            assert not {'x-hub-signature-256', 'cookie', 'authorization', 'x-forwarded-for'} & set(found)


def test_target_without_a_secret_gets_no_signature(tmp_path):
    """A target without secret_file gets no webhook- headers, but the idempotency key."""
    with peers.Script(peers.answer_ok) as script:
        with lab.Daemon(tmp_path / 'd', targets=peers.target_line('bare', script.url),
                        endpoints=peers.endpoint_line('bare', ['bare'])) as daemon:
            event = peers.send(daemon, b'{}', '/bare')
            found = peers.headers_of(script.wait(1)[0][1])
            assert not [name for name in found if name.startswith('webhook-')]
            assert found['x-zen-delivery-idempotency-key'] == event


# ---- Misbehaviour: first this, then an answer -----------------------------------------------------------------------

def say(text, stay=False):
    """An answer of these bytes; then the connection ends, or stays open in silence."""
    def answer(connection, _number):
        connection.sendall(text)
        if stay:
            connection.recv(1)
        return False
    return answer


def silence(connection, _number):
    connection.recv(1)
    return False


def cut(connection, _number):
    peers.reset(connection)
    return False


def status(line, head=''):
    return say(f'HTTP/1.1 {line}\r\n{head}Content-Length: 2\r\n\r\nno'.encode(), stay=True)


MISBEHAVIOUR = {
    'closed': (lambda connection, _: False, 'reset', None),
    'reset': (cut, 'reset', None),
    'silence': (silence, 'timeout', None),
    'half a head': (say(b'HTTP/1.1 200 OK\r\nContent-'), 'reset', None),
    'half a head, silence': (say(b'HTTP/1.1 200 OK\r\nContent-', stay=True), 'timeout', None),
    'garbage': (say(b'SSH-2.0-OpenSSH_9.2p1 Debian\r\n\r\n'), 'protocol', None),
    'binary': (say(bytes(range(256)) * 10), 'protocol', None),
    'HTTP/2': (say(b'HTTP/2 200 OK\r\n\r\n'), 'protocol', None),
    'two lengths': (say(b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok'), 'protocol', None),
    'endless head': (say(b'HTTP/1.1 200 OK\r\n' + b'X: y\r\n' * 20000, stay=True), 'protocol', None),
    'interims': (say(b'HTTP/1.1 102 Processing\r\n\r\n' * 50, stay=True), 'protocol', None),
    'switching': (say(b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n', stay=True), 'protocol', None),
    '301': (status('301 Moved', 'Location: http://127.0.0.1:1/\r\n'), 'status', 301),
    '302': (status('302 Found', 'Location: /elsewhere\r\n'), 'status', 302),
    '307': (status('307 Temporary Redirect', 'Location: /elsewhere\r\n'), 'status', 307),
    '400': (status('400 Bad Request'), 'status', 400),
    '404': (status('404 Not Found'), 'status', 404),
    '410': (status('410 Gone'), 'status', 410),
    '500': (status('500 Internal Server Error'), 'status', 500),
    '304': (say(b'HTTP/1.1 304 Not Modified\r\n\r\n', stay=True), 'status', 304),
}


# No connection stays warm: one that breaks before it has said anything would be no attempt.
last_answer = say(b'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok')


@pytest.fixture(scope='module', name='moody')
def fixture_moody(tmp_path_factory):
    """A daemon whose target does what `moody.mood` says to the first attempt of an event, and then answers."""
    state = {'mood': None}

    def answer(connection, number):
        mood, state['mood'] = state['mood'], None
        return (mood or last_answer)(connection, number)
    folder = tmp_path_factory.mktemp('moody')
    with peers.Script(answer) as script:
        with lab.Daemon(folder / 'd', script.url, target=', timeout: 1500ms' + peers.retry(3)) as daemon:
            daemon.mood, daemon.script = state, script
            yield daemon


@pytest.mark.parametrize('name', MISBEHAVIOUR)
def test_misbehaviour_is_a_failed_attempt(moody, name):
    """Without the whole head of a 2xx an attempt has failed, says how, and is followed by another that delivers."""
    mood, error, code = MISBEHAVIOUR[name]
    before = len(moody.script.seen)
    moody.mood['mood'] = mood
    event = peers.send(moody, {'misbehaviour': name})
    first, second = peers.wait_state(moody, event, 'delivered')
    assert (first['outcome'], first['error'], first['status']) == ('retry', error, code), first
    assert first['error_text'] and first['next_due']
    assert (second['number'], second['outcome'], second['status']) == (2, 'delivered', 200)
    seen = moody.script.seen[before:]
    assert len(seen) == 2, 'a redirect was followed, or an attempt made too often'
    assert all(head.startswith(b'POST /hooks ') for _, head, _ in seen)


CHUNKED = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
GOOD = {
    '204': (b'HTTP/1.1 204 No Content\r\n\r\n', 204, None),
    '202 empty': (b'HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n', 202, None),
    'until the end': (b'HTTP/1.1 200 OK\r\n\r\nuntil the end', 200, 'until the end'),
    'HTTP/1.0': (b'HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold', 200, 'old'),
    'chunked': (CHUNKED + b'3\r\nchu\r\n4\r\nnked\r\n0\r\n\r\n', 200, 'chunked'),
    'interim': (b'HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n' + peers.OK, 200, 'ok'),
    'no reason': (b'HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n', 200, None),
    'huge': (b'HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n' + b'h' * 3000000, 200, 'h' * 128),
    'endless': (CHUNKED + b'2000\r\n' + b'e' * 8192 + b'\r\n', 200, 'e' * 128),
    'half a body': (b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf', 200, 'half'),
    'half of chunks': (CHUNKED + b'5\r\nha', 200, 'ha'),
    'bad chunks': (CHUNKED + b'2\r\nok\r\nxyz\r\n', 200, 'ok'),
    'binary': (b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\0\xff\x1b[', 200, None),
}


@pytest.mark.parametrize('name', GOOD)
def test_every_form_of_2xx_is_success(moody, name):
    """Once the head of a 2xx has come the event is delivered, whatever its body; the first bytes of it are kept."""
    text, code, excerpt = GOOD[name]

    def answer(connection, _number):
        connection.sendall(text)
        while name == 'endless':
            connection.sendall(b'2000\r\n' + b'e' * 8192 + b'\r\n')
        return False
    moody.mood['mood'] = answer
    event = peers.send(moody, {'good': name})
    found = peers.wait_state(moody, event, 'delivered')
    assert [(one['outcome'], one['status']) for one in found] == [('delivered', code)]
    if excerpt is not None:
        assert found[0]['excerpt'] == excerpt
    moody.ctl('attempts', event)


def test_silence_after_the_head_is_success(moody):
    """A target that stops in the middle of its answer's body has delivered, after the target's timeout."""
    moody.mood['mood'] = say(b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf', stay=True)
    event = peers.send(moody, {'silence after': 'the head'})
    found = peers.wait_state(moody, event, 'delivered')
    assert [(one['status'], one['excerpt']) for one in found] == [(200, 'half')]


def test_early_answer_to_a_large_event(tmp_path):
    """A target that answers and leaves before it has read a large event is believed, and the next one not hurt by it."""
    def serve():
        for _ in range(3):
            connection, _ = listener.accept()
            connection.recv(100)
            connection.sendall(peers.OK)
            time.sleep(0.1)  # for the answer to arrive before the reset
            peers.reset(connection)
    with socket.create_server(('127.0.0.1', 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        url = f'http://127.0.0.1:{listener.getsockname()[1]}/early'
        with lab.Daemon(tmp_path / 'd', url, target=peers.retry(1)) as daemon:
            for number in range(3):
                peers.wait_state(daemon, peers.send(daemon, b'%d' % number + b'x' * 1000000), 'delivered')


def test_refused_and_silent_connections(tmp_path):
    """No listener is `connect`, a listener that accepts nothing is `connect_timeout`; both are retried."""
    port = lab.free_port()
    with socket.socket() as full:
        full.bind(('127.0.0.1', 0))
        full.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
            fillers.append(filler)
        lines = peers.target_line('closed', f'http://127.0.0.1:{port}/', peers.retry(50)) + peers.target_line(
            'full', f'http://127.0.0.1:{full.getsockname()[1]}/', ', connect_timeout: 200ms' + peers.retry(2))
        both = peers.endpoint_line('both', ['closed', 'full'])
        with lab.Daemon(tmp_path / 'd', targets=lines, endpoints=both) as daemon:
            event = peers.send(daemon, b'{}', '/both')
            found = peers.wait_state(daemon, event, 'dead', 'full')
            assert {one['error'] for one in found} == {'connect_timeout'}
            assert {one['error'] for one in peers.attempts(daemon, event, 'closed')} == {'connect'}
            assert 'refused' in peers.attempts(daemon, event, 'closed')[0]['detail'].lower()
            with socket.create_server(('127.0.0.1', port)) as late:
                connection, _ = late.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(peers.OK)
                    peers.wait_state(daemon, event, 'delivered', 'closed')
        for filler in fillers:
            filler.close()


def test_timeout_counts_from_the_start_of_the_attempt(tmp_path):
    """A target that takes its time for the TLS handshake has so much less of it for the answer; connecting alone does
    not get more than the whole attempt."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(lab.certificates() / 'server.pem', lab.certificates() / 'server.key')

    def serve():
        for _ in range(2):
            connection, _ = listener.accept()
            threading.Thread(target=dawdle, args=(connection,), daemon=True).start()

    def dawdle(connection):
        with contextlib.suppress(OSError):
            time.sleep(3)
            with context.wrap_socket(connection, server_side=True) as stream:
                while stream.recv(65536):
                    pass
    with socket.create_server(('127.0.0.1', 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        url = f'https://localhost:{listener.getsockname()[1]}/slow'
        lines = peers.target_line('hasty', url, ', timeout: 500ms, connect_timeout: 5s' + APP_CA + peers.retry(1))
        with lab.Daemon(tmp_path / 'd', url, target=', timeout: 4s' + APP_CA + peers.retry(1), targets=lines,
                        endpoints=peers.endpoint_line('both', ['app', 'hasty'])) as daemon:
            event = peers.send(daemon, b'{}', '/both')
            found = peers.wait_state(daemon, event, 'dead', 'hasty')[0]
            assert found['error'] == 'connect_timeout' and 0.4e6 < found['duration_us'] < 2.5e6, found
            found = peers.wait_state(daemon, event, 'dead')[0]
            assert found['error'] == 'timeout' and 3.9e6 < found['duration_us'] < 6.5e6, found


def test_name_that_does_not_resolve(tmp_path):
    """A target whose name does not resolve keeps nobody from starting: its attempts say so, others are delivered."""
    lines = peers.target_line('nowhere', 'http://nowhere.invalid/', peers.retry(3))
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url, targets=lines,
                                            endpoints=peers.endpoint_line('both', ['nowhere', 'app'])) as daemon:
        event = peers.send(daemon, b'{}', '/both')
        found = peers.wait_state(daemon, event, 'dead', 'nowhere')
        assert [one['error'] for one in found] == ['unresolved'] * 3
        assert peers.delivery_state(daemon, event) == 'delivered'
        assert 'nowhere.invalid' in daemon.log() or 'nowhere' in daemon.log()


@pytest.mark.skipif(not socket.has_ipv6, reason='no IPv6 here')
def test_ipv6_both_ways(tmp_path):
    """A listener on ::1 takes events and a target on ::1 gets them, named by its address."""
    try:
        listener = socket.create_server(('::1', 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip('no ::1 here')
    with listener, lab.Daemon(tmp_path / 'd', f'http://[::1]:{listener.getsockname()[1]}/six') as daemon:
        daemon.stop()
        file = tmp_path / 'd' / 'penstock.yaml'
        file.write_text(file.read_text().replace(f'127.0.0.1:{daemon.plain_port}', f"'[::1]:{daemon.plain_port}'"))
        daemon.start()
        with socket.create_connection(('::1', daemon.plain_port), 5) as client:
            client.sendall(peers.request('/github', lab.github(b'{}'), b'{}', host='[::1]'))
            assert client.recv(4096).startswith(b'HTTP/1.1 200 ')
        connection, _ = listener.accept()
        with connection:
            head = connection.recv(4096)
            connection.sendall(peers.OK)
            assert head.startswith(b'POST /six HTTP/1.1\r\n')
            assert peers.headers_of(head.split(b'\r\n\r\n')[0])['host'] == f'[::1]:{listener.getsockname()[1]}'
            assert peers.settled(daemon)['deliveries_delivered'] == 1


# ---- Retry-After ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('form', ['seconds', 'date'])
@pytest.mark.parametrize('code', [429, 503])
def test_retry_after_is_honoured(tmp_path, code, form):
    """429 and 503 with Retry-After are tried again not before that time, and soon after it."""
    def answer(number):
        if number > 0:
            return 200
        value = '2' if form == 'seconds' else email.utils.formatdate(time.time() + 3, usegmt=True)
        return code, {'Retry-After': value}
    with lab.Target(answer) as target, lab.Daemon(tmp_path / 'd', target.url, target=peers.retry()) as daemon:
        event = peers.send(daemon, {'after': code})
        first, second = [delivery[0] for delivery in target.wait(2)]
        assert (2.0 if form == 'seconds' else 1.9) <= second - first < 6
        found = peers.wait_state(daemon, event, 'delivered')
        assert [one['status'] for one in found] == [code, 200]


def test_senseless_retry_after_is_ignored(tmp_path):
    """A Retry-After that is no time, or in the past, leaves the ordinary back-off."""
    values = ['soon', '-5', '', '0', 'Sun, 06 Nov 1994 08:49:37 GMT', '99999999999999999999x']

    def answer(number):
        return (429, {'Retry-After': values[number]}) if number < len(values) else 200
    with lab.Target(answer) as target, lab.Daemon(tmp_path / 'd', target.url, target=peers.retry(20)) as daemon:
        event = peers.send(daemon, {'senseless': 1})
        peers.wait_state(daemon, event, 'delivered')
        assert len(target.deliveries) == len(values) + 1


# ---- One target does not hold up another ----------------------------------------------------------------------------

def test_slow_target_does_not_hold_up_another(tmp_path):
    """With hundreds of events stuck at a target that never answers, another target's events are delivered at once."""
    with peers.Script(silence) as slow, lab.Target() as target:
        lines = peers.target_line('slow', slow.url, ', timeout: 60s, connections: 2')
        line = peers.endpoint_line('slow', ['slow'])
        with lab.Daemon(tmp_path / 'd', target.url, targets=lines, endpoints=line) as daemon:
            peers.flood(daemon, '/slow', 5000)
            lab.wait_for(lambda: slow.connections >= 2)
            connection = daemon.connect(tls=False)
            for number in range(50):
                started = time.monotonic()
                peers.send(daemon, {'fast': number}, connection=connection)
                target.wait(number + 1)
                assert time.monotonic() - started < 3
            assert slow.connections == 2, 'more connections than the target may have'
            assert daemon.ctl_json('targets')['targets'][1]['ready'] > 0
            daemon.kill()


def test_several_targets_are_independent(tmp_path):
    """Of two targets of one endpoint one fails to the end; the other gets the event once, and both are told apart."""
    with lab.Target(lambda _: 500) as bad, lab.Target() as good:
        lines = peers.target_line('bad', bad.url, peers.retry(3)) + peers.target_line('good', good.url)
        both = peers.endpoint_line('both', ['bad', 'good'])
        with lab.Daemon(tmp_path / 'd', targets=lines, endpoints=both) as daemon:
            event = peers.send(daemon, b'{}', '/both')
            peers.wait_state(daemon, event, 'dead', 'bad')
            assert peers.delivery_state(daemon, event, 'good') == 'delivered'
            assert (len(bad.deliveries), len(good.deliveries)) == (3, 1)
            found = peers.settled(daemon)
            assert (found['deliveries_created'], found['deliveries_delivered'], found['deliveries_dead']) == (2, 1, 1)
            text = daemon.ctl('events', 'list')
            assert 'dead bad' in text and 'delivered good' in text


def test_connections_are_bounded_and_used(tmp_path):
    """With `connections: 3` a target never sees more than three at once, and all its events."""
    now, most = [0], [0]

    def answer(connection, _number):
        now[0] += 1
        most[0] = max(most[0], now[0])
        time.sleep(0.01)
        now[0] -= 1
        connection.sendall(peers.OK)
        return True
    with peers.Script(answer) as script, lab.Daemon(tmp_path / 'd', script.url, target=', connections: 3') as daemon:
        connection = daemon.connect(tls=False)
        for number in range(200):
            peers.send(daemon, {'bounded': number}, connection=connection)
        assert peers.settled(daemon)['deliveries_delivered'] == 200
        assert script.connections <= 3 and most[0] == script.connections
