# SPDX-License-Identifier: GPL-2.0-or-later
"""penstockctl top, on a terminal and elsewhere.

Question answered: does the tired operator see what is true, at any size, do the keys do what the screen says, and does
he get his terminal back however it ends?
"""
import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import uuid

import pytest

import lab
import peers
import screen

DOCS = lab.ROOT / 'docs'
HEAD = ('accepted', 'delivered', 'queue', 'host', 'LATENCY', 'request to answer', 'commit')


def command(daemon, *arguments):
    return [lab.BUILD / 'penstockctl', '--socket', daemon.folder / 'control.sock', 'top', *arguments]


@contextlib.contextmanager
def traffic(daemon):
    """Events, now and then a forged one, until the end."""
    over = threading.Event()

    def send():
        connection = daemon.connect(tls=False)
        while not over.wait(0.005):
            body = b'{"hello": "world"}'
            number = uuid.uuid4()
            secret = lab.GITHUB_SECRET if number.int % 9 == 0 else lab.STANDARD_SECRET
            if secret == lab.GITHUB_SECRET:
                headers, path = lab.github(body + b'x'), '/github'
            else:
                headers, path = lab.standard(body, f'msg_{number}'), '/standard'
            daemon.post(path, headers, body, connection)
        connection.close()

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.fixture(scope='module', name='daemon')
def fixture_daemon(tmp_path_factory):
    with lab.Target() as good, lab.Target(lambda _: 503) as bad:
        lines = peers.target_line('broken', bad.url, peers.retry(9, '60s', '60s'))
        with lab.Daemon(tmp_path_factory.mktemp('top') / 'd', good.url, targets=lines,
                        endpoints=peers.endpoint_line('audit', ['broken'])) as daemon:
            peers.send(daemon, b'{"for": "nobody"}', '/audit')
            with traffic(daemon):
                yield daemon


@pytest.fixture(name='top')
def fixture_top(daemon):
    with screen.Terminal(command(daemon, '--interval', '0.2'), NO_COLOR=None) as terminal:
        terminal.wait_text('quit')
        yield terminal


def rate(terminal, label):
    return re.search(rf'^{label} +([0-9.,]+)/s', terminal.model.text(), re.M)


def words(text):
    """What stands there whatever the figures are."""
    return set(re.findall(r'[A-Za-z]{4,}', text)) - {'accepted', 'msg'}


@pytest.mark.parametrize('columns,rows', [(80, 24), (200, 50)])
def test_screen_as_in_the_documentation(daemon, columns, rows):
    """Two sizes; docs/ has what they look like, and PENSTOCK_WRITE_DOCS=1 writes it anew."""
    with screen.Terminal(command(daemon), columns, rows) as terminal:
        terminal.wait(lambda _: rate(terminal, 'accepted') and rate(terminal, 'delivered'))
        terminal.wait(lambda model: model.text().count('▁') + model.text().count('█') > 12, 40)
        for text in HEAD:
            assert text in terminal.model.text()
        lines = terminal.model.lines()
        assert lines[-1].startswith('q quit') and lines[-1].endswith('? help')
        assert all(name in terminal.model.text() for name in ('github', 'standard', 'stripe', 'zen', 'audit'))
        assert ('TARGET' in terminal.model.text()) == (rows == 50)
        path = DOCS / f'top-{columns}x{rows}.txt'
        if os.environ.get('PENSTOCK_WRITE_DOCS'):
            path.write_text(terminal.model.text() + '\n')
        shown = words(path.read_text())
        assert words(terminal.model.text()) - shown <= {'more', 'PAUSED'}, 'run with PENSTOCK_WRITE_DOCS=1'
        assert len(path.read_text().splitlines()) == rows
        terminal.key('q')
        assert terminal.ended() == 0 and terminal.is_restored()


def test_figures_are_true(daemon, top):
    """The rate on the screen is the one that the metrics have, within what a loaded machine blurs."""
    before = daemon.metric('penstock_events_accepted_total')
    top.wait(lambda _: rate(top, 'accepted'))
    shown = [float(rate(top, 'accepted').group(1).replace(',', ''))]
    for _ in range(5):
        text = top.model.text()
        top.wait(lambda model, text=text: model.text() != text)
        shown.append(float(rate(top, 'accepted').group(1).replace(',', '')))
    assert daemon.metric('penstock_events_accepted_total') > before
    assert 1 < sum(shown) / len(shown) < 500
    assert re.search(r'^request to answer +[0-9.]+ (µs|ms)', top.model.text(), re.M)
    assert re.search(r'refused +[0-9.]+/s', top.model.text())


def test_views_and_sorting(top):
    assert re.search(r'^endpoints: 5, by ACCEPTED/s$', top.model.text(), re.M)
    top.wait(lambda model: re.search(r'^ENDPOINT.*\nstandard ', model.text(), re.M))
    top.key('s')
    top.wait_text(', by BYTES/s')
    top.key('t')
    top.wait(lambda model: re.search(r'^targets: 2, by DELIVERED/s\nTARGET .*\napp ', model.text(), re.M))
    for column in ('RETRY/s', 'DEAD/s', 'READY', 'BUSY', 'IDLE', 'DELIVERED', 'name', 'DELIVERED/s'):
        top.key('s')
        top.wait(lambda model, column=column: re.search(rf'^targets: 2, by {column}$', model.text(), re.M))
    top.key('w')
    top.wait(lambda model: re.search(r'^workers: 1, by number\nWORKER .*\n0 on CPU 0 ', model.text(), re.M))
    top.key('s')
    top.wait_text('by CPU %')
    top.key('e')
    top.wait_text('by BYTES/s')  # each list keeps its own


def test_last_error_of_a_target_on_a_wide_screen(daemon):
    with screen.Terminal(command(daemon, '--interval', '0.2'), 160, 50) as terminal:
        terminal.key('t')
        terminal.wait(lambda model: re.search(r'LAST ERROR\n(.*\n)?broken .*  [a-z]+', model.text()))
        terminal.key('q')
        assert terminal.ended() == 0


def test_help_and_pause(top):
    top.key('?')
    top.wait_text('this help; again to leave it')
    assert 'ENDPOINT ' not in top.model.text()
    top.key('?')
    top.wait_text('ENDPOINT ')
    top.key('p')
    top.wait_text('PAUSED')
    assert 'p go on' in top.model.lines()[-1]
    still = top.model.text()
    for _ in range(20):
        top.read()
    assert top.model.text() == still
    top.key('p')
    top.wait(lambda model: 'PAUSED' not in model.text())
    top.wait(lambda model: model.text() != still.replace('PAUSED', ''))
    top.key('x')  # is nothing
    top.key('q')
    assert top.ended() == 0 and top.is_restored()


def test_resize(top):
    for columns, rows in ((200, 50), (40, 12), (20, 5), (7, 2), (1, 1), (80, 24)):
        top.resize(columns, rows)
        top.wait(lambda model: model.text().strip() and 'penstockd'.startswith(model.lines()[0].split(' ')[0])
                 if rows > 1 else model.text().strip())
    top.wait_text('? help')
    for text in HEAD:
        assert text in top.model.text()


def test_narrow_screen_has_whole_columns(daemon):
    """What does not fit is left out, never half a number."""
    with screen.Terminal(command(daemon, '--interval', '0.2'), 40, 24) as terminal:
        terminal.wait(lambda _: rate(terminal, 'accepted'))
        headings = next(line for line in terminal.model.lines() if line.startswith('ENDPOINT'))
        assert headings.split() == ['ENDPOINT', 'ACCEPTED/s', 'BYTES/s']
        terminal.key('q')
        assert terminal.ended() == 0


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_terminal_is_given_back(top, number):
    top.signal(number)
    assert top.ended() == -number
    assert top.is_restored()


def test_control_z_and_control_c(daemon):
    with screen.Terminal(command(daemon, '--interval', '0.2'), shell=True) as top:
        top.wait_text('quit')
        top.key('\x1a')
        top.stopped()
        assert top.is_restored()
        top.continue_()
        top.wait(lambda model: model.alternate and not model.cursor_shown)
        top.key('t')
        top.wait_text('targets: 2, by')
        top.key('\x03')
        assert top.ended() == signal.SIGINT and top.is_restored()


def test_colours_only_where_wanted(daemon, top):
    top.wait(lambda model: model.coloured)
    for arguments, environment in (((), {'NO_COLOR': '1'}), (('--no-color',), {'NO_COLOR': None})):
        with screen.Terminal(command(daemon, *arguments), **environment) as terminal:
            terminal.wait(lambda _: rate(terminal, 'accepted'))
            assert not terminal.model.coloured
            terminal.key('q')
            assert terminal.ended() == 0


def test_lines_where_there_is_no_terminal(daemon):
    done = subprocess.run(command(daemon, '--interval', '0.2', '--count', '3'), capture_output=True, text=True,
                          timeout=30, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 3 and '\x1b' not in done.stdout
    for line in lines:
        assert re.match(r'[0-9-]{10} [0-9:]{8} ready  accepted [0-9.,]+/s  refused ', line), line


def test_dumb_terminal_gets_lines(daemon):
    with screen.Terminal(command(daemon, '--interval', '0.2'), 200, 24, TERM='dumb') as terminal:
        terminal.wait(lambda model: 'accepted' in ''.join(map(''.join, model.main)))
        assert not terminal.model.alternate
        terminal.signal(signal.SIGINT)
        assert terminal.ended() == -signal.SIGINT


def test_once(daemon):
    done = subprocess.run(command(daemon, '--once', '--interval', '0.2'), capture_output=True, text=True, timeout=30,
                          check=True)
    assert '\x1b' not in done.stdout
    for text in (*HEAD, 'ENDPOINT', 'TARGET', 'WORKER', 'LAST ERROR'):
        assert text in done.stdout
    assert not any(line.endswith(' ') for line in done.stdout.splitlines())


def test_json(daemon):
    done = subprocess.run(command(daemon, '--json', '--count', '2', '--interval', '2'), capture_output=True, text=True,
                          timeout=30, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 2
    for line in lines:
        assert line['schema'] == 'penstock.top/v1' and line['state'] == 'ready'
        assert 1.9 < line['interval_s'] < 8
        assert line['rates']['accepted_per_s'] > 0
        latency = line['latencies']['ack']
        assert latency['since_start'] is False and 0 < latency['p50_s'] <= latency['p99_s'] < 10
        assert {row['name'] for row in line['endpoints']} == {'github', 'standard', 'stripe', 'zen', 'audit'}
        assert {row['name'] for row in line['targets']} == {'app', 'broken'}
        assert line['workers'][0]['cpu_percent'] >= 0
        assert line['endpoints'][2]['p99_s'] is None  # stripe: nothing came


def test_daemon_that_goes_and_comes_back(tmp_path):
    with lab.Daemon(tmp_path / 'd') as daemon:
        with screen.Terminal(command(daemon, '--interval', '0.2')) as terminal:
            terminal.wait_text('is ready')
            daemon.stop()
            terminal.wait_text('The daemon is not running')
            daemon.start()
            terminal.wait(lambda model: 'not running' not in model.text() and 'is ready' in model.text())
            terminal.key('q')
            assert terminal.ended() == 0


def test_no_daemon(tmp_path):
    done = subprocess.run([lab.BUILD / 'penstockctl', '--socket', tmp_path / 's', 'top'], capture_output=True, text=True,
                          timeout=30, check=False)
    assert done.returncode == 69 and 'not running' in done.stderr and not done.stdout
    with screen.Terminal([lab.BUILD / 'penstockctl', '--socket', tmp_path / 's', 'top']) as terminal:
        assert terminal.ended() == 69 and terminal.is_restored()


@pytest.mark.parametrize('arguments', [('--interval', '0'), ('--interval', 'x'), ('--interval', 'nan'),
                                       ('--interval', '1e9'), ('--count', '0'), ('--count', '-1')])
def test_wrong_usage(arguments):
    done = subprocess.run([lab.BUILD / 'penstockctl', 'top', *arguments], capture_output=True, text=True, timeout=30,
                          check=False)
    assert done.returncode == 64 and arguments[0] in done.stderr


def test_documentation_names_the_captures():
    text = (DOCS / 'operations.md').read_text()
    for name in ('top-80x24.txt', 'top-200x50.txt'):
        assert name in text and (pathlib.Path(DOCS) / name).exists()
