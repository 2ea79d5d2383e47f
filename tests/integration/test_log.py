# SPDX-License-Identifier: GPL-2.0-or-later
"""Log lines for machines: entries of systemd's journal with fields, and JSON.

Question answered: is every line said once, to one place, and can a program read each of them?
"""
import json
import os
import socket
import struct
import subprocess

import pytest

import lab

EX_USAGE, EX_CONFIG = 64, 78

# Our folder stands in for /run/systemd/journal, in a mount namespace of the daemon's own.
WITH_JOURNAL = ('mount -t tmpfs none /run && mkdir -p /run/systemd/journal && '
                'mount --bind "$1" /run/systemd/journal && shift && exec "$@"')
UNSHARE = ['unshare', '-m'] if os.geteuid() == 0 else ['unshare', '-rm']


def fields(entry):
    """Of a datagram in the journal's native protocol; a name that comes twice is an error."""
    found = {}
    while entry:
        name, _, entry = entry.partition(b'\n')
        if b'=' in name:
            name, _, value = name.partition(b'=')
        else:
            size, = struct.unpack('<Q', entry[:8])
            value, end, entry = entry[8:8 + size], entry[8 + size:9 + size], entry[9 + size:]
            assert end == b'\n'
        assert name not in found
        found[name] = value
    return {name.decode(): value.decode() for name, value in found.items()}


def received(journal):
    entries = []
    journal.setblocking(False)
    while True:
        try:
            entries.append(fields(journal.recv(65536)))
        except BlockingIOError:
            return entries


def test_lines_are_entries_where_standard_error_is_the_journal(tmp_path):
    """Nothing is on standard error as well, which systemd reads, too."""
    place = tmp_path / 'journal'
    place.mkdir()
    ours, theirs = socket.socketpair()
    journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs, journal:
        journal.bind(str(place / 'socket'))
        status = os.fstat(theirs.fileno())
        daemon = lab.Daemon(tmp_path / 'd')
        daemon.process = subprocess.Popen(
            [*UNSHARE, 'sh', '-c', WITH_JOURNAL, 'sh', place, lab.BUILD / 'penstockd', '-f',
             daemon.folder / 'penstock.yaml'],
            stdout=theirs, stderr=theirs,
            env={**os.environ, 'JOURNAL_STREAM': f'{status.st_dev}:{status.st_ino}', 'PENSTOCK_LOG_FORMAT': 'auto'})
        try:
            daemon.wait_ready()
            daemon.ctl('reload')
            daemon.configure(more='drain_timeout: soon')
            daemon.ctl('reload', code=EX_CONFIG)
            daemon.stop()
        finally:
            if daemon.process.poll() is None:
                daemon.kill()
        entries = received(journal)
        ours.setblocking(False)
        with pytest.raises(BlockingIOError):
            print(ours.recv(65536))

    assert all(entry['SYSLOG_IDENTIFIER'] == 'penstockd' and entry['CODE_FILE'].endswith('.c') for entry in entries)
    ready, = [entry for entry in entries if entry['MESSAGE'].endswith(' is ready')]
    assert ready['PRIORITY'] == '5'
    asked = [entry for entry in entries if entry['MESSAGE'].startswith('reload asked for')]
    assert len(asked) == 2 and asked[0]['PENSTOCK_BY']
    failed, = [entry for entry in entries if entry['MESSAGE'].startswith('reload failed')]
    assert failed['PRIORITY'] == '3' and failed['PENSTOCK_GENERATION'].isdigit()


def test_without_a_journal_lines_go_to_standard_error(tmp_path):
    (tmp_path / 'empty').mkdir()
    daemon = lab.Daemon(tmp_path / 'd')
    daemon.configure(more='log: { format: journal }')
    daemon.start(command=[*UNSHARE, 'sh', '-c', WITH_JOURNAL, 'sh', tmp_path / 'empty'])
    daemon.stop()
    assert daemon.log().count('<5>penstock: notice: stopped\n') == 1


@pytest.mark.parametrize('form', ['json', 'auto'])
def test_json_is_an_object_a_line_and_nothing_else(tmp_path, form):
    """From the first line on, when the environment says so or the log is a file."""
    daemon = lab.Daemon(tmp_path / 'd')
    daemon.start(env={**os.environ, 'PENSTOCK_LOG_FORMAT': form, 'PENSTOCK_CORE_DUMPS': '1'})
    daemon.ctl('reload')
    daemon.stop()
    lines = [json.loads(line) for line in daemon.log().splitlines()]
    assert lines[0]['level'] == 'warning' and lines[0]['message'].startswith('core dumps are allowed')
    assert all(line['time'].endswith('Z') for line in lines)
    reloaded, = [line for line in lines if line['message'].startswith('configuration reloaded')]
    assert reloaded['level'] == 'notice' and reloaded['generation'].isdigit() and reloaded['by']


def test_a_reload_changes_the_form_at_once(tmp_path):
    with lab.Daemon(tmp_path / 'd') as daemon:
        daemon.configure(more='log: { format: json }')
        daemon.ctl('reload')
        text = daemon.log()
        assert text.startswith('<5>penstock: notice: ')
        last = json.loads(text.splitlines()[-1])
        assert last['level'] == 'notice' and last['message'].startswith('reload by=')
        daemon.configure(more='log: { format: text }')
        daemon.ctl('reload')
        assert daemon.log().splitlines()[-1].startswith('<5>penstock: notice: reload by=')


def test_what_is_wrong_at_the_start_is_json_as_well(tmp_path):
    daemon = lab.Daemon(tmp_path / 'd')
    path = daemon.folder / 'penstock.yaml'
    path.write_text(path.read_text() + ''.join(f'target{number}: 1\n' for number in range(30)))
    environment = {**os.environ, 'PENSTOCK_LOG_FORMAT': 'json'}
    done = subprocess.run([lab.BUILD / 'penstockd', '-f', path], capture_output=True, text=True, timeout=30,
                          env=environment)
    assert done.returncode == EX_CONFIG and done.stdout == ''
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    # Each of them: a person gets them all, too.
    assert sum('PS1002' in line['message'] for line in lines) == 30
    assert all('targets' in line['hint'] for line in lines)
    assert all(line['level'] == 'error' and line['message'].startswith(str(path)) for line in lines)

    other = tmp_path / 'other'
    with lab.Daemon(other) as running:
        done = subprocess.run([lab.BUILD / 'penstockd', '-f', running.folder / 'penstock.yaml'],
                              capture_output=True, text=True, timeout=30, env=environment)
        assert done.returncode != 0
        assert [json.loads(line)['level'] for line in done.stderr.splitlines()][-1] == 'error'


def test_a_form_nobody_knows_is_refused(tmp_path):
    daemon = lab.Daemon(tmp_path / 'd')
    done = subprocess.run([lab.BUILD / 'penstockd', '-f', daemon.folder / 'penstock.yaml'], capture_output=True,
                          text=True, timeout=30, env={**os.environ, 'PENSTOCK_LOG_FORMAT': 'yaml'})
    assert done.returncode == EX_USAGE
    assert "PENSTOCK_LOG_FORMAT='yaml' is not one of auto, text, json or journal" in done.stderr
