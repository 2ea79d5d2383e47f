#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure Penstock at scale: does the cost of an event stay flat?

The daemon has all its threads on CPU 0, penstock-bench plays providers and target on CPU 1; TLS 1.3, bodies of 1 KiB,
GitHub's HMAC verified, answered after the commit. Four parts, each with a store of its own:

  backlog    events for a target that takes the connection and never answers, so that all of them stay: rate, CPU and
             disk per event with each tenth; then the full store and an empty one in turn; then restarts, killed and
             orderly, the last with the kernel's caches dropped: time to the first 2xx of /readyz, anonymous memory;
             then the target is back (without TLS): deliveries per second from the disk
  idle       idle TLS connections from several processes over several loopback addresses, as many workers as the limit
             of descriptors needs: how many the daemon says there are, its anonymous memory, the kernel's (of both ends,
             as both are here); then an event over some of them
  endpoints  1, 100, … endpoints, each with a target of its own, all of them one sink: start-up, rate and CPU per
             event, delivered and settled
  retention  events that are delivered, kept, and deleted when their time is over: CPU per event and reads from the
             disk, with nothing expiring yet and with as much expiring as comes in

Each part replaces its part of build/bench/scale.json. Everything runs on loopback. 10 million events take some 15 GB.
Root is needed for more than a few thousand connections (descriptors) and for dropping caches.
"""
import argparse
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import platform
import resource
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import time

import bench_common as common

OUT = common.ROOT / 'build' / 'bench'
STEPS = 10
# The kernel has some 28,000 ports for connections from one address to another, and looks long for one when half of
# them are taken.
CONNECTIONS_PER_ADDRESS = 10000
IDLE_LEVELS = (8000,)
# Connections of each process that are asked for an answer at the end.
SAMPLES = 20
ENDPOINT_LEVELS = (1, 100)
# What daemon and generator need beside their connections.
DESCRIPTORS_BESIDE = 500
CONNECTIONS = 256
RETENTION_S = 15

CONFIG = '''listeners:
  - address: 0.0.0.0:{port}
    tls: {{ certificate: certificates/server.pem, key: certificates/server.key }}
endpoints:
{endpoints}
targets:
{targets}
store: {{ path: {store}{store_more} }}
workers: {{ cpus: [{cpu}]{workers_more} }}
control: {{ socket: {name}.sock }}
metrics: {{ address: 127.0.0.1:{metrics} }}
'''
# Identities of a few seconds: the memory for a day's of 10 million events is 1 GiB, wanted or not.
ENDPOINT = '  - {{ name: {name}, path: {path}, scheme: github, secret_file: secrets/github, target: {target}, ' \
           'replay_window: 5s }}'
SILENT = "  - {{ name: silent, url: 'http://127.0.0.1:{port}/', timeout: 10m }}"
SINK = "  - {{ name: {name}, url: 'https://localhost:{port}/hooks', secret_file: secrets/app, " \
       'ca_file: certificates/ca.pem }}'


# ---- What /proc and the file system say -----------------------------------------------------------------------------

def fields(path):
    """Files of lines "name: number unit"."""
    found = {}
    for line in pathlib.Path(path).read_text(encoding='utf-8').splitlines():
        name, _, rest = line.partition(':')
        words = rest.split()
        if words and words[0].isdigit():
            found[name] = int(words[0])
    return found


def anonymous_bytes(pid):
    return 1024 * fields(f'/proc/{pid}/status')['RssAnon']


def kernel_bytes():
    """The kernel's small objects, and what lies in socket buffers."""
    pages = 0
    for line in pathlib.Path('/proc/net/sockstat').read_text(encoding='utf-8').splitlines():
        words = line.split()
        if words[0] == 'TCP:':
            pages = int(words[words.index('mem') + 1])
    return 1024 * fields('/proc/meminfo')['Slab'] + pages * resource.getpagesize()


def disk_bytes(folder):
    return sum(512 * file.stat().st_blocks for file in folder.rglob('*') if file.is_file())


def raise_descriptors(wanted):
    """For this process and those it starts. How many there are then."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, hard), max(wanted, hard)))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def drop_caches():
    """False when we may not."""
    os.sync()
    try:
        pathlib.Path('/proc/sys/vm/drop_caches').write_text('3\n', encoding='utf-8')
    except OSError:
        return False
    return True


# ---- Daemons --------------------------------------------------------------------------------------------------------

class Daemon:
    """penstockd with a configuration of ours; may be killed and started again on the same store."""

    def __init__(self, lab, name, endpoints, targets, store='', workers=''):
        self.lab, self.name, self.path = lab, name, '/hook'
        self.port, self.metrics_port = common.free_port(), common.free_port()
        self.store = lab.dir / name
        shutil.rmtree(self.store, ignore_errors=True)
        (lab.dir / f'{name}.yaml').write_text(CONFIG.format(
            port=self.port, metrics=self.metrics_port, endpoints='\n'.join(endpoints), targets='\n'.join(targets),
            store=name, name=name, store_more=store, workers_more=workers, cpu=common.SERVER_CPU))
        self.process = self.pid = None

    def start(self):
        """Milliseconds from exec to the first 2xx of /readyz."""
        begin = time.monotonic()
        self.process = self.lab.spawn(self.name, common.BIN / 'penstockd', '-f', self.lab.dir / f'{self.name}.yaml')
        self.pid = self.process.pid
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() - begin > 120:
                self.process.kill()
                raise SystemExit(f'bench-scale: {self.name} does not start, see {self.lab.dir}/{self.name}.log')
            time.sleep(0.002)
        return 1000 * (time.monotonic() - begin)

    def is_ready(self):
        connection = http.client.HTTPConnection('127.0.0.1', self.metrics_port, timeout=5)
        try:
            connection.request('GET', '/readyz')
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def status(self):
        command = [common.BIN / 'penstockctl', '--socket', self.lab.dir / f'{self.name}.sock', '--json', 'status']
        return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)

    def descriptors(self):
        return len(os.listdir(f'/proc/{self.pid}/fd'))

    def end(self, number):
        self.process.send_signal(number)
        self.process.send_signal(signal.SIGCONT)
        self.process.wait()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.end(signal.SIGTERM)

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.store, ignore_errors=True)


class Silent:
    """A target that the kernel accepts connections for, and nobody answers."""

    def __init__(self):
        self.socket = socket.create_server(('127.0.0.1', 0), backlog=1024)
        self.port = self.socket.getsockname()[1]


# ---- The parts ------------------------------------------------------------------------------------------------------

class Scale:
    def __init__(self, lab, options):
        self.lab, self.options = lab, options

    def load(self, daemon, mode, *arguments):
        """One run of the generator, and what the daemon read from and wrote to the disk meanwhile."""
        before = fields(f'/proc/{daemon.pid}/io')
        found = self.lab.generator(mode, daemon, '--connections', CONNECTIONS, *arguments)
        after = fields(f'/proc/{daemon.pid}/io')
        events = max(found['acked'], 1)
        return {
            'events': found['acked'], 'refused': found['refused_503'],
            'events_per_s': found['events_per_s'], 'cpu_us_per_event': found['cpu_us_per_event'],
            'p50_ms': found['ack']['p50_ms'], 'p99_ms': found['ack']['p99_ms'],
            'read_bytes_per_event': round((after['read_bytes'] - before['read_bytes']) / events),
            'written_bytes_per_event': round((after['write_bytes'] - before['write_bytes']) / events),
            'anonymous_bytes': found['daemon_anonymous_bytes'],
            'generator_cpu_share': found['bench_cpu_share'],
        }

    # Backlog and restarts

    def silent_daemon(self, name, silent):
        return Daemon(self.lab, name, [ENDPOINT.format(name='hook', path='/hook', target='silent')],
                      [SILENT.format(port=silent.port)])

    def fill(self, daemon):
        rows = []
        for step in range(STEPS):
            result = self.load(daemon, 'send', '--count', self.options.events // STEPS)
            result['backlog'] = (rows[-1]['backlog'] if rows else 0) + result['events']
            result['disk_bytes_per_event'] = round(disk_bytes(daemon.store) / result['backlog'])
            rows.append(result)
            self.lab.say(f'backlog of {result["backlog"]:,}: {result["events_per_s"]:,.0f} events/s, '
                         f'{result["cpu_us_per_event"]:.2f} us, {result["read_bytes_per_event"]} B read, '
                         f'{result["anonymous_bytes"] >> 20} MiB')
        return rows

    def full_and_empty(self, full, silent):
        """In turn, the other one stopped: what the machine does meanwhile is the same for both."""
        rows = []
        for number in range(self.options.rounds):
            with self.silent_daemon('empty', silent) as empty:
                empty.start()
                row = {}
                for name, daemon, other in (('empty', empty, full), ('full', full, empty))[::1 - 2 * (number % 2)]:
                    other.pause()
                    row[name] = self.load(daemon, 'send', '--warmup', 1, '--duration', self.options.seconds)
                    other.resume()
                row['ratio'] = round(row['full']['events_per_s'] / row['empty']['events_per_s'], 3)
                row['cpu_ratio'] = round(row['full']['cpu_us_per_event'] / row['empty']['cpu_us_per_event'], 3)
            rows.append(row)
            self.lab.say(f'round {number + 1}: full {row["full"]["events_per_s"]:,.0f} events/s, empty '
                         f'{row["empty"]["events_per_s"]:,.0f}, ratio {row["ratio"]}')
        return rows

    def kill_under_load(self, daemon):
        command = self.lab.generator_command('send', daemon, '--connections', CONNECTIONS, '--duration', 30)
        sender = subprocess.Popen(command)
        time.sleep(2)
        daemon.end(signal.SIGKILL)
        sender.kill()
        sender.wait()

    def restarts(self, daemon):
        rows = []
        for end, cold in (('killed', False), ('orderly', False), ('killed', True), ('orderly', True)):
            before = anonymous_bytes(daemon.pid)
            if end == 'killed':
                self.kill_under_load(daemon)
            else:
                daemon.end(signal.SIGTERM)
            if cold and not drop_caches():
                daemon.start()
                continue
            ready_ms = daemon.start()
            time.sleep(2)
            after = anonymous_bytes(daemon.pid)
            rows.append({'end': end, 'caches': 'dropped' if cold else 'warm', 'ready_ms': round(ready_ms, 1),
                         'anonymous_bytes_before': before, 'anonymous_bytes_after': after,
                         'after': self.load(daemon, 'send', '--duration', self.options.seconds)})
            self.lab.say(f'restart, {end}, caches {rows[-1]["caches"]}: ready after {ready_ms:.0f} ms, '
                         f'{before >> 20} MiB before, {after >> 20} MiB after')
        return rows

    def drain(self, daemon, silent):
        """The target is back, and takes what has piled up."""
        silent.socket.close()
        command = [common.BIN / 'penstock-bench', 'sink', '--listen', f'127.0.0.1:{silent.port}', '--cpu',
                   common.GENERATOR_CPU, '--quiet']
        with subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL) as sink:
            while self.metric(daemon, 'penstock_deliveries_delivered_total') == 0:
                time.sleep(0.1)
            before = self.spent(daemon)
            time.sleep(self.options.seconds)
            after = self.spent(daemon)
            sink.terminate()
        seconds, deliveries, cpu_us, read_bytes = (b - a for a, b in zip(before, after))
        deliveries = max(deliveries, 1)
        result = {'deliveries_per_s': round(deliveries / seconds, 1), 'cpu_us': round(cpu_us / deliveries, 3),
                  'read_bytes': round(read_bytes / deliveries), 'anonymous_bytes': anonymous_bytes(daemon.pid)}
        self.lab.say(f'the target is back: {result["deliveries_per_s"]:,.0f} deliveries/s, {result["cpu_us"]:.2f} us')
        return result

    def spent(self, daemon):
        tasks = pathlib.Path(f'/proc/{daemon.pid}/task').iterdir()
        cpu_ns = sum(int((task / 'schedstat').read_text(encoding='utf-8').split()[0]) for task in tasks)
        return (time.monotonic(), self.metric(daemon, 'penstock_deliveries_delivered_total'), cpu_ns / 1000,
                fields(f'/proc/{daemon.pid}/io')['read_bytes'])

    def backlog(self):
        silent = Silent()
        with self.silent_daemon('full', silent) as daemon:
            start_ms = daemon.start()
            steps = self.fill(daemon)
            rounds = self.full_and_empty(daemon, silent)
            restarts = self.restarts(daemon)
            drain = self.drain(daemon, silent)
        return {'events': steps[-1]['backlog'], 'start_empty_ms': round(start_ms, 1), 'steps': steps, 'rounds': rounds,
                'ratio': statistics.median(r['ratio'] for r in rounds), 'restarts': restarts,
                'drain': drain}

    # Idle connections

    def room(self, wanted):
        """As many connections as the daemon can hold; each worker has a table that is as large as the limit of
        descriptors, where the kernel has such tables (decision 13). How many, and with how many workers."""
        limit = raise_descriptors(wanted + DESCRIPTORS_BESIDE)
        with self.idle_daemon('probe', 1, 1000) as daemon:
            daemon.start()
            has_table = 'file_table=0' not in daemon.status()['io_features']
        if has_table or wanted <= limit - DESCRIPTORS_BESIDE:
            return wanted, -(-wanted // limit), limit
        most = limit - DESCRIPTORS_BESIDE
        self.lab.say(f'{most:,} idle connections instead of {wanted:,}: the limit of descriptors cannot be raised')
        return most, 1, limit

    def idle_daemon(self, name, workers, connections):
        # The kernel does not spread them evenly, and one in 16 is kept for refusals (RECEIVE_SHED_SHARE).
        each = -(-connections // workers)
        return Daemon(self.lab, name, [ENDPOINT.format(name='hook', path='/hook', target='sink')],
                      [SINK.format(name='sink', port=self.lab.sink_port)],
                      workers=f', per_cpu: {workers}, connections: {each + each // 8 + 1000}')

    def sample(self, daemon):
        """A connection that stays idle until an event is sent over it."""
        trust = ssl.create_default_context(cafile=self.lab.certificates / 'ca.pem')
        connection = http.client.HTTPSConnection('localhost', daemon.port, context=trust, timeout=20)
        connection.connect()
        return connection

    def answered(self, connection, number):
        body = b'{"sample":%d}' % number
        mac = hmac.new(self.lab.github_secret.encode(), body, hashlib.sha256).hexdigest()
        try:
            connection.request('POST', '/hook', body, {'X-Hub-Signature-256': f'sha256={mac}'})
            return connection.getresponse().status == 200
        except OSError:
            return False

    def idle_row(self, daemon, begin, before, kernel_before):
        held = max(self.metric(daemon, 'penstock_connections'), 1)
        row = {'connections': held, 'seconds': round(time.monotonic() - begin, 1),
               'anonymous_bytes': anonymous_bytes(daemon.pid)}
        row['bytes_per_connection'] = round((row['anonymous_bytes'] - before) / held)
        row['kernel_bytes_per_connection'] = round((kernel_bytes() - kernel_before) / held)
        self.lab.say(f'{held:,} idle connections: {row["bytes_per_connection"] / 1024:.1f} KiB each')
        return row

    def idle(self):
        """One process after the other opens its share, and keeps it."""
        most, workers, limit = self.room(self.options.connections)
        share = min(most, self.options.share or limit - DESCRIPTORS_BESIDE)
        shares = [min(share, most - at) for at in range(0, most, share)]
        addresses = [f'127.0.0.{i + 1}' for i in range(-(-most // CONNECTIONS_PER_ADDRESS))]
        rows, samples = [], []
        with self.idle_daemon('idle', workers, most) as daemon, contextlib.ExitStack() as stack:
            daemon.start()
            begin, before, kernel_before = time.monotonic(), anonymous_bytes(daemon.pid), kernel_bytes()
            for number, count in enumerate(shares):
                samples += [self.sample(daemon) for _ in range(min(SAMPLES, count))]
                levels = [n for n in IDLE_LEVELS if number == 0 and n < count] + [count - min(SAMPLES, count) or 1]
                hold = self.lab.generator_command('hold', daemon, '--address', ','.join(addresses), '--at',
                                                  ','.join(map(str, levels)), '--drain', 70, '--stay', 300)
                process = subprocess.Popen(hold, stdout=subprocess.PIPE, text=True)
                stack.callback(process.wait)
                stack.callback(process.terminate)
                for _ in levels:
                    process.stdout.readline()
                    rows.append(self.idle_row(daemon, begin, before, kernel_before))
            answered = sum(self.answered(connection, i) for i, connection in enumerate(samples))
            self.lab.say(f'an event over {len(samples)} of them: {answered} answered')
            evicted, descriptors = self.metric(daemon, 'penstock_connections_evicted_total'), daemon.descriptors()
            for connection in samples:
                connection.close()
        return {'wanted': self.options.connections, 'workers': workers, 'limit': limit, 'processes': len(shares),
                'addresses': len(addresses), 'levels': rows, 'sampled': len(samples), 'answered': answered,
                'evicted': evicted, 'descriptors': descriptors}

    # Endpoints and targets

    def endpoints(self):
        rows = []
        for count in [n for n in ENDPOINT_LEVELS if n < self.options.endpoints] + [self.options.endpoints]:
            names = [str(i) for i in range(count)] if count > 1 else ['']
            daemon = Daemon(self.lab, f'endpoints-{count}',
                            [ENDPOINT.format(name=f'e{i}', path=f'/hook{i}', target=f't{i}') for i in names],
                            [SINK.format(name=f't{i}', port=self.lab.sink_port) for i in names])
            with daemon:
                start_ms = daemon.start()
                anonymous = anonymous_bytes(daemon.pid)
                daemon.end(signal.SIGTERM)
                again_ms = daemon.start()
                result = self.load(daemon, 'run', '--warmup', self.options.seconds / 2, '--duration',
                                   self.options.seconds, '--spread', count)
            rows.append({'endpoints': count, 'start_ms': round(start_ms, 1), 'restart_ms': round(again_ms, 1),
                         'anonymous_bytes_at_start': anonymous, **result})
            self.lab.say(f'{count:,} endpoints: start {start_ms:.0f} ms, {result["events_per_s"]:,.0f} events/s, '
                         f'{result["cpu_us_per_event"]:.2f} us')
        return rows

    # Retention

    def retention(self):
        rows = []
        for name, retention_s in (('kept', 3600), ('expiring', RETENTION_S)):
            daemon = Daemon(self.lab, name, [ENDPOINT.format(name='hook', path='/hook', target='sink')],
                            [SINK.format(name='sink', port=self.lab.sink_port)], store=f', retention: {retention_s}s')
            with daemon:
                daemon.start()
                deadline = time.monotonic() + 2 * RETENTION_S
                while time.monotonic() < deadline:
                    self.load(daemon, 'run', '--duration', RETENTION_S / 3)
                result = self.load(daemon, 'run', '--duration', self.options.seconds)
                rows.append({'retention_s': retention_s, **result, 'disk_bytes': disk_bytes(daemon.store),
                             'expired': self.metric(daemon, 'penstock_events_expired_total')})
            self.lab.say(f'retention of {retention_s} s: {result["events_per_s"]:,.0f} events/s, '
                         f'{result["cpu_us_per_event"]:.2f} us, {result["read_bytes_per_event"]} B read per event, '
                         f'{rows[-1]["expired"]:,} expired')
        return rows

    @staticmethod
    def metric(daemon, name):
        connection = http.client.HTTPConnection('127.0.0.1', daemon.metrics_port, timeout=5)
        connection.request('GET', '/metrics')
        text = connection.getresponse().read().decode()
        connection.close()
        return sum(int(float(line.split()[-1])) for line in text.splitlines()
                   if line.partition(' ')[0].partition('{')[0] == name)


# ---- What comes of it -----------------------------------------------------------------------------------------------

def mib(size):
    return f'{size / (1 << 20):.0f}'


def print_table(title, columns, rows):
    lines = [list(columns)] + [list(map(str, row)) for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    print(f'\n{title}')
    for line in lines:
        print('  ' + '  '.join(cell.rjust(width) for cell, width in zip(line, widths)))


def print_backlog(part):
    print_table('backlog: events for a target that never answers',
                ('backlog', 'events/s', 'CPU us', 'p99 ms', 'read B', 'written B', 'disk B', 'MiB'),
                [(f'{r["backlog"]:,}', f'{r["events_per_s"]:,.0f}', f'{r["cpu_us_per_event"]:.2f}',
                  f'{r["p99_ms"]:.1f}', r['read_bytes_per_event'], r['written_bytes_per_event'], r['disk_bytes_per_event'],
                  mib(r['anonymous_bytes'])) for r in part['steps']])
    print_table('in turn: the store with the backlog, and an empty one',
                ('full events/s', 'empty events/s', 'ratio', 'full CPU us', 'empty CPU us', 'ratio'),
                [(f'{r["full"]["events_per_s"]:,.0f}', f'{r["empty"]["events_per_s"]:,.0f}', r['ratio'],
                  f'{r["full"]["cpu_us_per_event"]:.2f}', f'{r["empty"]["cpu_us_per_event"]:.2f}', r['cpu_ratio'])
                 for r in part['rounds']])
    print_table('restart with the backlog',
                ('end', 'caches', 'ready ms', 'MiB before', 'MiB after', 'then events/s', 'CPU us', 'read B'),
                [(r['end'], r['caches'], f'{r["ready_ms"]:.0f}', mib(r['anonymous_bytes_before']),
                  mib(r['anonymous_bytes_after']), f'{r["after"]["events_per_s"]:,.0f}',
                  f'{r["after"]["cpu_us_per_event"]:.2f}', r['after']['read_bytes_per_event'])
                 for r in part['restarts']])
    drain = part['drain']
    print_table('then the target is back', ('deliveries/s', 'CPU us', 'read B', 'MiB'),
                [(f'{drain["deliveries_per_s"]:,.0f}', f'{drain["cpu_us"]:.2f}', drain['read_bytes'],
                  mib(drain['anonymous_bytes']))])


def print_idle(part):
    print_table('idle TLS connections', ('held', 'KiB each', 'MiB', 'kernel KiB each, both ends', 'after s'),
                [(f'{r["connections"]:,}', f'{r["bytes_per_connection"] / 1024:.1f}', mib(r['anonymous_bytes']),
                  f'{r["kernel_bytes_per_connection"] / 1024:.1f}', r['seconds']) for r in part['levels']])
    print(f'  {part["workers"]} workers; {part["descriptors"]:,} descriptors in use, the limit is {part["limit"]:,}; '
          f'{part["evicted"]} connections evicted; {part["answered"]} of {part["sampled"]} answered an event')


def print_result(result):
    if 'backlog' in result:
        print_backlog(result['backlog'])
    if 'idle' in result:
        print_idle(result['idle'])
    if 'endpoints' in result:
        print_table('endpoints, each with a target of its own',
                    ('endpoints', 'start ms', 'restart ms', 'MiB', 'events/s', 'CPU us', 'p99 ms'),
                    [(f'{r["endpoints"]:,}', f'{r["start_ms"]:.0f}', f'{r["restart_ms"]:.0f}',
                      mib(r['anonymous_bytes_at_start']), f'{r["events_per_s"]:,.0f}', f'{r["cpu_us_per_event"]:.2f}',
                      f'{r["p99_ms"]:.1f}') for r in result['endpoints']])
    if 'retention' in result:
        print_table('delivered events, kept and expiring',
                    ('retention s', 'events/s', 'CPU us', 'p99 ms', 'read B', 'written B', 'expired'),
                    [(r['retention_s'], f'{r["events_per_s"]:,.0f}', f'{r["cpu_us_per_event"]:.2f}',
                      f'{r["p99_ms"]:.1f}', r['read_bytes_per_event'], r['written_bytes_per_event'],
                      f'{r["expired"]:,}') for r in result['retention']])


PARTS = ('backlog', 'idle', 'endpoints', 'retention')


def options_parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--events', type=int, default=10_000_000, help='of the backlog (default 10000000)')
    parser.add_argument('--connections', type=int, default=100_000, help='idle ones (default 100000)')
    parser.add_argument('--share', type=int, help='idle ones of each process (default: what the limit allows)')
    parser.add_argument('--endpoints', type=int, default=10_000, help='(default 10000)')
    parser.add_argument('--rounds', type=int, default=3, help='of a full and an empty store (default 3)')
    parser.add_argument('--seconds', type=float, default=8, help='each measurement (default 8)')
    parser.add_argument('--only', nargs='+', choices=PARTS, default=PARTS, help='these parts (default: all)')
    parser.add_argument('--out', type=pathlib.Path, default=OUT / 'scale.json')
    return parser.parse_args()


def main():
    options = options_parse()
    scale = Scale(common.Lab(options.out.parent / 'lab-scale', 'bench-scale'), options)
    result = {}
    if options.out.exists():
        result = json.loads(options.out.read_text())
    result |= {'schema': 'penstock.bench-scale/v1', 'kernel': platform.release(), 'cpu': common.cpu_model()}
    for part in options.only:
        result[part] = getattr(scale, part)()
        options.out.write_text(json.dumps(result, indent=1) + '\n')
    print_result({part: result[part] for part in options.only})
    print(f'written: {options.out}')


if __name__ == '__main__':
    main()
