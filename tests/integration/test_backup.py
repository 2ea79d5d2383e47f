# SPDX-License-Identifier: GPL-2.0-or-later
"""Backup and restore: is what was acknowledged before a backup began in it, whole, and is a bad one refused?

The daemon is under load while the backup is made; the restored store is opened by another daemon, which must find every
event, verify its audit log, and deliver what was left.
"""
import contextlib
import ctypes
import ctypes.util
import hashlib
import json
import os
import shutil
import socket
import struct
import subprocess
import threading

import pytest

import lab
import peers

BODY_SIZE = 60000


class Load:
    """Posts events from several threads until it is told to stop; ids of those that were acknowledged, with bodies."""

    def __init__(self, daemon, threads=3, size=BODY_SIZE):
        self.daemon = daemon
        self.size = size
        self.acknowledged = {}
        self.refused = []
        self.stopping = False
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(threads)]

    def run(self, number):
        with contextlib.closing(self.daemon.connect(tls=False)) as connection:
            count = 0
            while not self.stopping:
                body = json.dumps({'thread': number, 'count': count, 'fill': 'x' * self.size}).encode()
                status, answer, _ = self.daemon.post('/github', lab.github(body), body, connection)
                if status == 200:
                    self.acknowledged[answer['id']] = body
                else:
                    self.refused.append(answer)
                count += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        for thread in self.threads:
            thread.join()


def restore(backup, store, code=0):
    done = subprocess.run([lab.BUILD / 'penstockctl', '--json', 'restore', backup, '--store', store],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope='module', name='made')
def fixture_made(tmp_path_factory):
    """A backup made under load: its folder, and what had been acknowledged before it began."""
    folder = tmp_path_factory.mktemp('backup')
    with lab.Target(lambda number: 200 if number % 4 else 500) as target:
        with lab.Daemon(folder / 'd', target.url, cpus='[0, 1]', store=', quota: 512MiB') as daemon:
            # The kernel deals connections out by chance: so many that both shards have some.
            with Load(daemon, threads=12) as load:
                lab.wait_for(lambda: len(load.acknowledged) > 400, 60)
                before = dict(load.acknowledged)
                lines = [json.loads(line) for line in
                         daemon.ctl('--json', 'backup', folder / 'backup').splitlines()]
                after = len(load.acknowledged)
            assert after > len(before), 'there was no load while the backup was made'
            assert not load.refused
            assert daemon.audit_verify()['valid']
            actions = daemon.ctl_json('audit', 'actions')['actions']
            assert actions[0]['action'] == 'backup' and str(folder / 'backup') in actions[0]['text']
    assert all(line['schema'] == 'penstock.backup/v1' for line in lines)
    assert lines[-1]['kind'] == 'summary' and lines[-1]['complete']
    return folder / 'backup', before


def test_manifest_says_what_is_there(made):
    """Every file with its size and SHA-256, and no other; nobody else can read them."""
    backup, _ = made
    manifest = json.loads((backup / 'manifest.json').read_text())
    assert manifest['schema'] == 'penstock.backup/v1' and manifest['shards'] == 2
    names = {file['path'] for file in manifest['files']}
    assert names == {str(path.relative_to(backup)) for path in backup.glob('shard-*/*')}
    assert {'shard-00/data.mdb', 'shard-01/data.mdb'} < names and len(names) > 4
    for file in manifest['files']:
        path = backup / file['path']
        assert hashlib.sha256(path.read_bytes()).hexdigest() == file['sha256']
        assert path.stat().st_size == file['size'] <= file['full_size']
        assert path.stat().st_mode & 0o077 == 0
    assert backup.stat().st_mode & 0o077 == 0


def test_nothing_acknowledged_before_is_missing(made, tmp_path):
    """The restored store opens, its audit log verifies, each event is there byte for byte, and all is delivered."""
    backup, before = made
    summary = restore(backup, tmp_path / 'd-store')
    assert summary['schema'] == 'penstock.restore/v1' and summary['shards'] == 2
    with lab.Target() as target:
        daemon = lab.Daemon(tmp_path / 'd', target.url, cpus='[0, 1]', store=', quota: 512MiB')
        shutil.move(tmp_path / 'd-store', tmp_path / 'd' / 'store')
        with daemon:
            verified = daemon.audit_verify()
            assert verified['valid'] and verified['leaf_count'] >= len(before)
            found = [json.loads(line) for line in daemon.ctl('--json', 'events', 'list', '--limit', 'all').splitlines()]
            listed = {event['id'] for page in found for event in page['events']}
            assert set(before) <= listed
            for event, body in list(before.items())[::7]:
                payload = subprocess.check_output([lab.BUILD / 'penstockctl', '--socket', daemon.folder / 'control.sock',
                                                   'events', 'payload', event])
                assert payload == body
            lab.wait_for(lambda: daemon.ctl_json('status')['totals']['deliveries_outstanding'] == 0, 60)
            totals = daemon.ctl_json('status')['totals']
            assert totals['deliveries_delivered'] + totals['deliveries_dead'] == totals['events_accepted'] == len(listed)
            body = b'{"after":"restore"}'
            assert daemon.post('/github', lab.github(body), body)[0] == 200
            peers.settled(daemon)
            assert daemon.audit_verify()['valid']


def test_restore_wants_an_empty_folder(made, tmp_path):
    store = tmp_path / 'store'
    store.mkdir()
    (store / 'shard-00').mkdir()
    problem = restore(made[0], store, code=os.EX_CANTCREAT)
    assert problem['code'] == 'store_not_empty' and problem['fix']
    assert os.listdir(store) == ['shard-00']


def check(store, code=0):
    done = subprocess.run([lab.BUILD / 'penstockctl', '--json', 'store', 'check', '--store', store],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_store_check_finds_what_was_damaged(made, tmp_path):
    """A store is sound, also twice; a byte of a payload, a file that is gone and a foreign shard are found."""
    store = tmp_path / 'store'
    restore(made[0], store)
    for _ in range(2):
        lines = check(store)
        assert lines[-1]['kind'] == 'summary' and lines[-1]['sound'] and lines[-1]['shards'] == 2
        shards = [line for line in lines if line['kind'] == 'shard']
        assert sum(line['rows']['events'] for line in shards) >= len(made[1])
        assert all(line['leaf_count'] > 0 and line['findings'] == 0 for line in shards)

    path = next(path for path in sorted((store / 'shard-01').glob('journal-*')) if b'x' * 20000 in path.read_bytes())
    text = bytearray(path.read_bytes())
    text[text.index(b'x' * 20000) + 1000] ^= 1
    path.write_bytes(text)
    lines = check(store, code=1)
    findings = [line for line in lines if line['kind'] == 'finding']
    assert not lines[-1]['sound'] and all(line['shard'] == 1 for line in findings)
    assert any('journal' in line['text'] for line in findings) and any('audit log' in line['text'] for line in findings)

    path.unlink()
    findings = [line for line in check(store, code=1) if line['kind'] == 'finding']
    assert len(findings) == 1 and 'missing' in findings[0]['text']
    shutil.rmtree(store / 'shard-01')
    shutil.copytree(store / 'shard-00', store / 'shard-01')
    assert check(store, code=os.EX_DATAERR)[-1]['code'] == 'store_version'
    (store / 'shard-01' / 'data.mdb').unlink()
    assert 'data.mdb is missing' in [line for line in check(store, code=1) if line['kind'] == 'finding'][0]['text']
    assert not (store / 'shard-01' / 'data.mdb').exists()


def test_a_restore_that_was_cut_short_is_no_store(made, tmp_path):
    """While restoring/ is there, nothing opens the shards that have their names or makes the others."""
    daemon = lab.Daemon(tmp_path / 'd', cpus='[0, 1]')
    store = tmp_path / 'd' / 'store'
    restore(made[0], store)
    (store / 'restoring').mkdir()
    (store / 'shard-00').rename(store / 'restoring' / 'shard-00')
    sentence = 'a restore is under way or was cut short: empty the folder and restore again'
    daemon.start(wait=False)
    assert daemon.process.wait(20) != 0
    assert sentence in daemon.log()
    for command in (check, compact):
        problem = command(store, code=os.EX_DATAERR)[-1]
        assert problem['code'] == 'restore_unfinished' and sentence in problem['detail'] and problem['fix']
    assert sorted(os.listdir(store)) == ['restoring', 'shard-01']
    (store / 'restoring' / 'shard-00').rename(store / 'shard-00')
    (store / 'restoring').rmdir()
    assert check(store)[-1]['sound']


def test_store_check_leaves_a_running_daemon_alone(tmp_path):
    with lab.Daemon(tmp_path / 'd') as daemon:
        problem = check(daemon.folder / 'store', code=os.EX_UNAVAILABLE)[-1]
        assert problem['code'] == 'store_busy' and 'another process' in problem['detail']
        assert daemon.audit_verify()['valid']


def compact(store, code=0):
    done = subprocess.run([lab.BUILD / 'penstockctl', '--json', 'store', 'compact', '--store', store],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_store_compact_gives_back_what_retention_deleted(tmp_path):
    """Refused while the daemon runs; then data.mdb is smaller, the store sound, and the daemon goes on with it."""
    with lab.Target() as target:
        with lab.Daemon(tmp_path / 'd', target.url, cpus='[0, 1]', store=', retention: 1s') as daemon:
            store = daemon.folder / 'store'
            with Load(daemon, size=100):  # what has expired is deleted with the commits that come
                lab.wait_for(lambda: daemon.ctl_json('status')['totals']['events_expired'] > 1000, 30)
            peers.settled(daemon)
            problem = compact(store, code=os.EX_UNAVAILABLE)[-1]
            assert problem['code'] == 'store_busy' and 'another process' in problem['detail']
        before = [path.stat().st_size for path in sorted(store.glob('shard-*/data.mdb'))]
        (store / 'shard-00' / 'data.mdb.new').write_bytes(b'left by one that was killed')
        lines = compact(store)
        after = [path.stat().st_size for path in sorted(store.glob('shard-*/data.mdb'))]
        assert all(line['schema'] == 'penstock.store_compact/v1' for line in lines)
        assert [line['kind'] for line in lines] == ['shard', 'shard', 'summary']
        assert [line['size_before'] for line in lines] == [*before, sum(before)]
        assert [line['size_after'] for line in lines] == [*after, sum(after)]
        assert all(new < old for old, new in zip(before, after))
        assert not list(store.glob('shard-*/data.mdb.new'))
        assert check(store)[-1]['sound']
        with daemon:
            assert daemon.audit_verify()['valid']
            body = b'{"after":"compact"}'
            assert daemon.post('/github', lab.github(body), body)[0] == 200
            peers.settled(daemon)
            assert daemon.audit_verify()['valid']
        assert check(store)[-1]['sound']


def test_store_compact_makes_no_store(tmp_path):
    """Where there is none, or a shard of it is missing, it says so and makes nothing."""
    assert compact(tmp_path, code=os.EX_NOINPUT)[-1]['code'] == 'no_store'
    (tmp_path / 'shard-00').mkdir()
    problem = compact(tmp_path, code=os.EX_NOINPUT)[-1]
    assert problem['code'] == 'no_store' and 'shard-00/data.mdb' in problem['detail']
    assert not os.listdir(tmp_path / 'shard-00')


def checksum(xxhash, table, key, value):
    """As store.h has it: XXH3 of the value, seeded with that of the key, seeded with the table's number."""
    function = xxhash.XXH3_64bits_withSeed
    function.argtypes, function.restype = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64], ctypes.c_uint64
    return struct.pack('<Q', function(value, len(value), function(key, len(key), table)))


def test_a_store_of_a_newer_version_is_refused(made, tmp_path):
    """By the daemon and by `store check`, with a sentence that names both versions; nothing in it is changed."""
    library = ctypes.util.find_library('xxhash')
    if library is None:
        pytest.skip('needs libxxhash, to write a right checksum')
    xxhash = ctypes.CDLL(library)
    daemon = lab.Daemon(tmp_path / 'd', cpus='[0, 1]')
    store = tmp_path / 'd' / 'store'
    restore(made[0], store)
    manifest = json.loads((made[0] / 'manifest.json').read_text())
    ours = manifest['store_schema']
    path = store / 'shard-00' / 'data.mdb'
    rows = [b'schema' + checksum(xxhash, 0, b'schema', number) + number
            for number in (struct.pack('<I', ours), struct.pack('<I', ours + 1))]
    text = path.read_bytes()
    assert rows[0] in text
    path.write_bytes(text.replace(*rows))
    before = {file: file.read_bytes() for file in (store / 'shard-00').iterdir()}

    sentence = f'a newer version wrote the store: schema {ours + 1}, this version knows {ours}'
    daemon.start(wait=False)
    assert daemon.process.wait(20) == os.EX_DATAERR
    assert sentence in daemon.log()
    problem = check(store, code=os.EX_DATAERR)[-1]
    assert problem['code'] == 'store_version' and problem['detail'] == sentence and problem['fix']
    assert all(file.read_bytes() == content for file, content in before.items())


def damage_byte(backup):
    path = next(path for path in sorted(backup.glob('shard-01/journal-*')))
    text = bytearray(path.read_bytes())
    text[len(text) // 2] ^= 1
    path.write_bytes(text)


def damage_name(backup):
    text = (backup / 'manifest.json').read_text()
    (backup / 'manifest.json').write_text(text.replace('shard-00/data.mdb', '../shard-00/data.mdb'))


def newer(backup):
    manifest = json.loads((backup / 'manifest.json').read_text())
    manifest['store_schema'] += 1
    (backup / 'manifest.json').write_text(json.dumps(manifest))


@pytest.mark.parametrize('damage, code, exit_code', [
    (damage_byte, 'backup_damaged', os.EX_DATAERR),
    (damage_name, 'backup_damaged', os.EX_DATAERR),
    (lambda backup: (backup / 'shard-00/data.mdb').unlink(), 'backup_damaged', os.EX_DATAERR),
    (lambda backup: os.truncate(backup / 'shard-00/data.mdb', 4096), 'backup_damaged', os.EX_DATAERR),
    (lambda backup: (backup / 'manifest.json').unlink(), 'no_backup', os.EX_NOINPUT),
    (newer, 'backup_newer', os.EX_DATAERR),
], ids=('byte', 'name', 'missing', 'cut', 'manifest', 'newer'))
def test_bad_backups_are_refused(made, tmp_path, damage, code, exit_code):
    """Before anything is written."""
    backup = tmp_path / 'backup'
    shutil.copytree(made[0], backup)
    damage(backup)
    problem = restore(backup, tmp_path / 'store', code=exit_code)
    assert problem['code'] == code and problem['detail']
    assert not (tmp_path / 'store').exists() or not os.listdir(tmp_path / 'store')


def test_a_backup_that_the_owner_cannot_read(made, tmp_path):
    """Root restores as the owner of the store's folder: what he cannot read is named, and nothing is written."""
    if os.geteuid() != 0:
        pytest.skip('needs root')
    nobody = 65534
    backup, store = tmp_path / 'backup', tmp_path / 'store'
    shutil.copytree(made[0], backup)
    store.mkdir(mode=0o700)
    os.chown(store, nobody, nobody)
    problem = restore(backup, store, code=os.EX_NOINPUT)
    assert problem['code'] == 'backup_unreadable' and 'Permission denied' in problem['detail']
    assert 'chown' in problem['fix'] and not os.listdir(store)
    for path in [backup, *backup.rglob('*')]:
        os.chown(path, nobody, nobody)
    restore(backup, store)
    assert all(path.stat().st_uid == nobody for path in store.rglob('*'))


def test_a_backup_whose_client_goes_ends(tmp_path):
    """Soon, and not with a manifest; the next one can be made."""
    with lab.Daemon(tmp_path / 'd', store=', quota: 512MiB') as daemon:
        with Load(daemon) as load:
            lab.wait_for(lambda: len(load.acknowledged) > 800, 60)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(daemon.folder / 'control.sock'))
            client.sendall(f'POST /v1/backup?path={tmp_path}/cut HTTP/1.1\r\nHost: penstock\r\n'
                           'Content-Length: 0\r\n\r\n'.encode())
            lab.wait_for((tmp_path / 'cut' / 'shard-00' / 'data.mdb').exists, 20)
        lab.wait_for(lambda: 'the client has gone' in daemon.log(), 20)
        assert not (tmp_path / 'cut' / 'manifest.json').exists()
        daemon.ctl('backup', tmp_path / 'whole')
        assert (tmp_path / 'whole' / 'manifest.json').exists()


def test_a_backup_needs_a_new_folder(tmp_path):
    with lab.Daemon(tmp_path / 'd') as daemon:
        (tmp_path / 'there').mkdir()
        for path in (tmp_path / 'there', tmp_path / 'no' / 'such' / 'parent'):
            problem = daemon.ctl_json('backup', path, code=os.EX_CANTCREAT)
            assert problem['schema'] == 'penstock.problem/v1' and problem['code'] == 'backup_failed'
        assert os.listdir(tmp_path / 'there') == []


def test_backups_while_segments_are_used_again(tmp_path):
    """With a short retention the journal's segments are freed and used again all the time; each backup is whole."""
    with lab.Target() as target:
        with lab.Daemon(tmp_path / 'd', target.url, store=', quota: 64MiB, retention: 1s') as daemon:
            with Load(daemon, threads=2) as load:
                lab.wait_for(lambda: daemon.ctl_json('status')['totals']['events_expired'] > 0, 30)
                for number in range(4):
                    count = len(load.acknowledged) + 150
                    lab.wait_for(lambda: len(load.acknowledged) > count or load.refused, 60)
                    daemon.ctl('backup', tmp_path / f'backup-{number}')
    for number in range(4):
        folder = tmp_path / f'd{number}'
        again = lab.Daemon(folder, store=', quota: 64MiB')
        restore(tmp_path / f'backup-{number}', folder / 'store')
        with again:
            assert again.audit_verify()['valid']
