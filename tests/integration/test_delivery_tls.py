# SPDX-License-Identifier: GPL-2.0-or-later
"""Targets whose certificate is not to be trusted.

Question answered: does an event never go to somebody who cannot prove to be the target, and does it go once he can?
"""
import time

import pytest

import lab
import peers

pytestmark = peers.needs('nginx')

# certificate of the server, authority that the target is configured with
UNTRUSTED = {
    'unknown authority': ('server-other', 'ca'),
    'other authority': ('server', 'ca-other'),
    'self-signed': ('server-self', 'ca'),
    'expired': ('server-expired', 'ca'),
    'not yet valid': ('server-future', 'ca'),
    'other name': ('server-second', 'ca'),
    'wildcard of another': ('server-wild', 'ca'),
    'name in the subject only': ('server-cn', 'ca'),
    'a client certificate': ('client', 'ca'),
}


def authority(name):
    return f', ca_file: {lab.certificates()}/{name}.pem'


@pytest.mark.parametrize('name', UNTRUSTED)
def test_untrusted_target_gets_nothing(tmp_path, name):
    """A target with such a certificate sees no request; the attempts say `tls` and why, and nginx hears an alert."""
    certificate, trusted = UNTRUSTED[name]
    with peers.Nginx(tmp_path / 'nginx', certificate=certificate) as nginx:
        with lab.Daemon(tmp_path / 'd', nginx.url, target=authority(trusted) + peers.retry(3)) as daemon:
            event = peers.send(daemon, {'untrusted': name})
            found = peers.wait_state(daemon, event, 'dead')
            assert [(one['error'], one['status']) for one in found] == [('tls', None)] * 3
            assert all(one['detail'] for one in found)
            assert found[0]['detail'] in daemon.ctl('attempts', event)
            assert daemon.ctl_json('targets')['targets'][0]['last_error'] == found[0]['detail']
        assert nginx.rows() == []
        log = (tmp_path / 'nginx' / 'error.log').read_text()
        assert log.count('SSL alert number') == 3, log


def test_delivered_when_the_authority_is_put_right(tmp_path):
    """After a reload with the right authority the waiting event is delivered."""
    with peers.Nginx(tmp_path / 'nginx', certificate='server-other') as nginx:
        with lab.Daemon(tmp_path / 'd', nginx.url, target=authority('ca') + peers.retry(100)) as daemon:
            event = peers.send(daemon, {'put': 'right'})
            lab.wait_for(lambda: len(peers.attempts(daemon, event)) >= 2)
            daemon.configure(target=authority('ca-other') + peers.retry(100))
            daemon.ctl('reload')
            found = peers.wait_state(daemon, event, 'delivered')
            assert {one['error'] for one in found[:-1]} == {'tls'}
            assert len(nginx.rows()) == 1


def test_delivered_when_the_certificate_is_put_right(tmp_path):
    """After the target has got a right certificate the waiting event is delivered without anybody's help."""
    with peers.Nginx(tmp_path / 'nginx', certificate='server-expired') as nginx:
        with lab.Daemon(tmp_path / 'd', nginx.url, target=authority('ca') + peers.retry(100)) as daemon:
            event = peers.send(daemon, {'renewed': 1})
            lab.wait_for(lambda: len(peers.attempts(daemon, event)) >= 2)
            file = tmp_path / 'nginx' / 'nginx.conf'
            file.write_text(file.read_text().replace('server-expired', 'server'))
            nginx.process.send_signal(1)
            peers.wait_state(daemon, event, 'delivered')


@pytest.mark.parametrize('certificate', ['server-rsa', 'server-chain'])
def test_other_good_certificates(tmp_path, certificate):
    """An RSA key and a chain through an intermediate authority are fine."""
    with peers.Nginx(tmp_path / 'nginx', certificate=certificate) as nginx:
        with lab.Daemon(tmp_path / 'd', nginx.url, target=authority('ca') + peers.retry(1)) as daemon:
            peers.wait_state(daemon, peers.send(daemon, {'good': certificate}), 'delivered')


@pytest.mark.parametrize('protocol', ['TLSv1.2', 'TLSv1.3'])
def test_both_versions_towards_targets(tmp_path, protocol):
    """Targets that speak only TLS 1.2, or only 1.3, are delivered to."""
    with peers.Nginx(tmp_path / 'nginx') as nginx:
        file = tmp_path / 'nginx' / 'nginx.conf'
        file.write_text(file.read_text().replace('TLSv1.2 TLSv1.3', protocol))
        nginx.process.send_signal(1)
        with lab.Daemon(tmp_path / 'd', nginx.url, target=authority('ca') + peers.retry(100)) as daemon:
            def used():
                peers.send(daemon, {'version': protocol, 'at': time.time()})
                peers.settled(daemon)
                return nginx.rows()[-1]['ssl_protocol'] == protocol
            lab.wait_for(used)


def test_an_address_is_proven_as_an_address(tmp_path):
    """A target named by its address is delivered to when the certificate has that address."""
    with peers.Nginx(tmp_path / 'nginx') as nginx:
        url = nginx.url.replace('localhost', '127.0.0.1')
        with lab.Daemon(tmp_path / 'd', url, target=authority('ca') + peers.retry(1)) as daemon:
            peers.wait_state(daemon, peers.send(daemon, b'{}'), 'delivered')
    with peers.Nginx(tmp_path / 'second', certificate='server-dns-address') as nginx:
        url = nginx.url.replace('localhost', '127.0.0.1')
        with lab.Daemon(tmp_path / 'e', url, target=authority('ca') + peers.retry(1)) as daemon:
            found = peers.wait_state(daemon, peers.send(daemon, b'{}'), 'dead')
            assert found[0]['error'] == 'tls'


def test_system_authorities_are_the_default(tmp_path):
    """Without ca_file only the system's authorities count: our test server is refused."""
    with peers.Nginx(tmp_path / 'nginx') as nginx:
        with lab.Daemon(tmp_path / 'd', nginx.url, target=peers.retry(1)) as daemon:
            found = peers.wait_state(daemon, peers.send(daemon, b'{}'), 'dead')
            assert found[0]['error'] == 'tls'


def test_plain_server_behind_https(tmp_path):
    """A server that speaks no TLS where TLS is configured is a `tls` failure, and gets no event in the clear."""
    with peers.Script(peers.answer_ok) as script:
        url = script.url.replace('http:', 'https:').replace('127.0.0.1', 'localhost')
        more = authority('ca') + ', connect_timeout: 300ms' + peers.retry(1)
        with lab.Daemon(tmp_path / 'd', url, target=more) as daemon:
            found = peers.wait_state(daemon, peers.send(daemon, b'{}'), 'dead')
            assert found[0]['error'] in ('tls', 'connect_timeout')
        assert not script.seen
