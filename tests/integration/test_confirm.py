# SPDX-License-Identifier: GPL-2.0-or-later
"""Dangerous commands at a terminal: are they asked about, and is no taken for no?"""
import contextlib
import os
import pty
import subprocess

import lab
import peers


def at_terminal(daemon, answer, *arguments):
    """Exit code, standard output and what the terminal showed."""
    ours, theirs = pty.openpty()
    with contextlib.closing(os.fdopen(ours, 'rb+', buffering=0)) as terminal:
        process = subprocess.Popen([lab.BUILD / 'penstockctl', '--socket', daemon.folder / 'control.sock', *arguments],
                                   stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, text=True)
        os.close(theirs)
        if answer is not None:
            terminal.write(answer)
        output = process.communicate(timeout=30)[0]
        shown = b''
        with contextlib.suppress(OSError):  # EIO: the other end is closed, and all was read
            while data := terminal.read(4096):
                shown += data
        return process.returncode, output, shown.decode()


def test_a_terminal_is_asked(tmp_path):
    """No and silence change nothing, yes and --yes do; the number of dead letters is told first."""
    with lab.Target(lambda _: 500) as target:
        with lab.Daemon(tmp_path / 'd', target.url, target=peers.retry(1)) as daemon:
            events = [peers.send(daemon, {'number': number}) for number in range(3)]
            for event in events:
                peers.wait_state(daemon, event, 'dead', 'app')

            code, output, shown = at_terminal(daemon, b'n\n', 'dlq', 'replay', '--all')
            assert code == 1 and not output and 'There are 3 dead letters' in shown and 'nothing was done' in shown
            assert daemon.ctl_json('dlq', 'list')['count'] == 3
            code, output, shown = at_terminal(daemon, b'y\n', 'dlq', 'replay', '--all')
            assert code == 0 and 'replayed 3' in output

            for command in ('drain', 'stop'):
                for answer in (b'n\n', b'\n', b'yellow\n'):
                    code, output, shown = at_terminal(daemon, answer, command)
                    assert code == 1 and not output and '[y/N]' in shown
            assert daemon.ctl_json('status')['state'] == 'ready'
            code, output, shown = at_terminal(daemon, None, 'drain', '--yes')
            assert code == 0 and '[y/N]' not in shown
            assert daemon.ctl_json('status')['state'] == 'draining'
            code, output, shown = at_terminal(daemon, b'yes\n', 'stop')
            assert code == 0 and 'stopping' in output
            assert daemon.process.wait(30) == 0
