# SPDX-License-Identifier: GPL-2.0-or-later
"""Dead letters: what nobody would take, how an operator sees it and gives it another chance.

Question answered: does every delivery end, delivered or visibly dead, and can a dead one be brought back at any time?
"""
import json

import pytest

import lab
import peers


@pytest.fixture(name='bad')
def fixture_bad():
    """A target that refuses until `bad.good` is set."""
    with lab.Target(lambda _: 200 if target.good else 503) as target:
        target.good = False
        yield target


def test_exhausted_attempts_are_a_dead_letter(tmp_path, bad):
    """After its last attempt an event is a dead letter that list, show, status and metrics tell of."""
    with lab.Daemon(tmp_path / 'd', bad.url, target=peers.retry(3)) as daemon:
        event = peers.send(daemon, {'dead': 1})
        found = peers.wait_state(daemon, event, 'dead')
        assert [one['outcome'] for one in found] == ['retry', 'retry', 'dead']
        listing = daemon.ctl_json('dlq', 'list')
        assert listing['count'] == 1 and [one['event'] for one in listing['dead']] == [event]
        one = listing['dead'][0]
        assert (one['target'], one['endpoint'], one['attempt_count'], one['error'], one['status']) == (
            'app', 'github', 3, 'status', 503)
        shown = daemon.ctl_json('dlq', 'show', event)['dead'][0]
        assert [attempt['excerpt'] for attempt in shown['attempts']] == ['answer 0', 'answer 1', 'answer 2']
        for text in (daemon.ctl('dlq', 'list'), daemon.ctl('dlq', 'show', event), daemon.ctl('events', 'show', event)):
            assert event in text and '503' in text
        assert daemon.ctl_json('events', 'list', '--state', 'dead')['events'][0]['id'] == event
        assert daemon.metric('penstock_dead_letters') == 1
        assert daemon.metric('penstock_deliveries_dead_total', target='app') == 1
        assert len(bad.deliveries) == 3


def test_replay_delivers(tmp_path, bad):
    """A replayed dead letter gets a fresh budget, is delivered, and its life shows both."""
    with lab.Daemon(tmp_path / 'd', bad.url, target=peers.retry(2)) as daemon:
        event = peers.send(daemon, {'replay': 1})
        peers.wait_state(daemon, event, 'dead')
        assert daemon.ctl_json('dlq', 'replay', event)['replayed'] == 1
        lab.wait_for(lambda: len(bad.deliveries) == 4)
        peers.wait_state(daemon, event, 'dead')
        bad.good = True
        daemon.ctl('dlq', 'replay', event)
        found = peers.wait_state(daemon, event, 'delivered')
        assert [one['number'] for one in found] == [1, 2, 3, 4, 5]
        assert len({headers['X-Zen-Delivery-Idempotency-Key'] for _, _, headers, _ in bad.deliveries}) == 1
        assert daemon.ctl_json('dlq', 'list')['count'] == 0
        assert peers.totals(daemon)['dead_replayed'] == 2
        assert 'not_dead' in daemon.ctl('--json', 'dlq', 'replay', event, code=66)
        assert daemon.audit_verify()['valid'] is True


def test_replay_of_many_wants_a_number(tmp_path, bad):
    """Replaying a target's or all dead letters needs their number, does nothing on another, and delivers each once."""
    with lab.Daemon(tmp_path / 'd', bad.url, target=peers.retry(1), cpus='[0, 1]') as daemon:
        peers.flood(daemon, '/github', 300)
        lab.wait_for(lambda: peers.totals(daemon)['deliveries_dead'] == 300)
        bad.good = True
        refused = daemon.ctl_json('dlq', 'replay', '--all', '--expect', '299', code=65)
        assert (refused['code'], refused['count']) == ('expectation_differs', 300)
        daemon.ctl('dlq', 'replay', '--all', code=64)
        daemon.ctl('dlq', 'replay', '--target', 'nobody', '--expect', '300', code=66)
        assert peers.totals(daemon)['deliveries_dead'] == 300
        found = daemon.ctl_json('dlq', 'replay', '--target', 'app', '--expect', '300')
        assert (found['replayed'], found['complete']) == (300, True)
        assert peers.settled(daemon)['deliveries_delivered'] == 300
        taken = [headers['webhook-id'] for _, _, headers, _ in bad.deliveries[300:]]
        assert len(taken) == len(set(taken)) == 300
        assert daemon.ctl_json('dlq', 'list')['count'] == 0


def test_dead_letters_survive_restarts(tmp_path, bad):
    """Dead letters are there after an orderly restart and after kill -9, and can be replayed then."""
    daemon = lab.Daemon(tmp_path / 'd', bad.url, target=peers.retry(1))
    with daemon:
        event = peers.send(daemon, {'survives': 1})
        peers.wait_state(daemon, event, 'dead')
        daemon.stop()
        daemon.start()
        assert daemon.ctl_json('dlq', 'list')['count'] == 1
        daemon.kill()
        daemon.start()
        assert daemon.ctl_json('dlq', 'list')['dead'][0]['event'] == event
        bad.good = True
        daemon.ctl('dlq', 'replay', event)
        peers.wait_state(daemon, event, 'delivered')


def test_paging_through_dead_letters(tmp_path, bad):
    """`--limit` and its cursor walk through dead letters of two shards without a gap or a double."""
    with lab.Daemon(tmp_path / 'd', bad.url, target=peers.retry(1), cpus='[0, 1]') as daemon:
        peers.flood(daemon, '/github', 120)
        lab.wait_for(lambda: peers.totals(daemon)['deliveries_dead'] == 120)
        assert len(daemon.ctl_json('dlq', 'list', '--limit', '7')['dead']) == 7
        pages = [json.loads(line) for line in daemon.ctl('--json', 'dlq', 'list', '--limit', 'all').splitlines()]
        rows = [one['event'] for page in pages for one in page['dead']]
        assert len(rows) == len(set(rows)) == 120
        assert daemon.ctl('dlq', 'list', '--limit', 'all').count('evt_') == 120


@pytest.mark.parametrize('how', ['reload', 'restart'])
def test_removed_target_makes_dead_letters(tmp_path, bad, how):
    """When a target leaves the configuration its pending events become dead, visibly, and do not stay stuck."""
    lines = peers.target_line('leaving', bad.url, peers.retry(50, '2s', '3s'))
    with lab.Target() as good:
        lines += peers.target_line('staying', good.url)
        with lab.Daemon(tmp_path / 'd', good.url, targets=lines,
                        endpoints=peers.endpoint_line('both', ['leaving', 'staying'])) as daemon:
            events = [peers.send(daemon, b'%d' % number, '/both') for number in range(5)]
            for event in events:
                peers.wait_state(daemon, event, 'retry', 'leaving')
            daemon.configure(targets=peers.target_line('staying', good.url),
                             endpoints=peers.endpoint_line('both', ['staying']))
            if how == 'reload':
                daemon.ctl('reload')
            else:
                daemon.stop()
                daemon.start()
            for event in events:
                found = peers.wait_state(daemon, event, 'dead', 'leaving')
                assert (found[-1]['outcome'], found[-1]['error']) == ('dead', 'target_removed')
                assert peers.delivery_state(daemon, event, 'staying') == 'delivered'
            assert peers.settled(daemon)['deliveries_dead'] == 5
            assert daemon.ctl_json('dlq', 'list', '--target', 'leaving')['count'] == 5
            # It comes back under its name: what was parked can be delivered after all.
            bad.good = True
            daemon.configure(targets=peers.target_line('staying', good.url) + peers.target_line('leaving', bad.url))
            daemon.ctl('reload')
            daemon.ctl('dlq', 'replay', '--target', 'leaving', '--expect', '5')
            for event in events:
                peers.wait_state(daemon, event, 'delivered', 'leaving')


def test_target_that_moves_takes_its_events_along(tmp_path, bad):
    """A target whose URL changes by reload gets its waiting events at the new one."""
    with lab.Target() as good, lab.Daemon(tmp_path / 'd', bad.url, target=peers.retry(50)) as daemon:
        event = peers.send(daemon, {'moves': 1})
        lab.wait_for(lambda: len(bad.deliveries) >= 2)
        daemon.configure(target_url=good.url)
        daemon.ctl('reload')
        peers.wait_state(daemon, event, 'delivered')
        assert len(good.deliveries) == 1


def test_endpoint_without_targets_keeps_its_events(tmp_path):
    """An endpoint with `targets: []` takes events in; they can be looked at and are not stuck."""
    with lab.Daemon(tmp_path / 'd', endpoints=peers.endpoint_line('kept', [])) as daemon:
        event = peers.send(daemon, {'kept': 1}, '/kept')
        assert daemon.ctl('events', 'payload', event) == '{"kept": 1}'
        assert daemon.ctl_json('events', 'show', event)['deliveries'] == []
        assert peers.totals(daemon)['deliveries_outstanding'] == 0
        daemon.ctl('events', 'show', event)
