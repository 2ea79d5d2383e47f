# SPDX-License-Identifier: GPL-2.0-or-later
"""host — a fresh root with a package manager, a systemctl that only writes down what it is told, and a daemon in it.

The root is an overlay over what make_root.sh has made, so each format begins with nothing. Needs root and a mount
namespace of its own (tests/packages/run.sh).
"""
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import time

import lab

BASE = lab.ROOT / 'build/test/root'
NOW = lab.ROOT / 'build/packages'
NEXT = lab.ROOT / 'build/packages/next'
STORE = '/var/lib/penstock'

SYSTEMCTL = '''#!/bin/sh
# systemctl of the test: nothing runs under systemd here.
echo "$*" >>/var/log/systemctl
case "$*" in
*is-active*) exit 3 ;;
esac
exit 0
'''


def package(folder, name, form):
    """The path of a package."""
    found = [path for path in sorted(folder.glob(f'{name}[-_][0-9]*.{form}'))]
    assert len(found) == 1, f'{folder} has {len(found)} of {name}.{form}: make packages'
    return found[0]


class Host:
    """One format's root."""

    def __init__(self, form, folder):
        self.form = form
        self.root = folder / 'root'
        self.daemon = None
        self.port = lab.free_port()
        for name in ('root', 'upper', 'work'):
            (folder / name).mkdir()
        subprocess.run(['mount', '-t', 'overlay', 'overlay', '-o',
                        f'lowerdir={BASE},upperdir={folder}/upper,workdir={folder}/work', self.root], check=True)
        subprocess.run(['mount', '-t', 'proc', 'proc', self.root / 'proc'], check=True)
        self.path('/run/systemd/system').mkdir(parents=True)
        self.path('/usr/bin/systemctl').write_text(SYSTEMCTL)
        self.path('/usr/bin/systemctl').chmod(0o755)
        if form == 'rpm':
            # It has to bring what Debian's packages depend on, and Debian's tools for users are not there either.
            self.run('dpkg', '--purge', '--force-depends', 'liblmdb0', 'libyaml-0-2', 'systemd-standalone-sysusers')
            self.path('/var/lib/rpm').mkdir(parents=True, exist_ok=True)
            self.rpm('--initdb')

    def close(self):
        if self.daemon is not None and self.daemon.poll() is None:
            self.daemon.kill()
            self.daemon.wait()
        subprocess.run(['umount', self.root / 'proc'], check=False)
        subprocess.run(['umount', self.root], check=False)
        shutil.rmtree(self.root.parent / 'upper', ignore_errors=True)  # a store has some 100 MiB allocated

    def path(self, name):
        return self.root / name.lstrip('/')

    def run(self, *command, code=0, user=None, **more):
        """A command inside; `user` is who runs it."""
        who = [f'--userspec={user}:{user}'] if user else []
        environment = {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'DEBIAN_FRONTEND': 'noninteractive', 'LC_ALL': 'C.UTF-8'}
        done = subprocess.run(['chroot', *who, self.root, *map(str, command)], capture_output=True, text=True,
                              check=False, timeout=120, env=environment, **more)
        assert done.returncode == code, f'{command}: exit {done.returncode}\n{done.stdout}{done.stderr}'
        return done.stdout

    # ---- Packages ----

    def rpm(self, *arguments):
        done = subprocess.run(['rpm', '--root', self.root, '--dbpath', '/var/lib/rpm', *map(str, arguments)],
                              capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, f'rpm {arguments}: {done.stdout}{done.stderr}'
        return done.stdout

    def install(self, folder, *names):
        paths = [package(folder, name, self.form) for name in names]
        if self.form == 'rpm':
            # This root's libc, shell and shadow-utils come from dpkg; test_rpm_needs_only_the_base looks at the needs.
            self.rpm('--upgrade', '--nodeps', *paths)
            return
        for path in paths:
            shutil.copy(path, self.path('/tmp'))
        self.run('dpkg', '-i', *[f'/tmp/{path.name}' for path in paths])

    def remove(self, *names):
        if self.form == 'rpm':
            self.rpm('--erase', *names)
        else:
            self.run('dpkg', '--remove', *names)

    def installed_version(self):
        if self.form == 'rpm':
            return self.rpm('-q', '--qf', '%{VERSION}', 'penstock')
        return self.run('dpkg-query', '-W', '-f', '${Version}', 'penstock')

    def told(self):
        """What systemctl was told since the last time."""
        log = self.path('/var/log/systemctl')
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    # ---- The daemon ----

    def configure(self, target_url):
        """As the comments of the installed file say: secrets are root's, readable by the daemon's group."""
        for name, text in (('github', lab.GITHUB_SECRET), ('app', lab.APP_SECRET)):
            secret = self.path(f'/etc/penstock/secrets/{name}')
            secret.write_text(text + '\n')
            shutil.chown(secret, 0, self.path('/etc/penstock/secrets').stat().st_gid)
            secret.chmod(0o640)
        self.path('/etc/penstock/penstock.yaml').write_text(f'''
listeners: [{{ address: 127.0.0.1:{self.port}, tls: off }}]
endpoints: [{{ name: github, path: /github, scheme: github, secret_file: secrets/github, target: app }}]
targets: [{{ name: app, url: '{target_url}', secret_file: secrets/app }}]
store: {{ path: {STORE}, quota: 64MiB }}
workers: {{ cpus: [0] }}
control: {{ socket: /run/penstock/control.sock, group: penstock }}
''')

    def start(self):
        """What the unit does: the folders are the user's, and the program runs as it."""
        uid, gid = self.ids()
        for name, mode in ((STORE, 0o700), ('/run/penstock', 0o755)):
            self.path(name).mkdir(mode=mode, exist_ok=True)
            os.chown(self.path(name), uid, gid)
        with open(self.path('/var/log/penstockd'), 'a', encoding='utf-8') as log:
            self.daemon = subprocess.Popen(['chroot', '--userspec=penstock:penstock', self.root, '/usr/sbin/penstockd'],
                                           stdout=log, stderr=log)

        def ready():
            assert self.daemon.poll() is None, self.path('/var/log/penstockd').read_text()
            with contextlib.suppress(AssertionError):
                return json.loads(self.ctl('--json', 'status'))['state'] == 'ready'
            return False
        lab.wait_for(ready)

    def stop(self):
        self.daemon.terminate()
        assert self.daemon.wait(40) == 0, self.path('/var/log/penstockd').read_text()

    def ctl(self, *arguments):
        return self.run('penstockctl', *arguments)

    def ids(self):
        """User and group of the daemon."""
        found = re.search(r'^penstock:[^:]*:(\d+):(\d+):', self.path('/etc/passwd').read_text(), re.MULTILINE)
        assert found, 'there is no user penstock'
        return int(found[1]), int(found[2])

    def listening(self):
        """The TCP addresses that the daemon listens on; each worker has a socket of its own."""
        own = set()
        for entry in pathlib.Path(f'/proc/{self.daemon.pid}/fd').iterdir():
            with contextlib.suppress(OSError):
                own.add(os.readlink(entry))
        lines = [line.split() for name in ('tcp', 'tcp6')
                 for line in pathlib.Path(f'/proc/net/{name}').read_text().splitlines()[1:]]
        return {fields[1] for fields in lines if fields[3] == '0A' and f'socket:[{fields[9]}]' in own}

    def send(self, value):
        """One signed event; its id."""
        body = json.dumps({'value': value, 'at': time.time()}).encode()
        connection = lab.http.client.HTTPConnection('127.0.0.1', self.port, timeout=20)
        with contextlib.closing(connection):
            connection.request('POST', '/github', body, {'Content-Type': 'application/json', **lab.github(body)})
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == 200, text
            return json.loads(text)['id']
