# SPDX-License-Identifier: GPL-2.0-or-later
"""What the documents tell a beginner to type.

Question answered: does docs/first-webhook.md work as it is written? Its commands and its configuration are taken from
the document itself; only places, names and ports of the host are others, and the test plays GitHub.
"""
import contextlib
import grp
import os
import re
import shlex
import subprocess

import lab

FIRST_WEBHOOK = (lab.ROOT / 'docs/first-webhook.md').read_text(encoding='utf-8')
PING = b'{"zen":"Keep it logically awesome.","hook_id":1}\n'


def blocks(heading, language):
    """The fenced blocks of a language in the section whose heading has these words."""
    section = next(s for s in FIRST_WEBHOOK.split('\n## ') if s.startswith(heading))
    return re.findall(rf'^```{language}\n(.*?)^```$', section, re.M | re.S)


class Reader:
    """Somebody who types what the document says, on a host whose folders are elsewhere."""

    def __init__(self, folder):
        self.folder, self.https, self.app = folder, lab.free_port(), lab.free_port()
        certificates = lab.certificates()
        self.here = {'/etc/penstock': str(folder / 'etc'), '/var/lib/penstock': str(folder / 'lib'),
                     '/run/penstock': str(folder / 'run'), '0.0.0.0:443': f'127.0.0.1:{self.https}',
                     '127.0.0.1:8080': f'127.0.0.1:{self.app}', '-g penstock': f'-g {grp.getgrgid(os.getgid()).gr_name}',
                     'group: penstock': f'group: {grp.getgrgid(os.getgid()).gr_name}'}
        # What install.md has made before, and the certificate that the reader is to bring.
        for name in ('etc', 'etc/tls', 'run'):
            (folder / name).mkdir(mode=0o750)
        for name, source in (('fullchain.pem', 'server.pem'), ('privkey.pem', 'server.key')):
            (folder / 'etc/tls' / name).symlink_to(certificates / source)
        self.environment = {**os.environ, 'PATH': f'{lab.BUILD}:{os.environ["PATH"]}',
                            'PENSTOCK_SOCKET': str(folder / 'run/control.sock')}

    def put(self, text):
        """The document's text with this host's names."""
        for theirs, ours in self.here.items():
            text = text.replace(theirs, ours)
        return text

    def type(self, command, code=0):
        done = subprocess.run(['bash', '-euo', 'pipefail', '-c', self.put(command)], cwd=self.folder, text=True,
                              env=self.environment, capture_output=True, timeout=60, check=False)
        assert done.returncode == code, f'{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}'
        return done.stdout + done.stderr

    @contextlib.contextmanager
    def leave_running(self, command):
        process = subprocess.Popen(shlex.split(self.put(command)), cwd=self.folder, env=self.environment,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(40)


def lines(block):
    """The commands of a block, without what is said of them."""
    return [re.sub(r'\s+# .*', '', line) for line in block.replace('\\\n', '').splitlines()]


def test_the_first_webhook_as_it_is_written(tmp_path):
    reader = Reader(tmp_path)
    configuration = tmp_path / 'etc/penstock.yaml'

    secret, = blocks('1.', 'sh')
    for command in lines(secret):
        reader.type(command)
    key = (tmp_path / 'etc/secrets/github').read_text().strip()
    assert re.fullmatch('[0-9a-f]{64}', key)

    yaml, = blocks('2.', 'yaml')
    configuration.write_text(reader.put(yaml))
    check, = blocks('2.', 'console')
    command, promised = check.removeprefix('$ ').split('\n', 1)
    assert reader.type(command) == reader.put(promised)
    configuration.write_text(reader.put(yaml).replace('scheme: github', 'scheme: githup'))
    exit_code = int(re.search(r'Or exit code (\d+) and a sentence', FIRST_WEBHOOK)[1])
    assert re.search(r'penstock\.yaml:\d+:\d+: error.*githup', reader.type(command, code=exit_code))
    configuration.write_text(reader.put(yaml))

    start, status = lines(blocks('3.', 'sh')[0])
    assert start.startswith('systemctl enable --now penstockd')
    from_a_clone = re.search(r'from a clone: build/bin/(penstockd -f )penstock.yaml', blocks('3.', 'sh')[0])[1]
    with reader.leave_running(f'{from_a_clone} /etc/penstock/penstock.yaml'):
        lab.wait_for((tmp_path / 'run/control.sock').exists)
        assert ' is ready' in reader.type(status)

        # 4. GitHub sends its ping.
        path = re.search(r'https://hooks\.example\.org(/\w+)', FIRST_WEBHOOK)[1]
        with contextlib.closing(lab.connect(reader.https)) as github:
            code, answer, _ = lab.post(github, path, lab.github(PING, secret=key, event='ping'), PING)
        assert code == 200, answer

        # 5. It is there; nobody takes it; a program for the time being does.
        listing, attempts = lines(blocks('5.', 'sh')[0])
        assert answer['id'] in reader.type(listing)
        attempts = attempts.replace('evt_…', answer['id'])
        lab.wait_for(lambda: 'connection refused' in reader.type(attempts).lower())
        sink, = lines(blocks('5.', 'sh')[1])
        with reader.leave_running(sink):
            lab.wait_for(lambda: 'delivered' in reader.type(attempts))
        assert re.search(r' 1 delivered, 0 outstanding, 0 dead', reader.type(status))

    # The red cross: what `verify` says of the body that GitHub shows, and of one that was changed on its way.
    verify, = blocks('When GitHub', 'sh')
    given = lab.github(PING, secret=key)['X-Hub-Signature-256']
    command = ' '.join(lines(verify)).replace('sha256=…', given)
    (tmp_path / 'request.json').write_bytes(PING)
    reader.type(command)
    (tmp_path / 'request.json').write_bytes(PING.rstrip(b'\n'))
    assert 'newline' in reader.type(command, code=1)


def test_configurations_in_documents_are_accepted(tmp_path):
    """Every YAML block of README.md and docs/ is one that the daemon takes, or a part that fits into one."""
    certificates = lab.certificates()
    for name in ('tls', 'secrets'):
        (tmp_path / name).mkdir(mode=0o700)
    for name, source in (('cert.pem', 'server.pem'), ('key.pem', 'server.key'), ('fullchain.pem', 'server.pem'),
                         ('privkey.pem', 'server.key')):
        (tmp_path / 'tls' / name).symlink_to(certificates / source)
    for name, text in (('github', lab.GITHUB_SECRET), ('app', lab.APP_SECRET)):
        (tmp_path / 'secrets' / name).touch(mode=0o600)
        (tmp_path / 'secrets' / name).write_text(text + '\n')
    whole = re.search(r'^```yaml\n(.*?)^```$', (lab.ROOT / 'README.md').read_text(encoding='utf-8'), re.M | re.S)[1]
    documents = [lab.ROOT / 'README.md', *sorted((lab.ROOT / 'docs').glob('*.md'))]
    found = 0
    for document in documents:
        for block in re.findall(r'^```yaml\n(.*?)^```$', document.read_text(encoding='utf-8'), re.M | re.S):
            found += 1
            (tmp_path / 'penstock.yaml').write_text(block if 'listeners:' in block else whole + block)
            done = subprocess.run([lab.BUILD / 'penstockd', '-t', '-f', tmp_path / 'penstock.yaml'], capture_output=True,
                                  text=True, timeout=30, check=False)
            assert done.returncode == 0, f'{document.name}: {done.stderr}\n{block}'
    assert found >= 3
