# SPDX-License-Identifier: GPL-2.0-or-later
"""The life of an installation: install, configure, take an event, upgrade, remove, purge; in this order, per format.

Question answered: does a package do what an administrator expects of one, and is an event that was acknowledged still
there after an upgrade?
"""
import json
import re
import subprocess

import pytest

import host as hosts
import lab

UNITS = ('penstockd.service', 'penstockd-activated.service', 'penstockd-activated.socket')


@pytest.fixture(scope='module', params=['deb', 'rpm'])
def host(request, tmp_path_factory):
    made = hosts.Host(request.param, tmp_path_factory.mktemp(request.param))
    yield made
    made.close()


@pytest.fixture(scope='module')
def target():
    with lab.Target() as made:
        yield made


@pytest.fixture(scope='module')
def kept():
    """What later steps find again."""
    return {}


def starts(told):
    return [line for line in told if re.search(r'\b(start|restart|enable|preset|reload-or-restart)\b', line)]


def test_installing_starts_nothing(host):
    """Installing makes the user and the folders for keys, and starts and enables nothing."""
    host.install(hosts.NOW, 'penstock')
    assert starts(host.told()) == []
    uid, gid = host.ids()
    assert uid > 0 and uid < 1000 and gid > 0
    for name in ('tls', 'secrets'):
        status = host.path(f'/etc/penstock/{name}').stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (0, gid, 0o750)
    for unit in UNITS:
        assert host.path(f'/usr/lib/systemd/system/{unit}').is_file()
    assert not list(host.path('/etc/systemd').rglob('penstockd*')), 'a unit is enabled'


def test_programs_find_their_libraries(host):
    """What the package depends on is all that its programs need."""
    for name in ('/usr/sbin/penstockd', '/usr/bin/penstockctl'):
        assert 'not found' not in host.run('ldd', name)
    assert ('liblmdb' in host.run('ldd', '/usr/sbin/penstockd')) == (host.form == 'deb')
    assert 'penstockd ' in host.run('penstockd', '--version')


def test_installed_configuration_opens_no_port(host):
    """The configuration as installed is right, and a daemon with it listens nowhere."""
    assert host.run('penstockd', '-t', user='penstock').endswith('ok\n')
    host.start()
    assert host.listening() == set()
    host.stop()


def test_event_is_taken_and_proven(host, target, kept):
    """A signed event is acknowledged, delivered, and its record proven by the audit log."""
    host.configure(target.url)
    host.run('penstockd', '-t', user='penstock')
    host.start()
    assert len(host.listening()) == 1
    before = len(target.deliveries)
    kept['event'] = host.send('before the upgrade')
    target.wait(before + 1)
    lab.wait_for(lambda: 'delivered' in host.ctl('events', 'show', kept['event']))
    assert json.loads(host.ctl('--json', 'audit', 'verify').splitlines()[-1])['valid'] is True


def test_programs_name_their_package(host):
    """Each program has the package's name and version in it, and its symbols are in the package of symbols."""
    host.install(hosts.NOW, 'penstock-dbgsym' if host.form == 'deb' else 'penstock-debuginfo')
    for name in ('/usr/sbin/penstockd', '/usr/bin/penstockctl'):
        notes = subprocess.run(['readelf', '-n', '-p', '.note.package', host.path(name)], capture_output=True, text=True,
                               errors='replace', check=True).stdout
        note = json.loads(re.search(r'\{"type".*?\}', notes)[0])
        assert (note['type'], note['name'], note['version']) == (host.form, 'penstock', host.installed_version())
        build_id = re.search(r'Build ID: ([0-9a-f]+)', notes)[1]
        symbols = host.path(f'/usr/lib/debug/.build-id/{build_id[:2]}/{build_id[2:]}.debug')
        text = subprocess.run(['readelf', '-S', symbols], capture_output=True, text=True, check=True).stdout
        assert '.debug_info' in text and '.symtab' in text
    host.remove('penstock-dbgsym' if host.form == 'deb' else 'penstock-debuginfo')


def test_bill_of_materials(host):
    """Both bills name every library with its version, licence and how it is linked."""
    folder = host.path('/usr/share/doc/penstock')
    cyclonedx = json.loads((folder / 'penstock.cdx.json').read_text())
    assert cyclonedx['metadata']['component']['version'] == host.installed_version()
    found = {one['name']: one for one in cyclonedx['components']}
    assert set(found) == {'wolfSSL', 'liburing', 'yyjson', 'LMDB', 'xxHash', 'libyaml'}
    assert found['wolfSSL']['licenses'] == [{'license': {'id': 'GPL-2.0-or-later'}}]
    lock = (lab.ROOT / 'third_party/sources.lock').read_text()
    assert f"wolfssl {found['wolfSSL']['version']} " in lock
    assert found['wolfSSL']['pedigree']['patches']
    assert all(one['version'] != 'unknown' for one in found.values())
    linked = {'name': 'penstock:linked', 'value': 'dynamic' if host.form == 'deb' else 'static'}
    assert linked in found['LMDB']['properties']
    spdx = json.loads((folder / 'penstock.spdx.json').read_text())
    assert spdx['spdxVersion'] == 'SPDX-2.3' and len(spdx['packages']) == 1 + len(found)
    assert len(spdx['relationships']) == len(spdx['packages'])
    assert 'GPL-2+' in (folder / 'copyright').read_text() and 'wolfSSL' in (folder / 'copyright').read_text()


def test_upgrade_keeps_data_and_configuration(host, target, kept):
    """An upgrade restarts what runs and nothing else; events, configuration and secrets are as they were."""
    configuration = host.path('/etc/penstock/penstock.yaml').read_text()
    before = host.installed_version()
    host.told()
    host.install(hosts.NEXT, 'penstock')
    assert host.installed_version() != before
    told = host.told()
    assert starts(told) == starts([line for line in told if 'try-restart' in line]), told
    assert any('try-restart' in line and 'penstockd.service' in line for line in told), told
    assert any('daemon-reload' in line for line in told), told
    # The old daemon goes on until the restart.
    assert host.daemon.poll() is None
    host.send('during the upgrade')
    host.stop()
    host.start()
    assert host.path('/etc/penstock/penstock.yaml').read_text() == configuration
    assert 'delivered' in host.ctl('events', 'show', kept['event'])
    host.send('after the upgrade')
    assert json.loads(host.ctl('--json', 'status'))['totals']['events_accepted'] == 3
    assert json.loads(host.ctl('--json', 'audit', 'verify').splitlines()[-1])['valid'] is True


def test_installing_the_same_again(host):
    """Installing over an installation works, too, and leaves the configuration alone."""
    if host.form == 'deb':
        configuration = host.path('/etc/penstock/penstock.yaml').read_text()
        host.install(hosts.NEXT, 'penstock')
        assert host.path('/etc/penstock/penstock.yaml').read_text() == configuration
    assert host.installed_version()


def test_other_packages(host):
    """The load generator and the documentation are packages of their own."""
    host.install(hosts.NOW, 'penstock-bench', 'penstock-doc')
    assert 'penstock-bench ' in host.run('penstock-bench', '--version')
    assert host.path('/usr/share/doc/penstock-doc/docs/ARCHITECTURE.md').is_file()
    host.remove('penstock-bench', 'penstock-doc')


def test_removing_leaves_the_events(host):
    """Removing takes the programs and leaves events, secrets and what was configured."""
    host.stop()
    host.told()
    host.remove('penstock')
    told = host.told()
    assert any(re.search(r'\b(stop|disable --now)\b.*penstockd\.service', line) for line in told), told
    assert not host.path('/usr/sbin/penstockd').exists()
    assert not host.path('/usr/lib/systemd/system/penstockd.service').exists()
    assert list(host.path(hosts.STORE).glob('shard-00/*'))
    assert host.path('/etc/penstock/secrets/github').is_file()
    name = 'penstock.yaml' if host.form == 'deb' else 'penstock.yaml.rpmsave'
    assert 'address: 127.0.0.1' in host.path(f'/etc/penstock/{name}').read_text()


def test_purging(host):
    """dpkg --purge takes the events and the configuration; keys and secrets are the administrator's."""
    if host.form != 'deb':
        pytest.skip('rpm knows no purge')
    host.run('dpkg', '--purge', 'penstock')
    assert not host.path(hosts.STORE).exists()
    assert not host.path('/etc/penstock/penstock.yaml').exists()
    assert not host.path('/etc/penstock/tls').exists(), 'it was empty'
    assert host.path('/etc/penstock/secrets/github').is_file()


def test_rpm_needs_only_the_base():
    """The rpm needs glibc 2.34, a shell and shadow-utils: no library that distributions name differently."""
    text = subprocess.run(['rpm', '-qp', '--requires', hosts.package(hosts.NOW, 'penstock', 'rpm')], capture_output=True,
                          text=True, check=True).stdout
    needs = [line for line in text.splitlines() if not re.match(r'rpmlib\(|config\(|rtld\(|lib[cm]\.so\.6|/bin/sh$', line)]
    assert needs == ['shadow-utils']
    versions = [tuple(map(int, one.split('.'))) for one in re.findall(r'GLIBC_([0-9.]+)', text)]
    assert max(versions) <= (2, 34)


def test_deb_needs():
    """The deb's dependencies are computed from its programs."""
    text = subprocess.run(['dpkg-deb', '-f', hosts.package(hosts.NOW, 'penstock', 'deb'), 'Depends'], capture_output=True,
                          text=True, check=True).stdout
    for name in ('libc6 (>= ', 'liblmdb0 (>= ', 'libyaml-0-2', 'systemd | systemd-standalone-sysusers'):
        assert name in text
