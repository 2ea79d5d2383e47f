# SPDX-License-Identifier: GPL-2.0-or-later
"""penstockctl tail: what happens, as it happens.

Questions answered: is everything there and true; is no payload and no secret; does a slow reader, or one who goes, do no
harm, and is he told what he missed?
"""
import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
import uuid

import pytest

import lab
import peers

BODY = b'{"card": "4111-1111-1111-1111"}'


class Tail:
    """A running tail; `lines` grows as they come."""

    def __init__(self, daemon, *arguments):
        self.lines = []
        self.process = subprocess.Popen(
            [lab.BUILD / 'penstockctl', '--socket', daemon.folder / 'control.sock', 'tail', *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)
        self.thread.join()
        self.process.stdout.close()
        self.process.stderr.close()

    def records(self):
        found = [json.loads(line) for line in list(self.lines)]
        assert all(one['schema'] == 'penstock.tail/v1' for one in found)
        return [one for one in found if one['kind'] != 'alive']

    def wait(self, count, kind=None):
        def there():
            found = [one for one in self.records() if kind is None or one['kind'] == kind]
            return found if len(found) >= count else None
        return lab.wait_for(there)

    def listening(self):
        """Waits until the daemon knows of it: then it says something by itself."""
        lab.wait_for(lambda: self.lines)
        return self


@pytest.fixture(name='daemon')
def fixture_daemon(tmp_path):
    """Two workers, so that both rings are read; a good target, and one that refuses everything after two tries."""
    with lab.Target() as good, lab.Target(lambda _: 500) as bad:
        with lab.Daemon(tmp_path / 'd', good.url, targets=peers.target_line('bad', bad.url, peers.retry(2)),
                        endpoints=peers.endpoint_line('doomed', ['bad']), cpus='[0, 1]') as daemon:
            yield daemon


def post(daemon, path='/standard', body=BODY, name=None, secret=lab.STANDARD_SECRET):
    headers = lab.standard(body, name or f'msg_{uuid.uuid4()}', secret=secret)
    return daemon.post(path, headers, body, tls=False)


def test_life_of_an_event(daemon):
    with Tail(daemon, '--json').listening() as tail:
        status, answer, _ = post(daemon)
        assert status == 200
        accepted, delivered = tail.wait(2)
    assert accepted['kind'] == 'accepted' and delivered['kind'] == 'delivered'
    assert accepted['id'] == delivered['id'] == answer['id']
    assert accepted['endpoint'] == delivered['endpoint'] == 'standard'
    assert accepted['target'] is None and delivered['target'] == 'app'
    assert accepted['status'] == delivered['status'] == 200 and delivered['attempt'] == 1
    assert accepted['duration_us'] > 0 and delivered['duration_us'] > 0
    assert accepted['reason'] is None and delivered['reason'] is None
    assert daemon.ctl_json('events', 'show', accepted['id'])['endpoint'] == 'standard'


def test_failures_and_dead_letters(daemon):
    with Tail(daemon, '--json').listening() as tail:
        answer = peers.send(daemon, BODY, '/doomed')
        tail.wait(1, 'dead')
    kinds = [one['kind'] for one in tail.records()]
    assert kinds == ['accepted', 'failed', 'dead']
    for number, one in enumerate(tail.records()[1:], 1):
        assert one['attempt'] == number and one['target'] == 'bad' and one['status'] == 500
        assert one['reason'] == 'status' and one['endpoint'] == 'doomed' and one['id'] == answer


def test_refusals(daemon):
    with Tail(daemon, '--json').listening() as tail, Tail(daemon, '--json', '--refusals').listening() as refusals:
        assert post(daemon, name='msg_1')[0] == 200
        assert post(daemon, name='msg_1')[1]['status'] == 'duplicate'
        assert post(daemon, name='msg_1', body=b'{}')[0] == 409
        assert post(daemon, secret='whsec_' + 'A' * 32)[0] == 401
        assert post(daemon, '/nobody/secret-path')[0] == 404
        with contextlib.closing(socket.create_connection(('127.0.0.1', daemon.plain_port))) as raw:
            raw.sendall(b'nonsense secret-head\r\n\r\n')
            assert b' 400 ' in raw.recv(4096)
        found = refusals.wait(4)
        tail.wait(7)
    assert {one['kind'] for one in found} == {'refused'}
    assert [(one['status'], one['endpoint']) for one in sorted(found, key=lambda one: one['time'])] == [
        (409, 'standard'), (401, 'standard'), (404, None), (400, None)]
    assert {one['reason'] for one in found} >= {'id_reused', 'no_endpoint'}
    assert all(one['id'] is None for one in found)
    assert [one for one in tail.records() if one['kind'] == 'duplicate'][0]['endpoint'] == 'standard'
    shown = ''.join(tail.lines + refusals.lines)
    for secret in ('4111-1111', 'secret-path', 'secret-head', lab.STANDARD_SECRET, 'whsec_', '/hooks'):
        assert secret not in shown


def test_one_endpoint(daemon):
    with Tail(daemon, '--json', '--endpoint', 'doomed').listening() as tail:
        assert post(daemon)[0] == 200
        assert post(daemon, secret='whsec_' + 'A' * 32)[0] == 401
        peers.send(daemon, BODY, '/doomed')
        tail.wait(1, 'dead')
    assert {one['endpoint'] for one in tail.records()} == {'doomed'} and len(tail.records()) == 3


def test_samples_are_whole_lives(daemon):
    with Tail(daemon, '--json', '--sample', '10').listening() as tail, Tail(daemon, '--json').listening() as all_of_it:
        for _ in range(60):
            assert post(daemon)[0] == 200
        assert post(daemon, secret='whsec_' + 'A' * 32)[0] == 401
        all_of_it.wait(121)
        tail.wait(1, 'refused')
        lab.wait_for(lambda: len({one['id'] for one in tail.records()}) * 2 - 1 == len(tail.records()))
    found = [one for one in tail.records() if one['kind'] != 'refused']
    # One in ten of each worker's; connections are spread as the kernel likes.
    assert 4 <= len({one['id'] for one in found}) <= 6
    for event in {one['id'] for one in found}:
        assert sorted(one['kind'] for one in found if one['id'] == event) == ['accepted', 'delivered']


def test_lines_for_people(daemon):
    with Tail(daemon) as tail:
        for _ in range(200):
            post(daemon)
            post(daemon, secret='whsec_' + 'A' * 32)
            if any(' refused ' in line for line in list(tail.lines)):
                break
        lab.wait_for(lambda: any(' delivered ' in line for line in list(tail.lines)))
    assert any(' standard → app  evt_' in line for line in tail.lines)
    assert not any('\x1b' in line or 'alive' in line for line in tail.lines)


def test_so_many_and_no_more(daemon):
    with contextlib.ExitStack() as stack:
        tails = [stack.enter_context(Tail(daemon, '--json')).listening() for _ in range(4)]
        refused = daemon.ctl_json('tail', code=75)
        assert refused['code'] == 'busy'
        assert post(daemon)[0] == 200
        for tail in tails:
            tail.wait(2)
    # Those who have gone make room, without anything happening.
    def again():
        with Tail(daemon, '--json') as tail:
            lab.wait_for(lambda: tail.lines)
            return 'busy' not in tail.lines[0]
    assert lab.wait_for(again)


def test_wrong_usage(daemon):
    assert daemon.ctl_json('tail', '--endpoint', 'nobody', code=66)['code'] == 'no_such_endpoint'
    for sample in ('0', '-1', 'x', '1000001'):
        assert daemon.ctl_json('tail', '--sample', sample, code=64)['code'] == 'bad_parameter'


def stream(daemon):
    """A client that asks and does not read."""
    client = socket.socket(socket.AF_UNIX)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(str(daemon.folder / 'control.sock'))
    client.sendall(b'GET /v1/tail HTTP/1.1\r\nHost: penstock\r\n\r\n')
    return client


def test_slow_reader_misses_and_is_told(daemon):
    """Events go on as if he were not there; what he missed is counted, and the rest is whole lines."""
    client = stream(daemon)
    with lab.bench(daemon, 'send', '--count', 12000, '--connections', 8, '--drain', 1) as bench:
        assert bench.wait(60) == 0
    assert daemon.ctl_json('status')['state'] == 'ready'
    client.settimeout(20)
    text = b''
    until = time.monotonic() + 20
    while b'"missed"' not in text and time.monotonic() < until:
        try:
            data = client.recv(65536)
        except ConnectionResetError:
            data = b''
        if not data:
            break
        text += data
    client.close()
    # He is told, or was cut off for taking nothing: CONTROL_SEND_TIMEOUT_MS.
    lines = [line for line in text.split(b'\r\n') if line.startswith(b'{')]
    assert b'"missed"' in text, f'{len(text)} bytes, {len(lines)} chunks'


def test_daemon_that_stops_ends_the_tail(daemon):
    with Tail(daemon, '--json').listening() as tail:
        begin = time.monotonic()
        daemon.stop()
        assert tail.process.wait(20) == 75
        assert time.monotonic() - begin < 20
    assert os.path.exists(daemon.folder / 'log')
