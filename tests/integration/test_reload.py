# SPDX-License-Identifier: GPL-2.0-or-later
"""A new configuration while the daemon runs.

Question answered: is everything changed that the file says, or nothing, and does nobody notice who was being served?
"""
import io
import json
import os
import signal
import ssl
import threading

import pytest

import lab
import peers


def generation(daemon):
    return daemon.ctl_json('status')['config']['generation']


def post(daemon, path, headers, body, connection=None):
    return daemon.post(path, headers, body, connection)[0]


BROKEN = {
    'not YAML': ('store: {{', None),
    'unknown key': ('workres: { cpus: [0] }', 'workres'),
    'unknown scheme': (peers.endpoint_line('x', ['app'], 'githb').replace('  - ', 'endpoints:\n  - '), None),
    'bad value': ('drain_timeout: soon', 'drain_timeout'),
}


@pytest.mark.parametrize('name', BROKEN)
def test_broken_file_changes_nothing(tmp_path, name):
    """A broken file is refused with line and column, the old generation serves on, and a good one is taken later."""
    text, word = BROKEN[name]
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url) as daemon:
        file = tmp_path / 'd' / 'penstock.yaml'
        good = file.read_text()
        file.write_text(good + text + '\n')
        line = len((good + text).splitlines()) if word else None
        found = json.loads(daemon.ctl('--json', 'reload', code=os.EX_CONFIG))
        assert found['code'] == 'config_invalid'
        first = found['report']['diagnostics'][0]
        assert first['line'] > 0 and first['column'] > 0 and first['code'].startswith('PS')
        assert line is None or first['line'] == line
        assert word is None or word in first['message']
        done = peers.subprocess.run([lab.BUILD / 'penstockctl', '--socket', daemon.folder / 'control.sock', 'reload'],
                                    capture_output=True, text=True, check=False)
        assert f'{first["line"]}:{first["column"]}: error[{first["code"]}]' in done.stderr
        assert generation(daemon) == 1 and daemon.metric('penstock_config_last_reload_successful') == 0
        peers.wait_state(daemon, peers.send(daemon, {'still': 'served'}), 'delivered')
        file.write_text(good)
        daemon.ctl('reload')
        assert generation(daemon) == 2 and daemon.metric('penstock_config_last_reload_successful') == 1


@pytest.mark.parametrize('what', ['secret', 'certificate', 'key', 'ca', 'empty ca', 'listener'])
def test_what_the_file_names_must_be_there(tmp_path, what):
    """A missing secret, a certificate that is none, a key of another, a taken address: refused, nothing changes."""
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url) as daemon:
        file = tmp_path / 'd' / 'penstock.yaml'
        good = file.read_text()
        certificates = lab.certificates()
        (tmp_path / 'empty.pem').touch()
        changed = {
            'secret': good.replace('secrets/stripe', 'secrets/nowhere'),
            'certificate': good.replace(f'{certificates}/server.pem', f'{tmp_path}/d/penstock.yaml'),
            'key': good.replace(f'{certificates}/server.key', f'{certificates}/server-rsa.key'),
            'ca': good.replace(target.url + "'", f"https://localhost/', ca_file: {certificates}/nowhere.pem"),
            'empty ca': good.replace(target.url + "'", f"https://localhost/', ca_file: {tmp_path}/empty.pem"),
            'listener': good.replace(str(daemon.plain_port), str(target.port)),
        }[what]
        assert changed != good
        file.write_text(changed)
        found = json.loads(daemon.ctl('--json', 'reload', code=os.EX_CONFIG))
        assert found['report']['diagnostics'][0]['message']
        assert generation(daemon) == 1
        assert peers.curl(daemon, '/stripe', headers=lab.stripe(b'{}'), body=b'{}').status == 200
        if what == 'secret':
            file.write_text(good)
            (tmp_path / 'd' / 'secrets' / 'zen').chmod(0o644)
            assert 'zen' in daemon.ctl('--json', 'reload', code=os.EX_CONFIG)


def test_secret_changes_on_a_kept_connection(tmp_path):
    """A new secret counts for the next request on a connection that stays open."""
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url) as daemon:
        connection = daemon.connect()
        assert post(daemon, '/github', lab.github(b'1'), b'1', connection) == 200
        daemon.secret('github', 'another-secret')
        assert post(daemon, '/github', lab.github(b'2'), b'2', connection) == 200, 'before the reload'
        daemon.ctl('reload')
        assert post(daemon, '/github', lab.github(b'3'), b'3', connection) == 401
        assert post(daemon, '/github', lab.github(b'3', 'another-secret'), b'3', connection) == 200


def test_certificate_changes_for_new_connections(tmp_path):
    """A new certificate is shown to new connections; those that are open go on with the old one."""
    def shown():
        context = ssl.create_default_context(cafile=lab.certificates() / 'ca.pem')
        with lab.socket.create_connection(('127.0.0.1', daemon.port), 5) as plain:
            with context.wrap_socket(plain, server_hostname='localhost') as tls:
                return tls.getpeercert(binary_form=True)
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url) as daemon:
        file = tmp_path / 'd' / 'penstock.yaml'
        before, connection = shown(), daemon.connect()
        assert post(daemon, '/github', lab.github(b'1'), b'1', connection) == 200
        good = file.read_text()
        file.write_text(good.replace('server.pem', 'server-rsa.pem').replace('server.key', 'server-rsa.key'))
        daemon.ctl('reload')
        assert shown() != before
        assert post(daemon, '/github', lab.github(b'2'), b'2', connection) == 200
        file.write_text(good)
        daemon.ctl('reload')
        assert shown() == before


def test_endpoints_and_targets_come_and_go(tmp_path):
    """New endpoints answer after the reload, removed ones are 404, and new targets get what comes from then on."""
    with lab.Target() as first, lab.Target() as second:
        with lab.Daemon(tmp_path / 'd', first.url) as daemon:
            connection = daemon.connect()
            assert post(daemon, '/new', lab.github(b'0'), b'0', connection) == 404
            daemon.configure(endpoints=peers.endpoint_line('new', ['second', 'app']),
                             targets=peers.target_line('second', second.url))
            daemon.ctl('reload')
            assert post(daemon, '/new', lab.github(b'1'), b'1', connection) == 200
            first.wait(1)
            second.wait(1)
            daemon.configure(endpoints='', targets='')
            daemon.ctl('reload')
            assert post(daemon, '/new', lab.github(b'2'), b'2', connection) == 404
            assert [one['name'] for one in daemon.ctl_json('targets')['targets']] == ['app']


def deliver_one(daemon, number):
    peers.wait_state(daemon, peers.send(daemon, {'warm': number}), 'delivered')


def test_warm_connections_outlive_a_reload(tmp_path):
    """Connections to a target that is reached as before stay open; its new secret and limits count all the same."""
    with peers.Script(peers.answer_ok) as script, lab.Daemon(tmp_path / 'd', script.url) as daemon:
        deliver_one(daemon, 1)
        daemon.ctl('reload')
        deliver_one(daemon, 2)
        other = 'whsec_' + lab.base64.b64encode(b'another-signing-key-of-32-bytes!').decode()
        daemon.secret('app', other)
        daemon.configure(target=', timeout: 3s' + peers.retry(7), endpoints=peers.endpoint_line('more', ['app']))
        daemon.ctl('reload')
        deliver_one(daemon, 3)
        assert script.connections == 1
        headers = lab.http.client.parse_headers(io.BytesIO(script.seen[2][1].split(b'\r\n', 1)[1] + b'\r\n\r\n'))
        assert lab.verify_delivery(headers, script.seen[2][2], other)
        daemon.configure(target=', connections: 1')
        daemon.ctl('reload')
        deliver_one(daemon, 4)
        assert script.connections == 2, 'with fewer allowed there may be too many'


def test_changed_trust_closes_warm_connections(tmp_path):
    """A TLS connection stays open while what its target is trusted and shown by is the same, to the byte."""
    certificates = lab.certificates()
    authority = tmp_path / 'authority.pem'
    authority.write_bytes((certificates / 'ca.pem').read_bytes())
    settings = f', ca_file: {authority}'
    with lab.Target(tls=True) as target, lab.Daemon(tmp_path / 'd', target.url, target=settings) as daemon:
        def opened():
            return daemon.metric('penstock_target_connections_total')
        deliver_one(daemon, 1)
        daemon.ctl('reload')
        deliver_one(daemon, 2)
        assert opened() == 1
        authority.write_bytes((certificates / 'ca.pem').read_bytes() + (certificates / 'ca-other.pem').read_bytes())
        daemon.ctl('reload')
        deliver_one(daemon, 3)
        assert opened() == 2
        daemon.configure(target=settings + f', client_certificate: {certificates}/client.pem, '
                                           f'client_key: {certificates}/client.key')
        daemon.ctl('reload')
        deliver_one(daemon, 4)
        assert opened() == 3
        assert daemon.metric('penstock_target_connections_reused_total') == 1


def test_body_size_changes(tmp_path):
    """An endpoint's larger body_size counts after the reload, up to what the start provided for."""
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url, endpoint=', body_size: 2KiB') as daemon:
        body = b'x' * 500000
        assert peers.curl(daemon, '/github', headers=lab.github(body), body=body).status == 413
        daemon.configure(endpoint=', body_size: 1MiB')
        daemon.ctl('reload')
        assert peers.curl(daemon, '/github', headers=lab.github(body), body=body).status == 200


def test_request_that_spans_a_reload(tmp_path):
    """A request whose head came before a reload and whose body comes after is answered under the new configuration."""
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url) as daemon:
        body = b'{"spans":1}'
        for change, status in (({'endpoint': ', tolerance: 5m'}, 200), ({'endpoint': ', host: other.example'}, 404)):
            with peers.Wire(daemon) as wire:
                data = peers.request('/github', lab.github(body), body)
                wire.send(data[:-5])
                daemon.configure(**change)
                daemon.ctl('reload')
                wire.send(data[-5:])
                assert wire.answer().status == status


def test_what_needs_a_restart_is_said(tmp_path):
    """Keys that are read at the start are named in the reload's answer, each time, until the file says again what the
    process runs with; the level of log lines changes at once."""
    def needed():
        found = daemon.ctl_json('reload')['report']['diagnostics']
        return [one['message'] for one in found if one['code'] == 'PS3011']
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url) as daemon:
        file = tmp_path / 'd' / 'penstock.yaml'
        good = file.read_text()
        assert not needed()
        file.write_text(good.replace('socket: control.sock', 'socket: other.sock').replace('path: store', 'path: shop'))
        for _ in range(2):
            assert needed() == ['needs restart: store.path', 'needs restart: control.socket']
        assert 'needs restart: control.socket' in daemon.ctl('reload')
        file.write_text(good + 'log: { level: error }\n')
        assert not needed()
        size = len(daemon.log())
        assert not needed() and 'reload' not in daemon.log()[size:]
        file.write_text(good)
        assert not needed() and 'configuration reloaded' in daemon.log()[size:]


def test_sighup_reloads(tmp_path):
    """SIGHUP reloads; a broken file is written to the log with line and column, and changes nothing."""
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url) as daemon:
        daemon.configure(endpoints=peers.endpoint_line('more', ['app']))
        daemon.process.send_signal(signal.SIGHUP)
        lab.wait_for(lambda: generation(daemon) == 2)
        assert post(daemon, '/more', lab.github(b'{}'), b'{}') == 200
        file = tmp_path / 'd' / 'penstock.yaml'
        file.write_text(file.read_text() + 'nonsense: 1\n')
        daemon.process.send_signal(signal.SIGHUP)
        lab.wait_for(lambda: 'reload failed' in daemon.log())
        line = len(file.read_text().splitlines())
        lab.wait_for(lambda: f'penstock.yaml:{line}:1: ' in daemon.log())
        assert generation(daemon) == 2


@pytest.mark.skipif(not peers.is_root(), reason='needs root, to show the daemon other hosts')
def test_moved_target_is_followed_whatever_the_file_says(tmp_path):
    """When a target's name gives another address deliveries go there, with the configuration that is in force: a file
    that is being edited is not read. Names are looked at once a minute."""
    hosts = tmp_path / 'hosts'
    hosts.write_text('127.0.0.1 moving.test\n')
    with peers.Script(peers.answer_ok) as first, peers.Script(peers.answer_ok) as second:
        moved = lab.socket.create_server(('127.0.0.2', first.port))
        threading.Thread(target=lambda: second.serve(moved.accept()[0], 1), daemon=True).start()
        daemon = lab.Daemon(tmp_path / 'd', f'http://moving.test:{first.port}/')
        shell = f'mount --bind {hosts} /etc/hosts && exec "$@"'
        daemon.start(command=['unshare', '--mount', 'sh', '-c', shell, 'sh'])
        try:
            deliver_one(daemon, 1)
            file = tmp_path / 'd' / 'penstock.yaml'
            file.write_text(file.read_text() + 'half a li')
            hosts.write_text('127.0.0.2 moving.test\n')
            lab.wait_for(lambda: 'addresses of targets changed' in daemon.log(), 90)
            deliver_one(daemon, 2)
            assert len(first.seen) == 1 and len(second.seen) == 1
            assert 'reload' not in daemon.log() and generation(daemon) == 2
            daemon.stop()
        finally:
            daemon.process.kill()
            moved.close()


def test_twenty_reloads_under_load(tmp_path):
    """Twenty reloads that change all there is, under load on both sides: no connection breaks, the ledger balances."""
    sink = lab.free_port()
    app = f', ca_file: {lab.certificates()}/ca.pem'
    daemon = lab.Daemon(tmp_path / 'd', f'https://localhost:{sink}/hooks', target=app + peers.retry(20), cpus='[0, 1]')
    daemon.secret('other', 'another-secret')
    with daemon:
        load = peers.load(daemon, sink, '--connections', 24, '--rate', 800, '--duration', 60, '--drain', 30,
                          '--replay', 20, '--forged', 20, '--no-retry')
        try:
            lab.wait_for(lambda: daemon.metric('penstock_events_accepted_total') > 100)
            connected = daemon.metric('penstock_connections_accepted_total')
            file = tmp_path / 'd' / 'penstock.yaml'
            for number in range(20):
                more = peers.endpoint_line(f'more{number}', ['app', f'to{number}'])
                daemon.configure(
                    endpoint=', previous_secret_file: secrets/other' if number % 2 else f', tolerance: {number + 60}s',
                    endpoints=more, targets=peers.target_line(f'to{number}', 'http://127.0.0.1:1/'),
                    target=app + peers.retry(20 + number) + (', connections: 32' if number % 3 else ''))
                if number % 2:
                    text = file.read_text()
                    file.write_text(text.replace('/server.', '/server-rsa.'))
                daemon.ctl('reload')
                before = daemon.metric('penstock_events_accepted_total')
                lab.wait_for(lambda before=before: daemon.metric('penstock_events_accepted_total') > before + 60)
                assert load.poll() is None
            assert daemon.metric('penstock_connections_accepted_total') == connected, 'somebody had to connect again'
            load.terminate()
            code = load.wait(60)
        finally:
            load.kill()
        found = lab.ledger(daemon)
        assert code == 0 and found['clean'] is True, found
        assert found['errors'] == found['rejected'] == found['unknown'] == found['refused_503'] == 0, found
        assert found['acked'] == found['delivered'] == found['sent'] > 1500, found
        assert found['forged_sent'] > 0 and found['forged_accepted'] == found['replay_delivered'] == 0, found
        assert generation(daemon) == 21
        assert peers.settled(daemon)['deliveries_dead'] == 0
