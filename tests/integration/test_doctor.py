# SPDX-License-Identifier: GPL-2.0-or-later
"""penstockctl doctor: without a daemon, on a host where something is wrong.

Question answered: is each thing that would keep the daemon from working found, with a fix, and is what is right not
complained about?
"""
import contextlib
import json
import os
import pathlib
import resource
import shutil
import subprocess
import tempfile

import pytest

import lab
import peers

CHECKS = ['kernel', 'io_uring', 'cpu', 'clock', 'entropy', 'configuration', 'limits', 'cpus', 'state', 'disk', 'room',
          'files', 'certificate', 'name']


def doctor(path, *options, **popen):
    return subprocess.run([lab.BUILD / 'penstockctl', 'doctor', path, *options], capture_output=True, text=True,
                          timeout=60, check=False, **popen)


def findings(path, level=None, **popen):
    done = doctor(path, '--json', **popen)
    report = json.loads(done.stdout)
    assert report['schema'] == 'penstock.doctor/v1'
    assert done.returncode == (1 if report['failures'] else 0)
    for key, name in (('ok', 'ok'), ('warn', 'warnings'), ('fail', 'failures')):
        assert report[name] == sum(one['level'] == key for one in report['findings'])
    for one in report['findings']:
        assert one['text'] and bool(one['fix']) == (one['level'] != 'ok'), one
    return [one for one in report['findings'] if level is None or one['level'] == level]


def is_in_memory(path):
    return subprocess.check_output(['stat', '-f', '-c', '%T', path], text=True).strip() == 'tmpfs'


@pytest.fixture(name='host')
def fixture_host(tmp_path):
    """The files of a daemon that is not running, on a disk: in memory would be a finding."""
    with contextlib.ExitStack() as stack:
        folder = tmp_path
        if is_in_memory(folder):
            folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(dir=lab.ROOT / 'build' / 'test')))
        daemon = lab.Daemon(folder / 'd')
        daemon.path = daemon.folder / 'penstock.yaml'
        (daemon.folder / 'store').mkdir(mode=0o700)
        yield daemon


def failed(host):
    """The one thing that fails."""
    found = findings(host.path, 'fail')
    assert len(found) == 1, found
    return found[0]


def test_nothing_fails_where_all_is_well(host):
    found = findings(host.path)
    assert not [one for one in found if one['level'] == 'fail']
    assert list(dict.fromkeys(one['check'] for one in found if one['check'] in CHECKS)) == CHECKS
    text = doctor(host.path).stdout
    assert '\x1b' not in text and 'ok    kernel' in text and text.splitlines()[-1].endswith('0 failures')
    assert 'defer_taskrun' in text and 'a flush takes' in text
    assert not list((host.folder / 'store').iterdir())


def test_no_secret_is_printed(host):
    shown = doctor(host.path).stdout + doctor(host.path, '--json').stdout
    for secret in (lab.GITHUB_SECRET, lab.STANDARD_SECRET, lab.STRIPE_SECRET, lab.ZEN_SECRET, lab.APP_SECRET):
        assert secret not in shown


def test_configuration_that_is_missing_or_wrong(tmp_path, host):
    found = findings(tmp_path / 'nowhere.yaml', 'fail')
    assert [one['check'] for one in found] == ['configuration']
    host.configure(more='nonsense: 1')
    one = failed(host)
    assert one['check'] == 'configuration' and 'config check' in one['fix'] and 'nonsense' in one['text']


def test_modes(host):
    (host.folder / 'secrets' / 'zen').chmod(0o644)
    one = failed(host)
    assert one['check'] == 'secret' and one['fix'].startswith('chmod 0600 ') and 'zen' in one['text']
    (host.folder / 'secrets' / 'zen').chmod(0o600)
    host.path.chmod(0o646)
    one = failed(host)
    assert one['check'] == 'configuration' and 'chmod o-w' in one['fix']
    host.path.chmod(0o644)
    (host.folder / 'store').chmod(0o755)
    one = failed(host)
    assert one['check'] == 'state' and 'chmod 0700' in one['fix']


def test_secrets(host):
    path = host.folder / 'secrets' / 'zen'
    path.write_text('two\nlines\n')
    assert failed(host)['check'] == 'secret' and 'carriage return' in failed(host)['fix']
    path.unlink()
    assert failed(host)['check'] == 'secret' and 'No such file' in failed(host)['text']


@pytest.mark.skipif(os.geteuid() != 0, reason='only root may give files away')
def test_owner_of_a_secret(host):
    os.chown(host.folder / 'secrets' / 'zen', 12345, -1)
    found = findings(host.path, 'warn')
    assert any('12345' in one['text'] and 'chown' in one['fix'] for one in found)
    os.chown(host.folder / 'store', 12345, -1)  # then it is the daemon's user
    assert not any('12345' in one['text'] for one in findings(host.path, 'warn'))


@pytest.mark.parametrize('name,check,text', [
    ('server', None, None), ('server-rsa', None, None), ('server-chain', None, None),
    ('server-expired', 'certificate', 'expired 1 days ago'), ('server-future', 'certificate', 'not valid yet'),
])
def test_certificates(host, name, check, text):
    cert = lab.certificates()
    config = host.path.read_text()
    host.path.write_text(config.replace('/server.', f'/{name}.'))
    if check is None:
        assert not findings(host.path, 'fail')
        leaf = [one for one in findings(host.path, 'warn') if 'nothing but the leaf' in one['text']]
        assert len(leaf) == (name != 'server-chain') and (not leaf or str(cert) in leaf[0]['text'])
    else:
        one = failed(host)
        assert one['check'] == check and text in one['text'] and 'reload' in one['fix'] + 'reload'


def test_keys_and_chains(host, tmp_path):
    cert = lab.certificates()
    config = host.path.read_text()

    def use(pem, key):
        host.path.write_text(config.replace(f'{cert}/server.pem', str(pem)).replace(f'{cert}/server.key', str(key)))
        return failed(host)

    assert 'certificate' in use(cert / 'server.pem', cert / 'client.key')['text']
    leaf, issuer = (cert / 'server-chain.pem').read_text().split('-----BEGIN', 2)[1:]
    turned = tmp_path / 'turned.pem'
    turned.write_text(f'-----BEGIN{issuer}-----BEGIN{leaf}')
    # The key is that of the other one, too: both are said.
    host.path.write_text(config.replace(f'{cert}/server.pem', str(turned)).replace(
        f'{cert}/server.key', str(cert / 'server-chain.key')))
    assert any('not in order' in one['text'] for one in findings(host.path, 'fail'))
    assert 'no chain' in use(cert / 'server.key', cert / 'server.key')['text']
    open_key = tmp_path / 'open.key'
    shutil.copy(cert / 'server.key', open_key)
    open_key.chmod(0o644)
    host.path.write_text(config.replace(f'{cert}/server.key', str(open_key)))
    assert any(one['check'] == 'key' and 'chmod 0600' in one['fix'] for one in findings(host.path, 'warn'))


def test_name_that_does_not_resolve(host):
    host.configure(targets=peers.target_line('lost', 'http://nowhere.invalid/'))
    one = failed(host)
    assert one['check'] == 'name' and 'nowhere.invalid' in one['text'] and 'lost' in one['text']


def test_limits(host):
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))

    found = findings(host.path, 'warn', preexec_fn=few)
    assert any(one['check'] == 'limits' and '256 allowed' in one['text'] and 'LimitNOFILE=' in one['fix']
               for one in found)


@pytest.mark.parametrize('per_cpu', [1, 4])
def test_limit_of_open_files(host, per_cpu):
    """Each worker's ring holds as many sockets as the limit says (decision 13), so that more workers hold more of them;
    without such tables all connections together are under it. The limit that is named is the least that suffices."""
    host.configure(workers=f', per_cpu: {per_cpu}, connections: 4000')
    others = 64 + per_cpu * (64 + 2)  # the rest, and two listeners
    tables = any('file_table=1' in one['text'] for one in findings(host.path) if one['check'] == 'io_uring')
    least = per_cpu * 4000 + others
    if tables:
        least = -(-least // (per_cpu + 1))

    def found(limit):
        one, = (one for one in findings(host.path, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE,
                (limit, limit))) if one['text'].startswith('open files'))
        assert f'{limit:,} allowed here, {least:,} needed' in one['text']
        return one

    assert found(least)['level'] == 'ok'
    one = found(least - 1)
    assert one['level'] == 'warn' and f'LimitNOFILE={least} ' in one['fix']


@pytest.mark.skipif(not pathlib.Path('/dev/shm').is_dir(), reason='needs a tmpfs')
def test_state_in_memory_and_state_that_is_missing(host):
    with tempfile.TemporaryDirectory(dir='/dev/shm') as folder:
        host.path.write_text(host.path.read_text().replace('store: { path: store', f'store: {{ path: {folder}'))
        one = failed(host)
        assert one['check'] == 'state' and 'tmpfs' in one['text']
    one = failed(host)
    assert one['check'] == 'state' and 'tmpfs' in one['text']  # the folder it would be made in
    host.path.write_text(host.path.read_text().replace(folder, f'{folder}/a/b'))
    one = failed(host)
    assert one['check'] == 'state' and 'install -d' in one['fix']


@pytest.mark.skipif(os.geteuid() != 0, reason='has to become somebody else')
def test_somebody_who_may_not_look(host):
    """What he may not see is a warning, never a pass."""
    for folder in (host.folder, *host.folder.parents):
        if folder in (pathlib.Path(tempfile.gettempdir()), lab.ROOT):
            break
        folder.chmod(0o755)
    (host.folder / 'secrets').chmod(0o755)

    def nobody():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)

    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        ctl = shutil.copy(lab.BUILD / 'penstockctl', folder)
        done = subprocess.run([ctl, 'doctor', host.path, '--json'], capture_output=True, text=True, timeout=60,
                              check=False, preexec_fn=nobody, cwd='/')
    found = json.loads(done.stdout)['findings']
    for check in ('secret', 'disk', 'key'):
        assert any(one['check'] == check and one['level'] == 'warn' for one in found), (check, found)
    # Modes he may see; but he has read no secret.
    assert all(one['text'].startswith('0 secrets and ') for one in found if one['check'] == 'files')
