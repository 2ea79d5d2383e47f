# SPDX-License-Identifier: GPL-2.0-or-later
"""Generations of the configuration: what changed, to be confirmed, gone back from, remembered.

Question answered: can an operator try a configuration without being locked into it, and see afterwards who did what?
"""
import json
import os
import signal
import stat
import time

import lab
import peers


def status(daemon, path):
    body = os.urandom(8)
    return daemon.post(path, lab.github(body), body, tls=False)[0]


def generation(daemon):
    return daemon.ctl_json('status')['config']['generation']


def history(daemon):
    return daemon.ctl_json('history')['generations']


def more(*names):
    return '\n'.join(peers.endpoint_line(name, ['app']) for name in names)


def test_what_changed_is_said(tmp_path):
    """A reload's answer names what came, went and changed, and files that were written anew; never a value."""
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url) as daemon:
        assert daemon.ctl_json('reload')['changes'] == []
        daemon.configure(endpoints=more('more'), endpoint=', tolerance: 77s')
        assert daemon.ctl_json('reload')['changes'] == ['endpoint github: tolerance', 'endpoint more: added']
        daemon.secret('github', 'another-secret')
        daemon.configure(endpoints='')
        found = daemon.ctl('reload')
        assert 'endpoint github: files written anew' in found and 'endpoint more: removed' in found
        assert 'another-secret' not in found and 'nothing has changed' in daemon.ctl('reload')


def test_unconfirmed_comes_back_by_itself(tmp_path):
    """What is not confirmed in time is gone back from, logged, and in the history; until then no other is loaded."""
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url) as daemon:
        daemon.configure(endpoints=more('tried'))
        found = daemon.ctl_json('reload', '--confirm-within', '2s')
        assert found['generation'] == 2 and found['confirm_before']
        assert status(daemon, '/tried') == 200
        assert json.loads(daemon.ctl('--json', 'reload', code=os.EX_TEMPFAIL))['code'] == 'unconfirmed'
        lab.wait_for(lambda: generation(daemon) == 3)
        assert status(daemon, '/tried') == 404 and status(daemon, '/github') == 200
        assert 'was not confirmed in time' in daemon.log()
        rows = history(daemon)
        assert [row['result'] for row in rows] == ['served', 'refused', 'rolled back', 'served']
        assert [row['kind'] for row in rows] == ['expire', 'reload', 'reload', 'start']
        assert rows[0]['text_of'] == rows[3]['generation'] == 1
        assert f'uid {os.getuid()} ' in rows[2]['by'] and rows[2]['changes'] == 'endpoint tried: added'
        assert daemon.metric('penstock_config_generation') == 3
        daemon.ctl('confirm', code=os.EX_TEMPFAIL)


def test_time_to_confirm_is_not_cut(tmp_path):
    """Whichever part of a second it begins in: what may be confirmed within 1 s may be after 0.8 s."""
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url) as daemon:
        for number in range(4):
            daemon.configure(endpoints=more(f'tried-{number}'))
            daemon.ctl('reload', '--confirm-within', '1s')
            time.sleep(0.8)
            assert f'generation {number + 2} stays' in daemon.ctl('confirm')


def test_confirmed_stays(tmp_path):
    """What was confirmed is still there when the time is over."""
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url) as daemon:
        daemon.configure(endpoints=more('tried'))
        daemon.ctl('reload', '--confirm-within', '5s')
        assert 'generation 2 stays' in daemon.ctl('confirm')
        daemon.configure(endpoints=more('tried', 'other'))
        daemon.ctl('reload', '--confirm-within', '1s')
        lab.wait_for(lambda: generation(daemon) == 4)
        assert status(daemon, '/tried') == 200 and status(daemon, '/other') == 404
        assert [row['result'] for row in history(daemon)] == ['served', 'rolled back', 'confirmed', 'served']


def test_restart_before_the_confirmation(tmp_path):
    """A start serves what the file says, and says so of a generation that nobody has confirmed."""
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url) as daemon:
        daemon.configure(endpoints=more('tried'))
        daemon.ctl('reload', '--confirm-within', '2s')
        daemon.kill()
        daemon.start()
        assert 'generation=2 was still to be confirmed' in daemon.log()
        assert status(daemon, '/tried') == 200 and generation(daemon) == 3
        daemon.ctl('confirm', code=os.EX_TEMPFAIL)


def test_rollback_and_restart(tmp_path):
    """rollback serves the text before, twice is back again, a number any that is kept; numbers, rows and texts outlive
    a restart, which begins with the file."""
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url) as daemon:
        daemon.configure(endpoints=more('one'))
        daemon.ctl('reload')
        daemon.configure(endpoints=more('two'))
        daemon.ctl('reload')
        found = daemon.ctl_json('rollback')
        assert found['generation'] == 4 and found['changes'] == ['endpoint one: added', 'endpoint two: removed']
        assert status(daemon, '/one') == 200 and status(daemon, '/two') == 404
        daemon.ctl('rollback')
        assert status(daemon, '/two') == 200
        daemon.ctl('rollback', '1')
        assert status(daemon, '/one') == status(daemon, '/two') == 404
        assert json.loads(daemon.ctl('--json', 'rollback', '99', code=os.EX_NOINPUT))['code'] == 'no_such_generation'
        folder = tmp_path / 'd' / 'store' / 'generations'
        assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in folder.iterdir())
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        daemon.stop()
        (folder / 'history').write_text((folder / 'history').read_text() + 'damaged\n')
        daemon.start()
        assert generation(daemon) == 7 and status(daemon, '/two') == 200
        assert len(history(daemon)) == 8 and 'a damaged row is left out' in daemon.log()
        daemon.ctl('rollback', '2')
        assert status(daemon, '/one') == 200


def test_refused_is_remembered(tmp_path):
    """A refused reload is in the history with its place, by whomever; the generation before stays."""
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url) as daemon:
        daemon.configure(more='nonsense: 1')
        daemon.ctl('reload', code=os.EX_CONFIG)
        daemon.process.send_signal(signal.SIGHUP)
        lab.wait_for(lambda: len(history(daemon)) == 3)
        rows = history(daemon)
        line = (tmp_path / 'd' / 'penstock.yaml').read_text().splitlines().index('nonsense: 1') + 1
        for row in rows[:2]:
            assert row['generation'] == 1 and row['result'] == 'refused' and row['changes'].startswith(f'{line}:1: PS')
        assert rows[0]['by'] == 'SIGHUP' and generation(daemon) == 1


def test_no_way_back_no_trial(tmp_path):
    """When the text in force could not be kept nothing could come back: a generation to be confirmed is refused."""
    with lab.Target() as target:
        daemon = lab.Daemon(tmp_path / 'd', target.url)
        (tmp_path / 'd' / 'store').mkdir(mode=0o700)
        (tmp_path / 'd' / 'store' / 'generations').touch()
        with daemon:
            daemon.configure(endpoints=more('tried'))
            found = json.loads(daemon.ctl('--json', 'reload', '--confirm-within', '60s', code=os.EX_NOINPUT))
            assert found['code'] == 'no_such_generation' and 'text of generation 1 is not kept' in found['detail']
            assert status(daemon, '/tried') == 404
            daemon.ctl('reload')
            assert status(daemon, '/tried') == 200


def test_history_is_bounded(tmp_path):
    """A hundred rows and ten texts are kept, however many generations there were."""
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url) as daemon:
        for number in range(105):
            daemon.configure(more=f'drain_timeout: {number + 1}s')
            daemon.ctl('reload')
        assert len(history(daemon)) == 50 and len(daemon.ctl_json('history', '--limit', '1000')['generations']) == 100
        texts = list((tmp_path / 'd' / 'store' / 'generations').glob('*.yaml'))
        assert len(texts) == 10
        assert json.loads(daemon.ctl('--json', 'rollback', '50', code=os.EX_NOINPUT))['code'] == 'no_such_generation'
        daemon.ctl('rollback', '100')
