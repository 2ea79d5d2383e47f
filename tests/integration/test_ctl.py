# SPDX-License-Identifier: GPL-2.0-or-later
"""penstockctl against a running penstockd, as an operator and his scripts use it.

Questions answered: does every command say what is true, in both forms; are the exit codes the promised ones; is what
may not be seen not shown?
"""
import json
import os
import re
import shutil
import socket
import subprocess
import uuid

import pytest

import lab

EX_NEGATIVE, EX_USAGE, EX_DATAERR, EX_NOINPUT, EX_UNAVAILABLE, EX_TEMPFAIL, EX_CONFIG = 1, 64, 65, 66, 69, 75, 78
BODY = b'{"text": "only the payload route shows this"}'


def post(daemon, body=BODY):
    status, answer, _ = daemon.post('/standard', lab.standard(body, f'msg_{uuid.uuid4()}'), body)
    assert status in (200, 202), answer
    return daemon.ctl_json('events', 'list', '--limit', '1')['events'][0]['id']


def run(daemon, *arguments, **environment):
    return subprocess.run([lab.BUILD / 'penstockctl', '--socket', daemon.folder / 'control.sock', *arguments],
                          capture_output=True, text=True, timeout=60, env={**os.environ, **environment}, check=False)


@pytest.fixture(name='daemon')
def fixture_daemon(tmp_path):
    """Its target answers 500 until `good` is set; two tries, quickly."""
    state = {'good': False}
    with lab.Target(lambda number: 200 if state['good'] else 500) as target:
        retry = ', retry: { attempts: 2, base: 20ms, max: 40ms }'
        with lab.Daemon(tmp_path / 'd', target.url + '/secret-in-the-path', target=retry) as daemon:
            daemon.state = state
            yield daemon


def dead(daemon, count):
    lab.wait_for(lambda: daemon.ctl_json('status')['totals']['deliveries_dead'] == count)


def test_status_in_both_forms(daemon):
    post(daemon)
    dead(daemon, 1)
    status = daemon.ctl_json('status')
    assert status['schema'] == 'penstock.status/v1' and status['state'] == 'ready'
    assert status['totals']['events_accepted'] == 1 and status['totals']['attempts'] == 2
    assert status['latencies']['ack']['count'] == 1
    text = daemon.ctl('status')
    assert 'is ready' in text and '1 accepted' in text and '1 dead' in text
    assert '\x1b' not in text


def test_endpoints_and_targets(daemon):
    post(daemon)
    dead(daemon, 1)
    rows = {row['name']: row for row in daemon.ctl_json('endpoints')['endpoints']}
    assert rows['standard']['counters']['accepted'] == 1 and rows['github']['counters']['accepted'] == 0
    target = daemon.ctl_json('targets')['targets'][0]
    assert target['counters']['dead'] == 1 and target['signed'] is True
    assert 'secret-in-the-path' not in daemon.ctl('--json', 'targets') + daemon.ctl('targets')
    assert 'standard' in daemon.ctl('endpoints')


def test_life_of_an_event(daemon):
    event = post(daemon)
    dead(daemon, 1)
    shown = daemon.ctl_json('events', 'show', event)
    assert shown['id'] == event and shown['endpoint'] == 'standard' and shown['payload_size'] == len(BODY)
    attempts = shown['deliveries'][0]['attempts']
    assert [one['status'] for one in attempts] == [500, 500]
    assert [one['outcome'] for one in attempts] == ['retry', 'dead']
    text = daemon.ctl('events', 'show', event)
    assert re.search(r'● .* received, verified with the current secret\n● .* committed .*\n└─ app\n.*#1', text)
    assert 'dead' in text
    assert daemon.ctl_json('attempts', event)['deliveries'][0]['attempts'] == attempts
    assert 'only the payload' not in text + json.dumps(shown)

    assert daemon.ctl('events', 'payload', event).encode() == BODY
    daemon.ctl('events', 'payload', event, '--output', daemon.folder / 'payload')
    assert (daemon.folder / 'payload').read_bytes() == BODY


def test_list_pages_and_filters(daemon):
    events = [post(daemon) for _ in range(5)]
    dead(daemon, 5)
    listed = daemon.ctl_json('events', 'list')
    assert [row['id'] for row in listed['events']] == events[::-1]
    assert len(daemon.ctl_json('events', 'list', '--limit', '2')['events']) == 2
    assert 'there are older ones' in daemon.ctl('events', 'list', '--limit', '2')
    assert len(daemon.ctl_json('events', 'list', '--state', 'dead', '--endpoint', 'standard')['events']) == 5
    assert daemon.ctl_json('events', 'list', '--state', 'delivered')['events'] == []
    assert daemon.ctl_json('events', 'list', '--endpoint', 'github')['events'] == []
    assert daemon.ctl('events', 'list').count('dead app') == 5


def test_dead_letters_are_replayed(daemon):
    first = post(daemon)
    for _ in range(3):
        post(daemon)
    dead(daemon, 4)
    assert daemon.ctl_json('dlq', 'list')['count'] == 4
    assert daemon.ctl('dlq', 'list').count('answered 500') == 4
    assert daemon.ctl_json('dlq', 'show', first)['dead'][0]['attempt_count'] == 2
    refused = daemon.ctl_json('dlq', 'replay', '--all', '--expect', '3', code=EX_DATAERR)
    assert refused['code'] == 'expectation_differs' and refused['count'] == 4
    daemon.ctl('dlq', 'replay', '--all', code=EX_USAGE)

    daemon.state['good'] = True
    assert daemon.ctl_json('dlq', 'replay', first)['replayed'] == 1
    dead(daemon, 3)
    lab.wait_for(lambda: daemon.ctl_json('events', 'show', first)['deliveries'][0]['state'] == 'delivered')
    assert 'replayed 3' in daemon.ctl('dlq', 'replay', '--target', 'app', '--expect', '3')
    lab.wait_for(lambda: daemon.ctl_json('status')['totals']['deliveries_delivered'] == 4)
    daemon.ctl('dlq', 'replay', first, code=EX_NOINPUT)


def test_audit_log_verifies(daemon):
    for _ in range(3):
        post(daemon)
    dead(daemon, 3)
    summary = daemon.audit_verify()
    assert summary['kind'] == 'summary' and summary['valid'] is True and summary['leaf_count'] == 9
    assert 'the audit log is whole: 9 leaves' in daemon.ctl('audit', 'verify')


def test_reload(daemon):
    assert 'generation 2' in daemon.ctl('reload')
    daemon.configure(endpoint=', scheme: nonsense')
    refused = daemon.ctl_json('reload', code=EX_CONFIG)
    assert refused['code'] == 'config_invalid' and refused['report']['diagnostics']
    assert 'error[PS' in run(daemon, 'reload').stderr
    assert daemon.ctl_json('status')['config']['generation'] == 2
    assert 'the last reload was refused' in daemon.ctl('status')
    assert daemon.metric('penstock_config_last_reload_successful') == 0
    daemon.configure(endpoint='')
    assert daemon.ctl_json('reload')['schema'] == 'penstock.reload/v1'
    assert daemon.metric('penstock_config_last_reload_successful') == 1


def test_drain_and_stop(daemon):
    assert daemon.get('/readyz')[0] == 200
    assert 'draining' in daemon.ctl('drain')
    assert daemon.get('/readyz')[0] == 503 and daemon.get('/healthz')[0] == 200
    daemon.ctl('stop')
    assert daemon.process.wait(30) == 0
    assert not (daemon.folder / 'control.sock').exists()


def test_config_check(daemon):
    path = daemon.folder / 'penstock.yaml'
    assert 'is right' in daemon.ctl('config', 'check', path)
    daemon.configure(endpoint=', scheme: nonsense')
    report = daemon.ctl_json('config', 'check', path, code=EX_CONFIG)
    assert report['schema'] == 'penstock.diagnostics/v1' and report['errors'] > 0
    assert f'{path}:' in run(daemon, 'config', 'check', path).stderr


def test_config_check_of_a_missing_file(tmp_path):
    for path in (tmp_path / 'nowhere.yaml', tmp_path):
        done = subprocess.run([lab.BUILD / 'penstockctl', 'config', 'check', path], capture_output=True, text=True,
                              timeout=20, check=False)
        assert done.returncode == EX_NOINPUT and f'{path}: error[PS1001]' in done.stderr and not done.stdout


def test_no_command_is_wrong_usage():
    for arguments in ((), ('--socket', '/tmp/x')):
        done = subprocess.run([lab.BUILD / 'penstockctl', *arguments], capture_output=True, text=True, timeout=20,
                              check=False)
        assert done.returncode == EX_USAGE and 'penstockctl' in done.stderr and not done.stdout
    done = subprocess.run([lab.BUILD / 'penstockctl', '--socket', '/tmp/x', 'help'], capture_output=True, text=True,
                          timeout=20, check=False)
    assert done.returncode == 0 and done.stdout and not done.stderr


def test_errors_have_codes(daemon):
    event = post(daemon)
    other = event[:-1] + ('1' if event[-1] != '1' else '2')
    assert daemon.ctl_json('events', 'show', other, code=EX_NOINPUT)['code'] == 'no_such_event'
    assert daemon.ctl_json('events', 'show', 'evt_x', code=EX_DATAERR)['code'] == 'bad_event_id'
    assert daemon.ctl_json('events', 'list', '--endpoint', 'x', code=EX_NOINPUT)['code'] == 'no_such_endpoint'
    daemon.ctl('events', 'list', '--limit', '0', code=EX_USAGE)
    assert 'did you mean status?' in run(daemon, 'stauts').stderr


def test_daemon_is_not_running(tmp_path):
    path = tmp_path / 'control.sock'
    for make in (lambda: None, lambda: socket.socket(socket.AF_UNIX).bind(str(path))):
        make()
        done = subprocess.run([lab.BUILD / 'penstockctl', 'status'], capture_output=True, text=True, timeout=20,
                              env={**os.environ, 'PENSTOCK_SOCKET': str(path)}, check=False)
        assert done.returncode == EX_UNAVAILABLE
        assert str(path) in done.stderr and 'start it' in done.stderr
    done = subprocess.run([lab.BUILD / 'penstockctl', '--json', '--socket', path, 'status'], capture_output=True,
                          text=True, timeout=20, check=False)
    assert done.returncode == EX_UNAVAILABLE and json.loads(done.stdout)['code'] == 'not_running'


def test_daemon_that_does_not_answer(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / 's'))
        listener.listen()
        done = subprocess.run([lab.BUILD / 'penstockctl', '--socket', tmp_path / 's', '--timeout', '1', 'status'],
                              capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == EX_TEMPFAIL and 'does not answer' in done.stderr


def test_curl_can_ask_too(daemon):
    if shutil.which('curl') is None:
        pytest.skip('curl is not installed')
    answer = subprocess.run(['curl', '-sS', '--unix-socket', daemon.folder / 'control.sock', 'http://x/v1/version'],
                            capture_output=True, text=True, timeout=20, check=True).stdout
    assert json.loads(answer)['role'] == 'admin'


def test_metrics_please_promtool(daemon):
    post(daemon)
    dead(daemon, 1)
    assert daemon.metric('penstock_events_accepted_total', endpoint='standard') == 1
    assert daemon.metric('penstock_deliveries_dead_total', target='app') == 1
    assert daemon.metric('penstock_dead_letters') == 1
    text = daemon.get('/metrics')[1]
    assert 'http://' not in text and 'evt_' not in text
    if shutil.which('promtool') is None:
        pytest.skip('promtool is not installed')
    done = subprocess.run(['promtool', 'check', 'metrics'], input=text, capture_output=True, text=True, timeout=20,
                          check=False)
    assert done.returncode == 0 and done.stderr == '', done.stderr
