# SPDX-License-Identifier: GPL-2.0-or-later
"""The store at its limits: full, failing, foreign, shared, and with more in it than fits in memory.

Question answered: is what was acknowledged kept and delivered, and is everything else refused with a clear word?
"""
import concurrent.futures
import contextlib
import ctypes
import os
import pathlib
import resource
import shutil
import socket
import struct
import subprocess
import time

import pytest

import lab
import peers

MIB = 1024 * 1024


def start_refused(daemon, code):
    """Starts a daemon that must end by itself with that code; what it says."""
    before = len(daemon.log()) if (daemon.folder / 'log').exists() else 0
    daemon.start(wait=False)
    assert daemon.process.wait(20) == code, daemon.log()[before:]
    return daemon.log()[before:]


@pytest.fixture(scope='module', autouse=True, name='forgetful')
def fixture_forgetful(tmp_path_factory):
    """A daemon with a full quota and a short retention, made first: its round is half a minute long."""
    with lab.Target() as target:
        folder = tmp_path_factory.mktemp('forgetful') / 'd'
        with lab.Daemon(folder, target.url, store=', quota: 64MiB, retention: 1s') as daemon:
            daemon.accepted, refusal = fill(daemon, 0, size=900000)
            check_refusal(refusal)
            yield daemon


# ---- Full -----------------------------------------------------------------------------------------------------------

@pytest.fixture(name='small_disk')
def fixture_small_disk(tmp_path):
    """A file system of 160 MiB."""
    folder = tmp_path / 'disk'
    folder.mkdir()
    if not peers.is_root() or subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=160m', 'none', folder], check=False,
                                             stderr=subprocess.DEVNULL).returncode:
        pytest.skip('needs root, to mount a file system')
    yield folder
    subprocess.run(['umount', '-l', folder], check=True)


def fill(daemon, first, count=400, size=300000):
    """Posts large events until one is refused; ids by body number, and the refusal."""
    accepted = {}
    connection = daemon.connect(tls=False)
    for number in range(first, first + count):
        body = b'%08d' % number + b'x' * size
        status, answer, headers = daemon.post('/github', lab.github(body), body, connection)
        if status != 200:
            return accepted, (status, answer, headers)
        accepted[number] = answer['id']
    return accepted, None


def check_refusal(refusal):
    status, answer, headers = refusal
    assert (status, answer['code']) == (503, 'store_full')
    assert int(headers['Retry-After']) > 0 and headers['Content-Type'] == 'application/problem+json'


def test_full_disk(tmp_path, small_disk):
    """A full disk: 503 with Retry-After, nothing acknowledged is lost, deliveries go on, so does intake with space."""
    filler = small_disk / 'filler'
    filler.write_bytes(b'f' * (100 * MIB))
    with lab.Target(lambda _: 200 if target.good else 500) as target:
        target.good = False
        daemon = lab.Daemon(tmp_path / 'd', target.url, target=peers.retry(100, '200ms', '400ms'))
        file = tmp_path / 'd' / 'penstock.yaml'
        file.write_text(file.read_text().replace('{ path: store', f'{{ path: {small_disk}/s, quota: 150MiB'))
        with daemon:
            first, refusal = fill(daemon, 0)
            check_refusal(refusal)
            assert len(first) > 20
            assert daemon.get('/healthz')[0] == 200
            assert daemon.metric('penstock_events_shed_total', endpoint='github') >= 1
            target.good = True  # settling needs room, too
            assert peers.settled(daemon, 30)['deliveries_delivered'] == len(first)
            assert fill(daemon, 1000, 1)[1][0] == 503, 'the disk is still full'
            filler.unlink()
            lab.wait_for(lambda: fill(daemon, 2000, 1)[1] is None, 10)
            second, _ = fill(daemon, 3000, 20)
            found = peers.settled(daemon, 30)
            assert found['deliveries_delivered'] == found['events_accepted'] >= len(first) + len(second) + 1
            daemon.stop()
            daemon.start()
            assert daemon.audit_verify()['valid'] is True
        taken = {int(body[:8]) for _, _, _, body in target.deliveries}
        assert set(first) | set(second) <= taken


def test_full_quota(tmp_path):
    """A full quota: 503 with Retry-After, deliveries of what was acknowledged go on, also after a restart."""
    with lab.Target(lambda _: 200 if target.good else 500) as target:
        target.good = False
        daemon = lab.Daemon(tmp_path / 'd', target.url, store=', quota: 64MiB',
                            target=peers.retry(100, '200ms', '400ms'))
        with daemon:
            accepted, refusal = fill(daemon, 0, size=900000)
            check_refusal(refusal)
            assert 40 < len(accepted) < 72
            small = b'{"small":1}'
            status = daemon.post('/github', lab.github(small), small)[0]
            assert status in (200, 503)
            daemon.stop()
            daemon.start()
            assert fill(daemon, 1000, 1, 900000)[1][0] == 503
            target.good = True
            assert peers.settled(daemon, 30)['deliveries_dead'] == 0
        assert set(accepted) <= {int(body[:8]) for _, _, _, body in target.deliveries if len(body) > 100}


# ---- A backlog ------------------------------------------------------------------------------------------------------

@peers.needs('nginx')
@pytest.mark.parametrize('how', ['stop', 'kill'])
def test_backlog_larger_than_memory(tmp_path, how):
    """More waiting events than the window holds are all delivered after a restart, orderly or not."""
    count = 18000
    silent = peers.Script(lambda connection, _: connection.recv(1))
    with silent, peers.Nginx(tmp_path / 'nginx', more='keepalive_requests 100000;') as nginx:
        stuck = ', timeout: 60s, connections: 1'
        daemon = lab.Daemon(tmp_path / 'd', silent.url, target=stuck, cpus='[0, 1]', more='drain_timeout: 1s')
        with daemon:
            peers.flood(daemon, '/github', count, connections=64)
            assert peers.totals(daemon)['deliveries_outstanding'] == count
            daemon.configure(target_url=nginx.url, target=f', ca_file: {lab.certificates()}/ca.pem')
            if how == 'kill':
                daemon.kill()
            else:
                daemon.stop()  # the attempts under way are cut off after drain_timeout
            daemon.start()
            found = peers.settled(daemon, 60)
            assert (found['events_accepted'], found['deliveries_delivered']) == (count, count)
            assert daemon.audit_verify()['valid'] is True
        rows = nginx.rows(count)
        assert len({row['http_webhook_id'] for row in rows}) == count
        assert len(rows) == count, 'something was delivered twice without need'


def test_fewer_workers_than_shards(tmp_path):
    """After a restart with fewer CPUs what the other shard holds is still delivered, known and listed."""
    with lab.Target(lambda _: 200 if target.good else 500) as target:
        target.good = False
        daemon = lab.Daemon(tmp_path / 'd', target.url, cpus='[0, 1]', target=peers.retry(100, '300ms', '600ms'))
        with daemon:
            peers.flood(daemon, '/github', 200)
            assert all(worker['store']['used_size'] > 60000 for worker in daemon.ctl_json('status')['workers'])
            daemon.stop()
            daemon.configure(cpus='[0]')
            daemon.start()
            target.good = True
            assert peers.settled(daemon)['deliveries_delivered'] == 200
            assert len(daemon.ctl_json('events', 'list', '--limit', '1000')['events']) == 200
            peers.send(daemon, {'more': 1})
        assert len({headers['webhook-id'] for _, _, headers, _ in target.deliveries}) >= 200


# ---- Refused stores -------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def meta_table(folder):
    """LMDB itself, opened on the table META of a shard: a transaction's handle, the table and the library."""
    lmdb = ctypes.CDLL('liblmdb.so.0')
    environment, transaction, table = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_uint()
    assert lmdb.mdb_env_create(ctypes.byref(environment)) == 0
    assert lmdb.mdb_env_set_maxdbs(environment, ctypes.c_uint(32)) == 0
    assert lmdb.mdb_env_open(environment, str(folder).encode(), ctypes.c_uint(0), 0o600) == 0
    assert lmdb.mdb_txn_begin(environment, None, ctypes.c_uint(0), ctypes.byref(transaction)) == 0
    assert lmdb.mdb_dbi_open(transaction, b'meta', ctypes.c_uint(0), ctypes.byref(table)) == 0
    yield lmdb, transaction, table
    assert lmdb.mdb_txn_commit(transaction) == 0
    lmdb.mdb_env_close(environment)


class Piece(ctypes.Structure):
    """MDB_val."""
    _fields_ = [('size', ctypes.c_size_t), ('data', ctypes.c_char_p)]


def put_number(folder, key, number):
    """Overwrites a number in META, with the checksum that belongs to it."""
    xxhash = ctypes.CDLL('libxxhash.so.0').XXH3_64bits_withSeed
    xxhash.restype = ctypes.c_uint64
    xxhash.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]
    value = struct.pack('<I', number)
    value = struct.pack('<Q', xxhash(value, 4, xxhash(key, len(key), 0))) + value
    with meta_table(folder) as (lmdb, transaction, table):
        name, data = Piece(len(key), key), Piece(len(value), value)
        assert lmdb.mdb_put(transaction, table, ctypes.byref(name), ctypes.byref(data), ctypes.c_uint(0)) == 0


@pytest.fixture(name='stopped')
def fixture_stopped(tmp_path):
    """A daemon that has stored an event and stopped."""
    with lab.Target() as target:
        daemon = lab.Daemon(tmp_path / 'd', target.url)
        with daemon:
            daemon.event = peers.send(daemon, {'stored': 1})
            peers.settled(daemon)
        yield daemon
        if daemon.process.poll() is None:
            daemon.kill()


def test_newer_store_is_refused(stopped):
    """A store of a newer version is refused with both versions named, untouched, and opens again when put back."""
    shard = stopped.folder / 'store' / 'shard-00'
    put_number(shard, b'schema', 99)
    text = start_refused(stopped, os.EX_DATAERR)
    assert 'newer version' in text and 'schema 99' in text
    put_number(shard, b'schema', 2)
    with stopped:
        assert stopped.ctl_json('events', 'list')['events'][0]['id'] == stopped.event


def test_store_of_another_shard_is_refused(stopped):
    """A shard's folder under another shard's name is refused, with both numbers named."""
    store = stopped.folder / 'store'
    shutil.copytree(store / 'shard-00', store / 'shard-01')
    stopped.configure(cpus='[0, 1]')
    text = start_refused(stopped, os.EX_DATAERR)
    assert 'belongs to shard 0 and not to shard 1' in text


def test_cut_off_store_is_refused(stopped):
    """A store whose file was cut off by a failed copy is refused instead of crashing later."""
    data = stopped.folder / 'store' / 'shard-00' / 'data.mdb'
    os.truncate(data, 3 * 4096)
    text = start_refused(stopped, os.EX_DATAERR)
    assert 'cut off' in text and 'data.mdb' in text


def test_foreign_file_is_refused(stopped):
    """A data.mdb that is no LMDB file is refused."""
    data = stopped.folder / 'store' / 'shard-00' / 'data.mdb'
    data.write_bytes(b'this is no database\n' * 2000)
    stopped.start(wait=False)
    assert stopped.process.wait(20) in (os.EX_DATAERR, os.EX_IOERR, os.EX_OSERR)
    assert 'cannot open store' in stopped.log()


def test_second_daemon_on_the_same_store_is_refused(tmp_path):
    """A second daemon on a store in use ends with a word about it, and the first one goes on."""
    with lab.Target() as target, lab.Daemon(tmp_path / 'first', target.url) as first:
        second = lab.Daemon(tmp_path / 'second', target.url)
        file = tmp_path / 'second' / 'penstock.yaml'
        file.write_text(file.read_text().replace('path: store', f'path: {first.folder}/store'))
        text = start_refused(second, os.EX_UNAVAILABLE)
        assert 'another process' in text and str(first.folder / 'store') in text
        peers.wait_state(first, peers.send(first, {'still': 'here'}), 'delivered')


def test_store_that_cannot_be_made_is_named(tmp_path):
    """A store below something that is no folder is refused, with its path."""
    daemon = lab.Daemon(tmp_path / 'd')
    (tmp_path / 'file').write_text('')
    file = tmp_path / 'd' / 'penstock.yaml'
    file.write_text(file.read_text().replace('path: store', f'path: {tmp_path}/file/store'))
    assert f'{tmp_path}/file/store' in start_refused(daemon, os.EX_IOERR)


def test_occupied_address_is_named(tmp_path):
    """A listener's or the metrics' address that is taken is refused, with the address."""
    daemon = lab.Daemon(tmp_path / 'd')
    for port in (daemon.port, daemon.metrics_port):
        with socket.create_server(('127.0.0.1', port)):
            assert f'127.0.0.1:{port}' in start_refused(daemon, os.EX_UNAVAILABLE)


def test_audit_finds_a_changed_byte(stopped):
    """A byte of a stored payload that was changed in the journal makes `audit verify` exit 1 and name the shard."""
    data = stopped.folder / 'store' / 'shard-00' / 'journal-0'
    content = data.read_bytes()
    assert content.count(b'{"stored": 1}') >= 1
    data.write_bytes(content.replace(b'{"stored": 1}', b'{"stored": 2}'))
    with stopped:
        lines = stopped.ctl('--json', 'audit', 'verify', code=1).splitlines()
        assert lab.json.loads(lines[-1])['valid'] is False
        assert any('"valid":false' in line and '"shard":0' in line for line in lines)
        stopped.ctl('audit', 'verify', code=1)


# ---- A failing disk -------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def traced(process, inject):
    """With strace on the process, doing that to its calls."""
    tracer = subprocess.Popen(['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=fdatasync,fsync,msync',
                               '-e', f'inject=fdatasync,fsync,msync:{inject}', '-p', str(process.pid)])
    try:
        def attached():
            if tracer.poll() is not None and process.poll() is None:
                pytest.skip('strace may not attach here')
            if process.poll() is not None:
                return True  # what was injected has ended it already
            tasks = list(pathlib.Path(f'/proc/{process.pid}/task').iterdir())
            return all(f'TracerPid:\t{tracer.pid}\n' in (task / 'status').read_text() for task in tasks)
        lab.wait_for(attached)
        yield
    finally:
        tracer.terminate()
        tracer.wait()


def test_file_size_limit_is_no_space(tmp_path):
    """Past the process's limit of file sizes the store is full: 503, and 200 again once the limit is raised."""
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url) as daemon:
        peers.wait_state(daemon, peers.send(daemon, {'before': 1}), 'delivered')
        _, hard = resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE)
        # In the middle of a segment of the journal.
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (32 * MIB, hard))
        accepted, refused = fill(daemon, 1000)
        check_refusal(refused)
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        lab.wait_for(lambda: fill(daemon, 2000, 1, 100)[1] is None)
        peers.settled(daemon)
        for event in accepted.values():
            assert peers.delivery_state(daemon, event) == 'delivered'


@peers.needs('strace')
def test_slow_disk(tmp_path, monkeypatch):
    """On a disk whose every sync takes 100 ms, 60 clients are answered within two seconds: one commit for many."""
    monkeypatch.setenv('PENSTOCK_CORE_DUMPS', '1')  # strace is a debugger
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url) as daemon:
        def client(number):
            body = b'{"slow disk":%d}' % number
            started = time.monotonic()
            status = daemon.post('/github', lab.github(body), body, tls=False)[0]
            return status, time.monotonic() - started
        with traced(daemon.process, 'delay_enter=100000'), concurrent.futures.ThreadPoolExecutor(60) as pool:
            found = list(pool.map(client, range(60)))
        assert {status for status, _ in found} == {200}
        assert max(seconds for _, seconds in found) < 2, found
        assert min(seconds for _, seconds in found) > 0.1, 'the sync was not waited for'
        assert peers.settled(daemon)['deliveries_delivered'] == 60


@peers.needs('strace')
def test_failing_disk_ends_the_daemon(tmp_path, monkeypatch):
    """When a sync fails nothing more is acknowledged, the daemon ends with 74, and what was is delivered later."""
    monkeypatch.setenv('PENSTOCK_CORE_DUMPS', '1')  # strace is a debugger
    with lab.Target() as target:
        daemon = lab.Daemon(tmp_path / 'd', target.url)
        with daemon:
            kept = [peers.send(daemon, {'before': number}) for number in range(5)]
            peers.settled(daemon)
            answers = []

            def failed():
                body = b'{"after":%d}' % len(answers)
                with contextlib.suppress(OSError, lab.http.client.HTTPException):
                    answers.append((body, daemon.post('/github', lab.github(body), body, tls=False)[:2]))
                return daemon.process.poll() is not None
            with traced(daemon.process, 'error=EIO'):
                lab.wait_for(failed, 20)
            assert daemon.process.returncode == os.EX_IOERR
            assert 'the store failed' in daemon.log()
            kept += [answer['id'] for _, (status, answer) in answers if status == 200]
            assert all(status in (200, 503) for _, (status, _) in answers)
            daemon.start()
            peers.settled(daemon)
            for event in kept:
                assert peers.delivery_state(daemon, event) == 'delivered'
            assert daemon.audit_verify()['valid'] is True


def test_quota_frees_after_retention(forgetful):
    """What retention deletes makes room again within its round of half a minute, and the audit log stays valid."""
    assert len(forgetful.accepted) > 40
    lab.wait_for(lambda: fill(forgetful, 1000, 1, 900000)[1] is None, 45, 0.5)
    assert peers.totals(forgetful)['events_expired'] > 0
    assert forgetful.audit_verify()['valid'] is True
