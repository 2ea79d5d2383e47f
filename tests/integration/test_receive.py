# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests by curl: what a provider with an ordinary HTTP client sees.

Question answered: does an ordinary client get the right answer, in whatever way it frames its request?
"""
import json
import subprocess

import pytest

import lab
import peers
import providers

pytestmark = peers.needs('curl')
MIB = 1024 * 1024


@pytest.fixture(scope='module', name='target')
def fixture_target():
    with lab.Target() as target:
        yield target


@pytest.fixture(scope='module', name='daemon')
def fixture_daemon(tmp_path_factory, target):
    folder = tmp_path_factory.mktemp('receive')
    with providers.daemon(folder, target.url) as daemon:
        yield daemon


def body_of(target, event):
    """What the target got for that event."""
    def find():
        return [body for _, _, headers, body in list(target.deliveries) if headers['webhook-id'] == event]
    return lab.wait_for(find)[0]


@pytest.mark.parametrize('tls', [True, False], ids=['tls', 'plain'])
@pytest.mark.parametrize('scheme', providers.PROVIDERS)
def test_every_scheme_is_accepted(daemon, target, scheme, tls):
    """A request signed as the provider documents it is accepted, and its body arrives at the target as it was."""
    body = json.dumps({'id': f'{scheme}-{tls}', 'event_id': f'{scheme}-{tls}', 'text': 'Grüße'}).encode()
    answer = peers.curl(daemon, providers.path_of(scheme), headers=providers.sign(scheme, body), body=body, tls=tls)
    assert (answer.status, answer.json['status']) == (200, 'accepted')
    assert answer.headers['content-type'] == 'application/json'
    assert body_of(target, answer.json['id']) == body


@pytest.mark.parametrize('scheme', providers.PROVIDERS)
def test_every_scheme_refuses_another_body(daemon, scheme):
    """One byte more than what was signed is answered 401 with a code, except where the provider signs nothing."""
    body = b'{"id":"forged"}'
    answer = peers.curl(daemon, providers.path_of(scheme), headers=providers.sign(scheme, body), body=body + b' ')
    if scheme == 'gitlab-token':
        assert answer.status == 200
        return
    assert (answer.status, answer.json['code']) == (401, 'signature_mismatch')
    assert answer.headers['www-authenticate'] == 'Signature realm="webhooks"'
    assert answer.headers['content-type'] == 'application/problem+json'


def test_every_scheme_has_a_row_here():
    """The schemes tested here are all that the daemon has."""
    lines = subprocess.check_output([lab.BUILD / 'penstockctl', 'verify', '--list'], text=True).splitlines()
    assert {line.split()[0] for line in lines[1:]} == set(providers.PROVIDERS)


def test_signed_url_covers_the_query(daemon):
    """Where the provider signs its URL, path and query are part of it, and the host is the one it knows."""
    for scheme in ('square', 'hubspot-v3'):
        path, body = providers.path_of(scheme) + '?shop=7', b'{"event_id":"with a query"}'
        headers = providers.sign(scheme, body, path=path)
        assert peers.curl(daemon, path, headers=headers, body=body).status == 200
        other = peers.curl(daemon, path + '1', headers=headers, body=body)
        assert (other.status, other.json['code']) == (401, 'signature_mismatch')


def github(size):
    body = b'{"x":"' + b'x' * (size - 8) + b'"}'
    assert len(body) == size
    return {'headers': lab.github(body), 'body': body}


FRAMINGS = {
    'length': (),
    'no-expect': ('-H', 'Expect:'),
    'chunked': ('-H', 'Transfer-Encoding: chunked', '-H', 'Expect:'),
    'chunked-expect': ('-H', 'Transfer-Encoding: chunked', '-H', 'Expect: 100-continue'),
}


@pytest.mark.parametrize('tls', [True, False], ids=['tls', 'plain'])
@pytest.mark.parametrize('framing', FRAMINGS)
def test_largest_body_is_accepted(daemon, target, framing, tls):
    """A body of exactly body_size (1 MiB) is accepted in every framing and delivered byte for byte."""
    sent = github(MIB - 100 * list(FRAMINGS).index(framing) * 2 - 100 * tls)
    if framing == 'length' and not tls:
        assert len(sent['body']) == MIB
    answer = peers.curl(daemon, '/github', *FRAMINGS[framing], tls=tls, **sent)
    assert (answer.status, answer.json['status']) == (200, 'accepted')
    assert body_of(target, answer.json['id']) == sent['body']


def test_exact_limit_in_chunks_is_accepted(daemon, target):
    """A chunked body of exactly 1 MiB is within the limit: chunk headers do not count."""
    body = github(MIB)['body'].replace(b'xxxx', b'yyyy', 1)
    answer = peers.curl(daemon, '/github', '-H', 'Transfer-Encoding: chunked', headers=lab.github(body), body=body)
    assert answer.status == 200
    assert body_of(target, answer.json['id']) == body


@pytest.mark.parametrize('tls', [True, False], ids=['tls', 'plain'])
@pytest.mark.parametrize('framing', FRAMINGS)
def test_one_byte_more_is_too_large(daemon, framing, tls):
    """A body of 1 MiB and one byte gets its 413 in every framing, also while the client is still sending."""
    for _ in range(5):
        answer = peers.curl(daemon, '/github', *FRAMINGS[framing], tls=tls, **github(MIB + 1))
        assert (answer.status, answer.json['code']) == (413, 'body_too_large')
        assert answer.headers['connection'] == 'close'


def test_much_too_large_gets_its_answer(daemon):
    """A client that sends 20 MiB without asking gets its 413 and not a broken connection."""
    answer = peers.curl(daemon, '/github', '-H', 'Expect:', **github(20 * MIB))
    assert (answer.status, answer.json['code']) == (413, 'body_too_large')


def test_expect_continue_is_answered(daemon):
    """A client that waits for 100 Continue gets it before it sends the body."""
    sent = github(2000)
    answer = peers.curl(daemon, '/github', '-H', 'Expect: 100-continue', '--expect100-timeout', '20', **sent)
    assert answer.status == 200
    assert (daemon.folder / 'curl.head').read_text().startswith('HTTP/1.1 100 Continue')


def test_other_expectation_is_refused(daemon):
    """An expectation that nobody knows is answered 417."""
    answer = peers.curl(daemon, '/github', '-H', 'Expect: tea', **github(2001))
    assert (answer.status, answer.json['code']) == (417, 'expectation_failed')


def test_connection_is_kept(daemon):
    """Five requests of one client go over one connection, refused ones included."""
    body = b'{"kept":true}'
    (daemon.folder / 'kept').write_bytes(body)
    fields = [part for name, value in lab.github(body).items() for part in ('-H', f'{name}: {value}')]
    paths = ('/github', '/github', '/nobody', '/stripe', '/github')
    urls = [f'https://localhost:{daemon.port}{path}' for path in paths]
    done = subprocess.run(['curl', '-sS', '--cacert', lab.CERTIFICATES / 'ca.pem', '--data-binary',
                           f'@{daemon.folder}/kept', *fields, '-w', ' %{http_code} %{num_connects}\n', *urls],
                          capture_output=True, text=True, timeout=30, check=True)
    rows = [line.split()[-2:] for line in done.stdout.splitlines() if line.strip()]
    assert [row[0] for row in rows if row[0].isdigit()] == ['200', '200', '404', '401', '200']
    assert sum(int(row[1]) for row in rows if row[0].isdigit()) == 1


def test_unknown_path_is_404(daemon):
    """A path that no endpoint has is answered 404 with a problem document, on a connection that stays."""
    answer = peers.curl(daemon, '/nobody', **github(50))
    assert (answer.status, answer.json['code']) == (404, 'no_endpoint')
    assert answer.json['status'] == 404 and answer.json['type'] == 'urn:penstock:problem:no_endpoint'
    assert 'connection' not in answer.headers


@pytest.mark.parametrize('path', ['/github/', '/GitHub', '//github', '/github%2f', '/githu', '/'])
def test_paths_are_compared_exactly(daemon, path):
    """A path that is merely like an endpoint's is none."""
    assert peers.curl(daemon, path, '--path-as-is', **github(51)).status == 404


def test_query_does_not_matter(daemon):
    """A query after the path leads to the same endpoint."""
    assert peers.curl(daemon, '/github?a=b&c', **github(52)).status == 200


@pytest.mark.parametrize('method', ['GET', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE'])
def test_other_methods_are_405(daemon, method):
    """A method other than POST is answered 405 with Allow: POST, and only where there is an endpoint."""
    answer = peers.curl(daemon, '/github', '-X', method)
    assert (answer.status, answer.json['code']) == (405, 'method_not_allowed')
    assert answer.headers['allow'] == 'POST'
    assert peers.curl(daemon, '/nobody', '-X', method).status == 404


def test_head_has_no_body(daemon):
    """HEAD is answered without a body, so that the next request on the connection gets its own answer."""
    answers = []
    with peers.Wire(daemon) as wire:
        wire.send(peers.request('/github', {}, method='HEAD'))
        while b'\r\n\r\n' not in wire.buffer:
            assert wire.more()
        head, _, wire.buffer = wire.buffer.partition(b'\r\n\r\n')
        assert head.startswith(b'HTTP/1.1 405')
        wire.send(peers.request('/github', lab.github(b'{"h":1}'), b'{"h":1}'))
        answers.append(wire.answer())
    assert [answer.status for answer in answers] == [200]


def test_http_1_0(daemon):
    """An HTTP/1.0 request is answered and its connection closed, unless it asks for it to be kept; the answer says
    which. By ALPN such a client may say what it is."""
    body = b'{"old":1}'
    for options in (['--no-alpn'], []):
        answer = peers.curl(daemon, '/github', '--http1.0', *options, headers=lab.github(body), body=body)
        assert answer.status == 200
    with peers.Wire(daemon) as wire:
        wire.send(peers.request('/github', lab.github(body), body, version='HTTP/1.0'))
        answer = wire.answer()
        assert (answer.status, answer.headers['connection']) == (200, 'close')
        assert wire.ends()
    with peers.Wire(daemon) as wire:
        for path, status in (('/github', 200), ('/nobody', 404), ('/github', 200)):
            wire.send(peers.request(path, {**lab.github(body), 'Connection': 'keep-alive'}, body, version='HTTP/1.0'))
            answer = wire.answer()
            assert (answer.status, answer.headers['connection']) == (status, 'keep-alive')
        wire.send(peers.request('/github', {**lab.github(body), 'Connection': 'keep-alive'}, body))
        assert 'connection' not in wire.answer().headers


def test_too_many_fields(daemon):
    """100 fields are taken, 101 and heads beyond 16 KiB are answered 431."""
    body = b'{"many":1}'
    headers = {**lab.github(body), **{f'X-Field-{i}': str(i) for i in range(200)}}

    def send(count, **more):
        first = dict(list({**headers, **more}.items())[:count - 2])  # Host and Content-Length are two
        return peers.exchange(daemon, peers.request('/github', {**first, 'Connection': 'close'}, body))[0]
    assert send(99).status == 200
    assert (send(100).status, send(101).json['code']) == (431, 'too_many_fields')
    large = peers.curl(daemon, '/github', '-H', 'X-Large: ' + 'x' * 17000, headers=lab.github(body), body=body)
    assert (large.status, large.json['code']) == (431, 'head_too_large')
    target = peers.curl(daemon, '/github?' + 'x' * 9000, headers=lab.github(body), body=body)
    assert (target.status, target.json['code']) == (414, 'target_too_long')


def test_empty_body_is_an_event(daemon, target):
    """A signed request with an empty body is an event like others."""
    answer = peers.curl(daemon, '/github', headers=lab.github(b''), body=b'')
    assert answer.status == 200
    assert body_of(target, answer.json['id']) == b''


def test_bytes_are_bytes(daemon, target):
    """A body of all byte values, NULs among them, arrives as it was sent."""
    body = bytes(range(256)) * 17
    answer = peers.curl(daemon, '/github', headers=lab.github(body), body=body)
    assert answer.status == 200
    assert body_of(target, answer.json['id']) == body


def test_host_chooses_the_endpoint(tmp_path, target):
    """Of two endpoints with one path the Host field chooses, without case, port or final dot."""
    hosts = '\n'.join(f'  - {{ name: {name}, host: {host}, path: /h, scheme: github, secret_file: secrets/{name}, '
                      'target: app }' for name, host in (('h0', 'one.example'), ('h1', 'two.example')))
    daemon = lab.Daemon(tmp_path / 'd', target.url, endpoints=hosts)
    for i in range(2):
        daemon.secret(f'h{i}', f'secret-{i}')
    with daemon:
        for number, host in enumerate(('one.example', 'ONE.example:443', 'one.example.')):
            body = b'%d' % number
            answer = peers.curl(daemon, '/h', '-H', f'Host: {host}', headers=lab.github(body, 'secret-0'), body=body)
            assert answer.status == 200, host
        body = b'two'
        assert peers.curl(daemon, '/h', '-H', 'Host: two.example', headers=lab.github(body, 'secret-1'),
                          body=body).status == 200
        assert peers.curl(daemon, '/h', '-H', 'Host: two.example', headers=lab.github(body, 'secret-0'),
                          body=body).status == 401
        assert peers.curl(daemon, '/h', '-H', 'Host: three.example', headers=lab.github(body), body=body).status == 404
