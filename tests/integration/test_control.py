# SPDX-License-Identifier: GPL-2.0-or-later
"""The control socket: every command, who may use it, what monitoring reads.

Question answered: can an operator and his scripts see and do what the help says, and nobody else anything?
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

import lab
import peers


@pytest.fixture(scope='module', name='daemon')
def fixture_daemon(tmp_path_factory):
    """A daemon with a delivered event, a dead one and one that waits for its next try."""
    with lab.Target() as good, lab.Target(lambda _: 500) as bad:
        lines = peers.target_line('dying', bad.url, peers.retry(2)) + peers.target_line(
            'waiting', bad.url, peers.retry(9, '60s', '60s'))
        endpoints = peers.endpoint_line('dying', ['dying']) + peers.endpoint_line('waiting', ['waiting'])
        with lab.Daemon(tmp_path_factory.mktemp('control') / 'd', good.url, targets=lines, endpoints=endpoints,
                        cpus='[0, 1]') as daemon:
            daemon.events = {
                'delivered': ('app', peers.send(daemon, b'{"good":"\\u00fc\\u202e"}')),
                'dead': ('dying', peers.send(daemon, b'\0\x1b[31mred', '/dying')),
                'retry': ('waiting', peers.send(daemon, b'waiting', '/waiting')),
            }
            for state, (target, event) in daemon.events.items():
                peers.wait_state(daemon, event, state, target)
            yield daemon


def commands(daemon):
    event, dead = daemon.events['delivered'][1], daemon.events['dead'][1]
    return [
        ['status'], ['ledger'], ['ledger', '--limit', '2'], ['ledger', '--check'], ['endpoints'], ['endpoints', '--limit', '2'], ['targets'], ['targets', '--limit', 'all'],
        ['events', 'list'], ['events', 'list', '--limit', '1'], ['events', 'list', '--limit', 'all'],
        ['events', 'list', '--endpoint', 'github'], ['events', 'list', '--state', 'dead'],
        ['events', 'list', '--state', 'retry', '--endpoint', 'waiting'], ['events', 'show', event],
        ['events', 'show', dead], ['attempts', event], ['attempts', dead, '--target', 'dying'], ['dlq', 'list'],
        ['dlq', 'list', '--target', 'dying', '--limit', '5'], ['dlq', 'show', dead], ['audit', 'verify'], ['version'],
        ['config', 'check', str(daemon.folder / 'penstock.yaml')], ['reload'],
    ]


def test_every_command_answers_people_and_programs(daemon):
    """Every command exits 0, speaks to people without control characters, and to programs in one JSON object a line."""
    for command in commands(daemon):
        text = daemon.ctl(*command)
        assert text.strip(), command
        assert not re.search(r'[\x00-\x08\x0b-\x1f\x7f]', text), (command, text)
        for line in daemon.ctl('--json', *command).splitlines():
            assert json.loads(line)['schema'].startswith('penstock.'), command


def test_help_for_every_command():
    """Every command that the overview names has a help of its own, which is not an error."""
    ctl = lab.BUILD / 'penstockctl'
    overview = subprocess.check_output([ctl, '--help'], text=True)
    names = re.findall(r'^  ([a-z]+(?: [a-z]+)?)(?: \[?[A-Z.]+\]?)? {2,}', overview.split('Options:')[0], re.M)
    assert len(names) >= 15
    for name in names:
        for arguments in (['help', *name.split()], [*name.split(), '--help']):
            done = subprocess.run([ctl, *arguments], capture_output=True, text=True, check=False)
            assert done.returncode == 0 and name.split()[0] in done.stdout, arguments


def test_payload_is_byte_for_byte(daemon, tmp_path):
    """`events payload` gives the bytes that the provider sent, to standard output or into a file."""
    event = daemon.events['dead'][1]
    command = [lab.BUILD / 'penstockctl', '--socket', daemon.folder / 'control.sock', 'events', 'payload', event]
    assert subprocess.check_output(command) == b'\0\x1b[31mred'
    subprocess.run([*command, '--output', tmp_path / 'payload'], check=True)
    assert (tmp_path / 'payload').read_bytes() == b'\0\x1b[31mred'


def test_paging_through_events(tmp_path):
    """`events list` walks through both shards, newest first, without a gap or a double, while more come in."""
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url, cpus='[0, 1]') as daemon:
        peers.flood(daemon, '/github', 230)
        first = daemon.ctl_json('events', 'list', '--limit', '100')
        assert len(first['events']) == 100 and first['next_before']
        peers.send(daemon, {'while': 'paging'})
        rest, before = [], first['next_before']
        while before:
            text = peers.subprocess.check_output(
                ['curl', '-sS', '--unix-socket', daemon.folder / 'control.sock',
                 f'http://penstock/v1/events?limit=60&before={before}'], text=True)
            rest.append(json.loads(text))
            before = rest[-1]['next_before']
        rows = [one for page in [first, *rest] for one in page['events']]
        assert len(rows) == len({one['id'] for one in rows}) == 230
        assert [one['received'] for one in rows] == sorted((one['received'] for one in rows), reverse=True)
        lines = daemon.ctl('--json', 'events', 'list', '--limit', 'all').splitlines()
        assert sum(len(json.loads(line)['events']) for line in lines) == 231


@pytest.mark.parametrize('arguments,code', [
    (['nonsense'], os.EX_USAGE), (['events'], os.EX_USAGE), (['events', 'lst'], os.EX_USAGE),
    (['status', 'extra'], os.EX_USAGE), (['--nonsense', 'status'], os.EX_USAGE), (['events', 'show'], os.EX_USAGE),
    (['events', 'show', 'evt_nonsense'], os.EX_DATAERR), (['attempts', 'x'], os.EX_DATAERR),
    (['events', 'show', 'evt_' + '0' * 26], os.EX_NOINPUT), (['dlq', 'show', 'evt_' + '0' * 26], os.EX_NOINPUT),
    (['events', 'list', '--state', 'lost'], os.EX_USAGE), (['events', 'list', '--endpoint', 'nobody'], os.EX_NOINPUT),
    (['events', 'list', '--limit', '0'], os.EX_USAGE), (['events', 'list', '--limit', '-1'], os.EX_USAGE),
    (['dlq', 'replay'], os.EX_USAGE), (['dlq', 'replay', '--all'], os.EX_USAGE),
    (['dlq', 'list', '--target', 'nobody'], os.EX_NOINPUT), (['config', 'check', '/nonexistent'], os.EX_NOINPUT),
], ids=lambda value: ' '.join(value) or 'nothing' if isinstance(value, list) else '')
def test_wrong_commands(daemon, arguments, code):
    """What is wrong exits with its own code and a sentence on standard error, and nothing on standard output."""
    done = subprocess.run([lab.BUILD / 'penstockctl', '--socket', daemon.folder / 'control.sock', *arguments],
                          capture_output=True, text=True, check=False)
    assert done.returncode == code, done
    assert done.stderr.strip() and not done.stdout


def test_misspelt_commands_get_a_suggestion(daemon):
    """A misspelt command or option is answered with the nearest one there is."""
    for wrong, right in ((['stauts'], 'status'), (['events', 'shwo', 'x'], 'show'), (['status', '--jsn'], '--json')):
        done = subprocess.run([lab.BUILD / 'penstockctl', '--socket', daemon.folder / 'control.sock', *wrong],
                              capture_output=True, text=True, check=False)
        assert done.returncode == os.EX_USAGE and 'did you mean' in done.stderr and right in done.stderr


def test_no_daemon(tmp_path):
    """Without a daemon commands exit 69, name the socket, and say how to start one; in JSON, too."""
    for path in (tmp_path / 'none.sock', tmp_path / 'stale.sock'):
        if 'stale' in path.name:
            lab.socket.socket(lab.socket.AF_UNIX).bind(str(path))
        for arguments in (['status'], ['dlq', 'list'], ['reload']):
            command = [lab.BUILD / 'penstockctl', '--socket', path, *arguments]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == os.EX_UNAVAILABLE
            assert 'not running' in done.stderr and str(path) in done.stderr and 'penstockd' in done.stderr
            done = subprocess.run([*command, '--json'], capture_output=True, text=True, check=False)
            assert done.returncode == os.EX_UNAVAILABLE and json.loads(done.stdout)['code'] == 'not_running'


def test_a_daemon_that_hangs(tmp_path):
    """A daemon that does not answer is given up after --timeout, with exit code 75."""
    with lab.Daemon(tmp_path / 'd') as daemon:
        daemon.process.send_signal(lab.signal.SIGSTOP)
        try:
            done = subprocess.run([lab.BUILD / 'penstockctl', '--socket', daemon.folder / 'control.sock', '--timeout',
                                   '1', 'status'], capture_output=True, text=True, timeout=10, check=False)
            assert done.returncode == os.EX_TEMPFAIL and 'does not answer' in done.stderr
        finally:
            daemon.process.send_signal(lab.signal.SIGCONT)


@peers.needs('curl')
def test_curl_over_the_socket(daemon):
    """Everything is plain HTTP over a Unix socket: curl reads the list of routes and each of them."""
    def get(path, *options, seconds=20):
        done = subprocess.run(['curl', '-sS', '-w', '\n%{http_code}', '--max-time', str(seconds), '--unix-socket',
                               daemon.folder / 'control.sock', *options, f'http://penstock{path}'],
                              capture_output=True, check=False)
        assert done.returncode == (28 if path == '/v1/tail' else 0), done.stderr  # a tail has no end of its own
        return done.stdout.rsplit(b'\n', 1)
    routes = json.loads(get('/v1')[0])['routes']
    assert len(routes) >= 19
    for route in routes:
        if route['method'] == 'GET' and 'payload' not in route['path']:
            seconds = 1 if route['path'] == '/v1/tail' else 20
            body, code = get(route['path'].replace('{id}', daemon.events['dead'][1]), seconds=seconds)
            assert code == b'200', route
            assert body.startswith((b'{', b'ok', b'#')) or b'ready' in body, (route, body[:100])
    body, code = get('/v1/stop')
    assert code == b'405' and json.loads(body)['code'] == 'method_not_allowed'
    assert get('/nonsense')[1] == b'404'
    assert get('/v1/events?limit=x')[1] == b'400'
    assert get('/v1/events?nonsense=1')[1] == b'400'
    assert get('/v1/reload', '-d', 'body')[1] == b'413'


# ---- Who may --------------------------------------------------------------------------------------------------------

@pytest.fixture(scope='module', name='shared')
def fixture_shared():
    """A daemon whose socket others can reach: group nogroup may read, www-data is an admin."""
    if not peers.is_root() or not shutil.which('setpriv'):
        pytest.skip('needs root and setpriv, to be somebody else')
    if not all(folder.stat().st_mode & 1 for folder in (lab.BUILD / 'penstockctl').parents):
        pytest.skip('others cannot run the program here')
    folder = pathlib.Path(tempfile.mkdtemp(prefix='penstock-'))
    folder.chmod(0o755)
    with lab.Target() as target:
        with lab.Daemon(folder, target.url, control=', group: nogroup, admins: [www-data], operators: [games]') as daemon:
            daemon.event = peers.send(daemon, {'shared': 1})
            peers.settled(daemon)
            yield daemon
    shutil.rmtree(folder)


def run_as(daemon, user, group, *arguments):
    return subprocess.run(['setpriv', f'--reuid={user}', f'--regid={group}', '--clear-groups',
                           lab.BUILD / 'penstockctl', '--socket', daemon.folder / 'control.sock', *arguments],
                          capture_output=True, text=True, timeout=30, check=False)


def test_readers_read(shared):
    """A member of control.group reads all but payloads and answers, and changes nothing."""
    for command in (['status'], ['events', 'list'], ['events', 'show', shared.event], ['targets'], ['audit', 'verify']):
        assert run_as(shared, 'nobody', 'nogroup', *command).returncode == 0, command
    assert json.loads(run_as(shared, 'nobody', 'nogroup', 'version', '--json').stdout)['role'] == 'read'
    found = json.loads(run_as(shared, 'nobody', 'nogroup', 'events', 'show', shared.event, '--json').stdout)
    assert found['deliveries'][0]['attempts'][0]['excerpt'] is None
    for command in (['events', 'payload', shared.event], ['reload'], ['drain'], ['stop'],
                    ['dlq', 'replay', '--all', '--expect', '0']):
        done = run_as(shared, 'nobody', 'nogroup', *command)
        assert done.returncode == os.EX_NOPERM, command
        assert not done.stdout
        role, key = ('admin', 'control.admins') if command[0] in ('events', 'stop') else ('operate', 'control.operators')
        assert f'needs the role {role}' in done.stderr and key in done.stderr
    assert shared.get('/readyz')[0] == 200


def test_admins_change(shared):
    """A user in control.admins may change things, and needs no group to open the socket."""
    assert json.loads(run_as(shared, 'www-data', 'www-data', 'version', '--json').stdout)['role'] == 'admin'
    assert run_as(shared, 'www-data', 'www-data', 'reload').returncode == 0
    assert run_as(shared, 'www-data', 'www-data', 'events', 'payload', shared.event).returncode == 0
    assert 'by="www-data uid 33' in shared.log()
    newest = shared.ctl_json('audit', 'actions', '--limit', '1')['actions'][0]
    assert newest['action'] == 'reload' and newest['actor'].startswith('www-data uid 33 pid ')
    assert newest['text'].startswith('generation ')
    assert 'www-data uid 33' in shared.ctl('audit', 'actions')


def test_every_change_is_in_the_audit_log(tmp_path):
    """Reload, confirm, rollback, upgrade, drain: each an entry, in the order they were asked for, after the program has
    changed, too."""
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url) as daemon:
        daemon.configure(more='log: { level: info }')
        daemon.ctl('reload', '--confirm-within', '1m')
        daemon.ctl('confirm')
        daemon.ctl('rollback')
        daemon.ctl('reload')  # an upgrade begins with the file, which says what was gone back from
        daemon.ctl('upgrade')
        daemon.ctl('drain', '--deadline', '7s')
        actions = daemon.ctl_json('audit', 'actions')['actions']
        assert [one['number'] for one in actions] == [6, 5, 4, 3, 2, 1]
        assert all(one['actor'].startswith('root uid 0 pid ') for one in actions)
        found = [(one['action'], one['text'].rstrip('0123456789.')) for one in reversed(actions)]
        assert found[0] == ('reload', 'generation ') and found[1] == ('reload', 'confirmed, generation ')
        assert found[2] == ('reload', 'rolled back, generation ') and found[5] == ('drain', 'deadline 7 s')
        assert actions[1]['action'] == 'upgrade' and actions[1]['text'].startswith('from version ')
        assert daemon.audit_verify()['valid'] is True


def test_operators_operate(shared):
    """A user in control.operators reads, replays and reloads, and is told what he would need for more."""
    assert json.loads(run_as(shared, 'games', 'games', 'version', '--json').stdout)['role'] == 'operate'
    assert run_as(shared, 'games', 'games', 'reload').returncode == 0
    assert run_as(shared, 'games', 'games', 'dlq', 'replay', '--all', '--expect', '0').returncode == 0
    for command in (['events', 'payload', shared.event], ['stop']):
        done = run_as(shared, 'games', 'games', *command)
        assert done.returncode == os.EX_NOPERM and not done.stdout
        assert 'user games, uid 5 has operate' in done.stderr and 'control.admins' in done.stderr
        problem = json.loads(run_as(shared, 'games', 'games', '--json', *command).stdout)
        assert problem['code'] == 'role_missing' and problem['role'] == 'admin' and problem['fix']


def test_others_get_nothing(shared):
    """A user who is neither is refused by the socket's mode, with a sentence that says who may."""
    done = run_as(shared, 'daemon', 'daemon', 'status')
    assert done.returncode == os.EX_NOPERM and 'control.group' in done.stderr and not done.stdout


def test_others_who_get_through_are_known_by_the_kernel(shared):
    """Even with the socket open to all, a user without a role is told nothing: the kernel says who he is."""
    path = shared.folder / 'control.sock'
    mode = path.stat().st_mode & 0o777
    path.chmod(0o666)
    try:
        for command in (['status'], ['events', 'list'], ['reload'], ['stop']):
            done = run_as(shared, 'daemon', 'daemon', *command)
            assert done.returncode == os.EX_NOPERM and 'user 1 ' in done.stderr and not done.stdout
    finally:
        path.chmod(mode)


def test_socket_is_closed_to_others_by_default(tmp_path):
    """Without control.group the socket is its owner's alone."""
    with lab.Daemon(tmp_path / 'd') as daemon:
        assert (daemon.folder / 'control.sock').stat().st_mode & 0o777 == 0o600


def test_second_daemon_on_the_same_socket_is_refused(tmp_path):
    """A second daemon with the same control socket is refused, and the first still answers."""
    with lab.Daemon(tmp_path / 'first') as first:
        second = lab.Daemon(tmp_path / 'second')
        file = tmp_path / 'second' / 'penstock.yaml'
        file.write_text(file.read_text().replace('socket: control.sock', f'socket: {first.folder}/control.sock'))
        second.start(wait=False)
        assert second.process.wait(20) == os.EX_UNAVAILABLE
        assert 'another penstockd answers there' in second.log()
        first.ctl('status')


def test_stale_socket_is_replaced(tmp_path):
    """A socket left behind by a killed daemon does not keep the next one from starting."""
    with lab.Daemon(tmp_path / 'd') as daemon:
        daemon.kill()
        assert (daemon.folder / 'control.sock').exists()
        daemon.start()
        daemon.ctl('status')


# ---- Monitoring -----------------------------------------------------------------------------------------------------

SAMPLE = re.compile(r'^([a-z_]+)(\{(?:[a-z_]+="(?:[^"\\]|\\.)*",?)*\})? (-?[0-9.e+-]+|[+-]Inf|NaN)$')


def test_metrics_are_well_formed(daemon):
    """Every line of /metrics parses, every family has HELP and TYPE before it, and every series is there once."""
    status, text = daemon.get('/metrics')
    assert status == 200 and text.endswith('\n')
    types, helps, seen = {}, set(), set()
    for line in text.splitlines():
        if line.startswith('# HELP '):
            helps.add(line.split()[2])
        elif line.startswith('# TYPE '):
            _, _, name, kind = line.split()
            assert name in helps and name not in types and kind in ('counter', 'gauge', 'histogram'), line
            types[name] = kind
        else:
            found = SAMPLE.match(line)
            assert found, line
            name = found[1]
            family = name if name in types else re.sub(r'_(bucket|sum|count)$', '', name)
            assert family in types, line
            assert types[family] != 'counter' or family.endswith('_total'), family
            assert (found[1], found[2]) not in seen, line
            seen.add((found[1], found[2]))
            assert types[family] == 'gauge' or float(found[3]) >= 0
    assert len(types) > 40


def test_histograms_add_up(daemon):
    """The buckets of a histogram rise, and the last one, +Inf, is its count."""
    series = {}
    for line in daemon.get('/metrics')[1].splitlines():
        found = re.match(r'^(\w+)_bucket\{(.*,)?le="([^"]+)"\} (\d+)', line)
        if found:
            series.setdefault((found[1], found[2]), []).append((float(found[3].replace('+Inf', 'inf')), int(found[4])))
    assert len(series) >= 4
    for (name, labels), buckets in series.items():
        assert buckets == sorted(buckets) and buckets[-1][0] == float('inf'), name
        assert [count for _, count in buckets] == sorted(count for _, count in buckets)
        assert daemon.metric(name + '_count') >= buckets[-1][1] > 0 or 'dwell' in name, (name, labels)


@peers.needs('promtool')
def test_promtool_is_pleased(daemon):
    """promtool finds nothing wrong with the metrics."""
    done = subprocess.run(['promtool', 'check', 'metrics'], input=daemon.get('/metrics')[1], text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done


def test_metrics_agree_with_status(daemon):
    """Counters, gauges and `status` tell the same story."""
    found = peers.totals(daemon)
    assert daemon.metric('penstock_events_accepted_total') == found['events_accepted'] == 3
    assert daemon.metric('penstock_dead_letters') == found['deliveries_dead'] == 1
    assert daemon.metric('penstock_deliveries_outstanding') == found['deliveries_outstanding'] == 1
    assert daemon.metric('penstock_attempts_total') == found['attempts']
    assert daemon.metric('penstock_audit_leaves_total') == found['audit_leaves'] >= 7
    assert daemon.metric('penstock_config_generation') == daemon.ctl_json('status')['config']['generation']


def test_health_and_readiness(daemon):
    """/healthz and /readyz answer 200; nothing else but /metrics is on that listener."""
    assert daemon.get('/healthz')[0] == daemon.get('/readyz')[0] == 200
    for path in ('/v1/status', '/v1/events', '/v1/events/' + daemon.events['dead'][1] + '/payload', '/v1/stop'):
        assert daemon.get(path)[0] in (403, 405)
    assert daemon.get('/')[0] == daemon.get('/nonsense')[0] == 404


def test_metrics_stay_up_under_many_clients(daemon):
    """More silent scrapers than there are slots do not keep an operator out, and leave nothing behind."""
    with lab.contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(lab.socket.create_connection(('127.0.0.1', daemon.metrics_port), 5))
        daemon.ctl('status')
    lab.wait_for(lambda: daemon.get('/metrics')[0] == 200)


def test_the_log_and_status_hold_no_secret(daemon):
    """No secret is in the log, in metrics, or in what any command says."""
    texts = [daemon.log(), daemon.get('/metrics')[1]] + [daemon.ctl('--json', *command) for command in commands(daemon)]
    for secret in (lab.GITHUB_SECRET, lab.STANDARD_SECRET, lab.STRIPE_SECRET, lab.ZEN_SECRET, lab.APP_SECRET):
        assert not [text for text in texts if secret in text or secret.removeprefix('whsec_') in text]
