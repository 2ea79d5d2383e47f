#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Make the certificates the tests use: NAME.pem and NAME.key, P-256, signed by ca.pem where not said otherwise.
#
# usage: tests/lib/certificates.sh OUTDIR
#
#   ca                   the CA everybody trusts             ca-other          one that nobody trusts
#   server               localhost, 127.0.0.1, ::1           server-other      the same from ca-other
#   server-chain         the same through an intermediate CA (the file has both)
#   server-rsa           the same with an RSA key            server-second     second.example.test
#   server-wild          *.wild.example.test                 server-cn         localhost as common name only
#   server-dns-address   127.0.0.1 as a DNS name             server-self       localhost, signed by itself
#   server-expired       ended yesterday                     server-future     begins in nine years
#   server-large         the same as server, of 40 KiB       server-rsa-short  the same with an RSA key of 1024 bits
#   client               spiffe://example.test/workload      client-plain      without names
#   client-two-uris      two URI names                       client-dns        a DNS name spelled spiffe://...
#   client-nul           a URI name with a NUL in it         client-ca         a CA with a URI name
#   client-expired       ended yesterday                     client-other      from ca-other
#
# They are valid for ten years from now. Nothing is made when OUTDIR is complete and younger than this script; two runs
# at the same time wait for each other.
set -eu

[ $# -eq 1 ] || { echo 'usage: tests/lib/certificates.sh OUTDIR' >&2; exit 2; }
out=$1
script=$0

mkdir -p "$out"
exec 9>"$out/lock"
flock 9
if [ -f "$out/complete" ] && [ "$out/complete" -nt "$script" ]; then exit 0; fi
rm -f "$out/complete"
log=$out/log
: >"$log"

key()
{
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$out/$1.key" 2>>"$log"
}

# root NAME
root()
{
	key "$1"
	openssl req -x509 -new -key "$out/$1.key" -subj "/CN=Penstock test $1" -days 3650 -sha256 \
		-addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign,cRLSign' \
		-out "$out/$1.pem" 2>>"$log"
}

# signed NAME ISSUER COMMON_NAME EXTENSION...
signed()
{
	name=$1 issuer=$2 common_name=$3
	shift 3
	[ -f "$out/$name.key" ] || key "$name"
	printf '%s\n' 'basicConstraints=CA:FALSE' "$@" | awk -F= '{ line[$1] = $0 } END { for (i in line) print line[i] }' \
		>"$out/$name.ext"
	openssl req -new -key "$out/$name.key" -subj "/CN=$common_name" -out "$out/$name.csr" 2>>"$log"
	openssl x509 -req -in "$out/$name.csr" -CA "$out/$issuer.pem" -CAkey "$out/$issuer.key" -days 3650 -sha256 \
		-set_serial "0x$(openssl rand -hex 8)" -extfile "$out/$name.ext" -out "$out/$name.pem" 2>>"$log"
	rm -f "$out/$name.csr" "$out/$name.ext"
}

# dated NAME COMMON_NAME START END EXTENSION...: only `openssl ca` takes a start.
dated()
{
	name=$1 common_name=$2 start=$3 end=$4
	shift 4
	key "$name"
	mkdir -p "$out/database"
	: >"$out/database/index.txt"
	cat >"$out/database/config" <<-END
		[ca]
		default_ca = test
		[test]
		dir = $out/database
		database = $out/database/index.txt
		new_certs_dir = $out/database
		rand_serial = yes
		default_md = sha256
		policy = any
		[any]
		commonName = supplied
		[names]
	END
	printf '%s\n' "$@" >>"$out/database/config"
	openssl req -new -key "$out/$name.key" -subj "/CN=$common_name" -out "$out/$name.csr" 2>>"$log"
	openssl ca -batch -notext -config "$out/database/config" -extensions names -cert "$out/ca.pem" \
		-keyfile "$out/ca.key" -startdate "$start" -enddate "$end" -in "$out/$name.csr" -out "$out/$name.pem" \
		2>>"$log"
	rm -rf "$out/$name.csr" "$out/database"
}

# The names extension in DER, so that a URI can hold what text cannot: a NUL.
nul_name()
{
	uri=$(printf 'spiffe://example.test/admin\0.x' | od -An -v -tx1 | tr -d ' \n')
	size=$((${#uri} / 2))
	printf '2.5.29.17=DER:30%02x86%02x%s' $((size + 2)) "$size" "$uri"
}

at()
{
	date -u -d "$1" +%Y%m%d%H%M%SZ
}

local_names='subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1'
server_use='extendedKeyUsage=serverAuth'
client_use='extendedKeyUsage=clientAuth'

rm -f "$out"/*.pem "$out"/*.key
root ca
root ca-other

signed server ca localhost "$local_names" "$server_use"
signed server-other ca-other localhost "$local_names" "$server_use"
signed server-second ca second.example.test 'subjectAltName=DNS:second.example.test' "$server_use"
signed server-wild ca wild.example.test 'subjectAltName=DNS:*.wild.example.test' "$server_use"
signed server-cn ca localhost "$server_use"
signed server-dns-address ca localhost 'subjectAltName=DNS:127.0.0.1,DNS:*.0.0.1' "$server_use"
signed server-large ca localhost "$local_names" "$server_use" \
	"1.3.6.1.4.1.55555.1=ASN1:UTF8String:$(printf '%040960d' 0)"
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$out/server-rsa.key" 2>>"$log"
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out "$out/server-rsa-short.key" 2>>"$log"
signed server-rsa-short ca localhost "$local_names" "$server_use"
signed server-rsa ca localhost "$local_names" "$server_use"
signed intermediate ca 'Penstock test intermediate' 'basicConstraints=critical,CA:TRUE,pathlen:0' \
	'keyUsage=critical,keyCertSign'
signed server-chain intermediate localhost "$local_names" "$server_use"
cat "$out/intermediate.pem" >>"$out/server-chain.pem"
key server-self
openssl req -x509 -new -key "$out/server-self.key" -subj /CN=localhost -days 3650 -sha256 -addext "$local_names" \
	-out "$out/server-self.pem" 2>>"$log"
dated server-expired localhost "$(at '-30 days')" "$(at '-1 day')" "$local_names" "$server_use"
dated server-future localhost "$(at '+3285 days')" "$(at '+3650 days')" "$local_names" "$server_use"

signed client ca workload 'subjectAltName=URI:spiffe://example.test/workload,DNS:workload.example.test' "$client_use"
signed client-plain ca plain "$client_use"
signed client-two-uris ca two 'subjectAltName=URI:spiffe://example.test/a,URI:spiffe://example.test/b' "$client_use"
signed client-dns ca dns 'subjectAltName=DNS:spiffe://example.test/admin' "$client_use"
signed client-nul ca nul "$(nul_name)" "$client_use"
signed client-ca ca ca 'subjectAltName=URI:spiffe://example.test/ca' 'basicConstraints=critical,CA:TRUE' "$client_use"
signed client-other ca-other workload 'subjectAltName=URI:spiffe://example.test/workload' "$client_use"
dated client-expired workload "$(at '-30 days')" "$(at '-1 day')" \
	'subjectAltName=URI:spiffe://example.test/workload' "$client_use"

: >"$out/complete"
