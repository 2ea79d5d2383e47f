# SPDX-License-Identifier: GPL-2.0-or-later
"""A configuration before it is used: penstockctl config, penstockctl explain, penstockd -t.

Questions answered: is every kind of mistake found at its place, with its code and a hint, and does what the hint says put
it right; how far does each level look; do programs get what they need?
"""
import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

import lab

EX_OK, EX_NEGATIVE, EX_USAGE, EX_NOINPUT, EX_UNAVAILABLE, EX_CONFIG = 0, 1, 64, 66, 69, 78

BASE = '''\
listeners:
  - address: 127.0.0.1:PORT
    tls: { certificate: tls/cert.pem, key: tls/key.pem }
endpoints:
  - name: github
    path: /github
    scheme: github
    secret_file: secrets/github
    target: app
  - name: billing
    path: /billing
    scheme: stripe
    secret_file: secrets/stripe
    targets: [app, audit]
targets:
  - name: app
    url: http://127.0.0.1:TARGET/hooks
    secret_file: secrets/app
  - name: audit
    url: http://127.0.0.1:TARGET/events
store: { path: store, quota: 64MiB }
drain_timeout: 30s
log: { level: notice }
'''


@dataclasses.dataclass
class Broken:
    """`was` of BASE becomes `wrong`, in which '^' marks the place to be named; `right` is `wrong` after the hint."""
    was: str
    wrong: str
    code: str
    hint: str
    right: str
    level: str = 'files'
    warning: bool = False

    def __str__(self):
        return self.code + ' ' + re.sub(r'\W+', '-', self.wrong)[:40]


APP = 'secret_file: secrets/app'
LOG = 'log: { level: notice }'
DRAIN = 'drain_timeout: 30s'
STORE = 'store: { path: store, quota: 64MiB }'
TLS = 'tls: { certificate: tls/cert.pem, key: tls/key.pem }'
URL = 'http://127.0.0.1:TARGET/hooks'
GITHUB = 'secret_file: secrets/github'


def after(line, more):
    return f'{line}\n    {more}'


def broken(was, wrong, code, hint, right, **more):
    return Broken(was, wrong, code, hint, right, **more)


FORM = [
    broken(LOG, 'log:\n^\tlevel: notice', 'PS1005', 'indent with spaces', 'log:\n  level: notice'),
    broken(LOG, 'log: { ^levle: notice }', 'PS1002', "did you mean 'level'", LOG),
    broken(DRAIN, '^timeout: 30s', 'PS1002', "'timeout' is a key of 'target'", DRAIN),
    broken(LOG, 'log: { level: notice, ^level: info }', 'PS1008', 'keep one of them', LOG),
    broken(DRAIN, f'{DRAIN}\n^---\nx: y', 'PS1006', "remove the line '---'", DRAIN),
    broken(LOG, 'log: { level: ^&a notice }', 'PS1006', 'write the value out', LOG),
    broken(LOG, 'log: { level: ^!!str notice }', 'PS1006', 'remove it', LOG),
    broken(LOG, 'log: { level: ^"notice }', 'PS1004', 'close quotes', 'log: { level: "notice" }'),
    broken(LOG, 'log:\n  level: notice\n ^x: y', 'PS1004', 'indentation', LOG),
    broken(LOG, 'log: { level: ^@notice }', 'PS1004', 'put the value into quotes', "log: { level: 'notice' }"),
    broken('address: 127.0.0.1:PORT', 'address: ^[::1]:PORT', 'PS1004', "'[::1]:443'", "address: '[::1]:PORT'"),
    broken(LOG, 'log: { level: no^\x07tice }', 'PS1003', 'remove it', LOG),
    broken(LOG, 'log: { level: no^\u202etice }', 'PS1003', 'remove it', LOG),
    broken(LOG, 'log:\n  level: ^|\n    notice', 'PS1003', 'on one line', LOG),
    broken(LOG, 'log:\n  ^level:', 'PS1011', 'leave the key out', ''),
    broken(LOG, 'log: { level: ^' + 8193 * 'x' + ' }', 'PS1007', 'write to the project', LOG),
    broken(LOG, 'log: { level: ^[notice] }', 'PS1010', 'for example level: notice', LOG),
    broken(STORE, 'store: ^store', 'PS1010', 'for example store: { path: ', STORE),
    broken(STORE, 'store: ^{ quota: 64MiB }', 'PS1009', 'for example path: ', STORE),
    broken(STORE, '', 'PS1009', 'for example store: { path: ', STORE),
    broken(LOG, 'workers: { cpus: ^[] }', 'PS1012', 'write an element, or take the key out', 'workers: {}'),
    broken(GITHUB, '^secret: abc', 'PS1013', 'into a file with mode 0600', GITHUB),
    broken(GITHUB, 'secret_file: ^whsec_abc', 'PS1013', 'into a file with mode 0600', GITHUB),
    broken(LOG, 'control: { group: root, admins: [' + ', '.join(f'u{i}' for i in range(64)) + ', ^u64] }', 'PS1014',
           'take elements out', 'control: { group: root, admins: [' + ', '.join(f'u{i}' for i in range(64)) + '] }'),
]

VALUES = [
    broken('name: billing', 'name: ^Billing', 'PS1101', "for example 'billing'", 'name: billing'),
    broken(APP, after(APP, 'connections: ^many'), 'PS1102', 'digits', after(APP, 'connections: 64')),
    broken(APP, after(APP, 'connections: ^1_000'), 'PS1102', '1000', after(APP, 'connections: 1000')),
    broken(DRAIN, 'drain_timeout: ^30', 'PS1103', 'for example 30s', DRAIN),
    broken(DRAIN, 'drain_timeout: ^30sec', 'PS1104', 'write 30s', DRAIN),
    broken(GITHUB, after(GITHUB, 'body_size: ^1MB'), 'PS1104', 'write 1MiB', after(GITHUB, 'body_size: 1MiB')),
    broken(DRAIN, 'drain_timeout: ^2h', 'PS1105', 'inside the range', 'drain_timeout: 1h'),
    broken(LOG, 'log: { level: ^warn }', 'PS1106', "did you mean 'warning'", 'log: { level: warning }'),
    broken(LOG, 'metrics: ^disabled', 'PS1107', 'write on or off', 'metrics: off'),
    broken('address: 127.0.0.1:PORT', 'address: ^localhost:PORT', 'PS1108', 'write 127.0.0.1:',
           'address: 127.0.0.1:PORT'),
    broken(URL, '^127.0.0.1:TARGET/hooks', 'PS1109', 'write https://host/path', URL),
    broken(URL, "^'https://me:pass3@a.example/'", 'PS1109', 'URLs end up in logs', URL),
    broken(URL, "^'http://127.0.0.1:99999/'", 'PS1109', 'https://host/path', URL),
    broken('path: /billing', 'path: ^billing', 'PS1110', "write '/billing'", 'path: /billing'),
    broken('path: /billing', 'path: ^/billing?x=y', 'PS1110', 'leave it out', 'path: /billing'),
    broken(GITHUB, after(GITHUB, 'host: ^https://a.example'), 'PS1111', "without 'https://'",
           after(GITHUB, 'host: a.example')),
    broken(LOG, 'workers: { cpus: ^all }', 'PS1112', 'write auto', 'workers: { cpus: auto }'),
    broken(STORE, 'store: { path: ^~/store }', 'PS1113', 'write the whole path', 'store: { path: /root/store }'),
]

MEANING = [
    broken('name: billing', 'name: ^github', 'PS1201', 'rename one', 'name: billing'),
    broken('path: /billing', 'path: ^/github', 'PS1202', 'change the path', 'path: /billing'),
    broken(LOG, 'metrics: { address: ^127.0.0.1:PORT }', 'PS1203', 'another port', 'metrics: { address: 127.0.0.1:OTHER }'),
    broken('[app, audit]', '[app, ^audi]', 'PS1204', "did you mean 'audit'", '[app, audit]'),
    broken('scheme: stripe', 'scheme: ^strip', 'PS1205', "did you mean 'stripe'", 'scheme: stripe'),
    broken('scheme: stripe', 'scheme: ^nonsense', 'PS1205', 'known schemes: ', 'scheme: stripe'),
    broken('[app, audit]', '[app, audit, ^app]', 'PS1206', 'take the second one out', '[app, audit]'),
    broken('targets: [app, audit]', 'target: audit\n    ^targets: [app, audit]', 'PS1207', 'keep one of them',
           'targets: [app, audit]'),
    broken(APP, after(APP, 'retry: { base: ^2m, max: 1m }'), 'PS1207', 'change one of the two keys',
           after(APP, 'retry: { base: 1m, max: 2m }')),
    broken(APP, after(APP, 'ca_file: ^tls/ca.pem'), 'PS1207', 'or remove the key', APP),
    broken('tls/key.pem }', 'tls/key.pem, client_certificate: ^required }', 'PS1208', 'add client_ca',
           'tls/key.pem, client_certificate: required, client_ca: tls/ca.pem }'),
    broken('certificate: tls/cert.pem, key: tls/key.pem', 'certificate: ^tls/cert.pem', 'PS1208', 'add the key',
           'certificate: tls/cert.pem, key: tls/key.pem'),
]

FILES = [
    broken(GITHUB, 'secret_file: ^secrets/none', 'PS1301', "write the provider's secret into the file", GITHUB),
    broken(GITHUB, 'secret_file: ^secrets/open', 'PS1302', 'chmod 600 ', GITHUB),
    broken(APP, 'secret_file: ^secrets/form', 'PS1303', 'copy it again', APP),
    broken(GITHUB, 'secret_file: ^secrets/lines', 'PS1303', 'copy the secret again', GITHUB),
    broken('certificate: tls/cert.pem', 'certificate: ^tls/none.pem', 'PS3001', 'check the path',
           'certificate: tls/cert.pem'),
    broken('- address: 127.0.0.1:PORT\n    ' + TLS,
           '- ^address: 127.0.0.1:PORT\n    tls: { certificate: tls/cert.pem, key: tls/other.key }', 'PS3002',
           'check certificate and key', '- address: 127.0.0.1:PORT\n    ' + TLS),
    broken('- address: 127.0.0.1:PORT\n    ' + TLS,
           '- ^address: 127.0.0.1:PORT\n    tls: { certificate: secrets/github, key: tls/key.pem }', 'PS3002',
           'check certificate and key', '- address: 127.0.0.1:PORT\n    ' + TLS),
    broken('- name: app\n    url: ' + URL, f'- ^name: app\n    ca_file: secrets/github\n    url: https://127.0.0.1:1/',
           'PS3003', 'check ca_file', '- name: app\n    ca_file: tls/ca.pem\n    url: https://127.0.0.1:1/'),
]

WARNINGS = [
    broken('address: 127.0.0.1:PORT\n    ' + TLS, 'address: ^0.0.0.0:PORT\n    tls: off', 'PS1401', 'behind a proxy',
           'address: 127.0.0.1:PORT\n    tls: off'),
    broken(URL, '^http://192.0.2.1/', 'PS1402', 'write https://', 'https://192.0.2.1/'),
    broken('64MiB }', '64MiB, retention: ^1h }', 'PS1403', 'a week is the default', '64MiB, retention: 7d }'),
    broken(LOG, 'metrics: { address: ^0.0.0.0:OTHER }', 'PS1404', 'loopback', 'metrics: { address: 127.0.0.1:OTHER }'),
    broken('[app, audit]', '[app]', 'PS1405', 'name it in an endpoint', '[app, audit]'),
    broken(URL, '^http://no-such-host.invalid.localhost/', 'PS1406', 'kept and tried again', URL),
    broken('scheme: stripe', after('scheme: stripe', 'replay_window: ^1s'), 'PS1407', 'twice the tolerance',
           after('scheme: stripe', 'replay_window: 24h')),
    broken(APP, after(APP, 'timeout: 1s\n    connect_timeout: ^3s'), 'PS1408', 'the one that overrules it',
           after(APP, 'timeout: 5s\n    connect_timeout: 3s')),
    broken(LOG, 'workers: { cpus: ^1023 }', 'PS1305', 'write auto', 'workers: { cpus: auto }'),
]

ENVIRONMENT = [
    broken(URL, '^http://127.0.0.1:CLOSED/hooks', 'PS1501', 'check the URL', URL),
    broken('url: ' + URL, 'url: ^https://127.0.0.1:SECURE/\n    ca_file: tls/other-ca.pem', 'PS1502', 'and ca_file',
           'url: https://127.0.0.1:SECURE/\n    ca_file: tls/ca.pem'),
    broken('certificate: tls/cert.pem, key: tls/key.pem', 'certificate: ^tls/expired.pem, key: tls/expired.key', 'PS1503',
           'renew it', 'certificate: tls/cert.pem, key: tls/key.pem'),
    broken('certificate: tls/cert.pem, key: tls/key.pem', 'certificate: ^tls/future.pem, key: tls/future.key', 'PS1503',
           'clock', 'certificate: tls/cert.pem, key: tls/key.pem'),
    broken('certificate: tls/cert.pem, key: tls/key.pem', 'certificate: ^tls/soon.pem, key: tls/soon.key', 'PS1504',
           'renew it', 'certificate: tls/cert.pem, key: tls/key.pem', warning=True),
    broken('certificate: tls/cert.pem, key: tls/key.pem', 'certificate: ^tls/uris.pem, key: tls/uris.key', 'PS1505',
           'one URI name', 'certificate: tls/spiffe.pem, key: tls/spiffe.key'),
    broken(STORE, 'store: { path: ^tls/cert.pem/store, quota: 64MiB }', 'PS1506', 'make the folder', STORE),
    broken(STORE, 'store: { path: ^store, quota: 1024TiB }', 'PS1507', 'a quota that fits', STORE, warning=True),
]

ALL = FORM + VALUES + MEANING + FILES
for case in WARNINGS:
    case.warning = True
for case in ENVIRONMENT:
    case.level = 'environment'


def place(text, mark='^'):
    """Line and column of the mark, and the text without it; 0 and 0 without one."""
    at = text.find(mark)
    if at < 0:
        return 0, 0, text
    before = text[:at]
    return before.count('\n') + 1, at - before.rfind('\n'), before + text[at + 1:]


def run(*arguments, program='penstockctl', **more):
    return subprocess.run([lab.BUILD / program, *map(str, arguments)], capture_output=True, text=True, timeout=60,
                          check=False, **more)


def copy(folder, name, source, suffixes=('.pem', '.key')):
    for suffix in suffixes:
        shutil.copy(lab.CERTIFICATES / (source + suffix), folder / 'tls' / (name + suffix))


@pytest.fixture(name='place_of', scope='module')
def fixture_place_of(tmp_path_factory):
    """A folder with everything BASE names, targets that listen, and write(text)."""
    lab.certificates()
    folder = tmp_path_factory.mktemp('config')
    (folder / 'tls').mkdir()
    (folder / 'store').mkdir()
    (folder / 'secrets').mkdir(mode=0o700)
    for name, text, mode in (('github', lab.GITHUB_SECRET, 0o600), ('stripe', lab.STRIPE_SECRET, 0o600),
                             ('app', lab.APP_SECRET, 0o600), ('open', 'x', 0o644), ('form', '"whsec_bad"', 0o600),
                             ('lines', 'a\nb', 0o600)):
        path = folder / 'secrets' / name
        path.write_text(text + '\n')
        path.chmod(mode)
    for name, source in (('cert', 'server'), ('other', 'server-other'), ('expired', 'server-expired'),
                         ('future', 'server-future'), ('uris', 'client-two-uris'), ('spiffe', 'client')):
        copy(folder, name, source)
    shutil.copy(lab.CERTIFICATES / 'server.key', folder / 'tls/key.pem')
    shutil.copy(lab.CERTIFICATES / 'ca.pem', folder / 'tls/ca.pem')
    shutil.copy(lab.CERTIFICATES / 'ca-other.pem', folder / 'tls/other-ca.pem')
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days',
                    '10', '-subj', '/CN=localhost', '-keyout', folder / 'tls/soon.key', '-out', folder / 'tls/soon.pem'],
                   check=True, capture_output=True)
    with lab.Target() as plain, lab.Target(tls=True) as secure:
        ports = {'PORT': lab.free_port(), 'OTHER': lab.free_port(), 'CLOSED': lab.free_port(),
                 'TARGET': plain.url.split(':')[2].strip('/'), 'SECURE': secure.url.split(':')[2].strip('/')}

        def write(text, name='penstock.yaml'):
            for word, port in ports.items():
                text = text.replace(word, str(port))
            path = folder / name
            path.write_text(text, encoding='utf-8')
            path.chmod(0o644)
            return path
        write.folder = folder
        yield write


def check(write, text, case, *more):
    done = run('config', 'check', '--json', '--level', case.level, *more, write(text))
    report = json.loads(done.stdout)
    assert report['schema'] == 'penstock.diagnostics/v1'
    return done.returncode, report


def found(report, case):
    return [one for one in report['diagnostics'] if one['code'] == case.code]


@pytest.mark.parametrize('case', ALL + WARNINGS + ENVIRONMENT, ids=str)
def test_a_mistake_is_named_and_its_hint_mends_it(place_of, case):
    assert case.was in BASE
    # Ports are put in first: they move columns.
    marked = place_of(BASE.replace(case.was, case.wrong, 1)).read_text(encoding='utf-8')
    line, column, plain = place(marked)
    code, report = check(place_of, plain, case)
    assert found(report, case), report
    one = found(report, case)[0]
    if '^' in case.wrong:
        assert (one['line'], one['column']) == (line, column)
    assert one['severity'] == ('warning' if case.warning else 'error')
    assert case.hint in one['hint'], one['hint']
    assert code == (EX_OK if case.warning else EX_CONFIG)
    assert case.code in run('explain', case.code).stdout
    if case.warning:
        assert check(place_of, plain, case, '--strict')[0] == EX_CONFIG
    if case.code != 'PS1507':
        code, report = check(place_of, BASE.replace(case.was, case.right, 1), case)
        assert code == EX_OK and not found(report, case), report


def test_there_are_forty_of_them():
    assert len(ALL) >= 40 and len({case.code for case in ALL + WARNINGS + ENVIRONMENT}) >= 40


def test_secrets_are_not_repeated(place_of):
    for wrong, secret in (("'https://me:pass3@a.example/'", 'pass3'), (URL + '\n    secret: hush', 'hush'),
                          (URL + '\n    previous_secret_file: whsec_hush', 'hush')):
        path = place_of(BASE.replace(URL, wrong, 1))
        for form in ('human', 'json', 'sarif'):
            done = run('config', 'check', '--format', form, path)
            assert done.returncode == EX_CONFIG and secret not in done.stdout + done.stderr


def test_each_level_looks_further(place_of):
    text = BASE.replace(DRAIN, 'drain_timeout: 30')                      # schema
    text = text.replace('[app, audit]', '[app, audi]')                   # meaning
    path = place_of(text)
    assert run('config', 'check', '--level', 'parse', path).returncode == EX_OK
    done = run('config', 'check', '--level', 'schema', path)
    assert done.returncode == EX_CONFIG and 'PS1103' in done.stderr and 'PS1204' not in done.stderr
    done = run('config', 'check', '--level', 'meaning', path)
    assert done.returncode == EX_CONFIG and 'PS1103' in done.stderr and 'PS1204' in done.stderr

    path = place_of(BASE.replace(GITHUB, 'secret_file: secrets/none').replace('TARGET/hooks', 'CLOSED/hooks'))
    assert run('config', 'check', '--level', 'meaning', path).returncode == EX_OK
    done = run('config', 'check', path)
    assert done.returncode == EX_CONFIG and 'PS1301' in done.stderr and 'PS1501' not in done.stderr
    path = place_of(BASE.replace('TARGET/hooks', 'CLOSED/hooks'))
    assert run('config', 'check', path).returncode == EX_OK
    for program, arguments in (('penstockctl', ['config', 'check', '--environment', path]),
                               ('penstockd', ['-t', '--environment', '-f', path]),
                               ('penstockd', ['-t', '--level', 'environment', '-f', path])):
        done = run(*arguments, program=program)
        assert done.returncode == EX_CONFIG and 'PS1501' in done.stderr
    assert not any((place_of.folder / 'store').iterdir())


def test_the_daemon_checks_the_same(place_of):
    path = place_of(BASE)
    assert run('-t', '-f', path, program='penstockd').stdout == f'{path}: ok\n'
    done = run('-t', '--environment', '--strict', '-f', path, program='penstockd')
    assert done.returncode == EX_OK, done.stderr
    path = place_of(BASE.replace('[app, audit]', '[app]'))
    assert run('-t', '-f', path, program='penstockd').returncode == EX_OK
    done = run('-t', '--strict', '-f', path, program='penstockd')
    assert done.returncode == EX_CONFIG and 'warning[PS1405]' in done.stderr
    ours, theirs = (json.loads(run(*arguments, path, program=program).stdout) for program, arguments in
                    (('penstockctl', ['config', 'check', '--json']), ('penstockd', ['-t', '--json', '-f'])))
    assert ours == theirs and ours['warnings'] == 1
    assert run('-t', '--level', 'deep', '-f', path, program='penstockd').returncode == EX_USAGE
    assert run('config', 'check', '--level', 'deep', path).returncode == EX_USAGE
    assert run('config', 'check', '--format', 'xml', path).returncode == EX_USAGE
    assert run('config', 'check', path.parent / 'none.yaml').returncode == EX_NOINPUT


def test_sarif(place_of):
    path = place_of(BASE.replace(DRAIN, 'drain_timeout: 30').replace('[app, audit]', '[app]'))
    sarif = json.loads(run('config', 'check', '--format', 'sarif', path).stdout)
    assert sarif['version'] == '2.1.0' and len(sarif['runs']) == 1
    driver = sarif['runs'][0]['tool']['driver']
    assert driver['name'] == 'penstock' and [rule['id'] for rule in driver['rules']] == ['PS1405', 'PS1103']
    results = {one['ruleId']: one for one in sarif['runs'][0]['results']}
    assert results['PS1103']['level'] == 'error' and results['PS1405']['level'] == 'warning'
    where = results['PS1103']['locations'][0]['physicalLocation']
    assert where['artifactLocation']['uri'] == str(path)
    assert where['region'] == {'startLine': BASE.split('\n').index(DRAIN) + 1, 'startColumn': 16}
    assert 'for example 30s' in results['PS1103']['message']['text']


def test_a_file_others_can_change_is_a_warning(place_of):
    path = place_of(BASE)
    path.chmod(0o666)
    done = run('config', 'check', path)
    assert done.returncode == EX_OK and 'PS1409' in done.stderr and 'chmod go-w' in done.stderr
    assert run('config', 'check', '--strict', path).returncode == EX_CONFIG
    path.chmod(0o644)
    assert run('config', 'check', '--strict', path).stderr == ''


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can give a file away')
def test_a_secret_of_another_user_is_a_warning(place_of):
    secret = place_of.folder / 'secrets/github'
    os.chown(secret, 12345, 12345)
    try:
        done = run('config', 'check', '--environment', place_of(BASE))
        assert done.returncode == EX_OK and 'warning[PS1509]' in done.stderr and 'user 12345' in done.stderr
    finally:
        os.chown(secret, 0, 0)
    assert 'PS1509' not in run('config', 'check', '--environment', place_of(BASE)).stderr


def test_what_is_shown_is_the_same_configuration(place_of):
    path = place_of(BASE)
    for options in ([], ['--effective']):
        shown = place_of.folder / 'shown.yaml'
        shown.write_text(run('config', 'show', *options, path).stdout)
        shown.chmod(0o644)
        assert run('config', 'check', '--strict', shown).returncode == EX_OK
        assert run('config', 'diff', path, shown).returncode == EX_OK
    settings = json.loads(run('config', 'show', '--effective', '--json', path).stdout)
    assert settings['schema'] == 'penstock.config/v1'
    by_path = {one['path']: one for one in settings['settings']}
    assert by_path['drain_timeout'] == {'path': 'drain_timeout', 'value': '30s', 'origin': 'file',
                                        'line': BASE.split('\n').index(DRAIN) + 1, 'column': 16, 'restart': False}
    assert by_path['store.quota']['restart'] is True
    assert by_path['targets[app].timeout']['origin'] == 'default' and by_path['targets[app].timeout']['line'] is None
    assert run('config', 'show', place_of('x: [')).returncode == EX_CONFIG


def test_a_difference_is_one_of_meaning(place_of):
    path = place_of(BASE)
    same = place_of('# a comment\n' + BASE.replace('30s', '30000ms').replace('[app, audit]', '["app", \'audit\']'), 'b.yaml')
    done = run('config', 'diff', path, same)
    assert done.returncode == EX_OK and done.stdout == 'they mean the same\n'
    other = place_of(BASE.replace('64MiB', '64MiB, retention: 8d').replace(LOG, 'log: { level: debug }'), 'b.yaml')
    done = run('config', 'diff', path, other)
    assert done.returncode == EX_NEGATIVE
    assert done.stdout == ('~ log.level: notice -> debug\n'
                           '~ store.retention: 7d -> 8d  (needs a restart)\n')
    changes = json.loads(run('config', 'diff', '--json', path, other).stdout)
    assert changes['schema'] == 'penstock.config-diff/v1' and changes['same'] is False
    assert changes['changes'][0] == {'kind': 'changed', 'path': 'log.level', 'before': 'notice', 'after': 'debug',
                                     'restart': False}
    # Elsewhere: as if it stood in the first one's place.
    (place_of.folder / 'sub').mkdir()
    assert run('config', 'diff', path, place_of(BASE, 'sub/penstock.yaml')).returncode == EX_OK
    assert run('config', 'diff', path, place_of('x: [', 'b.yaml')).returncode == EX_CONFIG


def test_a_difference_from_what_is_served(tmp_path):
    with lab.Daemon(tmp_path / 'd') as daemon:
        path = daemon.folder / 'penstock.yaml'
        assert daemon.ctl('config', 'diff') == 'they mean the same\n'
        other = tmp_path / 'other.yaml'
        text = path.read_text().replace('scheme: zen', 'scheme: zen, body_size: 2MiB')
        other.write_text(text.replace('path: store', 'path: store, retention: 8d'))
        for arguments in ((other,), ()):
            done = run('--socket', daemon.folder / 'control.sock', 'config', 'diff', *arguments)
            assert done.returncode == EX_NEGATIVE, done.stderr
            assert done.stdout == ('~ endpoints[zen].body_size: 1MiB -> 2MiB\n'
                                   '~ store.retention: 7d -> 8d  (needs a restart)\n')
            shutil.copy(other, path)
        daemon.ctl('reload')
        # store.retention is what the file says by now, whatever the process still does.
        assert daemon.ctl('config', 'diff') == 'they mean the same\n'
        path.write_text('x: [')
        assert run('--socket', daemon.folder / 'control.sock', 'config', 'diff').returncode == EX_CONFIG
    assert run('--socket', daemon.folder / 'control.sock', 'config', 'diff').returncode == EX_UNAVAILABLE


def test_formatting_keeps_meaning_mode_and_comments(place_of):
    ugly = BASE.replace('  - name: app\n    url', '  -   name:   app   # a comment\n      url').replace(APP, '  ' + APP)
    path = place_of('\n\n# top\n\n\n' + ugly)
    path.chmod(0o640)
    assert run('config', 'fmt', '--check', path).returncode == EX_NEGATIVE
    formatted = run('config', 'fmt', path).stdout
    assert formatted.startswith('# top\n\nlisteners:\n') and '  - name: app ' in formatted and '# a comment' in formatted
    before = path.read_text()
    other = place_of(BASE, 'b.yaml')
    link = place_of.folder / 'link.yaml'
    link.symlink_to(path)
    assert run('config', 'fmt', '--write', link).returncode == EX_OK
    assert link.is_symlink() and path.read_text() == formatted != before
    assert path.stat().st_mode & 0o777 == 0o640
    assert not list(place_of.folder.glob('penstock.yaml.*'))
    assert run('config', 'fmt', '--check', path).returncode == EX_OK
    assert run('config', 'diff', other, path).returncode == EX_OK
    path.write_text('a: [')
    done = run('config', 'fmt', '--write', path)
    assert done.returncode == EX_CONFIG and 'PS1004' in done.stderr and path.read_text() == 'a: ['
    assert run('config', 'fmt', place_of.folder / 'none.yaml').returncode == EX_NOINPUT


def test_every_code_is_explained():
    listed = [line.split('  ')[0] for line in run('explain', '--list').stdout.splitlines()]
    codes = json.loads(run('explain', '--list', '--json').stdout)
    assert codes['schema'] == 'penstock.codes/v1' and [one['code'] for one in codes['codes']] == listed
    for one in codes['codes']:
        assert all(one[part] for part in ('title', 'explanation', 'wrong', 'right', 'fix'))
    header = pathlib.Path(lab.ROOT, 'dataplane/config/config_codes.h').read_text(encoding='utf-8')
    assert re.findall(r'^#define PS_\w+ "(PS\d{4})"', header, re.M) == listed
    text = run('explain', 'ps1103').stdout
    assert text.startswith('PS1103: ') and '\n    drain_timeout: 30s\n' in text
    assert json.loads(run('explain', '--json', '1103').stdout)['schema'] == 'penstock.code/v1'
    assert run('explain', 'PS9999').returncode == EX_NOINPUT
    assert run('explain').returncode == EX_USAGE


# ---- Documents -------------------------------------------------------------------------------------------------------

def fits(schema, value, root):
    """As much of JSON Schema as the published one uses."""
    if '$ref' in schema:
        target = root
        for part in schema['$ref'].removeprefix('#/').split('/'):
            target = target[part]
        if not fits(target, value, root):
            return False
    kinds = {'object': dict, 'array': list, 'string': str, 'integer': int, 'number': (int, float)}
    wanted = schema.get('type', [])
    wanted = [wanted] if isinstance(wanted, str) else wanted
    if wanted and not any(isinstance(value, kinds[kind]) and not isinstance(value, bool) for kind in wanted):
        return False
    if isinstance(value, dict):
        properties = schema.get('properties', {})
        if schema.get('additionalProperties') is False and set(value) - set(properties):
            return False
        if not all(fits(properties[key], one, root) for key, one in value.items() if key in properties):
            return False
        if set(schema.get('required', [])) - set(value):
            return False
    if isinstance(value, list):
        if not schema.get('minItems', 0) <= len(value) <= schema.get('maxItems', len(value)):
            return False
        if not all(fits(schema.get('items', {}), one, root) for one in value):
            return False
    if isinstance(value, str) and not re.search(schema.get('pattern', ''), value):
        return False
    if isinstance(value, (int, float)) and not schema.get('minimum', value) <= value <= schema.get('maximum', value):
        return False
    if 'enum' in schema and not any(value is one or value == one and type(value) is type(one) for one in schema['enum']):
        return False
    if 'const' in schema and value != schema['const']:
        return False
    if 'anyOf' in schema and not any(fits(one, value, root) for one in schema['anyOf']):
        return False
    return 'oneOf' not in schema or sum(fits(one, value, root) for one in schema['oneOf']) == 1


def test_the_schema_takes_what_is_right_and_refuses_what_tables_know(place_of):
    yaml = pytest.importorskip('yaml')
    schema = json.loads(run('config', 'schema').stdout)
    assert schema == json.loads((lab.ROOT / 'docs/penstock.schema.json').read_text(encoding='utf-8'))
    for path in (place_of(BASE), lab.ROOT / 'packaging/penstock.yaml.example'):
        shown = run('config', 'show', '--effective', path).stdout
        for text in (path.read_text(encoding='utf-8'), shown):
            assert fits(schema, yaml.safe_load(text), schema), text
    refused = 0
    for case in FORM + VALUES:
        if case.code in ('PS1003', 'PS1004', 'PS1005', 'PS1006', 'PS1008', 'PS1113', 'PS1105') or 'pass3' in case.wrong:
            continue
        # What the daemon says and a schema cannot: a port's range, text of digits.
        if '99999' in case.wrong or 'whsec' in case.wrong or '1_000' in case.wrong:
            continue
        text = place(BASE.replace(case.was, case.wrong, 1))[2]
        text = text.replace('PORT', '1').replace('TARGET', '2')
        assert not fits(schema, yaml.safe_load(text), schema), case
        refused += 1
    assert refused > 20


@pytest.mark.skipif(shutil.which('groff') is None, reason='groff is not installed')
@pytest.mark.parametrize('form', ['man', 'codes-man'])
def test_manual_pages_are_good_troff(form):
    page = run('config', 'reference', '--format', form).stdout
    done = subprocess.run(['groff', '-man', '-Tutf8', '-ww'], input=page, capture_output=True, text=True, timeout=60,
                          check=True)
    assert done.stderr == ''
    text = re.sub('.\x08', '', done.stdout)  # bold, as printers did it
    assert ('retention' if form == 'man' else 'PS1103') in text
    assert run('config', 'reference', '--format', 'html').returncode == EX_USAGE
