# SPDX-License-Identifier: GPL-2.0-or-later
"""Bytes on the wire that no ordinary client sends: pipelined, in pieces, ambiguous, malformed, too slow.

Question answered: whatever the framing, is each request answered once, in order, or refused with its connection closed?
"""
import concurrent.futures
import contextlib
import json
import socket
import ssl
import threading
import time

import pytest

import lab
import peers

BODY = b'{"wire":1}'


@pytest.fixture(scope='module', name='daemon')
def fixture_daemon(tmp_path_factory):
    with lab.Target() as target, lab.Daemon(tmp_path_factory.mktemp('wire') / 'd', target.url) as daemon:
        daemon.target = target
        yield daemon


def event(number=0, **fields):
    body = b'{"wire":%d}' % number
    return peers.request('/github', {**lab.github(body), **fields}, body)


def status_and_code(answer):
    """200 and accepted/duplicate, or the status and the problem's code."""
    return answer.status, answer.json.get('code') or answer.json['status']


# ---- Good requests in odd pieces ------------------------------------------------------------------------------------

@pytest.mark.parametrize('tls', [True, False], ids=['tls', 'plain'])
def test_ten_requests_in_one_write(daemon, tls):
    """Ten requests in one write, good and bad ones, are answered in their order on one connection."""
    kinds = ['event', 'forged', 'nobody', 'get', 'event', 'event', 'forged', 'event', 'nobody', 'event']
    makers = {
        'event': lambda i: event(1000 + 100 * tls + i),
        'forged': lambda i: peers.request('/github', lab.github(b'x'), b'%d' % i),
        'nobody': lambda i: peers.request('/nobody', {}, b'%d' % i),
        'get': lambda i: peers.request('/github', {}, method='GET'),
    }
    expected = {'event': 200, 'forged': 401, 'nobody': 404, 'get': 405}
    with peers.Wire(daemon, tls) as wire:
        wire.send(b''.join(makers[kind](i) for i, kind in enumerate(kinds)))
        answers = [wire.answer() for _ in kinds]
    assert [answer.status for answer in answers] == [expected[kind] for kind in kinds]
    ids = [answer.json['id'] for answer in answers if answer.status == 200]
    assert ids == sorted(ids) and len(set(ids)) == len(ids)


def test_three_hundred_requests_in_one_write(daemon):
    """More pipelined requests than any buffer holds are all answered, each event once."""
    count = 300
    with peers.Wire(daemon, tls=False) as wire:
        sender = threading.Thread(target=wire.send, args=(b''.join(event(20000 + i) for i in range(count)),))
        sender.start()
        answers = [wire.answer() for _ in range(count)]
        sender.join()
    assert {answer.status for answer in answers} == {200}
    assert len({answer.json['id'] for answer in answers}) == count


@pytest.mark.parametrize('tls', [True, False], ids=['tls', 'plain'])
def test_answers_faster_than_the_client_reads(daemon, tls):
    """A thousand pipelined requests that are answered at once (known, forged) wait until the client has read."""
    body = b'{"known":1}'
    good = peers.request('/github', lab.github(body), body)
    bad = peers.request('/github', lab.github(b'other'), body)
    with peers.Wire(daemon, tls) as wire:
        wire.send(good)
        assert wire.answer().status == 200
        answers = wire.send_and_read((good + bad) * 500, 1000)
        assert [answer.status for answer in answers] == [200, 401] * 500
        wire.send(good)
        assert wire.answer().json['status'] == 'duplicate'


def test_chunked_requests_pipelined(daemon):
    """Chunked requests with odd chunks, extensions and trailers can follow each other without a gap."""
    def chunked(number):
        body = b'{"wire":%d}' % (3000 + number)
        pieces = [body[:1], body[1:4], body[4:]]
        coded = b''.join(b'%X;ext="a b"\r\n%s\r\n' % (len(piece), piece) for piece in pieces)
        return peers.request('/github', {**lab.github(body), 'Transfer-Encoding': 'chunked'},
                             coded + b'0\r\nX-Trailer: ignored\r\n\r\n')
    with peers.Wire(daemon) as wire:
        wire.send(b''.join(chunked(i) for i in range(8)))
        assert [wire.answer().status for _ in range(8)] == [200] * 8


@pytest.mark.parametrize('tls', [True, False], ids=['tls', 'plain'])
def test_byte_by_byte(daemon, tls):
    """A request that comes byte by byte, each in a record of its own, completes."""
    data = event(4000 + tls)
    with peers.Wire(daemon, tls) as wire:
        for at in range(len(data)):
            wire.send(data[at:at + 1])
        assert status_and_code(wire.answer()) == (200, 'accepted')


def test_every_split_over_tls(daemon):
    """A request and the start of the next, split in two records at every place, is always understood."""
    data = event(5000) + event(5001)
    with peers.Wire(daemon) as wire:
        for at in range(1, len(data), 3):
            wire.send(data[:at])
            wire.send(data[at:])
            assert (wire.answer().status, wire.answer().status) == (200, 200), at


def test_record_boundaries_inside_a_large_body(daemon):
    """A body of 200 KB over TLS, in writes of odd sizes, arrives at the target as it was."""
    body = json.dumps({'large': 'ä' * 50000}).encode()
    data = peers.request('/github', lab.github(body), body)
    sizes = [1, 5, 16383, 16384, 16385, 3, 40000, 4096, 4095]
    with peers.Wire(daemon) as wire:
        at = turn = 0
        while at < len(data):
            wire.send(data[at:at + sizes[turn % len(sizes)]])
            at, turn = at + sizes[turn % len(sizes)], turn + 1
        assert status_and_code(wire.answer()) == (200, 'accepted')
    lab.wait_for(lambda: any(delivery[3] == body for delivery in daemon.target.deliveries))


@pytest.mark.parametrize('tls', [True, False], ids=['tls', 'plain'])
def test_bodies_that_come_in_turns(daemon, tls):
    """Requests of eight clients come in four pieces each, in turns: each is taken for what its own head says, whether
    all of that was in the first piece or in the second, and refused for it, too."""
    wires, requests = [], []
    for number in range(8):
        body = b'{"wire":%d,"x":"%s"}' % (7000 + 10 * tls + number, b'x' * 500 * number)
        signed = lab.github(b'other' if number == 5 else body, event=f'kind-{number}')
        signed['X-GitHub-Delivery'] = f'turn-{tls}-{number}'
        signed['Content-Type'] = f'application/x-{number}'
        path = '/nobody' if number == 3 else '/github'
        data = peers.request(path, signed, body)
        head = data.index(b'\r\n\r\n') + 4
        cuts = [0, head + 3 if number % 2 else head - 9, head + 5, len(data) - 2, len(data)]
        requests.append((body, [data[a:b] for a, b in zip(cuts, cuts[1:])]))
        wires.append(peers.Wire(daemon, tls))
    with contextlib.ExitStack() as stack:
        for wire in wires:
            stack.enter_context(wire)
        for piece in range(4):
            for wire, (_, pieces) in zip(wires, requests):
                wire.send(pieces[piece])
            time.sleep(0.05)
        answers = [wire.answer() for wire in wires]
    assert [answer.status for answer in answers] == [200, 200, 200, 404, 200, 401, 200, 200]
    for number in (0, 1, 2, 4, 6, 7):
        sent, identity = requests[number][0], answers[number].json['id']
        headers, body = lab.wait_for(lambda wanted=identity: [
            found[2:4] for found in list(daemon.target.deliveries) if found[2]['webhook-id'] == wanted])[0]
        headers = {name.lower(): value for name, value in headers.items()}
        assert body == sent and headers['content-type'] == f'application/x-{number}'
        assert headers['x-github-event'] == f'kind-{number}'
        assert headers['x-github-delivery'] == f'turn-{tls}-{number}'


def test_half_close_still_gets_its_answer(daemon):
    """A client that shuts its side down after the request gets the answer before the end."""
    for tls in (True, False):
        with peers.Wire(daemon, tls) as wire:
            wire.send(event(6000 + tls))
            socket.socket.shutdown(wire.socket, socket.SHUT_WR)  # below TLS: no close_notify
            assert status_and_code(wire.answer()) == (200, 'accepted')
            assert wire.ends()


def test_client_that_leaves_does_not_lose_its_event(daemon):
    """An event whose client is gone before the answer is stored or not, and its retry is told which."""
    for number in range(20):
        data = event(7000 + number)
        with peers.Wire(daemon, tls=False) as wire:
            wire.send(data)
            peers.reset(wire.socket)
        answer = lab.wait_for(lambda data=data: (found := peers.exchange_one(daemon, data)).status != 503 and found)
        assert status_and_code(answer) in ((200, 'duplicate'), (200, 'accepted'))
    assert daemon.get('/healthz')[0] == 200


# ---- Refused --------------------------------------------------------------------------------------------------------

def raw(text, tail=BODY):
    """A request of these lines with the fields of a right signature; `{n}` is the body's size."""
    signed = ''.join(f'{name}: {value}\r\n' for name, value in lab.github(BODY).items())
    return text.replace('{n}', str(len(BODY))).replace('{signed}', signed).encode('latin-1') + b'\r\n\r\n' + tail


def chunks(tail):
    return raw(POST + 'Transfer-Encoding: chunked', tail)


SMUGGLED = b'a\r\n' + BODY + b'\r\n0\r\n\r\n' + event(9999)
POST = 'POST /github HTTP/1.1\r\nHost: localhost\r\n{signed}'

REFUSED = {
    'CL and TE': (raw(POST + 'Content-Length: {n}\r\nTransfer-Encoding: chunked', SMUGGLED), 400, 'length_and_coding'),
    'TE and CL': (raw(POST + 'Transfer-Encoding: chunked\r\nContent-Length: 4', SMUGGLED), 400, 'length_and_coding'),
    'TE twice': (raw(POST + 'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity', SMUGGLED),
                 400, 'bad_transfer_encoding'),
    'TE list': (raw(POST + 'Transfer-Encoding: gzip, chunked', SMUGGLED), 400, 'bad_transfer_encoding'),
    'TE unknown': (raw(POST + 'Transfer-Encoding: xchunked', SMUGGLED), 400, 'bad_transfer_encoding'),
    'TE with tab': (raw(POST + 'Transfer-Encoding:\tchunked\x0b', SMUGGLED), 400, 'control_character'),
    'TE space colon': (raw(POST + 'Transfer-Encoding : chunked', SMUGGLED), 400, 'bad_field_name'),
    'TE folded': (raw(POST + 'Transfer-Encoding:\r\n chunked', SMUGGLED), 400, 'folded_field'),
    'TE in 1.0': (raw(POST.replace('1.1', '1.0') + 'Transfer-Encoding: chunked', SMUGGLED),
                  400, 'transfer_encoding_in_1_0'),
    'CL twice': (raw(POST + 'Content-Length: {n}\r\nContent-Length: 0'), 400, 'duplicate_content_length'),
    'CL twice the same': (raw(POST + 'Content-Length: {n}\r\nContent-Length: {n}'), 400, 'duplicate_content_length'),
    'CL list': (raw(POST + 'Content-Length: {n}, {n}'), 400, 'bad_content_length'),
    'CL plus': (raw(POST + 'Content-Length: +{n}'), 400, 'bad_content_length'),
    'CL minus': (raw(POST + 'Content-Length: -1'), 400, 'bad_content_length'),
    'CL hex': (raw(POST + 'Content-Length: 0xa'), 400, 'bad_content_length'),
    'CL empty': (raw(POST + 'Content-Length:'), 400, 'bad_content_length'),
    'CL overflow': (raw(POST + 'Content-Length: 18446744073709551626'), 400, 'bad_content_length'),
    'bare LF': (raw(POST + 'Content-Length: {n}\n\r\n'), 400, 'bare_line_feed'),
    'bare LF head': (raw(POST.replace('\r\n', '\n') + 'Content-Length: {n}\n\n'), 400, 'bare_line_feed'),
    'bare CR': (raw(POST + 'X-A: b\rContent-Length: {n}'), 400, 'bare_carriage_return'),
    'NUL': (raw(POST + 'X-A: b\0c\r\nContent-Length: {n}'), 400, 'control_character'),
    'space first': (raw('POST /github HTTP/1.1\r\n Host: localhost\r\n{signed}Content-Length: {n}'),
                    400, 'bad_field_name'),
    'empty name': (raw(POST + ': x\r\nContent-Length: {n}'), 400, 'bad_field_name'),
    'no colon': (raw(POST + 'nonsense\r\nContent-Length: {n}'), 400, 'bad_field_name'),
    'no host': (raw(POST.replace('Host: localhost\r\n', '') + 'Content-Length: {n}'), 400, 'host_missing'),
    'two hosts': (raw(POST + 'Host: other\r\nContent-Length: {n}'), 400, 'host_duplicate'),
    'host with user': (raw(POST.replace('Host: localhost', 'Host: a@localhost') + 'Content-Length: {n}'),
                       400, 'host_invalid'),
    'other host': (raw(POST.replace('/github', 'http://other/github') + 'Content-Length: {n}'), 400, 'host_mismatch'),
    'fragment': (raw(POST.replace('/github', '/github#x') + 'Content-Length: {n}'), 400, 'bad_target'),
    'two spaces': (raw(POST.replace('POST ', 'POST  ') + 'Content-Length: {n}'), 400, None),
    'HTTP/2': (b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505, 'version_not_supported'),
    'HTTP/1.2': (raw(POST.replace('1.1', '1.2') + 'Content-Length: {n}'), 505, 'version_not_supported'),
    'HTTP/0.9': (b'POST /github\r\n\r\n', 400, 'bad_request_line'),
    'TLS in plain': (b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + b'\0' * 200 + b'\n\r\n\r\n', 400, None),
    'chunk plus': (chunks(b'+a\r\n' + BODY + b'\r\n0'), 400, 'bad_chunk_size'),
    'chunk 0x': (chunks(b'0xa\r\n' + BODY + b'\r\n0'), 400, 'bad_chunk_size'),
    'chunk space': (chunks(b' a\r\n' + BODY + b'\r\n0'), 400, 'bad_chunk_size'),
    'chunk negative': (chunks(b'-1\r\n' + BODY + b'\r\n0'), 400, 'bad_chunk_size'),
    'chunk overflow': (chunks(b'1000000000000000a\r\n' + BODY + b'\r\n0'), 400, 'bad_chunk_size'),
    'chunk LF': (chunks(b'a\n' + BODY + b'\r\n0'), 400, None),
    'chunk end': (chunks(b'a\r\n' + BODY + b'XX0'), 400, 'bad_chunk_end'),
    'chunk line': (chunks(b'a;' + b'x' * 5000), 400, 'chunk_line_too_long'),
    'trailer': (chunks(b'a\r\n' + BODY + b'\r\n0\r\n bad'), 400, 'bad_trailer'),
    'trailer size': (chunks(b'a\r\n' + BODY + b'\r\n0\r\nX: ' + b'x' * 9000), 400, 'bad_trailer'),
    'endless head': (b'POST /github HTTP/1.1\r\nX: ' + b'x' * 20000, 431, 'head_too_large'),
}


@pytest.mark.parametrize('name', REFUSED)
def test_refused_and_closed(daemon, name):
    """An ambiguous or malformed request is refused with its code, its connection ends, and nothing behind it counts."""
    data, status, code = REFUSED[name]
    before = peers.totals(daemon)['events_accepted']
    answers = {}
    for tls in (True, False):
        with peers.Wire(daemon, tls) as wire:
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                wire.send(data)
            started = time.monotonic()
            answers[tls] = wire.answer()
            assert wire.ends(), 'it stays open or says more'
            assert time.monotonic() - started < 5, 'it ends late'
    for answer in answers.values():
        assert answer.status == status, answer
        assert answer.headers['content-type'] == 'application/problem+json'
        assert answer.headers['connection'] == 'close'
        assert answer.json['status'] == status and answer.json['type'].endswith(answer.json['code'])
        if code:
            assert answer.json['code'] == code
    assert peers.totals(daemon)['events_accepted'] == before


def test_every_refusal_is_counted(daemon):
    """Malformed requests are counted by the metric of that name."""
    before = daemon.metric('penstock_requests_malformed_total')
    assert before > 0, 'no such metric'
    peers.exchange(daemon, b'nonsense\n\n')
    assert daemon.metric('penstock_requests_malformed_total') == before + 1


def test_empty_line_before_a_request(daemon):
    """One CRLF before a request line is forgiven, as RFC 9112 §2.2 asks."""
    with peers.Wire(daemon) as wire:
        for number in range(3):
            wire.send(b'\r\n' + event(8000 + number))
            assert wire.answer().status == 200


@pytest.mark.parametrize('tls', [True, False], ids=['tls', 'plain'])
def test_end_behind_the_last_request(daemon, tls):
    """A client that ends right behind its requests, by TLS without saying so, gets all answers, and its end is seen."""
    with peers.Wire(daemon, tls) as wire:
        wire.send(event(8050 + tls) + event(8052 + tls) + event(8054 + tls))
        socket.socket.shutdown(wire.socket, socket.SHUT_WR)
        for _ in range(3):
            assert wire.answer().status == 200
        started = time.monotonic()
        assert wire.ends()
        assert time.monotonic() - started < 5


# ---- Slow ones ------------------------------------------------------------------------------------------------------

def trickle(wire, data, every, stop):
    """Sends a byte now and then; the seconds until the connection ended, or None when it was still open at `stop`."""
    started = time.monotonic()
    wire.socket.settimeout(every)
    for at in range(len(data)):
        try:
            wire.socket.sendall(data[at:at + 1])
            if wire.socket.recv(1) == b'':
                break
        except (TimeoutError, ssl.SSLWantReadError):
            pass
        except (ConnectionError, ssl.SSLError, OSError):
            break
        if time.monotonic() - started > stop:
            return None
    return time.monotonic() - started


def test_slow_loris_is_cut_off(daemon):
    """Heads that trickle in are cut off ten seconds after their first byte, bodies told 408, and others are served
    meanwhile."""
    head = b'POST /github HTTP/1.1\r\nHost: localhost\r\n' + b'X-A: b\r\n' * 100

    def slow(tls, first=b''):
        with peers.Wire(daemon, tls) as wire:
            if first:
                wire.send(first)
                assert wire.answer().status == 200
            return trickle(wire, head, 0.5, 13)

    def slow_body(tls):
        """Sends a body by the byte; the answer, and the seconds it took."""
        with peers.Wire(daemon, tls) as wire:
            wire.send(peers.request('/github', {'Content-Length': '1000'}))
            started = time.monotonic()
            wire.socket.settimeout(0.5)
            while time.monotonic() - started < 15:
                with contextlib.suppress(TimeoutError, ssl.SSLWantReadError):
                    return wire.answer(), time.monotonic() - started
                wire.send(b'x')
        return None, 15

    def silent_handshake():
        """Connects to the TLS port and says nothing."""
        with socket.create_connection(('127.0.0.1', daemon.port), 20) as silent:
            started = time.monotonic()
            silent.settimeout(13)
            with contextlib.suppress(ConnectionError):
                assert silent.recv(1) == b''
            return time.monotonic() - started

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        found = [pool.submit(slow, True), pool.submit(slow, False), pool.submit(slow, False, event(8100)),
                 pool.submit(slow, True, event(8101))] + [pool.submit(slow, False) for _ in range(6)]
        mute = pool.submit(silent_handshake)
        bodies = [pool.submit(slow_body, tls) for tls in (True, False)]
        for _ in range(20):
            assert peers.exchange(daemon, event(8200, Connection='close'))[0].status == 200
            time.sleep(0.05)
        seconds = [one.result() for one in found]
    assert None not in seconds, seconds
    assert all(9 < one < 13 for one in seconds), seconds
    assert 7 < mute.result() < 12
    for answer, after in (one.result() for one in bodies):
        assert status_and_code(answer) == (408, 'body_too_slow') and 9 < after < 13
        assert answer.headers['connection'] == 'close'
    assert daemon.metric('penstock_requests_slow_total') == len(bodies)
    assert daemon.metric('penstock_connections_timed_out_total') >= len(seconds)
