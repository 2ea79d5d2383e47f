/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/config_codes.h"

#include <string.h>

#include "base/check.h"
#include "config/config.h"

static const struct config_code codes[] = {
	{ PS_FILE_UNREADABLE, "the configuration file cannot be read",
		"The file does not exist, is not a regular file, or the process may not read it. "
		"The daemon reads it as the user it runs as, which is rarely root." },
	{ PS_UNKNOWN_KEY, "unknown key",
		"Every key is checked, because a misspelled one would silently leave its default "
		"in force. The hint names the nearest key, or the section the key belongs to." },
	{ PS_NOT_TEXT, "not plain UTF-8 text",
		"The file must be UTF-8 without control characters, without the line separators "
		"that editors do not show (U+0085, U+2028, U+2029) and without the marks that "
		"turn the direction of text, which can hide what a line says." },
	{ PS_SYNTAX, "not valid YAML",
		"The YAML parser could not go on, so nothing after this place was looked at. The "
		"usual causes are indentation that does not match, a quote or bracket that is "
		"never closed, and text that needs quotes because it holds ': ' or ' #'." },
	{ PS_TAB, "a tab where only spaces may stand",
		"YAML does not allow tabs for indentation. Replace them by spaces." },
	{ PS_YAML_FEATURE, "a YAML feature that is not accepted here",
		"Anchors, aliases, tags, merge keys and several documents in one file are refused: "
		"they make a file mean something else than it says, and can blow up small files "
		"into large ones. Text that begins with '*', '&' or '!' needs quotes." },
	{ PS_TOO_LARGE, "the file is too large, too deep, or has too many values",
		"The bounds are 16 MiB, 16 levels, about four million keys and values, and 8 KiB "
		"for one value. They are far beyond what a working configuration needs." },
	{ PS_DUPLICATE_KEY, "the same key twice",
		"YAML would let the last one win without a word, so it is refused." },
	{ PS_MISSING_KEY, "a key that must be there is missing",
		"Only what has no safe default has to be written." },
	{ PS_WRONG_KIND, "a value of the wrong kind",
		"For example a list where one value is expected, or text where a section "
		"(keys with values) is expected." },
	{ PS_NO_VALUE, "a key without a value",
		"A key with nothing behind it means null in YAML. Leave the key out to get its "
		"default." },
	{ PS_EMPTY_LIST, "an empty list",
		"A list that is written must have an element. Only listeners, endpoints, targets "
		"and an endpoint's targets may be []: nothing is taken then, or goes nowhere." },
	{ PS_SECRET_IN_FILE, "a secret in the configuration file",
		"Configuration is copied, mailed and put under version control; secrets are not. "
		"Put the secret alone into a file that only the daemon can read (mode 0600) and "
		"name that file. If the secret has already been shared, replace it." },
	{ PS_TOO_MANY, "too many elements", "The bound stands in the message." },

	{ PS_NAME, "not a name",
		"Names are labels in metrics, logs and audit records: 1 to 64 characters of a-z, "
		"0-9, '.', '_' and '-', beginning with a letter or digit." },
	{ PS_NUMBER, "not a whole number", "Decimal digits only: no sign, point, or space." },
	{ PS_UNIT_MISSING, "a quantity without its unit",
		"A bare number would have to be guessed at. Durations: ms, s, m, h, d. "
		"Sizes: B, KiB, MiB, GiB, TiB." },
	{ PS_UNIT, "not a quantity",
		"A whole number directly followed by one unit. Durations: ms, s, m, h, d. Sizes: "
		"B, KiB, MiB, GiB, TiB; KB, MB and GB are refused because people do not agree "
		"on what they are." },
	{ PS_RANGE, "a value outside its range",
		"The range stands in the message; its reason in the reference of the key." },
	{ PS_CHOICE, "not one of the words that may stand here", "The message lists the words." },
	{ PS_SWITCH, "not on or off", "Write on, off, true or false." },
	{ PS_ADDRESS, "not an address with a port",
		"A numeric address and a port: 127.0.0.1:8443, 0.0.0.0:443 (all of IPv4), or in "
		"quotes '[::1]:8443', '[::]:443' (all of IPv6). Names are not looked up for "
		"addresses the daemon listens on." },
	{ PS_URL, "not a URL that can be used",
		"https:// (or http://), a host, optionally a port, a path and a query. User and "
		"password in the URL are refused because URLs end up in logs; a fragment is "
		"refused because it is never sent." },
	{ PS_PATH, "not a path that can match",
		"An endpoint's path begins with '/', is compared byte by byte with the request's "
		"path, and therefore has no query, no fragment, no spaces, and no '.' or '..' "
		"segments, which clients remove before sending." },
	{ PS_HOST, "not a host name",
		"Letters, digits, '-' and '_' in labels of up to 63 characters, or an IP address; "
		"no port, no scheme. Names with other letters are written as xn--…" },
	{ PS_CPUS, "not a list of CPUs",
		"auto (all CPUs the process may run on), one number, a range 0-3, or a list "
		"[0, 2, 4-7]. One worker runs on each." },
	{ PS_FILE_NAME, "not a file name that can be used",
		"Relative names start at the folder of the configuration file. Nothing is "
		"expanded: neither ~ nor $VARIABLES." },

	{ PS_DUPLICATE_NAME, "the same name twice",
		"Names identify endpoints, targets and listeners in every record and metric." },
	{ PS_DUPLICATE_ROUTE, "the same host and path twice",
		"Two endpoints would both match; the path must tell them apart, or the host." },
	{ PS_DUPLICATE_ADDRESS, "the same address twice",
		"Two listeners, or a listener and the metrics, would open one address." },
	{ PS_UNKNOWN_TARGET, "no such target",
		"An endpoint sends its events to targets of the section 'targets', by name." },
	{ PS_UNKNOWN_SCHEME, "no such signature scheme",
		"The scheme says how the provider signs its requests; the message lists what is "
		"built in. Providers that follow Standard Webhooks take 'standard-webhooks'." },
	{ PS_DUPLICATE_ELEMENT, "the same element twice in a list",
		"A list of targets, names, or CPUs has each once." },
	{ PS_CONTRADICTION, "keys that contradict each other",
		"Only one of them can be meant; the message names both." },
	{ PS_NEEDS_OTHER_KEY, "a key that needs another one",
		"For example a client certificate without its key." },

	{ PS_SECRET_UNREADABLE, "a secret file cannot be read",
		"The file does not exist, is not a regular file, is empty or too long, or the "
		"process may not read it. The first line is the secret." },
	{ PS_SECRET_MODE, "a secret file that others can read",
		"As with keys of sshd: neither group nor others may read or write it. The daemon's "
		"own group and root's may read. chmod 0600 repairs it." },
	{ PS_SECRET_FORM, "a secret of the wrong form",
		"The scheme wants its secrets in a form of its own, for example whsec_ and base64. "
		"Copy it again from the provider, whole and without quotes." },
	{ PS_ID_COLLISION, "two names with the same id",
		"Records name endpoints and targets by a 32-bit hash of their name, and these two "
		"names have the same. Rename the newer one." },
	{ PS_CPU_MISSING, "a CPU this process may not run on",
		"The CPU does not exist or is outside the process's affinity mask (taskset, "
		"systemd's CPUAffinity=, a container's cpuset)." },

	{ PS_PLAIN_LISTENER, "webhooks over plain text",
		"The listener has 'tls: off' on an address that other hosts can reach: events and "
		"tokens can be read and changed on the way. Right only behind a proxy that ends "
		"TLS on the same trusted network." },
	{ PS_PLAIN_TARGET, "deliveries over plain text",
		"The target's URL is http:// on another host: events can be read on the way." },
	{ PS_SHORT_RETENTION, "events are kept for less than a day",
		"Delivered and dead events are removed after this time; an operator who finds out "
		"the next morning has nothing to replay." },
	{ PS_METRICS_EXPOSED, "metrics are open to other hosts",
		"The metrics address needs no credentials: names and rates of endpoints can be "
		"read by anybody who reaches it. Prefer a loopback address." },
	{ PS_UNUSED_TARGET, "no endpoint uses this target",
		"It gets no events: a reference to it is misspelled, or it can be removed." },
	{ PS_UNRESOLVED, "a target's host name does not resolve",
		"The name service gave no address. Events for it are kept and tried again; the "
		"name is looked up again from time to time." },
	{ PS_SHORT_REPLAY_WINDOW, "replayed requests could be accepted",
		"The replay memory forgets a request before its timestamp gets too old, so that a "
		"recorded request can be sent once more in between. Make replay_window at least "
		"twice the tolerance." },
	{ PS_NO_EFFECT, "a setting without effect", "Another setting overrules it." },
	{ PS_FILE_WRITABLE, "others can change the configuration file",
		"Whoever can write it decides where events go. chmod go-w repairs it." },

	{ PS_TARGET_UNREACHABLE, "a target that cannot be connected to",
		"No connection within connect_timeout (5 s at most). Only a check with "
		"--environment tries; the daemon itself would keep the events and try again." },
	{ PS_TARGET_HANDSHAKE, "a target whose TLS handshake fails",
		"The target was reached, but its certificate is not trusted, has ended or is for "
		"another name, or it refused ours. Deliveries would fail in the same way." },
	{ PS_CERTIFICATE_EXPIRED, "a certificate that is not valid today",
		"A certificate that we show to others has ended or has not begun: providers, or "
		"the target, will refuse the connection." },
	{ PS_CERTIFICATE_EXPIRES, "a certificate that ends within two weeks",
		"Whatever renews it should have done so by now." },
	{ PS_SPIFFE_ID, "a certificate that is no SPIFFE identity",
		"It has a URI name that begins with spiffe://, but not exactly one URI, or the URI "
		"is not a SPIFFE id with a path, or the certificate is a CA's (X509-SVID): "
		"whoever checks identities will refuse it." },
	{ PS_STORE_UNWRITABLE, "the store's folder cannot be written to",
		"The daemon makes the last folder of the path itself, none above it, and needs to "
		"write there as the user it runs as." },
	{ PS_STORE_SPACE, "little room for the store",
		"The file system has less than the quota, or less than 1 GiB when there is none. "
		"Once it is full, providers are told to come again later (503)." },
	{ PS_KERNEL, "the kernel does not give us io_uring",
		"All input and output goes through io_uring. An old kernel, the sysctl "
		"kernel.io_uring_disabled, a seccomp profile or a limit of memory can be why." },
	{ PS_SECRET_OWNER, "a secret that belongs to another user",
		"Whoever owns the file can change it, and its mode. It should belong to root, to "
		"the user that runs the check, or to the owner of the store." },
	{ PS_TARGETS_UNTRIED, "targets that were not connected to",
		"A check of the environment takes a minute at most. Targets that do not answer use "
		"up seconds each, so that the last ones were not tried." },

	{ PS_PEM_UNREADABLE, "a certificate, key or bundle cannot be read",
		"The file does not exist, is empty or too large, or the daemon's user may not read "
		"it. It is read at the start, at every reload, and when the file is checked with "
		"-t." },
	{ PS_LISTENER_TLS, "a listener's certificates cannot be used",
		"A file is not PEM, a key does not belong to its certificate, or the chain does "
		"not begin with the leaf. The message says which part the TLS library refused." },
	{ PS_TARGET_TLS, "a target's certificates cannot be used",
		"ca_file, client_certificate or client_key is not PEM, or the key does not belong "
		"to the certificate." },
	{ PS_LISTEN, "an address that a reload brings cannot be listened on",
		"Another process listens there, or the daemon's user may not, as below port 1024 "
		"without CAP_NET_BIND_SERVICE. The reload was refused as a whole and the "
		"configuration before it goes on." },
	{ PS_STAYS_UNTIL_RESTART, "a change that has to wait for a restart",
		"The rest of the new configuration is in force; this part stays as it was until "
		"the daemon is started again." },
};

const struct config_code *config_codes(size_t *ret_count)
{
	*ret_count = ARRAY_COUNT(codes);
	return codes;
}

bool config_code_known(const char *code)
{
	for (size_t i = 0; i < ARRAY_COUNT(codes); i++) {
		if (strcmp(codes[i].code, code) == 0) return true;
	}
	return false;
}
