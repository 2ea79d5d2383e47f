# SPDX-License-Identifier: GPL-2.0-or-later
"""penstockctl support-bundle.

Questions answered: is what helps in it, does no secret, name, host or address leave the house, and can the operator
translate back?
"""
import hashlib
import json
import os
import re
import socket
import stat
import subprocess
import tarfile

import pytest

import lab
import peers

PARTS = ['penstockctl.txt', 'penstockd.json', 'status.json', 'endpoints.json', 'targets.json', 'metrics.txt',
         'configuration.yaml', 'doctor.txt', 'log.txt']
TOKEN = 'T0KEN-b7f3c2a9d4e1'


def names_of(path):
    """alias -> what it stands for"""
    lines = [line for line in path.read_text().splitlines() if not line.startswith(('#', 'key '))]
    return dict(line.split(' ', 1) for line in lines)


def bundle(folder, socket_path, *options, code=0):
    target = folder / 'out.tar'
    done = subprocess.run([lab.BUILD / 'penstockctl', '--socket', socket_path, 'support-bundle', target, *options],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    return target, done


def read(target):
    with tarfile.open(target, 'r:') as archive:
        members = archive.getmembers()
        assert all(one.isfile() and one.name.startswith('penstock-support/') for one in members)
        return {one.name.split('/')[1]: archive.extractfile(one).read() for one in members}


@pytest.fixture(name='daemon')
def fixture_daemon(tmp_path):
    """Names that are no words, a token in a URL, something in every list and in the log, a name that has gone."""
    with lab.Target(lambda _: 500) as target:
        url = f'http://127.0.0.1:{target.port}/services/{TOKEN}?key=sesame-{TOKEN}'
        lines = peers.target_line('acmebilling', url, peers.retry(2)) + peers.target_line(
            'globexorders', 'https://hooks.globex-internal.invalid/in')
        endpoints = peers.endpoint_line('initechpay', ['acmebilling']) + peers.endpoint_line(
            'umbrellacrm', ['globexorders'], more=', host: crm.umbrella-internal.example')
        with lab.Daemon(tmp_path / 'houseofsecrets', targets=lines,
                        endpoints=endpoints + peers.endpoint_line('goneforever', ['acmebilling'])) as daemon:
            event = peers.send(daemon, b'{"payload": "of-a-customer"}', '/initechpay')
            peers.send(daemon, b'{"payload": "of-another"}', '/goneforever')
            peers.wait_state(daemon, event, 'dead', 'acmebilling')
            daemon.configure(endpoints=endpoints)
            daemon.ctl('reload')
            with open(daemon.folder / 'log', 'a', encoding='utf-8') as log:
                log.write(f'peer 203.0.113.77:4711 [2001:db8::17] on {socket.gethostname()} asked initechpay by="dorothea uid 4711 pid 7"\n')
            yield daemon


def options(daemon):
    return ('--config', daemon.folder / 'penstock.yaml', '--log', daemon.folder / 'log')


def test_nothing_leaves_the_house(daemon, tmp_path):
    target, _ = bundle(tmp_path, daemon.folder / 'control.sock', *options(daemon))
    data = target.read_bytes()
    parts = read(target)
    assert list(parts) == ['MANIFEST.txt', *PARTS]
    lowered = data.lower()
    for word in ('initechpay', 'umbrellacrm', 'goneforever', 'acmebilling', 'dorothea', 'globexorders', 'globex', 'umbrella',
                 'houseofsecrets', TOKEN, 'sesame', '127.0.0.1', '203.0.113.77', '2001:db8::17', 'of-a-customer',
                 lab.GITHUB_SECRET, lab.STANDARD_SECRET, lab.STRIPE_SECRET, lab.ZEN_SECRET, lab.APP_SECRET,
                 lab.APP_SECRET.removeprefix('whsec_'), str(daemon.folder), str(lab.certificates())):
        assert word.lower().encode() not in lowered, word
    assert not re.search(rb'(?<![a-z0-9_])' + re.escape(socket.gethostname().lower().encode()) + rb'(?![a-z0-9_])',
                         lowered)
    assert b'BEGIN' not in data  # no key, no certificate


class Everything:
    """A configuration with every key that there is, out of the JSON Schema, which is made from the tables that files are
    read by; each text that people choose has a word of its own."""

    FIXED = {'scheme': 'github', 'cpus': [0], 'quota': '10GiB', 'tolerance': '5m'}

    def __init__(self, folder):
        self.schema = json.loads(subprocess.check_output([lab.BUILD / 'penstockctl', 'config', 'schema']))
        self.words = 0
        self.path = folder / 'everything.yaml'
        # A string of JSON is one of YAML, too.
        self.path.write_text(json.dumps(self.value('', self.schema)))

    def text(self, pattern):
        self.words += 1
        word = f'zq{self.words}x'
        if '://' in pattern:
            return f'https://{word}.example/{word}/{TOKEN}?{word}' if '[/?]' in pattern else f'http://{word}.example'
        if pattern.endswith('{1,5}$'):
            return f'203.0.113.{self.words}:443'
        if pattern.startswith('^/'):
            return f'/{word}'
        if pattern.startswith(r'^(\*\.)?'):
            return f'*.{word}.example'
        return f"folder-{word}/it's-{word}" if pattern == '^[^~$]' else word

    def value(self, key, schema):
        while '$ref' in schema:
            schema = self.schema['$defs'][schema['$ref'].removeprefix('#/$defs/')]
        if key in self.FIXED:
            return self.FIXED[key]
        if 'enum' in schema:
            return schema['enum'][-1]
        if 'anyOf' in schema and 'properties' not in schema:
            return self.value(key, schema['anyOf'][0])
        if 'properties' in schema:
            return {name: self.value(name, one) for name, one in schema['properties'].items() if name != 'target'}
        if key == 'targets' and '$ref' not in schema['items']:
            return []  # of an endpoint: the names stand under targets
        if 'items' in schema:
            return [self.value('', schema['items'])]
        if 'default' in schema and schema.get('pattern') != '^[^~$]':
            return schema['default']
        return self.text(schema['pattern'])


def test_no_key_is_forgotten(tmp_path):
    everything = Everything(tmp_path)
    assert everything.words >= 28
    target, _ = bundle(tmp_path, tmp_path / 'none.sock', '--config', everything.path)
    parts = read(target)
    text = parts['configuration.yaml'].decode()
    for key in ('operators:', 'endpoint:', 'previous_secret_file:', 'client_ca:', 'sample_ratio:', 'per_cpu:', 'group:'):
        assert key in text, key
    for name, part in parts.items():
        assert not re.search(rb'zq[0-9]+x|203\.0\.113|' + TOKEN.encode() + b'|' + re.escape(str(tmp_path).encode()),
                             part), (name, part.decode())
    stands_for = ' '.join(names_of(tmp_path / 'out.tar.names').values())
    for number in range(1, everything.words + 1):
        assert f'zq{number}x' in stands_for or f'203.0.113.{number}:443' in stands_for, number


def logged(message, as_json):
    """A line as log_form.c writes it."""
    if not as_json:
        return f'<5>penstock: notice: {message}\n'
    line = {'time': '2026-11-22T19:45:14.000001Z', 'level': 'notice', 'message': message}
    for key, quoted, bare in re.findall(r'(?:^| )([a-z_]+)=(?:"([^"]*)"|([^ "]+))', message):
        line.setdefault(key, quoted or bare)
    return json.dumps(line, separators=(',', ':')) + '\n'


# What a line says, and the names in it; nothing but the log has these any more.
LOGGED = [
    ('dead letters replayed by="mallory uid 1000 pid 4711" count=3 of=3', ['mallory']),
    ('reload asked for by="ACME\\erin smith uid 1000 pid 4711"', None),
    ('reload asked for by="trudy of wonka uid 1001 pid 12"', ['trudy of wonka']),
    ('backup by="root uid 0 pid 9" text="/mnt/customer-stark/bk"', ['/mnt/customer-stark/bk', '/mnt/customer-stark']),
    ('backup by="root uid 0 pid 9" text="/mnt/customer "tyrell" old/bk"', None),
    ('backup by="root uid 0 pid 9" text="of cyberdyne"', None),
    ('backup made path="/srv/wayne corp/bk2" files=3 size=77', ['/srv/wayne corp/bk2']),
    ('backup failed path="/srv/oscorp/bk3" error="/srv/oscorp/bk3.part: No space left on device"', ['/srv/oscorp/bk3']),
    ('configuration reloaded generation=7 by="SIGHUP" changes="endpoint hooli.pay: removed; listener piedpiper: tls, '
     'address; listener 0.0.0.0:8443: added; target dunder-mifflin: removed; metrics; and more"',
     ['hooli.pay', 'piedpiper', 'dunder-mifflin']),
    ('configuration reloaded generation=8 by="SIGHUP" changes="endpoint soylent', None),
    ('no connection to target massivedynamic: no descriptors', ['massivedynamic']),
    ('no route to target bluthcompany at all', None),
    ('telemetry: the collector at otel.vandelay.example:4318 does not take traces: refused; they are dropped',
     ['otel.vandelay.example']),
    ('generations: /var/lib/gekko/generations cannot be written: No space; rollback will not know it',
     ['/var/lib/gekko/generations']),
    ('generations: /var/lib/my nakatomi/generations cannot be written: No space; rollback will not know it', None),
    ('backup failed path="/b" error="/srv/x:ingen/bk: No space left on device"', None),
    ('removed a stale control socket path=/run/lexcorp/control.sock', ['/run/lexcorp/control.sock']),
    ('reload failed, generation=8 stays: 3:1: unknown target weyland', None),
    ('name=yutani-one host=h.zorin.example:443 url=https://u.zorg.example/hook/zorgtoken99 n=1',
     ['yutani-one', 'h.zorin.example', 'u.zorg.example']),
    ('watchdog: all threads answer again', []),
]
GONE = ('mallory', 'erin', 'trudy', 'wonka', 'stark', 'tyrell', 'cyberdyne', 'wayne', 'oscorp', 'hooli', 'piedpiper',
        'dunder', 'soylent', 'massivedynamic', 'bluth', 'vandelay', 'gekko', 'nakatomi', 'ingen', 'lexcorp', 'weyland', 'yutani',
        'zorin', 'zorg', '0.0.0.0')


@pytest.mark.parametrize('as_json', [False, True], ids=['text', 'json'])
def test_names_that_only_the_log_has(tmp_path, as_json):
    """After a restart neither the file nor the metrics have them. What cannot be judged is left out, and counted."""
    daemon = lab.Daemon(tmp_path / 'd', targets=peers.target_line('acmebilling', 'http://127.0.0.1:1/'))
    log = tmp_path / 'made.log'
    log.write_text(''.join(logged(message, as_json) for message, _ in LOGGED))
    target, _ = bundle(tmp_path, daemon.folder / 'control.sock', '--config', daemon.folder / 'penstock.yaml', '--log', log)
    data = target.read_bytes().lower()
    for word in GONE:
        assert word.encode() not in data, word
    parts = {name: text.decode() for name, text in read(target).items()}
    assert f"{sum(names is None for _, names in LOGGED)} lines left out" in parts['MANIFEST.txt']

    names = names_of(tmp_path / 'out.tar.names')
    assert {name for _, some in LOGGED for name in some or []} <= set(names.values())
    text = parts['log.txt']
    for key, name in names.items():
        text = text.replace(key, name)
    assert text == ''.join(logged(message, as_json) for message, some in LOGGED if some is not None)


def test_it_helps(daemon, tmp_path):
    target, done = bundle(tmp_path, daemon.folder / 'control.sock', *options(daemon))
    parts = {name: text.decode() for name, text in read(target).items()}
    assert f'{target}:' in done.stdout and f'{target}.names:' in done.stdout
    names = names_of(tmp_path / 'out.tar.names')
    assert {'initechpay', 'goneforever', 'acmebilling', 'hooks.globex-internal.invalid', '203.0.113.77',
            '2001:db8::17', '127.0.0.1', str(daemon.folder)} <= set(names.values())
    alias = {name: key for key, name in names.items()}

    assert '"schema":"penstock.status/v1"' in parts['status.json']
    assert f'penstock_events_accepted_total{{endpoint="{alias["initechpay"]}"}} 1' in parts['metrics.txt']
    assert f'- name: {alias["acmebilling"]}' in parts['configuration.yaml']
    assert 'attempts: 2\n' in parts['configuration.yaml'] and 'retention: 7d  # default' in parts['configuration.yaml']
    assert f'peer {alias["203.0.113.77"]}:4711 [{alias["2001:db8::17"]}]' in parts['log.txt']
    assert parts['log.txt'].splitlines()[-1].endswith(f'asked {alias["initechpay"]} by="{alias["dorothea"]} uid 4711 pid 7"')
    assert f'{alias["hooks.globex-internal.invalid"]} (target {alias["globexorders"]}) does not resolve' in parts[
        'doctor.txt']
    assert 'io_uring' in parts['doctor.txt'] and 'penstockctl ' in parts['penstockctl.txt']

    # Put back, it is what it was.
    text = parts['configuration.yaml']
    for key, name in names.items():
        text = text.replace(key, name)
    assert f'/services/{TOKEN}' in text and 'host: crm.umbrella-internal.example' in text


def test_manifest_is_right(daemon, tmp_path):
    target, _ = bundle(tmp_path, daemon.folder / 'control.sock', *options(daemon))
    parts = read(target)
    manifest = parts.pop('MANIFEST.txt').decode()
    assert 'penstock.support/v1' in manifest
    for name, text in parts.items():
        assert re.search(rf'^{re.escape(name)} .*, {len(text)} bytes\n +sha256 {hashlib.sha256(text).hexdigest()}$',
                         manifest, re.M), name
    listed = subprocess.run(['tar', '-tf', target], capture_output=True, text=True, check=True).stdout.split()
    assert listed == [f'penstock-support/{name}' for name in ('MANIFEST.txt', *parts)]


def test_files_are_private_and_nothing_is_overwritten(daemon, tmp_path):
    target, _ = bundle(tmp_path, daemon.folder / 'control.sock', *options(daemon))
    names = tmp_path / 'out.tar.names'
    for path in (target, names):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = target.read_bytes()
    _, done = bundle(tmp_path, daemon.folder / 'control.sock', *options(daemon), code=73)
    assert 'File exists' in done.stderr and target.read_bytes() == before
    first = names_of(names)
    target.unlink()
    bundle(tmp_path, daemon.folder / 'control.sock', *options(daemon), code=73)
    assert not target.exists() and names_of(names) == first  # the old table is not lost
    names.unlink()
    _, done = bundle(tmp_path, daemon.folder / 'control.sock', *options(daemon), '--json')
    assert json.loads(done.stdout) == {'schema': 'penstock.support/v1', 'file': str(target), 'names': str(names)}
    assert not set(names_of(names)) & set(first)  # another key: bundles cannot be put side by side


def test_without_a_daemon(tmp_path):
    daemon = lab.Daemon(tmp_path / 'd', targets=peers.target_line('acmebilling', 'http://127.0.0.1:1/'))
    target, _ = bundle(tmp_path, daemon.folder / 'control.sock', '--config', daemon.folder / 'penstock.yaml')
    parts = read(target)
    manifest = parts['MANIFEST.txt'].decode()
    assert {'configuration.yaml', 'doctor.txt', 'penstockctl.txt'} <= set(parts) and 'status.json' not in parts
    assert re.search(r'^status.json +not there: ', manifest, re.M)
    assert b'acmebilling' not in target.read_bytes()


def test_without_a_configuration_there_is_none(tmp_path):
    """Nobody would know what to hide."""
    target, done = bundle(tmp_path, tmp_path / 'none.sock', '--config', tmp_path / 'nowhere.yaml', code=78)
    assert 'what to hide' in done.stderr and not target.exists() and not os.listdir(tmp_path)


def test_long_log_is_cut_to_whole_lines(daemon, tmp_path):
    log = tmp_path / 'long.log'
    with open(log, 'w', encoding='utf-8') as file:
        for number in range(60000):
            file.write(f'<6> line {number:06} of a long log about initechpay\n')
    target, _ = bundle(tmp_path, daemon.folder / 'control.sock', '--config', daemon.folder / 'penstock.yaml', '--log', log)
    lines = read(target)['log.txt'].decode().splitlines()
    assert lines[-1].startswith('<6> line 059999 of') and all(line.startswith('<6> line ') for line in lines)
    assert 5000 < len(lines) < 40000 and 'initechpay' not in lines[0]
