# SPDX-License-Identifier: GPL-2.0-or-later
"""Starting, draining, stopping, and hosts that cannot run it.

Question answered: does every way to start or end leave a clear exit code, a clear word, and nothing half done?
"""
import ctypes
import errno
import json
import os
import re
import resource
import shutil
import signal
import struct
import subprocess
import threading
import time

import pytest

import lab
import peers


def penstockd(*arguments, **more):
    return subprocess.run([lab.BUILD / 'penstockd', *arguments], capture_output=True, text=True, timeout=30,
                          check=False, **more)


# ---- Checking -------------------------------------------------------------------------------------------------------

def test_check_of_a_good_file(tmp_path):
    """`penstockd -t` says ok and exits 0 for a right file, makes nothing, and needs no free ports."""
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url) as daemon:
        before = sorted(daemon.folder.rglob('*'))
        done = penstockd('-t', '-f', daemon.folder / 'penstock.yaml')
        assert done.returncode == 0 and done.stdout.strip().endswith('ok'), done
        done = penstockd('-t', '--json', '-f', daemon.folder / 'penstock.yaml')
        assert done.returncode == 0 and json.loads(done.stdout)['diagnostics'] == []
        assert sorted(daemon.folder.rglob('*')) == before


@pytest.mark.parametrize('old,new,word', [
    ('scheme: github', 'scheme: githb', 'github'), ('path: /github', 'path: github', 'path'),
    ('target: app', 'target: ap', 'app'), ('cpus: [0]', 'cpus: [x]', 'cpu'), ('listeners:', 'listner:', 'listeners'),
    ('scheme: stripe', 'scheme: square', 'public_url'), ('secrets/zen', 'secrets/nowhere', 'secrets/nowhere'),
    ('tls: off', 'tls: {}', 'certificate'), ('name: stripe', 'name: github', 'github'),
], ids=['scheme', 'path', 'target', 'cpu', 'key', 'url', 'secret', 'tls', 'twice'])
def test_check_of_a_wrong_file(tmp_path, old, new, word):
    """`penstockd -t` exits 78 for a wrong file with line, column and what to do; starting it does the same."""
    daemon = lab.Daemon(tmp_path / 'd')
    file = tmp_path / 'd' / 'penstock.yaml'
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    done = penstockd('-t', '-f', file)
    assert done.returncode == os.EX_CONFIG and word in done.stderr, done
    assert f'{file}:' in done.stderr and 'error[PS' in done.stderr
    found = json.loads(penstockd('-t', '--json', '-f', file).stdout)
    assert found['diagnostics'][0]['line'] > 0 or 'listeners' in word
    daemon.start(wait=False)
    assert daemon.process.wait(20) == os.EX_CONFIG and 'error[PS' in daemon.log()
    assert not (tmp_path / 'd' / 'store').exists()


def test_usage():
    """Wrong options exit 64 with help, a missing file 78 with its name, --version and --help 0."""
    assert penstockd('--nonsense').returncode == os.EX_USAGE
    assert penstockd('extra').returncode == os.EX_USAGE
    done = penstockd('-f', '/nonexistent/penstock.yaml')
    assert done.returncode == os.EX_CONFIG and '/nonexistent/penstock.yaml' in done.stderr
    done = penstockd('--version')
    assert done.returncode == 0 and 'penstockd ' in done.stdout and 'wolfSSL' in done.stdout
    assert penstockd('--help').returncode == 0


def test_few_addresses():
    """What only makes it faster is done without where the host limits addresses: nobody is told so by a crash."""
    few = 300 << 20
    done = penstockd('--version', preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (few, few)))
    assert done.returncode == 0 and 'wolfSSL' in done.stdout, done.stderr


def test_second_daemon_on_the_same_address(tmp_path):
    """A second daemon with a store of its own does not share a listener's port: exit 69 with the address, and the
    first one gets every connection."""
    with lab.Target() as target, lab.Daemon(tmp_path / 'first', target.url) as first:
        second = lab.Daemon(tmp_path / 'second', target.url)
        second.plain_port = first.plain_port
        second.configure()
        second.start(wait=False)
        try:
            assert second.process.wait(20) == os.EX_UNAVAILABLE, second.log()
        finally:
            second.process.kill()
        assert f'127.0.0.1:{first.plain_port}' in second.log() and 'ss -ltnp' in second.log()
        for number in range(8):
            peers.send(first, {'still': number})
    second.start()
    second.stop()


# ---- Ending ---------------------------------------------------------------------------------------------------------

def slow_answer(seconds):
    def answer(connection, _number):
        time.sleep(seconds)
        connection.sendall(peers.OK)
        return True
    return answer


def test_drain(tmp_path):
    """After drain /readyz is 503, intake is closed, idle connections end, and what is there is still delivered."""
    with peers.Script(slow_answer(0.3)) as slow:
        with lab.Daemon(tmp_path / 'd', slow.url, target=', connections: 2') as daemon:
            kept = daemon.connect(tls=False)
            events = [peers.send(daemon, {'drain': number}, connection=kept) for number in range(8)]
            found = daemon.ctl_json('drain')
            assert found['state'] == 'draining'
            assert daemon.get('/readyz')[0] == 503 and daemon.get('/healthz')[0] == 200
            assert daemon.metric('penstock_ready') == 0
            for tls in (True, False):
                with pytest.raises(OSError):
                    daemon.post('/github', lab.github(b'{}'), b'{}', tls=tls)
            assert kept.sock.recv(1) == b'', 'an idle connection stays open'
            peers.settled(daemon)
            for event in events:
                assert peers.delivery_state(daemon, event) == 'delivered'
            assert daemon.ctl_json('drain')['state'] == 'draining', 'twice is fine'
            assert daemon.ctl_json('stop')['state'] in ('draining', 'stopping')
            assert daemon.process.wait(20) == 0


def test_stop_command(tmp_path):
    """`penstockctl stop` ends the daemon with 0 and removes its socket; the next start delivers what is left."""
    with lab.Target() as target:
        daemon = lab.Daemon(tmp_path / 'd', 'http://127.0.0.1:1/', target=peers.retry(100))
        with daemon:
            event = peers.send(daemon, {'stop': 1})
            daemon.ctl('stop')
            assert daemon.process.wait(20) == 0
            assert not (daemon.folder / 'control.sock').exists()
            daemon.configure(target_url=target.url)
            daemon.start()
            peers.wait_state(daemon, event, 'delivered')


def refuses(daemon):
    """Whether nobody listens any more: the worker's own sign that it drains, which the log line is not."""
    try:
        lab.socket.create_connection(('127.0.0.1', daemon.plain_port), 5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_sigterm_finishes_what_is_under_way(tmp_path):
    """SIGTERM: a request that is half in gets its answer, an attempt that is half done its end; exit code 0."""
    with peers.Script(slow_answer(1)) as slow:
        with lab.Daemon(tmp_path / 'd', slow.url) as daemon:
            event = peers.send(daemon, {'under': 'way'})
            slow.wait(1)
            body = b'{"half":"in"}'
            data = peers.request('/github', lab.github(body), body)
            with peers.Wire(daemon) as wire:
                wire.send(data[:-3])
                lab.wait_for(lambda: daemon.metric('penstock_requests_active') == 1)
                daemon.process.send_signal(signal.SIGTERM)
                lab.wait_for(lambda: refuses(daemon))
                wire.send(data[-3:])
                answer = wire.answer()
                assert answer.status == 200 and answer.headers['connection'] == 'close'
                assert wire.ends()
            assert daemon.process.wait(20) == 0
            daemon.start()
            assert peers.attempts(daemon, event)[0]['status'] == 200
            assert len(peers.attempts(daemon, event)) == 1
            peers.wait_state(daemon, answer.json['id'], 'delivered')


def test_drain_timeout_bounds_the_end(tmp_path):
    """What is not finished within drain_timeout is cut off: the attempt stays pending and is made again later."""
    with peers.Script(slow_answer(30)) as stuck, lab.Target() as target:
        with lab.Daemon(tmp_path / 'd', stuck.url, more='drain_timeout: 1s') as daemon:
            event = peers.send(daemon, {'cut': 1})
            stuck.wait(1)
            with peers.Wire(daemon) as wire:
                wire.send(b'POST /github HTTP/1.1\r\n')
                started = time.monotonic()
                daemon.stop(10)
                assert 0.9 < time.monotonic() - started < 8
            daemon.configure(target_url=target.url)
            daemon.start()
            peers.wait_state(daemon, event, 'delivered')


def test_second_signal_ends_at_once(tmp_path):
    """A second SIGINT does not wait for anything, exits 0, and loses nothing."""
    with peers.Script(slow_answer(30)) as stuck, lab.Target() as target:
        with lab.Daemon(tmp_path / 'd', stuck.url) as daemon:
            event = peers.send(daemon, {'twice': 1})
            stuck.wait(1)
            daemon.process.send_signal(signal.SIGINT)
            lab.wait_for(lambda: daemon.log().count('stopping on signal') == 1)
            assert daemon.process.poll() is None
            daemon.process.send_signal(signal.SIGINT)
            assert daemon.process.wait(5) == 0
            daemon.configure(target_url=target.url)
            daemon.start()
            peers.wait_state(daemon, event, 'delivered')


def test_stopping_under_load_acknowledges_nothing_that_is_lost(tmp_path):
    """SIGTERM in the middle of a burst, five times: each 200 that a client saw is in the store afterwards."""
    with lab.Target() as target:
        daemon = lab.Daemon(tmp_path / 'd', target.url, cpus='[0, 1]')
        acknowledged, stop = [], threading.Event()

        def post_on(worker):
            number = 0
            while not stop.is_set():
                number += 1
                body = b'{"worker":%d,"number":%d}' % (worker, number)
                with lab.contextlib.suppress(OSError, lab.http.client.HTTPException, ValueError):
                    status, answer, _ = daemon.post('/github', lab.github(body), body, tls=False)
                    if status == 200:
                        acknowledged.append(answer['id'])
        threads = [threading.Thread(target=post_on, args=(worker,)) for worker in range(8)]
        with daemon:
            for thread in threads:
                thread.start()
            for _ in range(5):
                goal = len(acknowledged) + 40
                lab.wait_for(lambda goal=goal: len(acknowledged) >= goal)
                daemon.stop()
                daemon.start()
            stop.set()
            for thread in threads:
                thread.join()
            peers.settled(daemon)
            delivered = {headers['webhook-id'] for _, _, headers, _ in target.deliveries}
            assert set(acknowledged) <= delivered
            assert daemon.audit_verify()['valid'] is True


def dumps_core(daemon, **popen):
    """Whether the kernel dumps core when it aborts."""
    def small():
        resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))
    daemon.start(preexec_fn=small, cwd=daemon.folder, **popen)
    os.kill(daemon.process.pid, signal.SIGABRT)
    _, status = os.waitpid(daemon.process.pid, 0)
    daemon.process.returncode = os.waitstatus_to_exitcode(status)
    assert daemon.process.returncode == -signal.SIGABRT
    return os.WCOREDUMP(status)


def test_core_dumps_are_asked_for(tmp_path):
    """A core dump would hold private keys: there is none, unless the environment asks for it."""
    daemon = lab.Daemon(tmp_path / 'd')
    assert not dumps_core(daemon)
    if not dumps_core(daemon, env={**os.environ, 'PENSTOCK_CORE_DUMPS': '1'}):
        pytest.skip('this host dumps no cores')
    assert 'core dumps are allowed' in daemon.log()


# ---- Hosts that cannot run it ---------------------------------------------------------------------------------------

IO_URING_SETUP = 425


def forbid_io_uring(code):
    """A seccomp filter for the child: io_uring_setup fails with that errno."""
    load, jump, answer = 0x20, 0x15, 0x06
    allow, refuse = 0x7fff0000, 0x00050000 | code
    program = b''.join(struct.pack('<HBBI', *one) for one in (
        (load, 0, 0, 0), (jump, 0, 1, IO_URING_SETUP), (answer, 0, 0, refuse), (answer, 0, 0, allow)))
    memory = ctypes.create_string_buffer(program)
    header = struct.pack('<HxxxxxxQ', 4, ctypes.addressof(memory))
    libc = ctypes.CDLL(None, use_errno=True)

    def install():
        no_new_privileges, set_seccomp, filter_mode = 38, 22, 2
        if libc.prctl(no_new_privileges, 1, 0, 0, 0) or libc.prctl(set_seccomp, filter_mode, header, 0, 0):
            os._exit(99)
    install.memory = memory
    return install


@pytest.mark.parametrize('code,words', [
    (errno.EPERM, ['seccomp', 'io_uring_setup']), (errno.ENOSYS, ['IO_URING', 'sandbox'])], ids=['EPERM', 'ENOSYS'])
def test_kernel_without_io_uring(tmp_path, code, words):
    """Where io_uring is forbidden or missing the daemon exits 78 and says which setting or kernel it needs."""
    daemon = lab.Daemon(tmp_path / 'd')
    daemon.start(wait=False, preexec_fn=forbid_io_uring(code))
    assert daemon.process.wait(20) == os.EX_CONFIG, daemon.log()
    for word in words:
        assert word in daemon.log()
    if code == errno.ENOSYS:
        assert re.search(r'\b[56]\.\d+', daemon.log()), 'which kernel is needed?'
    daemon.start()
    daemon.stop()


def few_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (120, 120))


def idle_clients(stack, daemon):
    """More than there are descriptors and places in the ring's table for."""
    for _ in range(400):
        stack.enter_context(lab.socket.create_connection(('127.0.0.1', daemon.plain_port), 5))


def test_few_descriptors(tmp_path):
    """With a low limit of descriptors connections wait instead of failing the daemon, and it goes on afterwards."""
    with lab.Target() as target:
        daemon = lab.Daemon(tmp_path / 'd', target.url)
        try:
            daemon.start(preexec_fn=few_descriptors)
            with lab.contextlib.ExitStack() as stack:
                idle_clients(stack, daemon)
                time.sleep(0.2)
                assert daemon.process.poll() is None
            data = peers.request('/github', lab.github(b'{}'), b'{}')
            answer = lab.wait_for(lambda: peers.exchange_one(daemon, data))
            assert answer.status == 200
            peers.wait_state(daemon, answer.json['id'], 'delivered')
            daemon.stop()
        finally:
            daemon.process.kill()


@pytest.mark.parametrize('connections, warned', [(16384, True), (16, False)])
def test_limit_below_connections_is_said(tmp_path, connections, warned):
    """A limit of descriptors that is too low for `connections` is said at the start, with the figures and the fix."""
    daemon = lab.Daemon(tmp_path / 'd', workers=f', connections: {connections}')
    try:
        daemon.start(preexec_fn=few_descriptors)
        daemon.stop()
    finally:
        daemon.process.kill()
    found = [line for line in daemon.log().splitlines() if 'there is room for' in line]
    assert bool(found) == warned, daemon.log()
    if warned:
        assert all(word in found[0] for word in ('16384', '120', 'LimitNOFILE', 'workers.connections')), found


def test_workers_per_cpu(tmp_path):
    """`per_cpu` workers on each CPU, all of them in service."""
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url, workers=', per_cpu: 3') as daemon:
        assert [worker['cpu'] for worker in daemon.ctl_json('status')['workers']] == [0, 0, 0]
        data = [peers.request('/github', lab.github(b'[%d]' % i), b'[%d]' % i) for i in range(20)]
        ids = [peers.exchange_one(daemon, one).json['id'] for one in data]
        for one in ids:
            peers.wait_state(daemon, one, 'delivered')


def test_idle_connections_give_way_to_descriptors(tmp_path):
    """Where descriptors run out before connections do, the longest idle ones leave for a new one."""
    with lab.Target() as target:
        daemon = lab.Daemon(tmp_path / 'd', target.url)
        try:
            daemon.start(preexec_fn=few_descriptors)
            with lab.contextlib.ExitStack() as stack:
                idle_clients(stack, daemon)
                started = time.monotonic()
                data = peers.request('/github', lab.github(b'{}'), b'{}')
                answer = lab.wait_for(lambda: peers.exchange_one(daemon, data))
                assert answer.status == 200 and time.monotonic() - started < 10
                peers.wait_state(daemon, answer.json['id'], 'delivered')
            daemon.stop()
        finally:
            daemon.process.kill()


def test_log_at_its_size_limit(tmp_path):
    """Past the process's limit of file sizes log lines are lost, and nothing else."""
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url) as daemon:
        _, hard = resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (1, hard))
        size = len(daemon.log())
        daemon.process.send_signal(signal.SIGHUP)
        lab.wait_for(lambda: daemon.ctl_json('status')['config']['generation'] == 2)
        assert len(daemon.log()) == size
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        peers.wait_state(daemon, peers.send(daemon, {'still': 'here'}), 'delivered')


@pytest.mark.skipif(peers.is_root() and not shutil.which('setpriv'), reason='needs setpriv, to give up CAP_IPC_LOCK')
def test_little_lockable_memory(tmp_path):
    """With too little lockable memory for the rings the daemon says which limit to raise; with a MiB it runs."""
    command = ['setpriv', '--bounding-set=-ipc_lock', '--inh-caps=-ipc_lock'] if peers.is_root() else []
    for size, works in ((65536, False), (1 << 20, True)):
        daemon = lab.Daemon(tmp_path / f'd{size}')
        with open(daemon.folder / 'log', 'a', encoding='utf-8') as log:
            daemon.process = subprocess.Popen(
                [*command, lab.BUILD / 'penstockd', '-f', daemon.folder / 'penstock.yaml'], stdout=log, stderr=log,
                preexec_fn=lambda size=size: resource.setrlimit(resource.RLIMIT_MEMLOCK, (size, size)))
        try:
            if works:
                daemon.wait_ready()
                daemon.stop()
            elif daemon.process.wait(20) != 0:  # kernels differ in what they count
                assert daemon.process.returncode == os.EX_OSERR and 'LimitMEMLOCK' in daemon.log()
        finally:
            daemon.process.kill()


@pytest.mark.skipif(not peers.is_root(), reason='needs root, to show the daemon another sysctl')
def test_kernel_with_io_uring_disabled(tmp_path):
    """Where the sysctl kernel.io_uring_disabled forbids io_uring the daemon exits 78 and names it."""
    daemon = lab.Daemon(tmp_path / 'd')
    (tmp_path / 'sysctl').write_text('2\n')
    shell = f'mount --bind {tmp_path}/sysctl /proc/sys/kernel/io_uring_disabled && exec "$@"'
    done = subprocess.run(['unshare', '--mount', 'sh', '-c', shell, 'sh', lab.BUILD / 'penstockd', '-f',
                           daemon.folder / 'penstock.yaml'], preexec_fn=forbid_io_uring(errno.EPERM), text=True,
                          capture_output=True, timeout=20, check=False)
    assert done.returncode == os.EX_CONFIG, done
    assert 'kernel.io_uring_disabled' in done.stderr
