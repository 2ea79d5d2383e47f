# SPDX-License-Identifier: GPL-2.0-or-later
"""kill -9, again and again, with a ledger outside the daemon that must balance in the end.

Question answered: is every acknowledged event delivered, whatever instant the process dies at?
"""
import random
import time

import lab

ROUNDS = 60


def test_killed_sixty_times_nothing_acknowledged_is_lost(tmp_path):
    """One run of events from four providers, with attacks, over sixty lives of the daemon."""
    sink = lab.free_port()
    retry = ', ca_file: %s/ca.pem, retry: { attempts: 100, base: 200ms, max: 500ms }' % lab.certificates()
    daemon = lab.Daemon(tmp_path / 'd', f'https://localhost:{sink}/hooks', target=retry, cpus='[0, 1]')
    rng = random.Random(20261122)
    daemon.start()
    load = lab.bench(daemon, 'run', '--listen', f'127.0.0.1:{sink}',
                     '--sink-certificate', lab.CERTIFICATES / 'server.pem',
                     '--sink-key', lab.CERTIFICATES / 'server.key', '--sink-secret', daemon.folder / 'secrets/app',
                     '--connections', 16, '--rate', 600, '--duration', 600, '--drain', 60,
                     '--forged', 20, '--stale', 20, '--replay', 20)
    try:
        for _ in range(ROUNDS):
            time.sleep(rng.uniform(0.02, 0.8))
            assert load.poll() is None, 'the load ended early'
            daemon.kill()
            daemon.start()
        load.terminate()  # finishes: what is under way, then the drain
        code = load.wait(120)
    finally:
        load.kill()
    found = lab.ledger(daemon)
    summary = {name: found[name] for name in (
        'scheduled', 'sent', 'acked', 'rejected', 'unknown', 'delivered', 'pending', 'duplicate', 'lost', 'corrupt',
        'phantom', 'forged_accepted', 'stale_accepted', 'replay_sent', 'replay_delivered')}
    print(summary)
    assert code == 0, summary
    assert found['acked'] > 50 * ROUNDS, 'too little load to mean anything'
    assert found['acked'] == found['delivered'] and found['lost'] == 0, summary
    assert found['rejected'] == 0 and found['corrupt'] == 0 and found['phantom'] == 0, summary
    assert found['forged_sent'] > 0 and found['forged_accepted'] == 0, summary
    assert found['stale_sent'] > 0 and found['stale_accepted'] == 0, summary
    assert found['replay_sent'] > 0 and found['replay_delivered'] == 0, summary
    report = daemon.audit_verify()
    assert report['valid'] is True, report
    counted = daemon.ctl_json('ledger', '--check')
    assert counted['balanced'] is True and counted['pending'] == counted['parked'] == 0, counted
    assert daemon.ctl_json('ledger')['totals']['delivered'] >= found['acked']
    daemon.stop()
