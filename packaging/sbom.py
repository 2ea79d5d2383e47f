# SPDX-License-Identifier: GPL-2.0-or-later
"""The bill of materials, as CycloneDX 1.6 and as SPDX 2.3: what is in the programs, from where, under which licence.

Read from third_party/sources.lock (pins and checksums), third_party/patches (what we changed), docs/dependencies.md
(licences) and the host's package database (the libraries that are not built here). A library in LIBRARIES without a row
in docs/dependencies.md stops the build, and so does a row of a pinned source that is not in LIBRARIES.
"""
import dataclasses
import json
import re
import subprocess
import time
import urllib.parse
import uuid

import release
from file_list import stop

# Name in docs/dependencies.md: the pinned source or the host's package, SPDX licence, and how it is linked.
LIBRARIES = {
    'wolfSSL': ('wolfssl', 'GPL-2.0-or-later', 'static'),
    'liburing': ('liburing', 'MIT', 'static'),
    'yyjson': ('yyjson', 'MIT', 'static'),
    'LMDB': ('liblmdb-dev', 'OLDAP-2.8', 'dynamic'),
    'xxHash': ('libxxhash-dev', 'BSD-2-Clause', 'static'),
    'libyaml': ('libyaml-dev', 'MIT', 'dynamic'),
}
LICENCE = 'GPL-2.0-or-later'
NAMESPACE = uuid.UUID('6f3b2f0e-6a57-5d0e-9a4b-0c8a3f4f7f11')


@dataclasses.dataclass(frozen=True)
class Library:
    name: str
    source: str
    version: str
    licence: str
    linked: str  # static or dynamic
    files: tuple  # (name, sha256) of what it was built from
    patches: tuple

    def purl(self):
        return f'pkg:deb/debian/{self.source}@{urllib.parse.quote(self.version, safe="")}'


def pinned():
    """Name: (version, files)."""
    found = {}
    for line in (release.ROOT / 'third_party/sources.lock').read_text(encoding='utf-8').splitlines():
        fields = line.split('#')[0].split()
        if fields:
            found.setdefault(fields[0], (fields[1], []))[1].append((fields[2], fields[3]))
    return found


def documented():
    """The rows of the table in docs/dependencies.md, by name."""
    text = (release.ROOT / 'docs/dependencies.md').read_text(encoding='utf-8')
    return {row[1]: row[2] for row in re.finditer(r'^\| ([A-Za-z]+) \| [^|]* \| ([^|]*) \|', text, re.MULTILINE)}


def host_version(package):
    done = subprocess.run(['dpkg-query', '-W', '-f', '${Version}', package], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 and done.stdout else 'unknown'


def libraries(form):
    pins, rows = pinned(), documented()
    missing = set(pins) - {source for source, _, _ in LIBRARIES.values()}
    if missing:
        stop(f'packaging/sbom.py: LIBRARIES has no row for {", ".join(sorted(missing))} of third_party/sources.lock')
    found = []
    for name, (source, licence, linked) in LIBRARIES.items():
        if name not in rows:
            stop(f'docs/dependencies.md: no row for {name}, which is in every package')
        version, files = pins.get(source) or (host_version(source), [])
        patches = sorted(path.name for path in (release.ROOT / 'third_party/patches' / source).glob('*.patch'))
        # See build_rpm.py: there every library but libc is in the programs.
        found.append(Library(name, source, version, licence, 'static' if form == 'rpm' else linked, tuple(files),
                             tuple(patches)))
    return found


def cyclonedx(plan, found):
    def component(library):
        properties = [{'name': 'penstock:linked', 'value': library.linked}]
        properties += [{'name': f'penstock:sha256:{name}', 'value': digest} for name, digest in library.files]
        one = {'type': 'library', 'bom-ref': library.purl(), 'name': library.name, 'version': library.version,
               'licenses': [{'license': {'id': library.licence}}], 'purl': library.purl(), 'properties': properties}
        if library.patches:
            folder = f'third_party/patches/{library.source}'
            one['pedigree'] = {'patches': [{'type': 'backport', 'diff': {'url': f'{folder}/{name}'}}
                                           for name in library.patches]}
        return one

    reference = f'penstock@{plan.version}'
    return {
        'bomFormat': 'CycloneDX', 'specVersion': '1.6', 'version': 1,
        'serialNumber': f'urn:uuid:{uuid.uuid5(NAMESPACE, plan.form + plan.version)}',
        'metadata': {
            'timestamp': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(plan.epoch)),
            'component': {'type': 'application', 'bom-ref': reference, 'name': 'penstock', 'version': plan.version,
                          'licenses': [{'license': {'id': LICENCE}}]},
        },
        'components': [component(library) for library in found],
        'dependencies': [{'ref': reference, 'dependsOn': [library.purl() for library in found]}] +
                        [{'ref': library.purl()} for library in found],
    }


def spdx(plan, found):
    def package(library):
        return {'SPDXID': f'SPDXRef-{library.name}', 'name': library.name, 'versionInfo': library.version,
                'downloadLocation': 'NOASSERTION', 'filesAnalyzed': False, 'licenseConcluded': library.licence,
                'licenseDeclared': library.licence, 'copyrightText': 'NOASSERTION',
                'externalRefs': [{'referenceCategory': 'PACKAGE-MANAGER', 'referenceType': 'purl',
                                  'referenceLocator': library.purl()}],
                'comment': ' '.join([f'linked: {library.linked}',
                                     *(f'{name} sha256:{digest}' for name, digest in library.files),
                                     *(f'patch: {name}' for name in library.patches)])}

    own = {'SPDXID': 'SPDXRef-penstock', 'name': 'penstock', 'versionInfo': plan.version,
           'downloadLocation': 'NOASSERTION', 'filesAnalyzed': False, 'licenseConcluded': LICENCE,
           'licenseDeclared': LICENCE, 'copyrightText': 'NOASSERTION', 'primaryPackagePurpose': 'APPLICATION'}
    return {
        'spdxVersion': 'SPDX-2.3', 'dataLicense': 'CC0-1.0', 'SPDXID': 'SPDXRef-DOCUMENT',
        'name': f'penstock-{plan.version}',
        'documentNamespace': f'urn:uuid:{uuid.uuid5(NAMESPACE, "spdx" + plan.form + plan.version)}',
        'creationInfo': {'created': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(plan.epoch)),
                         'creators': ['Organization: Penstock']},
        'packages': [own] + [package(library) for library in found],
        'relationships': [{'spdxElementId': 'SPDXRef-DOCUMENT', 'relationshipType': 'DESCRIBES',
                           'relatedSpdxElement': 'SPDXRef-penstock'}] +
                         [{'spdxElementId': 'SPDXRef-penstock', 'relatedSpdxElement': f'SPDXRef-{library.name}',
                           'relationshipType': 'STATIC_LINK' if library.linked == 'static' else 'DYNAMIC_LINK'}
                          for library in found],
    }


def documents(plan):
    """Name: text."""
    found = libraries(plan.form)
    return {'penstock.cdx.json': json.dumps(cyclonedx(plan, found), indent=1) + '\n',
            'penstock.spdx.json': json.dumps(spdx(plan, found), indent=1) + '\n'}
