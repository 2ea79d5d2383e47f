/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_examples — for every code: what draws it, the same put right, and how to get from one to
 * the other. A test parses the examples that are YAML; those that begin with "$ " are what is
 * seen on the host.
 */
#include "config/config_codes.h"

#include <string.h>

#include "base/check.h"
#include "config/config.h"

#define TLS "    tls: { certificate: tls/cert.pem, key: tls/key.pem }\n"
#define ENDPOINT(line) \
	"endpoints:\n" \
	"  - name: github\n" line \
	"    path: /github\n" \
	"    scheme: github\n" \
	"    secret_file: secrets/github\n" \
	"    target: app\n"
#define APP "  - name: app\n"
#define APP_URL "    url: https://app.internal/hooks\n"
#define LISTEN "listeners:\n  - address: 0.0.0.0:443\n"

static const struct config_example examples[] = {
	{ PS_FILE_UNREADABLE, "$ penstockctl config check /etc/penstock/penstok.yaml\n",
		"$ penstockctl config check /etc/penstock/penstock.yaml\n",
		"Correct the path, or let the daemon's user read the file: chgrp penstock FILE; "
		"chmod 0640 FILE." },
	{ PS_UNKNOWN_KEY, "log: { levle: info }\n", "log: { level: info }\n",
		"Write the key as the hint says, or move it to the section it belongs to." },
	{ PS_NOT_TEXT, "log:\n  level: |\n    info\n", "log:\n  level: info\n",
		"Write each value on one line of visible text, and save the file as UTF-8." },
	{ PS_SYNTAX, "log:\n  level: info\n   x: y\n", "log:\n  level: info\n",
		"Give keys of one section the same indentation, close quotes and brackets, and put "
		"quotes around text that holds ': ' or ' #' or begins with one of []{}*&!|>%@`." },
	{ PS_TAB, "log:\n\tlevel: info\n", "log:\n  level: info\n",
		"Replace the tab by spaces; most editors can do so while saving." },
	{ PS_YAML_FEATURE, "log: { level: !!str info }\n", "log: { level: info }\n",
		"Write the value out where it is needed; put quotes around text that begins with "
		"'*', '&' or '!'." },
	{ PS_TOO_LARGE, "log: [[[[[[[[[[[[[[[[[[info]]]]]]]]]]]]]]]]]]\n", "log: { level: info }\n",
		"Split what is generated over several hosts, or write to the project: the bounds "
		"are far beyond what was thought of." },
	{ PS_DUPLICATE_KEY, "log: { level: info, level: debug }\n", "log: { level: debug }\n",
		"Keep one of them." },
	{ PS_MISSING_KEY, "store: { retention: 3d }\n",
		"store: { path: /var/lib/penstock, retention: 3d }\n", "Add the key." },
	{ PS_WRONG_KIND, "targets: { name: app, url: https://app.internal/hooks }\n",
		"targets: [{ name: app, url: https://app.internal/hooks }]\n",
		"Write what is expected: a list begins its elements with '- ', a section has keys "
		"with values." },
	{ PS_NO_VALUE, "log:\n  level:\n", "log:\n  level: info\n",
		"Write a value, or take the key out to get its default." },
	{ PS_EMPTY_LIST, "workers: { cpus: [] }\n", "workers: { cpus: auto }\n",
		"Write an element, or take the key out." },
	{ PS_SECRET_IN_FILE, "targets:\n" APP APP_URL "    secret: whsec_c2VjcmV0\n",
		"targets:\n" APP APP_URL "    secret_file: secrets/app\n",
		"Put the secret alone into a file of its own, chmod 0600 it, name it with "
		"secret_file, and replace the secret if others have seen it." },
	{ PS_TOO_MANY, "workers: { cpus: 0-1023 }\n", "workers: { cpus: auto }\n",
		"Take elements out until the number in the message is kept." },

	{ PS_NAME,
		ENDPOINT("") "  - name: Git Hub\n    path: /b\n    scheme: github\n"
			     "    secret_file: secrets/b\n    target: app\n",
		ENDPOINT("") "  - name: git-hub\n    path: /b\n    scheme: github\n"
			     "    secret_file: secrets/b\n    target: app\n",
		"Write it in lower case, with '-' for spaces." },
	{ PS_NUMBER, "targets:\n" APP APP_URL "    connections: many\n",
		"targets:\n" APP APP_URL "    connections: 64\n", "Write digits only." },
	{ PS_UNIT_MISSING, "drain_timeout: 30\n", "drain_timeout: 30s\n",
		"Write the unit directly behind the number." },
	{ PS_UNIT, "drain_timeout: 30 seconds\n", "drain_timeout: 30s\n",
		"Write a whole number and one of the units, without a space between." },
	{ PS_RANGE, "drain_timeout: 2h\n", "drain_timeout: 1h\n",
		"Choose a value inside the range that the message names." },
	{ PS_CHOICE, "log: { level: warn }\n", "log: { level: warning }\n",
		"Write one of the words that the message lists." },
	{ PS_SWITCH, "metrics: disabled\n", "metrics: off\n", "Write on or off." },
	{ PS_ADDRESS, "metrics: { address: localhost:9464 }\n",
		"metrics: { address: 127.0.0.1:9464 }\n",
		"Write a numeric address and a port; IPv6 in brackets and quotes." },
	{ PS_URL, "targets:\n" APP "    url: app.internal/hooks\n", "targets:\n" APP APP_URL,
		"Write https://host/path; secrets do not go into it." },
	{ PS_PATH,
		"endpoints: [{ name: a, path: github, scheme: github, secret_file: s, target: app "
		"}]\n",
		"endpoints: [{ name: a, path: /github, scheme: github, secret_file: s, target: app "
		"}]\n",
		"Begin it with '/', and leave the query and the host out." },
	{ PS_HOST, ENDPOINT("    host: https://hooks.example.org\n"),
		ENDPOINT("    host: hooks.example.org\n"),
		"Write the bare name: no https://, no port, no path." },
	{ PS_CPUS, "workers: { cpus: all }\n", "workers: { cpus: auto }\n",
		"Write auto, a number, a range 0-3, or a list [0, 2, 4-7]." },
	{ PS_FILE_NAME, "store: { path: ~/penstock }\n", "store: { path: /var/lib/penstock }\n",
		"Write the whole path, or one relative to the configuration file's folder." },

	{ PS_DUPLICATE_NAME,
		ENDPOINT(
			"") "  - { name: github, path: /b, scheme: github, secret_file: s, target: "
			    "app }\n",
		ENDPOINT("") "  - { name: b, path: /b, scheme: github, secret_file: s, target: app "
			     "}\n",
		"Rename one of them. Records of the past keep the old name." },
	{ PS_DUPLICATE_ROUTE,
		ENDPOINT(
			"") "  - { name: b, path: /github, scheme: github, secret_file: s, target: "
			    "app }\n",
		ENDPOINT("") "  - { name: b, path: /b, scheme: github, secret_file: s, target: app "
			     "}\n",
		"Change one path, and the URL that the provider has." },
	{ PS_DUPLICATE_ADDRESS, LISTEN TLS "  - address: 0.0.0.0:443\n" TLS,
		LISTEN TLS "  - address: 0.0.0.0:8443\n" TLS,
		"Take one of them out, or give it another port. Several certificates go into "
		"'certificates' of one listener." },
	{ PS_UNKNOWN_TARGET,
		"endpoints: [{ name: a, path: /a, scheme: github, secret_file: s, target: ap }]\n",
		"endpoints: [{ name: a, path: /a, scheme: github, secret_file: s, target: app }]\n",
		"Write the target's name as it stands under 'targets', or add the target." },
	{ PS_UNKNOWN_SCHEME,
		"endpoints: [{ name: a, path: /a, scheme: gitub, secret_file: s, target: app }]\n",
		"endpoints: [{ name: a, path: /a, scheme: github, secret_file: s, target: app }]\n",
		"Write one of the schemes that the message lists." },
	{ PS_DUPLICATE_ELEMENT, "control: { group: penstock, admins: [alice, alice] }\n",
		"control: { group: penstock, admins: [alice] }\n", "Take the second one out." },
	{ PS_CONTRADICTION, "targets:\n" APP APP_URL "    retry: { base: 2m, max: 1m }\n",
		"targets:\n" APP APP_URL "    retry: { base: 1m, max: 2m }\n",
		"Change one of the two keys that the message names." },
	{ PS_NEEDS_OTHER_KEY, "targets:\n" APP APP_URL "    client_certificate: tls/client.pem\n",
		"targets:\n" APP APP_URL "    client_certificate: tls/client.pem\n"
		"    client_key: tls/client.key\n",
		"Add the key that the message names, or take both out." },

	{ PS_SECRET_UNREADABLE, "$ ls secrets/github\nls: cannot access 'secrets/github'\n",
		"$ ls -l secrets/github\n-rw------- 1 penstock penstock 41 secrets/github\n",
		"Write the provider's secret into the file, as the daemon's user." },
	{ PS_SECRET_MODE,
		"$ ls -l secrets/github\n-rw-r--r-- 1 penstock penstock 41 secrets/github\n",
		"$ ls -l secrets/github\n-rw------- 1 penstock penstock 41 secrets/github\n",
		"chmod 0600 the file; if others could have read it, replace the secret." },
	{ PS_SECRET_FORM, "$ cat secrets/app\n\"whsec_bad\"\n",
		"$ cat secrets/app\nwhsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
		"Copy the secret again, whole, in one line and without quotes." },
	{ PS_ID_COLLISION, "$ penstockctl config check\nerror[PS1304]: … have the same id\n",
		"$ penstockctl config check\n/etc/penstock/penstock.yaml is right\n",
		"Rename the newer of the two: a letter more will do." },
	{ PS_CPU_MISSING, "workers: { cpus: 1023 }\n", "workers: { cpus: auto }\n",
		"Write auto, or list CPUs that the unit's CPUAffinity= allows." },

	{ PS_PLAIN_LISTENER, LISTEN "    tls: off\n",
		"listeners:\n  - address: 127.0.0.1:8080\n"
		"    tls: off\n",
		"Give the listener a certificate; behind a proxy, listen on loopback." },
	{ PS_PLAIN_TARGET, "targets:\n" APP "    url: http://app.internal/hooks\n",
		"targets:\n" APP APP_URL, "Write https://, and name the authority in ca_file." },
	{ PS_SHORT_RETENTION, "store: { path: /var/lib/penstock, retention: 1h }\n",
		"store: { path: /var/lib/penstock, retention: 7d }\n",
		"Keep events for a day or more." },
	{ PS_METRICS_EXPOSED, "metrics: { address: 0.0.0.0:9464 }\n",
		"metrics: { address: 127.0.0.1:9464 }\n",
		"Listen on loopback, or on an address that only the monitoring host reaches." },
	{ PS_UNUSED_TARGET,
		"targets:\n" APP APP_URL "  - { name: old, url: https://old.internal/ }\n",
		"targets:\n" APP APP_URL, "Take the target out, or name it in an endpoint." },
	{ PS_UNRESOLVED, "$ getent hosts app.internal\n",
		"$ getent hosts app.internal\n"
		"10.0.0.7        app.internal\n",
		"Correct the name in the target's url, or the host's name service." },
	{ PS_SHORT_REPLAY_WINDOW, ENDPOINT("    tolerance: 10m\n    replay_window: 5m\n"),
		ENDPOINT("    tolerance: 10m\n    replay_window: 24h\n"),
		"Make replay_window at least twice the tolerance." },
	{ PS_NO_EFFECT, "targets:\n" APP APP_URL "    timeout: 3s\n    connect_timeout: 5s\n",
		"targets:\n" APP APP_URL "    timeout: 15s\n    connect_timeout: 5s\n",
		"Take the setting out, or change the one that overrules it." },
	{ PS_FILE_WRITABLE, "$ ls -l penstock.yaml\n-rw-rw-r-- 1 root staff 912 penstock.yaml\n",
		"$ ls -l penstock.yaml\n-rw-r--r-- 1 root root 912 penstock.yaml\n",
		"chmod go-w the file." },

	{ PS_TARGET_UNREACHABLE,
		"$ curl https://app.internal/hooks\n"
		"curl: (7) Failed to connect to app.internal port 443\n",
		"$ curl -I https://app.internal/hooks\nHTTP/1.1 405 Method Not Allowed\n",
		"Correct the URL, start the target, or open the firewall between." },
	{ PS_TARGET_HANDSHAKE,
		"$ curl https://app.internal/hooks\n"
		"curl: (60) SSL certificate problem: unable to get local issuer\n",
		"$ curl --cacert tls/internal-ca.pem -I https://app.internal/hooks\n"
		"HTTP/1.1 405 Method Not Allowed\n",
		"Name the target's authority in ca_file, use the host name that its certificate is "
		"for, or show the client certificate that it asks for." },
	{ PS_CERTIFICATE_EXPIRED,
		"$ openssl x509 -in tls/cert.pem -noout -enddate\n"
		"notAfter=Mar  1 00:00:00 2024 GMT\n",
		"$ openssl x509 -in tls/cert.pem -noout -checkend 0\nCertificate will not expire\n",
		"Renew the certificate, then: penstockctl reload." },
	{ PS_CERTIFICATE_EXPIRES,
		"$ openssl x509 -in tls/cert.pem -noout -checkend 1209600\n"
		"Certificate will expire\n",
		"$ openssl x509 -in tls/cert.pem -noout -checkend 1209600\n"
		"Certificate will not expire\n",
		"Renew the certificate, and find out why it was not renewed by itself." },
	{ PS_SPIFFE_ID,
		"$ openssl x509 -in tls/client.pem -noout -ext subjectAltName\n"
		"    URI:spiffe://example.org/a, URI:spiffe://example.org/b\n",
		"$ openssl x509 -in tls/client.pem -noout -ext subjectAltName\n"
		"    URI:spiffe://example.org/a\n",
		"Have the certificate issued anew with one URI name." },
	{ PS_STORE_UNWRITABLE,
		"$ ls -ld /var/lib/penstock\ndrwxr-xr-x 2 root root /var/lib/penstock\n",
		"$ ls -ld /var/lib/penstock\ndrwx------ 2 penstock penstock /var/lib/penstock\n",
		"install -d -o penstock -g penstock -m 0700 /var/lib/penstock; run the check as "
		"the daemon's user." },
	{ PS_STORE_SPACE, "$ df -h /var/lib/penstock\nSize  Used Avail\n20G   19.9G  100M\n",
		"$ df -h /var/lib/penstock\nSize  Used Avail\n20G   4G     16G\n",
		"Make room, choose another folder, or set store.quota to what there is." },
	{ PS_KERNEL, "$ sysctl kernel.io_uring_disabled\nkernel.io_uring_disabled = 2\n",
		"$ sysctl kernel.io_uring_disabled\nkernel.io_uring_disabled = 0\n",
		"Do what the message says: it names the sysctl, the sandbox or the kernel." },
	{ PS_SECRET_OWNER, "$ ls -l secrets/github\n-rw------- 1 bob bob 41 secrets/github\n",
		"$ ls -l secrets/github\n-rw------- 1 penstock penstock 41 secrets/github\n",
		"chown the file to the daemon's user or to root." },
	{ PS_TARGETS_UNTRIED,
		"$ penstockctl config check --environment\n"
		"warning[PS1510]: 800 of 1000 targets were not connected to\n",
		"$ penstockctl config check --environment\n"
		"/etc/penstock/penstock.yaml is right: 1000 endpoints, 1000 targets\n",
		"Repair the targets that are reported, then check again." },

	{ PS_PEM_UNREADABLE, "$ ls tls/cert.pem\nls: cannot access 'tls/cert.pem'\n",
		"$ ls -l tls/cert.pem\n-rw-r--r-- 1 root root 1704 tls/cert.pem\n",
		"Correct the path, or let the daemon's user read the file." },
	{ PS_LISTENER_TLS,
		"$ openssl x509 -in tls/cert.pem -noout -pubkey | sha256sum\n1111… -\n"
		"$ openssl pkey -in tls/key.pem -pubout | sha256sum\n2222… -\n",
		"$ openssl x509 -in tls/cert.pem -noout -pubkey | sha256sum\n1111… -\n"
		"$ openssl pkey -in tls/key.pem -pubout | sha256sum\n1111… -\n",
		"Put the key that the certificate was issued for beside it; the leaf comes "
		"first." },
	{ PS_TARGET_TLS, "$ head -1 tls/internal-ca.pem\n<html>\n",
		"$ head -1 tls/internal-ca.pem\n-----BEGIN CERTIFICATE-----\n",
		"Save the authority's certificate again as PEM; let client_key and "
		"client_certificate belong together." },
	{ PS_LISTEN,
		"$ penstockctl reload\n"
		"error[PS3004]: cannot listen on 0.0.0.0:443: address already in use\n",
		"$ ss -ltnp 'sport = :443'\n"
		"State  Recv-Q Send-Q Local Address:Port Peer Address:Port\n",
		"End what listens there (ss -ltnp names it), or choose another address; for a port "
		"below 1024 give the daemon CAP_NET_BIND_SERVICE." },
	{ PS_STAYS_UNTIL_RESTART,
		"$ penstockctl reload\n"
		"warning[PS3011]: needs restart: store.retention\n",
		"$ systemctl restart penstockd\n", "Restart the daemon when it suits." },
};

const struct config_example *config_example_find(const char *code)
{
	for (size_t i = 0; i < ARRAY_COUNT(examples); i++) {
		if (strcmp(examples[i].code, code) == 0) return &examples[i];
	}
	return NULL;
}
