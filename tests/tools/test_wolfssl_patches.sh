#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The wolfSSL we build does what we need of it, and the faults our patches are for are gone: third_party/patches/wolfssl.
# shellcheck source=tests/tools/tool_test.sh disable=SC2317  # functions called by passes and fails
. "$(dirname "$0")/tool_test.sh"

peer=${WOLFSSL_PEER:-$repository/build/release/tests/tools/wolfssl_peer}
if [ ! -x "$peer" ]; then
	echo 'not ok wolfssl_peer is not built (make build/release/tests/tools/wolfssl_peer)'
	exit 1
fi
cd "$toy" || exit 1

# issue NAME ISSUER EXTENSION...      a P-256 key and certificate; issuer "self" for a root
issue()
{
	local name=$1 issuer=$2 digest=${DIGEST:-sha256}
	shift 2
	openssl ecparam -name prime256v1 -genkey -noout -out "$name.key" 2>/dev/null
	printf '%s\n' "$@" >"$name.ext"
	openssl req -new -key "$name.key" -subj "/CN=${SUBJECT:-$name}" -out "$name.csr" 2>/dev/null
	if [ "$issuer" = self ]; then
		openssl x509 -req -in "$name.csr" -signkey "$name.key" -days 30 "-$digest" -extfile "$name.ext" \
			-out "$name.pem" 2>/dev/null
	else
		openssl x509 -req -in "$name.csr" -CA "$issuer.pem" -CAkey "$issuer.key" -CAcreateserial -days 30 \
			"-$digest" -extfile "$name.ext" -out "$name.pem" 2>/dev/null
	fi
}

ca='basicConstraints=critical,CA:TRUE'
usage='keyUsage=critical,keyCertSign,cRLSign'

# under CONSTRAINT NAME SAN...: a leaf with these names from a root with this constraint
leaf_number=0
under()
{
	local constraint=$1 san=$2
	leaf_number=$((leaf_number + 1))
	issue "root$leaf_number" self "$ca" "$usage" "nameConstraints=critical,$constraint"
	issue "leaf$leaf_number" "root$leaf_number" "subjectAltName=$san"
	"$peer" verify "root$leaf_number.pem" "leaf$leaf_number.pem"
}

issue root self "$ca" "$usage"
issue server root 'subjectAltName=DNS:localhost,DNS:*.example.com,IP:127.0.0.1'
issue client root 'subjectAltName=URI:spiffe://example.org/billing'
issue other self "$ca" "$usage"

# What we need.
tls()
{
	"$peer" handshake "$@"
}
passes 'TLS 1.3' tls 1.3 localhost root.pem server.pem server.key
passes 'TLS 1.2' tls 1.2 localhost root.pem server.pem server.key
passes 'TLS 1.3, mutual' tls 1.3 localhost root.pem server.pem server.key client.pem client.key
passes 'TLS 1.2, mutual' tls 1.2 localhost root.pem server.pem server.key client.pem client.key
passes 'a name under a wildcard' tls 1.3 a.example.com root.pem server.pem server.key
passes 'an IP address' tls 1.3 127.0.0.1 root.pem server.pem server.key
fails 'another name' 'refused' tls 1.3 example.net root.pem server.pem server.key
fails 'two labels under a wildcard' 'refused' tls 1.3 a.b.example.com root.pem server.pem server.key
fails 'another CA' 'refused' tls 1.3 localhost other.pem server.pem server.key
SUBJECT=localhost issue nosan root 'basicConstraints=CA:FALSE'
fails 'the common name is not a host name' 'refused' tls 1.3 localhost root.pem nosan.pem nosan.key
says()
{
	tls "$@" | grep -qF "$text"
}
text='TLSv1.3'
passes 'TLS 1.3 is spoken' says 1.3 localhost root.pem server.pem server.key
text='http/1.1 uri='
passes 'ALPN is agreed on' says 1.3 localhost root.pem server.pem server.key

# CVE-2026-6412: SHA-1 in signatures. The chain is checked in the handshake, too.
DIGEST=sha1 issue sha1 root 'subjectAltName=DNS:localhost'
fails 'a certificate signed with SHA-1' 'refused' "$peer" verify root.pem sha1.pem
fails 'a certificate signed with SHA-1, in a handshake' 'refused' tls 1.3 localhost root.pem sha1.pem sha1.key

# CVE-2026-5263, CVE-2026-7532, CVE-2026-10592: name constraints.
passes 'DNS: the base itself' under 'permitted;DNS:example.com' 'DNS:example.com'
passes 'DNS: below the base' under 'permitted;DNS:example.com' 'DNS:a.b.example.com'
fails 'DNS: the same letters only' 'refused' under 'permitted;DNS:example.com' 'DNS:evilexample.com'
fails 'DNS: elsewhere' 'refused' under 'permitted;DNS:example.com' 'DNS:example.net'
fails 'DNS: one good name, one bad' 'refused' under 'permitted;DNS:example.com' 'DNS:example.com,DNS:example.net'
fails 'DNS: excluded' 'refused' under 'excluded;DNS:example.com' 'DNS:www.example.com'
passes 'DNS: not excluded' under 'excluded;DNS:example.com' 'DNS:www.example.net'
fails 'DNS: a wildcard over an excluded name' 'refused' under 'excluded;DNS:a.example.com' 'DNS:*.example.com'
passes 'DNS: a wildcard beside an excluded name' under 'excluded;DNS:a.b.example.com' 'DNS:*.example.com'
passes 'DNS: a wildcard below a permitted name' under 'permitted;DNS:example.com' 'DNS:*.example.com'
passes 'URI: the host' under 'permitted;URI:example.org' 'URI:spiffe://example.org/billing'
passes 'URI: below the host' under 'permitted;URI:.example.org' 'URI:spiffe://a.example.org/billing'
fails 'URI: another host' 'refused' under 'permitted;URI:example.org' 'URI:spiffe://example.net/billing'
fails 'URI: another host that ends alike' 'refused' under 'permitted;URI:example.org' 'URI:spiffe://evilexample.org/x'
fails 'URI: the host is what follows the user' 'refused' under 'permitted;URI:example.org' 'URI:https://example.org@evil.net/'
fails 'URI: excluded' 'refused' under 'excluded;URI:example.org' 'URI:spiffe://example.org/billing'
fails 'URI: no host at all' 'refused' under 'permitted;URI:example.org' 'URI:urn:example'
fails 'IP: outside' 'refused' under 'permitted;IP:10.0.0.0/255.0.0.0' 'IP:11.0.0.1'
passes 'IP: inside' under 'permitted;IP:10.0.0.0/255.0.0.0' 'IP:10.1.2.3'
fails 'IP: excluded' 'refused' under 'excluded;IP:10.0.0.0/255.0.0.0' 'IP:10.1.2.3'
passes 'constraints of one type leave the others alone' under 'permitted;DNS:example.com' 'URI:spiffe://other.net/x'

# CVE-2026-89133: a CA without constraints between the constrained one and the leaf, which sends it in its chain.
issue narrow self "$ca" "$usage" 'nameConstraints=critical,permitted;DNS:example.com'
issue between narrow "$ca" "$usage"
issue good between 'subjectAltName=DNS:good.example.com'
issue bad between 'subjectAltName=DNS:bad.example.net'
cat good.pem between.pem >good-chain.pem
cat bad.pem between.pem >bad-chain.pem
passes 'inherited constraints: permitted' tls 1.3 good.example.com narrow.pem good-chain.pem good.key
fails 'inherited constraints: not permitted' 'refused' tls 1.3 bad.example.net narrow.pem bad-chain.pem bad.key
issue wider narrow "$ca" "$usage" 'nameConstraints=critical,permitted;DNS:example.net'
issue worse wider 'subjectAltName=DNS:bad.example.net'
cat worse.pem wider.pem >worse-chain.pem
fails 'inherited constraints: a CA cannot widen them' 'refused' tls 1.3 bad.example.net narrow.pem worse-chain.pem worse.key

# hello KIND: a ClientHello, sound or with the fault named
hello()
{
	python3 - "$1" <<'END'
import struct
import sys

kind = sys.argv[1]


def extension(number, body):
    return struct.pack(">HH", number, len(body)) + body


def sized(body, width=2):
    return len(body).to_bytes(width, "big") + body


alpn = b"\x08http/1.1"
if kind == "alpn-over":
    alpn += b"\xf0"  # as the last byte of the list: an entry of 240 bytes that are not there
point = b"\x04" + bytes.fromhex(  # the base point of P-256
    "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")
share = struct.pack(">H", 23) + sized(point)
shares = {"shares-twice": share * 2,
          "shares-many": share + b"".join(struct.pack(">HH", 0x2000 + i, 1) + b"x" for i in range(200))}
extensions = (extension(43, b"\x02\x03\x04") + extension(10, sized(struct.pack(">H", 23)))
              + extension(13, sized(bytes.fromhex("04030804"))) + extension(16, sized(alpn))
              + extension(51, sized(shares.get(kind, share))))
body = (b"\x03\x03" + bytes(32) + b"\x20" + bytes(32) + sized(bytes.fromhex("13011302")) + b"\x01\x00"
        + sized(extensions))
message = b"\x01" + sized(body, 3)
sys.stdout.buffer.write(b"\x16\x03\x01" + sized(message))
END
}

feed()
{
	hello "$1" | "$peer" feed server.pem server.key
}
passes 'a sound ClientHello' feed sound
fails 'CVE-2026-3547: an ALPN entry that runs over the list' 'client hello -328' feed alpn-over
fails 'CVE-2025-11936: two key shares for a group' 'client hello' feed shares-twice
fails 'CVE-2025-11936: too many key shares' 'client hello' feed shares-many
passes 'CVE-2026-10512: X25519 agrees with itself and is reduced' "$peer" x25519 500
tool_test_end
