# SPDX-License-Identifier: GPL-2.0-or-later
"""What systemd is told: ready, reloading, stopping, and that all threads are alive.

Question answered: would systemd know in time that a thread hangs, and never be told that all is well meanwhile?
"""
import contextlib
import os
import re
import signal
import socket
import time

import pytest

import lab
import peers

WATCHDOG_US = 800000


class Systemd:
    """The other end of $NOTIFY_SOCKET."""

    def __init__(self, folder):
        self.path = str(folder / 'notify')
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.setblocking(False)
        self.messages = []

    def environment(self, **more):
        kept = {name: value for name, value in os.environ.items() if not name.startswith('WATCHDOG')}
        return {**kept, 'NOTIFY_SOCKET': self.path, **more}

    def read(self):
        """All that came so far, a datagram each."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.messages.append(self.socket.recv(4096).decode())
        return self.messages

    def wait(self, text, after=0):
        return lab.wait_for(lambda: [one for one in self.read()[after:] if text in one])[0]

    def beats(self, seconds):
        """How many WATCHDOG=1 come within that time."""
        before = self.read().count('WATCHDOG=1')
        time.sleep(seconds)
        return self.read().count('WATCHDOG=1') - before


@pytest.fixture
def systemd(tmp_path):
    made = Systemd(tmp_path)
    yield made
    made.socket.close()


def test_ready_and_stopping(tmp_path, systemd):
    """READY=1 comes once, when requests are answered; STOPPING=1 with the time that draining may take."""
    daemon = lab.Daemon(tmp_path / 'd', more='drain_timeout: 100s')
    daemon.start(env=systemd.environment())
    systemd.wait('READY=1')
    assert daemon.get('/readyz')[0] == 200
    assert systemd.messages.count('READY=1') == 1
    assert systemd.wait('STATUS=ready') == 'STATUS=ready: configuration 1, 4 endpoints, 1 targets'
    assert not [one for one in systemd.read() if 'WATCHDOG' in one], 'nobody has asked for it'
    daemon.ctl('drain')
    systemd.wait('STATUS=draining')
    daemon.stop()
    stopping = systemd.wait('STOPPING=1')
    assert 'EXTEND_TIMEOUT_USEC=160000000' in stopping.splitlines()


@pytest.mark.parametrize('text,code', [('', None), ('nonsense: 1', 'PS1002'), ('x: [', 'PS1004'), (
    'drain_timeout: 1d', 'PS1105')], ids=['right', 'unknown-key', 'syntax', 'range'])
def test_reloading(tmp_path, systemd, text, code):
    """A reload is announced with its time and ended with READY=1, once each, by signal or by penstockctl, also when the
    file is wrong."""
    with lab.Daemon(tmp_path / 'd') as daemon:
        daemon.stop()
        daemon.start(env=systemd.environment())
        systemd.wait('READY=1')
        daemon.configure(more=text)
        for ask in (lambda: daemon.process.send_signal(signal.SIGHUP),
                    lambda: daemon.ctl('reload', code=os.EX_CONFIG if code else os.EX_OK)):
            generation = daemon.ctl_json('status')['config']['generation']
            count = len(systemd.read())
            before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            ask()
            reloading = systemd.wait('RELOADING=1', count)
            systemd.wait('READY=1', count)
            when = int(re.search(r'^MONOTONIC_USEC=(\d+)$', reloading, re.MULTILINE)[1])
            assert before <= when <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            came = [one.split('=')[0] for one in systemd.read()[count:]]
            assert came == ['RELOADING', 'STATUS', 'READY']
            assert f'configuration {generation if code else generation + 1},' in systemd.wait('STATUS=', count)
            assert code is None or code in daemon.log()


def test_reloading_one_that_waits_for_its_confirmation(tmp_path, systemd):
    """Announced and ended too when it is refused before the file is looked at, and when nobody asked for it: the time to
    confirm is over."""
    with lab.Daemon(tmp_path / 'd') as daemon:
        daemon.stop()
        daemon.start(env=systemd.environment())
        systemd.wait('READY=1')
        count = len(systemd.read())
        daemon.ctl('reload', '--confirm-within', '2s')
        daemon.ctl('reload', code=os.EX_TEMPFAIL)
        systemd.wait('STATUS=ready: configuration 4,', count)
        lab.wait_for(lambda: systemd.read()[-1] == 'READY=1')
        came = [one.split('=')[0] for one in systemd.read()[count:]]
        assert came == 3 * ['RELOADING', 'STATUS', 'READY']
        assert 'was not confirmed in time' in daemon.log()


def test_watchdog(tmp_path, systemd):
    """With WATCHDOG_USEC set WATCHDOG=1 comes several times in that interval, idle or not, until the end."""
    daemon = lab.Daemon(tmp_path / 'd', cpus='[0, 1]')
    daemon.start(env=systemd.environment(WATCHDOG_USEC=str(WATCHDOG_US)))
    systemd.wait('WATCHDOG=1')
    lab.wait_for(lambda: systemd.beats(1.6) >= 4)
    daemon.ctl('drain')
    lab.wait_for(lambda: systemd.beats(0.8) >= 2)
    daemon.stop()
    systemd.read()
    assert 'WATCHDOG=1' not in systemd.messages[systemd.messages.index(systemd.wait('STOPPING=1')) + 2:]


def test_watchdog_of_an_upgrade(tmp_path, systemd):
    """While one program gives way to the next nobody can say WATCHDOG=1: systemd is told to wait for as long as for a
    start, and the unit's own interval once the next one can."""
    with lab.Daemon(tmp_path / 'd') as daemon:
        daemon.stop()
        daemon.start(env=systemd.environment(WATCHDOG_USEC=str(WATCHDOG_US)))
        systemd.wait('WATCHDOG=1')
        count = len(systemd.read())
        daemon.ctl('upgrade')
        systemd.wait('READY=1', count)
        lab.wait_for(lambda: systemd.beats(1) >= 2)
        came = [one for one in systemd.messages[count:] if 'WATCHDOG' in one]
        longer, own = came.index('WATCHDOG_USEC=300000000'), came.index(f'WATCHDOG_USEC={WATCHDOG_US}')
        assert longer < own
        assert set(came[own + 1:]) == {'WATCHDOG=1'}


@pytest.mark.parametrize('pid', ['1', 'nonsense'])
def test_watchdog_of_another_process(tmp_path, systemd, pid):
    """WATCHDOG_PID names another process, or none: the watchdog is not for us."""
    daemon = lab.Daemon(tmp_path / 'd')
    daemon.start(env=systemd.environment(WATCHDOG_USEC=str(WATCHDOG_US), WATCHDOG_PID=pid))
    systemd.wait('READY=1')
    assert systemd.beats(1) == 0
    daemon.stop()


@contextlib.contextmanager
def stuck(daemon, name):
    """One thread stands still, the others go on."""
    thread = peers.thread_stop(daemon, name)
    try:
        yield
    finally:
        assert peers.thread_go(thread)


@pytest.mark.skipif(not peers.is_root(), reason='needs root, to stop one thread of the daemon')
@pytest.mark.parametrize('thread,words', [('control', 'the control thread'), ('worker-0', 'worker 0'),
                                          ('worker-1', 'worker 1')])
def test_watchdog_misses_a_thread(tmp_path, systemd, thread, words):
    """When any one of them hangs WATCHDOG=1 ends, log and status say which; when it goes on, so does WATCHDOG=1."""
    daemon = lab.Daemon(tmp_path / 'd', cpus='[0, 1]')
    daemon.start(env=systemd.environment(WATCHDOG_USEC=str(WATCHDOG_US)))
    systemd.wait('WATCHDOG=1')
    with stuck(daemon, thread):
        assert words in systemd.wait('STATUS=stalled')
        assert systemd.beats(1.2) == 0
        assert f'watchdog: {words} does not answer' in daemon.log()
        assert daemon.log().count('does not answer') == 1, 'said once'
    count = len(systemd.read())
    systemd.wait('STATUS=ready', count)
    lab.wait_for(lambda: systemd.beats(1.6) >= 4)
    assert 'all threads answer again' in daemon.log()
    daemon.stop()


def test_systemd_that_has_gone(tmp_path, systemd):
    """Nobody at the socket any more: the daemon goes on."""
    daemon = lab.Daemon(tmp_path / 'd')
    daemon.start(env=systemd.environment(WATCHDOG_USEC=str(WATCHDOG_US)))
    os.unlink(systemd.path)
    time.sleep(0.5)
    daemon.ctl('reload')
    daemon.stop()
