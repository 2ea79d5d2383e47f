#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# tools/check_layers passes a clean tree and names each kind of forbidden include.
# shellcheck source=tests/tools/tool_test.sh disable=SC2317,SC1003  # functions called by passes and fails
. "$(dirname "$0")/tool_test.sh"

check_layers()
{
	"$repository/tools/check_layers" "$toy"
}

clean_tree()
{
	rm -rf "${toy:?}"/*
	mkdir -p "$toy/dataplane"
	cp "$repository/dataplane/layers.def" "$toy/dataplane/"
	plant dataplane/main.c '#include "control/control.h"' '#include "engine/loop.h"'
	plant dataplane/base/hash.c '#include "base/hash.h"' '#include <wolfssl/options.h>'
	plant dataplane/engine/io_uring.c '#include "engine/io.h"' '#include <liburing.h>'
	plant dataplane/store/store.c '#include "store/store_internal.h"' '#include <lmdb.h>' '#include "base/check.h"'
	plant dataplane/receive/receive.c '#include "queue/queue.h"' '#include "bounds.h"' '#include <string.h>'
	plant ctl/main.c '#include "control/protocol.h"' '#include "audit/tree.h"' '#include "options.h"'
	plant bench/main.c '#include "engine/loop.h"'
}

# forbidden NAME PLACE FILE LINE: a clean tree with one more line must fail and name the place.
forbidden()
{
	clean_tree
	mkdir -p "$(dirname "$toy/$3")"
	printf '%s\n' "$4" >>"$toy/$3"
	fails "$1" "$2" check_layers
}

clean_tree
passes 'a clean tree' check_layers
forbidden 'an upward include' 'dataplane/engine/io_uring.c:3: engine may not include deliver/deliver.h' \
	dataplane/engine/io_uring.c '#include "deliver/deliver.h"'
forbidden 'receive includes deliver' 'receive may not include deliver/deliver.h' \
	dataplane/receive/receive.c '#include "deliver/deliver.h"'
forbidden 'deliver includes receive' 'deliver may not include receive/receive.h' \
	dataplane/deliver/deliver.c '  #  include "receive/receive.h"'
forbidden 'base includes anything' 'base may not include http/http.h' dataplane/base/hash.c '#include "http/http.h"'
forbidden 'worker includes control' 'worker may not include control/control.h' \
	dataplane/worker/worker.c '#include "control/control.h"'
forbidden 'lmdb outside store' '<lmdb.h> may only be included in' dataplane/queue/queue.c '#include <lmdb.h>'
forbidden 'lmdb outside store, quoted' '<lmdb.h> may only be included in' dataplane/queue/queue.c '#include "lmdb.h"'
forbidden 'liburing outside io_uring.c' '<liburing.h> may only be included in' \
	dataplane/engine/loop.c '#include <liburing.h>'
forbidden 'wolfssl outside tls and secrets' '<wolfssl/wolfcrypt/sha256.h> may only be included in' \
	dataplane/base/bytes.c '#include <wolfssl/wolfcrypt/sha256.h>'
forbidden 'wolfssl in ctl' '<wolfssl/ssl.h> may only be included in' ctl/main.c '#include <wolfssl/ssl.h>'
forbidden 'internal header of another folder' 'is internal to store/' \
	dataplane/queue/queue.c '#include "store/store_internal.h"'
forbidden 'internal header, from main.c' 'is internal to store/' dataplane/main.c '#include "store/store_internal.h"'
forbidden 'a path upwards' 'not at ../' dataplane/http/http.c '#include "../base/bytes.h"'
forbidden 'a folder without a rule' 'folder newcomer/ has no line' dataplane/newcomer/x.c '#include "base/bytes.h"'
forbidden 'ctl includes the daemon' 'ctl may not include worker/worker.h' ctl/main.c '#include "worker/worker.h"'
forbidden 'ctl includes another header of control' 'ctl may not include control/control.h' \
	ctl/main.c '#include "control/control.h"'
forbidden 'bench includes the queue' 'bench may not include queue/queue.h' bench/main.c '#include "queue/queue.h"'

clean_tree
printf '\nbase: queue\n' >>"$toy/dataplane/layers.def"
fails 'rules in a circle' 'go round in a circle' check_layers
clean_tree
rm "$toy/dataplane/layers.def"
fails 'no rules at all' 'is missing' check_layers
tool_test_end
