# SPDX-License-Identifier: GPL-2.0-or-later
"""What a daemon does without being asked to, counted and not timed.

Question answered: does an event take no memory that was not taken at the start, and does an idle daemon sleep?
"""
import pathlib
import time

import lab
import peers

# wolfSSL's own, for an event in and out over TLS: none for a record that came in one piece. This is for those that did
# not, and for connections that are opened meanwhile.
TLS_ALLOCATIONS_PER_EVENT_MAX = 0.25
WAKE_UPS_PER_SECOND_MAX = 5


def trusting():
    """The setting of a target whose certificate is from the lab's authority."""
    return f', ca_file: {lab.certificates()}/ca.pem'


class Counter:
    """Reads the counts of allocations, knowing that a reading makes some, too."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.readings = 0
        first = self.read()['allocations']['penstock']
        self.cost = self.read()['allocations']['penstock'] - first
        assert self.read()['allocations']['penstock'] - first == 2 * self.cost, 'readings differ in what they take'

    def read(self):
        self.readings += 1
        return self.daemon.ctl_json('status')

    def until(self, events):
        """A reading when so many have been delivered; none of its own allocations in `own`."""
        found = lab.wait_for(lambda: (status := self.read())['totals']['deliveries_delivered'] >= events and status)
        return {'own': found['allocations']['penstock'] - self.readings * self.cost, 'tls': found['allocations']['tls'],
                'events': found['totals']['deliveries_delivered']}


def test_events_allocate_nothing(tmp_path):
    """Thousands of events in and out over warm TLS connections: not one allocation of our own, next to none of
    wolfSSL's."""
    sink = lab.free_port()
    # Few connections: a moment in which the machine stands still must not lead to more, each with its handshake.
    with lab.Daemon(tmp_path / 'd', f'https://localhost:{sink}/', target=trusting() + ', connections: 4') as daemon:
        counter = Counter(daemon)
        bench = peers.load(daemon, sink, '--rate', 2500, '--count', 7500, '--connections', 8)
        try:
            before = counter.until(2000)
            after = counter.until(before['events'] + 3000)
            assert bench.wait(60) == 0, lab.ledger(daemon)
        finally:
            bench.kill()
        events = after['events'] - before['events']
        assert events >= 3000, (before, after)
        assert after['own'] == before['own'], (before, after)
        assert after['tls'] - before['tls'] <= events * TLS_ALLOCATIONS_PER_EVENT_MAX, (before, after)
        assert daemon.metric('penstock_allocations_total') > 0
        assert daemon.metric('penstock_tls_allocations_total') >= after['tls']


def wake_ups(process):
    """How often any of its threads has gone to sleep so far."""
    total = 0
    for status in pathlib.Path(f'/proc/{process.pid}/task').glob('*/status'):
        total += int(status.read_text().split('voluntary_ctxt_switches:')[1].split()[0])
    return total


def test_idle_daemon_sleeps(tmp_path):
    """A daemon that has served and been left alone, clients and targets still connected, wakes up fewer than five times
    a second for each of its workers."""
    workers, seconds = 2, 5
    with lab.Target(tls=True) as target, \
            lab.Daemon(tmp_path / 'd', target.url, target=trusting(), cpus='[0, 1]') as daemon, \
            peers.Wire(daemon) as wire:
        body = b'{"then":"nothing"}'
        wire.send(peers.request('/github', lab.github(body), body))
        assert wire.answer().status == 200
        assert peers.settled(daemon)['deliveries_delivered'] == 1
        time.sleep(2)  # the checkpoint of what came last
        before = wake_ups(daemon.process)
        time.sleep(seconds)
        assert wake_ups(daemon.process) - before < WAKE_UPS_PER_SECOND_MAX * seconds * workers
