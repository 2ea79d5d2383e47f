# SPDX-License-Identifier: GPL-2.0-or-later
"""screen — a small terminal for tests: a pty with a program on it, and a model of what its screen shows.

Knows the sequences that penstockctl writes and fails on any other, so that none comes in unnoticed.
"""
import codecs
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

CSI = re.compile(r'\x1b\[(\??)([0-9;]*)([A-Za-z])')


class Model:
    """Rows of characters, with the main screen kept while the alternate one is shown."""

    def __init__(self, columns, rows):
        self.pending = ''
        self.alternate = False
        self.cursor_shown = True
        self.wraps = True
        self.coloured = False
        self.resize(columns, rows)

    def resize(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.main = [[' '] * columns for _ in range(rows)]
        self.cells = [[' '] * columns for _ in range(rows)]
        self.row = self.column = 0

    def feed(self, text):
        text = self.pending + text
        self.pending = ''
        at = 0
        while at < len(text):
            char = text[at]
            if char == '\x1b':
                found = CSI.match(text, at)
                if not found:
                    assert len(text) - at < 20, f'no sequence of ours: {text[at:at + 20]!r}'
                    self.pending = text[at:]
                    return
                self.sequence(*found.groups())
                at = found.end()
                continue
            at += 1
            if char == '\r':
                self.column = 0
            elif char == '\n':
                self.row = min(self.row + 1, self.rows - 1)
            elif char == '\x18':
                pass
            else:
                assert char >= ' ', f'control character {char!r}'
                self.put(char)

    def put(self, char):
        cells = self.cells if self.alternate else self.main
        if self.column >= self.columns:
            assert not self.alternate or not self.wraps
            self.column = self.columns - 1
        cells[self.row][self.column] = char
        self.column += 1

    def sequence(self, private, numbers, kind):
        first = [int(n or 0) for n in numbers.split(';')]
        if private:
            on = kind == 'h'
            assert kind in 'hl'
            if first[0] == 1049:
                self.alternate = on
            elif first[0] == 25:
                self.cursor_shown = on
            elif first[0] == 7:
                self.wraps = on
            else:
                raise AssertionError(f'mode {first[0]}')
        elif kind == 'H':
            self.row = min(max(first[0], 1), self.rows) - 1
            self.column = min(max(first[1] if len(first) > 1 else 1, 1), self.columns) - 1
        elif kind == 'J':
            assert first[0] == 2
            self.cells = [[' '] * self.columns for _ in range(self.rows)]
        elif kind == 'm':
            self.coloured = self.coloured or first[0] in range(30, 38)
        else:
            raise AssertionError(f'sequence {kind}')

    def lines(self):
        return [''.join(row).rstrip() for row in self.cells]

    def text(self):
        return '\n'.join(self.lines())


# What a shell does for a job; without it a stop would be ignored, since nobody could continue it.
SHELL = """
import os, signal, sys
pid = os.fork()
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
if pid == 0:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(sys.argv[2], sys.argv[2:])
os.write(int(sys.argv[1]), b'%d' % pid)
status = os.waitpid(pid, 0)[1]
sys.exit(os.WTERMSIG(status) if os.WIFSIGNALED(status) else 100 + os.WEXITSTATUS(status))
"""


class Terminal:
    """A program on a pty of its own. Leave it with the program ended. With `shell` it is the job of a shell, whose
    exit code is the number of the signal that ended the job."""

    def __init__(self, command, columns=80, rows=24, shell=False, **environment):
        self.master, slave = os.openpty()
        self.slave = slave
        self.model = Model(columns, rows)
        self.decoder = codecs.getincrementaldecoder('utf-8')()  # a character may come in two pieces
        self.size(columns, rows)
        self.before = termios.tcgetattr(slave)
        env = {**os.environ, 'TERM': 'xterm-256color', **environment}
        env = {key: value for key, value in env.items() if value is not None}

        def own_terminal():
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            os.tcsetpgrp(slave, os.getpgrp())

        told, tell = os.pipe()
        if shell:
            command = [sys.executable, '-c', SHELL, str(tell), *command]
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=env,
                                        preexec_fn=own_terminal, pass_fds=[tell])
        os.close(tell)
        self.pid = int(os.read(told, 20)) if shell else self.process.pid
        os.close(told)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            for pid in {self.pid, self.process.pid}:
                os.kill(pid, signal.SIGKILL)
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def size(self, columns, rows):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))

    def resize(self, columns, rows):
        self.model.resize(columns, rows)
        self.size(columns, rows)  # sends SIGWINCH

    def read(self, seconds=0.05):
        """What comes within that time; returns whether anything did."""
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False
        self.model.feed(self.decoder.decode(data))
        return True

    def wait(self, what, seconds=15.0):
        """Reads until what(model) is true; returns that."""
        until = time.monotonic() + seconds
        while True:
            found = what(self.model)
            if found:
                return found
            assert time.monotonic() < until, f'not within {seconds} s:\n{self.model.text()}'
            assert self.process.poll() is None or self.read(0), self.model.text()
            self.read()

    def wait_text(self, text, seconds=15.0):
        return self.wait(lambda model: text in model.text(), seconds)

    def key(self, key):
        os.write(self.master, key.encode())

    def signal(self, number):
        self.process.send_signal(number)

    def ended(self, seconds=15.0):
        """Waits for the end; returns the exit code."""
        until = time.monotonic() + seconds
        while self.process.poll() is None:
            self.read()
            assert time.monotonic() < until, 'does not end'
        while self.read(0.1):
            pass
        return self.process.returncode

    def stopped(self, seconds=15.0):
        """Waits until the program is stopped, as by Ctrl-Z."""
        until = time.monotonic() + seconds
        while True:
            self.read()
            with open(f'/proc/{self.pid}/stat', encoding='utf-8') as stat:
                if stat.read().rsplit(')', 1)[1].split()[0] == 'T':
                    return
            assert time.monotonic() < until, 'does not stop'

    def continue_(self):
        os.killpg(self.pid, signal.SIGCONT)

    def is_restored(self):
        """Screen, cursor, wrapping and line mode are as before."""
        model = self.model
        return (not model.alternate and model.cursor_shown and model.wraps and
                termios.tcgetattr(self.slave) == self.before)
