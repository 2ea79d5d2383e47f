# SPDX-License-Identifier: GPL-2.0-or-later
"""penstock-bench, the judge of the other tests.

Question answered: does its ledger notice every kind of loss, and its clock every kind of waiting?
"""
import base64
import json
import os
import pty
import re
import resource
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
import xml.etree.ElementTree as tree
import zlib

import pytest

import lab
import peers


def run(daemon, *arguments, sink, **more):
    """penstock-bench run to its end: exit code and ledger."""
    load = peers.load(daemon, sink, *arguments, **more)
    try:
        return load.wait(60), lab.ledger(daemon)
    finally:
        load.kill()


def alone(folder, port, *arguments, mode='send', code=0, endpoint='/github:github', host='localhost'):
    """penstock-bench against whatever serves TLS at that port; what it found."""
    secret = folder / 'secret'
    secret.write_text(lab.GITHUB_SECRET + '\n')
    secret.chmod(0o600)
    command = [lab.BUILD / 'penstock-bench', mode, '--target', f'https://{host}:{port}', '--ca',
               lab.certificates() / 'ca.pem', '--endpoint', f'{endpoint}:{secret}', '--json', folder / 'found.json',
               *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done
    return json.loads((folder / 'found.json').read_text())


@pytest.fixture(name='sink')
def fixture_sink():
    return lab.free_port()


def make(folder, port, more=''):
    return lab.Daemon(folder, f'https://localhost:{port}/hooks', target=f', ca_file: {lab.CERTIFICATES}/ca.pem{more}')


def test_a_good_run_is_clean(tmp_path, sink):
    """Against a daemon in order, with attacks and a target that fails at times, it exits 0 and every figure fits."""
    with make(tmp_path / 'd', sink, peers.retry(50)) as daemon:
        code, found = run(daemon, '--count', 2000, '--connections', 16, '--forged', 30, '--stale', 30, '--replay', 30,
                          '--fail', 50, '--reset', 20, '--busy', 20, sink=sink)
        assert code == 0 and found['clean'] is True, found
        assert found['scheduled'] == found['sent'] == found['acked'] == found['delivered'] == 2000
        for kind in ('forged', 'stale', 'replay'):
            assert found[f'{kind}_sent'] > 20, found
        assert found['forged_accepted'] == found['stale_accepted'] == found['replay_delivered'] == 0
        assert found['lost'] == found['corrupt'] == found['phantom'] == found['rejected'] == 0
        assert peers.totals(daemon)['events_accepted'] == 2000


def test_losses_are_noticed(tmp_path, sink):
    """When deliveries are given up (every one fails, few attempts) the acknowledged events are lost: exit code 2."""
    with make(tmp_path / 'd', sink, peers.retry(2)) as daemon:
        code, found = run(daemon, '--count', 200, '--fail', 1000, '--drain', 1, sink=sink)
        assert code == 2 and found['clean'] is False
        assert (found['acked'], found['delivered'], found['lost']) == (200, 0, 200)
        code, found = run(daemon, '--count', 200, '--fail', 1000, '--drain', 1, '--pending-ok', sink=sink)
        assert code == 0 and found['pending'] == 200, 'what may be pending is not lost'


class Tampering:
    """Between daemon and sink, in plain text: changes the answers or the bodies that pass."""

    def __init__(self, to, change):
        self.to, self.change = to, change
        self.listener = socket.create_server(('127.0.0.1', 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                one, _ = self.listener.accept()
                other = socket.create_connection(('127.0.0.1', self.to))
            except OSError:  # the test is over, or the sink is
                return
            threading.Thread(target=self.pump, args=(one, other, self.change), daemon=True).start()
            threading.Thread(target=self.pump, args=(other, one, lambda data: data), daemon=True).start()

    @staticmethod
    def pump(source, sink, change):
        with lab.contextlib.suppress(OSError):
            while data := source.recv(1 << 20):
                sink.sendall(change(data))
        for end in (source, sink):
            with lab.contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize('checked', [True, False], ids=['signed', 'unsigned'])
def test_tampering_is_noticed(tmp_path, sink, checked):
    """A byte changed on the way to the sink makes the event corrupt: exit code 2, with or without signatures."""
    def change(data):
        return data[:-1] + b'!' if data.endswith(b'}') else data
    proxy = Tampering(sink, change)
    with lab.Daemon(tmp_path / 'd', f'http://127.0.0.1:{proxy.port}/', target=peers.retry(2)) as daemon:
        secret = ['--sink-secret', daemon.folder / 'secrets/app'] if checked else []
        load = lab.bench(daemon, 'run', '--listen', f'127.0.0.1:{sink}', *secret, '--count', 20, '--drain', 1,
                         endpoints=('github',))
        assert load.wait(30) == 2
        assert lab.ledger(daemon)['corrupt'] > 0, lab.ledger(daemon)
    proxy.listener.close()


def test_what_nobody_sent_is_noticed(tmp_path, sink):
    """A delivery of an event that the bench never sent is counted as corrupt: exit code 2."""
    with make(tmp_path / 'd', sink) as daemon:
        load = lab.bench(daemon, 'run', '--listen', f'127.0.0.1:{sink}', '--count', 20, '--rate', 10, '--drain', 1,
                         endpoints=('github',))
        daemon.configure(target_url=f'http://127.0.0.1:{sink}/', target='')
        daemon.ctl('reload')
        peers.send(daemon, {'never': 'sent'})
        assert load.wait(30) == 2
        assert lab.ledger(daemon)['corrupt'] == 1, lab.ledger(daemon)


def test_a_daemon_that_takes_everything_is_noticed(tmp_path):
    """Against a server that accepts whatever comes, forged and stale requests get in: exit code 2."""
    with lab.Target() as gullible:
        daemon = lab.Daemon(tmp_path / 'd')
        for attack in ('forged', 'stale'):
            done = subprocess.run(
                [lab.BUILD / 'penstock-bench', 'send', '--target', gullible.url.removesuffix('/hooks'), '--endpoint',
                 f'/zen:zen:{daemon.folder}/secrets/zen', '--count', '60', f'--{attack}', '400', '--quiet', '--json',
                 daemon.folder / 'ledger.json', '--connections', '4'], timeout=30, check=False)
            assert done.returncode == 2
            assert lab.ledger(daemon)[f'{attack}_accepted'] == lab.ledger(daemon)[f'{attack}_sent'] > 0


def test_latency_counts_from_the_intended_start(tmp_path, sink):
    """A daemon that stands still for a second shows in the latency of all that should have been sent meanwhile."""
    with make(tmp_path / 'd', sink) as daemon:
        load = peers.load(daemon, sink, '--connections', 8, '--rate', 200, '--count', 600)
        lab.wait_for(lambda: daemon.metric('penstock_events_accepted_total') > 50)
        daemon.process.send_signal(signal.SIGSTOP)
        time.sleep(1.05)  # the length of the standstill is what is measured
        daemon.process.send_signal(signal.SIGCONT)
        assert load.wait(30) == 0
        found = lab.ledger(daemon)
        assert 900 <= found['ack']['max_ms'] < 10000, found
        assert found['ack']['p90_ms'] > 300, 'only the eight that were under way were counted as late'
        # What waited for one of the eight was sent late, and the summary says so.
        assert found['late']['count'] == found['sent'] and found['late']['max_ms'] >= 800, found['late']
        assert found['late']['p50_ms'] < found['ack']['p50_ms']
        assert found['acked'] == found['delivered'] == 600


def test_latency_of_an_event_that_is_sent_again(tmp_path):
    """An event that was refused first and taken later took from its first intended start until then."""
    with lab.Target(answer=lambda number: 503 if number < 3 else 200) as busy:
        secret = lab.Daemon(tmp_path / 'd').folder / 'secrets/github'
        subprocess.run([lab.BUILD / 'penstock-bench', 'send', '--target', busy.url.removesuffix('/hooks'), '--endpoint',
                        f'/x:github:{secret}', '--count', '1', '--connections', '1', '--quiet', '--json',
                        tmp_path / 'found.json'], timeout=30, check=True)
    found = json.loads((tmp_path / 'found.json').read_text())
    assert (found['acked'], found['refused_503'], found['retries']) == (1, 3, 3)
    assert found['ack']['max_ms'] >= 300, 'three times a tenth of a second to the next try'


def serve_tls(listener, seconds=0.0, resumed=None):
    """Serves TLS connections that each stand still for a while before their handshake; answers 200 to everything."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(lab.certificates() / 'server.pem', lab.certificates() / 'server.key')

    def serve(plain):
        time.sleep(seconds)  # what the bench must not count
        with lab.contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as stream:
            if resumed is not None:
                resumed.append(stream.session_reused)
            while data := stream.recv(65536):
                if data.endswith(b'}'):
                    stream.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')

    with lab.contextlib.suppress(OSError):
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


def test_setting_up_is_nobodys_latency(tmp_path):
    """The clock starts when the connections stand: three seconds spent on handshakes are in no event's latency."""
    with socket.create_server(('127.0.0.1', 0)) as listener:
        threading.Thread(target=serve_tls, args=(listener, 3.0), daemon=True).start()
        found = alone(tmp_path, listener.getsockname()[1], '--rate', 50, '--count', 50, '--connections', 2)
        assert found['acked'] == found['scheduled'] == 50, found
        assert found['ack']['max_ms'] < 2900, found


@pytest.mark.parametrize('pace', [[], ['--rate', 100]], ids=['closed', 'open'])
def test_a_full_handshake_for_each_event(tmp_path, pace):
    """With --handshakes each event has a connection of its own, none is resumed, and latency has the handshake in it."""
    resumed = []
    with socket.create_server(('127.0.0.1', 0), backlog=64) as listener:
        threading.Thread(target=serve_tls, args=(listener, 0.1, resumed), daemon=True).start()
        found = alone(tmp_path, listener.getsockname()[1], '--handshakes', '--count', 40, '--connections', 4, *pace)
    assert found['acked'] == len(resumed) == 40 and found['handshakes'] >= 36, found
    assert not any(resumed)
    assert found['ack']['p50_ms'] >= 100 and found['tls']['protocol'] == 'TLSv1.3', found


def test_handshakes_with_a_server_that_is_not_there(tmp_path):
    """Nothing is sent where nobody listens: the events stay unsent, and the run ends."""
    found = alone(tmp_path, lab.free_port(), '--handshakes', '--count', 5, '--connections', 2, '--no-retry')
    assert (found['scheduled'], found['sent'], found['acked']) == (5, 0, 0) and found['errors'] >= 5, found


def serve_some(listener, count):
    """Answers 200 to so many requests in all, over one connection at a time; then nobody is there any more."""
    left = count
    while left > 0:
        with listener.accept()[0] as stream:
            while left > 0 and (data := stream.recv(65536)):
                if data.endswith(b'}'):
                    left -= 1
                    stream.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    listener.close()


def test_a_server_that_is_gone_is_given_up(tmp_path):
    """A run of so many events ends without them when there has been no connection for long: exit code 1, and says so.
    Never there, gone in the middle, and with a connection for each event."""
    secret = lab.Daemon(tmp_path / 'd').folder / 'secrets/github'
    listener = socket.create_server(('127.0.0.1', 0))
    threading.Thread(target=serve_some, args=(listener, 30), daemon=True).start()
    absent, gone = lab.free_port(), listener.getsockname()[1]
    loads = []
    for port, more, sent in ((absent, [], '0 of 50'), (gone, ['--connections', '1'], '3[01] of 50'),
                             (absent, ['--handshakes'], '0 of 50')):
        command = [lab.BUILD / 'penstock-bench', 'send', '--target', f'http://127.0.0.1:{port}', '--endpoint',
                   f'/x:github:{secret}', '--count', '50', '--quiet', *more]
        loads.append((subprocess.Popen(command, stderr=subprocess.PIPE, text=True), sent))
    for load, sent in loads:
        _, said = load.communicate(timeout=40)
        assert load.returncode == 1, said
        assert re.search(f'no connection for 15 s, given up with {sent} events sent', said), said


def test_an_ipv6_address_as_target(tmp_path):
    """The address is connected to, proven by the certificate, and named in brackets in the request."""
    port = lab.free_port()
    more = f'  - {{ address: "[::1]:{port}", tls: {{ certificate: {lab.certificates()}/server.pem, key: ' \
           f'{lab.certificates()}/server.key }} }}'
    with lab.Daemon(tmp_path / 'd', listeners=more):
        found = alone(tmp_path, port, '--count', 40, '--connections', 4, host='[::1]')
    assert found['acked'] == 40 and found['errors'] == 0, found


def test_client_certificates(tmp_path):
    """Where a client certificate is asked for, one is shown with --certificate and --key; without it nothing is acked."""
    folder = lab.certificates()
    strict = f', client_certificate: required, client_ca: {folder}/ca.pem'
    with lab.Daemon(tmp_path / 'd', tls=strict) as daemon:
        mine = ['--certificate', folder / 'client.pem', '--key', folder / 'client.key']
        for more, acked in ((mine, 20), ([*mine, '--handshakes'], 20), ([], 0)):
            load = lab.bench(daemon, 'send', '--count', 20, '--connections', 4, '--drain', 1, '--no-retry', *more)
            assert load.wait(30) == 0
            assert lab.ledger(daemon)['acked'] == acked, (more, lab.ledger(daemon))


def test_interrupting_finishes_in_order(tmp_path, sink):
    """SIGTERM ends the sending, waits for what is under way, and leaves a ledger that balances."""
    with make(tmp_path / 'd', sink) as daemon:
        load = peers.load(daemon, sink, '--rate', 500, '--duration', 60)
        lab.wait_for(lambda: daemon.metric('penstock_events_accepted_total') > 100)
        load.send_signal(signal.SIGTERM)
        assert load.wait(20) == 0
        assert lab.ledger(daemon)['acked'] == lab.ledger(daemon)['delivered'] > 100


def test_a_daemon_killed_in_the_middle(tmp_path, sink):
    """With the daemon killed and started again in the middle, what got no answer is sent again and all arrives."""
    with make(tmp_path / 'd', sink, peers.retry(100)) as daemon:
        load = peers.load(daemon, sink, '--rate', 1000, '--duration', 60)
        try:
            for _ in range(3):
                lab.wait_for(lambda: daemon.metric('penstock_events_accepted_total') > 200)
                daemon.kill()
                daemon.start()
            load.terminate()
            assert load.wait(30) == 0
        finally:
            load.kill()
        found = lab.ledger(daemon)
        assert found['acked'] == found['delivered'] > 600 and found['lost'] == 0, found


# ---- Chaos ----

def chaos(folder, *arguments, command='', **settings):
    """penstock-bench chaos with a daemon it starts by itself: exit code, what it found, what it printed."""
    port = lab.free_port()
    daemon = make(folder, port, peers.retry(100))
    daemon.configure(**settings)
    certificates = lab.certificates()
    command = command or f'{lab.BUILD}/penstockd -f {daemon.folder}/penstock.yaml 2>>{daemon.folder}/log'
    load = lab.bench(daemon, 'chaos', '--daemon', command, '--listen', f'127.0.0.1:{port}', '--sink-certificate',
                     certificates / 'server.pem', '--sink-key', certificates / 'server.key', '--sink-secret',
                     daemon.folder / 'secrets/app', '--connections', 8, '--rate', 300, *arguments)
    try:
        code = load.wait(150)
    finally:
        load.kill()
    return code, lab.ledger(daemon), daemon


def test_chaos_balances(tmp_path):
    """Killed, stopped and with a slow target in one run: every acked event arrives, once accepted."""
    code, found, daemon = chaos(tmp_path / 'd', '--duration', 6, '--every', 0.3, '--forged', 20, '--replay', 20, '--seed', 7)
    assert code == 0 and found['clean'], found
    assert all(found['chaos'][kind] > 0 for kind in ('kills', 'stops', 'slows')) and found['chaos']['deaths'] == 0, found
    assert found['acked'] == found['delivered'] > 300 and found['lost'] == 0
    assert found['errors'] > 0, 'a kill breaks connections'
    assert not listening(daemon.plain_port), 'the daemon was left behind'


def test_chaos_of_one_kind(tmp_path):
    """Only the faults that are asked for happen."""
    code, found, _ = chaos(tmp_path / 'd', '--duration', 2, '--every', 0.2, '--faults', 'slow')
    assert code == 0 and found['chaos']['slows'] > 0 and found['chaos']['kills'] == found['chaos']['stops'] == 0, found
    assert found['chaos']['slow_disks'] == 0


def test_chaos_of_the_disk(tmp_path):
    """Where a folder is given its disk is kept busy, too, and nothing is left there."""
    folder = tmp_path / 'disk'
    folder.mkdir()
    code, found, _ = chaos(tmp_path / 'd', '--duration', 4, '--every', 0.1, '--disk-folder', folder)
    assert code == 0 and found['clean'], found
    assert all(found['chaos'][kind] > 0 for kind in ('kills', 'stops', 'slows', 'slow_disks', 'disk_flushes')), found
    assert found['acked'] == found['delivered'] > 300 and not list(folder.iterdir())


def test_a_daemon_that_dies_by_itself_is_noticed(tmp_path):
    """A daemon that ends without being killed: exit code 2, however well the ledger balances."""
    code, found, _ = chaos(tmp_path / 'd', '--duration', 0.2, '--drain', 0, '--faults', 'slow', command='/bin/false')
    assert code == 2 and not found['clean'] and found['chaos']['deaths'] > 0


def listening(port):
    with lab.contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', port), 1):
        return True
    return False


# ---- The highest rate ----

def test_finding_the_highest_rate(tmp_path):
    """Two connections to a server that takes 20 ms for an answer carry a hundred events per second: that is found."""
    with lab.Target(answer=lambda number: time.sleep(0.02) or 200) as slow:
        secret = lab.Daemon(tmp_path / 'd').folder / 'secrets/github'
        done = subprocess.run(
            [lab.BUILD / 'penstock-bench', 'find', '--target', slow.url.removesuffix('/hooks'), '--endpoint',
             f'/x:github:{secret}', '--p99', '400', '--duration', '0.6', '--warmup', '0.1', '--connections', '2',
             '--json', tmp_path / 'found.json'], timeout=60, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and 'highest rate with a p99 within 400.00 ms' in done.stdout, done
    found = json.loads((tmp_path / 'found.json').read_text())
    steps = found['find']['steps']
    assert found['find']['rate'] == found['rate'] == steps[-1]['rate'] and steps[-1]['holds'], found
    assert 20 <= found['find']['rate'] <= 110 and any(not step['holds'] for step in steps), found
    assert found['ack']['p99_ms'] <= 400 and found['acked'] == found['sent'] >= found['measured_acked'] > 0, found
    assert done.stderr.count('asked') == len(steps)


def test_finding_the_highest_rate_end_to_end(tmp_path, sink):
    """With --listen the deliveries count, too; the ledger over all steps balances."""
    with make(tmp_path / 'd', sink) as daemon:
        load = lab.bench(daemon, 'find', '--p99', 5000, '--duration', 0.2, '--warmup', 0.1, '--connections', 8, '--listen',
                         f'127.0.0.1:{sink}', '--sink-certificate', lab.certificates() / 'server.pem', '--sink-key',
                         lab.certificates() / 'server.key', endpoints=('standard',))
        assert load.wait(60) in (0, 1)  # how fast this machine is, and how steady, is not the question
        found = lab.ledger(daemon)
        assert found['clean'] and found['acked'] == found['delivered'] > 0
        assert all(step['end_to_end_p99_ms'] > 0 for step in found['find']['steps'] if step['holds'])


def test_no_rate_is_low_enough(tmp_path):
    """When every answer comes too late there is no such rate: exit code 1, said in words."""
    with lab.Target(answer=lambda number: time.sleep(0.02) or 200) as slow:
        daemon = lab.Daemon(tmp_path / 'd')
        done = subprocess.run(
            [lab.BUILD / 'penstock-bench', 'find', '--target', slow.url.removesuffix('/hooks'), '--endpoint',
             f'/x:github:{daemon.folder}/secrets/github', '--p99', '5', '--duration', '0.1', '--warmup', '0',
             '--connections', '2', '--json', daemon.folder / 'ledger.json'], timeout=60, capture_output=True, text=True,
            check=False)
        assert done.returncode == 1 and 'no rate holds' in done.stdout, done
        assert lab.ledger(daemon)['find']['rate'] == 0


# ---- What it leaves behind for other tools ----

def numbers(data):
    """ZigZag LEB128, as HdrHistogram's encoding V2 has it."""
    at = 0
    while at < len(data):
        value = shift = 0
        while True:
            byte, at = data[at], at + 1
            value |= (byte & (0x7f if shift < 56 else 0xff)) << shift
            shift += 7
            if byte < 0x80 or shift > 56:
                break
        yield (value >> 1) ^ -(value & 1)


def hdr_decode(text):
    """Value in ns and count of each bucket; written from HdrHistogram's description, not from our encoder."""
    raw = base64.b64decode(text, validate=True)
    cookie, size = struct.unpack_from('>ii', raw)
    assert cookie == 0x1c849314 and size == len(raw) - 8
    plain = zlib.decompress(raw[8:])
    cookie, size, shift, digits, lowest, highest, ratio = struct.unpack_from('>iiiiqqd', plain)
    assert (cookie, size, shift, digits, lowest, ratio) == (0x1c849313, len(plain) - 40, 0, 3, 1, 1.0)
    assert highest > 3600e9
    found, at = {}, 0
    for number in numbers(plain[40:]):
        if number > 0:
            bucket, sub = max((at >> 10) - 1, 0), at if at < 1024 else (at & 1023) + 1024
            found[sub << bucket] = number
        at += -number if number < 0 else 1
    return found


def test_files_for_other_tools(tmp_path, sink):
    """The interval log, the percentile texts, the page and the live lines all tell of the same events."""
    with make(tmp_path / 'd', sink) as daemon:
        load = peers.load(daemon, sink, '--rate', 300, '--duration', 1.6, '--connections', 8,
                          '--hlog', tmp_path / 'x.hlog', '--hgrm', tmp_path / 'x.hgrm', '--html', tmp_path / 'x.html')
        assert load.wait(30) == 0
        found = lab.ledger(daemon)
    lines = [line for line in (tmp_path / 'x.hlog').read_text().splitlines() if line.startswith('Tag=')]
    for tag, key in (('ack', 'acked'), ('end-to-end', 'delivered')):
        mine = [line.split(',') for line in lines if line.startswith(f'Tag={tag},')]
        decoded = [hdr_decode(text) for *_, text in mine]
        assert sum(sum(one.values()) for one in decoded) == found[key], (tag, found)
        for (_, _, _, maximum, _), one in zip(mine, decoded):
            assert not one or max(one) / 1e6 == pytest.approx(float(maximum), rel=0.002)
    whole = (tmp_path / 'x.hgrm').read_text()
    assert f'Total count    = {found["acked"]:12}]' in whole
    assert f'{found["ack"]["max_ms"]:12.3f} 1.000000000000 {found["acked"]:10}\n' in whole
    assert f'Total count    = {found["delivered"]:12}]' in (tmp_path / 'x.hgrm.end-to-end').read_text()
    page = (tmp_path / 'x.html').read_text()
    for drawing in re.findall(r'<svg.*?</svg>', page, re.DOTALL):
        assert len(tree.fromstring(drawing).findall('path')) > 4
    assert page.count('<svg') == 4 and 'The ledger balances.' in page and '<script' not in page


def watched(tmp_path, terminal):
    """What is shown on stderr while a run of two seconds goes on."""
    ours, theirs = pty.openpty() if terminal else os.pipe()
    with lab.Daemon(tmp_path / 'd') as daemon:
        secret = f'/github:github:{daemon.folder}/secrets/github'
        with subprocess.Popen([lab.BUILD / 'penstock-bench', 'send', '--target', f'http://127.0.0.1:{daemon.plain_port}',
                               '--endpoint', secret, '--rate', '50', '--duration', '5.6', '--connections', '2'],
                              stderr=theirs, stdout=subprocess.DEVNULL) as load:
            os.close(theirs)
            shown = b''
            with lab.contextlib.suppress(OSError):  # how a terminal says that the other end is gone
                while data := os.read(ours, 65536):
                    shown += data
            assert load.wait(20) == 0
    os.close(ours)
    return shown.decode()


def test_a_live_view_on_a_terminal(tmp_path):
    """A terminal sees lines that are drawn over again."""
    shown = watched(tmp_path, True)
    assert shown.count('\x1b[5A') >= 3 and 'acked' in shown and '█' in shown


def test_plain_lines_elsewhere(tmp_path):
    """A pipe sees a line every five seconds, without any control characters."""
    shown = watched(tmp_path, False)
    assert re.fullmatch(r' +5\.\d s  acked \d+/s  p50 .* generator \d+ %  \(measuring\)\n', shown), shown


def test_no_time_left_is_said(tmp_path):
    """A generator that another process robs of its CPU says that it was the bottleneck."""
    with lab.Daemon(tmp_path / 'd', cpus='[0]') as daemon, \
            subprocess.Popen(['taskset', '-c', str(os.cpu_count() - 1), 'sh', '-c', 'while :; do :; done']) as robber:
        try:
            done = subprocess.run(
                [lab.BUILD / 'penstock-bench', 'send', '--target', f'http://127.0.0.1:{daemon.plain_port}', '--endpoint',
                 f'/github:github:{daemon.folder}/secrets/github', '--duration', '1', '--connections', '64', '--cpu',
                 str(os.cpu_count() - 1), '--forged', '900', '--json', tmp_path / 'found.json'], timeout=60,
                stdout=subprocess.PIPE, text=True, check=True)
        finally:
            robber.kill()
    found = json.loads((tmp_path / 'found.json').read_text())
    assert found['bench_wait_share'] > 0.02, found
    assert found['generator_bound'] == ('WARNING: the generator was the bottleneck' in done.stdout)


@pytest.mark.parametrize('arguments,code', [
    ([], os.EX_USAGE), (['nonsense'], os.EX_USAGE), (['send'], os.EX_USAGE), (['run', '--target', 'x'], os.EX_USAGE),
    (['sink'], os.EX_USAGE), (['sink', '--listen', 'x'], os.EX_USAGE),
    (['send', '--target', 'http://127.0.0.1:1', '--endpoint', '/x:github:/nonexistent', '--count', '1'], 1),
    (['send', '--target', 'http://127.0.0.1:1', '--endpoint', '/x:nobody:/dev/null', '--count', '1'], 1),
    (['send', '--target', 'http://127.0.0.1:1', '--endpoint', '/x:github:/dev/null', '--key', 'k'], os.EX_USAGE),
    (['find', '--target', 'http://127.0.0.1:1', '--endpoint', '/x:github:/dev/null'], os.EX_USAGE),
    (['chaos', '--target', 'http://127.0.0.1:1', '--endpoint', '/x:github:/dev/null', '--listen', '127.0.0.1:1'],
     os.EX_USAGE), (['chaos', '--faults', 'kill,storm'], os.EX_USAGE),
    (['--help'], 0)], ids=lambda value: ' '.join(value)[:40] if isinstance(value, list) else '')
def test_exit_codes(arguments, code):
    """Wrong usage exits 64, trouble 1, and both say what is wrong."""
    done = subprocess.run([lab.BUILD / 'penstock-bench', *arguments], capture_output=True, text=True, timeout=20,
                          check=False)
    assert done.returncode == code, done
    assert done.stderr.strip() or code == 0


def test_sink_alone(tmp_path):
    """`sink` plays a target until it is stopped, and counts what came."""
    port = lab.free_port()
    sink = subprocess.Popen([lab.BUILD / 'penstock-bench', 'sink', '--listen', f'127.0.0.1:{port}', '--json',
                             tmp_path / 'sink.json', '--ready-file', tmp_path / 'ready', '--quiet'])
    lab.wait_for((tmp_path / 'ready').exists)
    with lab.Daemon(tmp_path / 'd', f'http://127.0.0.1:{port}/') as daemon:
        events = [peers.send(daemon, {'sink': number}) for number in range(5)]
        for event in events:
            peers.wait_state(daemon, event, 'delivered')
    sink.terminate()
    assert sink.wait(10) == 0
    assert json.loads((tmp_path / 'sink.json').read_text())['schema'] == 'penstock.bench/v1'


def start_sink(folder, *arguments):
    port, ready = lab.free_port(), folder / 'ready'
    certificates = lab.certificates()
    sink = subprocess.Popen([lab.BUILD / 'penstock-bench', 'sink', '--listen', f'127.0.0.1:{port}', '--sink-certificate',
                             certificates / 'server.pem', '--sink-key', certificates / 'server.key', '--json',
                             folder / 'sink.json', '--ready-file', ready, '--quiet', *arguments])
    lab.wait_for(ready.exists)
    return sink, port


def written_bytes(process):
    """What it has had written to disks."""
    with open(f'/proc/{process.pid}/io', encoding='ascii') as file:
        return int(dict(line.split(': ') for line in file.read().splitlines())['write_bytes'])


@pytest.mark.parametrize('connections', [1, 64])
def test_a_sink_that_keeps(tmp_path, connections):
    """With --keep each answer is behind a write to the disk: of its own when only one is under way, one for those that
    came together else. It leaves no file behind."""
    before = set(tmp_path.iterdir())
    sink, port = start_sink(tmp_path, '--keep', tmp_path)
    try:
        filled = written_bytes(sink)
        found = alone(tmp_path, port, '--count', 2000, '--connections', connections, endpoint='/:github')
        written = written_bytes(sink) - filled
    finally:
        sink.terminate()
        assert sink.wait(10) == 0
    assert (found['acked'], found['errors']) == (2000, 0), found
    counted = json.loads((tmp_path / 'sink.json').read_text())
    assert (counted['sink_requests'], counted['sink_not_kept']) == (2000, 0)
    if connections == 1:
        assert written == 2000 * 4096, written
    else:
        # Each request is a KiB and its head; whole pages are written.
        assert 2000 * 1100 < written < 2000 * 3000, written
    assert {path.name for path in set(tmp_path.iterdir()) - before} == {'ready', 'sink.json', 'secret', 'found.json'}


def test_a_sink_that_keeps_much(tmp_path):
    """What has no room in a batch waits for the next one: 80 MiB at a time."""
    sink, port = start_sink(tmp_path, '--keep', tmp_path, '--size', str(4 << 20))
    try:
        found = alone(tmp_path, port, '--count', 60, '--connections', 20, '--size', 4 << 20, endpoint='/:github')
    finally:
        sink.terminate()
        assert sink.wait(10) == 0
    assert (found['acked'], found['errors']) == (60, 0), found
    assert json.loads((tmp_path / 'sink.json').read_text())['sink_not_kept'] == 0


def test_a_sink_that_keeps_and_waits(tmp_path):
    """--keep and the other ways to misbehave go together."""
    sink, port = start_sink(tmp_path, '--keep', tmp_path, '--delay', '30', '--fail', '500', '--seed', '3')
    try:
        found = alone(tmp_path, port, '--count', 200, '--connections', 20, '--drain', 20, endpoint='/:github')
    finally:
        sink.terminate()
        assert sink.wait(10) == 0
    counted = json.loads((tmp_path / 'sink.json').read_text())
    assert found['acked'] + found['rejected'] == 200 and found['ack']['p50_ms'] >= 30, found
    assert counted['sink_errors'] == found['rejected'] > 50, (counted, found)


def test_a_sink_whose_disk_refuses(tmp_path):
    """What is not on disk is answered 500; and so is all that comes later, even when the disk would take it again."""
    sink, port = start_sink(tmp_path, '--keep', tmp_path)
    try:
        resource.prlimit(sink.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        found = alone(tmp_path, port, '--count', 50, '--connections', 5, endpoint='/:github')
        assert (found['acked'], found['rejected']) == (0, 50), found
        resource.prlimit(sink.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        found = alone(tmp_path, port, '--count', 50, '--connections', 5, endpoint='/:github')
        assert (found['acked'], found['rejected']) == (0, 50), found
    finally:
        sink.terminate()
        assert sink.wait(10) == 0
    assert json.loads((tmp_path / 'sink.json').read_text())['sink_not_kept'] == 100


def test_a_sink_that_cannot_keep(tmp_path):
    """A folder that takes no file is said to be at fault, before anything is listened on."""
    done = subprocess.run([lab.BUILD / 'penstock-bench', 'sink', '--listen', f'127.0.0.1:{lab.free_port()}', '--keep',
                           tmp_path / 'none', '--ready-file', tmp_path / 'ready'], capture_output=True, text=True,
                          timeout=20, check=False)
    assert done.returncode == 1
    assert f'{tmp_path}/none: No such file or directory' in done.stderr
    assert not (tmp_path / 'ready').exists()
