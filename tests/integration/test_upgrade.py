# SPDX-License-Identifier: GPL-2.0-or-later
"""The program on disk takes over from the one that runs.

Question answered: does nobody who sends events notice, and does nothing change when the new program is not fit?
"""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

import lab
import peers


def started(daemon):
    return daemon.ctl_json('status')['started']


class Clients:
    """Post without a pause, on connections that are kept as long as the daemon lets them; `failed` has what went
    wrong, `slowest` the longest that one had to wait for its answer, `ids` what was accepted."""

    def __init__(self, daemon, count=4, tls=True):
        self.daemon, self.tls = daemon, tls
        self.stop = threading.Event()
        self.failed, self.ids, self.slowest = [], [], 0.0
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(count)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def run(self, client):
        connection, number = self.daemon.connect(self.tls), 0
        while not self.stop.is_set():
            number += 1
            body = b'{"client":%d,"number":%d}' % (client, number)
            began = time.monotonic()
            try:
                status, answer, _ = self.daemon.post('/github', lab.github(body), body, connection)
            except (OSError, lab.http.client.HTTPException) as problem:
                self.failed.append(repr(problem))
                connection.close()
                continue
            self.slowest = max(self.slowest, time.monotonic() - began)
            if status == 200:
                self.ids.append(answer['id'])
            else:
                self.failed.append(status)


@pytest.mark.parametrize('tls,idle', [(True, False), (False, False), (True, True)], ids=['tls', 'plain', 'idle'])
def test_upgrade_under_load(tmp_path, tls, idle):
    """Clients that post all the time, over connections that they keep, see no failure and wait a second at most, three
    times in a row, also with one beside them that is connected and idle; the process is the same, and each event is
    delivered once."""
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url, cpus='[0, 1]') as daemon:
        pid = daemon.process.pid
        with Clients(daemon, tls=tls) as clients:
            for _ in range(3):
                goal = len(clients.ids) + 50
                lab.wait_for(lambda goal=goal: len(clients.ids) > goal)
                beside = peers.Wire(daemon) if idle else None
                before = started(daemon)
                assert 'has taken over' in daemon.ctl('upgrade')
                assert started(daemon) > before and daemon.process.poll() is None
                assert beside is None or beside.ends()
        assert clients.failed == []
        print(f'the longest wait was {clients.slowest * 1000:.0f} ms')
        assert clients.slowest < 3, 'a loaded machine may take its time, but not that long'
        assert pid == daemon.process.pid and daemon.log().count('is ready') == 4
        peers.settled(daemon)
        delivered = [headers['webhook-id'] for _, _, headers, _ in target.deliveries]
        assert sorted(delivered) == sorted(clients.ids)
        assert daemon.audit_verify()['valid'] is True


def test_idle_connection_gets_its_last_answer(tmp_path):
    """A request on a connection that was idle when the upgrade began, and one that was half in, are answered, with
    "close"."""
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url) as daemon:
        idle, half = peers.Wire(daemon), peers.Wire(daemon)
        one, other = (peers.request('/github', lab.github(body), body) for body in (b'{"one":1}', b'{"other":1}'))
        half.send(other[:-3])
        lab.wait_for(lambda: daemon.metric('penstock_requests_active') == 1)
        daemon.process.send_signal(signal.SIGUSR2)
        lab.wait_for(lambda: 'nobody is accepted' in daemon.log(), every=0.001)
        idle.send(one)
        half.send(other[-3:])
        for wire in (idle, half):
            answer = wire.answer()
            assert answer.status == 200 and answer.headers['connection'] == 'close'
            assert wire.ends()
        lab.wait_for(lambda: daemon.log().count('is ready') == 2)
        target.wait(2)


def test_attempts_are_finished_first(tmp_path):
    """Attempts under way end before the program gives way, and events are accepted all the time until then."""
    def slowly(connection, _number):
        time.sleep(1.5)
        connection.sendall(peers.OK)
        return True
    with peers.Script(slowly) as slow, lab.Daemon(tmp_path / 'd', slow.url) as daemon:
        first = peers.send(daemon, {'first': 1})
        slow.wait(1)
        daemon.process.send_signal(signal.SIGUSR2)
        lab.wait_for(lambda: 'attempts under way' in daemon.log())
        second = peers.send(daemon, {'second': 1})
        assert 'nobody is accepted' not in daemon.log()
        lab.wait_for(lambda: daemon.log().count('is ready') == 2)
        for event in (first, second):
            peers.wait_state(daemon, event, 'delivered')
            assert len(peers.attempts(daemon, event)) == 1


@pytest.fixture(name='installed')
def installed_fixture(tmp_path, monkeypatch):
    """A program of its own to be replaced, and its daemon."""
    shutil.copy(lab.BUILD / 'penstockd', tmp_path / 'penstockd')
    shutil.copy(lab.BUILD / 'penstockctl', tmp_path / 'penstockctl')
    monkeypatch.setattr(lab, 'BUILD', tmp_path)
    return tmp_path / 'penstockd'


def replace(program, text):
    new = program.with_name('new')
    new.write_text(text)
    new.chmod(0o755)
    new.rename(program)


def test_unfit_program_changes_nothing(tmp_path, installed):
    """A configuration that the next start would refuse, a program that is none, one that ends with an error: exit code
    78 with what it said, and the running one goes on."""
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url) as daemon:
        began = started(daemon)
        file = tmp_path / 'd' / 'penstock.yaml'
        good = file.read_text()
        file.write_text(good + 'nonsense: 1\n')
        found = json.loads(daemon.ctl('--json', 'upgrade', code=os.EX_CONFIG))
        assert found['code'] == 'upgrade_unfit' and 'nonsense' in found['detail']
        with socket.create_server(('127.0.0.1', 0)) as taken:
            address = '127.0.0.1:%d' % taken.getsockname()[1]
            file.write_text(good.replace('listeners:', f"listeners:\n  - {{ address: '{address}', tls: off }}", 1))
            assert address in json.loads(daemon.ctl('--json', 'upgrade', code=os.EX_CONFIG))['detail']
        file.write_text(good)
        original = installed.read_bytes()
        replace(installed, 'this is no program')
        daemon.ctl('upgrade', code=os.EX_CONFIG)
        replace(installed, '#!/bin/sh\necho it is broken >&2\nexit 3\n')
        assert 'it is broken' in json.loads(daemon.ctl('--json', 'upgrade', code=os.EX_CONFIG))['detail']
        installed.unlink()
        daemon.ctl('upgrade', code=os.EX_CONFIG)
        installed.write_bytes(original)
        installed.chmod(0o755)
        daemon.ctl('reload', '--confirm-within', '1m')
        assert 'to be confirmed' in json.loads(daemon.ctl('--json', 'upgrade', code=os.EX_TEMPFAIL))['detail']
        daemon.ctl('confirm')
        assert started(daemon) == began and daemon.ctl_json('status')['state'] == 'ready'
        peers.wait_state(daemon, peers.send(daemon, {'still': 'here'}), 'delivered')
        daemon.ctl('upgrade')
        peers.wait_state(daemon, peers.send(daemon, {'and': 'again'}), 'delivered')


@pytest.mark.parametrize('back', ['rollback', 'expiry'])
def test_what_was_gone_back_from_does_not_come_back(tmp_path, back):
    """After a rollback, or when nobody has confirmed, the file still says what was not wanted: no upgrade, which would
    serve that, before the file has been reloaded."""
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url) as daemon:
        began = started(daemon)
        good = (tmp_path / 'd' / 'penstock.yaml').read_text()
        daemon.configure(more='drain_timeout: 7s')
        daemon.ctl('reload', '--confirm-within', '1s' if back == 'expiry' else '1m')
        if back == 'rollback':
            daemon.ctl('rollback')
        lab.wait_for(lambda: 'still says what was gone back from' in daemon.log())
        found = json.loads(daemon.ctl('--json', 'upgrade', code=os.EX_TEMPFAIL))
        assert 'still says what was gone back from: put it right and reload first' in found['detail']
        daemon.process.send_signal(signal.SIGUSR2)
        lab.wait_for(lambda: daemon.log().count('no upgrade: ') == 2)
        assert started(daemon) == began
        (tmp_path / 'd' / 'penstock.yaml').write_text(good)
        daemon.ctl('reload')
        daemon.ctl('upgrade')
        assert started(daemon) > began


def test_no_change_on_trial_during_an_upgrade(tmp_path):
    """The next program begins with the file, to stay: nothing that could be gone back from is taken meanwhile, nor is
    anything gone back to."""
    with peers.Script(lambda *_: time.sleep(3)) as slow, lab.Daemon(tmp_path / 'd', slow.url) as daemon:
        daemon.ctl('reload')
        peers.send(daemon, {'first': 1})
        slow.wait(1)
        daemon.process.send_signal(signal.SIGUSR2)
        lab.wait_for(lambda: 'attempts under way' in daemon.log())
        for change in (['reload', '--confirm-within', '1m'], ['rollback', '1']):
            found = json.loads(daemon.ctl('--json', *change, code=os.EX_TEMPFAIL))
            assert 'an upgrade is under way' in json.dumps(found)
        daemon.ctl('reload')
        assert 'nobody is accepted' not in daemon.log()
        lab.wait_for(lambda: daemon.log().count('is ready') == 2)


def test_program_that_vanishes_late(tmp_path, installed):
    """When the program cannot be executed after all, the one that was running does it once more, with the sockets."""
    shutil.copy(installed, tmp_path / 'kept')
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url) as daemon:
        replace(installed, f'#!/bin/sh\n[ "$1" = -t ] && rm "$0"\nexit 0\n')
        with Clients(daemon) as clients:
            lab.wait_for(lambda: len(clients.ids) > 20)
            daemon.ctl('upgrade')
        assert clients.failed == [] and 'does not run' in daemon.log()
        (tmp_path / 'kept').rename(installed)


def test_stop_during_an_upgrade_is_a_stop(tmp_path):
    """SIGTERM while the attempts under way are waited for ends the daemon with 0."""
    with peers.Script(lambda *_: time.sleep(3)) as slow, lab.Daemon(tmp_path / 'd', slow.url, more='drain_timeout: 2s'
                                                                    ) as daemon:
        peers.send(daemon, {'first': 1})
        slow.wait(1)
        daemon.process.send_signal(signal.SIGUSR2)
        lab.wait_for(lambda: 'attempts under way' in daemon.log())
        daemon.stop()
        assert daemon.log().count('is ready') == 1


def from_last_accept_to_exec(daemon, upgrades):
    """How long nobody is accepted before the next program is executed, s."""
    lab.wait_for(lambda: daemon.log().count('nobody is accepted') == upgrades, every=0.001)
    began = time.monotonic()
    lab.wait_for(lambda: daemon.log().count('takes over') == upgrades, 10, every=0.001)
    return time.monotonic() - began


def test_a_silent_collector_is_not_waited_for(tmp_path):
    """A collector that takes spans and does not answer for 3 s holds up nobody."""
    with lab.Target() as target, peers.Script(lambda *_: time.sleep(30)) as collector:
        url = f'http://127.0.0.1:{collector.port}'
        with lab.Daemon(tmp_path / 'd', target.url, more=f"telemetry: {{ otlp: {{ endpoint: '{url}', sample_ratio: 1 }} }}"
                        ) as daemon:
            peers.send(daemon, {'one': 1})
            target.wait(1)
            seen = len(collector.seen)
            lab.wait_for(lambda: len(collector.seen) > seen)
            peers.send(daemon, {'other': 1})
            daemon.process.send_signal(signal.SIGUSR2)
            assert from_last_accept_to_exec(daemon, 1) < 2.5
            lab.wait_for(lambda: daemon.log().count('is ready') == 2)
            target.wait(2)


@pytest.mark.skipif(not peers.is_root(), reason='needs root, to stop one thread of the daemon')
def test_a_thread_with_a_name_server_is_not_waited_for(tmp_path):
    """The thread that resolves names is waited for no longer than a second."""
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url) as daemon:
        thread = peers.thread_stop(daemon, 'ticker')
        try:
            with subprocess.Popen([lab.BUILD / 'penstockctl', '--socket', daemon.folder / 'control.sock', 'upgrade']
                                  ) as asked:
                assert 0.5 < from_last_accept_to_exec(daemon, 1) < 8
                peers.thread_reap(thread)
                assert asked.wait(20) == 0
        finally:
            peers.thread_go(thread)
        assert 'a name server does not answer' in daemon.log()
        peers.wait_state(daemon, peers.send(daemon, {'and': 'again'}), 'delivered')


FUTEX = '202 '
WRITE_TO_STDERR = '1 0x2 '


def waits_in(daemon, thread, call):
    """Whether the daemon's thread of that name is in that system call."""
    for entry in pathlib.Path(f'/proc/{daemon.process.pid}/task').iterdir():
        if (entry / 'comm').read_text().strip() == thread:
            return (entry / 'syscall').read_text().startswith(call)
    return False


def pipe_fill(end):
    for size in (4096, 1):
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(end, b'-' * size)


@pytest.mark.skipif(not peers.is_root(), reason='needs root, to see what the threads of the daemon wait for')
def test_stop_while_the_next_program_is_executed(tmp_path):
    """A SIGTERM that comes when all is decided is not lost: the next program stops for it. The daemon is held there by a
    pipe for its log that is full."""
    reader, writer = os.pipe()
    filler = os.open(f'/proc/self/fd/{writer}', os.O_WRONLY | os.O_NONBLOCK)
    daemon = lab.Daemon(tmp_path / 'd')
    with open(reader, 'rb', buffering=0) as log, subprocess.Popen(
            [lab.BUILD / 'penstockd', '-f', daemon.folder / 'penstock.yaml'], stderr=writer) as daemon.process:
        os.close(writer)
        try:
            daemon.wait_ready()
            idle = peers.Wire(daemon)  # waited for for 300 ms: the time to fill the pipe
            daemon.process.send_signal(signal.SIGUSR2)
            text = b''
            while b'nobody is accepted' not in text:
                text += log.read(65536)
            pipe_fill(filler)
            lab.wait_for(lambda: waits_in(daemon, 'penstockd', WRITE_TO_STDERR))
            daemon.process.send_signal(signal.SIGTERM)
            lab.wait_for(lambda: waits_in(daemon, 'signals', FUTEX))
            rest = []
            draining = threading.Thread(target=lambda: rest.extend(iter(lambda: log.read(65536), b'')))
            draining.start()
            assert daemon.process.wait(20) == 0 and idle.ends()
        finally:
            daemon.process.kill()
            os.close(filler)
        draining.join()
        text += b''.join(rest)
        assert b'takes over' in text and text.count(b'is ready') == 1


def test_drain_says_what_is_left(tmp_path):
    """drain waits until all is delivered, or says at the deadline what is left by endpoint, with exit code 1."""
    with lab.Target() as target:
        with lab.Daemon(tmp_path / 'd', target.url) as daemon:
            for number in range(5):
                peers.send(daemon, {'number': number})
            found = daemon.ctl_json('drain', '--deadline', '20s')
            assert found['complete'] is True and found['outstanding'] == 0 and found['endpoints'] == []
            assert 'everything is delivered' in daemon.ctl('drain')
    with lab.Daemon(tmp_path / 'e', target=peers.retry(100)) as daemon:
        for number in range(5):
            peers.send(daemon, {'number': number})
        body = b'{"type":"one"}'
        daemon.post('/stripe', lab.stripe(body), body)
        found = daemon.ctl_json('drain', '--deadline', '1s', code=1)
        assert found['complete'] is False and found['outstanding'] == 6 and found['waited_ms'] >= 1000
        assert found['endpoints'] == [{'endpoint': 'github', 'outstanding': 5},
                                      {'endpoint': 'stripe', 'outstanding': 1}]
        text = daemon.ctl('drain', '--deadline', '1s', code=1)
        assert '6 deliveries are left' in text and 'github' in text
        began = time.monotonic()
        waiting = subprocess.Popen([lab.BUILD / 'penstockctl', '--socket', daemon.folder / 'control.sock', 'drain',
                                    '--deadline', '10m'], stdout=subprocess.DEVNULL)
        time.sleep(0.2)
        daemon.ctl('stop')
        assert waiting.wait(20) == 1 and time.monotonic() - began < 20, 'a drain holds up a stop'
