# SPDX-License-Identifier: GPL-2.0-or-later
"""TLS as OpenSSL's s_client sees it: versions, names, resumption, client certificates.

Question answered: does another TLS implementation get what our policy says, and an alert that names what it cannot get?
"""
import re

import pytest

import lab
import peers

pytestmark = peers.needs('openssl')
BODY = b'{"tls":1}'


def event(**fields):
    return peers.request('/github', {**lab.github(BODY), 'Connection': 'close', **fields}, BODY)


def certificate(name, names=None):
    folder = lab.certificates()
    more = f', names: [{names}]' if names else ''
    return f'certificate: {folder}/{name}.pem, key: {folder}/{name}.key{more}'


@pytest.fixture(scope='module', name='daemon')
def fixture_daemon(tmp_path_factory):
    more = (f', certificates: [{{ {certificate("server-second", "second.example.test")} }}, '
            f'{{ {certificate("server-wild", "*.wild.example.test")} }}]')
    more = more.replace('[*.', "['*.").replace('.test] }]', ".test'] }]")
    with lab.Target() as target:
        with lab.Daemon(tmp_path_factory.mktemp('tls') / 'd', target.url, tls=more, cpus='[0, 1]') as daemon:
            yield daemon


@pytest.mark.parametrize('version', ['1.2', '1.3'])
def test_versions_that_work(daemon, version):
    """TLS 1.2 and 1.3 carry a request to its answer."""
    code, text = peers.s_client(daemon, '-tls' + version.replace('.', '_'), '-ign_eof', '-verify_return_error',
                                '-verify_hostname', 'localhost', send=event())
    assert code == 0 and f'New, TLSv{version}, Cipher is' in text
    assert 'HTTP/1.1 200 OK' in text


@pytest.mark.parametrize('options,alert', [
    (['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'], 'alert protocol version'),
    (['-tls1', '-cipher', 'ALL:@SECLEVEL=0'], 'alert protocol version'),
    (['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-SHA256'], 'alert handshake failure'),
    (['-tls1_2', '-cipher', 'AES128-GCM-SHA256'], 'alert handshake failure'),
    (['-tls1_2', '-cipher', 'DHE-RSA-AES128-GCM-SHA256'], 'alert handshake failure'),
    (['-alpn', 'h2'], 'alert no application protocol'),
], ids=lambda value: ' '.join(value[:3]) if isinstance(value, list) else '')
def test_what_is_refused(daemon, options, alert):
    """Old versions, ciphers without forward secrecy or authenticated encryption, and h2 alone get a telling alert."""
    before = daemon.metric('penstock_tls_handshakes_failed_total')
    code, text = peers.s_client(daemon, *options)
    assert code != 0 and alert in text, text
    lab.wait_for(lambda: daemon.metric('penstock_tls_handshakes_failed_total') == before + 1)


@pytest.mark.parametrize('offer', ['http/1.1', 'h2,http/1.1', 'h3,http/1.1,h2'])
def test_alpn_is_http_1_1(daemon, offer):
    """Of what a client offers by ALPN, http/1.1 is chosen."""
    code, text = peers.s_client(daemon, '-alpn', offer)
    assert code == 0 and 'ALPN protocol: http/1.1' in text


def test_alpn_http_1_0(daemon):
    """A client that offers http/1.0 alone is served."""
    code, text = peers.s_client(daemon, '-alpn', 'http/1.0')
    assert code == 0 and 'ALPN protocol: http/1.0' in text


def test_no_alpn_is_fine(daemon):
    """A client without ALPN is served."""
    assert 'No ALPN negotiated' in peers.s_client(daemon)[1]


@pytest.mark.parametrize('version', ['-tls1_2', '-tls1_3'])
@pytest.mark.parametrize('name,subject', [
    ('localhost', 'localhost'), ('second.example.test', 'second.example.test'),
    ('SECOND.example.test', 'second.example.test'), ('a.wild.example.test', 'wild.example.test'),
    ('a.b.wild.example.test', 'localhost'), ('wild.example.test', 'localhost'), ('nobody.example', 'localhost'),
    (None, 'localhost')])
def test_name_chooses_the_certificate(daemon, version, name, subject):
    """The name asked for chooses the certificate; an unknown one, or none, gets the first."""
    code, text = peers.s_client(daemon, version, name=name)
    assert code == 0 and f'subject=CN = {subject}\n' in text


def resume(daemon, folder, version, name='localhost', session='session'):
    """A connection with what is in the session file, which it renews; whether it was resumed."""
    file = folder / session
    options = ['-sess_in', file] if file.exists() else []
    code, text = peers.s_client(daemon, version, '-ign_eof', '-sess_out', file, *options, send=event(), name=name)
    assert code == 0 and 'HTTP/1.1 200 OK' in text, text
    return bool(re.search(r'^Reused, TLS', text, re.M))


@pytest.mark.parametrize('version', ['-tls1_2', '-tls1_3'])
def test_sessions_are_resumed_on_every_worker(daemon, tmp_path, version):
    """A ticket resumes on whichever worker takes the connection, many times, also after a reload."""
    assert not resume(daemon, tmp_path, version)
    assert all(resume(daemon, tmp_path, version) for _ in range(8))
    daemon.ctl('reload')
    assert all(resume(daemon, tmp_path, version) for _ in range(4))


def test_a_ticket_is_for_its_certificate(daemon, tmp_path):
    """A ticket from one certificate's name does not resume under another name: a full handshake follows."""
    assert not resume(daemon, tmp_path, '-tls1_3')
    assert not resume(daemon, tmp_path, '-tls1_3', name='second.example.test')


def test_no_early_data(daemon, tmp_path):
    """Tickets do not allow early data, which an attacker could play again."""
    assert not resume(daemon, tmp_path, '-tls1_3')
    _, text = peers.s_client(daemon, '-tls1_3', '-ign_eof', '-sess_in', tmp_path / 'session', send=event())
    assert 'Early data was not sent' in text and 'Max Early Data: 0' in text


def test_tickets_do_not_outlive_the_process(tmp_path):
    """After a restart an old ticket leads to a full handshake, not to a failure."""
    with lab.Daemon(tmp_path / 'd') as daemon:
        assert not resume(daemon, tmp_path, '-tls1_3')
        assert resume(daemon, tmp_path, '-tls1_3')
        daemon.stop()
        daemon.start()
        assert not resume(daemon, tmp_path, '-tls1_3')
        assert resume(daemon, tmp_path, '-tls1_3')


def test_renegotiation_is_refused(daemon):
    """A TLS 1.2 client that asks for renegotiation does not get it."""
    code, text = peers.s_client(daemon, '-tls1_2', send=b'R\n')
    assert code != 0 or 'no renegotiation' in text, text
    assert daemon.get('/healthz')[0] == 200


# ---- Client certificates --------------------------------------------------------------------------------------------

@pytest.fixture(scope='module', name='strict')
def fixture_strict(tmp_path_factory):
    more = f', client_certificate: required, client_ca: {lab.certificates()}/ca.pem'
    with lab.Target() as target, lab.Daemon(tmp_path_factory.mktemp('mtls') / 'd', target.url, tls=more) as daemon:
        yield daemon


def with_client(name):
    folder = lab.certificates()
    return ['-cert', folder / f'{name}.pem', '-key', folder / f'{name}.key'] if name else []


@pytest.mark.parametrize('version', ['-tls1_2', '-tls1_3'])
@pytest.mark.parametrize('name', ['client', 'client-plain'])
def test_client_certificate_is_accepted(strict, version, name):
    """A client with a certificate of the right authority is served."""
    code, text = peers.s_client(strict, version, '-ign_eof', *with_client(name), send=event())
    assert code == 0 and 'HTTP/1.1 200 OK' in text, text


@pytest.mark.parametrize('version', ['-tls1_2', '-tls1_3'])
@pytest.mark.parametrize('name', [None, 'client-other', 'client-expired', 'client-two-uris', 'server'])
def test_client_certificate_is_refused(strict, version, name):
    """None, one of another authority, an expired one, one with two identities, a server's: an alert and no answer."""
    code, text = peers.s_client(strict, version, '-ign_eof', *with_client(name), send=event())
    assert 'HTTP/1.1' not in text and 'alert' in text, text
    assert code != 0


@pytest.mark.parametrize('version', ['-tls1_2', '-tls1_3'])
def test_no_ticket_for_clients_with_certificates(strict, tmp_path, version):
    """Where client certificates are asked for there are no tickets: nothing stands in for a certificate."""
    code, text = peers.s_client(strict, version, '-ign_eof', '-sess_out', tmp_path / 'session', *with_client('client'),
                                send=event())
    assert code == 0 and 'session ticket' not in text.lower().replace('no session ticket', ''), text
    if (tmp_path / 'session').exists():
        _, text = peers.s_client(strict, version, '-ign_eof', '-sess_in', tmp_path / 'session', send=event())
        assert 'Reused' not in text and 'HTTP/1.1' not in text


def test_tickets_from_elsewhere_do_not_help(strict, daemon, tmp_path):
    """A ticket from a listener without client certificates does not open one that requires them."""
    assert not resume(daemon, tmp_path, '-tls1_3')
    _, text = peers.s_client(strict, '-tls1_3', '-ign_eof', '-sess_in', tmp_path / 'session', send=event())
    assert 'HTTP/1.1' not in text and 'alert' in text


def test_optional_client_certificate(tmp_path):
    """With `optional`, none and a right one are served, and a wrong one is refused."""
    more = f', client_certificate: optional, client_ca: {lab.certificates()}/ca.pem'
    with lab.Target() as target, lab.Daemon(tmp_path / 'd', target.url, tls=more) as daemon:
        for name, served in ((None, True), ('client', True), ('client-other', False)):
            _, text = peers.s_client(daemon, '-ign_eof', *with_client(name), send=event())
            assert ('HTTP/1.1 200 OK' in text) is served, (name, text)


def test_curl_with_a_client_certificate(strict):
    """curl is served with a client certificate, and without one says that the server wanted it."""
    folder = lab.certificates()
    options = ['--cert', folder / 'client.pem', '--key', folder / 'client.key']
    assert peers.curl(strict, '/github', *options, headers=lab.github(BODY), body=BODY).status == 200
    assert peers.curl(strict, '/github', headers=lab.github(BODY), body=BODY, code=56) is None
