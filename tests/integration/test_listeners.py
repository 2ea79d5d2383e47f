# SPDX-License-Identifier: GPL-2.0-or-later
"""Where providers connect to: changed by a reload, handed over by systemd.

Question answered: is an address there when the configuration says so, and is nobody refused or cut off meanwhile?
"""
import array
import contextlib
import json
import os
import signal
import socket

import pytest

import lab
import peers


def post(daemon, port=None, connection=None):
    body = os.urandom(8)
    if connection is None:
        connection = lab.http.client.HTTPConnection('127.0.0.1', port, timeout=20)
    return daemon.post('/github', lab.github(body), body, connection)[0]


def listener(port, tls='tls: off', address='127.0.0.1'):
    return f"  - {{ address: '{address}:{port}', {tls} }}"


def test_listeners_come_and_go(tmp_path):
    """A reload opens new addresses on every worker and gives up old ones; connections that stand go on, also those of
    an address that has gone."""
    first, second = lab.free_port(), lab.free_port()
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url, cpus='[0, 1]',
                                            listeners=listener(first)) as daemon:
        kept = [lab.http.client.HTTPConnection('127.0.0.1', port, timeout=20) for port in (daemon.plain_port, first)]
        assert [post(daemon, connection=one) for one in kept] == [200, 200]
        daemon.configure(listeners=listener(second))
        found = daemon.ctl_json('reload')
        assert found['changes'] == sorted([f'listener 127.0.0.1:{first}: removed',
                                           f'listener 127.0.0.1:{second}: added'])
        assert [post(daemon, second) for _ in range(16)] == [200] * 16
        lab.wait_for(lambda: peers_refused(first))
        assert [post(daemon, connection=one) for one in kept] == [200, 200]
        daemon.configure(listeners=listener(first) + '\n' + listener(second))
        daemon.ctl('reload')
        assert [post(daemon, port) for port in (first, second, daemon.plain_port) for _ in range(8)] == [200] * 24


def peers_refused(port):
    try:
        socket.create_connection(('127.0.0.1', port), 5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_plain_becomes_tls(tmp_path):
    """tls: off and on of the same address count for new connections; one that stands stays as it is."""
    port = lab.free_port()
    cert = lab.certificates()
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url, listeners=listener(port)) as daemon:
        kept = lab.http.client.HTTPConnection('127.0.0.1', port, timeout=20)
        assert post(daemon, connection=kept) == 200
        daemon.configure(listeners=listener(port, f'tls: {{ certificate: {cert}/server.pem, key: {cert}/server.key }}'))
        daemon.ctl('reload')
        with socket.create_connection(('127.0.0.1', port), 5) as plain:
            peers.trusting_context().wrap_socket(plain, server_hostname='localhost').close()
        assert post(daemon, connection=kept) == 200
        daemon.configure(listeners=listener(port))
        daemon.ctl('reload')
        assert post(daemon, port) == 200


def test_all_addresses_of_a_port_we_have(tmp_path):
    """From one address of a port to all of them and back: our own sockets do not keep us out."""
    port = lab.free_port()
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url, listeners=listener(port)) as daemon:
        daemon.configure(listeners=listener(port, address='0.0.0.0'))
        daemon.ctl('reload')
        assert post(daemon, port) == 200
        daemon.configure(listeners=listener(port))
        daemon.ctl('reload')
        assert post(daemon, port) == 200


def no_such_name(name_server, query, peer):
    """A response, recursion available, code 3 (RFC 1035 §4.1.1)."""
    name_server.sendto(query[:2] + bytes([0x81, 0x83]) + query[4:], peer)


def answer_others(name_server):
    """For IPv6, and with the host's own domain."""
    name_server.settimeout(0.1)
    with contextlib.suppress(TimeoutError):
        for _ in range(64):
            no_such_name(name_server, *name_server.recvfrom(512))


@pytest.mark.skipif(not peers.is_root(), reason='needs root, to be the name server of the daemon')
def test_drain_while_a_reload_waits(tmp_path):
    """A reload that waits for a name server while the daemon drains opens nothing afterwards, closes what the drain
    could not, and holds up no stop."""
    port = lab.free_port()
    resolv = tmp_path / 'resolv.conf'
    resolv.write_text('nameserver 127.0.0.99\noptions timeout:20 attempts:1\n')
    daemon = lab.Daemon(tmp_path / 'd', 'http://127.0.0.1:1/')
    shell = f'mount --bind {resolv} /etc/resolv.conf && exec "$@"'
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as name_server:
        name_server.bind(('127.0.0.99', 53))
        name_server.settimeout(20)
        daemon.start(command=['unshare', '--mount', 'sh', '-c', shell, 'sh'])
        try:
            daemon.configure(listeners=listener(port), targets=peers.target_line('slow', 'http://slow.test/'))
            daemon.process.send_signal(signal.SIGHUP)
            query, peer = name_server.recvfrom(512)
            daemon.ctl('drain')
            assert 'a reload is under way' in daemon.log()
            no_such_name(name_server, query, peer)
            lab.wait_for(lambda: answer_others(name_server) or 'configuration reloaded' in daemon.log())
            lab.wait_for(lambda: peers_refused(daemon.plain_port))
            assert peers_refused(port)
            daemon.stop(15)
        finally:
            daemon.process.kill()


def test_taken_address_is_refused_with_its_place(tmp_path):
    """An address that another process has: line, column and the address are said, and nothing changes."""
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url) as daemon:
        added = lab.free_port()
        daemon.configure(listeners=listener(added) + '\n' + listener(target.port))
        found = json.loads(daemon.ctl('--json', 'reload', code=os.EX_CONFIG))['report']['diagnostics']
        lines = (tmp_path / 'd' / 'penstock.yaml').read_text().splitlines()
        first = next(one for one in found if one['code'] == 'PS3004')
        assert str(target.port) in lines[first['line'] - 1] and str(target.port) in first['message']
        assert peers_refused(added), 'half of it was taken over'
        assert post(daemon, daemon.plain_port) == 200


# ---- Handed over ----------------------------------------------------------------------------------------------------

def listening(port=0, count=1):
    """As systemd opens them, with ReusePort=yes when there are several."""
    found = []
    for _ in range(count):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, count > 1)
        one.bind(('127.0.0.1', port))
        one.listen(64)
        port = one.getsockname()[1]
        found.append(one)
    return found


def start_with(daemon, sockets, names, wait=True, **popen):
    """As sd_listen_fds(3) has it."""
    def place():
        for number, one in enumerate(sockets):
            os.dup2(one if isinstance(one, int) else one.fileno(), 20 + number)
        for number in range(len(sockets)):
            os.dup2(20 + number, 3 + number)
            os.close(20 + number)
    shell = f'LISTEN_PID=$$ LISTEN_FDS={len(sockets)} LISTEN_FDNAMES={":".join(names)} exec "$@"'
    daemon.start(wait, ['sh', '-c', shell, 'sh'], preexec_fn=place, close_fds=False, **popen)


@contextlib.contextmanager
def running(daemon):
    """Ends it, however the test does."""
    try:
        yield
        daemon.stop()
    finally:
        daemon.process.kill()


@pytest.mark.parametrize('count', [1, 2, 5])
def test_socket_activation(tmp_path, count):
    """Sockets handed over are taken by address and shared by the workers, fewer or more than there are of them; who
    has connected before the daemon starts is served."""
    sockets = listening(count=count)
    with lab.Target() as target:
        daemon = lab.Daemon(tmp_path / 'd', target.url, cpus='[0, 1]')
        daemon.plain_port = sockets[0].getsockname()[1]
        daemon.configure()
        early = [peers.Wire(daemon, tls=False) for _ in range(12)]
        start_with(daemon, sockets, ['unknown'] * count)
        for one in sockets:
            one.close()
        with running(daemon):
            for wire in early:
                body = os.urandom(8)
                wire.send(peers.request('/github', lab.github(body), body))
                assert wire.answer().status == 200
            assert [post(daemon, daemon.plain_port) for _ in range(12)] == [200] * 12


def test_wrong_sockets_are_told(tmp_path):
    """A socket that no listener has, one under another listener's name, one that does not listen: exit 78, with the
    addresses or the descriptor."""
    daemon = lab.Daemon(tmp_path / 'd')
    file = tmp_path / 'd' / 'penstock.yaml'
    file.write_text(file.read_text().replace('    tls: off', '    tls: off\n    name: plain'))
    foreign = listening()[0]
    deaf = socket.socket()
    (daemon.folder / 'log').touch()
    port = foreign.getsockname()[1]
    for one, name, words in ((foreign, 'hooks', [f'127.0.0.1:{port}', 'no listener', 'hooks']),
                             (foreign, 'plain', [f'127.0.0.1:{port}', f'127.0.0.1:{daemon.plain_port}']),
                             (deaf, 'plain', ['descriptor 3', 'ListenStream='])):
        size = len(daemon.log())
        start_with(daemon, [one], [name], wait=False)
        assert daemon.process.wait(20) == os.EX_CONFIG
        assert all(word in daemon.log()[size:] for word in words), daemon.log()[size:]


class Manager:
    """As much of systemd as keeps descriptors: what was stored under which name."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.stored, self.said = [], []

    def collect(self):
        self.socket.setblocking(False)
        while True:
            try:
                data, ancillary, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(4))
            except BlockingIOError:
                return self
            lines = data.decode().splitlines()
            self.said += lines
            name = next((line[7:] for line in lines if line.startswith('FDNAME=')), None)
            if 'FDSTORE=1' in lines:
                fds = array.array('i')
                fds.frombytes(ancillary[0][2][:4])
                os.set_inheritable(fds[0], False)
                self.stored.append((name, fds[0]))
            if 'FDSTOREREMOVE=1' in lines:
                for one in [one for one in self.stored if one[0] == name]:
                    os.close(one[1])
                    self.stored.remove(one)


def test_descriptor_store(tmp_path):
    """systemd is given every listening socket and told which have gone. After a stop connections wait, and the next
    start serves them; an address that has left the configuration meanwhile is given up."""
    added = lab.free_port()
    with lab.Target() as target:
        manager = Manager(tmp_path / 'notify')
        environment = {**os.environ, 'NOTIFY_SOCKET': str(tmp_path / 'notify')}
        daemon = lab.Daemon(tmp_path / 'd', target.url, cpus='[0, 1]')
        daemon.start(env=environment)
        names = [f'penstock-127.0.0.1_{port}' for port in (daemon.port, daemon.plain_port)]
        assert sorted(name for name, _ in manager.collect().stored) == sorted(names * 2)
        daemon.configure(listeners=listener(added))
        daemon.ctl('reload')
        assert len(manager.collect().stored) == 6
        daemon.configure(listeners='')
        daemon.ctl('reload')
        assert sorted(name for name, _ in manager.collect().stored) == sorted(names * 2)
        daemon.configure(listeners=listener(added))
        daemon.ctl('reload')
        daemon.stop()
        assert len(manager.collect().stored) == 6
        waiting = [peers.Wire(daemon, tls=False) for _ in range(8)]
        daemon.configure(listeners='')
        start_with(daemon, [fd for _, fd in manager.stored], [name for name, _ in manager.stored], env=environment)
        for _, fd in manager.stored:
            os.close(fd)
        with running(daemon):
            for wire in waiting:
                body = os.urandom(8)
                wire.send(peers.request('/github', lab.github(body), body))
                assert wire.answer().status == 200
            assert peers_refused(added)
