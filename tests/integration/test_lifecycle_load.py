# SPDX-License-Identifier: GPL-2.0-or-later
"""Reloads, upgrades, drains and starts while events come in over TLS at most of what the host takes.

Question answered: does a provider ever see a refused connection or a failed request, and is every event delivered once?

`make test-lifecycle` does 50 reloads, 10 upgrades, 10 drains with starts; `make test` a few of each.
"""
import contextlib
import json
import os
import random
import shutil
import time

import lab
import peers
import test_listeners

FULL = bool(os.environ.get('PENSTOCK_LIFECYCLE'))
RELOADS, UPGRADES, DRAINS = (50, 10, 10) if FULL else (9, 2, 2)
# From one to the next.
PAUSE_S = 0.4 if FULL else 0.1


def rate_of(daemon, sink):
    """80 % of what a closed loop reaches with deliveries."""
    out = daemon.folder / 'closed.json'
    assert peers.load(daemon, sink, '--duration', 3, '--connections', 16, json_file=out).wait(90) == 0
    return max(50, int(0.8 * json.loads(out.read_text())['acked'] / 3))


class Rounds:
    """The daemon, and what has been done to it."""

    def __init__(self, folder, sink):
        self.sink = sink
        self.app = f', ca_file: {lab.certificates()}/ca.pem'
        self.daemon = lab.Daemon(folder, f'https://localhost:{sink}/hooks', target=self.app + peers.retry(20),
                                 cpus='[0, 1]', more='drain_timeout: 20s', store=', replay_entries: 4194304')
        self.daemon.secret('other', 'another-secret')
        self.file = folder / 'penstock.yaml'
        self.extra = lab.free_port()
        self.random = random.Random(4711)
        self.done = {'reloads': 0, 'refused reloads': 0, 'rollbacks': 0, 'upgrades': 0, 'drains': 0}
        # As the service manager does: the sockets are there before the daemon and after it.
        self.held = [socket for port in (self.daemon.port, self.daemon.plain_port)
                     for socket in test_listeners.listening(port, 2)]

    def start(self):
        test_listeners.start_with(self.daemon, self.held, ['unknown'] * len(self.held))

    # ---- Changes that are right ----

    def endpoints(self, number):
        self.daemon.configure(endpoints=peers.endpoint_line(f'more{number}', ['app', f'to{number}']),
                              targets=peers.target_line(f'to{number}', 'http://127.0.0.1:1/'))

    def target(self, number):
        self.daemon.configure(target=self.app + peers.retry(20 + number % 7) + f', connections: {32 + number % 9}')

    def certificate(self, _number):
        text = self.file.read_text()
        old, new = ('/server.', '/server-rsa.') if '/server.' in text else ('/server-rsa.', '/server.')
        self.file.write_text(text.replace(old, new))

    def secret(self, number):
        more = ', previous_secret_file: secrets/other'
        self.daemon.configure(endpoint=more if self.daemon.settings['endpoint'] != more else f', tolerance: {60 + number}s')

    def listeners(self, _number):
        there = self.daemon.settings['listeners'] != ''
        self.daemon.configure(listeners='' if there else test_listeners.listener(self.extra))

    def limits(self, number):
        self.daemon.configure(endpoint=f', body_size: {100 + number}KiB')

    # ---- Changes that are wrong ----

    def nonsense(self, _number):
        self.file.write_text(self.file.read_text() + 'nonsense: {{\n')

    def no_secret(self, _number):
        self.file.write_text(self.file.read_text().replace('secrets/stripe', 'secrets/nowhere'))

    def taken_address(self, _number):
        self.daemon.configure(listeners=test_listeners.listener(self.sink))

    def reload(self, number):
        good = (self.endpoints, self.target, self.certificate, self.secret, self.listeners, self.limits)
        bad = (self.nonsense, self.no_secret, self.taken_address)
        before = self.generation()
        if number % 3 == 2:
            kept, settings = self.file.read_text(), dict(self.daemon.settings)
            bad[number // 3 % len(bad)](number)
            self.daemon.ctl('reload', code=os.EX_CONFIG)
            assert self.generation() == before
            self.file.write_text(kept)
            self.daemon.settings = settings
            self.done['refused reloads'] += 1
            return
        good[(number - number // 3) % len(good)](number)
        if number % 10 == 0:
            self.daemon.ctl('reload', '--confirm-within', '1m')
            self.daemon.ctl('rollback')
            assert self.generation() == before + 2
            self.done['rollbacks'] += 1
        self.daemon.ctl('reload')
        assert self.generation() > before
        self.done['reloads'] += 1

    def upgrade(self):
        began = time.monotonic()
        self.daemon.ctl('upgrade')
        self.done['slowest upgrade ms'] = max(self.done.get('slowest upgrade ms', 0),
                                              round((time.monotonic() - began) * 1000))
        self.done['upgrades'] += 1

    def drain(self):
        self.daemon.ctl('drain', '--deadline', '30s')
        self.daemon.ctl('stop')
        assert self.daemon.process.wait(60) == 0
        self.start()
        self.done['drains'] += 1

    def generation(self):
        return self.daemon.ctl_json('status')['config']['generation']


def some_more(daemon, load, count):
    """So many events. A metric begins anew with each process."""
    before = daemon.metric('penstock_events_accepted_total')
    lab.wait_for(lambda: daemon.metric('penstock_events_accepted_total') > before + count, 60)
    assert load.poll() is None


def test_nobody_notices(tmp_path):
    """No refused connection, no failed request, every event delivered, and once; refused reloads changed nothing."""
    sink = lab.free_port()
    rounds = Rounds(tmp_path / 'd', sink)
    daemon = rounds.daemon
    rounds.start()
    try:
        rate = rate_of(daemon, sink)
        load = peers.load(daemon, sink, '--connections', 32, '--rate', rate, '--duration', 600, '--drain', 60)
        began = time.monotonic()
        try:
            some_more(daemon, load, rate * PAUSE_S)
            steps = [lambda number=number: rounds.reload(number) for number in range(RELOADS)]
            for step in [rounds.upgrade] * UPGRADES + [rounds.drain] * DRAINS:
                steps.insert(rounds.random.randrange(len(steps)), step)
            for step in steps:
                step()
                some_more(daemon, load, rate * PAUSE_S)
            seconds = time.monotonic() - began
            load.terminate()
            code = load.wait(120)
        finally:
            load.kill()
        found = lab.ledger(daemon)
        print(found.get('ack'), found.get('end_to_end'))
        print(json.dumps({'rate': rate, 'seconds': round(seconds), **rounds.done, **{
            key: found[key] for key in ('sent', 'acked', 'delivered', 'errors', 'refused_503', 'rejected',
                                        'duplicate', 'retries')}}))
        assert code == 0 and found['clean'] is True, found
        assert found['errors'] == found['rejected'] == found['unknown'] == found['refused_503'] == 0, found
        assert found['acked'] == found['delivered'] == found['sent'], found
        assert found['lost'] == found['duplicate'] == found['retries'] == 0, found
        assert peers.settled(daemon)['deliveries_dead'] == 0
        assert daemon.audit_verify()['valid'] is True
        daemon.stop()
    finally:
        daemon.process.kill()
        shutil.rmtree(daemon.folder / 'store')
        for one in rounds.held:
            with contextlib.suppress(OSError):
                one.close()
