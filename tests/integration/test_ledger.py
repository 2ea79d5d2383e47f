# SPDX-License-Identifier: GPL-2.0-or-later
"""The ledger of a live daemon: what became of all deliveries, by endpoint.

Question answered: does it add up, whenever the process dies, and does everybody say the same numbers?
"""
import contextlib
import http.client
import itertools
import random
import threading
import time

import pytest

import lab
import peers

KILLS = 6
PLACES = ('delivered', 'pending', 'parked')


def ledger(daemon):
    """Endpoint → its account; the totals as 'totals'. Everything adds up."""
    found = daemon.ctl_json('ledger')
    accounts = {row['name']: row for row in found['endpoints']}
    assert found['balanced'] is True and all(row['balanced'] for row in accounts.values()), found
    for account in [*accounts.values(), found['totals']]:
        assert account['accepted'] == sum(account[place] for place in PLACES), found
    for place in ('accepted', *PLACES):
        assert found['totals'][place] == sum(account[place] for account in accounts.values()), found
    return {**accounts, 'totals': found['totals']}


def counted(daemon):
    """The count of the rows agrees; what it found."""
    found = daemon.ctl_json('ledger', '--check')
    assert found['balanced'] is True and found['wrong'] == 0 and found['totals_agree'] is True, found
    return found


class Sender(threading.Thread):
    """Sends one event after the other, to one path and the other, whatever becomes of the daemon."""

    def __init__(self, daemon, paths):
        super().__init__(daemon=True)
        self.daemon_sent_to, self.paths = daemon, paths
        self.acked = dict.fromkeys(paths, 0)
        self.unknown = dict.fromkeys(paths, 0)
        self.stopping = threading.Event()

    def run(self):
        for number, path in zip(itertools.count(), itertools.cycle(self.paths)):
            if self.stopping.is_set():
                return
            body = f'{path} {number}'.encode()
            try:
                status, _, _ = self.daemon_sent_to.post(path, lab.github(body), body, tls=False)
                self.acked[path] += status == 200
            except (OSError, http.client.HTTPException):
                # Refused, or died before or after the commit.
                self.unknown[path] += 1
                time.sleep(0.01)


@pytest.fixture(name='daemon')
def fixture_daemon(tmp_path):
    """Endpoint `two` delivers to a target that takes everything and one that takes nothing; `one` to the first."""
    with lab.Target() as good, lab.Target(lambda _: 500) as bad, contextlib.ExitStack() as stack:
        daemon = lab.Daemon(
            tmp_path / 'd', good.url, cpus='[0, 1]',
            targets=peers.target_line('dying', bad.url, peers.retry(2, '20ms', '40ms')) +
            peers.target_line('waiting', bad.url, peers.retry(9, '600s', '600s')),
            endpoints=peers.endpoint_line('two', ['app', 'dying']) + peers.endpoint_line('one', ['app']) +
            peers.endpoint_line('later', ['waiting']))
        daemon.bad = bad
        yield stack.enter_context(daemon)


def test_it_balances_whenever_the_process_dies(daemon):
    """Events keep coming while the daemon is killed again and again."""
    later = [peers.send(daemon, b'later', '/later')]
    sender = Sender(daemon, ['/one', '/two'])
    rng = random.Random(7)
    sender.start()
    for _ in range(KILLS):
        time.sleep(rng.uniform(0.05, 0.4))
        daemon.kill()
        daemon.start()
        ledger(daemon)
        counted(daemon)
    sender.stopping.set()
    sender.join(30)
    lab.wait_for(lambda: ledger(daemon)['totals']['pending'] == len(later))

    found, totals = ledger(daemon), peers.totals(daemon)
    for path, targets in (('/one', 1), ('/two', 2)):
        accepted = found[path[1:]]['accepted']
        assert accepted % targets == 0
        # What was acknowledged is in it, and what nobody knows may be.
        assert sender.acked[path] <= accepted // targets <= sender.acked[path] + sender.unknown[path]
        assert sender.acked[path] > KILLS
    assert found['two']['parked'] == found['two']['delivered'] == found['two']['accepted'] / 2
    assert found['one']['parked'] == 0 and found['later']['pending'] == 1
    assert totals['deliveries_created'] == found['totals']['accepted']
    assert totals['deliveries_delivered'] == found['totals']['delivered']
    assert totals['deliveries_dead'] == found['totals']['parked'] == counted(daemon)['parked']

    # A dead letter that a person replays is pending again, and parked again when nobody takes it.
    daemon.ctl('dlq', 'replay', '--all', '--expect', str(found['two']['parked']))
    lab.wait_for(lambda: ledger(daemon)['two'] == found['two'])
    daemon.stop()
    daemon.start()
    assert ledger(daemon) == found
    counted(daemon)


def test_people_and_prometheus_see_the_same(daemon):
    """The table, the totals below it, and the series."""
    for path in ('/one', '/two', '/two', '/later'):
        peers.send(daemon, path.encode() + str(time.monotonic()).encode(), path)
    lab.wait_for(lambda: ledger(daemon)['totals'] == {'accepted': 6, 'delivered': 3, 'pending': 1, 'parked': 2})
    text = daemon.ctl('ledger')
    assert 'ENDPOINT' in text and text.endswith('6 accepted = 3 delivered + 1 pending + 2 parked\n'), text
    assert daemon.ctl('ledger', '--check') == 'counted again: 1 pending, 2 parked: balanced\n'
    rows = daemon.ctl('ledger', '--limit', '1')
    assert 'later' in rows and 'two' not in rows and 'there are more' in rows
    for name, account in ledger(daemon).items():
        labels = {} if name == 'totals' else {'endpoint': name}
        for place in ('accepted', *PLACES):
            suffix = '_total' if place in ('accepted', 'delivered') else ''
            assert daemon.metric(f'penstock_ledger_{place}_deliveries{suffix}', **labels) == account[place]
    assert daemon.metric('penstock_ledger_balanced') == 1


def test_an_endpoint_that_was_removed_keeps_its_account(daemon):
    """By its name for people; for Prometheus, whose series are bounded, all of them are one."""
    peers.send(daemon, b'one', '/one')
    lab.wait_for(lambda: ledger(daemon)['one']['delivered'] == 1)
    daemon.configure(endpoints=peers.endpoint_line('later', ['waiting']))
    daemon.ctl('reload')
    assert ledger(daemon)['one']['delivered'] == 1
    assert daemon.metric('penstock_ledger_delivered_deliveries_total', endpoint='one') == 0
    assert daemon.metric('penstock_ledger_delivered_deliveries_total', endpoint='_removed') == 1
