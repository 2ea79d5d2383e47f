# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may hand in an event, and whether it is the same one again.

Question answered: is nothing forged, stale or replayed ever delivered, on whichever worker and after whatever restart?
"""
import concurrent.futures
import contextlib
import json
import signal
import socket
import time

import pytest

import lab
import peers
import providers


@pytest.fixture(scope='module', name='target')
def fixture_target():
    with lab.Target() as target:
        yield target


@pytest.fixture(scope='module', name='daemon')
def fixture_daemon(tmp_path_factory, target):
    folder = tmp_path_factory.mktemp('verification')
    with providers.daemon(folder, target.url) as daemon:
        yield daemon


def counters(daemon, name):
    return next(one for one in daemon.ctl_json('endpoints')['endpoints'] if one['name'] == name)['counters']


def delivered(target, event):
    """How often the target has got that event."""
    return sum(headers['webhook-id'] == event for _, _, headers, _ in list(target.deliveries))


def post(daemon, path, headers, body, connection=None):
    """Status and what the answer says: accepted, duplicate or the problem's code."""
    status, answer, _ = daemon.post(path, headers, body, connection)
    return status, answer.get('code') or answer['status']


# ---- Forged and stale -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize('scheme', providers.TIMED)
def test_times_outside_the_tolerance_are_refused(daemon, scheme):
    """A right signature over a time too long ago or ahead is refused and counted; one just inside is accepted."""
    tolerance = 600 if scheme == 'box' else 300
    path, name = providers.path_of(scheme), f'of-{scheme}'
    before = counters(daemon, name)
    for number, skew in enumerate((-tolerance - 20, tolerance + 20, -3600, 86400)):
        body = b'{"id":"stale","n":%d}' % number
        headers = providers.sign(scheme, body, time.time() + skew)
        assert post(daemon, path, headers, body) == (401, 'timestamp_outside_tolerance'), skew
    for number, skew in enumerate((-tolerance + 20, tolerance - 20)):
        body = b'{"id":"fresh-%d"}' % number
        assert post(daemon, path, providers.sign(scheme, body, time.time() + skew), body) == (200, 'accepted'), skew
    after = counters(daemon, name)
    assert after['refused_timestamp'] == before['refused_timestamp'] + 4
    assert after['accepted'] == before['accepted'] + 2


def test_forged_and_old_is_only_forged(daemon):
    """A forger does not learn whether its time is right: a wrong signature is a wrong signature."""
    for now in (None, 1000000000):
        headers = lab.standard(b'{}', 'msg_forged', now, secret='whsec_' + 'Zm9yZ2VkIGZvcmdlZCBmb3JnZWQgZm9yZ2Vk')
        assert post(daemon, '/standard', headers, b'{}') == (401, 'signature_mismatch')


@pytest.mark.parametrize('headers,code', [
    ({}, 'missing_header'),
    ({'X-Hub-Signature-256': ''}, 'malformed_signature'),
    ({'X-Hub-Signature-256': 'sha1=00'}, 'malformed_signature'),
    ({'X-Hub-Signature-256': 'sha256=' + '0' * 63}, None),
    ({'X-Hub-Signature-256': 'sha256=' + '0' * 64}, 'signature_mismatch'),
], ids=['missing', 'empty', 'other-digest', 'short', 'wrong'])
def test_refusals_have_codes(daemon, headers, code):
    """Each way to lack a signature is a 401 with its own stable code, and counted."""
    before = counters(daemon, 'github')['refused_signature']
    status, found = post(daemon, '/github', headers, b'{}')
    assert status == 401 and (code is None or found == code)
    assert counters(daemon, 'github')['refused_signature'] == before + 1


def test_a_signature_header_twice_is_refused(daemon):
    """Two signature headers, one of them right, leave open which was meant: refused."""
    body = b'{"twice":1}'
    good = lab.github(body)
    data = peers.request('/github', {**good, 'X-HUB-SIGNATURE-256': 'sha256=' + '0' * 64, 'Connection': 'close'}, body)
    answer = peers.exchange(daemon, data)[0]
    assert (answer.status, answer.json['code']) == (401, 'duplicate_header')


def test_secrets_are_not_shared_between_endpoints(daemon):
    """What is signed for one endpoint is refused by another of the same scheme with another secret."""
    body = b'{"elsewhere":1}'
    assert post(daemon, providers.path_of('github'), lab.github(body), body) == (401, 'signature_mismatch')


def test_previous_secret_is_accepted_and_counted(tmp_path, target):
    """While a secret is changed both are accepted, the old one is counted and shown, and is refused once it is gone."""
    old, new = 'the-old-secret', lab.GITHUB_SECRET
    daemon = lab.Daemon(tmp_path / 'd', target.url, endpoint=', previous_secret_file: secrets/old')
    daemon.secret('old', old)
    with daemon:
        status, answer, _ = daemon.post('/github', lab.github(b'{"by":"old"}', old), b'{"by":"old"}')
        assert (status, answer['status']) == (200, 'accepted')
        assert daemon.ctl_json('events', 'show', answer['id'])['secret'] == 'previous'
        assert 'previous secret' in daemon.ctl('events', 'show', answer['id'])
        status, answer, _ = daemon.post('/github', lab.github(b'{"by":"new"}', new), b'{"by":"new"}')
        assert daemon.ctl_json('events', 'show', answer['id'])['secret'] == 'current'
        assert counters(daemon, 'github')['previous_secret'] == 1
        assert daemon.metric('penstock_events_previous_secret_total', endpoint='github') == 1
        # The provider's retry after the change, signed with the other secret, is the same event.
        assert post(daemon, '/github', lab.github(b'{"by":"old"}', new), b'{"by":"old"}') == (200, 'duplicate')
        daemon.configure(endpoint='')
        daemon.ctl('reload')
        assert post(daemon, '/github', lab.github(b'{"late":1}', old), b'{"late":1}') == (401, 'signature_mismatch')
        assert post(daemon, '/github', lab.github(b'{"late":1}', new), b'{"late":1}') == (200, 'accepted')


# ---- The same event again -------------------------------------------------------------------------------------------

@pytest.mark.parametrize('scheme', providers.PROVIDERS)
def test_the_same_request_again_is_a_duplicate(daemon, target, scheme):
    """A byte-identical request is answered `duplicate` with the first one's id, and delivered once."""
    body = json.dumps({'id': f'again-{scheme}', 'event_id': f'again-{scheme}'}).encode()
    headers, path = providers.sign(scheme, body), providers.path_of(scheme)
    found = [daemon.post(path, headers, body)[:2] for _ in range(4)]
    assert [status for status, _ in found] == [200] * 4
    assert [answer['status'] for _, answer in found] == ['accepted'] + ['duplicate'] * 3
    assert len({answer['id'] for _, answer in found}) == 1
    event = found[0][1]['id']
    peers.wait_state(daemon, event, 'delivered')
    assert delivered(target, event) == 1


def test_an_id_with_another_body_is_a_conflict(daemon, target):
    """An id or nonce that comes again with another, rightly signed body is refused with 409 and not delivered."""
    first = {'/standard': lab.standard(b'{"n":1}', 'msg_conflict'), '/zen': lab.zen(b'{"n":1}', 'nonce-conflict')}
    second = {'/standard': lab.standard(b'{"n":2}', 'msg_conflict'), '/zen': lab.zen(b'{"n":2}', 'nonce-conflict')}
    for path, headers in first.items():
        assert post(daemon, path, headers, b'{"n":1}') == (200, 'accepted')
        assert post(daemon, path, second[path], b'{"n":2}') == (409, 'id_reused')
        assert post(daemon, path, headers, b'{"n":1}') == (200, 'duplicate')
        assert counters(daemon, path[1:])['refused_conflict'] == 1
    peers.settled(daemon)
    assert not [body for _, _, _, body in target.deliveries if body == b'{"n":2}']


def test_a_retry_that_is_signed_anew_is_a_duplicate(daemon):
    """A provider's retry with a new time and signature, but the same event, is known."""
    body, now = b'{"id":"evt_anew"}', time.time()
    assert post(daemon, '/stripe', lab.stripe(body, now - 60), body) == (200, 'accepted')
    assert post(daemon, '/stripe', lab.stripe(body, now), body) == (200, 'duplicate')
    assert post(daemon, '/standard', lab.standard(body, 'msg_anew', now - 60), body) == (200, 'accepted')
    assert post(daemon, '/standard', lab.standard(body, 'msg_anew', now), body) == (200, 'duplicate')


def test_unsigned_headers_do_not_make_an_event_new(daemon):
    """GitHub's delivery id, which is not signed, cannot make a replay look new; another event type is another event."""
    body = b'{"unsigned":1}'
    assert post(daemon, '/github', lab.github(body), body) == (200, 'accepted')
    assert post(daemon, '/github', {**lab.github(body), 'X-GitHub-Delivery': 'other'}, body) == (200, 'duplicate')
    assert post(daemon, '/github', lab.github(body, event='ping'), body) == (200, 'accepted')


def test_each_endpoint_has_its_own_memory(tmp_path, target):
    """The same request at two endpoints of one provider is two events."""
    second = '  - { name: second, path: /second, scheme: github, secret_file: secrets/github, target: app }'
    with lab.Daemon(tmp_path / 'd', target.url, endpoints=second) as daemon:
        for path in ('/github', '/second'):
            assert post(daemon, path, lab.github(b'{}'), b'{}') == (200, 'accepted')
            assert post(daemon, path, lab.github(b'{}'), b'{}') == (200, 'duplicate')


def test_one_of_many_at_once_is_new(tmp_path, target):
    """Of one request sent over many connections to two workers at once, one is accepted and delivered once."""
    with lab.Daemon(tmp_path / 'd', target.url, cpus='[0, 1]') as daemon:
        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            connections = [daemon.connect(tls=False) for _ in range(24)]
            for number in range(40):
                body = b'{"race":%d}' % number
                headers = lab.zen(body, f'race-{number}')
                # Who is asked first often wins: each time another one.
                connections = connections[1:] + connections[:1]
                found = list(pool.map(lambda one, h=headers, b=body: daemon.post('/zen', h, b, one)[:2], connections))
                kinds = [answer.get('code') or answer['status'] for _, answer in found]
                assert kinds.count('accepted') == 1, kinds
                assert set(kinds) <= {'accepted', 'duplicate', 'event_in_flight'}
                assert all(status == (503 if kind == 'event_in_flight' else 200)
                           for (status, _), kind in zip(found, kinds))
                assert len({answer['id'] for status, answer in found if status == 200}) == 1
        found = peers.settled(daemon)
        assert found['events_accepted'] == found['deliveries_delivered'] == 40
        workers = daemon.ctl_json('status')['workers']
        assert all(worker['store']['jobs'] > 4 for worker in workers), 'all on one worker'


def test_memory_survives_restart_and_kill(tmp_path):
    """After an orderly restart and after kill -9 every acknowledged event is still known, on both workers."""
    with lab.Target() as target:
        daemon = lab.Daemon(tmp_path / 'd', target.url, cpus='[0, 1]')
        requests = [(lab.zen(b'{"n":%d}' % n, f'restart-{n}'), b'{"n":%d}' % n) for n in range(60)]

        def send_all(part):
            found = []
            for at in range(0, len(part), 5):  # several connections, so that both workers get some
                connection = daemon.connect()
                found += [daemon.post('/zen', *one, connection)[1] for one in part[at:at + 5]]
                connection.close()
            return [answer['id'] for answer in found], {answer['status'] for answer in found}
        with daemon:
            first, kinds = send_all(requests[:40])
            assert kinds == {'accepted'}
            daemon.stop()
            daemon.start()
            assert send_all(requests[:40]) == (first, {'duplicate'})
            more, kinds = send_all(requests[40:])
            assert kinds == {'accepted'}
            daemon.kill()
            daemon.start()
            assert send_all(requests) == (first + more, {'duplicate'})
            peers.settled(daemon)
            assert daemon.audit_verify()['valid'] is True
        once = {event: delivered(target, event) for event in first + more}
        assert all(count >= 1 for count in once.values()), once
        assert all(count == 1 for event, count in once.items() if event in first), once


def test_many_at_once_of_all_schemes(tmp_path, target):
    """What comes while the daemon stands still is verified side by side when it goes on: of each scheme, on many
    connections, forged ones in front of right ones in one write, and clients that have gone. Each is answered as alone."""
    def requests(scheme, number):
        """With bodies of very different sizes: those of a batch need not be alike."""
        body = b'{"id":"batch-%d","event_id":"batch-%d","text":"%s"}' % (number, number, b'x' * (number * 37 % 3000))
        path, headers = providers.path_of(scheme), providers.sign(scheme, body)
        right = peers.request(path, headers, body)
        forged = peers.request(path, {name: value if scheme != 'gitlab-token' or 'Token' not in name else 'wrong'
                                      for name, value in headers.items()}, body.replace(b'batch', b'hctab'))
        return forged, right
    schemes = list(providers.PROVIDERS)
    with providers.daemon(tmp_path / 'd', target.url) as daemon, contextlib.ExitStack() as stack:
        wires = [stack.enter_context(peers.Wire(daemon, tls=False)) for _ in range(6 * len(schemes))]
        for wire in wires:  # a connection that is known to a worker
            wire.send(peers.request('/nobody', {}))
            assert wire.answer().status == 404
        gone = set(range(0, len(wires), 7))
        daemon.process.send_signal(signal.SIGSTOP)
        for number, wire in enumerate(wires):
            forged, right = requests(schemes[number % len(schemes)], number)
            wire.send(forged + right + forged + right)
            if number in gone:
                (peers.reset if number % 2 else socket.socket.close)(wire.socket)
        daemon.process.send_signal(signal.SIGCONT)
        for number, wire in enumerate(wires):
            if number in gone:
                continue
            answers = [wire.answer() for _ in range(4)]
            assert [answer.status for answer in answers] == [401, 200, 401, 200], (number, answers)
            assert answers[1].json['status'] == 'accepted', schemes[number % len(schemes)]
            assert answers[3].json == {'id': answers[1].json['id'], 'status': 'duplicate'}
        found = peers.settled(daemon)
        assert len(wires) - len(gone) <= found['events_accepted'] <= len(wires)
        assert found['deliveries_delivered'] == found['events_accepted']
        assert daemon.audit_verify()['valid'] is True


def test_memory_has_a_window(tmp_path, target):
    """After replay_window a request of a scheme without times is an event again."""
    with lab.Daemon(tmp_path / 'd', target.url, endpoint=', replay_window: 1s') as daemon:
        assert post(daemon, '/github', lab.github(b'{}'), b'{}') == (200, 'accepted')
        assert post(daemon, '/github', lab.github(b'{}'), b'{}') == (200, 'duplicate')
        lab.wait_for(lambda: post(daemon, '/github', lab.github(b'{}'), b'{}') == (200, 'accepted'), 5)


def test_full_memory_asks_to_come_again(tmp_path, target):
    """A full replay memory refuses new events with 503 and Retry-After, still knows the old ones, stays up, and says in
    the log what is full and what to do."""
    with lab.Daemon(tmp_path / 'd', target.url, store=', replay_entries: 1024') as daemon:
        requests = [(lab.zen(b'{"n":%d}' % n, f'full-{n}'), b'{"n":%d}' % n) for n in range(1200)]
        with peers.Wire(daemon, tls=False) as wire:
            wire.send(b''.join(peers.request('/zen', *one) for one in requests))
            answers = [wire.answer() for _ in requests]
        shed = [answer for answer in answers if answer.status != 200]
        assert len(shed) >= 1200 - 1024
        assert {(answer.status, answer.json['code']) for answer in shed} == {(503, 'replay_memory_full')}
        assert all(int(answer.headers['retry-after']) > 0 for answer in shed)
        told = [line for line in daemon.log().splitlines() if 'replay memory is full' in line]
        assert len(told) == 1 and 'entries=1024' in told[0] and 'store.replay_entries' in told[0]
        assert post(daemon, '/zen', *requests[0]) == (200, 'duplicate')
        found = peers.settled(daemon)
        assert found['deliveries_delivered'] == found['events_accepted'] == 1200 - len(shed)
