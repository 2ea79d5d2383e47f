# SPDX-License-Identifier: GPL-2.0-or-later
"""The service under a systemd that really runs, in a root and namespaces of its own.

Question answered: does the daemon work in the unit's sandbox, and does systemd do with it what the unit says?
"""
import shutil
import subprocess

import pytest

import host as hosts
import lab

BASE = lab.ROOT / 'build/test/root-systemd'
CONFIGURATION = '''
listeners: [{ address: 127.0.0.1:443, tls: off }]
endpoints: [{ name: github, path: /github, scheme: github, secret_file: secrets/github, targets: [] }]
targets: []
store: { path: /var/lib/penstock, quota: 64MiB }
workers: { cpus: [0] }
control: { socket: /run/penstock/control.sock, group: penstock }
'''


def request(number):
    body = b'{"number":%d}' % number
    fields = {'Host': 'localhost', 'Content-Type': 'application/json', 'Content-Length': str(len(body)),
              'Connection': 'close', **lab.github(body)}
    return b'POST /github HTTP/1.1\r\n' + b''.join(f'{k}: {v}\r\n'.encode() for k, v in fields.items()) + b'\r\n' + body


@pytest.fixture(scope='module')
def found(tmp_path_factory):
    """What under_systemd.sh has found, by name."""
    work = tmp_path_factory.mktemp('systemd')
    shared = work / 'shared'
    shared.mkdir()
    shutil.copy(lab.ROOT / 'tests/packages/under_systemd.sh', shared / 'script.sh')
    shutil.copy(hosts.package(hosts.NOW, 'penstock', 'deb'), shared / 'now.deb')
    shutil.copy(hosts.package(hosts.NEXT, 'penstock', 'deb'), shared / 'next.deb')
    (shared / 'penstock.yaml').write_text(CONFIGURATION)
    (shared / 'github').write_text(lab.GITHUB_SECRET + '\n')
    for number in (1, 2):
        (shared / f'request-{number}').write_bytes(request(number))
    done = subprocess.run(['unshare', '--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child',
                           '--cgroup', '--uts', '--ipc', '--net', lab.ROOT / 'tests/packages/boot.sh', BASE, work,
                           'script.sh'],
                          capture_output=True, text=True, timeout=180, check=False)
    assert (shared / 'found').exists(), f'{done.stdout}{done.stderr}'
    print((shared / 'log').read_text())
    print((shared / 'journal').read_text() if (shared / 'journal').exists() else 'no journal')
    return dict(line.split('=', 1) for line in (shared / 'found').read_text().splitlines())


def test_installed_and_idle(found):
    """Installing neither enables nor starts it."""
    assert found['enabled'] == 'disabled' and found['after_install'] == 'inactive'


def test_sandbox(found):
    """It starts as its own user with the one capability and a filter of system calls, and pins its workers."""
    assert found['started'] == '0'
    assert found['status'] == 'ready: configuration 1, 1 endpoints, 0 targets'
    assert found['capabilities'] == '0000000000000400', 'CAP_NET_BIND_SERVICE and no other'
    assert found['seccomp'] == '2' and found['user'] == 'penstock'
    assert found['pinned'] == '0'
    assert found['socket'] == 'penstock penstock 660' and found['store'] == 'penstock 700'


def test_event_on_a_privileged_port(found):
    """A signed event is taken on port 443."""
    assert found['answer_1'] == 'HTTP/1.1 200 OK'


def test_reload(found):
    """systemctl reload succeeds when the configuration is taken over and fails when it is wrong; the daemon goes on."""
    assert found['reloaded'] == '0' and found['reloaded_wrong'] != '0'
    assert found['active_after_reloads'] == 'active'


def test_watchdog(found):
    """systemd leaves a daemon alone that is well, and restarts one that hangs."""
    assert found['restarts_when_well'] == '0' and found['restarts_when_hanging'] == '1'
    assert found['answer_2'] == 'HTTP/1.1 200 OK'


def test_upgrade(found):
    """An upgrade restarts it, and both events are there and proven."""
    assert found['active_after_upgrade'] == 'active' and found['restarted_by_upgrade'] == 'yes'
    assert found['accepted'] == '2' and found['audit'] == '0'


def test_removal(found):
    """Removing stops it and leaves the events; purging takes them."""
    assert found['active_after_removal'] != 'active'
    assert 'shard-00' in found['left'] and found['purged'] == ''
