# SPDX-License-Identifier: GPL-2.0-or-later
# The sources of the daemon, listed by hand: one file per line, sorted, grouped by folder. No wildcards:
# a file that is not listed here is not built, and tools/check_tidy reports it. Form:
#   BASE_SRC := \
#   	dataplane/base/bytes.c \
#   	dataplane/base/log.c
# dataplane/main.c is not listed: the Makefile links it into penstockd alone.

# dataplane/base
BASE_SRC :=

# dataplane/metrics
METRICS_SRC :=

# dataplane/engine
ENGINE_SRC :=

# dataplane/tls
TLS_SRC :=

# dataplane/http
HTTP_SRC :=

# dataplane/secrets
SECRETS_SRC :=

# dataplane/store
STORE_SRC :=

# dataplane/verify
VERIFY_SRC :=

# dataplane/queue
QUEUE_SRC :=

# dataplane/audit
AUDIT_SRC :=

# dataplane/flow
FLOW_SRC :=

# dataplane/config
CONFIG_SRC :=

# dataplane/receive
RECEIVE_SRC :=

# dataplane/deliver
DELIVER_SRC :=

# dataplane/control
CONTROL_SRC :=

# dataplane/worker
WORKER_SRC :=

DATAPLANE_SRC := \
	$(BASE_SRC) \
	$(METRICS_SRC) \
	$(ENGINE_SRC) \
	$(TLS_SRC) \
	$(HTTP_SRC) \
	$(SECRETS_SRC) \
	$(STORE_SRC) \
	$(VERIFY_SRC) \
	$(QUEUE_SRC) \
	$(AUDIT_SRC) \
	$(FLOW_SRC) \
	$(CONFIG_SRC) \
	$(RECEIVE_SRC) \
	$(DELIVER_SRC) \
	$(CONTROL_SRC) \
	$(WORKER_SRC)
