# SPDX-License-Identifier: GPL-2.0-or-later
"""More clients than there is room for.

Question answered: is everybody who comes too much told to come again, never refused for good, and served afterwards?
"""
import concurrent.futures
import contextlib
import signal
import socket
import ssl
import time

import pytest

import lab
import peers


def check_shed(answer, code='overloaded'):
    """503 with a time to come again, never a 4xx: providers disable endpoints on those."""
    assert (answer.status, answer.json['code']) == (503, code)
    assert 0 < int(answer.headers['retry-after']) < 60
    assert answer.headers['content-type'] == 'application/problem+json'


def event(number):
    body = b'{"overload":%d}' % number
    return peers.request('/github', lab.github(body), body)


@pytest.mark.parametrize('tls', [True, False], ids=['tls', 'plain'])
def test_more_clients_than_connections(tmp_path, tls):
    """200 clients at 32 connections, each coming again when told to: all get their event in, none is told anything but
    200 or 503, and none has its connection closed without an answer but those that sent nothing for a second."""
    def client(number):
        """What it was answered, None for a connection that ended without."""
        found = []
        until = time.monotonic() + 30
        while 200 not in found and time.monotonic() < until:
            try:
                answer = peers.exchange_one(daemon, event(number), tls)
            except (ConnectionError, ssl.SSLError):
                answer = None
            found.append(answer and answer.status)
            if answer is not None and answer.status != 200:
                check_shed(answer)
            time.sleep(0.05)
        return found
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url, workers=', connections: 32') as daemon:
        with concurrent.futures.ThreadPoolExecutor(200) as pool:
            found = list(pool.map(client, range(200)))
        assert all(one[-1] == 200 and set(one) <= {200, 503, None} for one in found), found
        # Where this machine stands still for a second they are idle for as long, and make room.
        assert sum(one.count(None) for one in found) <= daemon.metric('penstock_connections_evicted_total'), found
        assert peers.settled(daemon)['deliveries_delivered'] == 200
        assert peers.exchange_one(daemon, event(1000)).status == 200


def test_a_herd_is_served(tmp_path):
    """300 clients that all come at once, at 32 connections, and back as soon as they are told 503: those who are told so
    must not keep everybody from being served."""
    def client(number):
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                answer = peers.exchange_one(daemon, event(number), tls=True)
                if answer is not None and answer.status == 200:
                    return True
        return False
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url, workers=', connections: 32') as daemon:
        daemon.process.send_signal(signal.SIGSTOP)
        with concurrent.futures.ThreadPoolExecutor(300) as pool:
            served = [pool.submit(client, number) for number in range(300)]
            time.sleep(0.5)
            daemon.process.send_signal(signal.SIGCONT)
            assert all(one.result() for one in served)


@pytest.mark.parametrize('tls', [True, False], ids=['tls', 'plain'])
def test_nobody_at_work_makes_room(tmp_path, tls):
    """The daemon stands still for longer than a connection may be idle; meanwhile all who are connected send a request, and
    others come for whom there is no room. Who is found idle then has only not been listened to."""
    with contextlib.ExitStack() as stack, lab.Target() as target:
        daemon = stack.enter_context(lab.Daemon(tmp_path / 'd', target.url, workers=', connections: 32'))
        wires = [stack.enter_context(peers.Wire(daemon, tls)) for _ in range(30)]
        for number, wire in enumerate(wires):
            wire.send(event(number))
            assert wire.answer().status == 200
        daemon.process.send_signal(signal.SIGSTOP)
        port = daemon.port if tls else daemon.plain_port
        for _ in range(30):
            stack.enter_context(socket.create_connection(('127.0.0.1', port)))
        for number, wire in enumerate(wires):
            wire.send(event(1000 + number))
        time.sleep(1.5)
        daemon.process.send_signal(signal.SIGCONT)
        assert [(answer := wire.answer()) and answer.status for wire in wires] == [200] * len(wires)


@pytest.mark.parametrize('tls', [True, False], ids=['tls', 'plain'])
def test_burst_is_answered(tmp_path, tls):
    """600 connections that are all there before a single one is accepted, at 16: everyone is answered, 200 or 503."""
    with lab.Daemon(tmp_path / 'd', workers=', connections: 16') as daemon, contextlib.ExitStack() as stack:
        port = daemon.port if tls else daemon.plain_port
        daemon.process.send_signal(signal.SIGSTOP)
        sockets = [stack.enter_context(socket.create_connection(('127.0.0.1', port), 20)) for _ in range(600)]
        daemon.process.send_signal(signal.SIGCONT)

        def client(number):
            with peers.Wire.over(sockets[number], tls) as wire:
                wire.send(event(number))
                return wire.answer()
        with concurrent.futures.ThreadPoolExecutor(600) as pool:
            answers = list(pool.map(client, range(600)))
        # Where this machine stands still for a second some are idle for as long, and make room.
        assert answers.count(None) <= daemon.metric('penstock_connections_evicted_total')
        answers = [answer for answer in answers if answer is not None]
        for answer in answers:
            if answer.status != 200:
                check_shed(answer)
        assert sum(answer.status == 200 for answer in answers) >= 14
        assert daemon.metric('penstock_connections_parked') == 0


def test_connections_that_are_held(tmp_path):
    """With nearly all connections at work the next are told 503; with all held one waits until one is let go."""
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url, workers=', connections: 32') as daemon:
        with contextlib.ExitStack() as stack:
            held = []
            for number in range(30):
                held.append(stack.enter_context(peers.Wire(daemon, tls=False)))
                held[-1].send(event(number)[:60])  # a part of its head
            lab.wait_for(lambda: daemon.metric('penstock_requests_active') == 30)
            for number in range(100, 120):
                with peers.Wire(daemon, tls=number % 2) as wire:
                    wire.send(event(number))
                    check_shed(wire.answer())
            silent = [stack.enter_context(socket.create_connection(('127.0.0.1', daemon.port))) for _ in range(2)]
            lab.wait_for(lambda: daemon.metric('penstock_connections') == 32)
            waiting = stack.enter_context(peers.Wire(daemon, tls=False, timeout=0.3))
            waiting.send(event(200))
            with pytest.raises(TimeoutError):
                waiting.answer()
            assert daemon.metric('penstock_connections_parked') == 1
            for one in silent:
                one.close()
            held[0].socket.close()
            waiting.socket.settimeout(5)
            assert waiting.answer().status in (200, 503)
            assert daemon.metric('penstock_connections_shed_total') >= 20
            for number, wire in enumerate(held[1:], 1):
                wire.send(event(number)[60:])
                assert wire.answer().status == 200
        answer = lab.wait_for(lambda: (found := peers.exchange_one(daemon, event(500))).status == 200 and found)
        assert answer.json['status'] == 'accepted'
        assert daemon.get('/healthz')[0] == 200


def test_idle_connections_make_room(tmp_path):
    """With all connections kept idle by their clients a new client is served at once, and the longest idle one closed."""
    with lab.Daemon(tmp_path / 'd', workers=', connections: 16') as daemon, contextlib.ExitStack() as stack:
        idle = []
        for number in range(15):
            idle.append(stack.enter_context(peers.Wire(daemon, tls=number % 2)))
            idle[-1].send(event(number))
            assert idle[-1].answer().status == 200
        time.sleep(1.1)  # what counts as idle
        started = time.monotonic()
        for number in range(100, 103):
            new = stack.enter_context(peers.Wire(daemon, tls=number % 2))
            new.send(event(number))
            assert new.answer().status == 200
        assert time.monotonic() - started < 2
        for wire in idle[:3]:
            assert wire.ends()
        for number, wire in enumerate(idle[3:], 200):
            wire.send(event(number))
            assert wire.answer().status == 200
        assert daemon.metric('penstock_connections_evicted_total') == 3
        assert daemon.metric('penstock_connections_shed_total') == 0


def test_request_slots(tmp_path):
    """With all request slots taken by half-sent requests a further one is told 503; the half-sent ones complete."""
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url, workers=', requests: 16') as daemon:
        with contextlib.ExitStack() as stack:
            wires = [stack.enter_context(peers.Wire(daemon, tls=number % 2)) for number in range(16)]
            for number, wire in enumerate(wires):
                wire.send(event(number)[:-4])
            lab.wait_for(lambda: daemon.metric('penstock_requests_active') == 16)
            check_shed(peers.exchange_one(daemon, event(100), tls=True))
            check_shed(peers.exchange_one(daemon, event(101), tls=False))
            body = b'x' * 500000  # its answer comes in the middle of it
            check_shed(peers.exchange_one(daemon, peers.request('/github', lab.github(body), body)))
            for number, wire in enumerate(wires):
                wire.send(event(number)[-4:])
                assert wire.answer().status == 200
            assert daemon.metric('penstock_requests_shed_total') == 3
        assert peers.exchange_one(daemon, event(102)).status == 200


def test_large_buffers(tmp_path):
    """With 64 large bodies under way a further large one is told 503, while small events go on."""
    body = b'x' * 200000
    large = peers.request('/github', lab.github(body), body)
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url) as daemon:
        with contextlib.ExitStack() as stack:
            wires = [stack.enter_context(peers.Wire(daemon, tls=False)) for _ in range(64)]
            for wire in wires:
                wire.send(large[:-100])
            lab.wait_for(lambda: daemon.metric('penstock_requests_active') == 64)
            check_shed(peers.exchange_one(daemon, large))
            assert peers.exchange_one(daemon, event(1)).status == 200
            wires[0].send(large[-100:])
            assert wires[0].answer().status == 200
            assert peers.exchange_one(daemon, large).json['status'] == 'duplicate'
            for wire in wires[1:]:
                wire.send(large[-100:])
            assert {wire.answer().json['status'] for wire in wires[1:]} == {'duplicate'}


def test_ledger_balances_under_overload(tmp_path):
    """A closed loop of 200 connections at 32: the ledger balances, and nothing was answered for good but 200."""
    sink = lab.free_port()
    with lab.Daemon(tmp_path / 'd', f'https://localhost:{sink}/hooks', workers=', connections: 32, requests: 16',
                    target=f', ca_file: {lab.certificates()}/ca.pem') as daemon:
        load = peers.load(daemon, sink, '--connections', 200, '--count', 3000, '--drain', 40)
        try:
            code = load.wait(60)
        finally:
            load.kill()
        found = lab.ledger(daemon)
        assert code == 0, found
        assert found['acked'] == found['delivered'] == 3000 and found['rejected'] == found['lost'] == 0, found


def test_many_idle_connections(tmp_path):
    """Two thousand idle TLS connections hold no request slots and keep nobody from being served."""
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url, workers=', requests: 16') as daemon:
        hold = lab.subprocess.Popen(
            [lab.BUILD / 'penstock-bench', 'hold', '--target', f'https://localhost:{daemon.port}', '--ca',
             lab.certificates() / 'ca.pem', '--connections', '2000', '--pid', str(daemon.process.pid)],
            stdout=lab.subprocess.PIPE, text=True)
        try:
            lab.wait_for(lambda: daemon.metric('penstock_connections') >= 2000, 30)
            started = time.monotonic()
            assert peers.exchange_one(daemon, event(1), tls=True).status == 200
            assert time.monotonic() - started < 3
            assert daemon.metric('penstock_requests_active') == 0
            output, _ = hold.communicate(timeout=30)
            assert hold.returncode == 0 and 0 < lab.json.loads(output)['bytes_per_connection'] < 100000, output
        finally:
            hold.kill()
        lab.wait_for(lambda: daemon.metric('penstock_connections') == 0)
